//! The timing of probes.

use crate::Random;

/// The timing of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Send the next probe when the last one is answered or has timed out.
    StopAndWait,
    /// Send on a grid of absolute times, regardless of replies (a periodic stream, RFC 3432).
    Periodic {
        /// The time between slots.
        interval_ns: i64,
    },
    /// Send at random, with exponential gaps (Poisson sampling, RFC 2330 section 11.1.1).
    Poisson {
        /// The mean time between slots.
        mean_ns: i64,
        /// The seed of the gaps.
        seed: Option<u64>,
    },
}

/// After this many missed slots a Poisson process restarts: it has no memory.
const CATCH_UP: u32 = 4096;

/// The slots of a schedule that does not wait for replies.
#[derive(Debug)]
pub(super) struct Slots {
    gap: Gap,
    next_ns: i64,
    missed: u64,
}

#[derive(Debug)]
enum Gap {
    Fixed(i64),
    Exponential(f64, Random),
}

impl Slots {
    /// Creates the slots from `start_ns` on; `None` if each probe waits for the last.
    pub(super) fn new(schedule: Schedule, start_ns: i64) -> Option<Self> {
        let gap = match schedule {
            Schedule::StopAndWait => return None,
            Schedule::Periodic { interval_ns } => Gap::Fixed(interval_ns),
            #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
            Schedule::Poisson { mean_ns, seed } => {
                Gap::Exponential(mean_ns as f64, Random::new(seed))
            }
        };
        Some(Self { gap, next_ns: start_ns, missed: 0 })
    }

    /// Returns when the next slot is.
    pub(super) fn next_ns(&self) -> i64 {
        self.next_ns
    }

    /// Returns the number of slots that passed unused.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Marks the slot taken last as missed.
    pub(super) fn miss(&mut self) {
        self.missed += 1;
    }

    /// Consumes the latest slot that is due at `now_ns`; earlier ones count as missed.
    pub(super) fn next_due(&mut self, now_ns: i64) -> Option<i64> {
        let behind_ns = now_ns.checked_sub(self.next_ns).filter(|behind| *behind >= 0)?;
        match &mut self.gap {
            Gap::Fixed(interval_ns) => {
                let missed = behind_ns / *interval_ns;
                let slot_ns = self.next_ns + missed * *interval_ns;
                self.missed += missed.unsigned_abs();
                self.next_ns = slot_ns.saturating_add(*interval_ns);
                Some(slot_ns)
            }
            Gap::Exponential(mean_ns, random) => {
                for _ in 0..CATCH_UP {
                    let slot_ns = self.next_ns;
                    self.next_ns = slot_ns.saturating_add(gap_ns(*mean_ns, random));
                    if self.next_ns > now_ns {
                        return Some(slot_ns);
                    }
                    self.missed += 1;
                }
                self.next_ns = now_ns.saturating_add(gap_ns(*mean_ns, random));
                Some(now_ns)
            }
        }
    }
}

/// Draws an exponentially distributed gap.
#[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn gap_ns(mean_ns: f64, random: &mut Random) -> i64 {
    const PARTS: u64 = 1 << 53;
    // In (0, 1], so that the logarithm is finite.
    let share = (random.below(PARTS) + 1) as f64 / PARTS as f64;
    ((-mean_ns * share.ln()) as i64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn periodic(interval_ns: i64) -> Slots {
        Slots::new(Schedule::Periodic { interval_ns }, 1000).unwrap()
    }

    #[test]
    fn late_slots_are_skipped_and_nothing_drifts() {
        let mut slots = periodic(100);
        assert_eq!((slots.next_due(999), slots.next_due(1000)), (None, Some(1000)));
        assert_eq!((slots.next_due(1099), slots.next_due(1105)), (None, Some(1100)));
        assert_eq!((slots.next_due(1450), slots.missed(), slots.next_ns()), (Some(1400), 2, 1500));
    }

    #[test]
    fn poisson_gaps_have_their_mean_and_repeat() {
        let gaps = |seed| {
            let poisson = Schedule::Poisson { mean_ns: 1000, seed: Some(seed) };
            let mut slots = Slots::new(poisson, 0).unwrap();
            (0..20_000).map(|_| slots.next_due(slots.next_ns()).unwrap()).last().unwrap()
        };
        assert_eq!(gaps(1), gaps(1));
        assert_ne!(gaps(1), gaps(2));
        // The mean of 20 000 gaps lies within 5 standard errors.
        assert!((gaps(1) - 19_999_000).abs() < 5 * 141_000, "{}", gaps(1));
    }

    #[test]
    fn a_long_pause_restarts_a_poisson_schedule() {
        let poisson = Schedule::Poisson { mean_ns: 1, seed: Some(1) };
        let mut slots = Slots::new(poisson, 0).unwrap();
        assert_eq!(slots.next_due(i64::MAX / 2), Some(i64::MAX / 2));
        assert_eq!(slots.missed(), u64::from(CATCH_UP));
    }

    proptest! {
        #[test]
        fn every_slot_of_the_grid_is_taken_or_missed(
            interval_ns in 1..1000_i64,
            passed in prop::collection::vec(0..5000_i64, 1..100),
        ) {
            let (mut slots, mut now_ns, mut taken) = (periodic(interval_ns), 1000, 0);
            for passed in passed {
                now_ns += passed;
                if let Some(slot_ns) = slots.next_due(now_ns) {
                    taken += 1;
                    prop_assert!((slot_ns - 1000) % interval_ns == 0);
                    prop_assert!((0..interval_ns).contains(&(now_ns - slot_ns)));
                }
            }
            let due = (now_ns - 1000).div_euclid(interval_ns) + 1;
            prop_assert_eq!(taken + slots.missed(), due.unsigned_abs());
        }
    }
}
