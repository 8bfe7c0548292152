//! `PingClient` and `ping`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::driver;
use crate::net::{Endpoint, Family, ProbeOptions, Timestamps};
use crate::ping::{Config, Flows, Schedule};
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

/// How many probes are kept: so many, or what a word says.
pub(super) enum Keep {
    Last(Integer),
    Word(String),
}

impl<'py> FromPyObject<'_, 'py> for Keep {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        object.extract().map(Self::Word).or_else(|_| object.extract().map(Self::Last))
    }
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
    dont_fragment: bool,
    flows: Integer,
    family: Option<Integer>,
}

impl Options {
    /// Through how many source ports.
    fn flows(&self, config: &Config, socket: &ProbeOptions) -> Result<u32> {
        let flows: u32 = self.flows.within("flows", 1..=config.count.unwrap_or(64).min(64))?;
        let port = socket.source.map_or(0, |source| source.port());
        if port > 0 && u32::from(port) + flows > 65_536 {
            let allowed = format!("a port that {} more can follow", flows - 1);
            return Err(Error::argument("source", port, allowed));
        }
        Ok(flows)
    }

    /// Which addresses a name may have.
    fn family(&self) -> Result<Option<Family>> {
        let Some(family) = &self.family else { return Ok(None) };
        match family.value() {
            Some(4) => Ok(Some(Family::V4)),
            Some(6) => Ok(Some(Family::V6)),
            _ => Err(Error::argument("family", family, "4 or 6")),
        }
    }

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
            dont_fragment: self.dont_fragment,
            timestamps,
            precise: self.precise,
        })
    }

    /// What the session does.
    fn session(&self) -> Result<Config> {
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
            Keep::Word(all) if all == "all" => None,
            Keep::Word(other) => {
                let allowed = "0 to 4294967295 or 'all'";
                return Err(Error::argument("keep", format!("'{other}'"), allowed));
            }
        };
        Ok(Config {
            target: ([0, 0, 0, 0], 0).into(), // known once its name is resolved
            count,
            duration_ns,
            schedule,
            start: None, // of all flows at once
            offset_ns: 0,
            timeout_ns: args::duration_ns("timeout", self.timeout)?,
            size: self.size.within("size", 0..=MAX_DATAGRAM as u64)?,
            keep,
            events: UNREAD,
        })
    }
}

/// A UDP ping client: sends numbered probes to a server that echoes them and matches the replies.
///
/// host: the server's address or name; of a name that has both, the IPv4 address is taken unless
///     a family is asked for.
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
/// keep: how many of the last probes the report has as columns, or "all"; 35 bytes each. Each flow
///     keeps its share.
/// timestamps: "receive" uses the kernel's receive stamps for `kernel_rtt` where the platform has
///     them (Linux), "kernel" also its transmit stamps, "user" neither.
/// precise: spins for the last 50 us before each slot and the first 50 us after each probe, which
///     takes some per cent of a core (Linux). Without it a sleep before a slot ends earlier by what
///     the last ones were late in the median, at most 50 us, and what is left is spun.
/// source: the (address, port) to send from; port 0 is any, and so is the address "".
/// ttl: the IPv4 time to live or IPv6 hop limit, 1 to 255.
/// dscp: the differentiated services code point (RFC 2474), 0 to 63.
/// dont_fragment: sends each probe in one piece or not at all (RFC 1191). One longer than the path
///     is known to take is not sent and its verdict send_failed; one that a router finds too long
///     is lost, and this host then knows. False leaves it to the system, which cuts what is too
///     long for its own link. OSError at the start where the platform cannot (Linux can).
/// flows: how many source ports the session is spread over, 1 to 64 and at most `count`: routers
///     choose among equal-cost paths by port. The probes go through them in turns and each flow
///     numbers its own from 1; without an interval each flow waits for its own replies. A source
///     port asked for is the first of as many in a row.
/// family: 4 or 6 takes the address of that family; None takes what there is.
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
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct PingClient {
    endpoint: Endpoint,
    socket: ProbeOptions,
    config: Config,
    flows: u32,
    handle: Handle<Flows>,
}

impl PingClient {
    fn make(host: String, port: &Integer, options: &Options) -> Result<Self> {
        let (socket, config) = (options.socket()?, options.session()?);
        Ok(Self {
            endpoint: Endpoint { family: options.family()?, ..args::remote(host, port)? },
            flows: options.flows(&config, &socket)?,
            socket,
            config,
            handle: Handle::new("PingClient"),
        })
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        self.launch(py, self.config)
    }

    fn launch(&self, py: Python<'_>, config: Config) -> PyResult<()> {
        let start = |target| driver::ping::start(target, &self.socket, config, self.flows);
        self.handle.launch(py, &self.endpoint, start)
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
            dscp = None, dont_fragment = false, flows = Integer::new(1), family = None,
        ),
        text_signature = "(host, port=12000, *, count=10, timeout=1.0, interval=None, \
                          schedule='periodic', duration=None, seed=None, size=0, keep=0, \
                          timestamps='receive', precise=False, source=None, ttl=None, dscp=None, \
                          dont_fragment=False, flows=1, family=None)",
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
        dont_fragment: bool,
        flows: Integer,
        family: Option<Integer>,
    ) -> Result<Self> {
        let options =
            Options { count, timeout, interval, schedule, duration, seed, size, keep, timestamps, precise, source, ttl, dscp, dont_fragment, flows, family };
        Self::make(host, &port, &options)
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
        PingReport::of_flows(self.handle.look(py, |flows| flows.reports()))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let counters = self.handle.look(py, |flows| flows.counters());
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
    signature = (*arguments, **options),
    text_signature = "(host, port=12000, *, count=10, timeout=1.0, interval=None, \
                      schedule='periodic', duration=None, seed=None, size=0, keep='all', \
                      timestamps='receive', precise=False, source=None, ttl=None, dscp=None, \
                      dont_fragment=False, flows=1, family=None)",
)]
pub(super) fn ping(
    py: Python<'_>,
    arguments: &Bound<'_, PyTuple>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<PingReport> {
    let all = PyDict::new(py);
    all.set_item("keep", "all")?;
    if let Some(options) = options {
        all.update(options.as_mapping())?;
    }
    let client = py.get_type::<PingClient>().call(arguments, Some(&all))?;
    let client = client.cast::<PingClient>()?.get();
    if client.config.count.is_none() && client.config.duration_ns.is_none() {
        return Err(Error::argument("count", "None", "1 or more where no duration is given").into());
    }
    // Nobody reads the probes one by one.
    client.launch(py, Config { events: 0, ..client.config })?;
    client.handle.join(py)?;
    Ok(client.report(py))
}
