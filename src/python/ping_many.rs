//! `ping_many` and `async_ping_many`.

use pyo3::prelude::*;

use crate::driver;
use crate::ping::{MIN_TOKEN_SIZE, Sweep, SweepConfig};
use crate::python::args::{Argument, Int, Remotes, Seconds, number, wrong_value};
use crate::python::handle::{Handle, Waiter, asynchronous};
use crate::python::options::options;
use crate::python::ping_report::PingReport;
use crate::python::wait::interrupted;
use crate::wire::MAX_DATAGRAM;

/// Maximum number of targets of a sweep.
const MAX_TARGETS: usize = 1 << 20;

macro_rules! sweep_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// up to 1,048,576 (host, port) pairs, IPv4 and IPv6 in any order.
        targets: Remotes<MAX_TARGETS>,
        *,
        /// the number of probes to each target, 1 or more. The targets take turns.
        count: Int<u64, 1, { u32::MAX as u64 }> = 3,
        /// the number of probes per second, to all targets together, above 0. Probes delayed by
        /// more than 10 ms by a pause of this host are sent later, not in a burst.
        rate: Rate = 1000.0,
        /// the time to wait for each reply, in seconds.
        timeout: Seconds = 1.0,
        /// the length of a probe's payload in bytes, 64 to 65507.
        size: Int<usize, { MIN_TOKEN_SIZE as u64 }, { MAX_DATAGRAM as u64 }> = 64,
    } };
}

sweep_options!(settings);

/// A rate per second.
struct Rate(f64);

impl Argument for Rate {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a number per second above 0";
        let rate = number(name, given, allowed)?;
        let possible = rate.is_finite() && rate > 0.0;
        if possible { Ok(Self(rate)) } else { Err(wrong_value(name, given, allowed)) }
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.show(py)
    }
}

sweep_options! {
    #[doc = sweep_options!(signature ping_many)]
    /// Pings many UDP echo servers from one socket and one thread. Returns a list of one PingReport
    /// per target, in their order.
    ///
    #[doc = sweep_options!(docs)]
    /// Blocks until the last probe is decided. Ctrl-C ends the call: the `reports` attribute of the
    /// KeyboardInterrupt has the results so far.
    ///
    /// A reply is matched by the token of its target's session, even if it comes from another
    /// address. Refused probes count as lost, because an unconnected socket does not learn of ICMP
    /// errors. Above 2000 probes per second, probes and replies are handled in batches, one per
    /// half millisecond: `rtt` includes that wait, `kernel_rtt` (Linux) does not.
    ///
    /// Raises TypeError if a target is not a pair, ValueError if an argument is out of range,
    /// OSError if the system refuses the socket and socket.gaierror if a host has no address.
    function ping_many = ping_blocking -> PyResult<Vec<PingReport>>
}

sweep_options! {
    #[doc = sweep_options!(signature async_ping_many)]
    /// Pings many UDP echo servers through the running event loop. Returns a list of one PingReport
    /// per target, like `ping_many`.
    ///
    #[doc = sweep_options!(docs)]
    /// No Python thread waits, except while names are resolved. Cancelling stops the probes. Raises
    /// the same errors as `ping_many`.
    function async_ping_many = ping_async -> PyResult<Py<PyAny>>
}

fn ping_blocking(py: Python<'_>, settings: Settings) -> PyResult<Vec<PingReport>> {
    let run = SweepRun::new(settings);
    let finished = run.start(py).and_then(|()| run.finish(py));
    finished.map_err(|error| {
        run.stop(py);
        interrupted(py, error, "reports", run.reports(py))
    })
}

fn ping_async(py: Python<'_>, settings: Settings) -> PyResult<Py<PyAny>> {
    let run = Bound::new(py, SweepRun::new(settings))?;
    Ok(asynchronous("finish", run.as_any())?.unbind())
}

/// A running sweep.
#[pyclass(frozen, name = "_SweepRun", module = "udpulse._core")]
pub(super) struct SweepRun {
    settings: Settings,
    handle: Handle<Sweep>,
}

impl SweepRun {
    fn new(settings: Settings) -> Self {
        Self { settings, handle: Handle::new("ping_many") }
    }

    fn reports(&self, py: Python<'_>) -> Vec<PingReport> {
        let reports = self.handle.look(py, Sweep::take_reports);
        reports.into_iter().map(PingReport::new).collect()
    }
}

#[pymethods]
impl SweepRun {
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        let Settings { targets, count, rate, timeout, size } = &self.settings;
        if targets.0.is_empty() {
            return Ok(());
        }
        self.handle.launch(py, targets.0.iter(), |targets| {
            driver::sweep::start(SweepConfig {
                targets,
                count: count.0,
                rate: rate.0,
                timeout_ns: timeout.ns(),
                size: size.0,
            })
        })
    }

    fn stop(&self, py: Python<'_>) {
        self.handle.stop(py);
    }

    fn _has_names(&self) -> bool {
        self.settings.targets.0.iter().any(|endpoint| endpoint.literal().is_none())
    }

    fn _poll_end(&self, py: Python<'_>, waiter: &Waiter) -> bool {
        self.handle.poll_end(py, waiter)
    }

    /// Waits for the last probe and returns the reports.
    #[pyo3(name = "_finish")]
    fn finish(&self, py: Python<'_>) -> PyResult<Vec<PingReport>> {
        if self.handle.was_started() {
            self.handle.join(py)?;
        }
        Ok(self.reports(py))
    }
}
