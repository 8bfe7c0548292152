//! What a ping session knows so far.

use std::ops::AddAssign;

use crate::ping::{ProbeLog, WallSteps};
use crate::stats::{Distribution, LossRuns, Reordering, Variation, wilson};

/// Counts that add up at every moment: `sent = answered + late + lost + refused + send_failed +
/// pending` over probes and `received = answered + late + duplicates + corrupt + foreign` over
/// datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Probes handed to the system.
    pub sent: u64,
    /// Probes answered within the timeout.
    pub answered: u64,
    /// Probes answered after it.
    pub late: u64,
    /// Probes not answered, and no reason known.
    pub lost: u64,
    /// Probes not answered because ICMP said that port, host or network is unreachable.
    pub refused: u64,
    /// Probes that this host could not send.
    pub send_failed: u64,
    /// Probes whose time is not up.
    pub pending: u64,
    /// Datagrams that came in.
    pub received: u64,
    /// Replies to a probe that had one already (RFC 5560).
    pub duplicates: u64,
    /// Replies whose content is that of no probe: to a probe remembered, or with the session's token.
    pub corrupt: u64,
    /// All other datagrams: those that do not know the token, and replies to probes forgotten.
    pub foreign: u64,
}

impl Counters {
    /// Probes whose first verdict has been given.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.sent - self.pending
    }

    /// The share of the probes decided that had no answer in time, 0 to 1. The loss is that of the
    /// round trip (RFC 6673); a packet that comes after the timeout is lost (RFC 2680 section 2.4).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn loss(&self) -> Option<f64> {
        let decided = self.decided();
        (decided > 0).then(|| (decided - self.answered) as f64 / decided as f64)
    }

    /// The 95 % confidence interval of that share (Wilson).
    #[must_use]
    pub fn loss_interval(&self) -> Option<(f64, f64)> {
        wilson(self.decided() - self.answered, self.decided())
    }
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.late += other.late;
        self.lost += other.lost;
        self.refused += other.refused;
        self.send_failed += other.send_failed;
        self.pending += other.pending;
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.corrupt += other.corrupt;
        self.foreign += other.foreign;
    }
}

/// A consistent view of a session, or the sum of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How many of each.
    pub counters: Counters,
    /// The round-trip times of the probes answered in time, as the program saw them.
    pub rtt: Distribution,
    /// The same from the kernel's departure stamp, where it was asked for, to its receive stamp.
    pub kernel_rtt: Distribution,
    /// What this host's own scheduling adds: the difference of the two.
    pub overhead: Distribution,
    /// How far after its slot each probe was sent: actual minus intended time.
    pub schedule_error: Distribution,
    /// Slots of the schedule that passed unused.
    pub missed: u64,
    /// Losses in a row.
    pub loss_runs: LossRuns,
    /// How the round-trip times vary.
    pub variation: Variation,
    /// Replies that came in another order than their probes were sent.
    pub reordering: Reordering,
    /// Steps of the wall clock.
    pub wall_steps: WallSteps,
    /// Datagrams that the socket's full receive queue dropped.
    pub receive_drops: u64,
    /// What is remembered of each probe.
    pub log: ProbeLog,
}

impl Report {
    /// The 95th percentile of the packet delay variation (RFC 5481 section 4.2): of each round-trip
    /// time's distance to the smallest.
    #[must_use]
    pub fn pdv_p95_ns(&self) -> Option<i64> {
        Some(self.rtt.percentile_ns(95.0)? - self.rtt.min_ns()?)
    }
}

impl AddAssign<&Self> for Report {
    fn add_assign(&mut self, other: &Self) {
        self.counters += &other.counters;
        self.rtt += &other.rtt;
        self.kernel_rtt += &other.kernel_rtt;
        self.overhead += &other.overhead;
        self.schedule_error += &other.schedule_error;
        self.missed += other.missed;
        self.loss_runs += &other.loss_runs;
        self.variation += &other.variation;
        self.reordering += &other.reordering;
        self.wall_steps += &other.wall_steps;
        self.receive_drops += other.receive_drops;
        self.log.append(&other.log);
    }
}
