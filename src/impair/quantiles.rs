//! Delays from a table of quantiles, correlated in time.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::Arc;

use crate::impair::delay::{MAX_DELAY_NS, gaussian};
use crate::{Error, Random, Result, probability};

/// A distribution of delays given by its quantiles, in which neighbours may be correlated.
///
/// Ranks follow a first-order autoregressive Gaussian process (a copula), so that the distribution
/// is exact whatever the correlation.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    /// Nanoseconds at equally spaced probabilities from 0 to 1.
    table: Arc<[f64]>,
    /// The correlation of the Gaussian process.
    rho: f64,
    spacing_ns: Option<f64>,
}

/// The running state of a [`Quantiles`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DelayState {
    /// The last value of the Gaussian process and when it was drawn.
    last: Option<(f64, i64)>,
}

impl Quantiles {
    /// The greatest number of quantiles.
    pub const MAX: usize = 4096;

    /// Creates the distribution with these quantiles, in nanoseconds, at equally spaced
    /// probabilities from 0 to 1. `correlation` is the rank correlation (Spearman's) of consecutive
    /// packets or, with `spacing_ns`, of packets that far apart: it decays exponentially with time.
    ///
    /// # Errors
    /// [`Error::Argument`] names the invalid one.
    pub fn new(table: Vec<f64>, correlation: f64, spacing_ns: Option<f64>) -> Result<Self> {
        if !(1..=Self::MAX).contains(&table.len()) {
            let allowed = format!("1 to {} delays", Self::MAX);
            return Err(Error::argument("table", table.len(), allowed));
        }
        #[expect(clippy::cast_precision_loss, reason = "an hour fits")]
        let range = 0.0..=MAX_DELAY_NS as f64;
        if let Some(ns) = table.iter().find(|ns| !range.contains(ns)) {
            return Err(Error::number("table", ns / 1e9, "delays of 0 to 3600 seconds"));
        }
        if let Some(pair) = table.windows(2).find(|pair| pair[0] > pair[1]) {
            let given = format!("{} s after {} s", pair[1] / 1e9, pair[0] / 1e9);
            return Err(Error::argument("table", given, "in rising order"));
        }
        if let Some(ns) = spacing_ns.filter(|ns| !(*ns > 0.0 && ns.is_finite())) {
            return Err(Error::number("spacing", ns / 1e9, "a number of seconds above 0"));
        }
        // Pearson 1907.
        let rho = 2.0 * libm::sin(PI / 6.0 * probability("correlation", correlation)?);
        let rho = if correlation < 1.0 { rho } else { 1.0 };
        Ok(Self { table: table.into(), rho, spacing_ns })
    }

    /// Draws the delay of a packet at `at_ns`.
    pub(super) fn draw_ns(&self, state: &mut DelayState, at_ns: i64, random: &mut Random) -> f64 {
        let fresh = gaussian(random);
        let (value, last_ns) = match state.last {
            None => (fresh, at_ns),
            Some((last, last_ns)) => {
                let weight = self.weight(at_ns.saturating_sub(last_ns).max(0));
                (weight * last + (1.0 - weight * weight).sqrt() * fresh, last_ns.max(at_ns))
            }
        };
        state.last = Some((value, last_ns));
        self.at(0.5 * libm::erfc(-value * FRAC_1_SQRT_2))
    }

    /// Returns the correlation with the last packet, `since_ns` ago.
    fn weight(&self, since_ns: i64) -> f64 {
        match self.spacing_ns {
            Some(spacing_ns) if self.rho > 0.0 =>
            {
                #[expect(clippy::cast_precision_loss, reason = "53 bits are enough")]
                libm::pow(self.rho, since_ns as f64 / spacing_ns)
            }
            _ => self.rho,
        }
    }

    /// Returns the quantile of `probability`, by linear interpolation.
    fn at(&self, probability: f64) -> f64 {
        let last = self.table.len() - 1;
        #[expect(clippy::cast_precision_loss, reason = "tables are short")]
        let place = probability * last as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = (place as usize).min(last);
        let (low, high) = (self.table[index], self.table[(index + 1).min(last)]);
        low + (high - low) * (place - place.floor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::assert_share;

    /// Returns the delays of packets `apart_ns`.
    fn draws(quantiles: &Quantiles, apart_ns: i64, n: u32) -> Vec<f64> {
        let (mut state, mut random) = (DelayState::default(), Random::new(Some(31)));
        let mut draw = |i| quantiles.draw_ns(&mut state, i64::from(i) * apart_ns, &mut random);
        (0..n).map(&mut draw).collect()
    }

    /// Returns the correlation of neighbours if delays are uniform: that of their ranks.
    fn correlation(uniform: &[f64]) -> f64 {
        let products = uniform.windows(2).map(|pair| (pair[0] - 0.5) * (pair[1] - 0.5));
        products.sum::<f64>() * 12.0 / f64::from(u32::try_from(uniform.len()).unwrap())
    }

    #[test]
    fn the_distribution_is_that_of_the_table() {
        // Three quarters of the draws are below 3, and uniform in each quarter.
        let table = vec![1.0, 1.5, 2.0, 3.0, 10.0];
        for correlation in [0.0, 0.3] {
            let quantiles = Quantiles::new(table.clone(), correlation, None).unwrap();
            let draws = draws(&quantiles, 1, 100_000);
            assert!(draws.iter().all(|draw| (1.0..=10.0).contains(draw)));
            for (value, share) in [(1.5, 0.25), (2.0, 0.5), (2.5, 0.625), (3.0, 0.75), (6.5, 0.875)]
            {
                let below = draws.iter().filter(|draw| **draw <= value).count();
                assert_share(u32::try_from(below).unwrap(), 100_000, share);
            }
        }
    }

    #[test]
    fn the_correlation_is_as_stated_and_decays_with_time() {
        let uniform = vec![0.0, 1.0];
        for stated in [0.0, 0.5, 0.9] {
            let quantiles = Quantiles::new(uniform.clone(), stated, None).unwrap();
            let found = correlation(&draws(&quantiles, 1, 100_000));
            assert!((found - stated).abs() < 0.02, "{found} for {stated}");
        }
        let timed = Quantiles::new(uniform, 0.8, Some(10.0)).unwrap();
        // Ranks of a Gaussian correlation of 0.81347 squared, and of its root.
        for (apart_ns, expected) in [(20, 0.644_8), (10, 0.8), (5, 0.893_5)] {
            let found = correlation(&draws(&timed, apart_ns, 100_000));
            assert!((found - expected).abs() < 0.02, "{found} for {apart_ns}");
        }
    }

    #[test]
    fn a_table_of_one_is_a_constant_and_full_correlation_keeps_the_first() {
        let constant = Quantiles::new(vec![5.0], 0.5, None).unwrap();
        assert!(draws(&constant, 1, 100).iter().all(|draw| (draw - 5.0).abs() < 1e-9));
        let kept = draws(&Quantiles::new(vec![0.0, 1.0], 1.0, Some(1.0)).unwrap(), 9, 100);
        assert!(kept.iter().all(|draw| (draw - kept[0]).abs() < 1e-9));
    }

    #[test]
    fn draws_never_change() {
        let quantiles = Quantiles::new(vec![0.0, 1e9], 0.5, Some(1e6)).unwrap();
        let drawn: Vec<_> = draws(&quantiles, 1_000_000, 3).iter().map(|ns| ns.round()).collect();
        assert_eq!(drawn, [662_113_312.0, 912_039_528.0, 713_549_135.0]);
    }

    #[test]
    fn impossible_parameters_are_named() {
        let text = |table: Vec<f64>, correlation, spacing| {
            Quantiles::new(table, correlation, spacing).unwrap_err().to_string()
        };
        assert_eq!(text(vec![], 0.0, None), "table must be 1 to 4096 delays, not 0");
        assert_eq!(
            text(vec![-1e9], 0.0, None),
            "table must be delays of 0 to 3600 seconds, not -1"
        );
        let falling = "table must be in rising order, not 1 s after 2 s";
        assert_eq!(text(vec![0.0, 2e9, 1e9], 0.0, None), falling);
        let refused = "correlation must be a probability from 0 to 1, not 1.5";
        assert_eq!(text(vec![0.0], 1.5, None), refused);
        let refused = "spacing must be a number of seconds above 0, not 0";
        assert_eq!(text(vec![0.0], 0.5, Some(0.0)), refused);
    }
}
