//! Offset and skew between two clocks, from one-way delays that contain them.
//!
//! If the far clock is ahead by `offset`, a packet that takes `forward` seems to take
//! `forward + offset`, and a reply that takes `reverse` seems to take `reverse - offset`. No delay
//! is negative, so the offset is at most the former and at least the negative of the latter, for all
//! packets. An offset that drifts evenly is also below the convex hull of all of the former (Zhang,
//! Liu and Xia 2002).

use std::ops::Range;

/// The most that one clock may run faster than another, in parts per million: twice what NTP
/// corrects.
const MAX_SKEW_PPM: u64 = 1000;

/// Noise of timestamps, in nanoseconds, within which slopes always agree.
const NOISE_NS: f64 = 2000.0;

/// The least exchanges for an estimate of the skew.
const FOR_SKEW: usize = 20;

/// The most that the variation of delays may leave open of a skew.
const MAX_DOUBT: f64 = 50e-6;

/// A packet and its reply, by two clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the packet was sent, by the near clock.
    pub sent_ns: i64,
    /// When the reply arrived, by the near clock.
    pub arrived_ns: i64,
    /// The time of the packet's arrival by the far clock minus that of its sending.
    pub forward_ns: i64,
    /// The time of the reply's arrival minus that of its sending by the far clock.
    pub reverse_ns: i64,
}

/// The claim of both ends to know the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The sum of the errors of both clocks.
    pub error_ns: i64,
    /// By how much the far clock is ahead by definition, as TAI is of UTC.
    pub ahead_ns: i64,
}

/// The lower convex hull of points in order of their times.
#[derive(Clone, Debug, Default, PartialEq)]
struct Hull(Vec<(i64, i64)>);

impl Hull {
    fn of(points: &[(i64, i64)]) -> Self {
        let mut hull: Vec<(i64, i64)> = Vec::new();
        for point in points {
            // Of points at one time the lowest comes first.
            if hull.last().is_some_and(|last| last.0 == point.0) {
                continue;
            }
            while let [.., before, last] = hull[..]
                && !turns_left(before, last, *point)
            {
                hull.pop();
            }
            hull.push(*point);
        }
        Self(hull)
    }

    /// Returns the value at a time, rounded up. Outside the points it is the nearest one plus what
    /// clocks may have drifted apart.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the rise between two points is exact to less than a nanosecond"
    )]
    fn at(&self, time: i64) -> Option<i64> {
        let after = self.0.partition_point(|point| point.0 < time);
        let edge = (self.0.get(after.wrapping_sub(1)), self.0.get(after));
        match edge {
            (Some((x0, y0)), Some((x1, y1))) => {
                let (rise, run) = (y1.saturating_sub(*y0), x1.saturating_sub(*x0));
                let share = time.saturating_sub(*x0) as f64 / run as f64;
                // The last digits of a float are not worth a nanosecond.
                let up = (rise as f64 * share - 1e-3).ceil() as i64;
                Some(y0.saturating_add(up))
            }
            (Some((x, y)), None) | (None, Some((x, y))) => {
                let drift = time.abs_diff(*x).div_ceil(1_000_000 / MAX_SKEW_PPM);
                Some(y.saturating_add_unsigned(drift))
            }
            (None, None) => None,
        }
    }

    /// Returns the smallest value.
    fn min(&self) -> Option<i64> {
        self.0.iter().map(|point| point.1).min()
    }

    /// Returns the slope of the edge above a time.
    #[expect(clippy::cast_precision_loss, reason = "a slope needs no more than 53 bits")]
    fn slope(&self, time: i64) -> Option<f64> {
        let after = self.0.partition_point(|point| point.0 < time).max(1);
        let ((x0, y0), (x1, y1)) = (self.0.get(after - 1)?, self.0.get(after)?);
        Some(y1.wrapping_sub(*y0) as f64 / x1.wrapping_sub(*x0) as f64)
    }
}

fn wide(number: i64) -> i128 {
    number.into()
}

/// Returns whether the way over three points, in order of their times, turns to the left.
fn turns_left(a: (i64, i64), b: (i64, i64), c: (i64, i64)) -> bool {
    let step =
        |from: (i64, i64), to: (i64, i64)| (wide(to.0) - wide(from.0), wide(to.1) - wide(from.1));
    let (first, second) = (step(a, b), step(b, c));
    first.0 * second.1 > first.1 * second.0
}

/// A change of the least delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The far clock stepped: one direction seems longer by what the other seems shorter.
    Clock(i64),
    /// The route changed, by these changes of the delays there and back; 0 for none.
    Route([i64; 2]),
}

/// Exchanges of a window whose least delays are compared with those of others.
const WINDOW: usize = 32;

/// The least step that is looked for, in nanoseconds.
const LEAST_STEP: i64 = 50_000;

/// How often a step exceeds the usual difference between neighbouring windows.
const CLEARLY: i64 = 10;

/// Returns the steps in exchanges in order of sending, each with the range in which it happened.
#[must_use]
pub fn steps(exchanges: &[Exchange]) -> Vec<(Range<usize>, Step)> {
    let least = |window: &[Exchange], of: fn(&Exchange) -> i64| window.iter().map(of).min();
    let windows: Vec<_> = exchanges
        .chunks_exact(WINDOW)
        .filter_map(|window| {
            Some([least(window, |one| one.forward_ns)?, least(window, |one| one.reverse_ns)?])
        })
        .collect();
    // What the skew changes from one window to the next.
    let drift = median(windows.windows(2).map(|pair| {
        let [there, back] = [0, 1].map(|way| pair[1][way] - pair[0][way]);
        (there - back) / 2
    }));
    let even: Vec<_> = (0..)
        .zip(&windows)
        .map(|(index, [there, back])| {
            let drifted = drift.saturating_mul(index);
            [there.saturating_sub(drifted), back.saturating_add(drifted)]
        })
        .collect();
    let limits = [0, 1].map(|way| {
        let usual = even.windows(2).map(|pair| (pair[1][way] - pair[0][way]).abs());
        median(usual).saturating_mul(CLEARLY).max(LEAST_STEP)
    });
    // The least of two windows on each side of another, in which the step may be: one of them may
    // have had no quiet moment.
    let changes: Vec<_> = even
        .windows(5)
        .map(|near| {
            [0, 1].map(|way| near[3][way].min(near[4][way]) - near[0][way].min(near[1][way]))
        })
        .collect();
    let evidence =
        |index: usize| changes.get(index).map_or(0, |[there, back]| there.abs() + back.abs());
    let mut steps = Vec::new();
    let mut index = 0;
    while let Some([there, back]) = changes.get(index).copied() {
        let clear = [there.abs() > limits[0], back.abs() > limits[1]];
        let later = (index + 1..=index + 3).map(evidence).max();
        if clear == [false; 2] || later > Some(evidence(index)) {
            index += 1;
            continue;
        }
        let opposed = (there + back).abs() <= there.abs().min(back.abs()) / 4;
        steps.push(if clear == [true; 2] && opposed {
            // Only a step in the window between shows both ways.
            let range = (index + 1) * WINDOW..(index + 4) * WINDOW;
            (range, Step::Clock((there - back) / 2))
        } else {
            let range = index * WINDOW..(index + 5) * WINDOW;
            let by = |way: usize, ns| if clear[way] { ns } else { 0 };
            (range, Step::Route([by(0, there), by(1, back)]))
        });
        index += 4;
    }
    steps
}

/// Returns the stretches of `count` exchanges before, between and after steps in these ranges.
#[must_use]
pub fn stretches(count: usize, steps: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut from = 0;
    let mut stretches = Vec::new();
    for Range { start, end } in steps.chain(std::iter::once(count..count)) {
        // The ranges of two steps can overlap by a window.
        stretches.push(from..start.max(from));
        from = end;
    }
    stretches
}

/// Returns the longest stretch of exchanges between two steps.
fn steady(exchanges: &[Exchange]) -> &[Exchange] {
    let steps = steps(exchanges).into_iter().map(|(range, _)| range);
    let longest = stretches(exchanges.len(), steps).into_iter().max_by_key(ExactSizeIterator::len);
    &exchanges[longest.unwrap_or_default()]
}

/// Returns the median; 0 for nothing.
fn median(values: impl Iterator<Item = i64>) -> i64 {
    let mut values: Vec<_> = values.collect();
    let half = values.len() / 2;
    if values.is_empty() { 0 } else { *values.select_nth_unstable(half).1 }
}

/// The far clock while it did not step, as exchanges show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clock {
    forward: Hull,
    reverse: Hull,
    claim: Option<Claim>,
    skew: Option<f64>,
    start_ns: i64,
    /// The least delays of both directions without the skew.
    least: [i64; 2],
}

impl Clock {
    /// Creates the clock that `exchanges` show.
    #[must_use]
    pub fn of(exchanges: &[Exchange], claim: Option<Claim>) -> Self {
        let hull = |point: fn(&Exchange) -> (i64, i64)| {
            let mut points: Vec<_> = exchanges.iter().map(point).collect();
            points.sort_unstable();
            Hull::of(&points)
        };
        let mut clock = Self {
            forward: hull(|one| (one.sent_ns, one.forward_ns)),
            reverse: hull(|one| (one.arrived_ns, one.reverse_ns)),
            claim,
            start_ns: exchanges.first().map_or(0, |one| one.sent_ns),
            ..Self::default()
        };
        let stretch = steady(exchanges);
        clock.skew = if stretch.len() == exchanges.len() {
            clock.estimated_skew(stretch)
        } else {
            Self::of(stretch, None).skew
        };
        let least = |delay: fn(&Self, &Exchange) -> i64| {
            exchanges.iter().map(|one| delay(&clock, one)).min().unwrap_or_default()
        };
        clock.least = [least(Self::even_forward), least(Self::even_reverse)];
        clock
    }

    /// Returns by how much faster the far clock runs; `None` if the directions disagree, as after a
    /// change of the route, or if the variation of delays hides it.
    #[must_use]
    pub fn skew(&self) -> Option<f64> {
        self.skew
    }

    /// Returns whether the exchanges agree with the claim of both ends; `None` without one.
    #[must_use]
    pub fn is_claim_possible(&self) -> Option<bool> {
        let Claim { error_ns, ahead_ns } = self.claim?;
        let possible = |least: Option<i64>, ahead_ns: i64| {
            least.is_none_or(|ns| ns.saturating_sub(ahead_ns) >= -error_ns)
        };
        Some(possible(self.forward.min(), ahead_ns) && possible(self.reverse.min(), -ahead_ns))
    }

    /// Returns the bounds of the offset at a time of the near clock.
    #[must_use]
    pub fn offset(&self, time_ns: i64) -> Option<(i64, i64)> {
        let (low, high) = (self.reverse.at(time_ns)?.saturating_neg(), self.forward.at(time_ns)?);
        let Some(Claim { error_ns, ahead_ns }) = self.claim else { return Some((low, high)) };
        Some(match self.is_claim_possible() {
            Some(true) => (
                low.max(ahead_ns.saturating_sub(error_ns)),
                high.min(ahead_ns.saturating_add(error_ns)),
            ),
            _ => (low, high),
        })
    }

    /// Returns the bounds of a packet's delay to the far end.
    #[must_use]
    pub fn forward(&self, one: &Exchange) -> Option<(i64, i64)> {
        let (low, high) = self.offset(one.sent_ns)?;
        Some((one.forward_ns.saturating_sub(high), one.forward_ns.saturating_sub(low)))
    }

    /// Returns the bounds of a reply's delay.
    #[must_use]
    pub fn reverse(&self, one: &Exchange) -> Option<(i64, i64)> {
        let (low, high) = self.offset(one.arrived_ns)?;
        Some((one.reverse_ns.saturating_add(low), one.reverse_ns.saturating_add(high)))
    }

    /// Returns the variation of both delays: each minus the least of its direction (RFC 5481 section
    /// 4.2), without the skew if it is known.
    #[must_use]
    pub fn variation(&self, one: &Exchange) -> [i64; 2] {
        let [forward, reverse] = self.least;
        let (there, back) = (self.even_forward(one), self.even_reverse(one));
        [there.saturating_sub(forward), back.saturating_sub(reverse)]
    }

    /// Returns the delay to the far end without the skew.
    fn even_forward(&self, one: &Exchange) -> i64 {
        one.forward_ns.saturating_sub(self.drift(one.sent_ns))
    }

    /// Returns the delay of the reply without the skew.
    fn even_reverse(&self, one: &Exchange) -> i64 {
        one.reverse_ns.saturating_add(self.drift(one.arrived_ns))
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an estimate; casts saturate"
    )]
    fn drift(&self, time_ns: i64) -> i64 {
        let since = time_ns.saturating_sub(self.start_ns) as f64;
        (self.skew.unwrap_or_default() * since).round() as i64
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
    fn estimated_skew(&self, exchanges: &[Exchange]) -> Option<f64> {
        let (first, last) = (self.forward.0.first()?.0, self.forward.0.last()?.0);
        if exchanges.len() < FOR_SKEW || first == last {
            return None;
        }
        let middle = first + (last - first) / 2;
        let (there, back) = (self.forward.slope(middle)?, self.reverse.slope(middle)?);
        let above = |hull: &Hull, point: fn(&Exchange) -> (i64, i64)| {
            let above = exchanges.iter().map(point).filter_map(|(x, y)| Some(y - hull.at(x)?));
            let mut above: Vec<_> = above.collect();
            let half = above.len() / 2;
            *above.select_nth_unstable(half).1 as f64
        };
        let spread = above(&self.forward, |one| (one.sent_ns, one.forward_ns))
            .max(above(&self.reverse, |one| (one.arrived_ns, one.reverse_ns)));
        let (tolerance, span) = (spread + NOISE_NS, (last - first) as f64);
        let agree = (there + back).abs() * span <= tolerance && tolerance / span <= MAX_DOUBT;
        agree.then_some((there - back) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use proptest::prelude::*;

    const SECOND: i64 = crate::NS_PER_SECOND;

    /// Exchanges over a path with these least delays, by clocks with this offset and skew, and the
    /// true delays.
    fn exchanges(
        count: i64,
        interval_ns: i64,
        least: [i64; 2],
        queue_ns: f64,
        (offset_ns, skew_ppm): (i64, i64),
        seed: u64,
    ) -> (Vec<Exchange>, Vec<[i64; 2]>) {
        let mut random = Random::new(Some(seed));
        #[expect(clippy::cast_possible_truncation, reason = "a test")]
        let mut queued = |least: i64| least + (-(1.0 - random.unit()).ln() * queue_ns) as i64;
        // Rounded down: the tests allow for it.
        let far = |at: i64| {
            at + offset_ns + i64::try_from(wide(at) * wide(skew_ppm) / 1_000_000).unwrap()
        };
        (0..count)
            .map(|number| {
                let (forward, reverse) = (queued(least[0]), queued(least[1]));
                let sent_ns = number * interval_ns;
                let (t2, t3) = (sent_ns + forward, sent_ns + forward + 10_000);
                let arrived_ns = t3 + reverse;
                let one = Exchange {
                    sent_ns,
                    arrived_ns,
                    forward_ns: far(t2) - sent_ns,
                    reverse_ns: arrived_ns - far(t3),
                };
                (one, [forward, reverse])
            })
            .unzip()
    }

    proptest! {
        #[test]
        fn bounds_contain_the_truth(
            count in 1..200_i64,
            interval_ns in 1000..SECOND,
            least in [0..50_000_000_i64, 0..50_000_000_i64],
            queue_ns in 0.0..2e7,
            offset_ns in -3600 * SECOND..3600 * SECOND,
            skew_ppm in -500..=500_i64,
            seed: u64,
        ) {
            let clocks = (offset_ns, skew_ppm);
            let (seen, truth) = exchanges(count, interval_ns, least, queue_ns, clocks, seed);
            let clock = Clock::of(&seen, None);
            // A delay by the far clock is up to 500 ppm off, and each conversion rounds.
            let error = |ns: i64| ns / 2000 + 3;
            for (one, [forward, reverse]) in seen.iter().zip(truth) {
                let (low, high) = clock.forward(one).unwrap();
                prop_assert!(low - error(forward) <= forward && forward <= high + error(forward));
                let (low, high) = clock.reverse(one).unwrap();
                prop_assert!(low - error(reverse) <= reverse && reverse <= high + error(reverse));
                prop_assert!(clock.variation(one).iter().all(|ns| *ns >= 0));
            }
        }

        #[test]
        fn a_hull_is_below_its_points(
            mut points in prop::collection::vec((-1000..1000_i64, any::<i32>()), 1..50),
        ) {
            points.sort_unstable();
            let points: Vec<_> = points.iter().map(|(x, y)| (*x, i64::from(*y))).collect();
            let hull = Hull::of(&points);
            for (x, y) in &points {
                prop_assert!(hull.at(*x).unwrap() <= *y);
            }
            prop_assert_eq!(hull.min(), points.iter().map(|point| point.1).min());
        }
    }

    #[test]
    fn the_width_of_the_bounds_is_the_least_round_trip() {
        let least = [10_000_000, 14_000_000];
        let (seen, _) = exchanges(1000, SECOND / 10, least, 1e6, (5 * SECOND, 0), 1);
        let (low, high) = Clock::of(&seen, None).offset(50 * SECOND).unwrap();
        assert!((24_000_000..24_200_000).contains(&(high - low)), "{}", high - low);
        assert!((low..=high).contains(&(5 * SECOND)));
        let middle = i64::midpoint(low, high) - 5 * SECOND;
        assert!((-2_100_000..-1_900_000).contains(&middle), "half of the asymmetry");
    }

    #[test]
    fn the_skew_is_found() {
        for seed in 0..20 {
            let least = [10_000_000, 14_000_000];
            let (seen, _) = exchanges(6000, SECOND / 10, least, 1e6, (0, 37), seed);
            let skew = Clock::of(&seen, None).skew().unwrap() * 1e6;
            assert!((skew - 37.0).abs() < 0.1, "{skew}");
        }
    }

    #[test]
    fn a_change_of_route_is_no_step_of_the_clock_and_no_skew() {
        for seed in 0..20 {
            for (there, back) in [(5_000_000, 0), (0, -5_000_000), (3_000_000, 3_000_000)] {
                let clocks = (0, 37);
                let (mut seen, _) =
                    exchanges(6000, SECOND / 10, [10_000_000; 2], 1e6, clocks, seed);
                for one in &mut seen[3010..] {
                    one.forward_ns += there;
                    one.reverse_ns += back;
                    one.arrived_ns += there + back;
                }
                let found = steps(&seen);
                assert!(matches!(found[..], [(_, Step::Route(_))]), "{found:?}");
                assert!(found[0].0.contains(&3010), "{found:?}");
                let skew = Clock::of(&seen, None).skew().unwrap() * 1e6;
                assert!((skew - 37.0).abs() < 0.2, "{skew}");
            }
        }
    }

    #[test]
    fn a_route_may_change_soon_again() {
        for windows in 3..12 {
            let count = 40 * i64::try_from(WINDOW).unwrap();
            let (mut seen, _) = exchanges(count, SECOND, [10_000_000; 2], 1e5, (0, 0), 1);
            for change in [2 * WINDOW, (2 + windows) * WINDOW] {
                for one in &mut seen[change..] {
                    one.forward_ns += 5_000_000;
                }
            }
            let longest = steady(&seen).len();
            assert!((20 * WINDOW + 1..seen.len()).contains(&longest), "{longest}");
        }
    }

    #[test]
    fn a_step_of_the_clock_is_no_change_of_route() {
        for seed in 0..20 {
            for by in [-4_000_000, 4_000_000] {
                let (mut seen, _) =
                    exchanges(3000, SECOND / 10, [10_000_000; 2], 1e6, (0, 37), seed);
                for one in &mut seen[1500..] {
                    one.forward_ns += by;
                    one.reverse_ns -= by;
                }
                let found = steps(&seen);
                let [(range, Step::Clock(found))] = &found[..] else { panic!("{found:?}") };
                assert!(range.contains(&1500) && (found - by).abs() < 300_000, "{found}");
            }
        }
    }

    #[test]
    fn queues_make_no_steps() {
        for seed in 0..50 {
            let (seen, _) = exchanges(5000, SECOND / 100, [10_000_000; 2], 5e6, (0, 100), seed);
            assert_eq!(steps(&seen), []);
        }
        assert_eq!(steps(&[]), []);
    }

    #[test]
    fn a_claim_narrows_the_bounds_or_is_refuted() {
        let (seen, _) = exchanges(100, SECOND, [10_000_000; 2], 1e6, (100_000, 0), 1);
        let claim = |error_ns, ahead_ns| Some(Claim { error_ns, ahead_ns });
        let good = Clock::of(&seen, claim(200_000, 0));
        assert_eq!(good.is_claim_possible(), Some(true));
        assert_eq!(good.offset(SECOND), Some((-200_000, 200_000)));
        for ahead_ns in [-37 * SECOND, 37 * SECOND] {
            let wrong = Clock::of(&seen, claim(200_000, ahead_ns));
            assert_eq!(wrong.is_claim_possible(), Some(false));
            assert_eq!(wrong.offset(SECOND), Clock::of(&seen, None).offset(SECOND));
        }
    }

    #[test]
    fn nothing_is_known_without_exchanges() {
        let clock = Clock::of(&[], None);
        assert_eq!((clock.offset(0), clock.skew(), clock.is_claim_possible()), (None, None, None));
    }
}
