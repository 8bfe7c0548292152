//! The directions of a session with a Session-Reflector.

use std::collections::VecDeque;
use std::ops::{AddAssign, Range};

use crate::packed::{Packed, Reader, put_float};
use crate::ping::path::HeaderField;
use crate::ping::{Reflection, Verdict};
use crate::stats::{
    Buckets, Claim, Clock, Distribution, Exchange, Reordering, Step, Variation, steps, stretches,
};
use crate::wire::stamp::{ErrorEstimate, Format};

/// The settled probes that are analysed together, at the least. More would hold up a session for more
/// than a few milliseconds.
const BLOCK: usize = 2048;

/// The most copies of packets that are remembered to tell copies of replies from them.
const MAX_COPIES: usize = 4096;

/// The most lost probes of one direction that are remembered.
const MAX_LOST: usize = 1 << 16;

/// How far a clock may step unseen, in nanoseconds, besides drifting.
const STEP_NS: i64 = 1000;

/// The difference in receive time from which a smaller number means that the reflector counts from
/// the start again, in nanoseconds. Threads of a reflector may overtake each other.
const RESTART_NS: i64 = 100_000;

/// The distance between the numbers before and after a restart of the reflector.
const RESTARTED: i64 = 1 << 40;

/// By how much TAI is ahead of UTC, in nanoseconds: since 2017.
const TAI_NS: i64 = 37_000_000_000;

/// One direction of the path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Direction {
    /// Packets lost in this direction, as far as numbers show it.
    pub lost: u64,
    /// The numbers of the last probes that certainly were, in order; empty for a sum.
    pub lost_seqs: Vec<u64>,
    /// Copies of packets that were made in this direction.
    pub duplicates: u64,
    /// Packets that arrived in another order than they were sent.
    pub reordering: Reordering,
    /// Changes of the least delay.
    pub route_changes: u64,
    /// The difference in delay between consecutive packets.
    pub ipdv: Variation,
    /// Each delay minus the least.
    pub pdv: Distribution,
    /// The lower bound of each delay.
    pub low: Distribution,
    /// The upper bound of each delay.
    pub high: Distribution,
}

/// What a session learned about the two directions, the reflector and its clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directions {
    /// To the reflector.
    pub forward: Direction,
    /// Back.
    pub reverse: Direction,
    /// Lost packets that are in neither direction's count: the way is not known.
    pub unattributed: u64,
    /// The time between T2 and T3.
    pub residence: Distribution,
    /// The reflector.
    pub reflector: Reflector,
    /// Its clock.
    pub clock: ClockReport,
}

/// Numbers of both directions for a monitoring system, which only grow; pairs are forward and
/// reverse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Packets lost in each direction.
    pub lost: [u64; 2],
    /// Copies of packets that were made there.
    pub duplicates: [u64; 2],
    /// Packets that arrived in another order than they were sent.
    pub reordered: [u64; 2],
    /// Lost packets that are in neither direction's count.
    pub unattributed: u64,
    /// The time between T2 and T3.
    pub residence: Buckets,
}

/// The reflector as its replies show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reflector {
    /// Whether it answers with the numbers of the packets or its own; unknown before the number left
    /// out and if the reports of a sum differ.
    pub stateful: Option<bool>,
    /// The format of its timestamps.
    pub format: Option<Format>,
    /// The oddities of its replies.
    pub quirks: u16,
    /// The TTL of packets on arrival.
    pub ttl: Option<HeaderField>,
    /// The shortest and the longest reply, in bytes.
    pub sizes: Option<(u16, u16)>,
}

/// Oddities of replies, by their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Quirk {
    /// T1 and T3 are in each other's place.
    Swapped = 1,
    /// The format of timestamps is not the announced one.
    OtherFormat = 2,
    /// Replies are shorter than packets.
    Shorter = 4,
    /// Replies are longer than packets.
    Longer = 8,
    /// The session identifier is 0.
    NoSession = 16,
    /// T2 equals T3.
    NoResidence = 32,
    /// T3 is before T2, or later than the reply.
    Impossible = 64,
    /// The error estimate is invalid.
    NoError = 128,
    /// Timestamps count TAI.
    Tai = 256,
}

impl Quirk {
    /// All of them by name.
    pub const ALL: [(&str, Self); 9] = [
        ("t1_t3_swapped", Self::Swapped),
        ("z_mismatch", Self::OtherFormat),
        ("short_reply", Self::Shorter),
        ("long_reply", Self::Longer),
        ("ssid_zeroed", Self::NoSession),
        ("t2_equals_t3", Self::NoResidence),
        ("impossible_times", Self::Impossible),
        ("invalid_error_estimate", Self::NoError),
        ("tai", Self::Tai),
    ];
}

/// The reflector's clock against this host's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockReport {
    /// The bounds of its offset at the end.
    pub offset_ns: Option<(i64, i64)>,
    /// By how much faster it runs.
    pub skew: Option<f64>,
    /// Its steps.
    pub steps: u64,
    /// The sum of the steps.
    pub step_total_ns: i64,
    /// Whether it may be synchronized to UTC as it and this host claim.
    pub claim: Option<bool>,
}

/// A probe whose reply may still come.
#[derive(Clone, Copy, Debug)]
struct Slot {
    verdict: Verdict,
    reply: Option<Reply>,
}

/// A reply's number, T2 and T3.
type Stamps = (u32, i64, i64);

fn stamps(reflection: &Reflection) -> Stamps {
    (reflection.number, reflection.received_ns, reflection.sent_ns)
}

/// The first reply to a probe.
#[derive(Clone, Copy, Debug)]
struct Reply {
    /// The reflector's number, without wraps.
    number: i64,
    /// The number, T2 and T3 as received: a copy of the reply has the same.
    stamps: Stamps,
    /// The times, unless they are impossible, with the number of the clock's epoch.
    times: Option<(Exchange, u64)>,
    /// When the reflector received the packet, and sent the reply, by a clock that does not step.
    received_ns: i64,
    left_ns: i64,
    /// Its place in order of arrival.
    arrival: i64,
}

/// A copy of a packet that the reflector has answered, too.
#[derive(Clone, Copy, Debug)]
struct Copied {
    seq: u64,
    number: i64,
    stamps: Stamps,
    received_ns: i64,
}

/// The clock between two steps: bounds of its offset at a time.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    number: u64,
    at_ns: i64,
    low_ns: i64,
    high_ns: i64,
    /// An offset within the first bounds.
    offset_ns: i64,
}

impl Epoch {
    /// Narrows the bounds if an exchange agrees with them; returns whether it does.
    fn agrees(&mut self, at_ns: i64, (low_ns, high_ns): (i64, i64)) -> bool {
        let drift_ns = at_ns.saturating_sub(self.at_ns).abs() / 1000 + STEP_NS;
        let low_ns = low_ns.max(self.low_ns.saturating_sub(drift_ns));
        let high_ns = high_ns.min(self.high_ns.saturating_add(drift_ns));
        let agrees = low_ns <= high_ns;
        if agrees {
            (self.at_ns, self.low_ns, self.high_ns) = (at_ns, low_ns, high_ns);
        }
        agrees
    }
}

/// The probes between two replies that none overtook, and the numbers of the reflector there.
struct Gap {
    slots: Range<usize>,
    missing: u64,
    /// Numbers without a reply.
    holes: u64,
}

/// The last reply before a block.
#[derive(Clone, Copy, Debug, Default)]
struct Border {
    /// The highest number so far, restarts included, and when it was received.
    last: Option<(i64, i64)>,
    /// What restarts have added to later numbers.
    added: i64,
    /// Holes in the numbers for which no packet is missing yet.
    surplus: u64,
}

/// The exchanges of a session: analysed in blocks, so that their number is bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchanges {
    slots: VecDeque<Slot>,
    /// The number of the probe before the first slot.
    folded: u64,
    settled: u64,
    copies: Vec<Copied>,
    /// Everything about folded probes, and what arrivals alone show.
    total: Directions,
    border: Border,
    last_number: i64,
    /// The number of first replies.
    arrivals: i64,
    /// Whether replies to the packets before and after the number left out repeat their numbers.
    repeats: [bool; 2],
    /// The current epoch of the reflector's clock and the one before: replies overtake each other.
    epochs: [Option<Epoch>; 2],
    near: Option<ErrorEstimate>,
    far: Option<ErrorEstimate>,
    /// The numbers that a monitoring system was told.
    told: Ways,
}

impl Exchanges {
    /// Creates the exchanges of a session whose clock claims this error.
    pub(super) fn new(error: ErrorEstimate) -> Self {
        Self { near: Some(error), ..Self::default() }
    }

    /// Adds the next probe.
    pub(super) fn push(&mut self) {
        self.slots.push_back(Slot { verdict: Verdict::Pending, reply: None });
    }

    /// Sets the verdict of a probe.
    pub(super) fn decide(&mut self, seq: u64, verdict: Verdict) {
        if let Some(slot) = self.slot(seq) {
            slot.verdict = verdict;
        }
    }

    fn slot(&mut self, seq: u64) -> Option<&mut Slot> {
        let index = seq.checked_sub(self.folded + 1)?;
        self.slots.get_mut(usize::try_from(index).ok()?)
    }

    /// Adds a reply to the probe `seq` of `size` bytes, which was sent and answered at these times.
    pub(super) fn add(
        &mut self,
        seq: u64,
        size: u16,
        (sent_ns, arrived_ns): (i64, i64),
        reflection: &Reflection,
    ) {
        self.notice(size, reflection);
        let number = self.unfolded(reflection.number);
        let Reflection { received_ns, sent_ns: left_ns, .. } = *reflection;
        let exchange = Exchange {
            sent_ns,
            arrived_ns,
            forward_ns: received_ns.saturating_sub(sent_ns),
            reverse_ns: arrived_ns.saturating_sub(left_ns),
        };
        let residence_ns = left_ns.saturating_sub(received_ns);
        let possible = residence_ns >= 0
            && residence_ns <= arrived_ns.saturating_sub(sent_ns).saturating_add(STEP_NS);
        let quirks = &mut self.total.reflector.quirks;
        for (quirk, is) in [(Quirk::Impossible, !possible), (Quirk::NoResidence, residence_ns == 0)]
        {
            *quirks |= if is { quirk as u16 } else { 0 };
        }
        let epoch = possible.then(|| self.epoch(&exchange));
        let offset_ns = epoch.map_or(0, |epoch| epoch.offset_ns);
        if epoch.is_some() {
            self.total.residence.add(residence_ns);
        }
        self.arrivals += 1;
        let reply = Reply {
            number,
            stamps: stamps(reflection),
            times: epoch.map(|epoch| (exchange, epoch.number)),
            received_ns: received_ns.saturating_sub(offset_ns),
            left_ns: left_ns.saturating_sub(offset_ns),
            arrival: self.arrivals,
        };
        if let Some(slot) = self.slot(seq) {
            slot.reply = Some(reply);
        }
    }

    /// Adds another reply to a probe.
    pub(super) fn copy(&mut self, seq: u64, reflection: &Reflection) {
        let number = self.unfolded(reflection.number);
        let offset_ns = self.epochs[0].map_or(0, |epoch| epoch.offset_ns);
        let copied = Copied {
            seq,
            number,
            stamps: stamps(reflection),
            received_ns: reflection.received_ns.saturating_sub(offset_ns),
        };
        let first = self.slot(seq).and_then(|slot| slot.reply);
        let mut others = self.copies.iter().filter(|one| one.seq == seq);
        let known = first.is_none_or(|reply| reply.stamps == copied.stamps)
            || others.any(|one| one.stamps == copied.stamps);
        if known {
            self.total.reverse.duplicates += 1;
            return;
        }
        self.total.forward.duplicates += 1;
        if self.copies.len() < MAX_COPIES {
            self.copies.push(copied);
        }
    }

    /// Returns a number of the reflector without wraps.
    fn unfolded(&mut self, number: u32) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "numbers wrap")]
        let last = self.last_number.cast_unsigned() as u32;
        self.last_number += i64::from(number.wrapping_sub(last).cast_signed());
        self.last_number
    }

    /// Notices the reflector's habits.
    fn notice(&mut self, size: u16, reflection: &Reflection) {
        let Reflection { number, sender_number, error, ttl, format, .. } = *reflection;
        let reflector = &mut self.total.reflector;
        if number != sender_number {
            reflector.stateful = Some(true);
        } else if reflector.stateful.is_none() {
            self.repeats[usize::from(sender_number > 1)] = true;
            reflector.stateful = (self.repeats == [true; 2]).then_some(false);
        }
        reflector.format = Some(format);
        let length = u16::try_from(reflection.size).unwrap_or(u16::MAX);
        for (quirk, is) in [
            (Quirk::Swapped, reflection.swapped),
            (Quirk::OtherFormat, error.format() != format),
            (Quirk::Shorter, length < size),
            (Quirk::Longer, length > size),
            (Quirk::NoSession, !reflection.has_ssid),
            (Quirk::NoError, error.ns().is_none()),
        ] {
            reflector.quirks |= if is { quirk as u16 } else { 0 };
        }
        let (least, most) = reflector.sizes.unwrap_or((length, length));
        reflector.sizes = Some((least.min(length), most.max(length)));
        if let Some(ttl) = ttl {
            reflector.ttl.get_or_insert_with(|| HeaderField::new(ttl)).add(ttl);
        }
        self.far = Some(error);
    }

    /// Returns the epoch of the reflector's clock that an exchange belongs to; begins one if the
    /// clock has stepped.
    fn epoch(&mut self, one: &Exchange) -> Epoch {
        let bounds = (one.reverse_ns.saturating_neg(), one.forward_ns);
        let known = self.epochs.iter_mut().flatten();
        if let Some(epoch) = known
            .into_iter()
            .find_map(|epoch| epoch.agrees(one.arrived_ns, bounds).then_some(*epoch))
        {
            return epoch;
        }
        let offset_ns = i64::midpoint(bounds.0, bounds.1);
        let last = self.epochs[0];
        if let Some(last) = last {
            let clock = &mut self.total.clock;
            clock.steps += 1;
            let by_ns = offset_ns.saturating_sub(i64::midpoint(last.low_ns, last.high_ns));
            clock.step_total_ns = clock.step_total_ns.saturating_add(by_ns);
        }
        let epoch = Epoch {
            number: last.map_or(0, |last| last.number + 1),
            at_ns: one.arrived_ns,
            low_ns: bounds.0,
            high_ns: bounds.1,
            offset_ns,
        };
        self.epochs = [Some(epoch), last];
        epoch
    }

    /// Settles the next probe: no reply revises its verdict.
    pub(super) fn settle(&mut self) {
        self.settled += 1;
        let settled = self.settled_slots();
        if settled >= 2 * BLOCK {
            self.fold(settled);
        }
    }

    /// Returns the number of slots whose probes are settled.
    fn settled_slots(&self) -> usize {
        usize::try_from(self.settled - self.folded).unwrap_or(usize::MAX)
    }

    /// Adds the first probes to the total, up to a reply that none overtook in either direction, but
    /// only settled ones.
    fn fold(&mut self, settled: usize) {
        let numbers = self.numbers();
        let cut = self.cut(settled, &numbers);
        let count = cut.map_or(settled, |cut| cut + 1);
        let mut total = std::mem::take(&mut self.total);
        self.border = self.analyse(count, &numbers, &mut total, cut.is_none());
        self.total = total;
        self.slots.drain(..count);
        self.folded += count as u64;
        let received_ns = self.border.last.map_or(i64::MAX, |(_, received_ns)| received_ns);
        self.copies.retain(|one| one.seq > self.folded || one.received_ns > received_ns);
    }

    /// Returns the last of the first `settled` probes whose reply none overtook in either direction.
    fn cut(&self, settled: usize, numbers: &[Option<i64>]) -> Option<usize> {
        let arrivals: Vec<_> = self.slots.iter().map(|slot| Some(slot.reply?.arrival)).collect();
        let (there, back) = (anchors(numbers), anchors(&arrivals));
        let both = there.into_iter().rev().filter(|anchor| back.binary_search(anchor).is_ok());
        both.into_iter().find(|anchor| *anchor < settled)
    }

    /// Returns the numbers for a monitoring system; `ended` if the session was stopped. Losses count
    /// once they are settled and a later reply shows their direction.
    pub(super) fn ways(&mut self, ended: bool) -> Ways {
        let settled = if ended { self.slots.len() } else { self.settled_slots() };
        let numbers = self.numbers();
        let count = match self.total.reflector.stateful {
            _ if ended => settled,
            Some(true) => self.cut(settled, &numbers).map_or(0, |cut| cut + 1),
            Some(false) => settled,
            None => 0,
        };
        let mut total = self.total.counts();
        self.count(&self.first(count), &numbers[..count], &mut total, ended);
        self.told.grow(&Ways { residence: self.total.residence.buckets(), ..Ways::from(&total) });
        self.told
    }

    /// Returns everything that is known now.
    pub(super) fn directions(&self) -> Directions {
        let mut total = self.total.clone();
        let numbers = self.numbers();
        self.analyse(self.slots.len(), &numbers, &mut total, true);
        total.end();
        total
    }

    /// Returns the number of each reply in the order of the probes, raised after each restart of a
    /// stateful reflector; otherwise the time of receipt, which has the same order.
    fn numbers(&self) -> Vec<Option<i64>> {
        let mut numbers: Vec<_> =
            self.slots.iter().map(|slot| Some(slot.reply?.received_ns)).collect();
        if self.total.reflector.stateful != Some(true) {
            return numbers;
        }
        let mut order: Vec<_> =
            (0..numbers.len()).filter(|index| numbers[*index].is_some()).collect();
        order.sort_by_key(|index| numbers[*index]);
        let Border { mut last, mut added, .. } = self.border;
        for index in order {
            let Some(reply) = self.slots[index].reply else { continue };
            let mut number = reply.number + added;
            if let Some((highest, received_ns)) = last
                && number <= highest
                && reply.received_ns.saturating_sub(received_ns) > RESTART_NS
            {
                added += highest - number + RESTARTED;
                number = reply.number + added;
            }
            if last.is_none_or(|(highest, _)| number > highest) {
                last = Some((number, reply.received_ns));
            }
            numbers[index] = Some(number);
        }
        numbers
    }

    /// Adds the first `count` probes to a total. Returns the border after them.
    fn analyse(
        &self,
        count: usize,
        numbers: &[Option<i64>],
        total: &mut Directions,
        to_the_end: bool,
    ) -> Border {
        let slots = self.first(count);
        let border = self.count(&slots, &numbers[..count], total, to_the_end);
        self.add_delays(&slots, total);
        border
    }

    /// Returns the first slots.
    fn first(&self, count: usize) -> Vec<Slot> {
        self.slots.iter().take(count).copied().collect()
    }

    /// Adds the losses and the order of the first probes to a total. Returns the border after them.
    fn count(
        &self,
        slots: &[Slot],
        numbers: &[Option<i64>],
        total: &mut Directions,
        to_the_end: bool,
    ) -> Border {
        let mut received: Vec<_> =
            (self.folded + 1..).zip(numbers).filter_map(|(seq, n)| Some(((*n)?, seq))).collect();
        received.sort_unstable();
        for (_, seq) in received {
            total.forward.reordering.add(seq);
        }
        let border = self.add_losses(slots, numbers, total, to_the_end);
        let mut left: Vec<_> = slots.iter().filter_map(|slot| slot.reply).collect();
        left.sort_by_key(|reply| (reply.left_ns, reply.received_ns));
        let mut arrived: Vec<_> =
            (self.folded..).zip(left).map(|(place, reply)| (reply.arrival, place)).collect();
        arrived.sort_unstable();
        for (_, place) in arrived {
            total.reverse.reordering.add(place);
        }
        border
    }

    /// Attributes losses to directions. Between two replies after and before which all have higher
    /// and lower numbers, the reflector's numbers without a reply are losses on the way back.
    fn add_losses(
        &self,
        slots: &[Slot],
        numbers: &[Option<i64>],
        total: &mut Directions,
        to_the_end: bool,
    ) -> Border {
        let lost = |slot: &&Slot| is_lost(slot);
        if total.reflector.stateful != Some(true) {
            total.unattributed += slots.iter().filter(lost).count() as u64;
            return self.border;
        }
        let mut border = self.border;
        let mut copies: Vec<_> = self.copies.iter().map(|one| one.number).collect();
        copies.sort_unstable();
        let mut from = 0;
        let mut gaps = Vec::new();
        let mut stops = anchors(numbers);
        // The last replies may have come in another order.
        let end = numbers.iter().rposition(Option::is_some);
        if to_the_end && stops.last() != end.as_ref() {
            stops.extend(end);
        }
        for stop in stops {
            let between = &slots[from..stop];
            let numbers_between = &numbers[from..=stop];
            let missing = between.iter().filter(lost).count() as u64;
            let Some((reply, number)) = slots[stop].reply.zip(numbers[stop]) else { continue };
            let added = number - reply.number;
            let others = numbers_between.iter().flatten();
            let highest = others.clone().max().copied().unwrap_or_default();
            let mut surplus = 0;
            match border.last {
                Some((lowest, _)) if highest - lowest < RESTARTED / 2 => {
                    let below = |number| copies.partition_point(|one| one + added < number);
                    let seen = others.count() + below(highest) - below(lowest + 1);
                    let numbers = u64::try_from(highest - lowest).unwrap_or_default();
                    // The number of a pending probe is not lost yet.
                    let pending = between.iter().filter(|slot| slot.verdict == Verdict::Pending);
                    let seen = (seen + pending.count()) as u64;
                    let holes = numbers.saturating_sub(seen);
                    gaps.push(Gap { slots: from..stop, missing, holes });
                    if total.forward.duplicates == 0 {
                        // A packet that was overtaken and whose reply was lost leaves its hole
                        // elsewhere.
                        let holes = holes + border.surplus;
                        let back = holes.min(missing + total.forward.lost);
                        total.reverse.lost += back;
                        total.forward.lost = total.forward.lost + missing - back;
                        surplus = holes - back;
                    } else {
                        // A hole without a lost packet is that of a copy.
                        let back = holes.min(missing);
                        total.reverse.lost += back;
                        total.forward.lost += missing - back;
                    }
                }
                _ => total.unattributed += missing,
            }
            border = Border { last: Some((highest, reply.received_ns)), added, surplus };
            from = stop + 1;
        }
        total.unattributed += slots[from..].iter().filter(lost).count() as u64;
        self.add_lost(slots, &gaps, total);
        border
    }

    /// Adds the lost probes whose direction is certain: there are as many numbers without a reply as
    /// lost packets, or none. Packets that were overtaken have their numbers later, so that
    /// counts up to twice as far as any packet was overtaken must agree.
    fn add_lost(&self, slots: &[Slot], gaps: &[Gap], total: &mut Directions) {
        let extent = total.forward.reordering.max_extent().unwrap_or_default();
        let reach = usize::try_from(extent).unwrap_or(usize::MAX).saturating_mul(2);
        for gap in gaps.iter().filter(|gap| gap.missing > 0) {
            let (start, end) = (gap.slots.start, gap.slots.end.saturating_add(reach));
            if start < reach || end >= slots.len() {
                continue;
            }
            let from = gaps.partition_point(|other| other.slots.end.saturating_add(reach) < start);
            let until = gaps.partition_point(|other| other.slots.start <= end);
            let near = &gaps[from..until];
            let missing: u64 = near.iter().map(|gap| gap.missing).sum();
            let holes: u64 = near.iter().map(|gap| gap.holes).sum();
            let direction = match holes {
                0 => &mut total.forward,
                // Otherwise a hole may be that of a copy.
                _ if holes == missing && total.forward.duplicates == 0 => &mut total.reverse,
                _ => continue,
            };
            let indices = gap.slots.clone().filter(|index| is_lost(&slots[*index]));
            direction.lost_seqs.extend(indices.map(|index| self.folded + 1 + index as u64));
        }
        for direction in [&mut total.forward, &mut total.reverse] {
            let surplus = direction.lost_seqs.len().saturating_sub(MAX_LOST);
            direction.lost_seqs.drain(..surplus);
        }
    }

    /// Adds delays and their variation, for each stretch without a step of the reflector's clock.
    fn add_delays(&self, slots: &[Slot], total: &mut Directions) {
        let mut epochs: Vec<(u64, Vec<(usize, Exchange)>)> = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            let Some((one, number)) = slot.reply.and_then(|reply| reply.times) else { continue };
            match epochs.iter_mut().rev().find(|epoch| epoch.0 == number) {
                Some((_, exchanges)) => exchanges.push((index, one)),
                None => epochs.push((number, vec![(index, one)])),
            }
        }
        let mut stretch_of = vec![None; slots.len()];
        let mut clocks = Vec::new();
        for (_, exchanges) in epochs {
            let (indices, exchanges): (Vec<_>, Vec<_>) = exchanges.into_iter().unzip();
            let mut clock_steps = Vec::new();
            for (range, step) in steps(&exchanges) {
                match step {
                    Step::Clock(by_ns) => {
                        total.clock.steps += 1;
                        total.clock.step_total_ns = total.clock.step_total_ns.saturating_add(by_ns);
                        clock_steps.push(range);
                    }
                    Step::Route([there, back]) => {
                        total.forward.route_changes += u64::from(there != 0);
                        total.reverse.route_changes += u64::from(back != 0);
                    }
                }
            }
            for range in stretches(exchanges.len(), clock_steps.into_iter()) {
                let part = &exchanges[range.clone()];
                indices[range].iter().for_each(|index| stretch_of[*index] = Some(clocks.len()));
                clocks.push((Clock::of(part, self.claim(part)), part.last().copied()));
            }
        }
        let mut last = None;
        for (slot, stretch) in slots.iter().zip(&stretch_of) {
            if stretch.is_none() || *stretch != last {
                total.forward.ipdv.add_sent(None);
                total.reverse.ipdv.add_sent(None);
            }
            last = *stretch;
            let (Some(stretch), Some((one, _))) =
                (*stretch, slot.reply.and_then(|reply| reply.times))
            else {
                continue;
            };
            let clock = &clocks[stretch].0;
            let variation = clock.variation(&one);
            let bounds = [clock.forward(&one), clock.reverse(&one)];
            let directions = [&mut total.forward, &mut total.reverse];
            for ((direction, pdv_ns), bounds) in directions.into_iter().zip(variation).zip(bounds) {
                direction.ipdv.add_sent(Some(pdv_ns));
                direction.pdv.add(pdv_ns);
                if let Some((low_ns, high_ns)) = bounds {
                    direction.low.add(low_ns);
                    direction.high.add(high_ns);
                }
            }
        }
        if let Some((clock, Some(one))) = clocks.last() {
            total.clock.offset_ns = clock.offset(one.arrived_ns);
            total.clock.skew = clock.skew();
            total.clock.claim = clock.is_claim_possible();
            if self.is_tai(one) {
                total.reflector.quirks |= Quirk::Tai as u16;
            }
        }
    }

    /// Returns whether the reflector counts TAI: its format is PTP's, and it is 37 s ahead.
    fn is_tai(&self, one: &Exchange) -> bool {
        let middle = i64::midpoint(one.reverse_ns.saturating_neg(), one.forward_ns);
        let is_near = middle.abs_diff(TAI_NS) < TAI_NS.unsigned_abs() / 74;
        self.total.reflector.format == Some(Format::Ptp) && is_near
    }

    /// Returns the claim of both ends to be synchronized.
    fn claim(&self, exchanges: &[Exchange]) -> Option<Claim> {
        let of = |estimate: Option<ErrorEstimate>| {
            let estimate = estimate.filter(|estimate| estimate.is_synchronized())?;
            i64::try_from(estimate.ns()?).ok()
        };
        let error_ns = of(self.near)?.saturating_add(of(self.far)?);
        let is_tai = exchanges.last().is_some_and(|one| self.is_tai(one));
        let ahead_ns = if is_tai { TAI_NS } else { 0 };
        Some(Claim { error_ns, ahead_ns })
    }
}

/// Returns whether a probe was sent and has no reply.
fn is_lost(slot: &Slot) -> bool {
    slot.reply.is_none() && !matches!(slot.verdict, Verdict::Pending | Verdict::SendFailed)
}

/// Returns the indices of the numbers above all before them and below all after them.
fn anchors(numbers: &[Option<i64>]) -> Vec<usize> {
    let mut least_after = vec![i64::MAX; numbers.len() + 1];
    for (index, number) in numbers.iter().enumerate().rev() {
        least_after[index] = number.unwrap_or(i64::MAX).min(least_after[index + 1]);
    }
    let mut most = i64::MIN;
    let mut anchors = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let Some(number) = number else { continue };
        if *number > most && *number < least_after[index + 1] {
            anchors.push(index);
        }
        most = most.max(*number);
    }
    anchors
}

impl Directions {
    /// Ends a snapshot: drops the state that only a running session needs.
    fn end(&mut self) {
        for direction in [&mut self.forward, &mut self.reverse] {
            direction.reordering.end();
            direction.ipdv.end();
        }
        if let Some(ttl) = &mut self.reflector.ttl {
            ttl.end();
        }
    }

    /// Returns the counts without the distributions.
    fn counts(&self) -> Self {
        let counts = |of: &Direction| Direction {
            lost: of.lost,
            duplicates: of.duplicates,
            reordering: of.reordering.clone(),
            ..Direction::default()
        };
        Self {
            forward: counts(&self.forward),
            reverse: counts(&self.reverse),
            unattributed: self.unattributed,
            reflector: self.reflector,
            ..Self::default()
        }
    }

    /// Merges the clocks of flows to one reflector: each bounds the same offset.
    pub(super) fn merge_clocks(&mut self, flows: &[Option<&Self>]) {
        let bounds = flows.iter().flatten().filter_map(|flow| flow.clock.offset_ns);
        let merged = bounds.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)));
        self.clock.offset_ns = merged.filter(|(low, high)| low <= high);
        let most = flows.iter().flatten().map(|flow| &flow.clock).max_by_key(|clock| clock.steps);
        if let Some(clock) = most {
            (self.clock.steps, self.clock.step_total_ns) = (clock.steps, clock.step_total_ns);
        }
    }
}

impl From<&Directions> for Ways {
    fn from(directions: &Directions) -> Self {
        let both = [&directions.forward, &directions.reverse];
        Self {
            lost: both.map(|direction| direction.lost),
            duplicates: both.map(|direction| direction.duplicates),
            reordered: both.map(|direction| direction.reordering.reordered()),
            unattributed: directions.unattributed,
            residence: directions.residence.buckets(),
        }
    }
}

impl Ways {
    /// Follows later numbers. A loss that turns out to be one of the other direction stays.
    fn grow(&mut self, later: &Self) {
        let mut later = *later;
        for (mine, later) in self.counts().zip(later.counts()) {
            *mine = (*mine).max(*later);
        }
        self.residence = later.residence;
    }

    fn counts(&mut self) -> impl Iterator<Item = &mut u64> {
        let pairs = [&mut self.lost, &mut self.duplicates, &mut self.reordered];
        pairs.into_iter().flatten().chain([&mut self.unattributed])
    }
}

impl AddAssign<&Self> for Ways {
    fn add_assign(&mut self, other: &Self) {
        let mut other = *other;
        for (mine, theirs) in self.counts().zip(other.counts()) {
            *mine = mine.saturating_add(*theirs);
        }
        self.residence += &other.residence;
    }
}

impl Direction {
    /// Returns the bounds of the median delay.
    #[must_use]
    pub fn delay_ns(&self) -> Option<(i64, i64)> {
        self.low.percentile_ns(50.0).zip(self.high.percentile_ns(50.0))
    }
}

impl AddAssign<&Self> for Direction {
    fn add_assign(&mut self, other: &Self) {
        self.lost = self.lost.saturating_add(other.lost);
        self.lost_seqs.clear();
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.reordering += &other.reordering;
        self.route_changes = self.route_changes.saturating_add(other.route_changes);
        self.ipdv += &other.ipdv;
        self.pdv += &other.pdv;
        self.low += &other.low;
        self.high += &other.high;
    }
}

/// What differs between the reflectors or clocks of a sum is unknown.
impl AddAssign<&Self> for Directions {
    fn add_assign(&mut self, other: &Self) {
        self.forward += &other.forward;
        self.reverse += &other.reverse;
        self.unattributed = self.unattributed.saturating_add(other.unattributed);
        self.residence += &other.residence;
        let (mine, theirs) = (&mut self.reflector, &other.reflector);
        mine.stateful = mine.stateful.filter(|stateful| Some(*stateful) == theirs.stateful);
        mine.format = mine.format.filter(|format| Some(*format) == theirs.format);
        mine.quirks |= theirs.quirks;
        HeaderField::merge(&mut mine.ttl, theirs.ttl);
        mine.sizes = match (mine.sizes, theirs.sizes) {
            (Some(mine), Some(theirs)) => Some((mine.0.min(theirs.0), mine.1.max(theirs.1))),
            (mine, theirs) => mine.or(theirs),
        };
        let (mine, theirs) = (&mut self.clock, &other.clock);
        mine.offset_ns = mine.offset_ns.filter(|offset| Some(*offset) == theirs.offset_ns);
        mine.skew = mine.skew.filter(|skew| Some(*skew) == theirs.skew);
        mine.claim = mine.claim.filter(|claim| Some(*claim) == theirs.claim);
        mine.steps = mine.steps.saturating_add(theirs.steps);
        mine.step_total_ns = mine.step_total_ns.saturating_add(theirs.step_total_ns);
    }
}

impl Packed for Direction {
    fn pack(&self, out: &mut Vec<u8>) {
        self.lost.pack(out);
        self.lost_seqs.pack(out);
        self.duplicates.pack(out);
        self.reordering.pack(out);
        self.route_changes.pack(out);
        self.ipdv.pack(out);
        self.pdv.pack(out);
        self.low.pack(out);
        self.high.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let direction = Self {
            lost: from.read()?,
            lost_seqs: from.read()?,
            duplicates: from.read()?,
            reordering: from.read()?,
            route_changes: from.read()?,
            ipdv: from.read()?,
            pdv: from.read()?,
            low: from.read()?,
            high: from.read()?,
        };
        (direction.low.count() == direction.high.count()).then_some(direction)
    }
}

impl Packed for Directions {
    fn pack(&self, out: &mut Vec<u8>) {
        self.forward.pack(out);
        self.reverse.pack(out);
        self.unattributed.pack(out);
        self.residence.pack(out);
        let Reflector { stateful, format, quirks, ttl, sizes } = self.reflector;
        stateful.pack(out);
        format.map(|format| format == Format::Ptp).pack(out);
        quirks.pack(out);
        ttl.pack(out);
        sizes.pack(out);
        let ClockReport { offset_ns, skew, steps, step_total_ns, claim } = self.clock;
        offset_ns.pack(out);
        out.push(u8::from(skew.is_some()));
        put_float(skew.unwrap_or_default(), out);
        steps.pack(out);
        step_total_ns.pack(out);
        claim.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            forward: from.read()?,
            reverse: from.read()?,
            unattributed: from.read()?,
            residence: from.read()?,
            reflector: Reflector {
                stateful: from.read()?,
                format: from
                    .read::<Option<bool>>()?
                    .map(|ptp| if ptp { Format::Ptp } else { Format::Ntp }),
                quirks: from.read()?,
                ttl: from.read()?,
                sizes: from.read()?,
            },
            clock: ClockReport {
                offset_ns: from.read()?,
                skew: {
                    let known = from.bool()?;
                    Some(from.float()?).filter(|_| known)
                },
                steps: from.read()?,
                step_total_ns: from.read()?,
                claim: from.read()?,
            },
        })
    }
}

#[cfg(test)]
mod tests;
