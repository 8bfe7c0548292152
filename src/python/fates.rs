//! Ground truth: `Fate` and `FateColumns`.

use std::collections::HashMap;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::echo;
use crate::impair::Flags;
use crate::python::value::{Address, address, value};
use crate::seconds;

value! {
    /// What an EchoServer did to a packet.
    ///
    /// uplink and downlink hold what happened on the way in and on the way back: any of "lost",
    /// "duplicated", "corrupted", "held" (back, for others to overtake) and "queue_full".
    Fate {
        /// When it came, in seconds since the Unix epoch; the kernel's stamp where there is one.
        time: f64,
        /// The (host, port) that it came from.
        client: Address,
        /// Whether it was not answered on purpose.
        dropped: bool,
        /// The answer, or what it would have been, unimpaired; at most 1024 bytes of it.
        message: Vec<u8>,
        /// How long its payload was as it came, in bytes.
        size: usize,
        /// Its number among the packets of its client, from 1; 0 for one that was refused unheard.
        number: u64,
        /// "replied", or why it was dropped: "lost", "unanswerable" (an answer could have started a
        /// loop), "limited" (max_rate) or "overflowed" (too much was delayed already).
        outcome: &'static str,
        /// What happened on the way in.
        uplink: Vec<&'static str>,
        /// What happened on the way back, of several copies to any.
        downlink: Vec<&'static str>,
        /// How many replies were sent.
        replies: u8,
        /// How many of them differ from what an unimpaired answer is.
        corrupted: u8,
        /// When the first reply was sent, in seconds since the Unix epoch; None where none was.
        left: Option<f64>,
    }
}

impl From<echo::Fate> for Fate {
    fn from(fate: echo::Fate) -> Self {
        Self::from(&fate)
    }
}

impl From<&echo::Fate> for Fate {
    fn from(fate: &echo::Fate) -> Self {
        Self {
            time: seconds(fate.at.wall_ns),
            client: address(fate.client),
            dropped: fate.dropped(),
            message: fate.message.to_vec(),
            size: fate.size,
            number: fate.number,
            outcome: fate.outcome.name(),
            uplink: names(fate.uplink),
            downlink: names(fate.downlink),
            replies: fate.replies,
            corrupted: fate.corrupted,
            left: fate.left_ns.map(seconds),
        }
    }
}

fn names(flags: Flags) -> Vec<&'static str> {
    let names = Flags::NAMES.into_iter().enumerate();
    names.filter(|(bit, _)| flags.has(Flags(1 << bit))).map(|(_, name)| name).collect()
}

/// The fates of many packets as NumPy arrays of one length, in the order of the log.
///
/// time_ns: when each came, in nanoseconds since the Unix epoch (int64).
/// left_ns: when its first reply was sent (int64); -1 where none was.
/// client: where it came from, as an index into `clients` (uint32).
/// number: its number among the packets of its client, from 1 (uint64).
/// size: the length of its payload, in bytes (uint32).
/// uplink, downlink: what happened on each way (uint8): the sum of 1 lost, 2 duplicated, 4 corrupted,
///     8 held, 16 queue_full.
/// replies: how many were sent (uint8).
/// corrupted: how many of them differ from an unimpaired answer (uint8).
/// clients: the list of (host, port).
#[pyclass(frozen, get_all, module = "udpulse")]
pub(super) struct FateColumns {
    time_ns: Py<PyArray1<i64>>,
    left_ns: Py<PyArray1<i64>>,
    client: Py<PyArray1<u32>>,
    number: Py<PyArray1<u64>>,
    size: Py<PyArray1<u32>>,
    uplink: Py<PyArray1<u8>>,
    downlink: Py<PyArray1<u8>>,
    replies: Py<PyArray1<u8>>,
    corrupted: Py<PyArray1<u8>>,
    clients: Vec<Address>,
}

/// The same before NumPy takes it over, which copies nothing.
#[derive(Default)]
pub(super) struct Columns {
    time_ns: Vec<i64>,
    left_ns: Vec<i64>,
    client: Vec<u32>,
    number: Vec<u64>,
    size: Vec<u32>,
    uplink: Vec<u8>,
    downlink: Vec<u8>,
    replies: Vec<u8>,
    corrupted: Vec<u8>,
    clients: Vec<Address>,
}

impl Columns {
    pub(super) fn of<'a>(fates: impl Iterator<Item = &'a echo::Fate>) -> Self {
        let mut columns = Self::default();
        let mut places = HashMap::new();
        for fate in fates {
            let clients = &mut columns.clients;
            let place = *places.entry(fate.client).or_insert_with(|| {
                clients.push(address(fate.client));
                u32::try_from(clients.len() - 1).unwrap_or(u32::MAX)
            });
            columns.time_ns.push(fate.at.wall_ns);
            columns.left_ns.push(fate.left_ns.unwrap_or(-1));
            columns.client.push(place);
            columns.number.push(fate.number);
            columns.size.push(u32::try_from(fate.size).unwrap_or(u32::MAX));
            columns.uplink.push(fate.uplink.0);
            columns.downlink.push(fate.downlink.0);
            columns.replies.push(fate.replies);
            columns.corrupted.push(fate.corrupted);
        }
        columns
    }

    pub(super) fn into_python(self, py: Python<'_>) -> FateColumns {
        FateColumns {
            time_ns: self.time_ns.into_pyarray(py).unbind(),
            left_ns: self.left_ns.into_pyarray(py).unbind(),
            client: self.client.into_pyarray(py).unbind(),
            number: self.number.into_pyarray(py).unbind(),
            size: self.size.into_pyarray(py).unbind(),
            uplink: self.uplink.into_pyarray(py).unbind(),
            downlink: self.downlink.into_pyarray(py).unbind(),
            replies: self.replies.into_pyarray(py).unbind(),
            corrupted: self.corrupted.into_pyarray(py).unbind(),
            clients: self.clients,
        }
    }
}

#[pymethods]
impl FateColumns {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.time_ns.bind(py).as_any().len()
    }
}
