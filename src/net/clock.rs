//! The system's clocks.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::Stamp;

/// Reads both clocks. The monotonic one counts from its first reading in this process.
#[must_use]
pub fn now() -> Stamp {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let mono = ORIGIN.get_or_init(Instant::now).elapsed().as_nanos();
    let wall_ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => saturate(since.as_nanos()),
        Err(before) => -saturate(before.duration().as_nanos()),
    };
    Stamp { mono_ns: saturate(mono), wall_ns }
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
}
