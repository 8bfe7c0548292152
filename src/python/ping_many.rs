//! `PingSweep`, `ping_many` and `async_ping_many`.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::driver;
use crate::net::{Endpoint, Family};
use crate::ping::{MIN_TOKEN_SIZE, Report, Sweep, SweepConfig, SweepEvent};
use crate::python::args::{Argument, Int, Keep, Remotes, Seconds, number, wrong_value};
use crate::python::handle::{Handle, asynchronous, running_object};
use crate::python::keys::Keys;
use crate::python::options::options;
use crate::python::outages::PingEvent;
use crate::python::ping_client::signer;
use crate::python::ping_report::PingReport;
use crate::python::wait::interrupted;
use crate::wire::MAX_DATAGRAM;
use crate::{Error, Result};

/// Maximum number of targets of a sweep, each once per flow.
const MAX_TARGETS: usize = 1 << 20;

/// Maximum number of probes in the reports that wait for an iterating reader, who gets at least one
/// report of each target: a report may keep a row for each of its probes.
const UNREAD: u64 = 65_536;

/// Maximum number of probes that wait to become lines.
const UNREAD_PROBES: usize = 65_536;

/// How many reports are read together: few enough for a cache, and so that the sweep's threads do not
/// wait long.
const TOGETHER: usize = 64;

macro_rules! table {
    ({ $($more:tt)* } $($part:tt)*) => { options! { { $($part)* }
        /// up to 1,048,576 (host, port) pairs, IPv4 and IPv6 in any order.
        targets: Remotes<MAX_TARGETS>,
        *,
        /// the number of probes to each target in a round, 1 or more. The targets take turns.
        count: Int<u64, 1, { u32::MAX as u64 }> = 3,
        $($more)*
        /// the number of probes per second, to all targets together, above 0 (default: 1000, or the
        /// number of targets divided by `interval`). Probes delayed by more than 10 ms by a pause
        /// of this host are sent later, not in a burst.
        rate: Rate = 1000.0,
        /// the time between two probes to the same target, in seconds, instead of `rate`.
        interval: Option<Seconds> = None,
        /// the time to wait for each reply, in seconds.
        timeout: Seconds = 1.0,
        /// the length of a probe's payload in bytes, 64 to 65507.
        size: Int<usize, { MIN_TOKEN_SIZE as u64 }, { MAX_DATAGRAM as u64 }> = 64,
        /// the Keys, or the path of a file of them, whose first signs probes and verifies replies,
        /// for servers with the same key; None for no authentication. A probe has room for the tag:
        /// `size` or, if that is more, 102 bytes and the length of the key's id.
        keys: Option<Keys> = None,
        /// the number of last probes that a report keeps as columns, or "all"; 36 bytes each. A
        /// call keeps all by default. Flows share the number.
        keep: Keep = 10000,
        /// the number of source ports, 1 to 64 and at most `count`: routers choose among equal-cost
        /// paths by port. The probes to a target take turns over them, and each flow numbers its
        /// own probes from 1. Flows times targets are at most 1,048,576.
        flows: Int<u32, 1, 64> = 1,
        /// the only address family to use, 4 or 6; None for any.
        family: Option<Family> = None,
        /// the time after which the name of a target is looked up again, in seconds; None for only
        /// while it does not answer: then after 1 s, 2 s and so on up to 60 s in any case. Lookups
        /// happen when a probe is due.
        resolve_every: Option<Seconds> = 60.0,
    } };
}

macro_rules! call_options {
    ($($part:tt)*) => { table! { {} $($part)* } };
}

macro_rules! sweep_options {
    ($($part:tt)*) => { table! { {
        /// the number of rounds, 1 or more; None for no limit. The rate is the same within a round
        /// and between two.
        rounds: Option<Rounds> = 1,
    } $($part)* } };
}

sweep_options!(settings);

/// A number of rounds.
type Rounds = Int<u64, 1, { u32::MAX as u64 }>;

/// A number of probes per second.
#[derive(Clone, Copy)]
enum Rate {
    /// Not given.
    Default(f64),
    Given(f64),
}

impl Rate {
    fn per_second(self) -> f64 {
        match self {
            Self::Default(rate) | Self::Given(rate) => rate,
        }
    }
}

impl Argument for Rate {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a number per second above 0";
        let rate = number(name, given, allowed)?;
        let possible = rate.is_finite() && rate > 0.0;
        if possible { Ok(Self::Given(rate)) } else { Err(wrong_value(name, given, allowed)) }
    }

    fn read_default(name: &'static str, default: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::read(name, default).map(|rate| Self::Default(rate.per_second()))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.per_second().into_bound_py_any(py)
    }
}

impl Settings {
    /// Returns the number of probes per second, to all targets together.
    fn rate(&self) -> Result<f64> {
        match (self.rate, self.interval) {
            (Rate::Given(rate), Some(_)) => {
                Err(Error::argument("rate", rate, "left out if interval is given"))
            }
            (rate, None) => Ok(rate.per_second()),
            #[expect(clippy::cast_precision_loss, reason = "at most a million")]
            (Rate::Default(_), Some(Seconds(interval))) => {
                Ok(self.targets.0.len().max(1) as f64 / interval)
            }
        }
    }

    /// Returns how many reports may wait for a reader.
    fn unread(&self) -> usize {
        let reports = usize::try_from(UNREAD / self.count.0).unwrap_or(usize::MAX);
        reports.max(self.targets.0.len()).max(1)
    }

    fn check_flows(&self) -> Result<()> {
        let most = MAX_TARGETS / self.targets.0.len().max(1);
        let most = self.count.0.min(most as u64);
        if u64::from(self.flows.0) > most {
            return Err(Error::argument("flows", self.flows.0, format!("1 to {most}")));
        }
        Ok(())
    }
}

#[doc = sweep_options!(signature PingSweep)]
/// Pings many UDP echo servers at one common rate, in rounds, from one socket and one thread.
///
#[doc = sweep_options!(docs)]
/// Iterating yields a PingReport as each target finishes its round: when all `count` probes are
/// decided. It ends with the last. A round covers only its own probes, numbered from 1: a reply
/// that comes when the target's next round has started and its own round is decided is foreign in
/// the later one. A round may start before the last one of the same target is decided.
///
/// A reply must have the token of its target's round and come from the target's address: with the
/// token from another address, or without it from this address, it is foreign. Above 2000 probes
/// per second, probes and replies are handled in batches, one per half millisecond: `rtt` includes
/// that wait, `kernel_rtt` (Linux) does not.
///
/// A target whose name has no address is looked up again; its probes are "send_failed" until it has
/// one, and `unresolved` says why.
///
/// Raises ValueError if an argument is out of range, or if both rate and interval are given.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct PingSweep {
    settings: Settings,
    /// Whether somebody may iterate.
    iterable: bool,
    pub(super) handle: Handle<Sweep>,
}

sweep_options!(class PingSweep);
running_object!(PingSweep: Item);

/// An item of an iteration: a report, and probes only of a sweep whose events become lines.
#[derive(IntoPyObject)]
pub(super) enum Item {
    Report(PingReport),
    Event(PingEvent),
}

impl From<SweepEvent> for Item {
    fn from(event: SweepEvent) -> Self {
        match event {
            SweepEvent::Finished { reports, .. } => Self::Report(PingReport::of_flows(reports)),
            SweepEvent::Probe { flow, event, .. } => Self::Event((flow, event).into()),
        }
    }
}

impl PingSweep {
    fn make(mut settings: Settings) -> PyResult<Self> {
        settings.check_flows()?;
        signer(settings.keys.as_ref())?;
        settings.rate = Rate::Default(settings.rate()?);
        for target in &mut settings.targets.0 {
            target.family = settings.family;
        }
        Ok(Self { settings, iterable: true, handle: Handle::new("PingSweep") })
    }

    /// Creates a sweep for a call that only returns reports.
    fn for_call(mut settings: Settings) -> PyResult<Self> {
        if let Keep::Default(_) = settings.keep {
            settings.keep = Keep::All;
        }
        Ok(Self { iterable: false, ..Self::make(settings)? })
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.settings.targets.0.iter()
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let Settings { count, rounds, rate, timeout, size, keep, flows, .. } = &self.settings;
        let resolve_every_ns = self.settings.resolve_every.map(Seconds::ns);
        let endpoints = &self.settings.targets.0;
        let probes = self.handle.is_recorded();
        let key = signer(self.settings.keys.as_ref())?;
        self.handle.launch_any(py, endpoints, |found| {
            let config = SweepConfig {
                targets: Vec::new(), // set after name resolution
                dual: false,
                count: count.0,
                rounds: rounds.map(|rounds| rounds.0),
                rate: rate.per_second(),
                timeout_ns: timeout.ns(),
                size: size.0,
                key,
                flows: flows.0,
                keep: keep.rows(),
                probes,
                events: match self.iterable {
                    true if probes => self.settings.unread() + UNREAD_PROBES,
                    true => self.settings.unread(),
                    false => 0,
                },
            };
            driver::sweep::start(endpoints, found, resolve_every_ns, config)
        })
    }

    /// Returns the reports that `look` returns for each target, whose number it gets.
    fn gather(
        &self,
        py: Python<'_>,
        look: impl Fn(&mut Sweep, usize) -> Vec<Report> + Sync,
    ) -> PyResult<Vec<Py<PingReport>>> {
        let all = self.settings.targets.0.len();
        let mut reports = Vec::with_capacity(all);
        for first in (0..all).step_by(TOGETHER) {
            let targets = first..all.min(first + TOGETHER);
            let look =
                |sweep: &mut Sweep| targets.clone().map(|target| look(sweep, target)).collect();
            let mut part: Vec<_> = self.handle.look(py, look);
            part.resize(targets.len(), Vec::new());
            for flows in part {
                reports.push(Py::new(py, PingReport::of_flows(flows))?);
            }
        }
        Ok(reports)
    }

    /// Ends the sweep and returns the reports.
    fn take_reports(&self, py: Python<'_>) -> PyResult<Vec<Py<PingReport>>> {
        self.gather(py, Sweep::take_reports)
    }
}

#[pymethods]
impl PingSweep {
    /// Returns one PingReport per target, in their order, of its last round, which may be in
    /// progress. Each is consistent even while the sweep runs; that of a target that was not pinged
    /// yet is empty.
    fn reports(&self, py: Python<'_>) -> PyResult<Vec<Py<PingReport>>> {
        let ended = !self.handle.is_running();
        self.gather(py, |sweep, target| sweep.reports(target, ended))
    }

    /// Waits for the last probe and returns the reports.
    #[pyo3(name = "_finish")]
    fn finish(&self, py: Python<'_>) -> PyResult<Vec<Py<PingReport>>> {
        self.handle.join(py)?;
        self.take_reports(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (what, changed) = (self.handle.describe(None), self.changed(py)?);
        Ok(format!("{what}, targets={}{changed})", self.settings.targets.0.len()))
    }
}

call_options! {
    #[doc = call_options!(signature ping_many)]
    /// Pings many UDP echo servers, like PingSweep, and returns a list of one PingReport per target,
    /// in their order.
    ///
    #[doc = call_options!(docs)]
    /// Blocks until the last probe is decided. Ctrl-C ends the call: the `reports` attribute of the
    /// KeyboardInterrupt has the results so far.
    ///
    /// Raises TypeError if a target is not a pair, ValueError if an argument is out of range or if
    /// both rate and interval are given, and OSError if the system refuses the socket. A host
    /// without an address raises nothing: its probes are "send_failed", and `unresolved` says why.
    function ping_many = ping_blocking -> PyResult<Vec<Py<PingReport>>>, rounds = Some(Int(1))
}

call_options! {
    #[doc = call_options!(signature async_ping_many)]
    /// Pings many UDP echo servers through the running event loop. Returns a list of one PingReport
    /// per target, like `ping_many`.
    ///
    #[doc = call_options!(docs)]
    /// No Python thread waits, except while names are resolved. Cancelling stops the probes. Raises
    /// the same errors as `ping_many`.
    function async_ping_many = ping_async -> PyResult<Py<PyAny>>, rounds = Some(Int(1))
}

fn ping_blocking(py: Python<'_>, settings: Settings) -> PyResult<Vec<Py<PingReport>>> {
    let sweep = PingSweep::for_call(settings)?;
    let finished = sweep.run(py).and_then(|()| sweep.finish(py));
    finished.map_err(|error| {
        sweep.handle.stop(py);
        match sweep.take_reports(py) {
            Ok(reports) => interrupted(py, error, "reports", reports),
            Err(error) => error,
        }
    })
}

fn ping_async(py: Python<'_>, settings: Settings) -> PyResult<Py<PyAny>> {
    let sweep = Bound::new(py, PingSweep::for_call(settings)?)?;
    Ok(asynchronous("finish", sweep.as_any())?.unbind())
}
