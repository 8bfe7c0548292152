//! Which numbers of a sequence came: losses, latecomers, duplicates, restarts.

use crate::NS_PER_SECOND;

/// The numbers heard from one client since it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    first: u64,
    highest: u64,
    received: u64,
    /// Bit `k` is set where `highest - k` came.
    seen: u128,
    /// The send times of the first number and of the highest.
    sent_ns: Option<(i64, i64)>,
    /// The last number that was no news: if its successor comes next, the count has started over
    /// (the rule of RFC 3550 appendix A.1).
    restart: Option<u64>,
}

/// What a send time says of a number that is not the highest.
#[derive(PartialEq, Eq)]
enum Age {
    /// It is later than the highest's, or before the first's: of a clock that was set back.
    OfAnotherRun,
    /// It is one of this run.
    Old,
    /// There is none, or a coarse clock gave the highest the same.
    Unknown,
}

/// By how much the first packet heard may have overtaken another.
const OVERTAKEN_NS: i64 = 10 * NS_PER_SECOND;

/// What the coming of a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It came before.
    Duplicate,
    /// Those from `first` to `last` were passed over and are taken for lost.
    Gap {
        /// The first number that did not come.
        first: u64,
        /// The last.
        last: u64,
    },
    /// It was taken for lost and is no longer.
    Late,
    /// It is the next one.
    Next,
    /// The client has started again.
    Restart,
    /// It is older than the first number heard or than the last 128: nothing can be said of it.
    Stale,
}

impl Sequence {
    /// A sequence of which `seq`, sent at `sent_ns`, was heard first. Nothing before it is lost.
    #[must_use]
    pub fn new(seq: u64, sent_ns: Option<i64>) -> Self {
        Self {
            first: seq,
            highest: seq,
            received: 1,
            seen: 1,
            sent_ns: sent_ns.map(|ns| (ns, ns)),
            restart: None,
        }
    }

    /// Whether a beat sent at `sent_ns` may be newer than all that were heard: so it is unless both
    /// its time and the newest are known and say otherwise.
    #[must_use]
    pub fn may_be_newer(&self, sent_ns: Option<i64>) -> bool {
        sent_ns.zip(self.sent_ns).is_none_or(|(sent, (_, newest))| sent > newest)
    }

    /// The highest number heard.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// How many numbers came, each counted once.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How many numbers should have come: all from the first to the highest.
    #[must_use]
    pub fn expected(&self) -> u64 {
        (self.highest - self.first).saturating_add(1)
    }

    /// Takes a number that came, sent at `sent_ns`.
    pub fn observe(&mut self, seq: u64, sent_ns: Option<i64>) -> Arrival {
        if seq > self.highest {
            return self.advance(seq, sent_ns);
        }
        let age = self.highest - seq;
        let bit = u32::try_from(age).ok().and_then(|age| 1_u128.checked_shl(age));
        let bit = bit.filter(|_| seq >= self.first);
        let missing = bit.filter(|bit| self.seen & bit == 0);
        let from_the_start = seq <= 1 && seq < self.highest;
        let age = self.age(seq, sent_ns);
        if let Some(bit) = missing
            && !(from_the_start && age == Age::OfAnotherRun)
        {
            self.seen |= bit;
            self.received += 1;
            return Arrival::Late;
        }
        // Where times do not decide, an old number says that the count started over rather than
        // that a packet was delayed.
        if age != Age::Old {
            let in_sequence = self.restart.and_then(|before| before.checked_add(1)) == Some(seq);
            if from_the_start || in_sequence {
                *self = Self::new(seq, sent_ns);
                return Arrival::Restart;
            }
            self.restart = Some(seq);
        }
        if bit.is_some() { Arrival::Duplicate } else { Arrival::Stale }
    }

    /// What the send time of an old number says.
    fn age(&self, seq: u64, sent_ns: Option<i64>) -> Age {
        let Some((sent, (first, newest))) = sent_ns.zip(self.sent_ns) else {
            return Age::Unknown;
        };
        let overtaken_ns = if seq < self.first { OVERTAKEN_NS } else { 0 };
        if sent == newest {
            Age::Unknown
        } else if (first.saturating_sub(overtaken_ns)..newest).contains(&sent) {
            Age::Old
        } else {
            Age::OfAnotherRun
        }
    }

    fn advance(&mut self, seq: u64, sent_ns: Option<i64>) -> Arrival {
        let step = seq - self.highest;
        let before = self.highest;
        let shifted = u32::try_from(step).ok().and_then(|step| self.seen.checked_shl(step));
        self.seen = shifted.unwrap_or(0) | 1;
        self.highest = seq;
        self.received += 1;
        let first_ns = self.sent_ns.map(|(first, _)| first).or(sent_ns);
        self.sent_ns = first_ns.zip(sent_ns);
        self.restart = None;
        match step {
            1 => Arrival::Next,
            _ => Arrival::Gap { first: before + 1, last: seq - 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn observe_all(numbers: &[u64]) -> (Sequence, Vec<Arrival>) {
        let mut sequence = Sequence::new(numbers[0], None);
        let arrivals = numbers[1..].iter().map(|&seq| sequence.observe(seq, None)).collect();
        (sequence, arrivals)
    }

    #[test]
    fn a_gap_is_lost_until_its_numbers_come() {
        let (sequence, arrivals) = observe_all(&[1, 2, 6, 4, 4, 7]);
        let gap = Arrival::Gap { first: 3, last: 5 };
        let expected = [Arrival::Next, gap, Arrival::Late, Arrival::Duplicate, Arrival::Next];
        assert_eq!(arrivals, expected);
        assert_eq!((sequence.received(), sequence.expected()), (5, 7));
    }

    #[test]
    fn falling_back_to_the_start_is_a_restart() {
        for start in [0, 1] {
            let (sequence, arrivals) = observe_all(&[5, 6, start]);
            assert_eq!(arrivals[1], Arrival::Restart);
            assert_eq!((sequence.received(), sequence.expected()), (1, 1));
        }
        assert_eq!(observe_all(&[1, 1]).1, [Arrival::Duplicate]);
        assert_eq!(observe_all(&[0, 2, 1]).1[1], Arrival::Late);
    }

    #[test]
    fn an_old_packet_is_no_restart() {
        let mut sequence = Sequence::new(1, Some(100));
        assert_eq!(sequence.observe(2, Some(200)), Arrival::Next);
        assert_eq!(sequence.observe(1, Some(100)), Arrival::Duplicate);
        assert_eq!(sequence.observe(1, Some(300)), Arrival::Restart);
        let mut sequence = Sequence::new(0, Some(100));
        sequence.observe(2, Some(300));
        assert_eq!(sequence.clone().observe(1, Some(200)), Arrival::Late);
        assert_eq!(sequence.observe(1, Some(400)), Arrival::Restart);
    }

    #[test]
    fn a_clock_set_back_or_a_coarse_one_hides_no_restart() {
        let start = 1000 * NS_PER_SECOND;
        for (newest, restart) in [(start + 200, 50), (start, start)] {
            let mut sequence = Sequence::new(5, Some(start));
            sequence.observe(6, Some(newest));
            assert_eq!(sequence.observe(1, Some(restart)), Arrival::Restart);
        }
        let mut sequence = Sequence::new(0, Some(start));
        sequence.observe(2, Some(start));
        assert_eq!(sequence.observe(1, Some(start)), Arrival::Late);
    }

    #[test]
    fn a_packet_overtaken_by_the_first_one_heard_is_no_restart() {
        let mut sequence = Sequence::new(2, Some(200));
        assert_eq!(sequence.observe(1, Some(100)), Arrival::Stale);
        assert_eq!(sequence.observe(3, Some(300)), Arrival::Next);
    }

    #[test]
    fn a_count_that_goes_on_elsewhere_is_a_restart() {
        assert_eq!(observe_all(&[500, 10, 11]).1, [Arrival::Stale, Arrival::Restart]);
        let twice = [Arrival::Duplicate, Arrival::Next, Arrival::Duplicate];
        assert_eq!(observe_all(&[500, 500, 501, 501]).1, twice);
    }

    #[test]
    fn far_jumps_are_counted_and_not_walked() {
        let (sequence, arrivals) = observe_all(&[0, u64::MAX]);
        assert_eq!(arrivals, [Arrival::Gap { first: 1, last: u64::MAX - 1 }]);
        assert_eq!((sequence.received(), sequence.expected()), (2, u64::MAX));
    }

    proptest! {
        /// Numbers of one count, shuffled and doubled within the window, against a plain set.
        #[test]
        fn counts_are_those_of_a_set(
            numbers in prop::collection::vec(1000..1100_u64, 1..300),
        ) {
            // Times of one run, in the order of the numbers.
            let time = |seq: u64| i64::try_from(seq).ok();
            let mut sequence = Sequence::new(numbers[0], time(numbers[0]));
            let mut set = BTreeSet::from([numbers[0]]);
            for &seq in &numbers[1..] {
                let arrival = sequence.observe(seq, time(seq));
                if seq < numbers[0] {
                    prop_assert_eq!(arrival, Arrival::Stale);
                    continue;
                }
                let new = set.insert(seq);
                prop_assert_eq!(!new, arrival == Arrival::Duplicate);
                prop_assert_eq!(sequence.received(), set.len() as u64);
                let highest = *set.last().unwrap();
                prop_assert_eq!(sequence.expected(), highest - numbers[0] + 1);
            }
        }
    }
}
