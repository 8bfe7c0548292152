//! Packets under way.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use crate::impair::{CopyPlan, Passage};
use crate::path::fate::Damage;
use crate::{Headers, Local};

/// The size of an entry without its payload, in bytes.
const OVERHEAD: usize = size_of::<Entry>();

/// Packets ordered by due time, then by arrival; bounded in bytes.
#[derive(Debug)]
pub(super) struct DelayLine {
    entries: BinaryHeap<Reverse<Entry>>,
    came: u64,
    bytes: usize,
    capacity: usize,
}

/// A packet and when it is due.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) due_ns: i64,
    /// Its number among all that were added.
    pub(super) number: u64,
    pub(super) packet: Queued,
}

/// A packet that leaves later.
#[derive(Debug)]
pub(crate) struct Queued {
    /// The client.
    pub(crate) to: SocketAddr,
    /// The address of this host that the client knows, if there are several.
    pub(crate) from: Option<Local>,
    pub(crate) headers: Headers,
    pub(crate) payload: Box<[u8]>,
    /// The number of its client's session, for the owner of the paths.
    pub(crate) session: u32,
    /// The key of its fate.
    pub(super) fate: usize,
    pub(super) damage: Damage,
    /// The random decisions for the downlink, if it has not entered that yet.
    pub(super) ahead: Option<CopyPlan>,
    /// The passage of the link that it is in.
    pub(super) passage: Passage,
}

impl DelayLine {
    /// Creates a line that holds `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: BinaryHeap::new(), came: 0, bytes: 0, capacity }
    }

    /// Returns the number of packets.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether a payload of `length` fits.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.bytes + length + OVERHEAD <= self.capacity
    }

    /// Adds a packet, due when it leaves its link; the caller checks that it fits.
    pub(super) fn push(&mut self, packet: Queued) {
        let due_ns = packet.passage.out_ns;
        self.bytes += packet.payload.len() + OVERHEAD;
        self.entries.push(Reverse(Entry { due_ns, number: self.came, packet }));
        self.came += 1;
    }

    /// Returns when the next packet is due.
    pub(super) fn next_ns(&self) -> Option<i64> {
        self.entries.peek().map(|Reverse(entry)| entry.due_ns)
    }

    /// Removes the next packet that is due at `now_ns`.
    pub(super) fn pop(&mut self, now_ns: i64) -> Option<Queued> {
        if self.next_ns()? > now_ns {
            return None;
        }
        let Reverse(Entry { packet, .. }) = self.entries.pop()?;
        self.bytes -= packet.payload.len() + OVERHEAD;
        Some(packet)
    }
}

/// Calls `change` with the entries of several lines, which it may make due at other times.
pub(super) fn change(lines: &mut [DelayLine], change: impl FnOnce(Vec<&mut Entry>)) {
    let mut entries: Vec<_> =
        lines.iter_mut().map(|line| std::mem::take(&mut line.entries).into_vec()).collect();
    change(entries.iter_mut().flatten().map(|Reverse(entry)| entry).collect());
    for (line, entries) in lines.iter_mut().zip(entries) {
        line.entries = entries.into();
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due_ns, self.number).cmp(&(other.due_ns, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn push(line: &mut DelayLine, due_ns: i64, length: usize, fate: usize) {
        let (to, payload) = ("127.0.0.1:1".parse().unwrap(), vec![0; length].into());
        let damage = Damage::default();
        let passage = Passage { out_ns: due_ns, ..Passage::default() };
        let headers = Headers::default();
        line.push(Queued {
            to,
            from: None,
            headers,
            payload,
            session: 0,
            fate,
            damage,
            ahead: None,
            passage,
        });
    }

    #[test]
    fn a_full_line_has_room_after_a_departure() {
        let mut line = DelayLine::new(2 * OVERHEAD + 10);
        push(&mut line, 5, 7, 0);
        assert!(line.has_room(3) && !line.has_room(4));
        push(&mut line, 6, 3, 1);
        assert!(!line.has_room(0));
        assert!(line.pop(4).is_none());
        assert_eq!(line.pop(5).unwrap().fate, 0);
        assert!(line.has_room(7));
    }

    proptest! {
        #[test]
        fn packets_leave_when_due_and_in_order(dues in prop::collection::vec(0..20_i64, 0..60)) {
            let mut line = DelayLine::new(1 << 20);
            for (fate, due_ns) in dues.iter().enumerate() {
                push(&mut line, *due_ns, 1, fate);
            }
            let mut expected: Vec<_> = dues.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            let mut left = Vec::new();
            for now_ns in 0..20 {
                while let Some(packet) = line.pop(now_ns) {
                    left.push((now_ns, packet.fate));
                }
            }
            prop_assert_eq!(left, expected);
            prop_assert_eq!(line.bytes, 0);
        }
    }
}
