//! Models of packet loss.

use crate::impair::timed::TimedState;
use crate::impair::{GilbertElliott, Pattern, TimedGilbertElliott};
use crate::{Random, Result, probability};

/// A model of packet loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loss {
    /// Each packet independently, with the same probability.
    Bernoulli(f64),
    /// The lab's rule: lost if a draw from 0 to 10, both included, is less than 4 (36.36 %).
    Lab,
    /// In bursts.
    GilbertElliott(GilbertElliott),
    /// In bursts that depend on time.
    Timed(TimedGilbertElliott),
    /// From a list.
    Pattern(Pattern),
    /// No packet.
    #[default]
    Never,
}

/// The running state of a [`Loss`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LossState {
    /// Whether the Gilbert-Elliott model is in its bad state.
    bad: bool,
    /// The index of the next packet's entry in the pattern.
    next: usize,
    timed: TimedState,
}

impl Loss {
    /// Creates independent loss with probability `p`; errors call the argument `name`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if `p` is not a probability.
    pub fn bernoulli(name: &'static str, p: f64) -> Result<Self> {
        probability(name, p).map(Self::Bernoulli)
    }

    /// Returns whether the next packet, which comes at `at_ns`, is lost.
    pub(crate) fn loses(&self, state: &mut LossState, at_ns: i64, random: &mut Random) -> bool {
        match self {
            Self::Bernoulli(p) => random.chance(*p),
            Self::Lab => random.below(11) < 4,
            Self::GilbertElliott(model) => model.loses(&mut state.bad, random),
            Self::Timed(model) => model.loses(&mut state.timed, at_ns, random),
            Self::Pattern(pattern) => pattern.loses(&mut state.next),
            Self::Never => false,
        }
    }

    /// Returns the additional delay of the last packet.
    pub(super) fn delay_ns(&self, state: &LossState) -> i64 {
        match self {
            Self::Timed(model) => model.delay_ns(&state.timed),
            _ => 0,
        }
    }

    /// Returns whether some packets have an additional delay.
    pub(super) fn delays(&self) -> bool {
        matches!(self, Self::Timed(model) if model.delays())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::{assert_mean, assert_share, bursts};

    fn assert_rate(loss: &Loss, p: f64) {
        let (n, mut state, mut random) = (100_000, LossState::default(), Random::new(Some(42)));
        let losses: Vec<_> = (0..n).map(|_| loss.loses(&mut state, 0, &mut random)).collect();
        let count = losses.iter().filter(|lost| **lost).count();
        assert_share(u32::try_from(count).unwrap(), n, p);
        if p > 0.0 && p < 1.0 {
            // Losses are independent, so bursts are geometric.
            assert_mean(&bursts(&losses), 1.0 / (1.0 - p), p.sqrt() / (1.0 - p));
        }
    }

    #[test]
    fn rates_are_as_stated() {
        assert_rate(&Loss::Lab, 4.0 / 11.0);
        for p in [0.0, 0.001, 0.3, 0.999, 1.0] {
            assert_rate(&Loss::bernoulli("loss", p).unwrap(), p);
        }
        assert_rate(&Loss::Never, 0.0);
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
    fn values_outside_0_to_1_are_refused() {
        for p in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Loss::bernoulli("loss", p).is_err());
        }
    }
}
