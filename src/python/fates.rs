//! Ground truth: `Fate`, `Reply` and their columns.

use std::collections::HashMap;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::echo::{self, Outcome};
use crate::impair::Flags;
use crate::python::args::Word;
use crate::python::value::{Address, address, value};
use crate::seconds;

value! {
    /// The fate of a packet at an EchoServer.
    ///
    /// uplink and downlink name its impairments on the way in and on the way back, any of "lost",
    /// "duplicated", "corrupted", "held" (back, so that others overtake it) and "queue_full".
    Fate in "udpulse" {
        *,
        /// The receive time, in seconds since the Unix epoch, by the kernel's timestamp if there is
        /// one.
        received_at: f64,
        /// The (host, port) of its sender.
        client: Address,
        /// Its number among the packets of its client, from 1; 0 if it was dropped as
        /// "unanswerable" or "limited".
        number: u64,
        /// "replied", or the reason for its drop: "lost", "unanswerable" (an answer could have
        /// started a loop), "limited" (max_rate) or "delay_line_full" (the delay line had no room).
        outcome: Word<Outcome>,
        /// Whether it was dropped: the outcome is not "replied".
        dropped: bool = None or outcome.0 != Outcome::Replied,
        /// The unimpaired answer, cut to 1024 bytes; also if no reply was sent.
        answer: Vec<u8>,
        /// The length of its payload as received, in bytes.
        size: usize = None or answer.len(),
        /// Its impairments on the way in.
        uplink: Flags = (),
        /// Its impairments on the way back, of any of its copies.
        downlink: Flags = (),
        /// The replies in order of sending.
        copies: Vec<Reply> = (),
        /// The number of replies sent.
        replies: usize = None or copies.len(),
        /// The number of replies that differ from the unimpaired answer.
        corrupted: usize = None or copies.iter().filter(|reply| reply.corrupted).count(),
        /// The send time of the first reply, in seconds since the Unix epoch; None without replies.
        sent_at: Option<f64> = None or copies.first().map(|reply| reply.sent_at),
    }
}

value! {
    /// A reply that an EchoServer sent.
    Reply in "udpulse.reports" {
        *,
        /// Its number among all replies of the server, from 1, in order of sending.
        number: u64,
        /// The send time, in seconds since the Unix epoch.
        sent_at: f64,
        /// The bit of the payload flipped on the way in, counted from the lowest bit of the first
        /// byte; None if none was.
        uplink_bit: Option<u32> = None,
        /// The bit flipped on the way back.
        downlink_bit: Option<u32> = None,
        /// Whether it differs from the unimpaired answer.
        corrupted: bool = None or uplink_bit.or(downlink_bit).is_some(),
    }
}

impl From<&echo::Reply> for Reply {
    fn from(reply: &echo::Reply) -> Self {
        let echo::Reply { number, sent_ns, damage } = *reply;
        let [uplink_bit, downlink_bit] = damage.flipped;
        let corrupted = damage.corrupted;
        Self { number, sent_at: seconds(sent_ns), uplink_bit, downlink_bit, corrupted }
    }
}

impl From<echo::Fate> for Fate {
    fn from(fate: echo::Fate) -> Self {
        Self::from(&fate)
    }
}

impl From<&echo::Fate> for Fate {
    fn from(fate: &echo::Fate) -> Self {
        let copies: Vec<_> = fate.replies().map(Reply::from).collect();
        Self {
            received_at: seconds(fate.at.wall_ns),
            client: address(fate.client),
            number: fate.number,
            outcome: Word(fate.outcome),
            dropped: fate.dropped(),
            answer: fate.answer.to_vec(),
            size: fate.size,
            uplink: fate.uplink,
            downlink: fate.downlink,
            replies: copies.len(),
            corrupted: copies.iter().filter(|reply| reply.corrupted).count(),
            sent_at: copies.first().map(|reply| reply.sent_at),
            copies,
        }
    }
}

/// The fates of many packets as NumPy arrays of one length, in the order of the log.
///
/// received_ns: int64, the receive time in nanoseconds since the Unix epoch.
/// sent_ns: int64, the send time of the first reply in nanoseconds since the Unix epoch; -1 without
///     replies.
/// client: uint32, the sender as an index into `clients`.
/// number: uint64, its number among the packets of its client, from 1; 0 if it was dropped as
///     "unanswerable" or "limited".
/// size: uint32, the length of its payload in bytes.
/// uplink, downlink: uint8, its impairments, a sum of 1 lost, 2 duplicated, 4 corrupted, 8 held and
///     16 queue_full.
/// replies: uint8, the number of replies sent.
/// corrupted: uint8, the number of replies that differ from the unimpaired answer.
/// copies: the replies, as ReplyColumns.
/// clients: the list of (host, port).
#[pyclass(frozen, get_all, module = "udpulse")]
pub(super) struct FateColumns {
    received_ns: Py<PyArray1<i64>>,
    sent_ns: Py<PyArray1<i64>>,
    client: Py<PyArray1<u32>>,
    number: Py<PyArray1<u64>>,
    size: Py<PyArray1<u32>>,
    uplink: Py<PyArray1<u8>>,
    downlink: Py<PyArray1<u8>>,
    replies: Py<PyArray1<u8>>,
    corrupted: Py<PyArray1<u8>>,
    copies: Py<ReplyColumns>,
    clients: Vec<Address>,
}

/// Replies as NumPy arrays of one length, in order of sending.
///
/// fate: uint32, the answered packet as an index into the FateColumns.
/// sent_ns: int64, the send time in nanoseconds since the Unix epoch.
/// uplink_bit, downlink_bit: int32, the bit of the payload flipped on each link, counted from the
///     lowest bit of the first byte; -1 if none was.
/// corrupted: bool, whether it differs from the unimpaired answer.
#[pyclass(frozen, get_all, module = "udpulse")]
pub(super) struct ReplyColumns {
    fate: Py<PyArray1<u32>>,
    sent_ns: Py<PyArray1<i64>>,
    uplink_bit: Py<PyArray1<i32>>,
    downlink_bit: Py<PyArray1<i32>>,
    corrupted: Py<PyArray1<bool>>,
}

/// The columns before NumPy takes over their memory without a copy.
#[derive(Default)]
pub(super) struct Columns {
    received_ns: Vec<i64>,
    sent_ns: Vec<i64>,
    client: Vec<u32>,
    number: Vec<u64>,
    size: Vec<u32>,
    uplink: Vec<u8>,
    downlink: Vec<u8>,
    replies: Vec<u8>,
    corrupted: Vec<u8>,
    copies: Vec<(u32, echo::Reply)>,
    clients: Vec<Address>,
}

impl Columns {
    pub(super) fn of<'a>(fates: impl Iterator<Item = &'a echo::Fate>) -> Self {
        let mut columns = Self::default();
        let mut places = HashMap::new();
        for (index, fate) in (0..).zip(fates) {
            let clients = &mut columns.clients;
            let place = *places.entry(fate.client).or_insert_with(|| {
                clients.push(address(fate.client));
                u32::try_from(clients.len() - 1).unwrap_or(u32::MAX)
            });
            columns.received_ns.push(fate.at.wall_ns);
            columns.sent_ns.push(fate.first.map_or(-1, |reply| reply.sent_ns));
            columns.client.push(place);
            columns.number.push(fate.number);
            columns.size.push(u32::try_from(fate.size).unwrap_or(u32::MAX));
            columns.uplink.push(fate.uplink.0);
            columns.downlink.push(fate.downlink.0);
            let (mut replies, mut corrupted) = (0, 0);
            for reply in fate.replies() {
                replies += 1;
                corrupted += u8::from(reply.damage.corrupted);
                columns.copies.push((index, *reply));
            }
            columns.replies.push(replies);
            columns.corrupted.push(corrupted);
        }
        columns.copies.sort_unstable_by_key(|(_, reply)| reply.number);
        columns
    }

    pub(super) fn into_python(self, py: Python<'_>) -> PyResult<FateColumns> {
        Ok(FateColumns {
            received_ns: self.received_ns.into_pyarray(py).unbind(),
            sent_ns: self.sent_ns.into_pyarray(py).unbind(),
            client: self.client.into_pyarray(py).unbind(),
            number: self.number.into_pyarray(py).unbind(),
            size: self.size.into_pyarray(py).unbind(),
            uplink: self.uplink.into_pyarray(py).unbind(),
            downlink: self.downlink.into_pyarray(py).unbind(),
            replies: self.replies.into_pyarray(py).unbind(),
            corrupted: self.corrupted.into_pyarray(py).unbind(),
            copies: Py::new(py, ReplyColumns::of(&self.copies, py))?,
            clients: self.clients,
        })
    }
}

impl ReplyColumns {
    fn of(copies: &[(u32, echo::Reply)], py: Python<'_>) -> Self {
        let bit = |way: usize| {
            let flipped = copies.iter().map(|(_, reply)| reply.damage.flipped[way]);
            let bits = flipped.map(|bit| bit.and_then(|bit| i32::try_from(bit).ok()).unwrap_or(-1));
            PyArray1::from_iter(py, bits).unbind()
        };
        let sent_ns = copies.iter().map(|(_, reply)| reply.sent_ns);
        let corrupted = copies.iter().map(|(_, reply)| reply.damage.corrupted);
        Self {
            fate: PyArray1::from_iter(py, copies.iter().map(|(fate, _)| *fate)).unbind(),
            sent_ns: PyArray1::from_iter(py, sent_ns).unbind(),
            uplink_bit: bit(0),
            downlink_bit: bit(1),
            corrupted: PyArray1::from_iter(py, corrupted).unbind(),
        }
    }
}

#[pymethods]
impl ReplyColumns {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.sent_ns.bind(py).as_any().len()
    }
}

#[pymethods]
impl FateColumns {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.received_ns.bind(py).as_any().len()
    }
}
