//! Models of packet loss.

use crate::impair::Random;
use crate::{Error, Result};

/// Decides which packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// Each packet with the same probability, whatever became of the others.
    Bernoulli(f64),
    /// The lab's rule: a draw from 0 to 10, both ends included, that is less than 4 (36.36 %).
    Lab,
    /// No packet.
    #[default]
    Never,
}

impl Loss {
    /// Loss with probability `p`, an argument called `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] where `p` is no probability.
    pub fn bernoulli(name: &'static str, p: f64) -> Result<Self> {
        probability(name, p).map(Self::Bernoulli)
    }

    /// Decides the next packet.
    pub fn loses(self, random: &mut Random) -> bool {
        match self {
            Self::Bernoulli(p) => random.chance(p),
            Self::Lab => random.below(11) < 4,
            Self::Never => false,
        }
    }
}

/// Lets `p` pass where it is a probability.
///
/// # Errors
/// [`Error::Argument`] where it is none.
pub fn probability(name: &'static str, p: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&p) {
        Ok(p)
    } else {
        Err(Error::argument(name, p, "a probability from 0 to 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share lost of `n` packets lies within 4 standard deviations of `p` (the seed is fixed,
    /// so it does always or never).
    fn assert_rate(loss: Loss, p: f64) {
        let n = 100_000;
        let mut random = Random::new(Some(42));
        let share: f64 = (0..n).map(|_| f64::from(u8::from(loss.loses(&mut random)))).sum::<f64>()
            / f64::from(n);
        let sigma = (p * (1.0 - p) / f64::from(n)).sqrt();
        assert!((share - p).abs() <= 4.0 * sigma, "{loss:?} lost {share}");
    }

    #[test]
    fn rates_are_as_stated() {
        assert_rate(Loss::Lab, 4.0 / 11.0);
        for p in [0.0, 0.001, 0.3, 0.999, 1.0] {
            assert_rate(Loss::bernoulli("loss", p).unwrap(), p);
        }
        assert_rate(Loss::Never, 0.0);
    }

    #[test]
    fn the_labs_draw_reaches_both_ends() {
        let mut random = Random::new(Some(1));
        let mut seen = [0; 11];
        for _ in 0..1100 {
            seen[usize::try_from(random.below(11)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&times| times > 50), "{seen:?}");
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for p in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Loss::bernoulli("loss", p).is_err());
        }
    }
}
