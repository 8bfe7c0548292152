//! Datagrams to send, grouped so that the kernel takes many in one piece (GSO).

use std::io::{self, ErrorKind};
use std::iter;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Range;

use crate::Local;
use crate::net::socket::obstacle;
use crate::net::{MAX_BATCH, Unsent};

/// GSO limits: `UDP_MAX_SEGMENTS`, and the size of an IPv4 packet.
const MAX_SEGMENTS: usize = 64;
const MAX_BYTES: usize = 65_000;

/// Size of the hash table of destinations; a batch has far fewer, so that they seldom collide.
const SLOTS: usize = 2048;

/// A queue of datagrams to send. Their bytes lie in memory that the caller passes.
///
/// Successive datagrams to one destination form a group if their lengths are equal (the last may be
/// shorter). Datagrams to one destination keep their order.
#[derive(Debug)]
pub struct Outbox {
    /// In the order of sending.
    groups: Vec<Group>,
    pieces: Vec<Piece>,
    slots: Box<[Option<Index>]>,
    /// The group that the last datagram joined.
    latest: Option<Index>,
    grouping: bool,
}

/// The index of a group or piece, plus one, so that an optional one takes no more room.
type Index = NonZeroU32;

/// Adjacent bytes of a group.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    length: usize,
    /// The next piece of the group.
    next: Option<Index>,
}

/// Datagrams that one call can send in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) to: SocketAddr,
    pub(super) from: Option<Local>,
    /// The length of each datagram but the last.
    pub(super) segment: usize,
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// The number of places where they lie.
    pub(super) pieces: usize,
    /// The last datagram was shorter: nothing may follow it.
    closed: bool,
    first: Option<Index>,
    last: Option<Index>,
    slot: Option<u16>,
}

impl Group {
    /// Returns whether it has this destination and source. It takes references: a processor waits for
    /// a copy that is read in other parts than it was written in.
    fn is_for(&self, to: &SocketAddr, from: Option<&Local>) -> bool {
        self.to == *to && self.from.as_ref() == from
    }

    fn takes(&self, length: usize) -> bool {
        // GSO cannot carry empty segments.
        !self.closed
            && (1..=self.segment).contains(&length)
            && self.count < MAX_SEGMENTS
            && self.bytes + length <= MAX_BYTES
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            groups: Vec::with_capacity(MAX_BATCH),
            pieces: Vec::with_capacity(MAX_BATCH),
            slots: vec![None; SLOTS].into(),
            latest: None,
            grouping: true,
        }
    }
}

impl Outbox {
    /// Creates an outbox that sends each datagram by itself.
    #[must_use]
    pub fn ungrouped() -> Self {
        Self { grouping: false, ..Self::default() }
    }

    /// Adds the datagram in the range `at` of the memory.
    pub fn push(&mut self, to: SocketAddr, from: Option<Local>, at: Range<usize>) {
        let length = at.len();
        let index = match self.latest {
            _ if !self.grouping => self.open(to, from, length, None),
            // Usually datagrams to one destination come in a row.
            Some(index) if self.can_join(index, &to, from.as_ref(), length) => index,
            _ => match self.find(&to, from.as_ref()) {
                (_, Some(index)) if self.group(index).takes(length) => index,
                (slot, _) => self.open(to, from, length, slot),
            },
        };
        self.latest = Some(index);
        let pieces = &mut self.pieces;
        let group = &mut self.groups[place(index)];
        group.count += 1;
        group.bytes += length;
        group.closed = length < group.segment;
        if let Some(last) = group.last {
            let last = &mut pieces[place(last)];
            if last.start + last.length == at.start {
                last.length += length;
                return;
            }
        }
        group.pieces += 1;
        let next = following(pieces.len());
        pieces.push(Piece { start: at.start, length, next: None });
        match group.last.replace(next) {
            Some(last) => pieces[place(last)].next = Some(next),
            None => group.first = Some(next),
        }
    }

    /// Returns whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Sends each datagram by itself and empties the outbox. Reports each datagram that did not
    /// leave. Behind a blocked one none is tried: it could overtake one to the same destination.
    pub(super) fn send_each(
        &mut self,
        memory: &[u8],
        mut transmit: impl FnMut(SocketAddr, &[u8]) -> io::Result<()>,
        mut unsent: impl FnMut(Unsent),
    ) {
        let mut blocked = false;
        for (to, from, at) in self.each() {
            let sent = if blocked {
                Err(ErrorKind::WouldBlock.into())
            } else {
                transmit(to, &memory[at.clone()])
            };
            if let Err(error) = sent.map_err(|error| obstacle(&error)) {
                blocked |= error.is_none();
                unsent(Unsent { to, from, at, error });
            }
        }
        self.clear();
    }

    /// Reports each datagram as blocked and empties the outbox.
    pub fn drain(&mut self, mut unsent: impl FnMut(Unsent)) {
        for (to, from, at) in self.each() {
            unsent(Unsent { to, from, at, error: None });
        }
        self.clear();
    }

    /// Removes all datagrams.
    pub fn clear(&mut self) {
        for slot in self.groups.iter().filter_map(|group| group.slot) {
            self.slots[usize::from(slot)] = None;
        }
        self.latest = None;
        self.groups.clear();
        self.pieces.clear();
    }

    /// Stops grouping because the kernel refuses groups.
    #[cfg_attr(
        not(all(target_os = "linux", not(feature = "portable"))),
        expect(dead_code, reason = "only a kernel that takes groups can refuse them")
    )]
    pub(super) fn stop_grouping(&mut self) {
        self.grouping = false;
    }

    /// Returns the groups in the order of sending.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Returns the range in memory of each piece of a group.
    pub(super) fn pieces_of(&self, group: &Group) -> impl Iterator<Item = Range<usize>> {
        let piece = |index: Option<Index>| index.map(|index| self.pieces[place(index)]);
        iter::successors(piece(group.first), move |before| piece(before.next))
            .map(|Piece { start, length, .. }| start..start + length)
    }

    /// Returns the range in memory of each datagram of a group.
    pub(super) fn datagrams_of(&self, group: &Group) -> impl Iterator<Item = Range<usize>> {
        let segment = group.segment.max(1);
        self.pieces_of(group).flat_map(move |Range { start, end }| {
            let count = (end - start).div_ceil(segment).max(1);
            (0..count).map(move |i| start + i * segment..(start + (i + 1) * segment).min(end))
        })
    }

    /// Returns each datagram: its destination, its source and its range in memory.
    fn each(&self) -> impl Iterator<Item = (SocketAddr, Option<Local>, Range<usize>)> {
        self.groups()
            .iter()
            .flat_map(|group| self.datagrams_of(group).map(|at| (group.to, group.from, at)))
    }

    fn group(&self, index: Index) -> &Group {
        &self.groups[place(index)]
    }

    fn can_join(&self, index: Index, to: &SocketAddr, from: Option<&Local>, length: usize) -> bool {
        let group = self.group(index);
        group.takes(length) && group.is_for(to, from)
    }

    /// Returns the slot of a destination and its latest group.
    fn find(&self, to: &SocketAddr, from: Option<&Local>) -> (Option<u16>, Option<Index>) {
        let low = match to {
            SocketAddr::V4(to) => u32::from(*to.ip()),
            SocketAddr::V6(to) => {
                let [.., high, low] = to.ip().segments();
                u32::from(high) << 16 | u32::from(low)
            }
        };
        let port = u32::from(to.port());
        let home = (low ^ port << 16 ^ port).wrapping_mul(0x9E37_79B1) >> 16;
        for probe in 0..SLOTS {
            #[expect(clippy::cast_possible_truncation, reason = "there are few slots")]
            let slot = ((home as usize + probe) % SLOTS) as u16;
            match self.slots[usize::from(slot)] {
                None => return (Some(slot), None),
                Some(index) => {
                    let group = self.group(index);
                    if group.is_for(to, from) {
                        return (Some(slot), Some(index));
                    }
                }
            }
        }
        (None, None)
    }

    fn open(
        &mut self,
        to: SocketAddr,
        from: Option<Local>,
        segment: usize,
        slot: Option<u16>,
    ) -> Index {
        let index = following(self.groups.len());
        self.groups.push(Group {
            to,
            from,
            segment,
            count: 0,
            bytes: 0,
            pieces: 0,
            closed: false,
            first: None,
            last: None,
            slot,
        });
        if let Some(slot) = slot {
            self.slots[usize::from(slot)] = Some(index);
        }
        index
    }
}

/// Returns the index of the next entry of a list with `length` entries.
fn following(length: usize) -> Index {
    #[expect(clippy::cast_possible_truncation, reason = "an outbox holds a few thousand")]
    Index::MIN.saturating_add(length as u32)
}

fn place(index: Index) -> usize {
    index.get() as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer(number: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], number))
    }

    /// Returns the destination and the datagrams of each group, in the order of sending.
    fn sent(outbox: &Outbox) -> Vec<(u16, Vec<[usize; 2]>)> {
        let groups = outbox.groups().iter();
        groups
            .map(|group| {
                let datagrams = outbox.datagrams_of(group).map(|at| [at.start, at.end]).collect();
                (group.to.port(), datagrams)
            })
            .collect()
    }

    #[test]
    fn equal_lengths_and_a_shorter_last_are_one_group() {
        let mut outbox = Outbox::default();
        for at in [0..10, 10..20, 50..53, 60..70] {
            outbox.push(peer(1), None, at);
        }
        assert_eq!(sent(&outbox), [(1, vec![[0, 10], [10, 20], [50, 53]]), (1, vec![[60, 70]])]);
    }

    #[test]
    fn an_outbox_can_be_used_again() {
        let mut outbox = Outbox::default();
        outbox.push(peer(1), None, 0..4);
        outbox.clear();
        assert!(outbox.is_empty());
        outbox.push(peer(1), None, 4..8);
        assert_eq!(sent(&outbox), [(1, vec![[4, 8]])]);
    }

    #[test]
    fn nothing_overtakes_a_blocked_datagram() {
        let mut outbox = Outbox::default();
        for at in [0..2, 2..4, 4..6] {
            outbox.push(peer(1), None, at);
        }
        let mut errors =
            [io::Error::from_raw_os_error(1), ErrorKind::WouldBlock.into()].into_iter();
        let mut attempt = || errors.next().map_or(Ok(()), Err);
        let mut unsent = Vec::new();
        outbox.send_each(b"aabbcc", |_, _| attempt(), |one| unsent.push((one.at, one.error)));
        assert_eq!(unsent, [(0..2, Some(1)), (2..4, None), (4..6, None)]);
        assert!(outbox.is_empty());
    }

    proptest! {
        #[test]
        fn each_destination_gets_its_datagrams_in_order(
            pushes in prop::collection::vec((0..9_u16, 0..4_usize, 0..3_usize), 0..300),
        ) {
            let mut outbox = Outbox::default();
            let mut expected = vec![Vec::new(); 9];
            let mut start = 0;
            for (to, length, gap) in pushes {
                start += gap;
                outbox.push(peer(to), None, start..start + length);
                expected[usize::from(to)].push(start..start + length);
                start += length;
            }
            let mut got = vec![Vec::new(); 9];
            for group in outbox.groups() {
                let lengths: Vec<_> = outbox.datagrams_of(group).map(|at| at.len()).collect();
                prop_assert_eq!(lengths.len(), group.count);
                prop_assert!(lengths.len() <= MAX_SEGMENTS);
                let (last, rest) = lengths.split_last().unwrap();
                prop_assert!(rest.iter().all(|length| *length == group.segment && *length > 0));
                prop_assert!(*last <= group.segment);
                got[usize::from(group.to.port())].extend(outbox.datagrams_of(group));
            }
            prop_assert_eq!(got, expected);
        }
    }
}
