//! Impairment models; pure and seeded.
//!
//! A model holds parameters only. A client's [`LinkState`] holds what depends on its packets.

mod corruption;
mod delay;
mod gilbert_elliott;
mod link;
mod loss;
mod pattern;
mod quantiles;
mod rate;
mod reordering;
mod rule;
mod timed;
mod trace_rate;

pub use corruption::Corruption;
pub use delay::Delay;
pub use gilbert_elliott::GilbertElliott;
pub use link::{CopyPlan, Flags, Link, LinkDraw, LinkState, Passage};
pub use loss::{Loss, LossState};
pub use pattern::Pattern;
pub use quantiles::{DelayState, Quantiles};
pub use rate::Rate;
pub use reordering::Reordering;
pub use rule::{Action, Bytes, Nth, Rule};
pub use timed::TimedGilbertElliott;
pub use trace_rate::TraceRate;

/// Statistical assertions for tests of models.
#[cfg(test)]
mod confidence {
    /// Asserts that `count` of `n` independent draws lies within 4 standard deviations of `n p`.
    /// Tests have fixed seeds, so each always passes or always fails.
    pub(super) fn assert_share(count: u32, n: u32, p: f64) {
        let (share, sigma) =
            (f64::from(count) / f64::from(n), (p * (1.0 - p) / f64::from(n)).sqrt());
        assert!((share - p).abs() <= 4.0 * sigma, "{share} for {p}, sigma {sigma}");
    }

    /// Returns the length of each run of losses.
    pub(super) fn bursts(losses: &[bool]) -> Vec<f64> {
        let bursts = losses.split(|lost| !lost).filter(|burst| !burst.is_empty());
        #[expect(clippy::cast_precision_loss, reason = "bursts are short")]
        bursts.map(|burst| burst.len() as f64).collect()
    }

    /// Asserts that the mean of values with standard deviation `deviation` is within 4 standard
    /// errors.
    pub(super) fn assert_mean(values: &[f64], mean: f64, deviation: f64) {
        #[expect(clippy::cast_precision_loss, reason = "few enough")]
        let n = values.len() as f64;
        let found = values.iter().sum::<f64>() / n;
        let error = deviation / n.sqrt();
        assert!((found - mean).abs() <= 4.0 * error, "{found} for {mean}, error {error}");
    }
}
