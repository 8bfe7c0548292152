//! The distribution of delays and their correlation.

use std::f64::consts::PI;

use crate::stats::fit::loss::Estimate;
use crate::stats::fit::trace::Trace;
use crate::stats::loss::Z;

/// The greatest number of quantiles.
const QUANTILES: usize = 1024;

/// Fitted delays.
#[derive(Clone, Debug, PartialEq)]
pub struct DelayFit {
    /// Quantiles at equally spaced probabilities from 0 to 1, in nanoseconds.
    pub table: Vec<f64>,
    /// The number of delays.
    pub count: u64,
    /// The rank correlation of neighbours; `None` if there are too few.
    pub correlation: Option<Estimate>,
    /// The median, in nanoseconds.
    pub median: Estimate,
    /// Whether a packet overtook another.
    pub reordered: bool,
}

/// Fits the delays of a trace; `None` if it has none.
#[must_use]
pub fn fit_delay(trace: &Trace) -> Option<DelayFit> {
    let packets = || trace.segments.iter().flat_map(|segment| &segment.packets);
    let mut sorted: Vec<_> = packets().filter_map(|packet| packet.delay_ns).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let points = sorted.len().min(QUANTILES);
    let place = |index: usize| float(index) * float(last) / float((points - 1).max(1));
    let table: Vec<_> = (0..points).map(|index| at(&sorted, place(index))).collect();
    let correlation = correlation(trace, &sorted);
    let rho = correlation.map_or(0.0, |estimate| pearson(estimate.value).max(0.0));
    // The effective number of independent values.
    let effective = (float(sorted.len()) * (1.0 - rho) / (1.0 + rho)).max(1.0);
    let reach = 0.5 * Z / effective.sqrt();
    let quantile = |share: f64| at(&sorted, share.clamp(0.0, 1.0) * float(last));
    let median =
        Estimate { value: quantile(0.5), interval: (quantile(0.5 - reach), quantile(0.5 + reach)) };
    Some(DelayFit {
        table,
        count: sorted.len() as u64,
        correlation,
        median,
        reordered: trace.reordered,
    })
}

/// Returns the correlation of a Gaussian process from that of its ranks (Pearson 1907).
fn pearson(rank_correlation: f64) -> f64 {
    2.0 * libm::sin(PI / 6.0 * rank_correlation)
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 packets")]
fn float(count: usize) -> f64 {
    count as f64
}

/// Returns the value at a place between two sorted ones.
fn at(sorted: &[f64], place: f64) -> f64 {
    let last = sorted.len() - 1;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let index = (place as usize).min(last);
    let (low, high) = (sorted[index], sorted[(index + 1).min(last)]);
    low + (high - low) * (place - place.floor()).clamp(0.0, 1.0)
}

/// Returns Spearman's correlation of neighbours.
fn correlation(trace: &Trace, sorted: &[f64]) -> Option<Estimate> {
    // Equal values share the mean of their ranks.
    let rank = |value: f64| {
        let below = sorted.partition_point(|each| *each < value);
        let up_to = sorted.partition_point(|each| *each <= value);
        0.5 * float(below + up_to)
    };
    let middle = 0.5 * float(sorted.len());
    let mut sums = [0.0; 3];
    let mut pairs = 0_usize;
    for segment in &trace.segments {
        let mut before: Option<f64> = None;
        for packet in &segment.packets {
            let now = packet.delay_ns.map(|value| rank(value) - middle);
            if let Some((a, b)) = before.zip(now) {
                pairs += 1;
                for (sum, product) in sums.iter_mut().zip([a * a, b * b, a * b]) {
                    *sum += product;
                }
            }
            before = now;
        }
    }
    let [a, b, both] = sums;
    if pairs < 10 || a <= 0.0 || b <= 0.0 {
        return None;
    }
    let value = (both / (a * b).sqrt()).clamp(-1.0, 1.0);
    let limited = value.clamp(-0.9999, 0.9999);
    // Fisher's transformation; the variance is that of a first-order process (Bartlett 1946) with
    // six hundredths more for ranks.
    let rho = pearson(limited);
    let reach = Z * (1.06 / float(pairs - 3) / (1.0 - rho * rho).max(1e-4)).sqrt();
    let center = limited.atanh();
    let interval = ((center - reach).tanh(), (center + reach).tanh());
    Some(Estimate { value, interval })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use crate::impair::{Delay, Link, LinkState, Loss, Quantiles};
    use crate::stats::fit::trace::Packet;
    use proptest::prelude::*;

    /// Returns a trace of packets 10 ms apart over a link with correlated uniform delays.
    fn trace(correlation: f64, loss: f64, n: i64, seed: u64) -> Trace {
        let delay = Quantiles::new(vec![1e7, 3e7], correlation, Some(1e7)).unwrap();
        let loss = if loss > 0.0 { Loss::Bernoulli(loss) } else { Loss::Never };
        let link = Link { loss, delay: Delay::Quantiles(delay), ..Link::default() };
        let (mut state, mut random) = (LinkState::default(), Random::new(Some(seed)));
        let packet = |index| {
            let sent_ns = index * 10_000_000;
            let drawn = link.draw(&mut state, sent_ns, &[0; 100], &mut random);
            let delay_ns = drawn.copies[0].and_then(|copy| {
                let passage = link.carry(&mut state, sent_ns, 100, &copy, &mut { drawn.flags })?;
                Some(float(usize::try_from(passage.delay_ns).unwrap()))
            });
            Packet { sent_ns, lost: delay_ns.is_none(), delay_ns }
        };
        Trace::new(vec![(0..n).map(packet).collect()])
    }

    #[test]
    fn the_truth_is_within_the_intervals() {
        for (correlation, loss) in [(0.0, 0.0), (0.3, 0.1), (0.8, 0.0), (0.95, 0.02)] {
            let mut within = [0; 2];
            for seed in 0..200 {
                let fit = fit_delay(&trace(correlation, loss, 800, seed)).unwrap();
                let estimates = [(fit.correlation.unwrap(), correlation), (fit.median, 2e7)];
                for (count, (Estimate { interval, .. }, truth)) in within.iter_mut().zip(estimates)
                {
                    *count += u32::from((interval.0..=interval.1).contains(&truth));
                }
            }
            assert!(within.iter().all(|count| *count >= 180), "{correlation}: {within:?}");
        }
    }

    #[test]
    fn a_fit_of_a_fit_is_the_same() {
        let fit = fit_delay(&trace(0.5, 0.0, 20_000, 1)).unwrap();
        assert_eq!((fit.table.len(), fit.count), (1024, 20_000));
        for (index, ns) in fit.table.iter().enumerate() {
            let expected = 1e7 + 2e7 * float(index) / 1023.0;
            assert!((ns - expected).abs() < 3e5, "{ns} for {expected}");
        }
    }

    #[test]
    fn overtaking_is_noticed() {
        let packet = |sent_ns, delay_ns| Packet { sent_ns, lost: false, delay_ns: Some(delay_ns) };
        let fit = |packets| fit_delay(&Trace::new(vec![packets])).unwrap();
        assert!(fit(vec![packet(0, 20.0), packet(10, 5.0)]).reordered);
        assert!(!fit(vec![packet(0, 20.0), packet(10, 10.0)]).reordered);
        let lost = Packet { sent_ns: 0, lost: true, delay_ns: None };
        assert_eq!(fit_delay(&Trace::new(vec![vec![lost; 3]])), None);
    }

    proptest! {
        #[test]
        fn the_table_rises_from_the_minimum_to_the_maximum(
            delays in prop::collection::vec(prop::option::of(0.0..1e9), 1..2000),
        ) {
            let packet = |(index, delay_ns): (i64, &Option<f64>)| Packet {
                sent_ns: index * 1000,
                lost: delay_ns.is_none(),
                delay_ns: *delay_ns,
            };
            let packets = (0..).zip(&delays).map(packet).collect();
            let fit = fit_delay(&Trace::new(vec![packets]));
            prop_assert_eq!(fit.is_none(), delays.iter().all(Option::is_none));
            let Some(fit) = fit else { return Ok(()) };
            prop_assert!(fit.table.is_sorted());
            let all = || delays.iter().flatten().copied();
            let ends = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
            prop_assert_eq!((fit.table[0], fit.table[fit.table.len() - 1]), ends);
        }
    }
}
