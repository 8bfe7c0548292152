//! The additional delay of packets that pass in the bad state.

use crate::stats::fit::chain::Chain;
use crate::stats::fit::trace::{Trace, float};

/// The number of parts of a trace whose differences show the error of an estimate.
const PARTS: usize = 20;

/// The sums that make a regression line.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, x: f64, y: f64) {
        *self = self.plus(&Self { n: 1.0, x, y, xx: x * x, xy: x * y }, 1.0);
    }

    fn plus(&self, other: &Self, sign: f64) -> Self {
        Self {
            n: self.n + sign * other.n,
            x: self.x + sign * other.x,
            y: self.y + sign * other.y,
            xx: self.xx + sign * other.xx,
            xy: self.xy + sign * other.xy,
        }
    }

    fn slope(&self) -> f64 {
        (self.n * self.xy - self.x * self.y) / (self.n * self.xx - self.x * self.x)
    }
}

/// Returns how much more the packets take that pass in the bad state, in nanoseconds: the slope of the
/// delays over the probabilities of the bad state, which losses tell.
pub(super) fn slope(chain: &Chain, trace: &Trace) -> f64 {
    total(&sums(chain, trace)).slope()
}

/// Returns the [`slope`] and its variance for this chain, by a jackknife over parts of the trace (Tukey
/// 1958), since neighbours are alike.
pub(super) fn estimate(chain: &Chain, trace: &Trace) -> (f64, f64) {
    let parts = sums(chain, trace);
    let all = total(&parts);
    let without = parts.map(|part| all.plus(&part, -1.0).slope());
    let count = float(PARTS as u64);
    let mean = without.iter().sum::<f64>() / count;
    let squares = without.iter().map(|slope| (slope - mean) * (slope - mean)).sum::<f64>();
    (all.slope(), squares * (count - 1.0) / count)
}

fn total(parts: &[Sums; PARTS]) -> Sums {
    parts.iter().fold(Sums::default(), |sum, part| sum.plus(part, 1.0))
}

/// Returns the sums of equal parts of the packets with a delay.
fn sums(chain: &Chain, trace: &Trace) -> [Sums; PARTS] {
    let states = chain.bad_states(trace);
    let packets = trace.segments.iter().flat_map(|segment| &segment.packets);
    let known: Vec<_> =
        packets.zip(states).filter_map(|(packet, bad)| Some((bad, packet.delay_ns?))).collect();
    let first = known.first().map_or(0.0, |(_, delay_ns)| *delay_ns);
    let length = known.len().div_ceil(PARTS).max(1);
    let mut parts = [Sums::default(); PARTS];
    for (index, (bad, delay_ns)) in known.iter().enumerate() {
        // Differences from a delay, for precision.
        parts[index / length].add(*bad, delay_ns - first);
    }
    parts
}

/// Removes `ns` from the delay of each packet that most likely passed in the bad state.
pub(super) fn remove(ns: f64, chain: &Chain, trace: &mut Trace) {
    let states = chain.bad_states(trace);
    let packets = trace.segments.iter_mut().flat_map(|segment| &mut segment.packets);
    for (packet, bad) in packets.zip(states) {
        if bad > 0.5 {
            packet.delay_ns = packet.delay_ns.map(|delay_ns| (delay_ns - ns).max(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use crate::impair::{Delay, Link, LinkState, Loss, TimedGilbertElliott};
    use crate::stats::fit::trace::Packet;
    use crate::stats::fit::{Estimate, Model, fit_delay, fit_loss};

    /// Returns a trace of packets over a link that is bad for 100 ms in 900 ms on average and then
    /// loses a part of the packets and delays the others by `bad_ns` more.
    fn trace((bad_loss, bad_ns): (f64, f64), apart_ms: i64, n: i64, seed: u64) -> Trace {
        let loss = TimedGilbertElliott::new(8e8, 1e8, bad_loss, 0.0, bad_ns).unwrap();
        let delay = Delay::Uniform(2e7, 3e7);
        let link = Link { loss: Loss::Timed(loss), delay, ..Link::default() };
        let (mut state, mut random) = (LinkState::default(), Random::new(Some(seed)));
        let packet = |index| {
            let sent_ns = index * apart_ms * 1_000_000;
            let mut drawn = link.draw(&mut state, sent_ns, &[0; 100], &mut random);
            let delay_ns = drawn.copies[0].and_then(|copy| {
                let passage = link.carry(&mut state, sent_ns, 100, &copy, &mut drawn.flags)?;
                Some(float(u64::try_from(passage.delay_ns).unwrap()))
            });
            Packet { sent_ns, lost: delay_ns.is_none(), delay_ns }
        };
        Trace::new(vec![(0..n).map(packet).collect()])
    }

    #[test]
    fn the_truth_is_within_the_interval() {
        let runs = if cfg!(debug_assertions) { 67 } else { 200 };
        let cases = [(5, 12_000), (10, 6000), (20, 6000)];
        let cases = cases.map(|of| [0.0, 2e6, 4e7].map(|bad_ns| (of, bad_ns)));
        for ((apart_ms, n), bad_ns) in cases.into_iter().flatten() {
            let within = (0..runs).filter(|seed| {
                let mut trace = trace((0.5, bad_ns), apart_ms, n, *seed);
                let Estimate { interval, .. } =
                    fit_loss(&trace).take_bad_delay(&mut trace).unwrap();
                (interval.0..=interval.1).contains(&bad_ns)
            });
            let within = within.count() as u64;
            assert!(within >= runs * 9 / 10, "{bad_ns} at {apart_ms} ms: {within} of {runs}");
        }
    }

    #[test]
    fn delays_without_the_bad_states_are_those_of_the_good() {
        let mut trace = trace((0.5, 4e7), 10, 20_000, 1);
        let fit = fit_loss(&trace);
        assert_eq!(fit.model, Model::Gilbert3);
        let found = fit.take_bad_delay(&mut trace).unwrap();
        assert!((found.value - 4e7).abs() < 2e6, "{found:?}");
        let table = fit_delay(&trace).unwrap().table;
        for (share, expected) in [(0.1, 2.1e7), (0.5, 2.5e7), (0.9, 2.9e7)] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            let ns = table[(share * 1023.0) as usize];
            assert!((ns - expected).abs() < 5e5, "{ns} for {expected}");
        }
    }

    #[test]
    fn a_bad_state_that_nobody_survives_has_no_delay() {
        let mut trace = trace((1.0, 4e7), 10, 4000, 3);
        let fit = fit_loss(&trace);
        assert_eq!((fit.model, fit.take_bad_delay(&mut trace)), (Model::Gilbert, None));
    }
}
