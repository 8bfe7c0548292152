//! `PingClient` and `ping`.

use pyo3::prelude::*;

use crate::net::{Endpoint, ProbeOptions, Timestamps};
use crate::ping::{Config, Schedule, Session, start};
use crate::python::args::{self, Integer, Seconds};
use crate::python::handle::{Handle, running_object};
use crate::python::ping_report::{PingReport, Probe};
use crate::python::value::Address;
use crate::wire::MAX_DATAGRAM;
use crate::{Error, Result};

/// How many decided probes wait for an iterating reader.
const UNREAD: usize = 65_536;

/// How many probes: what was said, or what goes without saying.
#[derive(Default)]
pub(super) enum Count {
    #[default]
    Unsaid,
    Endless,
    Of(Integer),
}

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(object.extract::<Option<Integer>>()?.map_or(Self::Endless, Self::Of))
    }
}

/// How many probes are kept.
#[derive(FromPyObject)]
pub(super) enum Keep {
    Last(Integer),
    All(String),
}

/// The options of a session, as Python gives them.
pub(super) struct Options {
    count: Count,
    timeout: Seconds,
    interval: Option<Seconds>,
    schedule: String,
    duration: Option<Seconds>,
    seed: Option<Integer>,
    size: Integer,
    keep: Keep,
    timestamps: String,
    precise: bool,
    source: Option<(String, Integer)>,
    ttl: Option<Integer>,
    dscp: Option<Integer>,
}

impl Options {
    /// How the probes are sent.
    fn socket(&self) -> Result<ProbeOptions> {
        let timestamps = match self.timestamps.as_str() {
            "user" => Timestamps::User,
            "receive" => Timestamps::Receive,
            "kernel" => Timestamps::Kernel,
            other => {
                let allowed = "'user', 'receive' or 'kernel'";
                return Err(Error::argument("timestamps", format!("'{other}'"), allowed));
            }
        };
        let source = self.source.as_ref().map(|(host, port)| {
            let allowed = "an address and a port of this host";
            let endpoint = args::local(host.clone(), port)?;
            endpoint.literal().ok_or_else(|| Error::argument("source", &endpoint, allowed))
        });
        let within = |name, value: &Option<Integer>, range: std::ops::RangeInclusive<u64>| {
            value.as_ref().map(|value| value.within(name, range)).transpose()
        };
        Ok(ProbeOptions {
            source: source.transpose()?,
            ttl: within("ttl", &self.ttl, 1..=255)?,
            dscp: within("dscp", &self.dscp, 0..=63)?,
            timestamps,
            precise: self.precise,
        })
    }

    /// What the session does.
    fn session(&self, events: usize) -> Result<Config> {
        let duration_ns =
            self.duration.map(|duration| args::duration_ns("duration", duration)).transpose()?;
        let count = match &self.count {
            Count::Unsaid if duration_ns.is_none() => Some(10),
            Count::Unsaid | Count::Endless => None,
            Count::Of(count) => args::count("count", Some(count))?,
        };
        let seed = args::seed(self.seed.as_ref())?;
        let interval_ns =
            self.interval.map(|interval| args::duration_ns("interval", interval)).transpose()?;
        let schedule = match (self.schedule.as_str(), interval_ns) {
            ("periodic", None) => Schedule::StopAndWait,
            ("periodic", Some(interval_ns)) => Schedule::Periodic { interval_ns },
            ("poisson", Some(mean_ns)) => Schedule::Poisson { mean_ns, seed },
            ("poisson", None) => {
                let allowed = "given for a Poisson schedule, in seconds";
                return Err(Error::argument("interval", "None", allowed));
            }
            (other, _) => {
                let allowed = "'periodic' or 'poisson'";
                return Err(Error::argument("schedule", format!("'{other}'"), allowed));
            }
        };
        let keep = match &self.keep {
            Keep::Last(last) => Some(last.within("keep", 0..=u64::from(u32::MAX))?),
            Keep::All(all) if all == "all" => None,
            Keep::All(other) => {
                let allowed = "0 to 4294967295 or 'all'";
                return Err(Error::argument("keep", format!("'{other}'"), allowed));
            }
        };
        Ok(Config {
            target: ([0, 0, 0, 0], 0).into(), // known once its name is resolved
            count,
            duration_ns,
            schedule,
            timeout_ns: args::duration_ns("timeout", self.timeout)?,
            size: self.size.within("size", 0..=MAX_DATAGRAM as u64)?,
            keep,
            events,
        })
    }
}

/// A UDP ping client: sends numbered probes to a server that echoes them and matches the replies.
///
/// host: the server's address or name; of a name that has both, the IPv4 address is taken.
/// port: the server's port, 1 to 65535.
/// count: how many probes, at least 1 (10 unless a duration is given); None is without end, until
///     `stop`.
/// timeout: how long each reply is waited for, in seconds. A reply that comes later is counted as
///     late while the probe is among the last 16384.
/// interval: the time from probe to probe, in seconds. Probes then go out on a grid of absolute
///     times whatever is answered; a slot that has passed is skipped and counted. None is stop and
///     wait: the next probe goes out when the last was answered or its time is up.
/// schedule: "periodic", or "poisson" for random gaps with the interval as their mean (RFC 2330
///     section 11.1.1).
/// duration: for how long probes are sent, in seconds.
/// seed: makes the gaps of a Poisson schedule repeatable.
/// size: the payload of a probe in bytes, up to 65507; a shorter one is the lab's message alone.
/// keep: how many of the last probes the report has as columns, or "all"; 35 bytes each.
/// timestamps: "receive" uses the kernel's receive stamps for `kernel_rtt` where the platform has
///     them (Linux), "kernel" also its transmit stamps, "user" neither.
/// precise: spins for the last 50 us before each slot and the first 50 us after each probe; takes
///     some per cent of a core and a few microseconds off each error (Linux).
/// source: the (address, port) to send from; port 0 is any.
/// ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255.
/// dscp: the differentiated services code point (RFC 2474), 0 to 63.
///
/// A probe begins with one line of ASCII, "Ping seq time" (seconds since the Unix epoch). From 64
/// bytes on a random token follows that only this session knows: what does not have it is foreign,
/// and a reply that has it and differs otherwise from what was sent (but for upper case) is
/// corrupt. Without a token the source address and the number are all the proof: a reply that
/// carries a number belongs to the probe of that number, one without any to the probe that waits,
/// and one that reads like the probe, is as long and differs from it is corrupt.
///
/// Iterating gives each Probe as it is decided and ends with the last.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, module = "udpulse")]
pub(super) struct PingClient {
    endpoint: Endpoint,
    socket: ProbeOptions,
    config: Config,
    handle: Handle<Session>,
}

impl PingClient {
    fn make(host: String, port: &Integer, options: &Options, events: usize) -> Result<Self> {
        Ok(Self {
            endpoint: args::remote(host, port)?,
            socket: options.socket()?,
            config: options.session(events)?,
            handle: Handle::new("PingClient"),
        })
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let config = self.config;
        self.handle.launch(py, &self.endpoint, |target| start(target, &self.socket, config))
    }
}

running_object!(PingClient: Probe {
    #[new]
    #[pyo3(
        signature = (
            host, port = Integer::new(12_000), *, count = Count::Unsaid, timeout = Seconds(1.0),
            interval = None, schedule = "periodic".to_owned(), duration = None, seed = None,
            size = Integer::new(0), keep = Keep::Last(Integer::new(0)),
            timestamps = "receive".to_owned(), precise = false, source = None, ttl = None,
            dscp = None,
        ),
        text_signature = "(host, port=12000, *, count=10, timeout=1.0, interval=None, \
                          schedule='periodic', duration=None, seed=None, size=0, keep=0, \
                          timestamps='receive', precise=False, source=None, ttl=None, dscp=None)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    #[expect(clippy::too_many_arguments, reason = "each is an option by name")]
    fn new(
        host: String,
        port: Integer,
        count: Count,
        timeout: Seconds,
        interval: Option<Seconds>,
        schedule: String,
        duration: Option<Seconds>,
        seed: Option<Integer>,
        size: Integer,
        keep: Keep,
        timestamps: String,
        precise: bool,
        source: Option<(String, Integer)>,
        ttl: Option<Integer>,
        dscp: Option<Integer>,
    ) -> Result<Self> {
        let options =
            Options { count, timeout, interval, schedule, duration, seed, size, keep, timestamps, precise, source, ttl, dscp };
        Self::make(host, &port, &options, UNREAD)
    }

    /// The (host, port) that the pings go to.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn server(&self) -> PyResult<Address> {
        self.handle.peer()
    }

    /// What was measured since the last start; consistent also while it runs.
    fn report(&self, py: Python<'_>) -> PingReport {
        PingReport::new(self.handle.look(py, |session| session.report()))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let counters = self.handle.look(py, |session| session.counters());
        let what = self.handle.describe(&self.endpoint);
        let (sent, answered) = (counters.sent, counters.answered);
        format!("{what}, to={}, sent={sent}, answered={answered})", self.endpoint)
    }
});

/// Ping a UDP echo server and return the PingReport.
///
/// The arguments are those of PingClient, but all probes are kept unless told otherwise. Blocks
/// until the last probe is decided; Ctrl-C ends it at once.
///
/// Raises ValueError for an argument out of range and for a run without end, OSError where the
/// system refuses the address and socket.gaierror where the host has none.
#[pyfunction]
#[pyo3(
    signature = (
        host, port = Integer::new(12_000), *, count = Count::Unsaid, timeout = Seconds(1.0),
        interval = None, schedule = "periodic".to_owned(), duration = None, seed = None,
        size = Integer::new(0), keep = Keep::All("all".to_owned()),
        timestamps = "receive".to_owned(), precise = false, source = None, ttl = None, dscp = None,
    ),
    text_signature = "(host, port=12000, *, count=10, timeout=1.0, interval=None, \
                      schedule='periodic', duration=None, seed=None, size=0, keep='all', \
                      timestamps='receive', precise=False, source=None, ttl=None, dscp=None)",
)]
#[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
#[expect(clippy::too_many_arguments, reason = "each is an option by name")]
pub(super) fn ping(
    py: Python<'_>,
    host: String,
    port: Integer,
    count: Count,
    timeout: Seconds,
    interval: Option<Seconds>,
    schedule: String,
    duration: Option<Seconds>,
    seed: Option<Integer>,
    size: Integer,
    keep: Keep,
    timestamps: String,
    precise: bool,
    source: Option<(String, Integer)>,
    ttl: Option<Integer>,
    dscp: Option<Integer>,
) -> PyResult<PingReport> {
    let options = Options {
        count,
        timeout,
        interval,
        schedule,
        duration,
        seed,
        size,
        keep,
        timestamps,
        precise,
        source,
        ttl,
        dscp,
    };
    let client = PingClient::make(host, &port, &options, 0)?;
    if client.config.count.is_none() && client.config.duration_ns.is_none() {
        return Err(Error::argument("count", "None", "1 or more where no duration is given").into());
    }
    client.run(py)?;
    client.handle.join(py)?;
    Ok(client.report(py))
}
