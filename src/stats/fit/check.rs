//! How well a model explains the trace that it was fitted to.

use crate::Random;
use crate::stats::fit::chain::Chain;
use crate::stats::fit::trace::{Run, Trace, float};

/// How many lengths of a curve are about equally far apart on a logarithmic scale.
const POINTS: f64 = 40.0;

/// A trace compared with simulations of its model.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The share of traces of the model whose run lengths differ from the model's at least as much
    /// as those of the trace; small if the model is wrong. `None` without losses.
    pub p_value: Option<f64>,
    /// The same for the transitions in four parts of the trace, which differ if the link changed.
    pub stationary: Option<f64>,
    /// The share of bursts of losses that are longer.
    pub bursts: Curve,
    /// The share of gaps between them that are longer.
    pub gaps: Curve,
    /// The variance of the losses in windows, divided by that of independent losses.
    pub variance: Curve,
}

/// A function of the trace and of simulated ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve(pub Vec<Spread>);

/// A point of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The length or the window, in packets.
    pub at: u64,
    /// The value of the trace.
    pub measured: f64,
    /// The mean of the simulations.
    pub expected: f64,
    /// The range of 95 % of the simulations.
    pub range: (f64, f64),
}

impl Check {
    pub(super) fn new(chain: &Chain, trace: &Trace, runs: usize, random: &mut Random) -> Self {
        let windows: Vec<u64> = (1..16).map(|power| 1 << power).collect();
        let most = trace.packets / 20;
        let windows: Vec<_> = windows.into_iter().filter(|window| *window <= most).collect();
        let runs_of: Vec<_> = trace.segments.iter().map(|segment| &segment.runs[..]).collect();
        let measured = Numbers::of(&runs_of, &windows);
        let draw = |_| {
            let drawn = chain.simulate(trace, random);
            Numbers::of(&drawn.iter().map(Vec::as_slice).collect::<Vec<_>>(), &windows)
        };
        let drawn: Vec<_> = (0..runs).map(draw).collect();
        let [bursts, gaps] = [true, false].map(|lost| {
            let of = |numbers: &Numbers| numbers.lengths[usize::from(lost)].clone();
            let all: Vec<_> = drawn.iter().map(of).collect();
            Lengths::compare(&of(&measured), &all)
        });
        let p_value = bursts.1.zip(gaps.1).map(|(bursts, gaps)| (2.0 * bursts.min(gaps)).min(1.0));
        let changes: Vec<_> = drawn.iter().map(|numbers| numbers.change).collect();
        let stationary = p_value.map(|_| rank(measured.change, &changes));
        let variance = windows.iter().enumerate().map(|(index, window)| {
            let drawn = drawn.iter().map(|numbers| numbers.variance[index]).collect();
            Spread::new(*window, measured.variance[index], drawn)
        });
        let variance = Curve(variance.filter(|point| point.measured.is_finite()).collect());
        Self { p_value, stationary, bursts: bursts.0, gaps: gaps.0, variance }
    }
}

impl Spread {
    fn new(at: u64, measured: f64, mut drawn: Vec<f64>) -> Self {
        drawn.retain(|value| value.is_finite());
        drawn.sort_unstable_by(f64::total_cmp);
        if drawn.is_empty() {
            return Self { at, measured, expected: f64::NAN, range: (f64::NAN, f64::NAN) };
        }
        let expected = drawn.iter().sum::<f64>() / float(drawn.len() as u64);
        let outside = drawn.len() / 40;
        Self { at, measured, expected, range: (drawn[outside], drawn[drawn.len() - 1 - outside]) }
    }
}

/// Returns the share of values, `value` among them, that are at least `value`.
fn rank(value: f64, drawn: &[f64]) -> f64 {
    let above = drawn.iter().filter(|other| **other >= value).count();
    float(above as u64 + 1) / float(drawn.len() as u64 + 1)
}

/// Statistics of outcomes.
struct Numbers {
    /// The lengths of gaps and of bursts, sorted.
    lengths: [Lengths; 2],
    /// The G statistic of the transitions in four parts.
    change: f64,
    variance: Vec<f64>,
}

impl Numbers {
    fn of(segments: &[&[Run]], windows: &[u64]) -> Self {
        let mut lengths = [Vec::new(), Vec::new()];
        for run in segments.iter().copied().flatten() {
            lengths[usize::from(run.lost)].push(run.count);
        }
        let lengths = lengths.map(|mut lengths| {
            lengths.sort_unstable();
            Lengths(lengths)
        });
        let variance = windows.iter().map(|window| dispersion(segments, *window)).collect();
        Self { lengths, change: change(segments), variance }
    }
}

/// Returns the variance of the losses in windows, divided by that of independent losses.
fn dispersion(segments: &[&[Run]], window: u64) -> f64 {
    let (mut count, mut sum, mut squares) = (0, 0.0, 0.0);
    for runs in segments {
        let packets: u64 = runs.iter().map(|run| run.count).sum();
        let whole = packets / window;
        count += whole;
        let (mut at, mut current, mut lost) = (0, 0, 0);
        let mut close = |lost: u64| {
            sum += float(lost);
            squares += float(lost) * float(lost);
        };
        for run in *runs {
            let end = (at + run.count).min(whole * window);
            while run.lost && at < end {
                if at / window != current {
                    close(lost);
                    (current, lost) = (at / window, 0);
                }
                let part = ((current + 1) * window).min(end) - at;
                lost += part;
                at += part;
            }
            at = end;
        }
        close(lost);
    }
    let share = sum / float(count * window);
    let variance = (squares - sum * sum / float(count)) / float(count.saturating_sub(1));
    variance / (float(window) * share * (1.0 - share))
}

/// Returns the G statistic of the hypothesis that four parts have the same transitions.
fn change(segments: &[&[Run]]) -> f64 {
    let packets: u64 = segments.iter().copied().flatten().map(|run| run.count).sum();
    let mut counts = [[[0.0_f64; 2]; 2]; 4];
    let mut number = 0_u64;
    for runs in segments {
        let mut before: Option<usize> = None;
        for run in *runs {
            let lost = usize::from(run.lost);
            let part = |number: u64| {
                usize::try_from(4 * number / packets.max(1)).map_or(3, |part| part.min(3))
            };
            if let Some(before) = before {
                counts[part(number)][before][lost] += 1.0;
            }
            let end = number + run.count;
            // The others of the run follow one with the same outcome.
            number += 1;
            while number < end {
                let of = part(number);
                let until = ((of as u64 + 1) * packets).div_ceil(4).max(number + 1).min(end);
                let until = if of == 3 { end } else { until };
                counts[of][lost][lost] += float(until - number);
                number = until;
            }
            before = Some(lost);
        }
    }
    let mut g = 0.0;
    for from in 0..2 {
        let total: f64 = counts.iter().map(|part| part[from][0] + part[from][1]).sum();
        for to in 0..2 {
            let column: f64 = counts.iter().map(|part| part[from][to]).sum();
            for part in &counts {
                let row = part[from][0] + part[from][1];
                if part[from][to] > 0.0 {
                    g += 2.0 * part[from][to] * (part[from][to] * total / (row * column)).ln();
                }
            }
        }
    }
    g
}

/// Sorted lengths of runs.
#[derive(Clone)]
struct Lengths(Vec<u64>);

impl Lengths {
    /// Returns the share that is longer than `length`.
    fn longer(&self, length: u64) -> f64 {
        let longer = self.0.len() - self.0.partition_point(|each| *each <= length);
        // NaN without runs.
        float(longer as u64) / float(self.0.len() as u64)
    }

    /// Returns the curves of measured and drawn lengths, and the share of the drawn ones whose
    /// greatest distance from their mean is at least that of the measured ones.
    fn compare(measured: &Self, drawn: &[Self]) -> (Curve, Option<f64>) {
        let longest = drawn.iter().chain([measured]).filter_map(|lengths| lengths.0.last()).max();
        let Some(longest) = longest.filter(|_| !measured.0.is_empty()) else {
            return (Curve::default(), None);
        };
        let mut grid = vec![1];
        while let Some(last) = grid.last().filter(|last| *last < longest) {
            let factor = float(*longest).powf(1.0 / POINTS);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
            let next = (float(*last) * factor) as u64;
            grid.push(next.clamp(last + 1, *longest));
        }
        let curve: Vec<_> = grid
            .iter()
            .map(|length| {
                let values = drawn.iter().map(|lengths| lengths.longer(*length)).collect();
                Spread::new(*length, measured.longer(*length), values)
            })
            .collect();
        let distance = |lengths: &Self| {
            let expected = grid.iter().zip(&curve);
            let distances =
                expected.map(|(at, point)| (lengths.longer(*at) - point.expected).abs());
            distances.fold(0.0, f64::max)
        };
        let distances: Vec<_> = drawn.iter().map(distance).collect();
        let p_value = rank(distance(measured), &distances);
        (Curve(curve), Some(p_value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs(losses: &[bool]) -> Vec<Run> {
        let chunks = losses.chunk_by(|a, b| a == b);
        chunks.map(|chunk| Run { lost: chunk[0], count: chunk.len() as u64 }).collect()
    }

    proptest! {
        #[test]
        fn runs_have_the_statistics_of_their_packets(
            losses in prop::collection::vec(prop::bool::weighted(0.4), 1..120),
            window in 1..9_usize,
        ) {
            let runs = runs(&losses);
            let counts = losses.chunks_exact(window).map(|packets| {
                float(packets.iter().filter(|lost| **lost).count() as u64)
            });
            let counts: Vec<_> = counts.collect();
            let n = float(counts.len() as u64);
            let mean = counts.iter().sum::<f64>() / n;
            let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let share = mean / float(window as u64);
            let expected = variance / (float(window as u64) * share * (1.0 - share));
            let found = dispersion(&[&runs], window as u64);
            let same = (found - expected).abs() < 1e-9 || !expected.is_finite();
            prop_assert!(same, "{found} {expected}");

            // The same four parts twice in a row do not differ; one of them does.
            let repeated = [&losses[..]; 4].concat();
            let g = change(&[&self::runs(&repeated)]);
            prop_assert!(g >= -1e-9);
        }
    }

    #[test]
    fn parts_that_differ_have_a_large_statistic() {
        let calm: Vec<_> = (0..400).map(|n| n % 10 == 0).collect();
        let same = change(&[&runs(&[&calm[..]; 4].concat())]);
        let rough: Vec<_> = (0..400).map(|n| n % 3 == 0).collect();
        let other = change(&[&runs(&[&calm[..], &calm, &calm, &rough].concat())]);
        assert!(same < 1.0 && other > 50.0, "{same} {other}");
    }
}
