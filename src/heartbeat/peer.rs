//! What the server knows of one client.

use std::net::{Ipv4Addr, SocketAddr};

use crate::NS_PER_SECOND;
use crate::heartbeat::sequence::SendOrder;
use crate::heartbeat::{Sequence, State};
use crate::wire::beat::Status;

/// A client as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Where its last beat came from.
    pub address: SocketAddr,
    /// Its name, where it declares one.
    pub name: Option<Box<[u8]>>,
    /// How it is.
    pub state: State,
    /// When its last new beat came, in nanoseconds since the Unix epoch.
    pub last_received_ns: i64,
    /// Its numbers since it started.
    pub sequence: Sequence,
    /// Its interval, where it declares it or it has been learned.
    pub interval_ns: Option<i64>,
    /// After how long a silence it is taken for down.
    pub timeout_ns: i64,
    /// By how much the last beat took longer than the fastest one: the offset of the two clocks
    /// is not in it.
    pub delay_ns: Option<i64>,
    /// The receive time minus the send time of the last beat; the offset of the clocks is in it.
    pub difference_ns: Option<i64>,
    /// Its boot id, where it declares one.
    pub boot: Option<u64>,
    /// How it says that it is.
    pub status: Option<Status>,
    /// Age of its application's last progress, as of the last beat.
    pub progress_age_ns: Option<i64>,
}

/// What the table keeps of each client, in as few bytes as can be.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) sequence: Sequence,
    /// When its last new beat came.
    pub(super) last_received_ns: i64,
    /// The least difference of receive and send time.
    least_difference_ns: i64,
    /// The last beat's difference above the least.
    delay_ns: f32,
    /// 0 where it is not known.
    interval_ns: f32,
    /// The second in which the first beat of this run was sent, on the monotonic clock.
    first_sent_s: i32,
    /// The key of its [`Details`], or [`NONE`].
    pub(super) details: u32,
    ip: Ipv4Addr,
    port: u16,
    pub(super) state: State,
    flags: u8,
}

/// In how many nanoseconds the least difference rises by one.
pub(super) const RISE: i64 = 4096;

/// No details, or no client.
pub(super) const NONE: u32 = u32::MAX;

/// Its beats carry a time.
const TIMED: u8 = 1;
/// It has been heard twice: no forged source alone.
const PROVEN: u8 = 2;
/// Its interval is its own word.
const DECLARED: u8 = 4;
/// Its silence is part of a mass silence, and waited out.
const HELD: u8 = 8;
/// How many gaps an interval was learned from, in the upper bits, up to 15.
const LEARNED: u8 = 16;

/// Gaps after which an interval is learned well enough to judge by.
const ENOUGH: u8 = 5;

/// Bounds of a declared interval: a millisecond and a day.
const SHORTEST_NS: i64 = 1_000_000;
const LONGEST_NS: i64 = 86_400 * NS_PER_SECOND;
/// Bounds of a learned interval: clients that beat in bursts are not judged by the gaps inside of
/// them, and send times that leap do not stretch it without end.
const SHORTEST_LEARNED_NS: f32 = 1e8;
const LONGEST_LEARNED_NS: f32 = 8.64e13;

/// What is known of the few that say or need more than most.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    /// The whole address where it is not IPv4's.
    pub(super) address: Option<SocketAddr>,
    pub(super) name: Option<Box<[u8]>>,
    pub(super) boot: Option<u64>,
    /// The boot before, and the highest number heard of it.
    pub(super) before: Option<(u64, Option<u64>)>,
    /// How many beats with new numbers came of the boot before since it was taken for over.
    pub(super) rivals: u32,
    /// Since when all beats that came had been sent long before.
    pub(super) delayed_since_ns: Option<i64>,
    pub(super) status: Option<Status>,
    pub(super) progress_age_ns: Option<i64>,
    /// When it became busy or stalled or stopped.
    pub(super) since_ns: i64,
}

impl Record {
    pub(super) fn new(seq: Option<u64>, at_ns: i64) -> Self {
        Self {
            sequence: Sequence::new(seq),
            last_received_ns: at_ns,
            least_difference_ns: 0,
            delay_ns: 0.0,
            interval_ns: 0.0,
            first_sent_s: 0,
            details: NONE,
            ip: Ipv4Addr::UNSPECIFIED,
            port: 0,
            state: State::Unknown,
            flags: 0,
        }
    }

    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is(PROVEN)
    }

    pub(super) fn prove(&mut self) {
        self.set(PROVEN, true);
    }

    pub(super) fn is_held(&self) -> bool {
        self.is(HELD)
    }

    pub(super) fn hold(&mut self, held: bool) {
        self.set(HELD, held);
    }

    /// The address, where it is one of IPv4.
    pub(super) fn v4(&self) -> SocketAddr {
        (self.ip, self.port).into()
    }

    pub(super) fn set_v4(&mut self, address: SocketAddr) {
        if let SocketAddr::V4(address) = address {
            (self.ip, self.port) = (*address.ip(), address.port());
        }
    }

    /// The interval, where it is known, well enough or not.
    #[expect(clippy::cast_possible_truncation, reason = "it came from an integer")]
    pub(super) fn interval_ns(&self) -> Option<i64> {
        (self.interval_ns > 0.0).then_some(self.interval_ns as i64)
    }

    /// Whether the interval is known well enough to judge by.
    pub(super) fn has_learned(&self) -> bool {
        self.is(DECLARED) || self.flags / LEARNED >= ENOUGH
    }

    #[expect(clippy::cast_precision_loss, reason = "24 bits hold all round intervals exactly")]
    pub(super) fn declare_interval(&mut self, interval_ns: i64) {
        self.interval_ns = interval_ns.clamp(SHORTEST_NS, LONGEST_NS) as f32;
        self.set(DECLARED, true);
    }

    /// Learns the interval from a gap in time over a number of steps: a mean of the first gaps,
    /// then a slow one in which no single gap counts for more than twice the interval.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn learn_interval(&mut self, gap_ns: i64, steps: u64) {
        if self.is(DECLARED) || gap_ns <= 0 {
            return;
        }
        let gap = gap_ns as f32 / steps as f32;
        let learned = self.flags / LEARNED;
        if learned == 0 {
            self.interval_ns = gap;
        } else {
            let gap = gap.min(2.0 * self.interval_ns);
            self.interval_ns += (gap - self.interval_ns) / (f32::from(learned) + 1.0);
        }
        self.interval_ns = self.interval_ns.clamp(SHORTEST_LEARNED_NS, LONGEST_LEARNED_NS);
        if learned < 15 {
            self.flags += LEARNED;
        }
    }

    /// Forgets what a client that started again may do otherwise, and the times of its last run.
    pub(super) fn restart(&mut self) {
        self.flags &= PROVEN;
        self.interval_ns = 0.0;
    }

    /// The relative delay of the last beat that was news, where beats carry times.
    #[expect(clippy::cast_possible_truncation, reason = "it came from an integer")]
    pub(super) fn delay_ns(&self) -> Option<i64> {
        self.is(TIMED).then_some(self.delay_ns as i64)
    }

    /// Transit time of the last beat beyond the suspect timeout.
    pub(super) fn excess_delay_ns(&self, suspect_ns: i64) -> i64 {
        // Of a client that keeps no interval the times may mean anything.
        let delay_ns = self.delay_ns().filter(|_| self.has_learned()).unwrap_or_default();
        delay_ns.saturating_sub(suspect_ns).max(0)
    }

    /// The difference of receive and send time of the last beat, on clocks that never step.
    pub(super) fn difference_ns(&self) -> Option<i64> {
        Some(self.least_difference_ns.saturating_add(self.delay_ns()?))
    }

    /// Rounding error of a delay stored as `f32`.
    pub(super) fn rounding_ns(&self) -> i64 {
        self.delay_ns().unwrap_or_default() >> 23
    }

    /// What the send time of a beat says that came at `at_ns` with such a difference.
    pub(super) fn send_order(&self, at_ns: i64, difference_ns: Option<i64>) -> SendOrder {
        let (Some(difference_ns), Some(newest_ns)) = (difference_ns, self.difference_ns()) else {
            return SendOrder::Unknown;
        };
        let sent_ns = at_ns.saturating_sub(difference_ns);
        let after_ns = sent_ns.saturating_sub(self.last_received_ns.saturating_sub(newest_ns));
        if after_ns.saturating_abs() <= self.rounding_ns() {
            return SendOrder::Same;
        }
        if after_ns > 0 {
            return SendOrder::Later;
        }
        let before_s = i64::from(self.first_sent_s) - i64::from(to_seconds(sent_ns));
        match u32::try_from(before_s) {
            Err(_) | Ok(0) => SendOrder::Earlier,
            Ok(before_s) => SendOrder::BeforeFirst(before_s),
        }
    }

    /// Takes the newest beat: when it came, and its difference, where it carries a time.
    pub(super) fn set_newest(&mut self, at_ns: i64, difference_ns: Option<i64>) {
        self.last_received_ns = at_ns;
        let Some(difference_ns) = difference_ns else {
            self.set(TIMED, false);
            return;
        };
        if !self.is(TIMED) {
            self.first_sent_s = to_seconds(at_ns.saturating_sub(difference_ns));
        }
        self.set_difference_ns(difference_ns);
    }

    #[expect(clippy::cast_precision_loss, reason = "exact to 16 ms and for 24 bits beyond")]
    fn set_difference_ns(&mut self, difference_ns: i64) {
        if !self.is(TIMED) || difference_ns < self.least_difference_ns {
            self.least_difference_ns = difference_ns;
            self.set(TIMED, true);
        }
        self.delay_ns = difference_ns.saturating_sub(self.least_difference_ns) as f32;
    }

    /// Raises the least difference by 244 parts in a million of the time passed, because two clocks
    /// run at speeds that differ by up to that.
    pub(super) fn raise_least_difference(&mut self, passed_ns: i64) {
        self.least_difference_ns = self.least_difference_ns.saturating_add(passed_ns.max(0) / RISE);
    }

    /// Counts delays from that of the last beat on.
    pub(super) fn reset_least_difference(&mut self) {
        if let Some(difference_ns) = self.difference_ns() {
            self.set(TIMED, false);
            self.set_difference_ns(difference_ns);
        }
    }

    /// Takes a step of one of the clocks out of the delays.
    pub(super) fn step_clock(&mut self, by_ns: i64) {
        self.least_difference_ns = self.least_difference_ns.saturating_add(by_ns);
        let first_sent_ns = i64::from(self.first_sent_s) * NS_PER_SECOND;
        self.first_sent_s = to_seconds(first_sent_ns.saturating_sub(by_ns));
    }
}

/// Whole seconds, which last for 68 years to either side.
fn to_seconds(ns: i64) -> i32 {
    let seconds = ns.div_euclid(NS_PER_SECOND);
    i32::try_from(seconds).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        // With its deadline, its entry in the hash table (10.5 bytes at a million) and what a growing
        // table holds in reserve (a sixty-fourth) this is below 100 bytes.
        assert!(size_of::<Record>() <= 80);
    }

    #[test]
    fn an_interval_is_learned_and_one_long_gap_spoils_little() {
        let mut record = Record::new(Some(1), 0);
        for _ in 0..4 {
            record.learn_interval(1_000_000_000, 1);
            assert!(!record.has_learned());
        }
        record.learn_interval(3_000_000_000, 3);
        assert!(record.has_learned());
        assert_eq!(record.interval_ns(), Some(1_000_000_000));
        record.learn_interval(100_000_000_000, 1);
        assert!(record.interval_ns() < Some(1_200_000_000));
        record.declare_interval(100_000_000);
        record.learn_interval(1_000_000_000, 1);
        assert_eq!(record.interval_ns(), Some(100_000_000));
    }

    #[test]
    fn send_times_are_told_apart_though_delays_are_rounded() {
        const FAR: i64 = 1_700_000_000 * NS_PER_SECOND;
        let mut record = Record::new(Some(1), 0);
        assert_eq!(record.send_order(5, Some(0)), SendOrder::Unknown);
        record.set_newest(100 * NS_PER_SECOND, Some(FAR));
        // 1234567891 ns are no number of 24 bits.
        record.set_newest(102 * NS_PER_SECOND, Some(FAR + 1_234_567_891));
        let sent =
            |sent_ns| record.send_order(103 * NS_PER_SECOND, Some(103 * NS_PER_SECOND - sent_ns));
        let newest = 102 * NS_PER_SECOND - FAR - 1_234_567_891;
        assert_eq!(sent(newest), SendOrder::Same);
        assert_eq!(sent(newest + 1000), SendOrder::Later);
        assert_eq!(sent(newest - 1000), SendOrder::Earlier);
        assert_eq!(sent(100 * NS_PER_SECOND - FAR), SendOrder::Earlier);
        assert_eq!(sent(90 * NS_PER_SECOND - FAR), SendOrder::BeforeFirst(10));
        assert_eq!(record.send_order(103 * NS_PER_SECOND, None), SendOrder::Unknown);
    }

    #[test]
    fn the_delay_is_above_the_least() {
        let mut record = Record::new(Some(1), 0);
        assert_eq!((record.delay_ns(), record.difference_ns()), (None, None));
        for (difference_ns, delay_ns) in [(-500, 0), (-400, 100), (-600, 0), (-500, 100)] {
            record.set_difference_ns(difference_ns);
            assert_eq!(record.delay_ns(), Some(delay_ns));
            assert_eq!(record.difference_ns(), Some(difference_ns));
        }
    }
}
