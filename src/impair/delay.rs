//! Distributions of delay.

use std::f64::consts::TAU;

use crate::impair::{DelayState, Quantiles};
use crate::{Error, NS_PER_SECOND, Random, Result};

/// The longest delay, one hour; longer draws are cut to it.
pub(super) const MAX_DELAY_NS: i64 = 3600 * NS_PER_SECOND;

/// A distribution of delays. Times are nanoseconds; negative draws become 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Delay {
    /// No delay.
    #[default]
    None,
    /// A constant.
    Fixed(f64),
    /// Uniform between two bounds.
    Uniform(f64, f64),
    /// Normal, with a mean and a standard deviation.
    Normal(f64, f64),
    /// Exponential, with a mean.
    Exponential(f64),
    /// Pareto type I, with a scale (the minimum) and a shape (the exponent of its tail).
    Pareto(f64, f64),
    /// From a table.
    Quantiles(Quantiles),
}

impl Delay {
    /// Validates the parameters.
    ///
    /// # Errors
    /// [`Error::Argument`] names the invalid one.
    pub fn checked(self) -> Result<Self> {
        let parameters: &[(&'static str, f64)] = match &self {
            Self::None | Self::Quantiles(_) => &[],
            Self::Fixed(delay) => &[("delay", *delay)],
            Self::Uniform(low, high) => {
                if high < low {
                    let allowed = format!("at least low ({} s)", low / 1e9);
                    return Err(Error::number("high", high / 1e9, allowed));
                }
                &[("low", *low), ("high", *high)]
            }
            Self::Normal(mean, deviation) => &[("mean", *mean), ("deviation", *deviation)],
            Self::Exponential(mean) => &[("mean", *mean)],
            Self::Pareto(scale, shape) => {
                if !(*shape > 0.0 && shape.is_finite()) {
                    return Err(Error::number("shape", *shape, "a number above 0"));
                }
                &[("scale", *scale)]
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "an hour fits")]
        let allowed = 0.0..=MAX_DELAY_NS as f64;
        match parameters.iter().find(|(_, value)| !allowed.contains(value)) {
            None => Ok(self),
            Some((name, value)) => {
                Err(Error::number(name, value / 1e9, "a number of seconds from 0 to 3600"))
            }
        }
    }

    /// Draws the delay of the next packet, which comes at `at_ns`.
    ///
    /// Uses libm, since the math libraries of systems differ in the last bit.
    pub(super) fn draw_ns(&self, state: &mut DelayState, at_ns: i64, random: &mut Random) -> i64 {
        // 1 - unit is never 0.
        let ns = match self {
            Self::None => return 0,
            Self::Fixed(delay) => *delay,
            Self::Uniform(low, high) => low + (high - low) * random.unit(),
            Self::Normal(mean, deviation) => mean + deviation * gaussian(random),
            Self::Exponential(mean) => -mean * libm::log(1.0 - random.unit()),
            Self::Pareto(scale, shape) => scale * libm::pow(1.0 - random.unit(), -1.0 / shape),
            Self::Quantiles(quantiles) => quantiles.draw_ns(state, at_ns, random),
        };
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
        let ns = ns as i64;
        ns.clamp(0, MAX_DELAY_NS)
    }
}

/// Draws a standard normal number (Box and Muller 1958).
pub(super) fn gaussian(random: &mut Random) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - random.unit()));
    radius * libm::cos(TAU * random.unit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::{assert_mean, assert_share};

    const N: u32 = 100_000;

    fn draws(delay: Delay) -> Vec<f64> {
        let (delay, mut random) = (delay.checked().unwrap(), Random::new(Some(21)));
        #[expect(clippy::cast_precision_loss, reason = "an hour fits")]
        (0..N).map(|_| delay.draw_ns(&mut DelayState::default(), 0, &mut random) as f64).collect()
    }

    /// Asserts that the share of draws up to each value is that of the distribution function.
    fn assert_distribution(delay: Delay, function: impl Fn(f64) -> f64, values: [f64; 4]) {
        let draws = draws(delay);
        for value in values {
            let below = draws.iter().filter(|&&draw| draw <= value).count();
            assert_share(u32::try_from(below).unwrap(), N, function(value));
        }
    }

    #[test]
    fn draws_follow_their_distribution() {
        assert!(draws(Delay::Fixed(5e6)).iter().all(|&draw| draw.to_bits() == 5e6_f64.to_bits()));
        assert_distribution(
            Delay::Uniform(2e6, 6e6),
            |x| (x - 2e6) / 4e6,
            [2.1e6, 3e6, 5e6, 5.9e6],
        );
        let exponential = |x: f64| 1.0 - (-x / 3e6).exp();
        assert_distribution(Delay::Exponential(3e6), exponential, [1e5, 1e6, 3e6, 1e7]);
        let pareto = |x: f64| 1.0 - (1e6 / x).powf(2.5);
        assert_distribution(Delay::Pareto(1e6, 2.5), pareto, [1.1e6, 1.5e6, 2e6, 5e6]);
        let normal = draws(Delay::Normal(5e6, 1e6));
        assert_mean(&normal, 5e6, 1e6);
        let squares: Vec<_> = normal.iter().map(|draw| ((draw - 5e6) / 1e6).powi(2)).collect();
        assert_mean(&squares, 1.0, 2.0_f64.sqrt());
        // The standard normal distribution at 1 and 2.
        for (deviations, share) in [(1.0, 0.841_344_746), (2.0, 0.977_249_868)] {
            let below = normal.iter().filter(|&&draw| draw <= 5e6 + deviations * 1e6).count();
            assert_share(u32::try_from(below).unwrap(), N, share);
        }
    }

    #[test]
    fn delays_are_clamped_to_0_and_an_hour() {
        assert!(draws(Delay::Normal(0.0, 1e6)).iter().all(|&draw| draw >= 0.0));
        let longest = draws(Delay::Pareto(1e9, 0.1)).into_iter().fold(0.0, f64::max);
        assert_eq!(longest.to_bits(), 3.6e12_f64.to_bits());
    }

    #[test]
    fn draws_never_change() {
        let models = [Delay::Normal(1e9, 1e8), Delay::Exponential(1e9), Delay::Pareto(1e9, 3.0)];
        let drawn = models
            .map(|model| model.draw_ns(&mut DelayState::default(), 0, &mut Random::new(Some(7))));
        assert_eq!(drawn, [1_015_864_398, 56_951_838, 1_019_165_286]);
    }

    #[test]
    fn impossible_parameters_are_named() {
        let text = |delay: Delay| delay.checked().unwrap_err().to_string();
        let allowed = "a number of seconds from 0 to 3600";
        assert_eq!(text(Delay::Fixed(-1e9)), format!("delay must be {allowed}, not -1"));
        assert_eq!(text(Delay::Uniform(2e9, 1e9)), "high must be at least low (2 s), not 1");
        assert_eq!(text(Delay::Exponential(f64::NAN)), format!("mean must be {allowed}, not nan"));
        assert_eq!(text(Delay::Pareto(1.0, 0.0)), "shape must be a number above 0, not 0");
    }
}
