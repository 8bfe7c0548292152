//! `PingClient`, `ping` and `async_ping`.

use std::sync::Arc;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::driver;
use crate::net::{Endpoint, Family, ProbeOptions, Timestamps};
use crate::ping::{Config, Fill, Flows, MIN_TOKEN_SIZE, Protocol, Report, Schedule, Signer};
use crate::python::args::{
    Argument, Count, Int, Interface, Keep, Patience, RemoteHost, RemotePort, Seconds, Seed, Source,
    Word, Words, integer, wrong_type, wrong_value,
};
use crate::python::capture::{self, File, Snaplen};
use crate::python::handle::{Handle, asynchronous, running_object};
use crate::python::keys::Keys;
use crate::python::outages::PingEvent;
use crate::python::ping_report::PingReport;
use crate::python::value::{Address, address};
use crate::python::wait::interrupted;
use crate::wire::MAX_DATAGRAM;
use crate::wire::stamp::Format;
use crate::{Error, Random, Result};

/// Maximum number of decided probes that wait for an iterating reader.
const UNREAD: usize = 65_536;

/// The options of a session: its ends, those of its packets, and those of every session.
macro_rules! session_options {
    (
        { $($part:tt)* } { $($ends:tt)* } { $($payload:tt)* } { $($ttl:tt)* }
    ) => { $crate::python::options::options! { { $($part)* }
        $($ends)*
        *,
        /// the number of probes, 1 or more (default: 10, or None with a duration); None for no
        /// limit: until `duration` or `stop` ends the session.
        count: ProbeCount = 10,
        /// the time to wait for each reply, in seconds. A reply in the 30 s after that counts as late
        /// if its probe is among the last 16384.
        timeout: Seconds = 1.0,
        /// the time between probes, in seconds; None for stop-and-wait: the next probe is sent when
        /// the last was answered or timed out. With an interval, probes follow an absolute
        /// schedule, answered or not; a missed slot is skipped and counted.
        interval: Option<Seconds> = None,
        /// the schedule: "periodic", or "poisson" for random gaps with the interval as their mean
        /// (RFC 2330 section 11.1.1).
        schedule: Word<Pattern> = "periodic",
        /// the time during which probes are sent, in seconds; None for no limit.
        duration: Option<Seconds> = None,
        /// the seed of a Poisson schedule's gaps; drawn at random if None.
        seed: Seed = None,
        $($payload)*
        /// the number of last probes that the report keeps as columns, or "all"; 36 bytes each.
        /// Functions that return a report keep all by default if there is a count. Flows share the
        /// number.
        keep: Keep = 10000,
        /// the source of `kernel_rtt`: "receive" uses the kernel's receive timestamps if the
        /// platform has them (Linux), "kernel" also its transmit timestamps, "user" neither.
        timestamps: Word<Timestamps> = "receive",
        /// whether to spin for the last 50 us before each slot and the first 50 us after each
        /// probe, at the cost of a few per cent of a core (Linux). If False, the sleep before a
        /// slot ends early by the median wakeup delay, at most 50 us, and only the rest is spun.
        precise: bool = False,
        /// the address and port to send from; port 0 for any free port, "" for any address. The
        /// address alone does not choose the interface. If this host loses the address, probes are
        /// "send_failed" until it has it again.
        source: Option<Source> = None,
        /// the name of the network interface or VRF to send and receive through (Linux); None for
        /// the system's choice for each probe. If it is deleted, probes are "send_failed" until
        /// there is one of that name again; without the right CAP_NET_RAW, until the next start.
        /// Start raises OSError if there is none of that name or if the platform does not support
        /// it.
        interface: Option<Interface> = None,
        $($ttl)*
        /// the differentiated services code point (RFC 2474), 0 to 63; None for the system's
        /// default.
        dscp: Option<Int<u32, 0, 63>> = None,
        /// whether to send each probe unfragmented or not at all (RFC 1191). A probe longer than
        /// the known path MTU is "send_failed"; one that a router drops as too long is
        /// "unreachable", and updates the path MTU. False leaves fragmentation to the system, which
        /// fragments datagrams too long for its own link. If True, start raises OSError if the
        /// platform does not support it (Linux does).
        dont_fragment: bool = False,
        /// the number of source ports of the session, 1 to 64 and at most `count`: routers choose
        /// among equal-cost paths by port. The flows take turns, and each numbers its own probes
        /// from 1; without an interval each flow waits for its own replies. If `source` has a port,
        /// the flows use consecutive ports from it on.
        flows: Int<u32, 1, 64> = 1,
        /// the only address family to use, 4 or 6; None for any.
        family: Option<Family> = None,
        /// the time after which the server's name is looked up again, in seconds; None for only
        /// while nothing answers: then after 1 s, 2 s and so on up to 60 s in any case. If the name
        /// no longer has the address in use, probes go to its new one, of the same family.
        resolve_every: Option<Seconds> = 60.0,
        /// whether a probe keeps waiting for its timeout after an ICMP error. If False, the error
        /// decides it, and without an interval the next probe leaves 0.1 s later.
        wait_out: bool = False,
        /// the number of consecutive probes of a flow without an answer in time that make an outage,
        /// 1 or more; None for 3, in the report only. With a number, iterating also yields
        /// OutageStarted and OutageEnded.
        outage_after: Option<Count> = None,
        /// whether iterating also yields Revised: a probe that was answered after its verdict, most
        /// often one that counted as lost.
        revisions: bool = False,
        /// the time to listen for late replies and duplicates after the last probe was decided, in
        /// seconds, 0 or more; None for one timeout if a probe is lost. `stop` ends it at any time.
        linger: Option<Patience> = None,
        /// the path of a pcapng file for the probes and their replies, each with its verdict as a
        /// comment; None for no capture. A start replaces the file.
        capture: Option<File> = None,
        /// the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        /// for all.
        capture_snaplen: Option<Snaplen> = None,
        /// the most bytes of the file, 1 or more. The packets that do not fit are counted as
        /// `capture_dropped`.
        capture_limit: Count = 1073741824,
    } };
}

macro_rules! ping_options {
    ($($part:tt)*) => { $crate::python::ping_client::session_options! { { $($part)* } {
        /// the server's address or name. If a name has addresses of both families, the IPv4 address
        /// is used, unless `family` is 6.
        host: RemoteHost,
        /// the server's port, 1 to 65535.
        port: RemotePort = 12000,
    } {
        /// the length of a probe's payload in bytes, 0 to 65507. From 64 on it carries a token; 0
        /// is the bare message of the lab, to which a server may reply with other words.
        size: Int<usize, 0, { MAX_DATAGRAM as u64 }> = 64,
        /// the padding up to that size, after the token: bytes to repeat, or "random" for
        /// pseudo-random bytes, others in each probe.
        fill: Fill = b".",
        /// the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        /// for a server with the same key; None for no authentication. A probe has room for the tag:
        /// `size` or, if that is more, 102 bytes and the length of the key's id.
        keys: Option<Keys> = None,
    } {
        /// the IPv4 time to live or IPv6 hop limit, 1 to 255; None for the system's default.
        ttl: Option<Int<u32, 1, 255>> = None,
    } } };
}

macro_rules! stamp_options {
    ($($part:tt)*) => { $crate::python::ping_client::session_options! { { $($part)* } {
        /// the reflector's address or name. If a name has addresses of both families, the IPv4
        /// address is used, unless `family` is 6.
        host: RemoteHost,
        /// the reflector's port, 1 to 65535.
        port: RemotePort = 862,
    } {
        /// the length of a packet's payload in bytes: 44, or 48 to 65507 with an Extra Padding TLV
        /// (RFC 8972 section 4.1). With keys 112, also if it is 44, or 136 to 65507.
        size: Int<usize, 0, { MAX_DATAGRAM as u64 }> = 44,
        /// the value of that TLV: "random" for pseudo-random bytes, others in each packet, or bytes
        /// to repeat.
        fill: Fill = "random",
        /// the session identifier (RFC 8972 section 3), 0 to 65535; 0 for none, None for a random
        /// one.
        ssid: Ssid = None,
        /// the format of the packets' timestamps, "ntp" (RFC 5905) or "ptp" (RFC 8186), which counts
        /// UTC here, not TAI. Replies may have either.
        timestamp_format: Word<Format> = "ntp",
        /// whether this host's clock is synchronized to UTC within `clock_error`. Packets claim it,
        /// and it narrows the bounds of one-way delays if the reflector claims it, too.
        synchronized: bool = False,
        /// the error of this host's clock that packets claim, in seconds.
        clock_error: Seconds = 16.0,
        /// the Keys, or the path of a file of them, whose first signs packets and verifies replies
        /// (RFC 8762 section 4.4); None for no authentication.
        keys: Option<Keys> = None,
    } {
        /// the IPv4 time to live or IPv6 hop limit, 1 to 255. The reflector reports the rest of it:
        /// with 255 that gives the number of hops.
        ttl: Option<Int<u32, 1, 255>> = 255,
    } } };
}
pub(super) use {session_options, stamp_options};

stamp_options!(pub(super) settings);

/// Returns the key that signs probes: the first that is not bound to a client of heartbeats.
pub(super) fn signer(keys: Option<&Keys>) -> Result<Option<Signer>> {
    keys.map(|keys| {
        let (id, key) = keys.masters()?.remove(0);
        Ok(Arc::new((id.to_owned(), key.clone())))
    })
    .transpose()
}

/// A session identifier, drawn at random if it is not given.
pub(super) struct Ssid(pub(super) u16);

impl Argument for Ssid {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_none() {
            let drawn = 1 + Random::new(None).below(0xffff);
            return Ok(Self(u16::try_from(drawn).unwrap_or(1)));
        }
        Int::<u16, 0, 65_535>::read(name, given).map(|ssid| Self(ssid.0))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// Number of probes.
#[derive(Clone, Copy)]
pub(super) enum ProbeCount {
    /// Not given: this number, or no limit if there is a duration.
    Default(u64),
    Limit(Option<u64>),
}

impl Argument for ProbeCount {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let count = Option::<Count>::read(name, given)?;
        Ok(Self::Limit(count.map(|count| count.0)))
    }

    fn read_default(name: &'static str, default: &Bound<'_, PyAny>) -> PyResult<Self> {
        Count::read(name, default).map(|count| Self::Default(count.0))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let count = match *self {
            Self::Default(count) => Some(count),
            Self::Limit(count) => count,
        };
        count.into_bound_py_any(py)
    }
}

/// Schedules that have names in Python.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pattern {
    Periodic,
    Poisson,
}

impl Words for Pattern {
    const WORDS: &'static [(&'static str, Self)] =
        &[("periodic", Self::Periodic), ("poisson", Self::Poisson)];
}

impl Argument for Fill {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = format!("1 to {MAX_DATAGRAM} bytes or 'random'");
        if let Ok(bytes) = given.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            let possible = (1..=MAX_DATAGRAM).contains(&bytes.len());
            return if possible {
                Ok(Self::Pattern(bytes.to_vec().into()))
            } else {
                Err(wrong_value(name, given, &allowed))
            };
        }
        let word: String = given.extract().map_err(|_| wrong_type(name, given, &allowed))?;
        if word == "random" { Ok(Self::Random) } else { Err(wrong_value(name, given, &allowed)) }
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Pattern(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
            Self::Random => "random".into_bound_py_any(py),
        }
    }
}

impl Words for Timestamps {
    const WORDS: &'static [(&'static str, Self)] =
        &[("user", Self::User), ("receive", Self::Receive), ("kernel", Self::Kernel)];
}

impl Argument for Family {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        match integer(name, given, 4..=6, "4 or 6")? {
            4 => Ok(Self::V4),
            6 => Ok(Self::V6),
            _ => Err(wrong_value(name, given, "4 or 6")),
        }
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let number = match self {
            Self::V4 => 4,
            Self::V6 => 6,
        };
        Int::<u32, 4, 6>(number).show(py)
    }
}

impl Settings {
    fn count(&self) -> Option<u64> {
        match self.count {
            ProbeCount::Default(count) => self.duration.is_none().then_some(count),
            ProbeCount::Limit(count) => count,
        }
    }

    fn schedule(&self) -> Result<Schedule> {
        match (self.schedule.0, self.interval.map(Seconds::ns)) {
            (Pattern::Periodic, None) => Ok(Schedule::StopAndWait),
            (Pattern::Periodic, Some(interval_ns)) => Ok(Schedule::Periodic { interval_ns }),
            (Pattern::Poisson, Some(mean_ns)) => {
                Ok(Schedule::Poisson { mean_ns, seed: Some(self.seed.0) })
            }
            (Pattern::Poisson, None) => {
                let allowed = "given for a Poisson schedule, in seconds";
                Err(Error::argument("interval", "None", allowed))
            }
        }
    }

    /// Returns the configuration of the session.
    fn session(&self, protocol: Protocol) -> Result<Config> {
        Ok(Config {
            target: ([0, 0, 0, 0], 0).into(), // set after name resolution
            count: self.count(),
            duration_ns: self.duration.map(Seconds::ns),
            schedule: self.schedule()?,
            start: None, // set for all flows together
            offset_ns: 0,
            timeout_ns: self.timeout.ns(),
            wait_out: self.wait_out,
            protocol,
            size: self.size.0,
            fill: self.fill.clone(),
            key: signer(self.keys.as_ref())?,
            keep: self.keep.rows(),
            outage_after: self.outage_after.map(|count| count.0),
            revisions: self.revisions,
            linger_ns: self.linger.map(Patience::ns),
            events: UNREAD,
            capture: false, // set by the driver
        })
    }

    /// Returns the options of the socket.
    fn socket(&self) -> ProbeOptions {
        ProbeOptions {
            source: self.source.as_ref().map(|source| source.0),
            interface: self.interface.as_ref().map(|interface| interface.0.clone()),
            ttl: self.ttl.map(|ttl| ttl.0),
            dscp: self.dscp.map(|dscp| dscp.0),
            dont_fragment: self.dont_fragment,
            timestamps: self.timestamps.0,
            precise: self.precise,
        }
    }

    /// Checks that there are enough probes and consecutive source ports for the flows.
    fn check_flows(&self) -> Result<()> {
        let flows = self.flows.0;
        if let Some(count) = self.count().filter(|count| *count < flows.into()) {
            return Err(Error::argument("flows", flows, format!("1 to {count}")));
        }
        let port = self.source.as_ref().map_or(0, |source| source.0.port());
        if port > 0 && u32::from(port) + flows > 65_536 {
            let allowed = format!("a port that {} more can follow", flows - 1);
            return Err(Error::argument("source", port, allowed));
        }
        Ok(())
    }
}

#[doc = ping_options!(signature PingClient)]
/// A UDP ping client that sends numbered probes to an echo server and matches the replies.
///
#[doc = ping_options!(docs)]
/// A probe starts with one line of ASCII, "Ping seq time" (seconds since the Unix epoch). From 64
/// bytes on a random token follows, known only to this session. A reply is accepted if it is the
/// probe as sent or all in upper case; any other datagram with the token is corrupt, one without
/// it foreign. With keys a tag follows the token, and a reply must have the tag that a server with
/// the key gives it: one without is corrupt, such as the probe itself.
///
/// Below 64 bytes there is no token, and a server may use words of its own:
///
/// 1. A reply of a probe's length belongs to it if it is the probe as sent or all in upper case. If
///    it differs from that in at most an eighth of its bytes, it is corrupt.
/// 2. A longer reply that contains the text "Ping seq time" in any case belongs to that probe.
/// 3. A number after the word "Ping" or "Pong" is that of the probe. Other numbers are believed if
///    the first two that the server sends are those of unanswered probes; otherwise they are
///    ignored.
/// 4. A reply without a number is attributed to the only pending probe and counted as guessed. If
///    several are pending, it is foreign.
///
/// Iterating yields each Probe when it is decided, with `revisions` also Revised and with
/// `outage_after` OutageStarted and OutageEnded of `udpulse.events`. It ends with the session: when the last probe is decided and
/// `linger` is over.
///
/// Raises ValueError if an argument is out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct PingClient(Client);

ping_options!(
    class PingClient,
    ssid = Ssid(0),
    timestamp_format = Word(Format::Ntp),
    synchronized = false,
    clock_error = Seconds(16.0)
);
running_object!(PingClient: PingEvent);
session_object!(PingClient);

impl PingClient {
    fn make(settings: Settings) -> PyResult<Self> {
        if settings.keys.is_some() && settings.size.0 < MIN_TOKEN_SIZE {
            let allowed =
                format!("{MIN_TOKEN_SIZE} to {MAX_DATAGRAM} with keys, which need a token");
            return Err(Error::argument("size", settings.size.0, allowed).into());
        }
        Client::new("PingClient", Protocol::Echo, settings).map(Self)
    }
}

/// A session that a Python object runs.
pub(super) struct Client {
    pub(super) settings: Settings,
    pub(super) endpoint: Endpoint,
    config: Config,
    pub(super) handle: Handle<Flows>,
}

impl Client {
    pub(super) fn new(
        class: &'static str,
        protocol: Protocol,
        mut settings: Settings,
    ) -> PyResult<Self> {
        settings.check_flows()?;
        let config = settings.session(protocol)?;
        settings.count = ProbeCount::Limit(config.count);
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        let endpoint = Endpoint { family: settings.family, ..endpoint };
        Ok(Self { settings, endpoint, config, handle: Handle::new(class) })
    }

    /// Prepares the client for a call that only returns a report.
    pub(super) fn for_call(mut self) -> PyResult<Self> {
        if let (Keep::Default(_), Some(_)) = (self.settings.keep, self.config.count) {
            self.settings.keep = Keep::All;
            self.config.keep = self.settings.keep.rows();
        }
        if self.config.count.is_none() && self.config.duration_ns.is_none() {
            let allowed = "1 or more if no duration is given";
            return Err(Error::argument("count", "None", allowed).into());
        }
        // Nobody iterates over the probes.
        self.config.events = 0;
        Ok(self)
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    pub(super) fn run(&self, py: Python<'_>) -> PyResult<()> {
        let (socket, flows) = (self.settings.socket(), self.settings.flows.0);
        let Settings { resolve_every, capture, capture_snaplen, capture_limit, .. } =
            &self.settings;
        let resolve_every_ns = resolve_every.map(Seconds::ns);
        let capture = capture::config(capture.as_ref(), *capture_snaplen, *capture_limit);
        self.handle.launch(py, self.endpoints(), |targets| {
            let server = (&self.endpoint, targets[0]);
            let mut config = self.config.clone();
            config.revisions |= self.handle.is_recorded();
            driver::ping::start(server, resolve_every_ns, &socket, config, flows, capture.as_ref())
        })
    }

    pub(super) fn server(&self, py: Python<'_>) -> PyResult<Address> {
        let current = self.handle.look(py, |flows| flows.target());
        current.map_or_else(|| self.handle.peer(), |current| Ok(address(current)))
    }

    pub(super) fn report(&self, py: Python<'_>) -> PingReport {
        let ended = !self.handle.is_running();
        let flows = self.handle.look(py, |flows| flows.snapshots(ended));
        let mut flows: Vec<_> = py.detach(|| flows.into_iter().map(Report::from).collect());
        let Endpoint { host, port, .. } = &self.endpoint;
        for flow in &mut flows {
            flow.target = Some((host.clone(), *port));
        }
        PingReport::of_flows(flows)
    }

    /// Waits for the last probe and returns the report.
    pub(super) fn finish(&self, py: Python<'_>) -> PyResult<PingReport> {
        self.handle.join(py)?;
        Ok(self.report(py))
    }

    /// Runs the session and returns the report.
    pub(super) fn call(&self, py: Python<'_>) -> PyResult<PingReport> {
        let finished = self.run(py).and_then(|()| self.finish(py));
        finished.map_err(|error| {
            self.handle.stop(py);
            interrupted(py, error, "report", self.report(py))
        })
    }

    /// Returns the `repr` with these changed options.
    pub(super) fn describe(&self, py: Python<'_>, changed: &str) -> String {
        let counters = self.handle.look(py, |flows| flows.counters());
        let (what, endpoint) = (self.handle.describe(None), &self.endpoint);
        let (sent, answered) = (counters.sent, counters.answered);
        format!("{what}, to={endpoint}{changed}, sent={sent}, answered={answered})")
    }
}

/// Generates the methods of a class around a [`Client`].
macro_rules! session_object {
    ($class:ident) => {
        impl std::ops::Deref for $class {
            type Target = $crate::python::ping_client::Client;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        $crate::python::capture::captured!($class);

        #[pyo3::pymethods]
        impl $class {
            /// The (address, port) of the server, the current one if its name has changed its
            /// address.
            ///
            /// Raises NotStartedError before the first start.
            #[getter]
            fn server(
                &self,
                py: pyo3::Python<'_>,
            ) -> pyo3::PyResult<$crate::python::value::Address> {
                self.0.server(py)
            }

            /// Returns the PingReport since the last start; consistent even while the client runs.
            fn report(&self, py: pyo3::Python<'_>) -> $crate::python::ping_report::PingReport {
                self.0.report(py)
            }

            /// Waits for the last probe and returns the report.
            fn _finish(
                &self,
                py: pyo3::Python<'_>,
            ) -> pyo3::PyResult<$crate::python::ping_report::PingReport> {
                self.0.finish(py)
            }

            /// Supports the event in brackets after the class in annotations.
            #[classmethod]
            fn __class_getitem__<'py>(
                class: &pyo3::Bound<'py, pyo3::types::PyType>,
                event: &pyo3::Bound<'py, pyo3::PyAny>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                class.py().import("types")?.getattr("GenericAlias")?.call1((class, event))
            }

            fn __repr__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<String> {
                Ok(self.0.describe(py, &self.changed(py)?))
            }
        }
    };
}
pub(super) use session_object;

ping_options! {
    #[doc = ping_options!(signature ping)]
    /// Pings a UDP echo server and returns the PingReport.
    ///
    /// Blocks until the last probe is decided and `linger` is over. Ctrl-C ends the call: the `report` attribute of the
    /// KeyboardInterrupt has the results so far.
    ///
    #[doc = ping_options!(docs)]
    /// Raises ValueError if an argument is out of range or if neither count nor duration limits the
    /// session, OSError if the system refuses the address and socket.gaierror if the host has none.
    function ping = ping_blocking -> PyResult<PingReport>,
        ssid = Ssid(0), timestamp_format = Word(Format::Ntp), synchronized = false,
        clock_error = Seconds(16.0)
}

ping_options! {
    #[doc = ping_options!(signature async_ping)]
    /// Pings a UDP echo server through the running event loop and returns the PingReport, like
    /// `ping`.
    ///
    #[doc = ping_options!(docs)]
    /// No Python thread waits, except while a name is resolved. Cancelling stops the probes. Raises
    /// the same errors as `ping`.
    function async_ping = ping_async -> PyResult<Py<PyAny>>,
        ssid = Ssid(0), timestamp_format = Word(Format::Ntp), synchronized = false,
        clock_error = Seconds(16.0)
}

fn ping_blocking(py: Python<'_>, settings: Settings) -> PyResult<PingReport> {
    PingClient::make(settings)?.0.for_call()?.call(py)
}

fn ping_async(py: Python<'_>, settings: Settings) -> PyResult<Py<PyAny>> {
    let client = PingClient(PingClient::make(settings)?.0.for_call()?);
    Ok(asynchronous("finish", Bound::new(py, client)?.as_any())?.unbind())
}
