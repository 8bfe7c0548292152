//! `PingReport`.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::IpAddr;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyInt, PyTuple};

use crate::error::reason;
use crate::packed::{pack, unpack};
use crate::ping::{Counters, Directions, Flows, Report, Row, Verdict, describe};
use crate::python::args::{Int, items, wrong_type};
use crate::python::directions::{Direction, Interval, ReflectorClock, ReflectorTraits};
use crate::python::distribution::{Distribution, Runs};
use crate::python::json::{Items, Members, Object};
use crate::python::options::{Given, given};
use crate::python::outages::{Outage, Pause};
use crate::python::path::{AddressChange, HeaderField};
use crate::python::probe::Probe;
use crate::python::report_line::describe_report;
use crate::python::table::{Table, arrow_stream, codes, durations, times};
use crate::python::value::{Address, Pickle, address, attributes, pickle, value};
use crate::seconds;
use crate::wire::MAX_DATAGRAM;

/// Maximum number of probes of `from_probes`.
const MAX_PROBES: usize = 1 << 24;

/// The most reasons of a kind in a summary.
const SHOWN_REASONS: usize = 3;

value! {
    /// Probes by verdict: sent = answered + late + lost + refused + unreachable + send_failed.
    PingCounters in "udpulse.reports" {
        *,
        /// Probes handed to the system.
        sent: u64 = 0,
        /// Probes answered within the timeout.
        answered: u64 = 0,
        /// Probes answered after the timeout.
        late: u64 = 0,
        /// Probes not answered, for no known reason.
        lost: u64 = 0,
        /// Probes not answered after an ICMP port unreachable.
        refused: u64 = 0,
        /// Probes not answered after another ICMP error.
        unreachable: u64 = 0,
        /// Probes that this host could not send.
        send_failed: u64 = 0,
    }
}

/// The results of a ping session. At every moment
/// sent = answered + late + lost + refused + unreachable + send_failed + pending (probes) and
/// received = answered + late + duplicates + corrupt + foreign (datagrams).
///
/// Reports add: `a + b` covers both sessions, `sum(reports)` all of them. `print(report)` shows a
/// summary. `PingReport()` is empty; `PingReport.from_probes` builds a report from probes. Times
/// are in seconds unless a name says otherwise.
#[pyclass(frozen, eq, weakref, module = "udpulse")]
pub(super) struct PingReport {
    /// The whole, then the report of each flow if there are several. In a box: a sweep makes
    /// thousands, which are not copied from place to place.
    reports: Box<[Report]>,
    columns: PyOnceLock<Py<PyDict>>,
}

arrow_stream!(PingReport);

impl PingReport {
    const ATTRIBUTES: &[&str] = &[
        "sent",
        "answered",
        "late",
        "lost",
        "refused",
        "unreachable",
        "send_failed",
        "pending",
        "received",
        "duplicates",
        "corrupt",
        "foreign",
        "guessed",
        "loss",
        "loss_interval",
        "loss_bursts",
        "loss_gaps",
        "outages",
        "outage_count",
        "outage_total",
        "settled",
        "rtt",
        "kernel_rtt",
        "overhead",
        "timestamps",
        "schedule_error",
        "missed",
        "ipdv_abs_mean",
        "rfc3550_jitter",
        "pdv_p95",
        "reordered",
        "reorder_ratio",
        "reorder_extent",
        "wall_steps",
        "wall_step_total",
        "paused",
        "paused_total",
        "pauses",
        "receive_drops",
        "started_at",
        "rows_dropped",
        "target",
        "address",
        "unresolved",
        "reasons",
        "send_errors",
        "foreign_sources",
        "path_mtu",
        "reply_ttl",
        "reply_tos",
        "changes",
        "change_count",
        "forward",
        "reverse",
        "unattributed",
        "residence",
        "reflector",
        "clock",
        "hint",
        "flows",
    ];

    pub(super) fn new(report: Report) -> Self {
        Self { reports: [report].into(), columns: PyOnceLock::new() }
    }

    /// Returns the report of all flows.
    pub(super) fn report(&self) -> &Report {
        &self.reports[0]
    }

    /// Returns the report of each flow; none for one flow.
    fn flow_reports(&self) -> &[Report] {
        &self.reports[1..]
    }

    /// Creates the report of a session from the reports of its flows.
    pub(super) fn of_flows(mut flows: Vec<Report>) -> Self {
        if flows.len() != 1 {
            flows.insert(0, Flows::total(&flows));
        }
        Self { reports: flows.into(), columns: PyOnceLock::new() }
    }

    fn rows(&self, py: Python<'_>) -> Table {
        let columns = py.detach(|| self.report().columns());
        let mut table = Table::new(columns.seq.len(), self.report().started_ns.unwrap_or_default());
        table.add("seq", columns.seq);
        table.add("flow", columns.flow);
        table.add("sent_at", times(columns.sent_ns));
        table.add_optional("rtt", durations(columns.rtt_ns));
        table.add_optional("kernel_rtt", durations(columns.kernel_rtt_ns));
        table.add("verdict", codes::<Verdict>(columns.verdict));
        table.add("size", columns.size);
        table
    }

    /// Adds the attributes to a line; times count from `start_ns`.
    pub(super) fn describe(&self, start_ns: i64, line: &mut Object<'_>) {
        describe_report(self.report(), start_ns, line);
        let flow =
            |report| Members(move |flow: &mut Object<'_>| describe_report(report, start_ns, flow));
        line.add("hint", self.hint()).add("flows", Items(self.flow_reports().iter().map(flow)));
    }
}

/// Returns a host and a port as text.
pub(super) fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Returns the source of timestamps.
pub(super) fn timestamps(report: &Report) -> &'static str {
    if report.kernel_rtt.count() > 0 { "kernel" } else { "user" }
}

impl PartialEq for PingReport {
    fn eq(&self, other: &Self) -> bool {
        self.reports == other.reports
    }
}

#[pymethods]
impl PingReport {
    #[new]
    fn empty() -> Self {
        Self::new(Report::default())
    }

    /// Returns the report of the given probes, for tests of programs that use reports. Each reply
    /// counts once; attributes that probes do not determine are 0, empty or None.
    ///
    /// probes: at most 16,777,216 Probe objects in any order; a number occurs once per flow.
    /// size: the length of each probe's payload, 0 to 65507 bytes.
    ///
    /// Raises ValueError if a probe contradicts itself, such as one answered without an rtt, or if
    /// a number occurs twice in a flow; TypeError for an item that is not a Probe.
    #[staticmethod]
    #[pyo3(signature = (probes, *, size = given!(64)), text_signature = "(probes, *, size=64)")]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn from_probes(probes: &Bound<'_, PyAny>, size: Given<'_>) -> PyResult<Self> {
        let py = probes.py();
        let Int::<u16, 0, { MAX_DATAGRAM as u64 }>(size) = size.read(py, "size")?;
        let (name, allowed) = ("probes", "Probe objects");
        let rows = items(name, probes, MAX_PROBES, allowed, |probe| {
            let probe = probe.cast::<Probe>().map_err(|_| wrong_type(name, probe, allowed))?;
            let (flow, row) = probe.get().row(size)?;
            Ok((flow, row, probe.get().guessed))
        })?;
        let mut flows = BTreeMap::<_, (Vec<Row>, u64)>::new();
        for (flow, row, guessed) in rows {
            let (rows, guesses) = flows.entry(flow).or_default();
            rows.push(row);
            *guesses += u64::from(guessed);
        }
        let mut reports = Vec::new();
        for (flow, (mut rows, guessed)) in flows {
            rows.sort_by_key(|row| (row.sent_ns, row.seq));
            let numbers: HashSet<_> = rows.iter().map(|row| row.seq).collect();
            if numbers.len() < rows.len() {
                let text = format!("each number of flow {flow} must occur once");
                return Err(PyValueError::new_err(text));
            }
            let mut report = Report::of_probes(flow, &rows);
            report.counters.guessed = guessed;
            reports.push(report);
        }
        Ok(Self::of_flows(reports))
    }

    /// The report of each flow, a tuple in order of flow numbers; empty for a session of one flow
    /// and for a sum.
    #[getter]
    fn flows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.flow_reports().iter().cloned().map(Self::new))
    }

    /// Probes handed to the system.
    #[getter]
    fn sent(&self) -> u64 {
        self.report().counters.sent
    }

    /// Probes answered within the timeout.
    #[getter]
    fn answered(&self) -> u64 {
        self.report().counters.answered
    }

    /// Those of the answered probes whose reply has no number, so that it was attributed to the only
    /// pending probe: each may be the late reply to an earlier one.
    #[getter]
    fn guessed(&self) -> u64 {
        self.report().counters.guessed
    }

    /// Probes answered after the timeout.
    #[getter]
    fn late(&self) -> u64 {
        self.report().counters.late
    }

    /// Probes not answered, for no known reason.
    #[getter]
    fn lost(&self) -> u64 {
        self.report().counters.lost
    }

    /// Probes not answered after an ICMP port unreachable: nothing listens there. On other systems
    /// than Linux, a probe of a sweep is lost instead.
    #[getter]
    fn refused(&self) -> u64 {
        self.report().counters.refused
    }

    /// Probes not answered after another ICMP error, such as host unreachable, time exceeded or too
    /// big; `reasons` has the details. Linux only; 0 elsewhere.
    #[getter]
    fn unreachable(&self) -> u64 {
        self.report().counters.unreachable
    }

    /// Probes that this host could not send.
    #[getter]
    fn send_failed(&self) -> u64 {
        self.report().counters.send_failed
    }

    /// Probes that still wait for a reply.
    #[getter]
    fn pending(&self) -> u64 {
        self.report().counters.pending
    }

    /// Datagrams received.
    #[getter]
    fn received(&self) -> u64 {
        self.report().counters.received
    }

    /// Replies to a probe that already had one (RFC 5560).
    #[getter]
    fn duplicates(&self) -> u64 {
        self.report().counters.duplicates
    }

    /// Damaged replies: they carry the session's token or resemble a probe, and are not the probe as
    /// sent or all in upper case.
    #[getter]
    fn corrupt(&self) -> u64 {
        self.report().counters.corrupt
    }

    /// All other datagrams: without the token, or replies to forgotten probes.
    #[getter]
    fn foreign(&self) -> u64 {
        self.report().counters.foreign
    }

    /// The share, 0 to 1, of decided probes without an answer in time; None before any is decided.
    /// This is round-trip loss (RFC 6673); a reply after the timeout counts as lost (RFC 2680
    /// section 2.6).
    #[getter]
    fn loss(&self) -> Option<f64> {
        self.report().counters.loss()
    }

    /// The 95 % confidence interval of the loss, a (low, high) pair of shares; None before any
    /// probe is decided.
    ///
    /// It is Wilson's interval (1927, no continuity correction), unless a G test of the transitions
    /// between neighbouring probes rejects independent losses at the 5 % level. Then losses are
    /// modelled as a two-state Markov chain (Gilbert 1960) with correlation L: n probes count as
    /// n (1 - L) / (1 + L) independent ones, and the quantile is Student's, with a degree of freedom
    /// for each change between answered and not answered.
    #[getter]
    fn loss_interval(&self) -> Option<(f64, f64)> {
        self.report().loss_interval()
    }

    /// Runs of consecutive probes without an answer in time (loss periods, RFC 3357).
    #[getter]
    fn loss_bursts(&self) -> Runs {
        (&self.report().loss_runs.bursts).into()
    }

    /// Runs of consecutive probes answered in time.
    #[getter]
    fn loss_gaps(&self) -> Runs {
        (&self.report().loss_runs.gaps).into()
    }

    /// The outages: each run of at least 3 consecutive probes of a flow without an answer in time,
    /// or as many as `outage_after` says. A tuple of the last 1000 in order of their starts. A probe
    /// that may still be answered in time is in none.
    #[getter]
    fn outages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let outages: Vec<_> = self.report().outages.listed.iter().map(Outage::from).collect();
        PyTuple::new(py, outages)
    }

    /// The number of outages; those no longer in `outages` included.
    #[getter]
    fn outage_count(&self) -> u64 {
        self.report().outages.count
    }

    /// The sum of the durations of all outages, in seconds: of one that lasts, up to its last probe.
    #[getter]
    fn outage_total(&self) -> f64 {
        seconds(self.report().outages.total_ns)
    }

    /// The probes that no reply can revise any more: their timeout ended 30 s ago, the session has
    /// ended, or they are not among the last 16384. These counters only grow during a session, as
    /// exporters need, whereas a late reply makes `lost` fall. A reply to a settled probe without an
    /// answer is foreign.
    #[getter]
    fn settled(&self) -> PingCounters {
        let of = |verdict| self.report().settled[verdict as usize];
        PingCounters {
            sent: self.report().settled.iter().sum(),
            answered: of(Verdict::Answered),
            late: of(Verdict::Late),
            lost: of(Verdict::Lost),
            refused: of(Verdict::Refused),
            unreachable: of(Verdict::Unreachable),
            send_failed: of(Verdict::SendFailed),
        }
    }

    /// Round-trip times (RFC 2681) of the probes answered in time, as this program saw them, in
    /// seconds. If this program was paused (see `paused`) when a reply came, that reply's time is the
    /// kernel's; so it is in the delay variation, the columns and the Probe.
    #[getter]
    fn rtt(&self) -> Distribution {
        Distribution(self.report().rtt.clone())
    }

    /// Round-trip times up to the kernel's receive timestamps, with timestamps="kernel" from its
    /// transmit timestamps: without this host's delay in waking the program. Empty if the platform
    /// provides no such timestamps.
    #[getter]
    fn kernel_rtt(&self) -> Distribution {
        Distribution(self.report().kernel_rtt.clone())
    }

    /// The delay added by this host's scheduling: the round-trip time as this program saw it, pauses
    /// included, minus `kernel_rtt`.
    #[getter]
    fn overhead(&self) -> Distribution {
        Distribution(self.report().overhead.clone())
    }

    /// The source of timestamps: "kernel" if any reply has the kernel's, otherwise "user".
    #[getter]
    fn timestamps(&self) -> &'static str {
        timestamps(self.report())
    }

    /// The actual minus the intended send time of each probe. Empty for stop-and-wait.
    #[getter]
    fn schedule_error(&self) -> Distribution {
        Distribution((*self.report().schedule_error).clone())
    }

    /// Slots of the schedule without a probe, because this program woke too late.
    #[getter]
    fn missed(&self) -> u64 {
        self.report().missed
    }

    /// The mean absolute inter-packet delay variation (RFC 3393), in seconds, over pairs of
    /// consecutive probes that were both answered in time; None without such a pair.
    #[getter]
    fn ipdv_abs_mean(&self) -> Option<f64> {
        self.report().variation.ipdv_abs_mean_ns().map(|ns| ns / 1e9)
    }

    /// The interarrival jitter of RFC 3550 section 6.4.1 over round trips, in seconds: absolute
    /// differences in order of arrival, smoothed with gain 1/16 from 0; None for fewer than two.
    #[getter]
    fn rfc3550_jitter(&self) -> Option<f64> {
        self.report().variation.rfc3550_jitter_ns().map(|ns| ns / 1e9)
    }

    /// The 95th percentile of packet delay variation (RFC 5481 section 4.2), in seconds: each
    /// round-trip time minus the smallest. None for fewer than 20.
    #[getter]
    fn pdv_p95(&self) -> Option<f64> {
        self.report().pdv_p95_ns().map(seconds)
    }

    /// Replies that arrived after one to a later probe (RFC 4737 section 3.3).
    #[getter]
    fn reordered(&self) -> u64 {
        self.report().reordering.reordered()
    }

    /// The share, 0 to 1, of reordered replies among all probes that had a reply (RFC 4737 section
    /// 4.1); None without any reply.
    #[getter]
    fn reorder_ratio(&self) -> Option<f64> {
        self.report().reordering.ratio()
    }

    /// The largest reordering extent, in packets (RFC 4737 section 4.2); None without reordering.
    #[getter]
    fn reorder_extent(&self) -> Option<u64> {
        self.report().reordering.max_extent()
    }

    /// The number of wall-clock steps of 10 ms or more. They change no round-trip time.
    #[getter]
    fn wall_steps(&self) -> u64 {
        self.report().wall_steps.count
    }

    /// The sum of the wall-clock steps, in seconds; negative if the clock went back.
    #[getter]
    fn wall_step_total(&self) -> f64 {
        seconds(self.report().wall_steps.total_ns)
    }

    /// Pauses of this process of more than 250 ms: it was stopped, suspended or starved although a
    /// probe was due or a reply had come. Replies that came in time meanwhile count as answered if
    /// the kernel stamped them (Linux). Of a sweep, only replies show a pause.
    #[getter]
    fn paused(&self) -> u64 {
        self.report().pauses.count
    }

    /// The sum of the pauses, in seconds, each from the first probe or reply that had to wait.
    #[getter]
    fn paused_total(&self) -> f64 {
        seconds(self.report().pauses.total_ns)
    }

    /// The pauses of this process: a tuple of the last 1000 in order of their starts.
    #[getter]
    fn pauses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.report().pauses.listed.iter().map(Pause::from).collect::<Vec<_>>())
    }

    /// Datagrams that this host dropped because the socket's receive queue was full; 0 if the
    /// platform does not report them.
    #[getter]
    fn receive_drops(&self) -> u64 {
        self.report().receive_drops
    }

    /// The start of the session, in seconds since the Unix epoch; the earliest for a sum. None
    /// before the first probe.
    #[getter]
    fn started_at(&self) -> Option<f64> {
        self.report().started_ns.map(seconds)
    }

    /// The target's (host, port) as given; None for the sum of sessions with different targets.
    #[getter]
    fn target(&self) -> Option<Address> {
        self.report().target.clone()
    }

    /// The (address, port) that was used, the last one if the target's name has changed its
    /// address; None for the sum of sessions with different addresses, and if the name has none.
    #[getter]
    fn address(&self) -> Option<Address> {
        self.report().address.map(address)
    }

    /// The resolver's reason if the last lookup of the target's name failed; None otherwise.
    #[getter]
    fn unresolved(&self) -> Option<&str> {
        self.report().unresolved.as_deref()
    }

    /// The number of ICMP errors for each (type, code, address of the router that sent it); types
    /// and codes are those of ICMPv6 (RFC 4443) if the address is IPv6, otherwise of ICMP
    /// (RFC 792). Beyond 64 entries the address is None. On other systems than Linux, only those
    /// that count as `refused`.
    #[getter]
    fn reasons(&self) -> BTreeMap<(u8, u8, Option<String>), u64> {
        let text = |router: Option<IpAddr>| router.map(|ip| ip.to_string());
        let reasons = self.report().path.troubles.reasons.iter();
        reasons.map(|(&(kind, code, router), count)| ((kind, code, text(router)), *count)).collect()
    }

    /// The number of failed sends for each reason in the system's words, such as "Network is
    /// unreachable".
    #[getter]
    fn send_errors(&self) -> BTreeMap<String, u64> {
        send_errors(self.report())
    }

    /// The number of foreign datagrams from each (address, port), for the first 16 of them. On
    /// other systems than Linux, a session sees only those of its server.
    #[getter]
    fn foreign_sources(&self) -> BTreeMap<Address, u64> {
        let sources = self.report().path.troubles.foreign_sources.iter();
        sources.map(|(from, count)| (address(*from), *count)).collect()
    }

    /// The smallest path MTU that this host or a router reported for an unfragmented probe, in
    /// bytes: a payload has 28 bytes less over IPv4 and 48 over IPv6. None without a report (see
    /// `dont_fragment`). Linux only.
    #[getter]
    fn path_mtu(&self) -> Option<u32> {
        self.report().path.troubles.mtu
    }

    /// The TTL (hop limit) of the replies, a HeaderField; None if the platform does not report it.
    /// A change hints at a change of path. Linux only.
    #[getter]
    fn reply_ttl(&self) -> Option<HeaderField> {
        self.report().path.reply_ttl.map(HeaderField::from)
    }

    /// The ToS octet (traffic class) of the replies, a HeaderField: the DSCP (RFC 2474) times 4
    /// plus the ECN bits (RFC 3168). None if the platform does not report it. Linux only.
    #[getter]
    fn reply_tos(&self) -> Option<HeaderField> {
        self.report().path.reply_tos.map(HeaderField::from)
    }

    /// The last 100 changes of address, a tuple of AddressChange: of the target's name, and of this
    /// host (Linux only) as replies and failed sends show them.
    #[getter]
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.report().path.troubles.changes.last.iter().map(AddressChange::from))
    }

    /// The number of all changes of address.
    #[getter]
    fn change_count(&self) -> u64 {
        self.report().path.troubles.changes.count
    }

    /// The Direction to a StampSender's reflector.
    #[getter]
    fn forward(&self) -> Direction {
        let all = self.report().directions.as_deref();
        all.map_or_else(Direction::nothing, |all| Direction::of(all, &all.forward))
    }

    /// The Direction back from a StampSender's reflector.
    #[getter]
    fn reverse(&self) -> Direction {
        let all = self.report().directions.as_deref();
        all.map_or_else(Direction::nothing, |all| Direction::of(all, &all.reverse))
    }

    /// The number of lost packets of a StampSender that are in neither direction's `lost`: those
    /// before the first and after the last reply, around a restart of the reflector, and all if it is
    /// stateless. None for an echo server. With a stateful reflector the losses of both directions
    /// and these are all packets that left this host and had no reply.
    #[getter]
    fn unattributed(&self) -> Option<u64> {
        self.report().directions.as_ref().map(|all| all.unattributed)
    }

    /// The time that a StampSender's packets spent in the reflector, T3 - T2, in seconds; empty for
    /// an echo server. Round-trip times include it.
    #[getter]
    fn residence(&self) -> Distribution {
        let residence = self.report().directions.as_ref().map(|all| all.residence.clone());
        Distribution(residence.unwrap_or_default())
    }

    /// The habits of a StampSender's reflector, as its replies show them.
    #[getter]
    fn reflector(&self) -> ReflectorTraits {
        let nothing = Directions::default();
        ReflectorTraits::from(self.report().directions.as_deref().unwrap_or(&nothing))
    }

    /// The clock of a StampSender's reflector.
    #[getter]
    fn clock(&self) -> ReflectorClock {
        let nothing = Directions::default();
        ReflectorClock::from(self.report().directions.as_deref().unwrap_or(&nothing))
    }

    /// The number of probes without a row in `columns()` (see `keep`).
    #[getter]
    fn rows_dropped(&self) -> u64 {
        self.report().rows_dropped()
    }

    /// Returns the kept probes as a dict of read-only NumPy arrays of shape (n,): one row per
    /// probe, in send order (36 bytes per probe; see `keep`). The first call gathers them and
    /// passes their memory to NumPy without a copy; later calls return the same arrays.
    ///
    /// seq: uint64, from 1 in each flow.
    /// flow: uint8, from 0.
    /// sent_at_ns: int64, nanoseconds since `started_at` on a clock that does not step.
    /// rtt_ns, kernel_rtt_ns: float64, nanoseconds; NaN without a reply or a timestamp.
    /// verdict: uint8, an index into `VERDICTS`.
    /// size: uint16, the length of the probe's payload in bytes.
    ///
    /// A late reply has a round-trip time here, but not in `rtt`. To select the replies in time:
    /// `columns["rtt_ns"][columns["verdict"] == udpulse.VERDICTS.index("answered")]`.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let columns = self
            .columns
            .get_or_try_init(py, || PyResult::Ok(self.rows(py).into_numpy(py)?.unbind()))?;
        columns.bind(py).copy()
    }

    /// Returns the kept probes as a Table, for polars, pandas and others, or for CSV: the rows and
    /// columns of `columns()`. `sent_at` is a timestamp[ns, UTC], `rtt` and `kernel_rtt` are
    /// duration[ns], null without a reply or a timestamp, and `verdict` is a dictionary of strings.
    #[pyo3(signature = (), text_signature = "($self)")]
    fn table(&self, py: Python<'_>) -> Table {
        self.rows(py)
    }

    /// Returns a picture, a matplotlib Figure: round-trip times, losses, outages and pauses over time,
    /// the distributions of round-trip times, delay variation and schedule error, and a row per flow.
    /// `udpulse.plots.save` writes it.
    ///
    /// Raises ImportError without matplotlib, which the extra `plot` installs.
    fn plot<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("udpulse.plots")?.call_method1("report", (slf,))
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("udpulse._summary")?.call_method1("html", (slf,))
    }

    /// Advice if the replies or errors have a known cause, such as a server that answers from
    /// another address or never returns the token; None otherwise.
    #[getter]
    fn hint(&self) -> Option<String> {
        let report = self.report();
        let Counters { received, foreign, .. } = report.counters;
        let troubles = &report.path.troubles;
        if !troubles.elsewhere.is_empty() {
            let sources: Vec<_> =
                troubles.elsewhere.keys().take(3).map(ToString::to_string).collect();
            return Some(format!(
                "replies came from another address than was pinged ({}): ping that one, or have \
                 the server answer from the address that was asked",
                sources.join(", ")
            ));
        }
        let from_target =
            report.address.is_none_or(|target| troubles.foreign_sources.contains_key(&target));
        if report.token && received > 0 && foreign == received && from_target {
            return Some(
                "no reply has the token that each probe carries from 64 bytes on; a server that \
                 answers in its own words never returns it: use a size of 0"
                    .to_owned(),
            );
        }
        let all_corrupt = troubles.mtu.is_none() && counters_all_corrupt(&report.counters);
        if all_corrupt && report.signed {
            return Some(
                "no reply has the right tag: the server has no keys, or other ones".to_owned(),
            );
        }
        if all_corrupt && report.directions.is_some() {
            return Some(
                "no reply repeats its packet's number, time and padding: the reflector speaks \
                 another protocol"
                    .to_owned(),
            );
        }
        let headers = if report.address?.ip().to_canonical().is_ipv4() { 28 } else { 48 };
        let mtu = troubles.mtu?;
        let payload = mtu.saturating_sub(headers);
        Some(format!("the path takes packets of {mtu} bytes: use a size of at most {payload}"))
    }

    /// Returns the attributes as a dict; reports and distributions become dicts, too.
    fn to_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        attributes(slf.as_any(), Self::ATTRIBUTES)
    }

    fn __add__(&self, other: &Self) -> Self {
        let mut report = self.report().clone();
        report += other.report();
        Self::new(report)
    }

    // `sum` starts with 0.
    fn __radd__<'py>(slf: Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        if other.is_exact_instance_of::<PyInt>() && other.eq(0)? {
            return Ok(slf.into_any().unbind());
        }
        Ok(other.py().NotImplemented())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        let Counters { sent, answered, late, lost, received, .. } = self.report().counters;
        PyTuple::new(py, [sent, answered, late, lost, received])?.hash()
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Pickle<'py>> {
        let state = slf.get().state(slf.py(), true);
        pickle(slf.get_type(), state.into_any())
    }

    #[staticmethod]
    fn _load(state: &[u8]) -> PyResult<Self> {
        let reports = unpack::<Vec<Report>>(state).filter(|reports| !reports.is_empty());
        let damaged = || PyValueError::new_err("the pickle of this PingReport is damaged");
        reports.map(Self::of_flows).ok_or_else(damaged)
    }

    /// Returns what `_load` reads, without the kept probes unless `rows`.
    #[pyo3(name = "_state")]
    fn state<'py>(&self, py: Python<'py>, rows: bool) -> Bound<'py, PyBytes> {
        // The whole follows from the flows.
        let flows = Some(self.flow_reports()).filter(|flows| !flows.is_empty());
        let mut flows = flows.unwrap_or(&self.reports).to_vec();
        if !rows {
            flows.iter_mut().for_each(Report::drop_rows);
        }
        PyBytes::new(py, &pack(&flows))
    }

    /// Returns a report from its `_state` and the kept probes of each flow, in send order: each with
    /// its number, send time in nanoseconds since the start, round-trip times, verdict and size.
    #[staticmethod]
    fn _restored(state: &[u8], rows: Vec<Vec<RawRow>>) -> PyResult<Self> {
        let damaged = || PyValueError::new_err("the state of this PingReport is damaged");
        let mut flows = unpack::<Vec<Report>>(state).ok_or_else(damaged)?;
        if flows.is_empty() || flows.len() != rows.len() {
            return Err(damaged());
        }
        for ((number, flow), rows) in (0..).zip(&mut flows).zip(rows) {
            let started_ns = flow.started_ns.unwrap_or_default();
            let rows =
                rows.into_iter().map(|row| row_of(row, started_ns)).collect::<Option<Vec<_>>>();
            let rows = rows.filter(|rows| rows.len() as u64 <= flow.counters.sent);
            flow.keep_rows(number, &rows.ok_or_else(damaged)?);
        }
        Ok(Self::of_flows(flows))
    }

    fn __str__(&self) -> String {
        summary(self.report(), self.hint().as_deref())
    }

    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(
            py,
            [
                "sent",
                "answered",
                "late",
                "lost",
                "refused",
                "unreachable",
                "send_failed",
                "pending",
            ],
        )
    }

    fn __repr__(&self) -> String {
        let counters = self.report().counters;
        let loss = counters.loss().map_or("None".to_owned(), |loss| format!("{loss:?}"));
        format!(
            "PingReport(sent={}, answered={}, late={}, lost={}, refused={}, unreachable={}, \
             send_failed={}, pending={}, received={}, duplicates={}, corrupt={}, foreign={}, loss={loss}, rtt={})",
            counters.sent,
            counters.answered,
            counters.late,
            counters.lost,
            counters.refused,
            counters.unreachable,
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

/// A probe from a line: number, send time, round-trip times, verdict, size.
type RawRow = (u64, i64, Option<i64>, Option<i64>, String, u16);

fn row_of(
    (seq, since_ns, rtt_ns, kernel_rtt_ns, verdict, size): RawRow,
    started_ns: i64,
) -> Option<Row> {
    let (_, verdict) = *Verdict::ALL.iter().find(|(word, _)| *word == verdict)?;
    let sound = rtt_ns.is_none_or(|ns| ns >= 0) && kernel_rtt_ns.is_none_or(|ns| ns >= 0);
    let sent_ns = started_ns.checked_add(since_ns)?;
    sound.then_some(Row { seq, sent_ns, rtt_ns, kernel_rtt_ns, verdict, size })
}

/// Returns the reasons of failed sends, with their counts.
pub(super) fn send_errors(report: &Report) -> BTreeMap<String, u64> {
    let text = |code| match code {
        0 => "The send buffer stayed full".to_owned(),
        _ => reason(&io::Error::from_raw_os_error(code)),
    };
    report.path.troubles.send_errors.iter().map(|(code, count)| (text(*code), *count)).collect()
}

fn counters_all_corrupt(counters: &Counters) -> bool {
    counters.received > 0 && counters.corrupt + counters.foreign == counters.received
}

/// Returns the lines about the directions.
fn direction_lines(all: &Directions) -> Vec<String> {
    let ms = |time: f64| format!("{:.3}", time * 1e3);
    let mut lines = Vec::new();
    for (name, of) in [("to the reflector", &all.forward), ("back", &all.reverse)] {
        let one = Direction::of(all, of);
        let mut parts = Vec::new();
        parts.extend(one.lost.map(|count| format!("{count} lost")));
        for (count, what) in [(one.duplicates, "duplicate"), (one.reordered, "reordered")] {
            let count = count.filter(|count| *count > 0);
            parts.extend(count.map(|count| format!("{count} {what}")));
        }
        if let Some((low, high)) = one.delay.map(Interval::ends) {
            parts.push(format!("median delay within {} to {} ms", ms(low), ms(high)));
        }
        parts.extend(one.pdv_p95.map(|time| format!("p95 of variation {} ms", ms(time))));
        if !parts.is_empty() {
            lines.push(format!("{name}: {}", parts.join(", ")));
        }
    }
    if all.unattributed > 0 {
        let why = Direction::of(all, &all.forward).unknown;
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        lines.push(format!("{} lost in an unknown direction{why}", all.unattributed));
    }
    lines
}

/// Returns a readable summary of a few lines.
fn summary(report: &Report, hint: Option<&str>) -> String {
    let counters = &report.counters;
    let named = |counts: &[(u64, &str)]| {
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    let verdicts = named(&[
        (counters.answered, "answered"),
        (counters.late, "late"),
        (counters.lost, "lost"),
        (counters.refused, "refused"),
        (counters.unreachable, "unreachable"),
        (counters.send_failed, "could not be sent"),
        (counters.pending, "pending"),
    ]);
    let probes = if counters.sent == 1 { "probe" } else { "probes" };
    let to = report.target.as_ref().map(|(host, port)| format!(" to {}", joined(host, *port)));
    let to = to.unwrap_or_default();
    let mut lines = vec![format!("{} {probes}{to}: {verdicts}", counters.sent)];
    if verdicts.is_empty() {
        lines = vec![format!("no probes{to}")];
    }
    if counters.guessed > 0 {
        lines.push(format!(
            "answered without a number, so attributed by guess: {}",
            counters.guessed
        ));
    }
    if let (Some(loss), Some((low, high))) = (counters.loss(), report.loss_interval()) {
        let percent = |share: f64| (share * 1000.0).round() / 10.0;
        let [loss, low, high] = [loss, low, high].map(percent);
        lines.push(format!("loss {loss} %, with 95 % confidence {low} to {high} %"));
    }
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    let ms = |ns: i64| ns as f64 / 1e6;
    let rtt = &report.rtt;
    let times = [
        ("min", rtt.min_ns()),
        ("median", rtt.percentile_ns(50.0)),
        ("p99", rtt.percentile_ns(99.0)),
        ("max", rtt.max_ns()),
    ];
    let times = times.iter().filter_map(|(name, ns)| Some(format!("{name} {:.3}", ms((*ns)?))));
    let times = times.collect::<Vec<_>>().join(", ");
    if !times.is_empty() {
        lines.push(format!("round trip in ms: {times}"));
    }
    lines.extend(report.directions.iter().flat_map(|all| direction_lines(all)));
    for (count, name, total_ns) in [
        (report.outages.count, "outages", report.outages.total_ns),
        (report.pauses.count, "pauses of this program", report.pauses.total_ns),
    ] {
        if count > 0 {
            lines.push(format!("{name}: {count}, in all {:.3} s", seconds(total_ns)));
        }
    }
    let others = named(&[
        (report.reordering.reordered(), "reordered"),
        (counters.duplicates, "duplicate"),
        (counters.corrupt, "corrupt"),
        (counters.foreign, "foreign"),
    ]);
    if !others.is_empty() {
        lines.push(format!("of {} datagrams received: {others}", counters.received));
    }
    let counted = |count: &u64, text: String| format!("{count} x {text}");
    let reasons = &report.path.troubles.reasons;
    let errors = reasons.iter().map(|(reason, count)| counted(count, describe(*reason)));
    let unsent = send_errors(report);
    let unsent = unsent.iter().map(|(text, count)| counted(count, text.clone()));
    for (what, reasons) in [
        ("ICMP errors", errors.take(SHOWN_REASONS).collect::<Vec<_>>()),
        ("not sent", unsent.take(SHOWN_REASONS).collect()),
    ] {
        if !reasons.is_empty() {
            lines.push(format!("{what}: {}", reasons.join(", ")));
        }
    }
    lines.extend(report.unresolved.as_ref().map(|reason| format!("name: {reason}")));
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}
