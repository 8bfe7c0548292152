//! `StampReflector`.

use pyo3::exceptions::PyPermissionError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::driver;
use crate::net::{Endpoint, now};
use crate::path::{self, OutageMode};
use crate::python::args::{
    Argument, Int, Keep, LocalHost, LocalPort, Seconds, Seed, Word, Words, items, wrong_type,
    wrong_value,
};
use crate::python::echo_server::LinkCounters;
use crate::python::fates::{Columns, Rows};
use crate::python::handle::{Handle, running_object};
use crate::python::keys::{Keys, policy};
use crate::python::options::options;
use crate::python::paths::{Live, PerClient, changeable, check_outage, fated};
use crate::python::table::{Table, arrow_stream, times, words};
use crate::python::timeline::{PathEvent, Step, Timeline};
use crate::python::value::{Address, address, value};
use crate::stamp::{self, Numbers, Outcome, Reflector, ReflectorConfig};
use crate::wire::stamp::Format;
use crate::wire::{Key, Unauthenticated};
use crate::{Error, Limiter, Prefix, Result, seconds};

/// Maximum number of keys that are tried for each packet.
const MAX_TRIED: usize = 2;

value! {
    /// Packet counts of a StampReflector: received = replied + dropped + send_failed.
    StampReflectorCounters in "udpulse.reports" {
        *,
        /// Packets received: with links, those that left the uplink, copies included.
        received: u64 = 0,
        /// Packets answered.
        replied: u64 = 0,
        /// Packets not answered on purpose: the sum of the nine reasons below.
        dropped: u64 = 0,
        /// Packets whose reply this host could not send.
        send_failed: u64 = 0,
        /// Dropped: from another server of this process or a service that answers anything, or to a
        /// broadcast or multicast address.
        unanswerable: u64 = 0,
        /// Dropped: replies themselves, which two reflectors would send to and fro without end.
        looped: u64 = 0,
        /// Dropped: from a source outside `allow`.
        not_allowed: u64 = 0,
        /// Dropped: from a source above `max_rate`.
        limited: u64 = 0,
        /// Dropped: shorter than a reply, which must not be longer than its request.
        short: u64 = 0,
        /// Dropped: not authenticated; 0 without keys.
        unauthenticated: u64 = 0,
        /// Dropped: authenticated, but with a tag that no key gives; 0 without keys.
        bad_tag: u64 = 0,
        /// Dropped: authenticated, but it came before, or is too old to tell; 0 without keys.
        replayed: u64 = 0,
        /// Dropped: too many replies waited to be sent.
        queue_full: u64 = 0,
        /// Packets answered without a session because there were `max_sessions` already.
        stateless_answers: u64 = 0,
        /// Datagrams that this host dropped before they were read; 0 if the platform does not
        /// report them.
        receive_drops: u64 = 0,
    }
}

impl From<stamp::Counters> for StampReflectorCounters {
    fn from(counters: stamp::Counters) -> Self {
        let stamp::Counters { send_failed, stateless, receive_drops, .. } = counters;
        let [
            replied,
            unanswerable,
            looped,
            not_allowed,
            limited,
            short,
            unauthenticated,
            bad_tag,
            replayed,
            queue_full,
        ] = counters.outcomes;
        let received = counters.received();
        Self {
            received,
            replied,
            dropped: received - replied - send_failed,
            send_failed,
            unanswerable,
            looped,
            not_allowed,
            limited,
            short,
            unauthenticated,
            bad_tag,
            replayed,
            queue_full,
            stateless_answers: stateless,
            receive_drops,
        }
    }
}

value! {
    /// Counts of a StampReflector's links.
    StampReflectorTruth in "udpulse.reports" {
        *,
        /// Impairments on the way in.
        uplink: LinkCounters = None or path::LinkCounters::default().into(),
        /// Impairments on the way back.
        downlink: LinkCounters = None or path::LinkCounters::default().into(),
        /// Packets and replies that are neither dropped nor past their link yet: they are delayed.
        pending: u64 = 0,
        /// The same, copies included.
        delayed: u64 = 0,
        /// Copies dropped because the delay line was full: 32 MiB each way, divided equally among
        /// threads.
        delay_line_full: u64 = 0,
        /// Packets of clients beyond the first 16,384, which share one stream of random choices;
        /// consecutive packets of one such client count once.
        crowded: u64 = 0,
    }
}

value! {
    /// What a StampReflector did with a packet.
    Reflected in "udpulse.reports" {
        *,
        /// T2, the receive time, in seconds since the Unix epoch, by the kernel's timestamp if there
        /// is one; with an uplink that delays packets, when it left that.
        received_at: f64,
        /// The (host, port) of its sender.
        client: Address,
        /// "replied", or the reason for its drop as in StampReflectorCounters: "unanswerable",
        /// "looped", "not_allowed", "limited", "short", "unauthenticated", "bad_tag", "replayed" or
        /// "queue_full".
        outcome: Word<Outcome>,
        /// The length of its payload, in bytes.
        size: usize,
        /// The session identifier that the sender chose (RFC 8972 section 3); 0 without one, None
        /// without a reply.
        ssid: Option<u16> = None,
        /// The sender's sequence number; None without a reply.
        seq: Option<u32> = None,
        /// The sequence number of the reply; None without one.
        reflector_seq: Option<u32> = None,
        /// Its TTL or hop limit on arrival; None if the platform does not report it.
        ttl: Option<Int<u8, 0, 255>> = None,
        /// Its type of service or traffic class on arrival: DSCP times 4 plus ECN; None if the
        /// platform does not report it.
        tos: Option<Int<u8, 0, 255>> = None,
        /// T3, the send time of the reply, in seconds since the Unix epoch; None without one. A
        /// downlink delays the reply after that.
        sent_at: Option<f64> = None,
    }
}

impl From<stamp::Reflected> for Reflected {
    fn from(reflected: stamp::Reflected) -> Self {
        let stamp::Reflected { at, client, outcome, size, ttl, tos, numbers, sent_ns } = reflected;
        Self {
            received_at: seconds(at.wall_ns),
            client: address(client),
            outcome: Word(outcome),
            size,
            ssid: numbers.map(|numbers| numbers.ssid),
            seq: numbers.map(|numbers| numbers.seq),
            reflector_seq: numbers.map(|numbers| numbers.reflector_seq),
            ttl: ttl.map(Int),
            tos: tos.map(Int),
            sent_at: sent_ns.map(seconds),
        }
    }
}

value! {
    /// A session of a stateful StampReflector: packets from one (host, port) to one address with one
    /// session identifier.
    StampSession in "udpulse.reports" {
        *,
        /// The (host, port) of its sender.
        client: Address,
        /// The session identifier that the sender chose (RFC 8972 section 3); 0 without one.
        ssid: u16 = 0,
        /// Packets received.
        received: u64 = 0,
        /// Replies sent; their sequence numbers count from 0.
        replied: u64 = 0,
        /// The time of the last packet, in seconds since the Unix epoch.
        last_received_at: f64,
    }
}

impl From<stamp::Session> for StampSession {
    fn from(session: stamp::Session) -> Self {
        let stamp::Session { client, ssid, received, replied, heard, .. } = session;
        let last_received_at = seconds(heard.wall_ns);
        Self { client: address(client), ssid, received, replied, last_received_at }
    }
}

/// An event of a `StampReflector`.
#[derive(IntoPyObject)]
pub(super) enum ReflectorEvent {
    Reflected(Reflected),
    Path(PathEvent),
}

impl From<path::Event<stamp::Reflected>> for ReflectorEvent {
    fn from(event: path::Event<stamp::Reflected>) -> Self {
        match event {
            path::Event::Record(reflected) => Self::Reflected(reflected.into()),
            path::Event::Fate(fate) => Self::Path(PathEvent::Fate(fate.into())),
            path::Event::Step(done) => Self::Path(PathEvent::Step((&done).into())),
            path::Event::Ended(ended) => Self::Path(PathEvent::Ended(ended.into())),
        }
    }
}

/// A table of a reflector.
#[derive(Clone, Copy, PartialEq)]
enum ReflectorRows {
    Reflected,
    Path(Rows),
}

impl Words for ReflectorRows {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("reflected", Self::Reflected),
        ("fates", Self::Path(Rows::Fates)),
        ("copies", Self::Path(Rows::Copies)),
    ];
}

impl Words for Outcome {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for Format {
    const WORDS: &'static [(&'static str, Self)] = &[("ntp", Self::Ntp), ("ptp", Self::Ptp)];
}

/// At most 1024 blocks of addresses.
struct Prefixes(Vec<Prefix>);

impl Argument for Prefixes {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "blocks of addresses such as '192.0.2.0/24'";
        if given.is_instance_of::<PyString>() {
            return Err(wrong_type(name, given, allowed));
        }
        let read = |item: &Bound<'_, PyAny>| {
            let text: String = item.extract().map_err(|_| wrong_type(name, item, allowed))?;
            text.parse().map_err(|()| wrong_value(name, item, allowed))
        };
        items(name, given, 1024, allowed, read).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.0.iter().map(Prefix::to_string))?.into_any())
    }
}

macro_rules! reflector_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the address to bind; "" for all interfaces (IPv4), "::" for all (IPv6). On Linux a reply
        /// leaves from the address to which the request was sent.
        host: LocalHost = "127.0.0.1",
        /// the port, 0 to 65535; 0 for any free one, see `address`. Ports below 1024 need a
        /// privilege on most systems.
        port: LocalPort = 862,
        *,
        /// False copies the numbers of requests to their replies (stateless), so that the direction
        /// of a loss does not show; otherwise the replies of each session have numbers of their own.
        stateful: bool = True,
        /// whether to answer requests of 14 to 40 bytes with 44 (RFC 8762 section 4.6). That is the
        /// only reply longer than its request: one with a forged source sends up to three times its
        /// bytes to a victim.
        twamp_light: bool = False,
        /// the sources that are answered, a sequence of addresses or blocks such as "192.0.2.0/24";
        /// empty for all.
        allow: Prefixes = (),
        /// the Keys, or the path of a file of them, for authenticated packets (RFC 8762 section 4.4);
        /// None for no authentication. A reply is signed with the key of its request. At most 2 may
        /// be bound to no client: STAMP has no key ids, so that each is tried in turn.
        keys: Option<Keys> = None,
        /// the treatment of unauthenticated packets if there are keys: "refuse", or "accept" to
        /// answer them, too, unauthenticated and in sessions of their own.
        unauthenticated: Word<Unauthenticated> = "refuse",
        /// the average number of packets per second from one source address, 3e-8 to 1e9, in bursts
        /// of at most one second's worth; the reflector drops the rest. None for no limit.
        max_rate: Option<f64> = None,
        /// the maximum number of sessions, 1 to 1048576; later senders are answered without
        /// sessions. A session ends after 300 seconds without a packet.
        max_sessions: Int<usize, 1, 1_048_576> = 16384,
        /// the format of timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts UTC here,
        /// not TAI.
        timestamp_format: Word<Format> = "ntp",
        /// whether to claim that this host's clock is synchronized to UTC; it is not checked.
        synchronized: bool = False,
        /// the error of this host's clock that replies claim, in seconds.
        clock_error: Seconds = 16.0,
        /// the number of threads, 1 to 256, each with its own socket; more than one only on Linux.
        threads: Int<usize, 1, 256> = 1,
        /// the Link from the senders to the reflector; None for an unimpaired one. It can be set
        /// while the reflector runs.
        uplink: Live = None,
        /// the Link from the reflector to the senders; None for an unimpaired one. It can be set,
        /// too.
        downlink: Live = None,
        /// (uplink, downlink) pairs, each a Link or None, at most 65536: links of the first (host,
        /// port) that sends, of the second and so on, in order of their first packets.
        per_client: PerClient = (),
        /// the seed of all random choices (xoshiro256++); drawn at random if None. A sender's
        /// choices depend on the seed, its IP address and the rank of its port at that address, in
        /// order of first packets, and are separate for each way.
        seed: Seed = None,
        /// the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        /// as JSON has them. `steps` returns those that were taken; `at_packet` counts packets on
        /// the way in.
        timeline: Timeline = (),
        /// the number of last rows to keep, or "all". `reflected`, `fates` and `columns` return them;
        /// iterating reads each once and removes none. With 0 there is nothing to iterate over.
        keep: Keep = 10000,
    } };
}

reflector_options!(settings);

#[doc = reflector_options!(signature StampReflector)]
/// A Session-Reflector of STAMP (RFC 8762, RFC 8972) and TWAMP-Light (RFC 5357 appendix I): it
/// answers test packets of routers and of other tools.
///
#[doc = reflector_options!(docs)]
/// A reply has the length of its request and the TTL 255. It carries the time at which the request
/// arrived (T2, the kernel's on Linux), the time at which the program sends the reply (T3), the
/// request's number and time, and its TTL. The TLVs 1 to 5 and 7 of RFC 8972 are answered, with keys
/// also 8, their tag; others come back as unrecognized. Authenticated packets with TLVs need a tag of
/// them, unless there is only padding.
///
/// A session is a source, a destination address and the SSID. A packet whose bytes 16 to 43 are not
/// zero is one of TWAMP, which has random padding and no SSID.
///
/// The reflector never answers replies: packets with a T2 within ten seconds of their T3, and
/// authenticated ones with any T2. Otherwise
/// two reflectors would answer each other without end after one forged packet. Nor does it answer
/// source ports that could cause a loop (0, 7, 13, 17, 19, 37), another answering server of this
/// process, packets of less than 14 bytes, or packets to a broadcast or multicast address (Linux).
///
/// With links it impairs packets on purpose, repeatably, and is at their far end: a packet that leaves
/// the uplink reaches it at T2, and a reply enters the downlink at T3. A packet that is not answered
/// because of its source takes no link. `truth` and `fates` tell what happened to each.
///
/// Iterating yields a Reflected for each packet that reaches it and, with links, a Fate for each
/// packet and for each reply when its last copy has left.
///
/// Raises ValueError if an argument is out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct StampReflector {
    settings: Settings,
    endpoint: Endpoint,
    config: ReflectorConfig,
    pub(super) handle: Handle<Reflector>,
}

reflector_options!(class StampReflector);
running_object!(StampReflector: ReflectorEvent);
changeable!(StampReflector);
fated! { StampReflector: ReflectorRows = "reflected", "(self, table='reflected')"
    /// Returns the kept rows as a dict of read-only NumPy arrays of shape (n,).
    ///
    /// table: "reflected" for a row per packet that reached the reflector, oldest first:
    ///     client, outcome: object (str; a client as "host:port").
    ///     received_at_ns: int64, nanoseconds since `started_at`.
    ///     size: uint64.
    ///     ssid, seq, reflector_seq, ttl, tos, sent_at_ns: float64; NaN without a reply or a value.
    ///
    /// With links also "fates" for a row per packet and per reply, in order of completion, and
    /// "copies" for a row per datagram past its link, with the columns of `EchoServer.columns`.
    /// "fates" has one more:
    ///     way: uint8, 0 for a packet to the reflector and 1 for a reply.
    ///
    /// The rows of a running reflector change between calls: stop it before you relate the tables or
    /// `clients` to each other.
    ///
    /// Raises ValueError for another table.
}
arrow_stream!(StampReflector);

impl StampReflector {
    fn make(settings: Settings) -> PyResult<Self> {
        let config = ReflectorConfig {
            stateful: settings.stateful,
            twamp_light: settings.twamp_light,
            keys: match &settings.keys {
                Some(keys) => tried(keys)?,
                None => Vec::new(),
            },
            unauthenticated: policy(settings.keys.as_ref(), settings.unauthenticated)?,
            allowed: settings.allow.0.clone(),
            limiter: settings.max_rate.map(Limiter::new).transpose()?,
            max_sessions: settings.max_sessions.0,
            format: settings.timestamp_format.0,
            synchronized: settings.synchronized,
            error_ns: settings.clock_error.ns().unsigned_abs(),
            per_client: settings.per_client.model()?,
            seed: Some(settings.seed.0),
            keep: settings.keep.rows().unwrap_or(usize::MAX),
            ..ReflectorConfig::default()
        };
        settings.uplink.model()?;
        settings.downlink.model()?;
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        let made = Self { settings, endpoint, config, handle: Handle::new("StampReflector") };
        Python::attach(|py| made.settings.timeline.check(py, |step| made.check_step(step)))?;
        Ok(made)
    }

    /// Refuses an outage that this reflector cannot have.
    fn check_outage(&self, mode: OutageMode, ways: [bool; 2]) -> Result<()> {
        check_outage(mode, ways, self.settings.threads.0)
    }

    /// Refuses a step that it cannot take.
    fn check_step(&self, step: &Step) -> Result<()> {
        step.check_at_server(self.settings.threads.0)
    }

    fn rows(&self, py: Python<'_>) -> Table {
        self.rows_of(py, ReflectorRows::Reflected)
    }

    fn rows_of(&self, py: Python<'_>, rows: ReflectorRows) -> Table {
        let ReflectorRows::Path(rows) = rows else { return self.reflected_rows(py) };
        let (columns, started_ns) =
            self.handle.look_since(py, |reflector| Columns::of(reflector.fates()).with_ways());
        columns.table(rows, started_ns)
    }

    fn reflected_rows(&self, py: Python<'_>) -> Table {
        let (records, started_ns): (Vec<_>, _) =
            self.handle.look_since(py, |reflector| reflector.records().copied().collect());
        let mut table = Table::new(records.len(), started_ns);
        let numbers = |of: fn(Numbers) -> u32| {
            records.iter().map(|record| record.numbers.map(of)).collect::<Vec<_>>()
        };
        let octets = |of: fn(&stamp::Reflected) -> Option<u8>| {
            records.iter().map(|record| of(record).map(u32::from)).collect::<Vec<_>>()
        };
        let clients = records.iter().map(|record| record.client.to_string());
        table.add("client", clients.collect::<Vec<_>>());
        table.add(
            "received_at",
            times(records.iter().map(|record| record.at.wall_ns).collect::<Vec<_>>()),
        );
        table.add_optional(
            "sent_at",
            times(records.iter().map(|record| record.sent_ns).collect::<Vec<_>>()),
        );
        table.add("outcome", words(records.iter().map(|record| record.outcome)));
        table.add("size", records.iter().map(|record| record.size as u64).collect::<Vec<_>>());
        table.add_optional("ssid", numbers(|numbers| numbers.ssid.into()));
        table.add_optional("seq", numbers(|numbers| numbers.seq));
        table.add_optional("reflector_seq", numbers(|numbers| numbers.reflector_seq));
        table.add_optional("ttl", octets(|record| record.ttl));
        table.add_optional("tos", octets(|record| record.tos));
        table
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let Settings { threads, uplink, downlink, timeline, .. } = &self.settings;
        let mut config = ReflectorConfig {
            uplink: uplink.model()?,
            downlink: downlink.model()?,
            timeline: timeline.model(0, self.handle.is_recorded())?,
            ..self.config.clone()
        };
        let launched = self.handle.launch(py, self.endpoints(), |addresses| {
            config.timeline.start_ns = now().mono_ns;
            driver::stamp::start(addresses[0], threads.0, config)
        });
        let low = (1..1024).contains(&self.settings.port.0);
        launched.map_err(|error| if low { with_hint(py, error) } else { error })
    }
}

/// Returns the keys that a reflector tries.
fn tried(keys: &Keys) -> Result<Vec<Key>> {
    let keys: Vec<_> = keys.masters()?.into_iter().map(|(_, key)| key.clone()).collect();
    if keys.len() > MAX_TRIED {
        let allowed = format!("at most {MAX_TRIED} that are bound to no client");
        return Err(Error::argument("keys", keys.len(), allowed));
    }
    Ok(keys)
}

/// Adds a way out to the error of a port for which the process lacks the privilege.
fn with_hint(py: Python<'_>, error: PyErr) -> PyErr {
    let value = error.value(py);
    let parts = (value.getattr("errno"), value.getattr("strerror"));
    match parts {
        (Ok(number), Ok(text)) if value.is_instance_of::<PyPermissionError>() => {
            let hint = "ports below 1024 need a privilege; give a higher one, such as 8620";
            PyPermissionError::new_err((number.unbind(), format!("{text}; {hint}")))
        }
        _ => error,
    }
}

#[pymethods]
impl StampReflector {
    /// Packet counts since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> StampReflectorCounters {
        self.handle.look(py, |reflector| reflector.counters()).into()
    }

    /// Counts of the links' impairments since the last start.
    #[getter]
    fn truth(&self, py: Python<'_>) -> StampReflectorTruth {
        let truth = self.handle.look(py, |reflector| reflector.truth());
        let stamp::Truth { uplink, downlink, pending, delayed, delay_line_full, crowded } = truth;
        StampReflectorTruth {
            uplink: uplink.into(),
            downlink: downlink.into(),
            pending,
            delayed,
            delay_line_full,
            crowded,
        }
    }

    /// Returns the kept records, oldest first.
    fn reflected(&self, py: Python<'_>) -> Vec<Reflected> {
        let records: Vec<_> =
            self.handle.look(py, |reflector| reflector.records().copied().collect());
        records.into_iter().map(Reflected::from).collect()
    }

    /// Returns the sessions that were heard in the last 300 seconds, in no particular order.
    fn sessions(&self, py: Python<'_>) -> Vec<StampSession> {
        let sessions = self.handle.look(py, |reflector| reflector.sessions(now().mono_ns));
        sessions.into_iter().map(StampSession::from).collect()
    }

    /// The time of the last start, in seconds since the Unix epoch; None before the first.
    #[getter]
    fn started_at(&self) -> Option<f64> {
        self.handle.started_ns().map(seconds)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let StampReflectorCounters { received, replied, dropped, .. } = self.counters(py);
        let (what, changed) = (self.handle.describe(Some(&self.endpoint)), self.changed(py)?);
        Ok(format!("{what}{changed}, received={received}, replied={replied}, dropped={dropped})"))
    }
}
