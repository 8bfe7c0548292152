//! Pauses of this process.

use std::ops::AddAssign;

use crate::PAUSE_NS;
use crate::packed::{Packed, Reader};

/// Times in which this process did not run although it had work: it was stopped, suspended or
/// starved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pauses {
    /// The number of pauses.
    pub count: u64,
    /// Their sum, each from the first event that had to wait.
    pub total_ns: i64,
    /// The end of the last one.
    until_ns: Option<i64>,
}

impl Pauses {
    /// Records that an event due at `due_ns` was handled at `now_ns`. Returns whether a pause lay
    /// between; all events of a pause count once.
    pub(super) fn observe(&mut self, due_ns: i64, now_ns: i64) -> bool {
        let paused = now_ns.saturating_sub(due_ns) > PAUSE_NS;
        if paused {
            self.count += u64::from(self.until_ns.is_none_or(|until_ns| due_ns > until_ns));
            let from_ns = self.until_ns.map_or(due_ns, |until_ns| until_ns.max(due_ns));
            self.total_ns = self.total_ns.saturating_add(now_ns.saturating_sub(from_ns).max(0));
            self.until_ns = Some(now_ns);
        }
        paused
    }

    /// Ends the session.
    pub(super) fn end(&mut self) {
        self.until_ns = None;
    }
}

impl Packed for Pauses {
    fn pack(&self, out: &mut Vec<u8>) {
        self.count.pack(out);
        self.total_ns.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { count: from.read()?, total_ns: from.read()?, until_ns: None })
    }
}

impl AddAssign<&Self> for Pauses {
    fn add_assign(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_one_pause_count_once() {
        let ms = 1_000_000;
        let mut pauses = Pauses::default();
        assert!(!pauses.observe(1000 * ms, 1250 * ms));
        for (due, now) in [(1300, 4000), (1100, 4000), (2000, 4001), (5000, 5300), (6000, 6001)] {
            assert_eq!(pauses.observe(due * ms, now * ms), due < 6000);
        }
        assert_eq!((pauses.count, pauses.total_ns), (2, (2700 + 1 + 300) * ms));
    }
}
