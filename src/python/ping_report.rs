//! What a ping session gives to Python: probes and reports.

use numpy::{Element, IntoPyArray};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::ping::{Flows, Report, Verdict};
use crate::python::value::value;
use crate::{Error, Result, seconds, stats};

/// The verdicts in the order of their numbers in stored columns: new ones are appended.
pub(super) const VERDICTS: [&str; 6] =
    ["answered", "late", "lost", "pending", "refused", "send_failed"];

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    VERDICTS[verdict as usize]
}

value! {
    /// A probe that was decided.
    Probe in "udpulse" {
        /// Its number in its flow, from 1.
        seq: u64,
        /// What became of it: "answered" in time, "lost" (no reply in time), "refused" (no reply,
        /// and ICMP said that nothing listens on the port or that the host cannot be reached) or
        /// "send_failed" (this host could not send it).
        verdict: &'static str,
        /// The round-trip time in seconds (RFC 2681), from a clock that never steps; None without
        /// a reply in time.
        rtt: Option<f64>,
        /// The payload of the reply, at most 1024 bytes of it; None without one in time.
        reply: Option<Vec<u8>>,
        /// When it was sent, in seconds since the Unix epoch.
        sent_at: f64,
        /// The round-trip time by the kernel's stamps, in seconds: without the time that this host
        /// took to wake the program. None without such a stamp.
        kernel_rtt: Option<f64>,
        /// Which of the session's flows it went through, from 0.
        flow: u64,
    }
}

impl From<(usize, crate::ping::Probe)> for Probe {
    fn from((flow, probe): (usize, crate::ping::Probe)) -> Self {
        Self {
            seq: probe.seq,
            verdict: verdict(probe.verdict),
            rtt: probe.rtt_ns.map(seconds),
            reply: probe.reply.map(Vec::from),
            sent_at: seconds(probe.sent_at.wall_ns),
            kernel_rtt: probe.kernel_rtt_ns.map(seconds),
            flow: flow as u64,
        }
    }
}

value! {
    /// Lengths of runs of consecutive probes. A run that goes on counts with its length so far.
    Runs in "udpulse.reports" {
        /// How many runs.
        count: u64,
        /// Their mean length; None without any.
        mean: Option<f64>,
        /// The longest; None without any.
        max: Option<u64>,
    }
}

impl From<&stats::Runs> for Runs {
    fn from(runs: &stats::Runs) -> Self {
        Self { count: runs.count, mean: runs.mean(), max: runs.max }
    }
}

/// The distribution of durations, in seconds. Count, minimum, mean, standard deviation and maximum
/// are exact, percentiles to 0.1 % (an HDR histogram with three digits).
#[pyclass(frozen, eq, module = "udpulse.reports")]
#[derive(Clone, PartialEq)]
pub(super) struct Distribution(stats::Distribution);

#[pymethods]
impl Distribution {
    /// How many.
    #[getter]
    fn count(&self) -> u64 {
        self.0.count()
    }

    /// The smallest; None without any.
    #[getter]
    fn min(&self) -> Option<f64> {
        self.0.min_ns().map(seconds)
    }

    /// The arithmetic mean; None without any.
    #[getter]
    fn mean(&self) -> Option<f64> {
        self.0.mean_ns().map(|ns| ns / 1e9)
    }

    /// The 50th percentile; None without any.
    #[getter]
    fn median(&self) -> Option<f64> {
        self.0.percentile_ns(50.0).map(seconds)
    }

    /// The 99th percentile; None of fewer than 100.
    #[getter]
    fn p99(&self) -> Option<f64> {
        self.0.percentile_ns(99.0).map(seconds)
    }

    /// The largest; None without any.
    #[getter]
    fn max(&self) -> Option<f64> {
        self.0.max_ns().map(seconds)
    }

    /// The sample standard deviation (n - 1); None of fewer than two.
    #[getter]
    fn stddev(&self) -> Option<f64> {
        self.0.stddev_ns().map(|ns| ns / 1e9)
    }

    /// The smallest value that at least `percent` of the values do not exceed (nearest rank).
    ///
    /// None where fewer than one value is expected beyond it: p99.9 needs 1000. 0 is the minimum
    /// and 100 the maximum.
    ///
    /// Raises ValueError for what is not from 0 to 100.
    fn percentile(&self, percent: f64) -> Result<Option<f64>> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(Error::number("percent", percent, "0 to 100"));
        }
        Ok(self.0.percentile_ns(percent).map(seconds))
    }

    fn __repr__(&self) -> String {
        let text = |value: Option<f64>| value.map_or("None".to_owned(), |v| format!("{v:?}"));
        let [min, mean, median, max] =
            [self.min(), self.mean(), self.median(), self.max()].map(text);
        let count = self.count();
        format!("Distribution(count={count}, min={min}, mean={mean}, median={median}, max={max})")
    }
}

/// What a ping session measured. At every moment
/// sent = answered + late + lost + refused + send_failed + pending (probes) and
/// received = answered + late + duplicates + corrupt + foreign (datagrams).
///
/// Reports add: `a + b` is the report of both sessions. Times are in seconds.
#[pyclass(frozen, eq, module = "udpulse")]
pub(super) struct PingReport {
    report: Report,
    /// Where there are several.
    flows: Vec<Report>,
    columns: PyOnceLock<Py<PyDict>>,
}

impl PingReport {
    pub(super) fn new(report: Report) -> Self {
        Self { report, flows: Vec::new(), columns: PyOnceLock::new() }
    }

    /// The report of a session of which each flow has one.
    pub(super) fn of_flows(mut flows: Vec<Report>) -> Self {
        let report = Flows::total(&flows);
        if flows.len() == 1 {
            flows.clear();
        }
        Self { flows, ..Self::new(report) }
    }
}

impl PartialEq for PingReport {
    fn eq(&self, other: &Self) -> bool {
        self.report == other.report && self.flows == other.flows
    }
}

#[pymethods]
impl PingReport {
    /// The report of each flow, in order of their numbers, of a session over several; empty of a
    /// session over one and of a sum.
    #[getter]
    fn flows(&self) -> Vec<Self> {
        self.flows.iter().cloned().map(Self::new).collect()
    }

    /// Probes sent.
    #[getter]
    fn sent(&self) -> u64 {
        self.report.counters.sent
    }

    /// Probes answered within the timeout.
    #[getter]
    fn answered(&self) -> u64 {
        self.report.counters.answered
    }

    /// Probes answered after it.
    #[getter]
    fn late(&self) -> u64 {
        self.report.counters.late
    }

    /// Probes not answered, and no reason known.
    #[getter]
    fn lost(&self) -> u64 {
        self.report.counters.lost
    }

    /// Probes not answered because nothing listens on the port or nothing leads to the host (ICMP
    /// port, host and network unreachable).
    #[getter]
    fn refused(&self) -> u64 {
        self.report.counters.refused
    }

    /// Probes that this host could not send.
    #[getter]
    fn send_failed(&self) -> u64 {
        self.report.counters.send_failed
    }

    /// Probes whose time is not up.
    #[getter]
    fn pending(&self) -> u64 {
        self.report.counters.pending
    }

    /// Datagrams that came in.
    #[getter]
    fn received(&self) -> u64 {
        self.report.counters.received
    }

    /// Further replies to a probe that had one (RFC 5560).
    #[getter]
    fn duplicates(&self) -> u64 {
        self.report.counters.duplicates
    }

    /// Replies whose content is not what was sent: to a probe remembered, or with the session's token.
    #[getter]
    fn corrupt(&self) -> u64 {
        self.report.counters.corrupt
    }

    /// All other datagrams: those that do not know the token, and replies to probes forgotten.
    #[getter]
    fn foreign(&self) -> u64 {
        self.report.counters.foreign
    }

    /// The share, 0 to 1, of the probes decided that had no answer in time (round-trip loss, RFC
    /// 6673; what comes after the timeout is lost, RFC 2680 section 2.4); None before any is
    /// decided.
    #[getter]
    fn loss(&self) -> Option<f64> {
        self.report.counters.loss()
    }

    /// The 95 % confidence interval of the loss (Wilson 1927, no continuity correction); None
    /// before any is decided.
    #[getter]
    fn loss_interval(&self) -> Option<(f64, f64)> {
        self.report.counters.loss_interval()
    }

    /// Runs of probes sent one after the other that had no answer in time (loss periods, RFC 3357).
    #[getter]
    fn loss_bursts(&self) -> Runs {
        (&self.report.loss_runs.bursts).into()
    }

    /// Runs of probes sent one after the other that were answered in time.
    #[getter]
    fn loss_gaps(&self) -> Runs {
        (&self.report.loss_runs.gaps).into()
    }

    /// Round-trip times (RFC 2681) of the probes answered in time, as this program saw them.
    #[getter]
    fn rtt(&self) -> Distribution {
        Distribution(self.report.rtt.clone())
    }

    /// The same up to the kernel's receive stamps, and with timestamps="kernel" from its departure
    /// stamps: without the time that this host took to wake the program. Empty where the platform
    /// gives no such stamps.
    #[getter]
    fn kernel_rtt(&self) -> Distribution {
        Distribution(self.report.kernel_rtt.clone())
    }

    /// What is in `rtt` and not in `kernel_rtt`: this host's own scheduling noise.
    #[getter]
    fn overhead(&self) -> Distribution {
        Distribution(self.report.overhead.clone())
    }

    /// The stamps that were had: "kernel" where replies carry the kernel's, else "user".
    #[getter]
    fn timestamps(&self) -> &'static str {
        if self.report.kernel_rtt.count() > 0 { "kernel" } else { "user" }
    }

    /// How far after its slot in the schedule each probe was sent. Empty for stop-and-wait.
    #[getter]
    fn schedule_error(&self) -> Distribution {
        Distribution(self.report.schedule_error.clone())
    }

    /// Slots of the schedule that had passed when this program woke: nothing was sent in them.
    #[getter]
    fn missed(&self) -> u64 {
        self.report.missed
    }

    /// The mean absolute inter-packet delay variation (RFC 3393), over pairs of probes sent one
    /// after the other that were both answered in time; None without such a pair.
    #[getter]
    fn ipdv_abs_mean(&self) -> Option<f64> {
        self.report.variation.ipdv_abs_mean_ns().map(|ns| ns / 1e9)
    }

    /// The interarrival jitter of RFC 3550 section 6.4.1 over round trips: absolute differences in
    /// order of arrival, smoothed with gain 1/16 from 0; None of fewer than two.
    #[getter]
    fn rfc3550_jitter(&self) -> Option<f64> {
        self.report.variation.rfc3550_jitter_ns().map(|ns| ns / 1e9)
    }

    /// The 95th percentile of the packet delay variation (RFC 5481 section 4.2), the distance to
    /// the smallest round-trip time; None of fewer than 20.
    #[getter]
    fn pdv_p95(&self) -> Option<f64> {
        self.report.pdv_p95_ns().map(seconds)
    }

    /// Replies that came after one to a probe sent later (RFC 4737 section 3.3).
    #[getter]
    fn reordered(&self) -> u64 {
        self.report.reordering.reordered()
    }

    /// Their share of all probes that had a reply (RFC 4737 section 4.1); None without any.
    #[getter]
    fn reorder_ratio(&self) -> Option<f64> {
        self.report.reordering.ratio()
    }

    /// The largest reordering extent, in packets (RFC 4737 section 4.2); None without any.
    #[getter]
    fn reorder_extent(&self) -> Option<u64> {
        self.report.reordering.max_extent()
    }

    /// How often the wall clock stepped (by 10 ms or more). It changes no round-trip time.
    #[getter]
    fn wall_steps(&self) -> u64 {
        self.report.wall_steps.count
    }

    /// By how much in total, negative where it went back.
    #[getter]
    fn wall_step_total(&self) -> f64 {
        seconds(self.report.wall_steps.total_ns)
    }

    /// Datagrams that this host dropped because the socket's receive queue was full; 0 also where
    /// the platform does not tell.
    #[getter]
    fn receive_drops(&self) -> u64 {
        self.report.receive_drops
    }

    /// When the session started, in seconds since the Unix epoch; of a sum, the first of them. None
    /// before the first probe.
    #[getter]
    fn started_at(&self) -> Option<f64> {
        self.report.started_ns.map(seconds)
    }

    /// How many probes are not kept: no longer, or never (see `keep`).
    #[getter]
    fn rows_dropped(&self) -> u64 {
        self.report.rows_dropped()
    }

    /// The probes kept, as a dict of read-only NumPy arrays of equal length: one row per probe, in send
    /// order (36 bytes per probe; see `keep`). The first call gathers them and hands their memory to
    /// NumPy without a copy; later ones return the same arrays.
    ///
    /// seq: uint64, from 1 in each flow.
    /// flow: uint8, from 0.
    /// sent_at_ns: int64, nanoseconds since `started_at` on a clock that does not step.
    /// rtt_ns, kernel_rtt_ns: float64, nan without a reply or a stamp.
    /// verdict: uint8, an index into `VERDICTS`.
    /// size: uint16, the payload sent, in bytes.
    ///
    /// A late reply has a round-trip time here, and is not in `rtt`. The replies in time are
    ///
    ///     columns["rtt_ns"][columns["verdict"] == udpulse.VERDICTS.index("answered")]
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let columns = self.columns.get_or_try_init(py, || {
            let columns = self.report.columns();
            let dict = PyDict::new(py);
            dict.set_item("seq", array(py, columns.seq)?)?;
            dict.set_item("flow", array(py, columns.flow)?)?;
            dict.set_item("sent_at_ns", array(py, columns.sent_at_ns)?)?;
            dict.set_item("rtt_ns", array(py, columns.rtt_ns)?)?;
            dict.set_item("kernel_rtt_ns", array(py, columns.kernel_rtt_ns)?)?;
            dict.set_item("verdict", array(py, columns.verdict)?)?;
            dict.set_item("size", array(py, columns.size)?)?;
            PyResult::Ok(dict.unbind())
        })?;
        columns.bind(py).copy()
    }

    fn __add__(&self, other: &Self) -> Self {
        let mut report = self.report.clone();
        report += &other.report;
        Self::new(report)
    }

    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["sent", "answered", "late", "lost", "refused", "send_failed", "pending"])
    }

    fn __repr__(&self) -> String {
        let counters = self.report.counters;
        let loss = counters.loss().map_or("None".to_owned(), |loss| format!("{loss:?}"));
        format!(
            "PingReport(sent={}, answered={}, late={}, lost={}, refused={}, send_failed={}, \
             pending={}, received={}, duplicates={}, corrupt={}, foreign={}, loss={loss}, rtt={})",
            counters.sent,
            counters.answered,
            counters.late,
            counters.lost,
            counters.refused,
            counters.send_failed,
            counters.pending,
            counters.received,
            counters.duplicates,
            counters.corrupt,
            counters.foreign,
            self.rtt().__repr__(),
        )
    }
}

/// A read-only array that takes over the memory of `column`.
fn array<T: Element>(py: Python<'_>, column: Vec<T>) -> PyResult<Bound<'_, PyAny>> {
    let array = column.into_pyarray(py);
    array.call_method1("setflags", (false,))?;
    Ok(array.into_any())
}
