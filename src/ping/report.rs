//! The report of a ping session.

use std::net::SocketAddr;
use std::ops::AddAssign;

use crate::packed::{Packed, Reader};
use crate::ping::directions::Directions;
use crate::ping::outages::{OUTAGE_AFTER, Outages};
use crate::ping::path::Path;
use crate::ping::probe_log::{Columns, ProbeLog, Row};
use crate::ping::{Blank, Pauses, Rare, Tally, Verdict, WallSteps};
use crate::stats::{Distribution, LossRuns, Reordering, Variation};

/// Counts that add up at every moment: `sent = answered + late + lost + refused + unreachable +
/// send_failed + pending` over probes and `received = answered + late + duplicates + corrupt + foreign` over
/// datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Probes handed to the system.
    pub sent: u64,
    /// Probes answered within the timeout.
    pub answered: u64,
    /// Those of them whose reply has no number, so that it was attributed to the only pending
    /// probe.
    pub guessed: u64,
    /// Probes answered after the timeout.
    pub late: u64,
    /// Probes not answered, for no known reason.
    pub lost: u64,
    /// Probes not answered after an ICMP port unreachable.
    pub refused: u64,
    /// Probes not answered after another ICMP error.
    pub unreachable: u64,
    /// Probes that this host could not send.
    pub send_failed: u64,
    /// Probes still waiting for a reply.
    pub pending: u64,
    /// Datagrams received.
    pub received: u64,
    /// Replies to a probe that already had one (RFC 5560).
    pub duplicates: u64,
    /// Damaged replies: they carry our token or resemble a probe, and are not the probe as sent or
    /// in upper case.
    pub corrupt: u64,
    /// All other datagrams: without our token, or replies to forgotten probes.
    pub foreign: u64,
}

impl Counters {
    /// Returns the number of probes with a verdict other than pending.
    fn decided(&self) -> u64 {
        self.sent.saturating_sub(self.pending)
    }

    fn unanswered(&self) -> u64 {
        self.decided().saturating_sub(self.answered)
    }

    /// Returns the share of decided probes without an answer in time, 0 to 1. This is round-trip
    /// loss (RFC 6673); a packet that arrives after the timeout is lost (RFC 2680 section 2.6).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn loss(&self) -> Option<f64> {
        let decided = self.decided();
        (decided > 0).then(|| self.unanswered() as f64 / decided as f64)
    }

    pub(super) fn of(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Answered => &mut self.answered,
            Verdict::Late => &mut self.late,
            Verdict::Lost => &mut self.lost,
            Verdict::Pending => &mut self.pending,
            Verdict::Refused => &mut self.refused,
            Verdict::SendFailed => &mut self.send_failed,
            Verdict::Unreachable => &mut self.unreachable,
        }
    }

    /// Returns the number of probes with each verdict but pending.
    pub(super) fn decided_as(&mut self) -> Settled {
        let mut settled = Settled::default();
        for (_, verdict) in Verdict::ALL {
            if verdict != Verdict::Pending {
                settled[verdict as usize] = *self.of(verdict);
            }
        }
        settled
    }

    /// Returns all counters: probes, their verdicts, datagrams, their kinds, guesses.
    fn all(&mut self) -> [&mut u64; 13] {
        [
            &mut self.sent,
            &mut self.answered,
            &mut self.late,
            &mut self.lost,
            &mut self.refused,
            &mut self.unreachable,
            &mut self.send_failed,
            &mut self.pending,
            &mut self.received,
            &mut self.duplicates,
            &mut self.corrupt,
            &mut self.foreign,
            &mut self.guessed,
        ]
    }

    /// Returns whether probes and datagrams add up.
    fn add_up(&self) -> bool {
        let failed = [self.lost, self.refused, self.unreachable, self.send_failed];
        let verdicts = failed.into_iter().chain([self.answered, self.late, self.pending]);
        let kinds = [self.answered, self.late, self.duplicates, self.corrupt, self.foreign];
        self.sent == verdicts.sum::<u64>()
            && self.received == kinds.iter().sum::<u64>()
            && self.guessed <= self.answered
    }
}

impl Packed for Counters {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut counters = *self;
        counters.all().iter().for_each(|counter| counter.pack(out));
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let mut counters = Self::default();
        for counter in counters.all() {
            *counter = from.read()?;
        }
        counters.add_up().then_some(counters)
    }
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        let mut other = *other;
        for (mine, theirs) in self.all().into_iter().zip(other.all()) {
            *mine = mine.saturating_add(*theirs);
        }
    }
}

impl Blank for Distribution {
    fn blank() -> &'static Self {
        const { &Self::new() }
    }
}

/// A count for each verdict, by its number.
pub(super) type Settled = [u64; Verdict::ALL.len()];

/// A consistent view of a session, or the sum of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Counts of probes and datagrams.
    pub counters: Counters,
    /// Round-trip times of probes answered in time, as the program saw them; to the kernel's
    /// receive timestamp if a pause lay between.
    pub rtt: Distribution,
    /// The same by kernel timestamps: from the transmit timestamp, or the send time if there is
    /// none, to the receive timestamp.
    pub kernel_rtt: Distribution,
    /// The delay that this host's scheduling adds: until the program saw the reply.
    pub overhead: Distribution,
    /// The lateness of each probe: actual minus intended send time.
    pub schedule_error: Rare<Distribution>,
    /// Slots of the schedule that passed unused.
    pub missed: u64,
    /// Runs of losses.
    pub loss_runs: LossRuns,
    /// Long runs of losses.
    pub outages: Rare<Outages>,
    /// Probes that no reply can revise any more, by the numbers of their verdicts. These counts only
    /// grow.
    pub settled: Settled,
    /// The variation of round-trip times.
    pub variation: Variation,
    /// Replies that arrived in another order than their probes were sent.
    pub reordering: Reordering,
    /// Steps of the wall clock.
    pub wall_steps: WallSteps,
    /// Pauses of this process.
    pub pauses: Rare<Pauses>,
    /// Datagrams that the socket's full receive queue dropped.
    pub receive_drops: u64,
    /// The start of the first session, in nanoseconds since the Unix epoch.
    pub started_ns: Option<i64>,
    /// Whether the probes carried a token.
    pub token: bool,
    /// Whether the probes were signed.
    pub signed: bool,
    /// Host and port of the target as the user gave them; `None` if sessions differ.
    pub target: Option<(String, u16)>,
    /// The address that was used last; `None` if sessions differ or the name has none.
    pub address: Option<SocketAddr>,
    /// The resolver's reason if the last lookup of the target's name failed.
    pub unresolved: Option<String>,
    /// What the session learned about its path.
    pub path: Path,
    /// What a Session-Reflector's replies show; `None` for other servers.
    pub directions: Option<Box<Directions>>,
    /// The kept probes.
    pub(super) log: ProbeLog,
}

impl Report {
    /// Ends a snapshot: drops the state that only a running session needs, and assigns its rows to
    /// `flow`.
    pub(super) fn end(&mut self, flow: u8) {
        self.loss_runs.end();
        if let Some(outages) = self.outages.made() {
            outages.end();
        }
        self.variation.end();
        self.reordering.end();
        self.wall_steps.end();
        self.path.end();
        self.log.end(flow);
    }

    /// Creates the report of one flow from its probes, in send order. Each reply counts once; all
    /// other values are unknown.
    #[must_use]
    pub fn of_probes(flow: u8, rows: &[Row]) -> Self {
        let mut report = Self { log: ProbeLog::new(None), ..Self::default() };
        for row in rows {
            report.counters.sent += 1;
            *report.counters.of(row.verdict) += 1;
            report.counters.received += u64::from(row.rtt_ns.is_some());
            report.log.push(*row);
            if row.verdict != Verdict::Pending {
                report.add_decided(row.verdict, row.rtt_ns);
                report.outages.add(row.sent_ns, row.verdict == Verdict::Answered, OUTAGE_AFTER);
            }
        }
        let mut arrivals: Vec<_> = rows.iter().filter(|row| row.rtt_ns.is_some()).collect();
        arrivals.sort_by_key(|row| row.sent_ns.saturating_add(row.rtt_ns.unwrap_or_default()));
        for row in arrivals {
            report.add_reply(
                row.seq,
                row.verdict,
                row.rtt_ns.unwrap_or_default(),
                row.kernel_rtt_ns.zip(row.rtt_ns).map(|(kernel, rtt)| (kernel, rtt - kernel)),
            );
        }
        report.started_ns = rows.first().map(|row| row.sent_ns);
        report.settle();
        report.end(flow);
        report
    }

    /// Adds the first reply to a probe; calls are in order of arrival. `kernel` is the round-trip
    /// time by kernel timestamps and the delay until the program saw the reply.
    pub(super) fn add_reply(
        &mut self,
        seq: u64,
        verdict: Verdict,
        rtt_ns: i64,
        kernel: Option<(i64, i64)>,
    ) {
        self.reordering.add(seq);
        if verdict == Verdict::Answered {
            self.rtt.add(rtt_ns);
            self.variation.add_arrived(rtt_ns);
            if let Some((kernel_rtt_ns, overhead_ns)) = kernel {
                self.kernel_rtt.add(kernel_rtt_ns);
                self.overhead.add(overhead_ns);
            }
        }
    }

    /// Adds the verdict of a probe; calls are in send order.
    pub(super) fn add_decided(&mut self, verdict: Verdict, rtt_ns: Option<i64>) {
        let answered = verdict == Verdict::Answered;
        self.loss_runs.add(!answered);
        self.variation.add_sent(rtt_ns.filter(|_| answered));
    }

    /// Settles all decided probes, because the session is over.
    pub(super) fn settle(&mut self) {
        self.settled = self.counters.decided_as();
    }

    /// Returns whether no more probes are settled than decided.
    fn is_settled(&self) -> bool {
        let mut counters = Counters { pending: 0, ..self.counters };
        Verdict::ALL
            .iter()
            .all(|(_, verdict)| self.settled[*verdict as usize] <= *counters.of(*verdict))
    }

    /// Returns the 95 % confidence interval of the loss.
    #[must_use]
    pub fn loss_interval(&self) -> Option<(f64, f64)> {
        self.loss_runs.loss_interval(self.counters.unanswered(), self.counters.decided())
    }

    /// Returns the numbers for a monitoring system.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let Counters { duplicates, corrupt, foreign, .. } = self.counters;
        Tally {
            settled: self.settled,
            duplicates,
            corrupt,
            foreign,
            missed: self.missed,
            reordered: self.reordering.reordered(),
            loss_bursts: self.loss_runs.bursts.count,
            outages: self.outages.count,
            receive_drops: self.receive_drops,
            paused_ns: self.pauses.total_ns,
            rtt: self.rtt.buckets(),
            kernel_rtt: self.kernel_rtt.buckets(),
            last_reply_ns: None,
        }
    }

    /// Returns the kept probes.
    #[must_use]
    pub fn columns(&self) -> Columns {
        self.log.columns()
    }

    /// Forgets the kept probes.
    pub fn drop_rows(&mut self) {
        self.log = ProbeLog::default();
    }

    /// Keeps these probes of a flow, in send order.
    pub fn keep_rows(&mut self, flow: u8, rows: &[Row]) {
        self.log = ProbeLog::new(None);
        for row in rows {
            self.log.push(*row);
        }
        self.log.end(flow);
    }

    /// Returns how many probes are not kept.
    #[must_use]
    pub fn rows_dropped(&self) -> u64 {
        self.counters.sent.saturating_sub(self.log.len() as u64)
    }

    /// Returns the 95th percentile of packet delay variation (RFC 5481 section 4.2): each
    /// round-trip time minus the smallest.
    #[must_use]
    pub fn pdv_p95_ns(&self) -> Option<i64> {
        Some(self.rtt.percentile_ns(95.0)? - self.rtt.min_ns()?)
    }
}

impl Packed for Report {
    fn pack(&self, out: &mut Vec<u8>) {
        self.counters.pack(out);
        self.rtt.pack(out);
        self.kernel_rtt.pack(out);
        self.overhead.pack(out);
        self.schedule_error.pack(out);
        self.missed.pack(out);
        self.loss_runs.pack(out);
        self.outages.pack(out);
        self.settled.iter().for_each(|count| count.pack(out));
        self.variation.pack(out);
        self.reordering.pack(out);
        self.wall_steps.pack(out);
        self.pauses.pack(out);
        self.receive_drops.pack(out);
        self.started_ns.pack(out);
        out.push(u8::from(self.token));
        out.push(u8::from(self.signed));
        self.target.pack(out);
        self.address.pack(out);
        self.unresolved.pack(out);
        self.path.pack(out);
        out.push(u8::from(self.directions.is_some()));
        self.directions.iter().for_each(|directions| directions.pack(out));
        self.log.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let report = Self {
            counters: from.read()?,
            rtt: from.read()?,
            kernel_rtt: from.read()?,
            overhead: from.read()?,
            schedule_error: from.read()?,
            missed: from.read()?,
            loss_runs: from.read()?,
            outages: from.read()?,
            settled: {
                let mut settled = Settled::default();
                for count in &mut settled {
                    *count = from.read()?;
                }
                settled
            },
            variation: from.read()?,
            reordering: from.read()?,
            wall_steps: from.read()?,
            pauses: from.read()?,
            receive_drops: from.read()?,
            started_ns: from.read()?,
            token: from.bool()?,
            signed: from.bool()?,
            target: from.read()?,
            address: from.read()?,
            unresolved: from.read()?,
            path: from.read()?,
            directions: from.read::<Option<Directions>>()?.map(Box::new),
            log: from.read()?,
        };
        let stamped = report.kernel_rtt.count();
        let sound = report.rtt.count() == report.counters.answered
            && stamped == report.overhead.count()
            && stamped <= report.counters.answered
            && report.log.len() as u64 <= report.counters.sent
            && report.is_settled();
        sound.then_some(report)
    }
}

impl AddAssign<&Self> for Report {
    fn add_assign(&mut self, other: &Self) {
        self.counters += &other.counters;
        self.rtt += &other.rtt;
        self.kernel_rtt += &other.kernel_rtt;
        self.overhead += &other.overhead;
        self.schedule_error += &other.schedule_error;
        self.missed = self.missed.saturating_add(other.missed);
        self.loss_runs += &other.loss_runs;
        self.outages += &other.outages;
        for (mine, theirs) in self.settled.iter_mut().zip(other.settled) {
            *mine = mine.saturating_add(theirs);
        }
        self.variation += &other.variation;
        self.reordering += &other.reordering;
        self.wall_steps += &other.wall_steps;
        self.pauses += &other.pauses;
        self.receive_drops = self.receive_drops.saturating_add(other.receive_drops);
        self.started_ns = match (self.started_ns, other.started_ns) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        self.token |= other.token;
        self.signed |= other.signed;
        self.target = self.target.take().filter(|mine| Some(mine) == other.target.as_ref());
        self.address = self.address.filter(|mine| Some(*mine) == other.address);
        self.unresolved =
            self.unresolved.take().filter(|mine| Some(mine) == other.unresolved.as_ref());
        self.path += &other.path;
        match (&mut self.directions, &other.directions) {
            (Some(mine), Some(theirs)) => **mine += theirs,
            (mine, theirs) => *mine = mine.take().or_else(|| theirs.clone()),
        }
        self.log.append(&other.log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{pack, unpack};
    use proptest::prelude::*;

    fn row(seq: u64, sent_ns: i64, rtt_ns: Option<i64>, verdict: Verdict) -> Row {
        Row { seq, sent_ns, rtt_ns, kernel_rtt_ns: None, verdict, size: 64 }
    }

    fn report() -> Report {
        Report::of_probes(
            1,
            &[
                row(1, 1000, Some(50), Verdict::Answered),
                row(2, 1010, None, Verdict::Lost),
                row(3, 1020, Some(200), Verdict::Late),
                row(4, 1030, Some(10), Verdict::Answered),
                row(5, 1040, None, Verdict::Pending),
            ],
        )
    }

    #[test]
    fn known_probes_make_a_report() {
        let report = report();
        let Counters { sent, answered, late, lost, pending, received, .. } = report.counters;
        assert_eq!((sent, answered, late, lost, pending, received), (5, 2, 1, 1, 1, 3));
        assert_eq!((report.rtt.min_ns(), report.rtt.max_ns()), (Some(10), Some(50)));
        assert_eq!((report.loss_runs.bursts.max, report.loss_runs.gaps.count), (Some(2), 2));
        // Reply 4 arrived before reply 1, which arrived before reply 3.
        assert_eq!(report.reordering.reordered(), 2);
        assert_eq!((report.started_ns, report.rows_dropped()), (Some(1000), 0));
        assert_eq!(report.columns().flow, [1; 5]);
    }

    proptest! {
        #[test]
        fn damage_is_refused_or_does_no_harm(at in 0..300_usize, byte: u8) {
            let mut bytes = pack(&report());
            prop_assert_eq!(unpack::<Report>(&bytes), Some(report()));
            let length = bytes.len();
            bytes[at % length] = byte;
            if let Some(mut damaged) = unpack::<Report>(&bytes) {
                damaged += &damaged.clone();
                let _ = (damaged.columns(), damaged.loss_interval());
            }
        }
    }
}
