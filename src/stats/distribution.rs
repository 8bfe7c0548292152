//! The distribution of durations in constant memory.

use std::ops::AddAssign;

use hdrhistogram::Histogram;

/// Significant decimal digits of a percentile.
const DIGITS: u8 = 3;

/// Durations in nanoseconds, none negative. Count, mean, minimum and maximum are exact, percentiles
/// to 0.1 %. Undefined without a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    count: u64,
    mean_ns: f64,
    /// The sum of the squares of the distances to the mean (Welford).
    squares: f64,
    range_ns: Option<(i64, i64)>,
    /// As wide as the largest value asks for; made with the first.
    histogram: Option<Histogram<u64>>,
}

impl Distribution {
    /// Takes one duration into account; a negative one counts as 0.
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn add(&mut self, ns: i64) {
        let ns = ns.max(0);
        self.count += 1;
        let distance = ns as f64 - self.mean_ns;
        self.mean_ns += distance / self.count as f64;
        self.squares += distance * (ns as f64 - self.mean_ns);
        let (min, max) = self.range_ns.unwrap_or((ns, ns));
        self.range_ns = Some((min.min(ns), max.max(ns)));
        // It widens by itself, so that all fits.
        let _ = self.histogram.get_or_insert_with(histogram).record(ns.unsigned_abs());
    }

    /// How many were taken.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest.
    #[must_use]
    pub fn min_ns(&self) -> Option<i64> {
        self.range_ns.map(|(min, _)| min)
    }

    /// The largest.
    #[must_use]
    pub fn max_ns(&self) -> Option<i64> {
        self.range_ns.map(|(_, max)| max)
    }

    /// The arithmetic mean.
    #[must_use]
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean_ns)
    }

    /// The sample standard deviation; undefined for fewer than two.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a deviation needs no more than 53 bits")]
    pub fn stddev_ns(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }

    /// The smallest value that at least `percent` of the sample do not exceed (nearest rank);
    /// undefined where fewer than one value is expected beyond it, as p99.9 is of 100.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rank needs no more than 53 bits")]
    pub fn percentile_ns(&self, percent: f64) -> Option<i64> {
        let (min, max) = self.range_ns?;
        if percent <= 0.0 {
            return Some(min);
        }
        if percent >= 100.0 {
            return Some(max);
        }
        let beyond = percent.min(100.0 - percent) / 100.0 * self.count as f64;
        // The median is that of any sample; the tolerance is for shares that binary cannot hold.
        let is_median = (percent - 50.0).abs() < f64::EPSILON;
        if !is_median && beyond < 1.0 - 1e-9 {
            return None;
        }
        let value = self.histogram.as_ref()?.value_at_percentile(percent);
        Some(i64::try_from(value).unwrap_or(max).clamp(min, max))
    }
}

fn histogram() -> Histogram<u64> {
    let mut histogram =
        Histogram::new(DIGITS).expect("1 to 5 digits are allowed, and 3 were asked for");
    histogram.auto(true);
    histogram
}

impl AddAssign<&Self> for Distribution {
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    fn add_assign(&mut self, other: &Self) {
        let (Some((min, max)), Some(theirs)) = (other.range_ns, &other.histogram) else { return };
        let (Some((my_min, my_max)), Some(mine)) = (self.range_ns, &mut self.histogram) else {
            *self = other.clone();
            return;
        };
        // It widens by itself, so that all fits.
        let _ = mine.add(theirs);
        let (n, m) = (self.count as f64, other.count as f64);
        let distance = other.mean_ns - self.mean_ns;
        self.count += other.count;
        self.mean_ns += distance * m / (n + m);
        self.squares += other.squares + distance * distance * n * m / (n + m);
        self.range_ns = Some((min.min(my_min), max.max(my_max)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(sample: impl IntoIterator<Item = i64>) -> Distribution {
        let mut distribution = Distribution::default();
        sample.into_iter().for_each(|ns| distribution.add(ns));
        distribution
    }

    #[test]
    fn nothing_is_undefined() {
        let none = Distribution::default();
        assert_eq!((none.min_ns(), none.mean_ns(), none.max_ns()), (None, None, None));
        assert_eq!((none.stddev_ns(), none.percentile_ns(50.0)), (None, None));
    }

    #[test]
    fn a_small_sample() {
        let three = of([3, 1, 5]);
        assert_eq!(
            (three.min_ns(), three.mean_ns(), three.max_ns()),
            (Some(1), Some(3.0), Some(5))
        );
        assert_eq!((three.count(), three.stddev_ns()), (3, Some(2.0)));
        assert_eq!(three.percentile_ns(50.0), Some(3));
        assert_eq!((of([7]).stddev_ns(), of([7]).percentile_ns(50.0)), (None, Some(7)));
    }

    #[test]
    fn a_percentile_needs_values_beyond_it() {
        let hundred = of(1..=100);
        assert_eq!(hundred.percentile_ns(99.0), Some(99));
        assert_eq!((hundred.percentile_ns(99.9), hundred.percentile_ns(0.1)), (None, None));
        assert_eq!(
            (hundred.percentile_ns(0.0), hundred.percentile_ns(100.0)),
            (Some(1), Some(100))
        );
        assert!(of(1..=1000).percentile_ns(99.9).is_some());
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_sample(
            mut sample in prop::collection::vec(0..20_000_000_000_i64, 1..300),
            percent in 1.0..99.0_f64,
        ) {
            let distribution = of(sample.clone());
            sample.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
            let rank = (percent / 100.0 * sample.len() as f64).ceil() as usize;
            let exact = sample[rank.max(1) - 1];
            if let Some(given) = distribution.percentile_ns(percent) {
                prop_assert!((given - exact).abs() <= exact / 1000 + 1, "{given} for {exact}");
            }
        }

        #[test]
        fn a_sum_is_that_of_both_samples(
            one in prop::collection::vec(0..10_000_000_000_i64, 0..50),
            other in prop::collection::vec(0..10_000_000_000_i64, 0..50),
        ) {
            let mut sum = of(one.clone());
            sum += &of(other.clone());
            let both = of(one.into_iter().chain(other));
            prop_assert_eq!((sum.count, sum.range_ns), (both.count, both.range_ns));
            prop_assert_eq!(sum.percentile_ns(50.0), both.percentile_ns(50.0));
            let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= b.abs() * 1e-6 + 1.0,
                (a, b) => a == b,
            };
            prop_assert!(close(sum.mean_ns(), both.mean_ns()));
            prop_assert!(close(sum.stddev_ns(), both.stddev_ns()));
        }
    }
}
