//! `EchoServer`.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::driver;
use crate::echo::{self, Echo, Transform};
use crate::impair;
use crate::net::{Endpoint, now};
use crate::path::{self, OutageMode};
use crate::python::args::{Count, Int, Keep, LocalHost, LocalPort, Seed, Word, Words};
use crate::python::capture::{self, File, Snaplen, captured};
use crate::python::fates::{Columns, Rows};
use crate::python::handle::{Handle, running_object};
use crate::python::keys::{Keys, policy};
use crate::python::link::{DelayArg, LossArg};
use crate::python::options::options;
use crate::python::paths::{Live, changeable, check_outage, fated};
use crate::python::table::{Table, arrow_stream};
use crate::python::timeline::{PathEvent, Step, Timeline};
use crate::python::value::value;
use crate::wire::{MAX_DATAGRAM, Unauthenticated};
use crate::{Error, Limiter, Result, seconds};

value! {
    /// Packet counts: received = replied + dropped + send_failed + the pending of `truth`.
    EchoCounters in "udpulse.reports" {
        *,
        /// Packets received.
        received: u64 = 0,
        /// Packets answered; a packet with several replies counts once.
        replied: u64 = 0,
        /// Packets not answered on purpose; `truth` has the reasons.
        dropped: u64 = 0,
        /// Packets whose answer this host could not send.
        send_failed: u64 = 0,
    }
}

value! {
    /// Packet counts by impairment on one link.
    LinkCounters in "udpulse.reports" {
        *,
        /// Packets lost.
        lost: u64 = 0,
        /// Packets duplicated.
        duplicated: u64 = 0,
        /// Packets with a flipped bit.
        corrupted: u64 = 0,
        /// Packets held back so that others overtake them.
        held: u64 = 0,
        /// Packets dropped because the rate limit's queue had no room.
        queue_full: u64 = 0,
        /// Packets dropped because they entered during an outage.
        outage: u64 = 0,
        /// Packets dropped because they were longer than the MTU.
        too_big: u64 = 0,
    }
}

value! {
    /// Counts of an EchoServer beyond EchoCounters: impairments, replies and drops.
    EchoTruth in "udpulse.reports" {
        *,
        /// Impairments on the way in.
        uplink: LinkCounters = None or path::LinkCounters::default().into(),
        /// Impairments on the way back.
        downlink: LinkCounters = None or path::LinkCounters::default().into(),
        /// Replies sent, copies included.
        replies: u64 = 0,
        /// Packets that are neither answered nor dropped yet: their replies are delayed.
        pending: u64 = 0,
        /// Replies that are delayed, copies included.
        delayed: u64 = 0,
        /// Packets dropped because an answer could have started a loop.
        unanswerable: u64 = 0,
        /// Packets dropped because their source exceeded max_rate.
        limited: u64 = 0,
        /// Packets dropped because they had no tag; 0 without keys.
        unauthenticated: u64 = 0,
        /// Packets dropped because their tag was of an unknown key; 0 without keys.
        unknown_key: u64 = 0,
        /// Packets dropped because their tag was wrong; 0 without keys.
        bad_tag: u64 = 0,
        /// Packets with a right tag dropped because they came before, or are too old to tell; 0
        /// without keys.
        replayed: u64 = 0,
        /// Copies dropped because the delay line was full: 64 MiB, divided equally among threads.
        delay_line_full: u64 = 0,
        /// Packets of clients beyond the first 16,384, which share one stream of random choices;
        /// consecutive packets of one such client count once.
        crowded: u64 = 0,
        /// Datagrams that this host dropped before they were read; 0 if the platform does not
        /// report them.
        receive_drops: u64 = 0,
    }
}

impl From<path::LinkCounters> for LinkCounters {
    fn from(counters: path::LinkCounters) -> Self {
        let [lost, duplicated, corrupted, held, queue_full, outage, too_big] = counters.flags;
        Self { lost, duplicated, corrupted, held, queue_full, outage, too_big }
    }
}

macro_rules! echo_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6). On Linux a reply
        /// leaves from the address to which the request was sent.
        host: LocalHost = "127.0.0.1",
        /// the port, 0 to 65535; 0 for any free one, see `address`.
        port: LocalPort = 12000,
        *,
        /// the loss on the uplink: a probability from 0 to 1, "lab" (lost if a random integer from
        /// 0 to 10 is less than 4, 36.36 %), a GilbertElliott or a LossPattern. Short for
        /// uplink=Link(loss=...).
        loss: LossArg = 0.0,
        /// the delay on the uplink: seconds from 0 to 3600, or a Uniform, Normal, Exponential or
        /// Pareto. Short for uplink=Link(delay=...).
        delay: DelayArg = 0.0,
        /// the Link from the clients to the server; None for an unimpaired one. It can be set while
        /// the server runs.
        uplink: Live = None,
        /// the Link from the server to the clients; None for an unimpaired one. It can be set, too.
        downlink: Live = None,
        /// the seed of all random choices (xoshiro256++); drawn at random if None. A client's
        /// choices depend on the seed, its IP address and the rank of its port at that address, in
        /// order of first packets; they do not depend on packets of other clients.
        seed: Seed = None,
        /// the answer: "echo" for the request itself (RFC 862), "upper" for the request with ASCII
        /// letters in upper case (the lab).
        transform: Word<Transform> = "echo",
        /// the size to which longer packets are cut, 0 to 65507 bytes.
        max_size: Int<usize, 0, { MAX_DATAGRAM as u64 }> = 65507,
        /// the average number of packets per second from one source address, 3e-8 to 1e9, in bursts
        /// of at most one second's worth; the server drops the rest. None for no limit.
        max_rate: Option<f64> = None,
        /// the Keys, or the path of a file of them, for probes with a tag; None for no
        /// authentication. Keys that are bound to a client are for heartbeats and not used. The
        /// answer has a tag with the key of the probe.
        keys: Option<Keys> = None,
        /// the treatment of packets without a tag if there are keys: "refuse", or "accept" to answer
        /// them, too.
        unauthenticated: Word<Unauthenticated> = "refuse",
        /// the number of threads, 1 to 256, each with its own socket; more than one only on Linux.
        threads: Int<usize, 1, 256> = 1,
        /// the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        /// as JSON has them. `steps` returns those that were taken.
        timeline: Timeline = (),
        /// the number of last fates to keep, or "all". `fates` and `columns` return them; iterating
        /// reads each once and removes none. With 0 there is nothing to iterate over.
        keep: Keep = 10000,
        /// the path of a pcapng file for the packets at each point of the path, each with its
        /// verdict as a comment; None for no capture. A start replaces the file.
        capture: Option<File> = None,
        /// the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        /// for all.
        capture_snaplen: Option<Snaplen> = None,
        /// the most bytes of the file, 1 or more. The packets that do not fit are counted as
        /// `capture_dropped`.
        capture_limit: Count = 1073741824,
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
        let Some(link) = self.uplink.get() else { return Ok(short) };
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
/// A UDP echo server that impairs packets on purpose, repeatably, in both directions.
///
#[doc = echo_options!(docs)]
/// The two links are in series: a packet enters the downlink when it leaves the uplink, and a
/// packet held on one link delays nothing on the other. All random choices are made in order of
/// arrival and do not depend on time.
///
/// With keys the server checks a packet when it arrives, before the uplink: bits that a link flips
/// show as corrupt replies. A replayed probe is answered as the copy that it is.
///
/// The server never answers source ports that could cause a loop (0, 7, 13, 17, 19, 37) or another
/// answering server of this process. On Linux answers leave with a TTL of 200, and one receive in
/// 64 checks the TTL: a packet with 169 to 200 hops left is assumed to be the answer of another
/// process's server and gets no answer, which ends a loop.
///
/// Iterating yields each packet's Fate when its last reply has left.
///
/// Raises ValueError if an argument is out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct EchoServer {
    settings: Settings,
    endpoint: Endpoint,
    config: echo::Config,
    pub(super) handle: Handle<Echo>,
}

echo_options!(class EchoServer);
running_object!(EchoServer: PathEvent);
changeable!(EchoServer);
captured!(EchoServer);
fated! { EchoServer: Rows = "fates", "(self, table='fates')"
    /// Returns the kept fates as a dict of read-only NumPy arrays of shape (n,).
    ///
    /// table: "fates" for a row per packet, oldest first:
    ///     client: uint32, its sender, an index into `clients`.
    ///     number: uint64, its number among the packets of its client, from 1; 0 if it was dropped
    ///         before it entered a link.
    ///     size: uint32, the length of its payload as received, in bytes.
    ///     received_at_ns: int64, its receive time, in nanoseconds since `started_at`.
    ///     sent_at_ns: float64, the send time of its first reply, in nanoseconds since
    ///         `started_at`; NaN without replies.
    ///     outcome: object, "replied", "lost", "unanswerable", "limited", "unauthenticated",
    ///         "unknown_key", "bad_tag", "replayed" or "delay_line_full".
    ///     uplink, downlink: uint8, its impairments in each direction, a sum of 1 lost,
    ///         2 duplicated, 4 corrupted, 8 held, 16 queue_full, 32 outage and 64 too_big.
    ///     uplink_rule, downlink_rule: float64, the index of the Rule that acted on it in each
    ///         direction; NaN if none did.
    ///     replies: uint8, the number of replies sent.
    ///     corrupted: uint8, the number of replies that differ from the unimpaired answer.
    ///
    /// "copies" for a row per reply, in order of sending:
    ///     fate: uint32, the row of its packet in "fates".
    ///     number: uint64, its number among all replies of the server, from 1.
    ///     sent_at_ns: int64, its send time, in nanoseconds since `started_at`.
    ///     uplink_bit, downlink_bit: float64, the bit of the payload flipped in each direction,
    ///         counted from the lowest bit of the first byte; NaN if none was.
    ///     corrupted: bool, whether it differs from the unimpaired answer.
    ///
    /// The rows of a running server change between calls: stop it before you relate the tables or
    /// `clients` to each other.
    ///
    /// Raises ValueError for another table.
}
arrow_stream!(EchoServer);

impl EchoServer {
    fn make(settings: Settings) -> PyResult<Self> {
        let config = echo::Config {
            uplink: settings.uplink()?,
            downlink: settings.downlink.model()?,
            seed: Some(settings.seed.0),
            transform: settings.transform.0,
            max_size: settings.max_size.0,
            limiter: settings.max_rate.map(Limiter::new).transpose()?,
            keys: match &settings.keys {
                Some(keys) => {
                    keys.masters()?;
                    Some(Arc::clone(&keys.0))
                }
                None => None,
            },
            unauthenticated: policy(settings.keys.as_ref(), settings.unauthenticated)?,
            keep: settings.keep.rows().unwrap_or(usize::MAX),
            ..echo::Config::default()
        };
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        let server = Self { settings, endpoint, config, handle: Handle::new("EchoServer") };
        Python::attach(|py| server.settings.timeline.check(py, |step| server.check_step(step)))?;
        Ok(server)
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let Settings { threads, capture, capture_snaplen, capture_limit, .. } = &self.settings;
        let capture = capture::config(capture.as_ref(), *capture_snaplen, *capture_limit);
        let mut config = self.config.clone();
        if let Some(link) = self.settings.uplink.get() {
            config.uplink = link.model()?;
        }
        config.downlink = self.settings.downlink.model()?;
        config.timeline = self.settings.timeline.model(0, self.handle.is_recorded())?;
        self.handle.launch(py, self.endpoints(), |addresses| {
            config.timeline.start_ns = now().mono_ns;
            driver::echo::start(addresses[0], threads.0, config, capture.as_ref())
        })
    }

    /// Refuses an outage that this server cannot have.
    fn check_outage(&self, mode: OutageMode, ways: [bool; 2]) -> Result<()> {
        check_outage(mode, ways, self.settings.threads.0)
    }

    /// Refuses a step that it cannot take.
    fn check_step(&self, step: &Step) -> Result<()> {
        step.check_at_server(self.settings.threads.0)
    }

    fn rows(&self, py: Python<'_>) -> Table {
        self.rows_of(py, Rows::Fates)
    }

    fn rows_of(&self, py: Python<'_>, rows: Rows) -> Table {
        let (columns, started_ns) = self.handle.look_since(py, |echo| Columns::of(echo.fates()));
        columns.table(rows, started_ns)
    }
}

#[pymethods]
impl EchoServer {
    /// Packet counts since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> EchoCounters {
        let counters = self.handle.look(py, |echo| echo.counters());
        let path::Counters { received, replied, dropped, send_failed } = counters;
        EchoCounters { received, replied, dropped, send_failed }
    }

    /// Counts of impairments, replies and drops since the last start.
    #[getter]
    fn truth(&self, py: Python<'_>) -> EchoTruth {
        let truth = self.handle.look(py, |echo| echo.truth());
        let echo::Truth { replies, pending, unanswerable, limited, delay_line_full, .. } = truth;
        let echo::Truth { uplink, downlink, delayed, crowded, receive_drops, .. } = truth;
        let echo::Truth { unauthenticated, unknown_key, bad_tag, replayed, .. } = truth;
        EchoTruth {
            uplink: uplink.into(),
            downlink: downlink.into(),
            replies,
            pending,
            delayed,
            unanswerable,
            limited,
            unauthenticated,
            unknown_key,
            bad_tag,
            replayed,
            delay_line_full,
            crowded,
            receive_drops,
        }
    }

    /// Returns a picture of the kept fates, a matplotlib Figure: a lane for each thing that happened to
    /// packets, and the time that they spent in the server. `udpulse.plots.save` writes it.
    ///
    /// Raises ImportError without matplotlib, which the extra `plot` installs.
    fn plot<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("udpulse.plots")?.call_method1("fates", (slf,))
    }

    /// The time of the last start, in seconds since the Unix epoch; None before the first.
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
