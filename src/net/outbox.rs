//! Datagrams to send, grouped so that the kernel takes many in one piece (GSO).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::Local;
use crate::net::Unsent;
use crate::net::socket::obstacle;

/// GSO limits: `UDP_MAX_SEGMENTS`, and the size of an IPv4 packet.
const MAX_SEGMENTS: usize = 64;
const MAX_BYTES: usize = 65_000;

/// Size of the hash table of destinations; a batch has fewer.
const SLOTS: usize = 512;

/// A queue of datagrams to send. Their bytes lie in memory that the caller passes.
///
/// Successive datagrams to one destination form a group if their lengths are equal (the last may be
/// shorter). Datagrams to one destination keep their order.
#[derive(Debug)]
pub struct Outbox {
    groups: Vec<Group>,
    pieces: Vec<Piece>,
    slots: Box<[Option<u32>]>,
    /// The group that the last datagram joined.
    latest: Option<u32>,
    grouping: bool,
}

/// Adjacent bytes of a group.
#[derive(Clone, Copy, Debug)]
struct Piece {
    group: u32,
    start: usize,
    length: usize,
}

/// Datagrams that one call can send in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) to: SocketAddr,
    pub(super) from: Option<Local>,
    /// The length of each datagram but the last.
    pub(super) segment: usize,
    pub(super) count: usize,
    bytes: usize,
    /// The last datagram was shorter: nothing may follow it.
    closed: bool,
    last_piece: usize,
    pieces: usize,
    /// The previous group with the same destination.
    previous: Option<u32>,
    slot: Option<usize>,
}

impl Group {
    /// Returns the properties that all groups of one call must share: segment length and source.
    pub(super) fn key(&self) -> (usize, Option<Local>) {
        (if self.count > 1 { self.segment } else { 0 }, self.from)
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
            groups: Vec::new(),
            pieces: Vec::new(),
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
            // Usually datagrams to one destination come in a row.
            Some(index) if self.can_join(index, to, from, length) => index,
            _ => match self.find(to, from) {
                (_, Some(index)) if self.can_join(index, to, from, length) => index,
                (slot, previous) => self.open(to, from, length, slot, previous),
            },
        };
        self.latest = Some(index);
        let group = &mut self.groups[index as usize];
        group.count += 1;
        group.bytes += length;
        group.closed = length < group.segment;
        match self.pieces.get_mut(group.last_piece) {
            Some(last) if group.pieces > 0 && last.start + last.length == at.start => {
                last.length += length;
            }
            _ => {
                group.last_piece = self.pieces.len();
                group.pieces += 1;
                self.pieces.push(Piece { group: index, start: at.start, length });
            }
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
        let (plan, mut blocked) = (self.plan(), false);
        for (to, from, at) in plan.each() {
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
        let plan = self.plan();
        for (to, from, at) in plan.each() {
            unsent(Unsent { to, from, at, error: None });
        }
        self.clear();
    }

    /// Removes all datagrams.
    pub fn clear(&mut self) {
        for slot in self.groups.iter().filter_map(|group| group.slot) {
            self.slots[slot] = None;
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

    /// Returns an order of sending that keeps groups with equal keys together, and each group's
    /// pieces.
    pub(super) fn plan(&self) -> Plan<'_> {
        // A group waits for an earlier one to its destination unless one call can send both.
        let mut rounds = vec![0_u32; self.groups.len()];
        for (i, group) in self.groups.iter().enumerate() {
            if let Some(previous) = group.previous {
                let former = &self.groups[previous as usize];
                rounds[i] = rounds[previous as usize] + u32::from(former.key() != group.key());
            }
        }
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by_key(|&i| (rounds[i], self.groups[i].key()));
        let mut ends = Vec::with_capacity(self.groups.len());
        let mut end = 0;
        for group in &self.groups {
            ends.push(end);
            end += group.pieces;
        }
        let mut pieces = vec![0..0; end];
        for piece in &self.pieces {
            let next = &mut ends[piece.group as usize];
            pieces[*next] = piece.start..piece.start + piece.length;
            *next += 1;
        }
        Plan { groups: &self.groups, order, pieces, ends }
    }

    fn can_join(&self, index: u32, to: SocketAddr, from: Option<Local>, length: usize) -> bool {
        let group = &self.groups[index as usize];
        self.grouping && group.takes(length) && group.to == to && group.from == from
    }

    /// Returns the slot of a destination and its latest group.
    fn find(&self, to: SocketAddr, from: Option<Local>) -> (Option<usize>, Option<u32>) {
        let low = match to.ip() {
            IpAddr::V4(ip) => u32::from(ip),
            IpAddr::V6(ip) => {
                let [.., high, low] = ip.segments();
                u32::from(high) << 16 | u32::from(low)
            }
        };
        let hash =
            (low ^ u32::from(to.port()) << 16 ^ u32::from(to.port())).wrapping_mul(0x9E37_79B1);
        let home = (hash >> 16) as usize;
        for probe in 0..SLOTS {
            let slot = (home + probe) % SLOTS;
            match self.slots[slot] {
                None => return (Some(slot), None),
                Some(index) => {
                    let group = &self.groups[index as usize];
                    if group.to == to && group.from == from {
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
        slot: Option<usize>,
        previous: Option<u32>,
    ) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "an outbox holds a few thousand")]
        let index = self.groups.len() as u32;
        self.groups.push(Group {
            to,
            from,
            segment,
            count: 0,
            bytes: 0,
            closed: false,
            last_piece: 0,
            pieces: 0,
            previous,
            slot,
        });
        if let Some(slot) = slot {
            self.slots[slot] = Some(index);
        }
        index
    }
}

/// The order in which to send an outbox.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    groups: &'a [Group],
    order: Vec<usize>,
    /// The pieces of all groups, one group after the other, in the order of opening.
    pub(super) pieces: Vec<Range<usize>>,
    /// The end of each group's pieces.
    ends: Vec<usize>,
}

impl Plan<'_> {
    /// Returns the number of groups.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns the group that is sent as number `index`.
    pub(super) fn group(&self, index: usize) -> &Group {
        &self.groups[self.order[index]]
    }

    /// Returns the range in `pieces` of the group that is sent as number `index`.
    pub(super) fn pieces_of(&self, index: usize) -> Range<usize> {
        let group = self.order[index];
        self.ends[group] - self.groups[group].pieces..self.ends[group]
    }

    /// Returns each datagram: its destination, its source and its range in memory.
    pub(super) fn each(&self) -> impl Iterator<Item = (SocketAddr, Option<Local>, Range<usize>)> {
        (0..self.len()).flat_map(move |index| {
            let Group { to, from, .. } = *self.group(index);
            self.datagrams(index).map(move |at| (to, from, at))
        })
    }

    /// Returns the range in memory of each datagram of the group that is sent as number `index`.
    pub(super) fn datagrams(&self, index: usize) -> impl Iterator<Item = Range<usize>> {
        let segment = self.group(index).segment.max(1);
        self.pieces[self.pieces_of(index)].iter().flat_map(move |piece| {
            let count = piece.len().div_ceil(segment).max(1);
            let (start, end) = (piece.start, piece.end);
            (0..count).map(move |i| start + i * segment..(start + (i + 1) * segment).min(end))
        })
    }
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
        let plan = outbox.plan();
        (0..plan.len())
            .map(|index| {
                let datagrams = plan.datagrams(index).map(|at| [at.start, at.end]).collect();
                (plan.group(index).to.port(), datagrams)
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
            let plan = outbox.plan();
            for index in 0..plan.len() {
                let group = plan.group(index);
                let lengths: Vec<_> = plan.datagrams(index).map(|at| at.len()).collect();
                prop_assert_eq!(lengths.len(), group.count);
                prop_assert!(lengths.len() <= MAX_SEGMENTS);
                let (last, rest) = lengths.split_last().unwrap();
                prop_assert!(rest.iter().all(|length| *length == group.segment && *length > 0));
                prop_assert!(*last <= group.segment);
                got[usize::from(group.to.port())].extend(plan.datagrams(index));
            }
            prop_assert_eq!(got, expected);
        }
    }
}
