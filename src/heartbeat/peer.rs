//! The server's record of a client.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::NS_PER_SECOND;
use crate::ReplayWindow;
use crate::heartbeat::detector::Asked;
use crate::heartbeat::identity::{Moves, Rival};
use crate::heartbeat::sequence::SendOrder;
use crate::heartbeat::{Sequence, State};
use crate::wire::beat::Status;
use crate::wire::{Beat, Key, Reading};

/// A client as shown to the user.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Source address of its last beat.
    pub address: SocketAddr,
    /// Its name, if it declares one.
    pub name: Option<Box<[u8]>>,
    /// Its state.
    pub state: State,
    /// Arrival of its last new beat, in nanoseconds since the Unix epoch.
    pub last_received_ns: i64,
    /// Its sequence numbers since it started.
    pub sequence: Sequence,
    /// Its interval, if declared or learned.
    pub interval_ns: Option<i64>,
    /// Timeout for down.
    pub timeout_ns: i64,
    /// Transit time of the last beat beyond that of the fastest one; independent of the clock
    /// offset.
    pub delay_ns: Option<i64>,
    /// Receive time minus send time of the last beat; includes the clock offset.
    pub difference_ns: Option<i64>,
    /// Its boot id, if it declares one.
    pub boot: Option<u64>,
    /// The status it declares.
    pub status: Option<Status>,
    /// Age of its application's last progress, as of the last beat.
    pub progress_age_ns: Option<i64>,
    /// The task of that progress, if tasks are named.
    pub task: Option<Box<[u8]>>,
    /// Its application's failures since it started.
    pub failures: Option<u64>,
    /// The type of the exception that ended it.
    pub error: Option<Box<[u8]>>,
    /// The id of the key that signed its last beat, if it is authenticated.
    pub key: Option<Box<str>>,
}

/// Compact record of a client, kept in the table.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) sequence: Sequence,
    /// Arrival of the last new beat.
    pub(super) last_received_ns: i64,
    /// Least difference of receive and send time.
    least_difference_ns: i64,
    /// Difference of the last beat minus the least.
    delay_ns: f32,
    interval: Interval,
    /// Second in which the first beat of this run was sent, on the monotonic clock.
    first_sent_s: i32,
    /// The key of its [`Details`], or [`NONE`].
    pub(super) details: u32,
    ip: Ipv4Addr,
    port: u16,
    pub(super) state: State,
    flags: u8,
}

/// Smallest jump that counts as a clock step; a smaller one is clock discipline or delay.
pub(super) const STEP_NS: i64 = 500_000_000;
/// The least difference rises by one nanosecond in this many.
pub(super) const RISE: i64 = 4096;

/// Bits of a delay beyond which it is rounded.
const ROUNDED: u32 = 23;

/// Stands for no details or no client.
pub(super) const NONE: u32 = u32::MAX;

/// Its beats carry a time.
const TIMED: u8 = 1;
/// It was heard twice, so it is not merely a forged source.
const PROVEN: u8 = 2;
/// Its interval is declared, not learned.
const DECLARED: u8 = 4;
/// It is part of a mass silence, and its timeout was extended.
const HELD: u8 = 8;
/// Its interval is learned well enough to judge by.
const LEARNED: u8 = 16;
/// Unit of the length of the current run of gaps, in the upper bits, up to 7: gaps that agree with
/// each other, or gaps far below the declared interval.
const RUN: u8 = 32;
const LONGEST_RUN: u8 = 7;

/// Number of agreeing gaps that make an interval.
const ENOUGH: u8 = 4;
/// Number of agreeing gaps that replace an interval by a longer one: until then, the client is
/// suspected wrongly.
const ENOUGH_LONGER: u8 = 3;
/// Number of gaps below the declared interval by this factor that mean that a client beats too
/// often.
const ENOUGH_SHORT: u8 = 5;
const TOO_OFTEN: i64 = 4;
/// Number of beats after which the mean gap is the interval, though gaps do not agree.
const MANY: u64 = 9;
/// The memory of a learned interval, in gaps.
const MEMORY: f32 = 8.0;
/// Gaps agree if neither is longer than this many times the other.
const AGREE: f32 = 1.5;

/// Minimum of a declared interval.
const SHORTEST_NS: i64 = 1_000_000;
/// Minimum of a learned interval: clients that beat in bursts are not judged by the gaps within a
/// burst.
const SHORTEST_LEARNED_NS: f32 = 1e8;

/// An interval in eight bytes: declared, in nanoseconds, or learned. 0 if unknown.
#[derive(Clone, Copy, Debug, Default)]
struct Interval(u64);

impl Interval {
    fn declared(ns: i64) -> Self {
        Self(ns.cast_unsigned())
    }

    fn learned(mean_ns: f32, run_ns: f32) -> Self {
        Self(u64::from(mean_ns.to_bits()) << 32 | u64::from(run_ns.to_bits()))
    }

    fn as_declared(self) -> i64 {
        self.0.cast_signed()
    }

    /// Returns the mean gap, and the mean of the current run of agreeing gaps.
    #[expect(clippy::cast_possible_truncation, reason = "one half of the bits each")]
    fn as_learned(self) -> (f32, f32) {
        (f32::from_bits((self.0 >> 32) as u32), f32::from_bits(self.0 as u32))
    }
}

/// The authentication of a client.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The position of the key that its last beat was signed with.
    pub(super) position: usize,
    /// The client's own key, derived from that.
    pub(super) key: Key,
    pub(super) boot: u64,
    /// The nonce with which another boot proves that it is not a recording, although it is not
    /// newer.
    pub(super) nonce: u64,
    /// The numbers of its beats.
    pub(super) numbers: ReplayWindow,
}

/// Fields that only a few clients need.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    /// The whole address, if it is not IPv4.
    pub(super) address: Option<SocketAddr>,
    pub(super) name: Option<Box<[u8]>>,
    pub(super) boot: Option<u64>,
    /// Present if the client is authenticated.
    pub(super) guard: Option<Box<Guard>>,
    /// New beats of that boot.
    pub(super) beats: u8,
    /// The interval and the timeout that the last unproven boot declared.
    pub(super) claim: (Option<i64>, Option<Asked>),
    /// Other senders under the same key.
    pub(super) rivals: Vec<Rival>,
    /// Its addresses, once it has more than one.
    pub(super) moves: Option<Box<Moves>>,
    /// Since when all beats have come with a long delay.
    pub(super) delayed_since_ns: Option<i64>,
    pub(super) status: Option<Status>,
    pub(super) progress_age_ns: Option<i64>,
    pub(super) task: Option<Box<[u8]>>,
    pub(super) failures: Option<u64>,
    pub(super) error: Option<Box<[u8]>>,
    /// The timeout that it asks for.
    pub(super) asked: Option<Asked>,
    /// Beats that its own host refused to send.
    pub(super) unsent: u64,
    /// Whether the server's fixed timeout turned out to be shorter than its interval.
    pub(super) outlasts_timeout: bool,
    /// When it became busy or stalled, or ended.
    pub(super) since_ns: i64,
    /// When it first said that it may be silent for longer than a newcomer.
    pub(super) claims_since_ns: Option<i64>,
}

impl Details {
    /// Returns whether its boot is more than one datagram.
    pub(super) fn is_proven(&self) -> bool {
        self.beats > 1
    }

    /// Loads the fields that the usual beat depends on.
    pub(super) fn touch(&self) -> i64 {
        let name = self.name.as_deref().and_then(|name| name.first());
        i64::from(self.is_quiet()) + name.map_or(0, |byte| i64::from(*byte)) + i64::from(self.beats)
    }

    /// Returns whether nothing is known of a client that a beat of its own, with no more than a name
    /// and a boot id, could change or depend on.
    pub(super) fn is_quiet(&self) -> bool {
        self.address.is_none()
            && self.guard.is_none()
            && self.rivals.is_empty()
            && self.moves.is_none()
            && self.delayed_since_ns.is_none()
            && self.asked.is_none()
            && !self.outlasts_timeout
    }

    /// Forgets all that the sender declared, since another one is followed.
    pub(super) fn restart(&mut self, next: &Rival) {
        *self = Self {
            name: self.name.take(),
            guard: self.guard.take(),
            boot: next.boot,
            beats: next.beats,
            claim: self.claim,
            asked: next.asked,
            unsent: next.unsent,
            rivals: std::mem::take(&mut self.rivals),
            claims_since_ns: self.claims_since_ns,
            ..Self::default()
        };
    }

    /// Records the state of the application that a beat declares.
    pub(super) fn declare(&mut self, beat: &Beat<'_>) {
        (self.status, self.progress_age_ns) = (beat.status, beat.age_ns);
        self.failures = beat.failures.or(self.failures);
        for (known, word) in [(&mut self.task, beat.task), (&mut self.error, beat.error)] {
            if known.as_deref() != word {
                *known = word.map(Into::into);
            }
        }
    }
}

impl Record {
    pub(super) fn new(sequence: Sequence, at_ns: i64) -> Self {
        Self {
            sequence,
            last_received_ns: at_ns,
            least_difference_ns: 0,
            delay_ns: 0.0,
            interval: Interval::default(),
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

    /// Returns the address, if it is IPv4.
    pub(super) fn v4(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, self.port)
    }

    pub(super) fn set_v4(&mut self, address: SocketAddrV4) {
        (self.ip, self.port) = (*address.ip(), address.port());
    }

    /// Returns the interval, if known, trusted or not.
    #[expect(clippy::cast_possible_truncation, reason = "it came from an integer")]
    pub(super) fn interval_ns(&self) -> Option<i64> {
        let interval_ns = if self.is(DECLARED) {
            self.interval.as_declared()
        } else {
            self.interval.as_learned().0 as i64
        };
        (interval_ns > 0).then_some(interval_ns)
    }

    /// Returns whether the interval is known well enough to judge by.
    pub(super) fn has_learned(&self) -> bool {
        self.flags & (DECLARED | LEARNED) != 0
    }

    pub(super) fn is_declared(&self) -> bool {
        self.is(DECLARED)
    }

    /// Counts gaps far below the declared interval. Returns whether there have now been several in
    /// a row.
    pub(super) fn beats_too_often(&mut self, gap_ns: i64, steps: u64) -> bool {
        if !self.is(DECLARED) {
            return false;
        }
        // Fast path: most gaps are of one number, and a division takes long.
        let gap_ns =
            if steps == 1 { gap_ns } else { gap_ns / i64::try_from(steps).unwrap_or(i64::MAX) };
        let is_short = gap_ns < self.interval.as_declared() / TOO_OFTEN;
        self.set_run(if is_short { self.run() + 1 } else { 0 });
        self.run() == ENOUGH_SHORT
    }

    /// Returns the interval, if declared.
    pub(super) fn declared_ns(&self) -> Option<i64> {
        self.interval_ns().filter(|_| self.is(DECLARED))
    }

    /// Records a declared interval. Returns whether it is another one than before.
    pub(super) fn declare_interval(&mut self, interval_ns: i64) -> bool {
        let before_ns = self.interval_ns();
        self.interval = Interval::declared(interval_ns.max(SHORTEST_NS));
        self.set(DECLARED, true);
        let is_new = self.interval_ns() != before_ns;
        if is_new {
            self.set_run(0);
        }
        is_new
    }

    /// Learns the interval from a gap of `steps` numbers: a slow average, in which no gap counts
    /// for more than twice the interval, unless several agreeing gaps in a row show that it has
    /// changed. Returns whether it has.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn learn_interval(&mut self, gap_ns: i64, steps: u64) -> bool {
        if self.is(DECLARED) || gap_ns <= 0 {
            return false;
        }
        let gap = gap_ns as f32 / steps as f32;
        let (mut mean, mut run_mean) = self.interval.as_learned();
        mean = if mean > 0.0 { mean + (gap.min(2.0 * mean) - mean) / MEMORY } else { gap };
        if gap >= SHORTEST_LEARNED_NS {
            let run = if agree(gap, run_mean) { self.run() } else { 0 };
            run_mean = if run > 0 { run_mean + (gap - run_mean) / f32::from(run + 1) } else { gap };
            self.set_run(run + 1);
        }
        let is_longer = self.is(LEARNED) && run_mean > mean;
        let enough = if is_longer { ENOUGH_LONGER } else { ENOUGH };
        let is_new = self.run() >= enough && !(self.is(LEARNED) && agree(mean, run_mean));
        if is_new {
            mean = run_mean;
        }
        let beats = self.sequence.received().saturating_add(self.sequence.duplicates());
        if is_new || beats >= MANY {
            self.set(LEARNED, true);
        }
        self.interval = Interval::learned(mean.max(SHORTEST_LEARNED_NS), run_mean);
        is_new
    }

    fn run(&self) -> u8 {
        self.flags / RUN
    }

    fn set_run(&mut self, run: u8) {
        self.flags = self.flags % RUN + run.min(LONGEST_RUN) * RUN;
    }

    /// Forgets the interval and the times of the last run.
    pub(super) fn restart(&mut self) {
        self.flags &= PROVEN;
        self.interval = Interval::default();
    }

    /// Returns the delay of the last new beat above the least, if beats carry times.
    #[expect(clippy::cast_possible_truncation, reason = "it came from an integer")]
    pub(super) fn delay_ns(&self) -> Option<i64> {
        self.is(TIMED).then_some(self.delay_ns as i64)
    }

    /// Returns the last beat's transit time beyond the suspect timeout.
    pub(super) fn excess_delay_ns(&self, suspect_ns: i64) -> i64 {
        // The times of a client that keeps no interval may mean anything.
        let delay_ns = self.delay_ns().filter(|_| self.has_learned()).unwrap_or_default();
        delay_ns.saturating_sub(suspect_ns).max(0)
    }

    /// Returns the last beat's receive time minus its send time, as if clocks never stepped.
    pub(super) fn difference_ns(&self) -> Option<i64> {
        Some(self.least_difference_ns.saturating_add(self.delay_ns()?))
    }

    /// Returns the rounding error of the delay, which is stored as `f32`.
    pub(super) fn rounding_ns(&self) -> i64 {
        self.delay_ns().unwrap_or_default() >> ROUNDED
    }

    /// Compares the send time of a beat with those of the first and the newest beat of this run.
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

    /// Records the newest beat's arrival and, if it carries a time, its difference.
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

    /// Records a beat, on a fast path, if it is the next one, comes about as the client declares, and
    /// changes nothing but numbers and times; otherwise changes nothing and returns `None`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it came from an integer")]
    pub(super) fn keep_pace(
        &mut self,
        reading: &Reading,
        at_ns: i64,
        difference_ns: i64,
        interval_ns: i64,
    ) -> Option<()> {
        let is_settled = self.state == State::Up
            && self.flags & !LEARNED == TIMED | PROVEN | DECLARED
            && self.interval.as_declared() == interval_ns;
        let gap_ns = at_ns.checked_sub(self.last_received_ns)?;
        let delay_ns = self.delay_ns as i64;
        let more_ns = difference_ns.checked_sub(self.least_difference_ns)?.checked_sub(delay_ns)?;
        let sent_gap_ns = gap_ns.checked_sub(more_ns)?;
        let shortest_ns = (interval_ns / TOO_OFTEN).max((delay_ns >> ROUNDED) + 1);
        let most_ns = gap_ns.min(STEP_NS);
        let raised_ns = self.least_difference_ns.checked_add(gap_ns / RISE)?;
        let is_regular = gap_ns.min(sent_gap_ns) >= shortest_ns
            && (-most_ns..=most_ns).contains(&more_ns)
            && difference_ns.checked_sub(raised_ns)? < interval_ns / 2;
        if !(is_settled && is_regular && self.sequence.count_next(reading)) {
            return None;
        }
        self.last_received_ns = at_ns;
        self.least_difference_ns = raised_ns;
        self.set_difference_ns(difference_ns);
        Some(())
    }

    #[expect(clippy::cast_precision_loss, reason = "exact to 16 ms and for 24 bits beyond")]
    fn set_difference_ns(&mut self, difference_ns: i64) {
        if !self.is(TIMED) || difference_ns < self.least_difference_ns {
            self.least_difference_ns = difference_ns;
            self.set(TIMED, true);
        }
        self.delay_ns = difference_ns.saturating_sub(self.least_difference_ns) as f32;
    }

    /// Raises the least difference by 244 parts per million of the time passed, because two clocks
    /// may drift apart by that much.
    pub(super) fn raise_least_difference(&mut self, passed_ns: i64) {
        self.least_difference_ns = self.least_difference_ns.saturating_add(passed_ns.max(0) / RISE);
    }

    /// Makes the last beat's difference the least.
    pub(super) fn reset_least_difference(&mut self) {
        if let Some(difference_ns) = self.difference_ns() {
            self.set(TIMED, false);
            self.set_difference_ns(difference_ns);
        }
    }

    /// Removes a clock step from the delays.
    pub(super) fn step_clock(&mut self, by_ns: i64) {
        self.least_difference_ns = self.least_difference_ns.saturating_add(by_ns);
        let first_sent_ns = i64::from(self.first_sent_s) * NS_PER_SECOND;
        self.first_sent_s = to_seconds(first_sent_ns.saturating_sub(by_ns));
    }
}

fn agree(one: f32, other: f32) -> bool {
    one <= AGREE * other && other <= AGREE * one
}

/// Rounds down to whole seconds, which reach 68 years either way.
fn to_seconds(ns: i64) -> i32 {
    let seconds = ns.div_euclid(NS_PER_SECOND);
    i32::try_from(seconds).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::OldBeats;

    #[test]
    fn a_record_is_small() {
        // With its deadline, its entry in the hash table (10.5 bytes at a million) and the reserve
        // of a growing table (a sixty-fourth), a client takes less than 100 bytes.
        assert!(size_of::<Record>() <= 80);
    }

    #[test]
    fn one_long_gap_barely_changes_a_learned_interval() {
        let mut record = Record::new(Sequence::new(Some(1)), 0);
        for _ in 0..3 {
            assert!(!record.learn_interval(NS_PER_SECOND, 1));
            assert!(!record.has_learned());
        }
        assert!(record.learn_interval(3 * NS_PER_SECOND, 3));
        assert!(record.has_learned());
        assert_eq!(record.interval_ns(), Some(NS_PER_SECOND));
        assert!(!record.learn_interval(100 * NS_PER_SECOND, 1));
        assert!(record.interval_ns() < Some(1_200_000_000));
        record.declare_interval(100_000_000);
        record.learn_interval(NS_PER_SECOND, 1);
        assert_eq!(record.interval_ns(), Some(100_000_000));
    }

    #[test]
    fn agreeing_gaps_replace_a_learned_interval() {
        let second = NS_PER_SECOND;
        for (gap_ns, needed) in [(10 * second, 3), (second / 5, 4)] {
            let mut record = Record::new(Sequence::new(Some(1)), 0);
            for _ in 0..20 {
                record.learn_interval(second, 1);
            }
            let changed: Vec<_> = (0..6).map(|_| record.learn_interval(gap_ns, 1)).collect();
            assert_eq!(changed.iter().position(|is_new| *is_new), Some(needed - 1));
            assert_eq!(changed.iter().filter(|is_new| **is_new).count(), 1);
            let interval_ns = record.interval_ns().unwrap();
            assert!((interval_ns - gap_ns).abs() < gap_ns / 100, "{interval_ns}");
        }
    }

    #[test]
    fn gaps_that_do_not_agree_are_averaged() {
        let mut record = Record::new(Sequence::new(Some(1)), 0);
        for k in 0..100 {
            record.sequence.observe(Some(k + 2), SendOrder::Unknown, OldBeats::Ignore);
            let tenths = if k % 2 == 0 { 2 } else { 30 };
            assert!(!record.learn_interval(tenths * NS_PER_SECOND / 10, 1));
        }
        let interval_ns = record.interval_ns().filter(|_| record.has_learned()).unwrap();
        assert!((NS_PER_SECOND..2 * NS_PER_SECOND).contains(&interval_ns), "{interval_ns}");
    }

    #[test]
    fn a_declared_interval_is_exact() {
        let mut record = Record::new(Sequence::new(Some(1)), 0);
        for interval_ns in [1_000_001, 333_333_333, 366 * 86_400 * NS_PER_SECOND + 1, i64::MAX] {
            assert!(record.declare_interval(interval_ns));
            assert!(!record.declare_interval(interval_ns));
            assert_eq!(record.interval_ns(), Some(interval_ns));
        }
        record.declare_interval(1);
        assert_eq!(record.interval_ns(), Some(SHORTEST_NS));
    }

    #[test]
    fn send_times_are_ordered_despite_rounded_delays() {
        const FAR: i64 = 1_700_000_000 * NS_PER_SECOND;
        let mut record = Record::new(Sequence::new(Some(1)), 0);
        assert_eq!(record.send_order(5, Some(0)), SendOrder::Unknown);
        record.set_newest(100 * NS_PER_SECOND, Some(FAR));
        // 1234567891 ns does not fit in 24 bits.
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
    fn the_delay_is_relative_to_the_least_difference() {
        let mut record = Record::new(Sequence::new(Some(1)), 0);
        assert_eq!((record.delay_ns(), record.difference_ns()), (None, None));
        for (difference_ns, delay_ns) in [(-500, 0), (-400, 100), (-600, 0), (-500, 100)] {
            record.set_difference_ns(difference_ns);
            assert_eq!(record.delay_ns(), Some(delay_ns));
            assert_eq!(record.difference_ns(), Some(difference_ns));
        }
    }
}
