//! Times as pairs of a monotonic and a wall clock, in nanoseconds.

use std::sync::Arc;

/// Nanoseconds in a second.
pub const NS_PER_SECOND: i64 = 1_000_000_000;

/// Delay of a due event beyond which we assume that this process was paused.
pub(crate) const PAUSE_NS: i64 = 250_000_000;

/// One moment on two clocks: the monotonic one for durations, the wall clock for people and other
/// hosts. Round-trip times never use the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds of a clock that never steps, from an arbitrary origin.
    pub mono_ns: i64,
    /// Nanoseconds since the Unix epoch.
    pub wall_ns: i64,
}

impl Stamp {
    /// Returns the moment at `mono_ns`, if the wall clock does not step in between.
    #[must_use]
    pub(crate) fn moved_to(self, mono_ns: i64) -> Self {
        let by_ns = mono_ns.saturating_sub(self.mono_ns);
        Self { mono_ns, wall_ns: self.wall_ns.saturating_add(by_ns) }
    }
}

/// The offsets of a local time from UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone(Arc<[(i64, i64)]>);

impl Zone {
    /// Creates a zone whose offset changes at moments in nanoseconds since the Unix epoch, given in
    /// order, each with the offset from then on. The first offset also holds before its moment.
    #[must_use]
    pub fn new(changes: impl Into<Arc<[(i64, i64)]>>) -> Self {
        Self(changes.into())
    }

    /// Returns local time minus UTC at a moment.
    #[must_use]
    pub fn offset_ns(&self, wall_ns: i64) -> i64 {
        let passed = self.0.partition_point(|(from_ns, _)| *from_ns <= wall_ns);
        self.0.get(passed.saturating_sub(1)).map_or(0, |(_, offset_ns)| *offset_ns)
    }
}

/// Converts seconds to nanoseconds; `None` if the result is not a finite `i64`.
#[must_use]
pub fn nanoseconds(seconds: f64) -> Option<i64> {
    let ns = (seconds * 1e9).round();
    // 2^63 is the first value that does not fit.
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    (ns.abs() < 9_223_372_036_854_775_808.0).then_some(ns as i64)
}

/// Converts nanoseconds to seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a double holds 104 days to the nanosecond")]
pub fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_zone_changes() {
        let zone = Zone::new([(100, 3600), (200, 7200)]);
        assert_eq!([i64::MIN, 99, 199, 200].map(|at| zone.offset_ns(at)), [3600, 3600, 3600, 7200]);
        assert_eq!(Zone::default().offset_ns(5), 0);
    }

    #[test]
    fn seconds_and_nanoseconds_are_inverse() {
        assert_eq!(nanoseconds(1.5), Some(1_500_000_000));
        assert!((seconds(1_500_000_000) - 1.5).abs() < f64::EPSILON);
        assert_eq!(nanoseconds(-0.25), Some(-250_000_000));
    }

    #[test]
    fn out_of_range_values_are_none() {
        for value in [f64::NAN, f64::INFINITY, 1e300, 9.3e9] {
            assert_eq!(nanoseconds(value), None, "{value}");
        }
    }
}
