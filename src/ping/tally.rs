//! The numbers of a session for a monitoring system.

use std::ops::AddAssign;

use crate::ping::Verdict;
use crate::stats::Buckets;

/// Numbers that only grow until the next start: of one session, or of all rounds of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Probes that no reply can revise any more, by the numbers of their verdicts.
    pub settled: [u64; Verdict::ALL.len()],
    /// Replies to a probe that already had one.
    pub duplicates: u64,
    /// Damaged replies.
    pub corrupt: u64,
    /// All other datagrams.
    pub foreign: u64,
    /// Slots of the schedule that passed unused.
    pub missed: u64,
    /// Replies that arrived after one to a later probe.
    pub reordered: u64,
    /// Runs of probes without an answer in time.
    pub loss_bursts: u64,
    /// Long runs of them.
    pub outages: u64,
    /// Datagrams that the socket's full receive queue dropped.
    pub receive_drops: u64,
    /// The time in which this process did not run although it had work.
    pub paused_ns: i64,
    /// Round-trip times of probes answered in time.
    pub rtt: Buckets,
    /// The same by kernel timestamps.
    pub kernel_rtt: Buckets,
    /// The arrival of the last reply, in nanoseconds since the Unix epoch.
    pub last_reply_ns: Option<i64>,
}

impl Tally {
    /// Returns the number of settled probes.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.settled.iter().sum()
    }

    /// Returns the number of settled probes with a verdict.
    #[must_use]
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.settled[verdict as usize]
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in self.settled.iter_mut().zip(other.settled) {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in [
            (&mut self.duplicates, other.duplicates),
            (&mut self.corrupt, other.corrupt),
            (&mut self.foreign, other.foreign),
            (&mut self.missed, other.missed),
            (&mut self.reordered, other.reordered),
            (&mut self.loss_bursts, other.loss_bursts),
            (&mut self.outages, other.outages),
            (&mut self.receive_drops, other.receive_drops),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        self.paused_ns = self.paused_ns.saturating_add(other.paused_ns);
        self.rtt += &other.rtt;
        self.kernel_rtt += &other.kernel_rtt;
        self.last_reply_ns = self.last_reply_ns.max(other.last_reply_ns);
    }
}
