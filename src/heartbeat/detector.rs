//! Seven failure detectors from the literature behind one interface.
//!
//! When a beat arrives, each returns a straight line: the timeout, counted from that arrival, is
//! `base + level * unit`. The level is the detector's own parameter; there is one for suspect and
//! one for down. Deadlines are therefore known in advance and never polled for.

use std::f64::consts::{LN_10, PI};

use crate::{Error, Result};

/// Kind of failure detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fixed timeout; the level is in seconds.
    Fixed,
    /// A multiple of the client's interval, declared or learned.
    Multiple,
    /// Expected arrivals over a long memory (Chen, Toueg, Aguilera: "On the quality of service of
    /// failure detectors", 2002, NFD-E); the level is the margin in intervals. An exponential
    /// average stands in for the window of 1000 beats. The arrival expected one interval after the
    /// last moves by at most an interval.
    Chen,
    /// The later of the last arrival and Chen's expected one (Tomsic et al., IPDPS 2015, 2W-FD);
    /// the level is the margin in intervals.
    TwoWindow,
    /// Chen's expected arrival and Jacobson's margin (Bertier, Marin, Sens: "Implementation and
    /// performance evaluation of an adaptable failure detector", DSN 2002); the level is its phi.
    Bertier,
    /// phi accrual over normal gaps (Hayashibara et al.: "The phi accrual failure detector", SRDS
    /// 2004); the level is phi, minus log10 of the probability that a live client is silent this
    /// long.
    Phi,
    /// phi accrual over exponential gaps, as in Cassandra; the level is silence / mean / ln 10.
    PhiExp,
}

impl Kind {
    /// All kinds with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("fixed", Self::Fixed),
        ("multiple", Self::Multiple),
        ("chen", Self::Chen),
        ("two_window", Self::TwoWindow),
        ("bertier", Self::Bertier),
        ("phi", Self::Phi),
        ("phi_exp", Self::PhiExp),
    ];

    /// Returns the default levels for suspect and down.
    #[must_use]
    pub fn default_levels(self) -> (f64, f64) {
        match self {
            // In seconds or in intervals.
            Self::Fixed | Self::Multiple | Self::Chen | Self::TwoWindow => (3.0, 5.0),
            Self::Bertier => (4.0, 8.0),
            Self::Phi => (8.0, 16.0),
            // 3 and 5 mean gaps.
            Self::PhiExp => (3.0 / LN_10, 5.0 / LN_10),
        }
    }
}

/// A failure detector with its two levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detector {
    kind: Kind,
    /// Levels, in units of the line.
    suspect: f64,
    down: f64,
}

/// A detector's memory of one client's gaps, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Number of gaps observed, at most `MEMORY`.
    count: f32,
    /// Expected arrival of the next beat minus one interval after the last (Chen), or the mean gap
    /// (phi).
    center: f32,
    /// Bertier's delay, or the variance of the gaps in intervals squared.
    spread: f32,
    /// Bertier's var.
    error: f32,
}

/// Timeout that a client asks for, instead of the detector's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    /// Intervals.
    pub(super) multiplier: f64,
    /// Time in addition.
    pub(super) grace_ns: i64,
}

/// Gap between two new beats.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// Time between the two arrivals.
    pub ns: i64,
    /// Difference of the sequence numbers; 1 if there are none.
    pub steps: u64,
    /// The client's interval.
    pub interval_ns: i64,
}

/// Timeout as a linear function of the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Timeout at level 0.
    pub base_ns: f64,
    /// Timeout added per level.
    pub unit_ns: f64,
}

impl Line {
    /// Returns the timeout at `level`, never negative.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "float casts saturate")]
    pub fn timeout_ns(self, level: f64) -> i64 {
        (level * self.unit_ns + self.base_ns).max(0.0) as i64
    }
}

/// The memory of Chen and phi, in beats.
const MEMORY: f32 = 1000.0;
/// Bertier's gamma and beta.
const GAMMA: f32 = 0.1;
/// Least deviation of the gaps, in intervals: a host's timers vary by this much.
const LEAST_DEVIATION: f64 = 0.25;

impl Detector {
    /// Creates a detector with the given levels for suspect and down.
    ///
    /// # Errors
    /// [`Error::Argument`] if a level is not finite or not above 0, or if `suspect` is above
    /// `down`.
    pub fn new(kind: Kind, suspect: f64, down: f64) -> Result<Self> {
        for (name, level) in [("down", down), ("suspect", suspect)] {
            if !(level.is_finite() && level > 0.0) {
                return Err(Error::number(name, level, "a finite number above 0"));
            }
        }
        if suspect > down {
            return Err(Error::argument(
                "suspect",
                suspect,
                format!("at most down, which is {down}"),
            ));
        }
        let unit = |level: f64| match kind {
            Kind::Phi => deviations(level),
            Kind::PhiExp => level * LN_10,
            _ => level,
        };
        Ok(Self { kind, suspect: unit(suspect), down: unit(down) })
    }

    /// Creates a detector with the default levels of `kind`.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the defaults are in order")]
    pub fn of(kind: Kind) -> Self {
        let (suspect, down) = kind.default_levels();
        Self::new(kind, suspect, down).expect("the defaults are in order")
    }

    /// Creates the lab's detector, which marks a client down after a silence of `timeout_ns`
    /// without suspecting it first.
    #[must_use]
    pub fn fixed(timeout_ns: i64) -> Self {
        let seconds = crate::seconds(timeout_ns);
        Self { kind: Kind::Fixed, suspect: seconds, down: seconds }
    }

    /// Returns whether it suspects a client before it marks it down.
    pub(super) fn doubts(&self) -> bool {
        self.suspect < self.down
    }

    /// Returns the kind of detector.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether it needs an [`Estimate`] of each client.
    pub(super) fn remembers(&self) -> bool {
        !matches!(self.kind, Kind::Fixed | Kind::Multiple)
    }

    /// Returns the timeouts for suspect and down, counted from the last arrival.
    #[must_use]
    pub fn timeouts_ns(&self, estimate: &Estimate, interval_ns: i64) -> (i64, i64) {
        let line = self.line(estimate, interval_ns);
        (line.timeout_ns(self.suspect), line.timeout_ns(self.down))
    }

    /// Returns the timeouts that a client asks for: down after `multiplier` intervals and a grace.
    /// Beyond the interval, it is suspected after the same share of that time as usual.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
    pub(super) fn asked_timeouts_ns(&self, asked: Asked, interval_ns: i64) -> (i64, i64) {
        let intervals = Line { base_ns: 0.0, unit_ns: interval_ns as f64 };
        let down_ns = intervals.timeout_ns(asked.multiplier).saturating_add(asked.grace_ns);
        let beyond = Line { base_ns: 0.0, unit_ns: down_ns.saturating_sub(interval_ns) as f64 };
        let suspect_ns = beyond.timeout_ns(self.suspect / self.down).saturating_add(interval_ns);
        (suspect_ns.min(down_ns), down_ns)
    }

    /// Returns the timeout as a function of the level.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
    pub fn line(&self, estimate: &Estimate, interval_ns: i64) -> Line {
        let interval = interval_ns as f64;
        let Estimate { count, center, spread, error } = *estimate;
        let (center, spread, error) = (f64::from(center), f64::from(spread), f64::from(error));
        // Gaps shorter than the interval promise nothing about the next one.
        let mean = if count > 0.0 { center.max(interval) } else { interval };
        let (base_ns, unit_ns) = match self.kind {
            Kind::Fixed => (0.0, 1e9),
            Kind::Multiple => (0.0, interval),
            Kind::Chen => (center, interval),
            Kind::TwoWindow => (center.max(0.0), interval),
            // With a smaller margin, timer jitter alone would end in suspicion on a perfect
            // network.
            Kind::Bertier => {
                // After early beats the next one may be late.
                let expected = (center + spread).max(-interval / 2.0);
                (interval + expected, error.max(LEAST_DEVIATION * interval))
            }
            Kind::Phi => {
                let deviation = spread.max(0.0).sqrt().max(LEAST_DEVIATION);
                (mean, deviation * interval)
            }
            Kind::PhiExp => (0.0, mean),
        };
        Line { base_ns, unit_ns }
    }

    /// Updates `estimate` with a gap.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate")]
    pub fn observe(&self, estimate: &mut Estimate, gap: Gap) {
        let Estimate { count, center, spread, error } = estimate;
        let interval = gap.interval_ns as f32;
        let gap_ns = gap.ns as f32;
        *count = (*count + 1.0).min(MEMORY);
        let weight = 1.0 / *count;
        match self.kind {
            Kind::Fixed | Kind::Multiple => {}
            Kind::Chen | Kind::TwoWindow | Kind::Bertier => {
                // Lost beats move the expected arrival by whole intervals.
                let wrong =
                    (gap.ns as f64 - gap.steps as f64 * gap.interval_ns as f64) as f32 - *center;
                // An interval that is not exactly the client's moves the expected arrival with each
                // beat: bound it to one interval.
                *center = (-(1.0 - weight) * wrong).clamp(-interval, interval);
                let surprise = wrong - *spread;
                *spread += GAMMA * surprise;
                *error += GAMMA * (surprise.abs() - *error);
            }
            Kind::Phi | Kind::PhiExp => {
                let step = gap_ns - *center;
                *center += weight * step;
                let left = gap_ns - *center;
                *spread += weight * (step / interval * (left / interval) - *spread);
            }
        }
    }
}

/// Returns minus log10 of the probability that a normal value lies more than `y` deviations above
/// its mean.
///
/// Above 2 deviations, by Laplace's continued fraction of the tail in log space, which never
/// becomes infinite (Abramowitz and Stegun 26.2.14); below, by integrating the density.
fn phi(y: f64) -> f64 {
    let log_density = |y: f64| -0.5 * y * y - 0.5 * (2.0 * PI).ln();
    if y >= 2.0 {
        let fraction = (1..=60).rev().fold(y, |below, k| y + f64::from(k) / below);
        return (fraction.ln() - log_density(y)) / LN_10;
    }
    if y < -2.0 {
        // The two tails add up to 1.
        return -(-10_f64.powf(-phi(-y))).ln_1p() / LN_10;
    }
    // Simpson's rule from y to 2, plus the tail beyond 2.
    let steps = 200;
    let width = (2.0 - y) / f64::from(steps);
    let sum: f64 = (0..=steps)
        .map(|k| {
            let weight = if k == 0 || k == steps { 1.0 } else { f64::from(2 + 2 * (k % 2)) };
            weight * log_density(f64::from(k).mul_add(width, y)).exp()
        })
        .sum();
    -(sum * width / 3.0 + 10_f64.powf(-phi(2.0))).log10()
}

/// Returns the number of deviations at which [`phi`] reaches `threshold`, which is above 0.
fn deviations(threshold: f64) -> f64 {
    let (mut low, mut high) = (-8.0, (2.0 * LN_10 * threshold).sqrt() + 1.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if phi(middle) < threshold { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "estimates")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = crate::NS_PER_SECOND;

    fn after(kind: Kind, gaps: &[(i64, u64)]) -> (i64, i64) {
        let detector = Detector::of(kind);
        let mut estimate = Estimate::default();
        for &(ns, steps) in gaps {
            detector.observe(&mut estimate, Gap { ns, steps, interval_ns: SECOND });
        }
        detector.timeouts_ns(&estimate, SECOND)
    }

    #[track_caller]
    fn assert_near(value: f64, expected: f64, relative: f64) {
        assert!((value - expected).abs() <= relative * expected.abs(), "{value}, not {expected}");
    }

    #[test]
    fn steady_beats_give_the_nominal_timeouts() {
        let steady = [(SECOND, 1); 50];
        for kind in [Kind::Fixed, Kind::Multiple, Kind::Chen, Kind::TwoWindow, Kind::PhiExp] {
            let (suspect, down) = after(kind, &steady);
            assert_near(suspect as f64, 3e9, 1e-6);
            assert_near(down as f64, 5e9, 1e-6);
        }
        // One interval and 5.612 least deviations.
        assert_near(after(Kind::Phi, &steady).0 as f64, 1e9 + 5.612 * 0.25e9, 1e-3);
        assert_near(after(Kind::Bertier, &steady).0 as f64, 2e9, 1e-3);
    }

    #[test]
    fn chen_expects_the_mean_arrival_and_is_not_misled_by_loss() {
        // Every other beat is 0.2 s late: after a late one the next is expected sooner.
        let gaps: Vec<_> =
            (0..1000).map(|k| (SECOND + if k % 2 == 0 { 1 } else { -1 } * SECOND / 5, 1)).collect();
        assert_near(after(Kind::Chen, &gaps[..999]).1 as f64, 4.9e9, 0.01);
        assert_near(after(Kind::Chen, &gaps).1 as f64, 5.1e9, 0.01);
        assert_near(after(Kind::TwoWindow, &gaps[..999]).1 as f64, 5e9, 0.01);
        assert_near(after(Kind::Chen, &[(SECOND, 1), (4 * SECOND, 4)]).1 as f64, 5e9, 1e-6);
    }

    #[test]
    fn phi_is_exact_even_in_the_far_tail() {
        // -log10 of the normal tail, from tables.
        for (y, expected) in [
            (1.0, 0.79955),
            (3.0, 2.8697),
            (5.0, 6.5426),
            (8.0, 15.2061),
            (22.0, 106.84),
            (40.0, 349.43),
        ] {
            assert_near(phi(y), expected, 1e-4);
        }
        assert!(phi(1e6).is_finite() && phi(-1e9) >= 0.0);
        assert_near(deviations(8.0), 5.6120, 1e-4);
    }

    #[test]
    fn invalid_levels_are_rejected() {
        for (suspect, down) in [(0.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY), (5.0, 3.0)] {
            assert!(Detector::new(Kind::Multiple, suspect, down).is_err());
        }
    }

    proptest! {
        #[test]
        fn timeouts_are_finite_and_ordered_for_any_gaps(
            gaps in prop::collection::vec((0..i64::MAX / 4, 1..1000_u64), 0..50),
            interval_ns in 1..i64::MAX / 4,
        ) {
            for (_, kind) in Kind::ALL {
                let detector = Detector::of(kind);
                let mut estimate = Estimate::default();
                for &(ns, steps) in &gaps {
                    detector.observe(&mut estimate, Gap { ns, steps, interval_ns });
                    let (suspect, down) = detector.timeouts_ns(&estimate, interval_ns);
                    prop_assert!(0 <= suspect && suspect <= down, "{kind:?}");
                }
            }
        }

        #[test]
        fn phi_rises_with_silence(y in -10.0..100.0_f64) {
            prop_assert!(phi(y + 0.1) >= phi(y));
        }
    }
}
