//! `EchoServer`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::driver;
use crate::echo::{self, Echo, Limiter, Transform};
use crate::impair;
use crate::net::Endpoint;
use crate::python::args::{Int, Keep, LocalHost, LocalPort, Seed, Word, Words};
use crate::python::fates::{Columns, Fate, Rows};
use crate::python::handle::{Handle, running_object};
use crate::python::link::{DelayArg, Link, LossArg};
use crate::python::options::{Given, given, options};
use crate::python::value::{Address, value};
use crate::wire::MAX_DATAGRAM;
use crate::{Error, Result, seconds};

value! {
    /// Counts of packets: received = replied + dropped + send_failed + `truth.pending`.
    EchoCounters in "udpulse.reports" {
        *,
        /// Packets that came in.
        received: u64 = 0,
        /// Packets answered, each once however many replies it got.
        replied: u64 = 0,
        /// Packets not answered on purpose; `truth` says why.
        dropped: u64 = 0,
        /// Packets whose answer this host could not send.
        send_failed: u64 = 0,
    }
}

value! {
    /// Counts of what happened to packets on one link.
    LinkCounters in "udpulse.reports" {
        *,
        /// Packets lost.
        lost: u64 = 0,
        /// Packets that came twice.
        duplicated: u64 = 0,
        /// Packets of which a bit was flipped.
        corrupted: u64 = 0,
        /// Packets held back for others to overtake.
        held: u64 = 0,
        /// Packets that found the queue of the rate limit full.
        queue_full: u64 = 0,
    }
}

value! {
    /// What an EchoServer did, beyond its EchoCounters.
    EchoTruth in "udpulse.reports" {
        *,
        /// What happened on the uplink.
        uplink: LinkCounters = None or echo::LinkCounters::default().into(),
        /// What happened on the downlink.
        downlink: LinkCounters = None or echo::LinkCounters::default().into(),
        /// Replies sent, copies included.
        replies: u64 = 0,
        /// Packets that are neither answered nor dropped yet: their replies are delayed.
        pending: u64 = 0,
        /// Replies that are delayed, copies included.
        delayed: u64 = 0,
        /// Packets dropped because an answer could have started a loop.
        unanswerable: u64 = 0,
        /// Packets dropped because their source sent more than max_rate.
        limited: u64 = 0,
        /// Copies dropped because the delay line was full (64 MiB, shared equally by the threads).
        delay_line_full: u64 = 0,
        /// Packets of clients beyond the first 16,384, which share one stream of random choices.
        crowded: u64 = 0,
        /// Datagrams that this host dropped unread, if the platform reports them.
        receive_drops: u64 = 0,
    }
}

impl From<echo::LinkCounters> for LinkCounters {
    fn from(counters: echo::LinkCounters) -> Self {
        let [lost, duplicated, corrupted, held, queue_full] = counters.flags;
        Self { lost, duplicated, corrupted, held, queue_full }
    }
}

macro_rules! echo_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the address to bind; "" is all interfaces (IPv4), "::" is all (IPv6). On Linux a reply
        /// leaves from the address that was asked.
        host: LocalHost = "127.0.0.1",
        /// 0 to 65535; 0 is any free port, see `address`.
        port: LocalPort = 12000,
        *,
        /// the loss on the uplink: a probability from 0 to 1, "lab" (the lab's rule, a draw from 0 to 10
        /// that is less than 4: 36.36 %), a GilbertElliott or a LossPattern. Short for
        /// uplink=Link(loss=...).
        loss: LossArg = 0.0,
        /// the delay on the uplink: seconds, a Uniform, Normal, Exponential or Pareto. Short for
        /// uplink=Link(delay=...).
        delay: DelayArg = 0.0,
        /// the Link from the clients to the server.
        uplink: Option<Link> = None,
        /// the Link back.
        downlink: Option<Link> = None,
        /// repeats all random choices (xoshiro256++); drawn at random if None. A client's choices are
        /// derived from the seed, its IP address and its number among the ports of that address in
        /// the order of their first packets; the packets of other clients change nothing.
        seed: Seed = None,
        /// "echo" answers with the request (RFC 862), "upper" with its ASCII letters in upper case, as
        /// the lab does.
        transform: Word<Transform> = "echo",
        /// a longer packet is cut to this many bytes.
        max_size: Int<usize, 0, { MAX_DATAGRAM as u64 }> = 65507,
        /// how many packets per second a source address may send on average, a second's worth at
        /// once; the rest is dropped.
        max_rate: Option<f64> = None,
        /// how many threads serve, each with a socket of its own; more than one only on Linux.
        threads: Int<usize, 1, 256> = 1,
        /// how many of the last fates to keep, or "all". `fates` and `columns` return them; iterating
        /// reads each once and removes none. With 0 there is nothing to iterate over.
        keep: Keep = 10000,
    } };
}

echo_options!(settings);

impl Settings {
    fn uplink(&self) -> Result<impair::Link> {
        let short = impair::Link {
            loss: self.loss.model()?,
            delay: self.delay.model()?,
            ..impair::Link::default()
        };
        let Some(link) = &self.uplink else { return Ok(short) };
        for (name, is_given) in [
            ("loss", short.loss != impair::Loss::Never),
            ("delay", short.delay != impair::Delay::None),
        ] {
            if is_given {
                return Err(Error::argument(name, "given beside it", "part of uplink"));
            }
        }
        link.model()
    }
}

impl Words for Transform {
    const WORDS: &'static [(&'static str, Self)] = &[("upper", Self::Upper), ("echo", Self::Echo)];
}

#[doc = echo_options!(signature EchoServer)]
/// A UDP server that answers each packet and misbehaves on purpose, repeatably, in both directions.
///
#[doc = echo_options!(docs)]
/// The two links are in series: a packet enters the downlink when it leaves the uplink, and a packet
/// held on one holds up nothing on the other. All random choices are made on arrival, in the order of
/// arrival, and do not depend on time. No answer goes to source ports with which it could loop (0, 7,
/// 13, 17, 19, 37) or to a server of this process that answers.
/// On Linux answers leave with a TTL of 200, and one receive in 64 checks the TTL: a packet with 169 to
/// 200 hops left counts as the answer of another process's server and gets none, which ends a loop.
/// Iterating yields each packet's Fate once it is complete: when its last reply has left.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct EchoServer {
    settings: Settings,
    endpoint: Endpoint,
    config: echo::Config,
    handle: Handle<Echo>,
}

echo_options!(class EchoServer);
running_object!(EchoServer: Fate);

impl EchoServer {
    fn make(settings: Settings) -> PyResult<Self> {
        let config = echo::Config {
            uplink: settings.uplink()?,
            downlink: settings.downlink.as_ref().map(Link::model).transpose()?.unwrap_or_default(),
            seed: Some(settings.seed.0),
            transform: settings.transform.0,
            max_size: settings.max_size.0,
            limiter: settings.max_rate.map(Limiter::new).transpose()?,
            keep: settings.keep.rows().unwrap_or(usize::MAX),
            ..echo::Config::default()
        };
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        Ok(Self { settings, endpoint, config, handle: Handle::new("EchoServer") })
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let threads = self.settings.threads.0;
        self.handle.launch(py, self.endpoints(), |addresses| {
            driver::echo::start(addresses[0], threads, self.config.clone())
        })
    }
}

#[pymethods]
impl EchoServer {
    /// Counts of packets since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> EchoCounters {
        let counters = self.handle.look(py, |echo| echo.counters());
        let echo::Counters { received, replied, dropped, send_failed } = counters;
        EchoCounters { received, replied, dropped, send_failed }
    }

    /// What happened to packets since the last start, by link.
    #[getter]
    fn truth(&self, py: Python<'_>) -> EchoTruth {
        let truth = self.handle.look(py, |echo| echo.truth());
        let echo::Truth { replies, pending, unanswerable, limited, delay_line_full, .. } = truth;
        let echo::Truth { uplink, downlink, delayed, crowded, receive_drops, .. } = truth;
        EchoTruth {
            uplink: uplink.into(),
            downlink: downlink.into(),
            replies,
            pending,
            delayed,
            unanswerable,
            limited,
            delay_line_full,
            crowded,
            receive_drops,
        }
    }

    /// How many fates fell off those that are kept.
    #[getter]
    fn rows_dropped(&self, py: Python<'_>) -> u64 {
        self.handle.look(py, |echo| crate::Machine::events(echo).rows_dropped())
    }

    /// The fates that are kept, oldest first.
    fn fates(&self, py: Python<'_>) -> Vec<Fate> {
        self.handle.look(py, |echo| echo.fates().map(Fate::from).collect())
    }

    /// The same as a dict of read-only NumPy arrays of equal length.
    ///
    /// table: "fates" has a row per packet:
    ///     client: uint32, an index into `clients`.
    ///     number: uint64, its number among the packets of its client, from 1; 0 if it was refused
    ///         unheard.
    ///     size: uint32, the length of its payload in bytes.
    ///     received_at_ns: int64, when it came, in nanoseconds since `started_at`.
    ///     sent_at_ns: float64, when its first reply was sent; nan if none was.
    ///     uplink, downlink: uint8, what happened in each direction: the sum of 1 lost, 2 duplicated,
    ///         4 corrupted, 8 held, 16 queue_full.
    ///     replies: uint8, how many were sent.
    ///     corrupted: uint8, how many of them differ from an unimpaired answer.
    ///     "copies" has a row per reply, in the order in which they were sent:
    ///     fate: uint32, the row of its packet in "fates".
    ///     number: uint64, its number among all replies.
    ///     sent_at_ns: int64, when it was sent, in nanoseconds since `started_at`.
    ///     uplink_bit, downlink_bit: float64, the bit of the payload that was flipped in each
    ///         direction, counted from the lowest of the first byte; nan if none was.
    ///     corrupted: bool, whether it differs from an unimpaired answer.
    ///
    /// The rows of a running server change: stop it before reading what belongs together.
    #[pyo3(signature = (table = given!("fates")), text_signature = "(self, table='fates')")]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn columns<'py>(&self, py: Python<'py>, table: Given<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Word(rows) = table.read::<Word<Rows>>(py, "table")?;
        let (columns, started_ns) = self.handle.look_since(py, |echo| Columns::of(echo.fates()));
        columns.table(py, rows, started_ns)
    }

    /// The (host, port) of each client that `columns` counts, in the order of their first rows.
    #[getter]
    fn clients(&self, py: Python<'_>) -> Vec<Address> {
        self.handle.look(py, |echo| Columns::of(echo.fates()).clients())
    }

    /// When it was last started, in seconds since the Unix epoch; None before the first start.
    #[getter]
    fn started_at(&self) -> Option<f64> {
        self.handle.started_ns().map(seconds)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let EchoCounters { received, replied, dropped, .. } = self.counters(py);
        let (what, changed) = (self.handle.describe(Some(&self.endpoint)), self.changed(py)?);
        Ok(format!("{what}{changed}, received={received}, replied={replied}, dropped={dropped})"))
    }
}
