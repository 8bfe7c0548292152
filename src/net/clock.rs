//! The system's clocks.

#![expect(clippy::disallowed_methods, reason = "no other file reads a clock")]

use std::sync::OnceLock;
#[cfg(not(target_os = "linux"))]
use std::time::Instant;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
use nix::{
    sys::time::{TimeSpec, TimeValLike},
    time::{ClockId, clock_gettime},
};

use crate::Stamp;

/// Reads both clocks together. The monotonic one counts from its first reading in this process.
#[must_use]
pub fn now() -> Stamp {
    at_once(monotonic_ns, wall_ns)
}

/// Reads the wall clock between two close monotonic readings, so that the pair can be converted;
/// retries if preempted, and settles for the last try.
fn at_once(mut monotonic_ns: impl FnMut() -> i64, mut wall_ns: impl FnMut() -> i64) -> Stamp {
    const CLOSE_NS: i64 = 5000;
    const TRIES: u32 = 4;
    let mut stamp = Stamp::default();
    let mut before_ns = monotonic_ns();
    for _ in 0..TRIES {
        stamp = Stamp { mono_ns: before_ns, wall_ns: wall_ns() };
        before_ns = monotonic_ns();
        if before_ns - stamp.mono_ns < CLOSE_NS {
            break;
        }
    }
    stamp
}

/// Reads only the monotonic clock.
pub(super) fn monotonic_ns() -> i64 {
    static ORIGIN: OnceLock<i64> = OnceLock::new();
    let origin_ns = *ORIGIN.get_or_init(boot_ns);
    boot_ns() - origin_ns
}

/// Reads the clock that goes on while the host is suspended.
#[cfg(target_os = "linux")]
fn boot_ns() -> i64 {
    // It cannot fail: Linux has had this clock since 2.6.39.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap_or(TimeSpec::new(0, 0));
    time.num_nanoseconds()
}

/// Reads the monotonic clock, which may stand still while the host is suspended.
#[cfg(not(target_os = "linux"))]
fn boot_ns() -> i64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    saturate(ORIGIN.get_or_init(Instant::now).elapsed().as_nanos())
}

fn wall_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => saturate(since.as_nanos()),
        Err(before) => -saturate(before.duration().as_nanos()),
    }
}

fn saturate(ns: u128) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_steps_back() {
        let stamps: Vec<_> = (0..1000).map(|_| now().mono_ns).collect();
        assert!(stamps.is_sorted());
    }

    #[test]
    fn clocks_are_read_again_after_a_pause() {
        // The thread is stopped for 8 ms between the two clocks of the first reading.
        let (mut mono, mut wall) =
            ([0, 8_000_050, 8_000_100].into_iter(), [8_000_025, 8_000_075].into_iter());
        let stamp = at_once(|| mono.next().unwrap(), || wall.next().unwrap());
        assert_eq!(stamp, Stamp { mono_ns: 8_000_050, wall_ns: 8_000_075 });
        let mut ms = 0;
        let stopped_each_time = || {
            ms += 1;
            ms * 1_000_000
        };
        assert_eq!(at_once(stopped_each_time, || 7), Stamp { mono_ns: 4_000_000, wall_ns: 7 });
    }
}
