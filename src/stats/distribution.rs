//! The distribution of durations, in constant memory.

use std::ops::AddAssign;

use hdrhistogram::Histogram;

use crate::packed::{Packed, Reader, put_float, put_uint};
use crate::stats::Buckets;

/// Significant decimal digits of a percentile.
const DIGITS: u8 = 3;

/// A sample of durations in nanoseconds. Count, mean, minimum and maximum are exact; percentiles
/// are exact up to 1024 values, then within 0.1 %. Undefined if empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    count: u64,
    mean_ns: f64,
    /// The sum of squared deviations from the mean (Welford).
    squares: f64,
    range_ns: Option<(i64, i64)>,
    values: Values,
}

/// Few values are kept as they are, since a sweep has a distribution for each of thousands of
/// targets.
#[derive(Clone, Debug)]
enum Values {
    /// As many of these; they need no memory elsewhere.
    Three(u8, [u64; 3]),
    Few(Vec<u64>),
    Many(Box<Many>),
}

#[derive(Clone, Debug)]
struct Many {
    /// Resizes to the largest value.
    histogram: Histogram<u64>,
    buckets: Buckets,
}

impl Many {
    fn record(&mut self, value: u64, times: u64) {
        // Cannot fail: the histogram resizes itself.
        let _ = self.histogram.record_n(value, times);
        self.buckets.add(value, times);
    }
}

/// Up to this many values take less memory than a histogram.
const FEW: usize = 1024;

impl Default for Values {
    fn default() -> Self {
        Self::Three(0, [0; 3])
    }
}

/// Few values are equal in the same order, the order of a session; histograms are equal if their
/// counts are.
impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Many(mine), Self::Many(theirs)) => {
                recorded(&mine.histogram).eq(recorded(&theirs.histogram))
            }
            _ => self.few() == other.few(),
        }
    }
}

/// Returns the values of a histogram in rising order, with their counts.
fn recorded(histogram: &Histogram<u64>) -> impl Iterator<Item = (u64, u64)> {
    let values = histogram.iter_recorded();
    values.map(|value| (value.value_iterated_to(), value.count_at_value()))
}

impl Values {
    fn many() -> Self {
        let mut histogram =
            Histogram::new(DIGITS).expect("1 to 5 digits are allowed, and 3 were asked for");
        histogram.auto(true);
        Self::Many(Box::new(Many { histogram, buckets: Buckets::default() }))
    }

    /// Returns the values, if they are few.
    fn few(&self) -> Option<&[u64]> {
        match self {
            Self::Three(count, values) => Some(&values[..usize::from(*count)]),
            Self::Few(values) => Some(values),
            Self::Many(_) => None,
        }
    }

    fn record(&mut self, value: u64, times: u64) {
        match self {
            Self::Three(count @ 0..3, values) if times == 1 => {
                values[usize::from(*count)] = value;
                *count += 1;
            }
            Self::Three(count, values) => {
                *self = Self::Few(values[..usize::from(*count)].to_vec());
                self.record(value, times);
            }
            Self::Few(values) if values.len() < FEW && times == 1 => values.push(value),
            Self::Few(values) => {
                let values = std::mem::take(values);
                *self = Self::many();
                for value in values {
                    self.record(value, 1);
                }
                self.record(value, times);
            }
            Self::Many(many) => many.record(value, times),
        }
    }

    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Many(mine), Self::Many(theirs)) => {
                let _ = mine.histogram.add(&theirs.histogram);
                mine.buckets += &theirs.buckets;
            }
            (mine, Self::Many(theirs)) => {
                let few = std::mem::replace(mine, Self::Many(theirs.clone()));
                mine.add(&few);
            }
            (mine, few) => {
                few.few().into_iter().flatten().for_each(|value| mine.record(*value, 1));
            }
        }
    }

    /// Returns the value of this rank, from 1.
    fn of_rank(&self, rank: u64, percent: f64) -> Option<u64> {
        if let Self::Many(many) = self {
            return Some(many.histogram.value_at_percentile(percent));
        }
        let index = usize::try_from(rank.checked_sub(1)?).ok()?;
        let mut values = self.few()?.to_vec();
        (index < values.len()).then(|| *values.select_nth_unstable(index).1)
    }
}

impl Distribution {
    /// Creates the distribution of no durations.
    #[must_use]
    pub const fn new() -> Self {
        let values = Values::Three(0, [0; 3]);
        Self { count: 0, mean_ns: 0.0, squares: 0.0, range_ns: None, values }
    }

    /// Adds one duration; a negative one counts as 0.
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn add(&mut self, ns: i64) {
        let ns = ns.max(0);
        self.count += 1;
        let distance = ns as f64 - self.mean_ns;
        self.mean_ns += distance / self.count as f64;
        self.squares += distance * (ns as f64 - self.mean_ns);
        let (min, max) = self.range_ns.unwrap_or((ns, ns));
        self.range_ns = Some((min.min(ns), max.max(ns)));
        self.values.record(ns.unsigned_abs(), 1);
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the smallest value.
    #[must_use]
    pub fn min_ns(&self) -> Option<i64> {
        self.range_ns.map(|(min, _)| min)
    }

    /// Returns the largest value.
    #[must_use]
    pub fn max_ns(&self) -> Option<i64> {
        self.range_ns.map(|(_, max)| max)
    }

    /// Returns the arithmetic mean.
    #[must_use]
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean_ns)
    }

    /// Returns the sample standard deviation; undefined for fewer than two values.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a deviation needs no more than 53 bits")]
    pub fn stddev_ns(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }

    /// Returns the smallest value that at least `percent` of the sample do not exceed (nearest
    /// rank). Undefined if fewer than one value is expected beyond it, such as p99.9 of 100.
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
        // The median is defined for any sample. The tolerance absorbs shares that binary cannot
        // represent.
        let is_median = (percent - 50.0).abs() < f64::EPSILON;
        if !is_median && beyond < 1.0 - 1e-9 {
            return None;
        }
        self.of_rank((percent / 100.0 * self.count as f64 - 1e-9).ceil().max(1.0))
    }

    /// Returns the 95 % confidence interval of the `percent` percentile of the population that
    /// independent values come from: two values of the sample, chosen by rank alone, so that it
    /// holds for any population (David and Nagaraja, Order Statistics, 2003, section 7.1).
    /// Undefined if the sample is too small: the median needs 6 values, p99 368.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rank needs no more than 53 bits")]
    pub fn percentile_interval_ns(&self, percent: f64) -> Option<(i64, i64)> {
        let (n, share) = (self.count as f64, percent / 100.0);
        let high = upper_rank(n, share)?;
        let low = n + 1.0 - upper_rank(n, 1.0 - share)?;
        Some((self.of_rank(low)?, self.of_rank(high)?))
    }

    /// Returns the values in rising order, each once with the number of its occurrences. Values of a
    /// histogram stand for all that it does not tell apart.
    #[must_use]
    pub fn occurrences(&self) -> Vec<(i64, u64)> {
        let Some((min, max)) = self.range_ns else { return Vec::new() };
        let of = |value: u64| i64::try_from(value).unwrap_or(max).clamp(min, max);
        let mut occurrences = Vec::new();
        let mut add = |value, count| match occurrences.last_mut() {
            Some((last, total)) if *last == value => *total += count,
            _ => occurrences.push((value, count)),
        };
        if let Values::Many(many) = &self.values {
            recorded(&many.histogram).for_each(|(value, count)| add(of(value), count));
        }
        let mut values = self.values.few().unwrap_or_default().to_vec();
        values.sort_unstable();
        for value in values {
            add(of(value), 1);
        }
        occurrences
    }

    /// Returns the values by fixed bounds, exact unless the distribution was unpacked.
    #[must_use]
    pub fn buckets(&self) -> Buckets {
        if let Values::Many(many) = &self.values {
            return many.buckets;
        }
        let mut buckets = Buckets::default();
        for value in self.values.few().unwrap_or_default() {
            buckets.add(*value, 1);
        }
        buckets
    }

    /// Returns the value of this rank, from 1.
    #[expect(clippy::cast_precision_loss, reason = "a rank needs no more than 53 bits")]
    fn of_rank(&self, rank: f64) -> Option<i64> {
        let (min, max) = self.range_ns?;
        // A histogram rounds up to whole ranks; half a rank less withstands errors of a float.
        let percent = (rank - 0.5) / self.count as f64 * 100.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let value = self.values.of_rank(rank as u64, percent)?;
        Some(i64::try_from(value).unwrap_or(max).clamp(min, max))
    }
}

/// Returns the smallest k that a binomial number, of `n` draws with probability `p`, reaches with a
/// probability of at most 2.5 %; `None` if it is above that for `n`, too.
fn upper_rank(n: f64, p: f64) -> Option<f64> {
    /// A term this small relative to the largest adds nothing.
    const NEGLIGIBLE: f64 = 1e-18;
    let odds = p / (1.0 - p);
    // Terms relative to the one at `from`, near the largest: the largest alone may underflow.
    let from = (n * p).floor();
    let up = |(k, term): &(f64, f64)| Some((k + 1.0, term * (n - k) / (k + 1.0) * odds));
    let down = |(k, term): &(f64, f64)| Some((k - 1.0, term * k / (n - k + 1.0) / odds));
    let significant = |(_, term): &(f64, f64)| *term > NEGLIGIBLE;
    let above = || std::iter::successors(Some((from, 1.0)), up).take_while(significant);
    let below = std::iter::successors(Some((from, 1.0)), down).skip(1).take_while(significant);
    let reached: f64 = above().map(|(_, term)| term).sum();
    let total = reached + below.map(|(_, term)| term).sum::<f64>();
    let mut left = reached;
    let rank = above().find(|(_, term)| {
        let found = left <= 0.025 * total;
        left -= term;
        found
    });
    rank.map(|(k, _)| k)
}

impl AddAssign<&Self> for Distribution {
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    fn add_assign(&mut self, other: &Self) {
        let Some((min, max)) = other.range_ns else { return };
        let Some((my_min, my_max)) = self.range_ns else {
            *self = other.clone();
            return;
        };
        self.values.add(&other.values);
        let (n, m) = (self.count as f64, other.count as f64);
        let distance = other.mean_ns - self.mean_ns;
        self.count = self.count.saturating_add(other.count);
        self.mean_ns += distance * m / (n + m);
        self.squares += other.squares + distance * distance * n * m / (n + m);
        self.range_ns = Some((min.min(my_min), max.max(my_max)));
    }
}

impl Packed for Distribution {
    fn pack(&self, out: &mut Vec<u8>) {
        put_uint(self.count, out);
        let Some((min, max)) = self.range_ns else { return };
        put_float(self.mean_ns, out);
        put_float(self.squares, out);
        put_uint(min.unsigned_abs(), out);
        put_uint(max.unsigned_abs(), out);
        if let Values::Many(many) = &self.values {
            put_uint(recorded(&many.histogram).count() as u64, out);
            let mut last = 0;
            for (value, times) in recorded(&many.histogram) {
                put_uint(value - last, out);
                put_uint(times, out);
                last = value;
            }
        } else {
            let values = self.values.few().unwrap_or_default();
            put_uint(0, out);
            put_uint(values.len() as u64, out);
            for value in values {
                put_uint(*value, out);
            }
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.count()?;
        if count == 0 {
            return Some(Self::default());
        }
        let (mean_ns, squares) = (from.float()?, from.float()?);
        let (min, max) = (from.duration()?, from.duration()?);
        let different = from.count()?;
        let mut total: u64 = 0;
        let mut values = Values::default();
        if different == 0 {
            total = from.count().filter(|total| *total <= FEW as u64)?;
            for _ in 0..total {
                values.record(from.duration()?.unsigned_abs(), 1);
            }
        } else {
            values = Values::many();
            let mut last: i64 = 0;
            for _ in 0..different {
                last = last.checked_add(from.duration()?)?;
                let times = from.count().filter(|times| *times > 0)?;
                total = total.checked_add(times)?;
                values.record(last.unsigned_abs(), times);
            }
        }
        let sound = total == count && min <= max && mean_ns >= 0.0 && squares >= 0.0;
        sound.then_some(Self { count, mean_ns, squares, range_ns: Some((min, max)), values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use crate::packed::{pack, unpack};
    use proptest::prelude::*;

    fn of(sample: impl IntoIterator<Item = i64>) -> Distribution {
        let mut distribution = Distribution::default();
        sample.into_iter().for_each(|ns| distribution.add(ns));
        distribution
    }

    #[test]
    fn an_empty_sample_is_undefined() {
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
    fn buckets_are_exact_for_many_values_too() {
        let durations = (0..5000).map(|n| 15_000 + n);
        let buckets = of(durations.clone()).buckets();
        assert_eq!(buckets.cumulative().next(), Some(1001));
        assert_eq!(buckets.sum_ns(), durations.clone().sum::<i64>().unsigned_abs());
        let mut sum = of(durations.clone().take(800));
        sum += &of(durations.skip(800));
        assert_eq!(sum.buckets(), buckets);
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

    #[test]
    fn the_ranks_of_an_interval_are_binomial() {
        // All values are above the median with a probability of 1/32 for 5, 1/64 for 6.
        assert_eq!((upper_rank(5.0, 0.5), upper_rank(6.0, 0.5)), (None, Some(6.0)));
        // 15 of 20 with 2.1 %, 14 with 5.8 %.
        assert_eq!(upper_rank(20.0, 0.5), Some(15.0));
        assert_eq!(of(1..=20).percentile_interval_ns(50.0), Some((6, 15)));
        // 0.99^367 is above 2.5 %, 0.99^368 is not.
        assert_eq!(of(1..=367).percentile_interval_ns(99.0), None);
        assert_eq!(of(1..=368).percentile_interval_ns(99.0), Some((360, 368)));
        for percent in [0.0, 100.0] {
            assert_eq!(of(1..=368).percentile_interval_ns(percent), None);
        }
        assert_eq!(Distribution::default().percentile_interval_ns(50.0), None);
        // For many values the binomial distribution is normal.
        let rank = upper_rank(1e9, 0.99).unwrap();
        let normal = 0.99e9 + 1.959_964 * (1e9 * 0.99 * 0.01_f64).sqrt();
        assert!((rank - normal).abs() < 2.0, "{rank} {normal}");
    }

    #[test]
    fn the_interval_holds_the_percentile_in_95_of_100_samples() {
        for (n, percent) in [(100, 50.0), (500, 90.0), (1000, 99.0), (2000, 99.0)] {
            #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
            let exponential = |share: f64| (-(1.0 - share).ln() * 1e7) as i64;
            let quantile = exponential(percent / 100.0);
            let holds = |seed| {
                let mut random = Random::new(Some(seed));
                let sample = of((0..n).map(|_| exponential(random.unit())));
                let (low, high) = sample.percentile_interval_ns(percent).unwrap();
                u32::from((low..=high).contains(&quantile))
            };
            let holds = (0..1000).map(holds).sum::<u32>();
            // Ranks are whole, so the probability is a little above 95 %; 3 standard deviations.
            assert!((930..=980).contains(&holds), "p{percent} of {n}: {holds} of 1000");
        }
    }

    proptest! {
        #[test]
        fn percentiles_match_the_sorted_sample(
            mut sample in prop::collection::vec(0..20_000_000_000_i64, 1..3000),
            percent in 1.0..99.0_f64,
        ) {
            let distribution = of(sample.clone());
            sample.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
            let rank = (percent / 100.0 * sample.len() as f64).ceil() as usize;
            let exact = sample[rank.max(1) - 1];
            let occurrences = distribution.occurrences();
            prop_assert!(occurrences.is_sorted_by(|one, next| one.0 < next.0));
            let all = occurrences.iter().map(|(_, count)| count).sum::<u64>();
            prop_assert_eq!(all, distribution.count());
            let upto = occurrences.iter().scan(0, |sum, (value, count)| {
                *sum += count;
                Some((*sum, *value))
            });
            let (_, found) = upto.clone().find(|(sum, _)| *sum >= rank.max(1) as u64).unwrap();
            prop_assert!((found - exact).abs() <= exact / 1000 + 1, "{found} for {exact}");
            if let Some(given) = distribution.percentile_ns(percent) {
                prop_assert!((given - exact).abs() <= exact / 1000 + 1, "{given} for {exact}");
                if let Some((low, high)) = distribution.percentile_interval_ns(percent) {
                    prop_assert!(low <= given && given <= high);
                }
            }
        }

        #[test]
        fn a_distribution_survives_packing(
            sample in prop::collection::vec(0..20_000_000_000_i64, 0..3000),
            (at, byte) in (0..60_usize, any::<u8>()),
        ) {
            let distribution = of(sample);
            let mut bytes = pack(&distribution);
            prop_assert_eq!(unpack::<Distribution>(&bytes), Some(distribution));
            // Damage is rejected, or the result is sound.
            let length = bytes.len();
            bytes[at % length] = byte;
            if let Some(mut damaged) = unpack::<Distribution>(&bytes) {
                damaged += &damaged.clone();
                let _ = (damaged.percentile_ns(1.0), damaged.percentile_interval_ns(99.0));
            }
        }

        #[test]
        fn a_sum_equals_one_sample_of_both(
            one in prop::collection::vec(0..10_000_000_000_i64, 0..2000),
            other in prop::collection::vec(0..10_000_000_000_i64, 0..2000),
        ) {
            let mut sum = of(one.clone());
            sum += &of(other.clone());
            let both = of(one.into_iter().chain(other));
            prop_assert_eq!((sum.count, sum.range_ns), (both.count, both.range_ns));
            let medians = (sum.percentile_ns(50.0), both.percentile_ns(50.0));
            prop_assert_eq!(medians.0, medians.1);
            let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= b.abs() * 1e-6 + 1.0,
                (a, b) => a == b,
            };
            prop_assert!(close(sum.mean_ns(), both.mean_ns()));
            prop_assert!(close(sum.stddev_ns(), both.stddev_ns()));
        }
    }
}
