//! Bursty loss that depends on time, not on packets.

use crate::{Error, Random, Result, probability};

/// The Gilbert-Elliott model in continuous time: a good and a bad state of exponential durations,
/// each with its own loss probability.
///
/// Packets `d` apart find the chain of a [`GilbertElliott`](crate::impair::GilbertElliott) with
/// `p = share (1 - x)` and `r = (1 - share) (1 - x)`, with the bad state's `share` of the time and
/// `x = exp(-(1/good + 1/bad) d)`: the same link at every packet rate. The first packet is in the
/// good state.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedGilbertElliott {
    good_ns: f64,
    bad_ns: f64,
    bad_loss: f64,
    good_loss: f64,
    bad_delay_ns: f64,
}

/// The running state of a [`TimedGilbertElliott`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TimedState {
    bad: bool,
    /// When the last packet came.
    at_ns: Option<i64>,
}

impl TimedGilbertElliott {
    /// Creates a model that is good for `good_ns` and bad for `bad_ns` on average, and loses with
    /// `good_loss` and `bad_loss`. A packet that passes in the bad state takes `bad_delay_ns` more.
    ///
    /// # Errors
    /// [`Error::Argument`] names the invalid one.
    pub fn new(
        good_ns: f64,
        bad_ns: f64,
        bad_loss: f64,
        good_loss: f64,
        bad_delay_ns: f64,
    ) -> Result<Self> {
        for (name, ns) in [("good", good_ns), ("bad", bad_ns)] {
            if !(ns > 0.0 && ns.is_finite()) {
                return Err(Error::number(name, ns / 1e9, "a number of seconds above 0"));
            }
        }
        if !(0.0..=3.6e12).contains(&bad_delay_ns) {
            let allowed = "a number of seconds from 0 to 3600";
            return Err(Error::number("bad_delay", bad_delay_ns / 1e9, allowed));
        }
        Ok(Self {
            good_ns,
            bad_ns,
            bad_loss: probability("bad_loss", bad_loss)?,
            good_loss: probability("good_loss", good_loss)?,
            bad_delay_ns,
        })
    }

    /// Returns whether a packet at `at_ns` is lost.
    pub(super) fn loses(&self, state: &mut TimedState, at_ns: i64, random: &mut Random) -> bool {
        let since_ns = at_ns.saturating_sub(state.at_ns.unwrap_or(at_ns)).max(0);
        state.at_ns = state.at_ns.max(Some(at_ns));
        #[expect(clippy::cast_precision_loss, reason = "a probability needs no more than 53 bits")]
        let forgotten = -libm::expm1(-(since_ns as f64) * (1.0 / self.good_ns + 1.0 / self.bad_ns));
        let other = if state.bad { self.good_ns } else { self.bad_ns };
        state.bad ^= random.chance(other / (self.good_ns + self.bad_ns) * forgotten);
        random.chance(if state.bad { self.bad_loss } else { self.good_loss })
    }

    /// Returns the additional delay of the last packet.
    pub(super) fn delay_ns(&self, state: &TimedState) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "an hour fits")]
        let ns = self.bad_delay_ns as i64;
        if state.bad { ns } else { 0 }
    }

    /// Returns whether some packets have an additional delay.
    pub(super) fn delays(&self) -> bool {
        self.bad_delay_ns > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::{assert_mean, bursts};

    /// Returns the losses of `n` packets that are `apart_ns`, and the number of delayed ones.
    fn losses(model: &TimedGilbertElliott, apart_ns: i64, n: i64) -> (Vec<bool>, usize) {
        let (mut state, mut random) = (TimedState::default(), Random::new(Some(12)));
        let mut delayed = 0;
        let lost = (0..n)
            .map(|i| {
                let lost = model.loses(&mut state, i * apart_ns, &mut random);
                delayed += usize::from(model.delay_ns(&state) == 7);
                lost
            })
            .collect();
        (lost, delayed)
    }

    #[test]
    fn bursts_last_as_long_at_every_packet_rate() {
        let model = TimedGilbertElliott::new(1e9, 0.125e9, 1.0, 0.0, 7.0).unwrap();
        for apart_ms in [1, 5, 100] {
            let (lost, delayed) = losses(&model, apart_ms * 1_000_000, 400_000);
            assert_eq!(lost.iter().filter(|lost| **lost).count(), delayed);
            let d = f64::from(u32::try_from(apart_ms).unwrap()) / 1000.0;
            let r = 8.0 / 9.0 * (1.0 - (-9.0 * d).exp());
            assert_mean(&bursts(&lost), 1.0 / r, ((1.0 - r) / (r * r)).sqrt());
            let good: Vec<_> = lost.iter().map(|lost| !lost).collect();
            let p = r / 8.0;
            assert_mean(&bursts(&good), 1.0 / p, ((1.0 - p) / (p * p)).sqrt());
        }
    }

    #[test]
    fn packets_of_one_moment_share_a_state() {
        let model = TimedGilbertElliott::new(1.0, 1.0, 1.0, 0.0, 0.0).unwrap();
        let (mut state, mut random) = (TimedState::default(), Random::new(Some(5)));
        for at_ns in (0..1000).map(|i| i * 100) {
            let lost = model.loses(&mut state, at_ns, &mut random);
            // One that seems to come earlier changes nothing.
            for same_ns in [at_ns, at_ns - 50, at_ns] {
                assert_eq!(model.loses(&mut state, same_ns, &mut random), lost);
            }
        }
    }

    #[test]
    fn impossible_parameters_are_named() {
        let text = |good, bad, loss, delay| {
            TimedGilbertElliott::new(good, bad, loss, 0.0, delay).unwrap_err().to_string()
        };
        let above = "a number of seconds above 0";
        assert_eq!(text(0.0, 1.0, 1.0, 0.0), format!("good must be {above}, not 0"));
        assert_eq!(text(1.0, f64::NAN, 1.0, 0.0), format!("bad must be {above}, not nan"));
        assert_eq!(text(1.0, 1.0, 2.0, 0.0), "bad_loss must be a probability from 0 to 1, not 2");
        let allowed = "a number of seconds from 0 to 3600";
        assert_eq!(text(1.0, 1.0, 1.0, -1e9), format!("bad_delay must be {allowed}, not -1"));
    }
}
