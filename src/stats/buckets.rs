//! Counts of durations by fixed bounds, which only grow.

use std::ops::AddAssign;

/// The first bound; each one is twice the one before.
const FIRST_NS: u64 = 16_000;

/// The number of bounds: 16 us to 8.4 s.
const BOUNDS: usize = 20;

/// A histogram of durations with fixed bounds, exact to the nanosecond. An HDR histogram has ten
/// thousand counts to add up for the same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    counts: [u64; BOUNDS + 1],
    sum_ns: u64,
}

impl Buckets {
    /// Returns the bounds.
    pub fn bounds_ns() -> impl Iterator<Item = u64> {
        (0..BOUNDS).map(|doublings| FIRST_NS << doublings)
    }

    /// Adds a duration, `times` times.
    pub(super) fn add(&mut self, ns: u64, times: u64) {
        let beyond = ns.saturating_sub(1) / FIRST_NS;
        let index = beyond.checked_ilog2().map_or(0, |doublings| doublings as usize + 1);
        self.counts[index.min(BOUNDS)] += times;
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(times));
    }

    /// Returns for each bound how many durations are not above it.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.counts[..BOUNDS].iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        })
    }

    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of the durations.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }
}

impl AddAssign<&Self> for Buckets {
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine = mine.saturating_add(theirs);
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_not_above_its_bound(
            sample in prop::collection::vec(
                prop_oneof![0..20_000_000_000_u64, (0..20_u32, 0..3_u64).prop_map(|(k, off)| {
                    (FIRST_NS << k) + off - 1
                })],
                0..50,
            ),
        ) {
            let mut buckets = Buckets::default();
            for ns in &sample {
                buckets.add(*ns, 1);
            }
            for (bound, count) in Buckets::bounds_ns().zip(buckets.cumulative()) {
                prop_assert_eq!(count, sample.iter().filter(|ns| **ns <= bound).count() as u64);
            }
            prop_assert_eq!(buckets.count(), sample.len() as u64);
            prop_assert_eq!(buckets.sum_ns(), sample.iter().sum::<u64>());
            let mut twice = buckets;
            twice += &buckets;
            prop_assert_eq!(twice.count(), 2 * buckets.count());
        }
    }
}
