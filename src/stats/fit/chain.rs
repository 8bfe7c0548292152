//! The Gilbert-Elliott chain in continuous time.

use crate::Random;
use crate::stats::fit::trace::{Run, Segment, Trace, float, lengthen};

/// A good and a bad state, left at constant rates, each with its own probability of loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain {
    /// How often the good state turns bad, per second.
    pub worsens: f64,
    /// How often the bad state turns good, per second.
    pub recovers: f64,
    /// The probability of loss in the bad state.
    pub bad_loss: f64,
    /// The probability of loss in the good state.
    pub good_loss: f64,
}

/// A transition matrix: from the row to the column, good before bad.
type Matrix = [[f64; 2]; 2];

impl Chain {
    /// Creates the chain that packets `spacing` seconds apart find to turn bad with probability `p`
    /// and good with `r`, which do not sum up to 1.
    #[cfg(test)]
    pub(super) fn of_packets(p: f64, r: f64, bad_loss: f64, good_loss: f64, spacing: f64) -> Self {
        let rate = -(1.0 - p - r).ln() / spacing;
        let (worsens, recovers) = (p / (p + r) * rate, r / (p + r) * rate);
        Self { worsens, recovers, bad_loss, good_loss }
    }

    /// Returns the share of time in the bad state.
    #[must_use]
    pub fn bad_share(&self) -> f64 {
        self.worsens / (self.worsens + self.recovers)
    }

    /// Returns the mean loss.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let bad = self.bad_share();
        bad * self.bad_loss + (1.0 - bad) * self.good_loss
    }

    /// Returns the probabilities that a packet finds the other state than the one `seconds` before:
    /// from good to bad, and from bad to good.
    #[must_use]
    pub fn changes(&self, seconds: f64) -> (f64, f64) {
        let forgotten = -libm::expm1(-(self.worsens + self.recovers) * seconds);
        let bad = self.bad_share();
        (bad * forgotten, (1.0 - bad) * forgotten)
    }

    /// Returns the correlation of the states of packets `seconds` apart.
    #[must_use]
    pub fn memory(&self, seconds: f64) -> f64 {
        libm::exp(-(self.worsens + self.recovers) * seconds)
    }

    fn transition(&self, seconds: f64) -> Matrix {
        let (p, r) = self.changes(seconds);
        [[1.0 - p, p], [r, 1.0 - r]]
    }

    /// Returns the probabilities of an outcome in both states.
    fn emission(&self, lost: bool) -> [f64; 2] {
        let losses = [self.good_loss, self.bad_loss];
        if lost { losses } else { losses.map(|loss| 1.0 - loss) }
    }

    /// Returns the logarithm of the probability of a trace.
    pub(super) fn log_likelihood(&self, trace: &Trace) -> f64 {
        let bad = self.bad_share();
        let steady = [1.0 - bad, bad];
        let segments = trace.segments.iter();
        if !trace.regular {
            return segments.map(|segment| self.by_packet(segment, steady)).sum();
        }
        let transition = self.transition(trace.spacing);
        let powers = [false, true].map(|lost| Powers::new(&transition, self.emission(lost)));
        let of_segment = |segment: &Segment| {
            let (mut state, mut log) = (steady, 0.0);
            for (index, run) in segment.runs.iter().enumerate() {
                let mut count = run.count;
                if index == 0 {
                    let [good, bad] = self.emission(run.lost);
                    state = [state[0] * good, state[1] * bad];
                    count -= 1;
                }
                log += powers[usize::from(run.lost)].apply(&mut state, count);
            }
            log
        };
        segments.map(of_segment).sum()
    }

    fn by_packet(&self, segment: &Segment, steady: [f64; 2]) -> f64 {
        let (mut state, mut log) = (steady, 0.0);
        let mut steps = segment.steps();
        for (index, packet) in segment.packets.iter().enumerate() {
            let step = if index == 0 { None } else { steps.next() };
            if let Some(step) = step {
                state = times(state, &self.transition(step));
            }
            let [good, bad] = self.emission(packet.lost);
            state = [state[0] * good, state[1] * bad];
            log += normalize(&mut state);
        }
        log
    }

    /// Returns the probability of the bad state at each packet, given all outcomes.
    pub(super) fn bad_states(&self, trace: &Trace) -> Vec<f64> {
        trace.segments.iter().flat_map(|segment| self.of_segment(segment)).collect()
    }

    /// Returns the probability of the bad state at each packet (forward-backward algorithm).
    fn of_segment(&self, segment: &Segment) -> Vec<f64> {
        let (packets, steps) = (&segment.packets, segment.steps().collect::<Vec<_>>());
        let weigh = |state: [f64; 2], lost| {
            let [good, bad] = self.emission(lost);
            let mut state = [state[0] * good, state[1] * bad];
            normalize(&mut state);
            state
        };
        let bad = self.bad_share();
        let mut state = [1.0 - bad, bad];
        let mut forward = Vec::with_capacity(packets.len());
        for (index, packet) in packets.iter().enumerate() {
            if index > 0 {
                state = times(state, &self.transition(steps[index - 1]));
            }
            state = weigh(state, packet.lost);
            forward.push(state);
        }
        // The probability of all later outcomes, by the state of a packet.
        let mut later = [1.0, 1.0];
        let mut states = vec![0.0; packets.len()];
        for index in (0..packets.len()).rev() {
            let mut both = [forward[index][0] * later[0], forward[index][1] * later[1]];
            normalize(&mut both);
            states[index] = both[1];
            if index > 0 {
                let [good, bad] = weigh(later, packets[index].lost);
                let [[stays, worsens], [recovers, lasts]] = self.transition(steps[index - 1]);
                later = [stays * good + worsens * bad, recovers * good + lasts * bad];
            }
        }
        states
    }

    /// Draws outcomes for the packets of a trace, as runs of each segment.
    pub(super) fn simulate(&self, trace: &Trace, random: &mut Random) -> Vec<Vec<Run>> {
        let (p, r) = self.changes(trace.spacing);
        let draw = |segment: &Segment| {
            let mut bad = random.chance(self.bad_share());
            let mut runs = Vec::new();
            if trace.regular {
                let mut rest = segment.packets.len() as u64;
                while rest > 0 {
                    let stay = until(if bad { r } else { p }, random).min(rest);
                    rest -= stay;
                    self.pass(bad, stay, &mut runs, random);
                    bad = !bad;
                }
                return runs;
            }
            self.pass(bad, 1, &mut runs, random);
            for step in segment.steps() {
                let (p, r) = self.changes(step);
                bad ^= random.chance(if bad { r } else { p });
                self.pass(bad, 1, &mut runs, random);
            }
            runs
        };
        trace.segments.iter().map(draw).collect()
    }

    /// Draws the outcomes of `rest` packets in a state.
    fn pass(&self, bad: bool, mut rest: u64, runs: &mut Vec<Run>, random: &mut Random) {
        let loss = if bad { self.bad_loss } else { self.good_loss };
        while rest > 0 {
            // The shorter runs are drawn one by one.
            let mostly = loss > 0.5;
            let run = (until(if mostly { 1.0 - loss } else { loss }, random) - 1).min(rest);
            lengthen(runs, mostly, run);
            rest -= run;
            if rest > 0 {
                lengthen(runs, !mostly, 1);
                rest -= 1;
            }
        }
    }
}

/// Draws the number of trials up to the first that succeeds, each with probability `p`.
fn until(p: f64, random: &mut Random) -> u64 {
    if p >= 1.0 {
        return 1;
    }
    let trials = libm::log(1.0 - random.unit()) / libm::log1p(-p);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let before = trials.max(0.0) as u64;
    before.saturating_add(1)
}

/// Powers of the matrix that a step and its outcome are, by its eigenvalues.
struct Powers {
    matrix: Matrix,
    large: f64,
    small: f64,
}

impl Powers {
    fn new(transition: &Matrix, emission: [f64; 2]) -> Self {
        let matrix = transition.map(|[good, bad]| [good * emission[0], bad * emission[1]]);
        let [[a, b], [c, d]] = matrix;
        let middle = 0.5 * (a + d);
        let reach = (0.25 * (a - d) * (a - d) + b * c).sqrt();
        Self { matrix, large: middle + reach, small: middle - reach }
    }

    /// Multiplies a state by the matrix `count` times and normalizes it. Returns the logarithm of the
    /// factor.
    fn apply(&self, state: &mut [f64; 2], count: u64) -> f64 {
        let mut log = 0.0;
        if count > 0 {
            let Self { ref matrix, large, small } = *self;
            let next = times(*state, matrix);
            let n = float(count);
            // Of A^n = (l^n (A - s) - s^n (A - l)) / (l - s), the factor l^(n - 1) is left out.
            let ratio = small / large;
            let [x, y] = if 1.0 - ratio < 1e-9 {
                [n, 1.0 - n]
            } else {
                let power = ratio.powi(i32::try_from(count).unwrap_or(i32::MAX));
                [(1.0 - power) / (1.0 - ratio), (power - ratio) / (1.0 - ratio)]
            };
            let part = |index: usize| (x * next[index] + y * large * state[index]).max(0.0);
            *state = [part(0), part(1)];
            log = (n - 1.0) * large.ln();
        }
        log + normalize(state)
    }
}

fn times(state: [f64; 2], matrix: &Matrix) -> [f64; 2] {
    let column = |index: usize| state[0] * matrix[0][index] + state[1] * matrix[1][index];
    [column(0), column(1)]
}

/// Scales a state to probabilities. Returns the logarithm of their former sum.
fn normalize(state: &mut [f64; 2]) -> f64 {
    let sum = state[0] + state[1];
    *state = [state[0] / sum, state[1] / sum];
    sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::fit::trace::tests::every;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn powers_of_runs_equal_steps_of_packets(
            losses in prop::collection::vec(prop::bool::weighted(0.3), 1..200),
            worsens in 0.01..50.0,
            recovers in 0.01..50.0,
            bad_loss in 0.05..0.95,
            good_loss in 0.01..0.5,
        ) {
            let chain = Chain { worsens, recovers, bad_loss, good_loss };
            let trace = Trace::new(vec![every(10_000_000, losses)]);
            let quick = chain.log_likelihood(&trace);
            let slow = chain.log_likelihood(&Trace { regular: false, ..trace });
            prop_assert!((quick - slow).abs() < 1e-7 * slow.abs().max(1.0), "{quick} {slow}");
        }
    }

    #[test]
    fn the_states_of_packets_follow_from_the_probabilities_of_their_outcomes() {
        let chain = Chain::of_packets(0.1, 0.3, 0.8, 0.05, 0.01);
        let losses = [false, true, true, false, true, false, false];
        let found = chain.bad_states(&Trace::new(vec![every(10_000_000, losses)]));
        // All sequences of states, each with its probability.
        let (p, r, share) = (0.1, 0.3, 0.25);
        let mut sums = [0.0; 7];
        let mut total = 0.0;
        for number in 0..128_u32 {
            let bad = |index: usize| number >> index & 1 == 1;
            let mut probability = if bad(0) { share } else { 1.0 - share };
            for (index, lost) in losses.into_iter().enumerate() {
                if index > 0 {
                    let change = if bad(index - 1) { r } else { p };
                    let changes = bad(index - 1) != bad(index);
                    probability *= if changes { change } else { 1.0 - change };
                }
                let loss = if bad(index) { 0.8 } else { 0.05 };
                probability *= if lost { loss } else { 1.0 - loss };
            }
            total += probability;
            sums.iter_mut().enumerate().for_each(|(index, sum)| {
                *sum += if bad(index) { probability } else { 0.0 };
            });
        }
        for (found, sum) in found.into_iter().zip(sums) {
            assert!((found - sum / total).abs() < 1e-9, "{found} for {}", sum / total);
        }
    }

    #[test]
    fn the_probabilities_of_all_outcomes_sum_up_to_1() {
        let chain = Chain::of_packets(0.1, 0.3, 0.8, 0.05, 0.01);
        let outcome = |number: u32| (0..10).map(move |bit| number >> bit & 1 == 1);
        let probability = |number| {
            let trace = Trace::new(vec![every(10_000_000, outcome(number))]);
            chain.log_likelihood(&trace).exp()
        };
        let sum: f64 = (0..1024).map(probability).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn changes_are_those_of_packets() {
        let (p, r) = Chain::of_packets(0.02, 0.3, 1.0, 0.0, 0.02).changes(0.02);
        assert!((p - 0.02).abs() < 1e-12 && (r - 0.3).abs() < 1e-12);
    }
}
