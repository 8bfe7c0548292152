//! Conversions of the Linux kernel's times.

use nix::sys::time::TimeSpec;

use crate::{NS_PER_SECOND, Stamp};

/// Converts a wait of any length; nix rejects the longest.
pub(super) fn timespec(ns: i64) -> TimeSpec {
    TimeSpec::new(ns / NS_PER_SECOND, ns % NS_PER_SECOND)
}

/// Converts a kernel timestamp, saturating.
pub(super) fn nanoseconds(at: TimeSpec) -> i64 {
    at.tv_sec().saturating_mul(NS_PER_SECOND).saturating_add(at.tv_nsec())
}

/// Converts a recent wall-clock timestamp to monotonic time.
pub(super) fn monotonic(at: Stamp, wall_ns: i64) -> i64 {
    at.mono_ns.saturating_sub(at.wall_ns.saturating_sub(wall_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_converted() {
        let longest = timespec(i64::MAX);
        assert_eq!((longest.tv_sec(), longest.tv_nsec()), (9_223_372_036, 854_775_807));
    }
}
