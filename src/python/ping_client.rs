//! `PingClient`, `ping` and `async_ping`.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::driver;
use crate::net::{Endpoint, Family, ProbeOptions, Timestamps};
use crate::ping::{Config, Flows, Schedule};
use crate::python::args::{
    Argument, Count, Int, Keep, RemoteHost, RemotePort, Seconds, Seed, Source, Word, Words,
    integer, wrong_value,
};
use crate::python::handle::{Handle, asynchronous, running_object};
use crate::python::options::options;
use crate::python::ping_report::PingReport;
use crate::python::probe::Probe;
use crate::python::value::Address;
use crate::python::wait::interrupted;
use crate::wire::MAX_DATAGRAM;
use crate::{Error, Result};

/// How many unread probes to keep.
const UNREAD: usize = 65_536;

macro_rules! ping_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the server's address or name. If a name has addresses of both families, the IPv4 address is
        /// used unless `family` says otherwise.
        host: RemoteHost,
        /// the server's port, 1 to 65535.
        port: RemotePort = 12000,
        *,
        /// how many probes to send, at least 1 (10 unless there is a duration); None sends until
        /// `stop`.
        count: ProbeCount = 10,
        /// how long to wait for each reply, in seconds. A later reply is counted as late while its probe
        /// is among the last 16384.
        timeout: Seconds = 1.0,
        /// the time from probe to probe, in seconds. Probes are then sent on a grid of absolute times,
        /// answered or not; a slot that has passed is skipped and counted. None is stop-and-wait: the
        /// next probe is sent once the last was answered or timed out.
        interval: Option<Seconds> = None,
        /// "periodic", or "poisson" for random gaps with the interval as their mean (RFC 2330
        /// section 11.1.1).
        schedule: Word<Pattern> = "periodic",
        /// how long to send probes, in seconds.
        duration: Option<Seconds> = None,
        /// repeats the gaps of a Poisson schedule; drawn at random if None.
        seed: Seed = None,
        /// the payload of a probe in bytes, up to 65507. From 64 on it has a token; 0 is the bare
        /// message of the lab, which a server may answer in other words.
        size: Int<usize, 0, { MAX_DATAGRAM as u64 }> = 64,
        /// how many of the last probes the report has as columns, or "all"; 35 bytes each. `ping()`
        /// and `async_ping()` with a count keep all unless told otherwise. Each flow keeps its share.
        keep: Keep = 10000,
        /// "receive" uses the kernel's receive stamps for `kernel_rtt` if the platform has them (Linux),
        /// "kernel" also its transmit stamps, "user" neither.
        timestamps: Word<Timestamps> = "receive",
        /// spin for the last 50 us before each slot and the first 50 us after each probe, which takes
        /// a few per cent of a core (Linux). If False, a sleep before a slot ends early by the median
        /// of the last delays, at most 50 us, and the rest is spun.
        precise: bool = False,
        /// the (address, port) to send from; port 0 is any port, "" any address.
        source: Option<Source> = None,
        /// the IPv4 time to live or IPv6 hop limit, 1 to 255.
        ttl: Option<Int<u32, 1, 255>> = None,
        /// the differentiated services code point (RFC 2474), 0 to 63.
        dscp: Option<Int<u32, 0, 63>> = None,
        /// send each probe in one piece or not at all (RFC 1191). A probe longer than the known path MTU
        /// is not sent and its verdict is send_failed; one that a router finds too long is lost, and
        /// this host then knows. False leaves it to the system, which fragments a datagram too long
        /// for its own link. Raises OSError at the start if the platform cannot (Linux can).
        dont_fragment: bool = False,
        /// how many source ports to spread the session over, 1 to 64 and at most `count`: routers
        /// choose among equal-cost paths by port. The flows take turns, and each numbers its own
        /// probes from 1; without an interval each flow waits for its own replies. A source port
        /// that is given is the first of consecutive ones.
        flows: Int<u32, 1, 64> = 1,
        /// 4 or 6 uses an address of that family only; None any.
        family: Option<Family> = None,
    } };
}

ping_options!(settings);

/// How many probes.
#[derive(Clone, Copy)]
enum ProbeCount {
    /// Not given: this many, or no limit if there is a duration.
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

/// The patterns in time that Python has words for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pattern {
    Periodic,
    Poisson,
}

impl Words for Pattern {
    const WORDS: &'static [(&'static str, Self)] =
        &[("periodic", Self::Periodic), ("poisson", Self::Poisson)];
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
    fn session(&self) -> Result<Config> {
        Ok(Config {
            target: ([0, 0, 0, 0], 0).into(), // known once its name is resolved
            count: self.count(),
            duration_ns: self.duration.map(Seconds::ns),
            schedule: self.schedule()?,
            start: None, // of all flows together
            offset_ns: 0,
            timeout_ns: self.timeout.ns(),
            size: self.size.0,
            keep: self.keep.rows(),
            events: UNREAD,
        })
    }

    /// Returns the options of its sockets.
    fn socket(&self) -> ProbeOptions {
        ProbeOptions {
            source: self.source.as_ref().map(|source| source.0),
            ttl: self.ttl.map(|ttl| ttl.0),
            dscp: self.dscp.map(|dscp| dscp.0),
            dont_fragment: self.dont_fragment,
            timestamps: self.timestamps.0,
            precise: self.precise,
        }
    }

    /// Refuses more flows than there are probes, or source ports in a row.
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
/// A UDP ping client: sends numbered probes to a server that echoes them and matches the replies.
///
#[doc = ping_options!(docs)]
/// A probe begins with one line of ASCII, "Ping seq time" (seconds since the Unix epoch). From 64
/// bytes on a random token follows that only this session knows: a datagram without it is foreign,
/// and a reply that has it but differs otherwise from the probe (except in upper case) is corrupt.
/// Without a token the source address and the number are the only proof: a reply that carries a number
/// belongs to the probe of that number, one without a number to the probe that waits, and one that
/// looks like the probe, is as long and differs from it is corrupt.
///
/// Iterating yields each Probe as it is decided and ends with the last.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct PingClient {
    settings: Settings,
    endpoint: Endpoint,
    config: Config,
    handle: Handle<Flows>,
}

ping_options!(class PingClient);
running_object!(PingClient: Probe);

impl PingClient {
    fn make(mut settings: Settings) -> PyResult<Self> {
        settings.check_flows()?;
        let config = settings.session()?;
        settings.count = ProbeCount::Limit(config.count);
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        let endpoint = Endpoint { family: settings.family, ..endpoint };
        Ok(Self { settings, endpoint, config, handle: Handle::new("PingClient") })
    }

    /// Makes a client for a call: it ends by itself, and only its report is read.
    fn for_call(mut settings: Settings) -> PyResult<Self> {
        if let (Keep::Default(_), Some(_)) = (settings.keep, settings.count()) {
            settings.keep = Keep::All;
        }
        let mut client = Self::make(settings)?;
        if client.config.count.is_none() && client.config.duration_ns.is_none() {
            let allowed = "1 or more if no duration is given";
            return Err(Error::argument("count", "None", allowed).into());
        }
        // Nobody reads the probes one by one.
        client.config.events = 0;
        Ok(client)
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let (socket, flows) = (self.settings.socket(), self.settings.flows.0);
        self.handle.launch(py, self.endpoints(), |targets| {
            driver::ping::start(targets[0], &socket, self.config, flows)
        })
    }
}

#[pymethods]
impl PingClient {
    /// The (host, port) that the probes go to.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn server(&self) -> PyResult<Address> {
        self.handle.peer()
    }

    /// The PingReport since the last start; consistent also while it runs.
    fn report(&self, py: Python<'_>) -> PingReport {
        PingReport::of_flows(self.handle.look(py, |flows| flows.reports()))
    }

    /// Wait for the last probe and return the report.
    #[pyo3(name = "_finish")]
    fn finish(&self, py: Python<'_>) -> PyResult<PingReport> {
        self.handle.join(py)?;
        Ok(self.report(py))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let counters = self.handle.look(py, |flows| flows.counters());
        let (what, changed) = (self.handle.describe(None), self.changed(py)?);
        let (sent, answered) = (counters.sent, counters.answered);
        Ok(format!("{what}, to={}{changed}, sent={sent}, answered={answered})", self.endpoint))
    }
}

ping_options! {
    #[doc = ping_options!(signature ping)]
    /// Ping a UDP echo server and return the PingReport.
    ///
    /// Blocks until the last probe is decided. Ctrl-C ends it: the KeyboardInterrupt has the report so
    /// far as its `report`.
    ///
    #[doc = ping_options!(docs)]
    /// Raises ValueError for an argument out of range and for a run without end, OSError if the system
    /// refuses the address and socket.gaierror if the host has none.
    function ping = ping_blocking -> PyResult<PingReport>
}

ping_options! {
    #[doc = ping_options!(signature async_ping)]
    /// Ping a UDP echo server through the running event loop and return the PingReport, as `ping` does.
    ///
    #[doc = ping_options!(docs)]
    /// No thread of Python waits, except while a name is resolved. Cancelling ends the probes. Raises
    /// what `ping` raises.
    function async_ping = ping_async -> PyResult<Py<PyAny>>
}

fn ping_blocking(py: Python<'_>, settings: Settings) -> PyResult<PingReport> {
    let client = PingClient::for_call(settings)?;
    let finished = client.run(py).and_then(|()| client.finish(py));
    finished.map_err(|error| {
        client.handle.stop(py);
        interrupted(py, error, "report", client.report(py))
    })
}

fn ping_async(py: Python<'_>, settings: Settings) -> PyResult<Py<PyAny>> {
    let client = Bound::new(py, PingClient::for_call(settings)?)?;
    Ok(asynchronous("finish", client.as_any())?.unbind())
}
