//! The confidence of a loss rate, and the runs of losses.

use std::ops::AddAssign;

use crate::packed::{Packed, Reader};

/// The 97.5 % quantile of the normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The 95 % quantile of the chi-squared distribution with one degree of freedom.
const CHI_SQUARED: f64 = 3.841_458_820_694_124;

/// Returns the confidence interval of a share that was `share` of `n` independent draws (Wilson
/// 1927, without continuity correction); `z` is the quantile of its confidence.
pub(super) fn wilson(share: f64, n: f64, z: f64) -> (f64, f64) {
    let scale = 1.0 + z * z / n;
    let middle = (share + z * z / (2.0 * n)) / scale;
    let reach = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    // At the ends the bound is exact, despite rounding.
    let low = if share <= 0.0 { 0.0 } else { middle - reach };
    let high = if share >= 1.0 { 1.0 } else { middle + reach };
    (low, high)
}

/// Statistics of run lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The number of runs.
    pub count: u64,
    /// The sum of their lengths.
    pub total: u64,
    /// The longest run.
    pub max: Option<u64>,
}

impl Runs {
    fn begin(&mut self) {
        self.count += 1;
    }

    fn lengthen(&mut self, length: u64) {
        self.total += 1;
        self.max = self.max.max(Some(length));
    }

    /// Returns the mean length.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total as f64 / self.count as f64)
    }
}

/// Runs of lost packets (loss periods, RFC 3357) and the gaps between them. A run in progress
/// counts with its length so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossRuns {
    /// Consecutive losses.
    pub bursts: Runs,
    /// Consecutive packets without loss.
    pub gaps: Runs,
    /// The number of bursts and gaps that begin a session.
    first: [u64; 2],
    /// Whether the last packet was lost, and the length of its run.
    last: Option<(bool, u64)>,
}

impl LossRuns {
    /// Adds the next packet in sending order.
    pub fn add(&mut self, lost: bool) {
        let runs = if lost { &mut self.bursts } else { &mut self.gaps };
        let length = match self.last {
            Some((same, length)) if same == lost => length + 1,
            before => {
                runs.begin();
                self.first[usize::from(!lost)] += u64::from(before.is_none());
                1
            }
        };
        runs.lengthen(length);
        self.last = Some((lost, length));
    }
}

impl LossRuns {
    /// Ends the current run, which keeps its length.
    pub fn end(&mut self) {
        self.last = None;
    }

    /// Returns the 95 % confidence interval of the loss rate, if `lost` of `sent` packets were
    /// lost; undefined if `sent` is 0.
    ///
    /// That is Wilson's interval, unless the transitions between neighbours contradict independent
    /// losses at the 5 % level (G test with one degree of freedom). Then losses are modelled as a
    /// two-state Markov chain with correlation `lambda`, in which `n` packets say as much as
    /// `n (1 - lambda) / (1 + lambda)` independent ones. Since `lambda` is an estimate, the
    /// quantile is Student's, with a degree of freedom for each change of state.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn loss_interval(&self, lost: u64, sent: u64) -> Option<(f64, f64)> {
        if sent == 0 {
            return None;
        }
        let (share, n) = (lost as f64 / sent as f64, sent as f64);
        let Some((lambda, changes)) = self.dependence() else { return Some(wilson(share, n, Z)) };
        let effective = (n * (1.0 - lambda) / (1.0 + lambda)).max(1.0);
        // Abramowitz and Stegun, 26.7.5.
        let student = Z + 2.372_3 / changes + 2.822_5 / (changes * changes);
        Some(wilson(share, effective, student))
    }

    /// Returns the correlation of neighbours and the number of changes between lost and not lost;
    /// `None` if losses may be independent, or if they repel each other.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
    fn dependence(&self) -> Option<(f64, f64)> {
        let Self { bursts, gaps, first, .. } = self;
        let pairs = [
            [gaps.total - gaps.count, bursts.count - first[0]],
            [gaps.count - first[1], bursts.total - bursts.count],
        ];
        let [good, bad] = pairs.map(|[to_good, to_bad]| [to_good as f64, to_bad as f64]);
        let rows = [good[0] + good[1], bad[0] + bad[1]];
        let columns = [good[0] + bad[0], good[1] + bad[1]];
        let n = rows[0] + rows[1];
        let mut g = 0.0;
        for (row, total) in [good, bad].into_iter().zip(rows) {
            for (pairs, column) in row.into_iter().zip(columns).filter(|(pairs, _)| *pairs > 0.0) {
                g += 2.0 * pairs * (pairs * n / (total * column)).ln();
            }
        }
        let lambda = 1.0 - good[1] / rows[0] - bad[0] / rows[1];
        let changes = (good[1] + bad[0]).max(1.0);
        (g > CHI_SQUARED && lambda > 0.0).then_some((lambda, changes))
    }
}

impl Packed for Runs {
    fn pack(&self, out: &mut Vec<u8>) {
        self.count.pack(out);
        self.total.pack(out);
        self.max.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (count, total, max): (_, _, Option<u64>) = (from.read()?, from.read()?, from.read()?);
        let sound = count <= total && max.is_some() == (count > 0) && max <= Some(total);
        sound.then_some(Self { count, total, max })
    }
}

impl Packed for LossRuns {
    fn pack(&self, out: &mut Vec<u8>) {
        self.bursts.pack(out);
        self.gaps.pack(out);
        self.first.iter().for_each(|first| first.pack(out));
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (bursts, gaps): (Runs, Runs) = (from.read()?, from.read()?);
        let first = [from.read()?, from.read()?];
        let sound = first[0] <= bursts.count && first[1] <= gaps.count;
        sound.then_some(Self { bursts, gaps, first, last: None })
    }
}

impl AddAssign<&Self> for LossRuns {
    /// Adds the runs of another session; none continues from one to the next.
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.bursts, other.bursts), (&mut self.gaps, other.gaps)] {
            mine.count = mine.count.saturating_add(theirs.count);
            mine.total = mine.total.saturating_add(theirs.total);
            mine.max = mine.max.max(theirs.max);
        }
        for (mine, theirs) in self.first.iter_mut().zip(other.first) {
            *mine = mine.saturating_add(theirs);
        }
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use crate::impair::{GilbertElliott, Loss, LossState};

    fn of(losses: impl IntoIterator<Item = bool>) -> LossRuns {
        let mut runs = LossRuns::default();
        losses.into_iter().for_each(|lost| runs.add(lost));
        runs
    }

    fn interval(runs: &LossRuns) -> Option<(f64, f64)> {
        let lost = runs.bursts.total;
        runs.loss_interval(lost, lost + runs.gaps.total)
    }

    #[test]
    fn without_bursts_the_interval_is_wilsons() {
        // Newcombe (1998), table I, method 3.
        for (part, whole, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
        {
            let (l, h) = LossRuns::default().loss_interval(part, whole).unwrap();
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{part}/{whole}: {l} {h}");
        }
        let all = interval(&of([true; 20]));
        assert!(all.is_some_and(|(low, high)| low < 0.9 && high >= 1.0));
        assert_eq!(interval(&LossRuns::default()), None);
        // Losses that repel each other narrow nothing.
        let alternating = of((0..100).map(|n| n % 2 == 0));
        assert_eq!(interval(&alternating), LossRuns::default().loss_interval(50, 100));
    }

    #[test]
    fn one_burst_says_little_about_the_loss_rate() {
        let independent = LossRuns::default().loss_interval(50, 1000).unwrap();
        let (low, high) = interval(&of((0..1000).map(|n| (400..450).contains(&n)))).unwrap();
        assert!(low < independent.0 / 10.0 && high > independent.1 * 5.0, "{low} {high}");
    }

    #[test]
    fn sessions_of_a_sum_have_no_transition_between_them() {
        let (mut one, mut other) = (of([true; 50]), of([false; 50]));
        one += &other;
        let (low, high) = interval(&one).unwrap();
        assert!(low < 0.1 && high > 0.9, "two draws of two states: {low} {high}");
        // Independent losses stay independent in a sum of many short sessions.
        let mut random = Random::new(Some(3));
        other = LossRuns::default();
        for _ in 0..500 {
            other += &of([(); 3].map(|()| random.chance(0.2)));
        }
        let lost = other.bursts.total;
        assert_eq!(interval(&other), LossRuns::default().loss_interval(lost, 1500));
    }

    /// Returns in how many of `runs` sessions of 2000 packets the interval holds `rate`.
    fn holds(loss: &Loss, rate: f64, runs: u64) -> u32 {
        let holds = |seed| {
            let (mut state, mut random) = (LossState::default(), Random::new(Some(seed)));
            let losses = (0..2000).map(|_| loss.loses(&mut state, 0, &mut random));
            let (low, high) = interval(&of(losses)).unwrap();
            u32::from((low..=high).contains(&rate))
        };
        (0..runs).map(holds).sum()
    }

    #[test]
    fn the_interval_holds_the_rate_in_95_of_100_runs() {
        let gilbert = |p, r| Loss::GilbertElliott(GilbertElliott::new(p, r, 1.0, 0.0).unwrap());
        for (loss, rate) in [
            (gilbert(0.05, 0.3), 1.0 / 7.0),
            (gilbert(0.01, 0.25), 1.0 / 26.0),
            (gilbert(0.002, 0.05), 1.0 / 26.0),
            (Loss::Bernoulli(0.1), 0.1),
            (Loss::Bernoulli(0.5), 0.5),
        ] {
            let holds = holds(&loss, rate, 1000);
            // 950, plus or minus 3 standard deviations of a binomial count.
            assert!((930..=970).contains(&holds), "{loss:?}: {holds} of 1000");
        }
    }

    #[test]
    fn bursts_and_gaps_are_counted() {
        let mut runs = of("..xx.xxx..".bytes().map(|byte| byte == b'x'));
        assert_eq!(runs.bursts, Runs { count: 2, total: 5, max: Some(3) });
        assert_eq!(runs.gaps, Runs { count: 3, total: 5, max: Some(2) });
        assert_eq!((runs.bursts.mean(), Runs::default().mean()), (Some(2.5), None));
        let one = runs;
        runs += &one;
        runs.add(false);
        assert_eq!((runs.bursts.count, runs.gaps.count, runs.gaps.max), (4, 7, Some(2)));
    }
}
