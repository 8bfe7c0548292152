//! Steps of the wall clock during a run.

use std::ops::AddAssign;

use crate::Stamp;
use crate::packed::{Packed, Reader};

/// The most that two readings of the clocks differ by without a step: slewing, or a thread stopped
/// between the readings of a pair.
const TOLERANCE_NS: u64 = 10_000_000;

/// Steps of the wall clock against the monotonic one. A step counts once two readings agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallSteps {
    /// The number of steps.
    pub count: u64,
    /// Their sum.
    pub total_ns: i64,
    ahead_ns: Option<i64>,
    suspect_ns: Option<i64>,
}

/// Returns whether the wall clock stepped between two moments.
pub(super) fn stepped(one: Stamp, other: Stamp) -> bool {
    ahead_ns(one).abs_diff(ahead_ns(other)) >= TOLERANCE_NS
}

fn ahead_ns(at: Stamp) -> i64 {
    at.wall_ns.wrapping_sub(at.mono_ns)
}

impl WallSteps {
    /// Adds a reading of both clocks.
    pub(super) fn observe(&mut self, at: Stamp) {
        let ahead_ns = ahead_ns(at);
        let near = |other: i64| ahead_ns.abs_diff(other) < TOLERANCE_NS;
        match (self.ahead_ns, self.suspect_ns) {
            (Some(known), _) if !near(known) => {
                if self.suspect_ns.is_some_and(near) {
                    self.count += 1;
                    self.total_ns = self.total_ns.saturating_add(ahead_ns.saturating_sub(known));
                    (self.ahead_ns, self.suspect_ns) = (Some(ahead_ns), None);
                } else {
                    self.suspect_ns = Some(ahead_ns);
                }
            }
            _ => (self.ahead_ns, self.suspect_ns) = (Some(ahead_ns), None),
        }
    }
}

impl WallSteps {
    /// Ends the session: drops the last readings.
    pub(super) fn end(&mut self) {
        (self.ahead_ns, self.suspect_ns) = (None, None);
    }
}

impl Packed for WallSteps {
    fn pack(&self, out: &mut Vec<u8>) {
        self.count.pack(out);
        self.total_ns.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (count, total_ns) = (from.read()?, from.read()?);
        Some(Self { count, total_ns, ..Self::default() })
    }
}

impl AddAssign<&Self> for WallSteps {
    fn add_assign(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = crate::NS_PER_SECOND;

    #[test]
    fn only_confirmed_steps_count() {
        let mut steps = WallSteps::default();
        for (second, wall_ns) in [
            (0, 0),
            (1, SECOND + 5_000_000),
            (2, 2 * SECOND + 9_000_000),
            (3, 3 * SECOND + 500_000_000), // the thread was stopped between the two clocks
            (4, 4 * SECOND),
            (5, 5 * SECOND - 3600 * SECOND),
            (6, 6 * SECOND - 3600 * SECOND),
            (7, 7 * SECOND - 3600 * SECOND),
        ] {
            steps.observe(Stamp { mono_ns: second * SECOND, wall_ns });
        }
        assert_eq!((steps.count, steps.total_ns), (1, -3600 * SECOND));
    }
}
