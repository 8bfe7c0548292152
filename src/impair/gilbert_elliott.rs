//! Bursty loss.

use crate::{Random, Result, probability};

/// The Gilbert-Elliott model: a good and a bad state, each with its own loss probability (Elliott
/// 1963).
///
/// Same as `tc netem loss gemodel p r 1-h 1-k`: a packet is lost with the current state's
/// probability, then the state may change; the first packet is in the good state. The steady loss
/// is `(bad_loss p + good_loss r) / (p + r)`; if `bad_loss` is 1 and `good_loss` 0, the mean burst
/// is `1 / r` packets.
#[derive(Clone, Debug, PartialEq)]
pub struct GilbertElliott {
    p: f64,
    r: f64,
    bad_loss: f64,
    good_loss: f64,
}

impl GilbertElliott {
    /// Creates a model that turns bad with probability `p` and good again with `r`, and loses with
    /// `bad_loss` (netem's 1-h) and `good_loss` (1-k).
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if one of them is not a probability.
    pub fn new(p: f64, r: f64, bad_loss: f64, good_loss: f64) -> Result<Self> {
        Ok(Self {
            p: probability("p", p)?,
            r: probability("r", r)?,
            bad_loss: probability("bad_loss", bad_loss)?,
            good_loss: probability("good_loss", good_loss)?,
        })
    }

    /// Returns whether the next packet is lost; `bad` is the state.
    pub(super) fn loses(&self, bad: &mut bool, random: &mut Random) -> bool {
        let changes = random.chance(if *bad { self.r } else { self.p });
        let lost = random.chance(if *bad { self.bad_loss } else { self.good_loss });
        *bad ^= changes;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::{assert_mean, assert_share, bursts};

    const N: u32 = 400_000;

    #[expect(clippy::needless_pass_by_value, reason = "models are made in place")]
    fn losses(model: GilbertElliott) -> Vec<bool> {
        let (mut bad, mut random) = (false, Random::new(Some(11)));
        (0..N).map(|_| model.loses(&mut bad, &mut random)).collect()
    }

    #[test]
    fn the_rate_matches_the_formula() {
        for (p, r, bad, good) in
            [(0.01, 0.3, 1.0, 0.0), (0.05, 0.2, 0.7, 0.01), (0.2, 0.8, 1.0, 0.0)]
        {
            let losses = losses(GilbertElliott::new(p, r, bad, good).unwrap());
            let rate = (bad * p + good * r) / (p + r);
            let share = losses.iter().filter(|lost| **lost).count();
            // Correlation widens the variance of the mean by at most this factor (the chain's
            // autocorrelation is (1 - p - r)^lag).
            let rho = 1.0 - p - r;
            let sigma = (rate * (1.0 - rate) * (1.0 + rho) / (1.0 - rho) / f64::from(N)).sqrt();
            let share = f64::from(u32::try_from(share).unwrap()) / f64::from(N);
            assert!((share - rate).abs() <= 4.0 * sigma, "{share} for {rate}");
        }
    }

    #[test]
    fn bursts_are_geometric() {
        for r in [0.1, 0.3, 0.9] {
            let bursts = bursts(&losses(GilbertElliott::new(0.02, r, 1.0, 0.0).unwrap()));
            assert_mean(&bursts, 1.0 / r, ((1.0 - r) / (r * r)).sqrt());
            let single = u32::try_from(bursts.iter().filter(|&&n| n < 1.5).count()).unwrap();
            assert_share(single, u32::try_from(bursts.len()).unwrap(), r);
        }
    }

    #[test]
    fn r_of_one_minus_p_is_bernoulli_loss() {
        let losses = losses(GilbertElliott::new(0.3, 0.7, 1.0, 0.0).unwrap());
        let lost = u32::try_from(losses.iter().filter(|lost| **lost).count()).unwrap();
        assert_share(lost, N, 0.3);
        assert_mean(&bursts(&losses), 1.0 / 0.7, (0.3_f64 / 0.49).sqrt());
    }

    #[test]
    fn values_outside_0_to_1_are_refused() {
        let error = GilbertElliott::new(0.1, 1.5, 1.0, 0.0).unwrap_err().to_string();
        assert_eq!(error, "r must be a probability from 0 to 1, not 1.5");
    }
}
