//! Pauses of this process.

use std::ops::AddAssign;

use crate::PAUSE_NS;
use crate::packed::{Packed, Reader};
use crate::ping::{Blank, Rare};

/// The number of recent pauses that a report lists.
const LISTED: usize = 1000;

/// A time in which this process did not run although it had work: it was stopped, suspended or
/// starved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When the first event was due that had to wait.
    pub start_ns: i64,
    /// When the last event was handled that had to wait.
    pub end_ns: i64,
}

/// All pauses of a session, and the last of them as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// The number of pauses.
    pub count: u64,
    /// The sum of their durations.
    pub total_ns: i64,
    /// The last ones: of a running session on its monotonic clock, of a report since the Unix epoch.
    pub listed: Vec<Pause>,
}

impl Blank for Pauses {
    fn blank() -> &'static Self {
        const { &Self { count: 0, total_ns: 0, listed: Vec::new() } }
    }
}

impl Rare<Pauses> {
    /// Records an event like [`Pauses::observe`].
    pub(super) fn observe(&mut self, due_ns: i64, now_ns: i64) -> bool {
        is_pause(due_ns, now_ns) && self.make().observe(due_ns, now_ns)
    }
}

/// Returns whether an event due at `due_ns` that was handled at `now_ns` had to wait for a pause.
fn is_pause(due_ns: i64, now_ns: i64) -> bool {
    now_ns.saturating_sub(due_ns) > PAUSE_NS
}

impl Pauses {
    /// Records that an event due at `due_ns` was handled at `now_ns`. Returns whether a pause lay
    /// between; all events of a pause count once.
    pub(super) fn observe(&mut self, due_ns: i64, now_ns: i64) -> bool {
        if !is_pause(due_ns, now_ns) {
            return false;
        }
        let mut from_ns = due_ns;
        if let Some(last) = self.listed.last_mut().filter(|last| due_ns <= last.end_ns) {
            from_ns = last.end_ns;
            last.end_ns = last.end_ns.max(now_ns);
        } else {
            self.count += 1;
            self.listed.push(Pause { start_ns: due_ns, end_ns: now_ns });
            self.forget();
        }
        self.total_ns = self.total_ns.saturating_add(now_ns.saturating_sub(from_ns).max(0));
        true
    }

    /// Moves the list to another clock, which is ahead by `ns`.
    pub(super) fn shift(&mut self, ns: i64) {
        for pause in &mut self.listed {
            pause.start_ns = pause.start_ns.saturating_add(ns);
            pause.end_ns = pause.end_ns.saturating_add(ns);
        }
    }

    fn forget(&mut self) {
        let surplus = self.listed.len().saturating_sub(LISTED);
        self.listed.drain(..surplus);
    }
}

impl Packed for Pause {
    fn pack(&self, out: &mut Vec<u8>) {
        self.start_ns.pack(out);
        self.end_ns.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { start_ns: from.read()?, end_ns: from.read()? })
    }
}

impl Packed for Pauses {
    fn pack(&self, out: &mut Vec<u8>) {
        self.count.pack(out);
        self.total_ns.pack(out);
        self.listed.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (count, total_ns, listed) = (from.read()?, from.read()?, from.read::<Vec<Pause>>()?);
        let forward = listed.iter().all(|pause| pause.start_ns <= pause.end_ns);
        let sound = forward && listed.len() <= LISTED && listed.len() as u64 <= count;
        sound.then_some(Self { count, total_ns, listed })
    }
}

impl AddAssign<&Self> for Pauses {
    fn add_assign(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        self.listed.extend(&other.listed);
        self.listed.sort_by_key(|pause| pause.start_ns);
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{pack, unpack};

    #[test]
    fn the_events_of_one_pause_count_once() {
        let ms = 1_000_000;
        let mut pauses = Pauses::default();
        assert!(!pauses.observe(1000 * ms, 1250 * ms));
        for (due, now) in [(1300, 4000), (1100, 4000), (2000, 4001), (5000, 5300), (6000, 6001)] {
            assert_eq!(pauses.observe(due * ms, now * ms), due < 6000);
        }
        assert_eq!((pauses.count, pauses.total_ns), (2, (2700 + 1 + 300) * ms));
        pauses.shift(7 * ms);
        let of =
            |start: i64, end: i64| Pause { start_ns: (start + 7) * ms, end_ns: (end + 7) * ms };
        assert_eq!(pauses.listed, [of(1300, 4001), of(5000, 5300)]);
        assert_eq!(unpack(&pack(&pauses)), Some(pauses.clone()));
        pauses += &pauses.clone();
        assert_eq!((pauses.count, pauses.listed[1]), (4, pauses.listed[0]));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut pauses = Pauses::default();
        for second in 0..1500 {
            pauses.observe(second * 1_000_000_000, second * 1_000_000_000 + 300_000_000);
        }
        assert_eq!((pauses.count, pauses.listed.len()), (1500, LISTED));
        assert_eq!(pauses.listed[0].start_ns, 500_000_000_000);
    }
}
