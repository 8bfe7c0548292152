//! Accounting of sequence numbers: losses, late beats, duplicates, restarts.

use crate::heartbeat::OldBeats;
use crate::wire::{Evidence, Reading};

/// The numbers received from one client since it started, in 36 bytes: a million clients have one
/// each, so that it is worth an unaligned read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct Sequence {
    highest: u64,
    /// Bit `k` is set if `highest - k` was received.
    seen: u64,
    received: u32,
    /// Numbers missing between the first and the highest.
    lost: u32,
    reordered: u32,
    duplicates: u32,
    /// The low bits of the number after the last one that was not new: if it comes next, the count
    /// has started over (RFC 3550, appendix A.1). 0 if there is none.
    restart_candidate: u16,
    /// Width in bits of the sender's counter, known once it wraps; 0 before.
    bits: u8,
    /// [`NONE`], [`LABEL`], [`FORM`], [`COUNTED`], or that plus how often a number that may be one
    /// must still rise by one. Until it is believed, beats are only counted.
    belief: u8,
}

/// No beat carried a number.
const NONE: u8 = 0;
/// Believed because of a label.
const LABEL: u8 = 1;
/// Believed because of the form of the beat, unless it turns out not to count.
const FORM: u8 = 2;
/// Believed because it has counted up.
const COUNTED: u8 = 3;
/// Doubts about a number: it must rise by one this many times in a row; more often once it has
/// fallen, stood still or jumped, as a load does.
const DOUBT: u8 = COUNTED + 3;
const GRAVE_DOUBT: u8 = COUNTED + 16;
/// Rise of a doubted number that may be due to losses.
const LARGEST_RISE: u64 = 8;
/// Number of beats after which a number without a label is not doubted any more.
const FEW: u32 = 8;

/// Send time of a beat compared with those of the first and the newest beat of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendOrder {
    /// Sent this many seconds before the first: from a queue, or on a clock that was set back.
    BeforeFirst(u32),
    /// Sent after the first and before the newest.
    Earlier,
    /// Sent after the newest.
    Later,
    /// Sent at the same time as the newest: a copy, or the clock is coarse.
    Same,
    /// At least one of the times is unknown.
    Unknown,
}

impl SendOrder {
    /// Returns whether the beat may be newer than all before: true unless its time says otherwise.
    pub(super) fn may_be_newer(self) -> bool {
        matches!(self, Self::Later | Self::Unknown)
    }
}

/// Maximum time in seconds by which the first packet received may have overtaken another.
const OVERTAKEN_S: u32 = 10;

/// Class of a number that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeqClass {
    /// Received before.
    Duplicate,
    /// The highest so far; the numbers from `first` to `last` count as lost.
    AfterLoss {
        /// The first missing number.
        first: u64,
        /// The last missing number.
        last: u64,
    },
    /// Had been counted lost, and no longer is.
    Late {
        /// The number as if the sender's counter never wrapped.
        seq: u64,
    },
    /// The next number, or no beat before carried one.
    Next,
    /// The client restarted.
    Restart,
    /// Older than the first number received or than the last 64, so that it cannot be classified.
    Stale,
    /// The beat carries no number, but others did: neither received nor expected.
    Unnumbered,
}

impl SeqClass {
    /// Returns whether the beat of number `seq` shows that it is from the sender of those before.
    pub(super) fn continues(self, seq: Option<u64>, order: SendOrder) -> bool {
        match self {
            Self::Next => seq.is_some(),
            Self::Duplicate => order != SendOrder::Later,
            Self::Stale => !order.may_be_newer(),
            Self::AfterLoss { .. } | Self::Late { .. } => true,
            Self::Unnumbered | Self::Restart => false,
        }
    }
}

/// How close to the ends of its range a counter must be to count as wrapped: a sixteenth of the
/// range, at most this.
const NEAR: u64 = u64::BITS as u64;

impl Sequence {
    /// Starts a sequence at `seq`, which is believed. No earlier number counts as lost.
    pub(super) fn new(seq: Option<u64>) -> Self {
        let belief = if seq.is_some() { LABEL } else { NONE };
        let highest = seq.unwrap_or_default();
        let seen = u64::from(seq.is_some());
        Self { highest, seen, received: 1, belief, ..Self::default() }
    }

    /// Starts a sequence with a first beat.
    pub(super) fn of(reading: &Reading) -> Self {
        let mut sequence = Self::default();
        let seq = sequence.believe(reading);
        sequence.observe(seq, SendOrder::Unknown, OldBeats::Ignore);
        sequence
    }

    /// Starts again at `seq`.
    fn restart(&mut self, seq: u64) {
        let belief = if self.believes() { self.belief } else { LABEL };
        *self = Self { belief, ..Self::new(Some(seq)) };
    }

    fn believes(&self) -> bool {
        (LABEL..=COUNTED).contains(&self.belief)
    }

    fn is_numbered(&self) -> bool {
        self.believes() && self.seen != 0
    }

    /// Returns a beat's number if it is believed to be one, to be called once for each beat before
    /// [`observe`](Self::observe). A number that has counted up is believed, and the beats before
    /// count afterwards.
    pub(super) fn believe(&mut self, reading: &Reading) -> Option<u64> {
        let number = reading.seq?;
        let believed = match reading.evidence {
            Evidence::Label => LABEL,
            Evidence::Form if self.belief <= DOUBT => FORM,
            _ => match self.belief {
                LABEL | FORM => return None,
                COUNTED => COUNTED,
                _ => return self.counts_up(number).then_some(number),
            },
        };
        if self.believes() {
            self.belief = self.belief.min(believed);
        } else {
            (self.belief, self.seen, self.lost) = (believed, 0, 0);
        }
        Some(number)
    }

    /// Returns whether a doubted number has now counted up.
    fn counts_up(&mut self, number: u64) -> bool {
        let span = u64::from(self.seen.count_ones() + self.lost);
        let is_rise = |rise: &u64| (1..=LARGEST_RISE).contains(rise) && span + rise <= NEAR;
        let rise = number.checked_sub(self.highest).filter(is_rise);
        match rise.filter(|_| self.belief != NONE) {
            Some(1) if self.belief == COUNTED + 1 => {
                (self.belief, self.received) = (COUNTED, self.seen.count_ones());
                return true;
            }
            Some(rise) => {
                self.move_to(number);
                self.belief = if rise == 1 { self.belief - 1 } else { self.belief.max(DOUBT) };
            }
            None => {
                self.belief = if self.belief == NONE { DOUBT } else { GRAVE_DOUBT };
                (self.highest, self.seen, self.lost) = (number, 1, 0);
            }
        }
        false
    }

    /// Returns whether a number that is not above the highest belies that it counts. One that falls
    /// to 0 or 1 may be a restart.
    fn does_not_count(&self, raw: u64, seq: u64, order: SendOrder) -> bool {
        match self.belief {
            FORM => {
                let stands_still = seq == self.highest && self.is_constant();
                order == SendOrder::Later && (raw > 1 || stands_still)
            }
            COUNTED => order == SendOrder::Unknown && raw > 1 && Some(seq) < self.first(),
            _ => false,
        }
    }

    /// Stops believing a number that does not count.
    fn doubt(&mut self, number: u64) {
        let received = self.received.saturating_add(self.duplicates).saturating_add(1);
        *self = Self { highest: number, seen: 1, received, belief: GRAVE_DOUBT, ..Self::default() };
    }

    /// Returns the highest number; it keeps growing if the sender's counter wraps.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.is_numbered().then_some(self.highest)
    }

    /// Returns whether all beats so far carried the same number.
    pub(super) fn is_constant(&self) -> bool {
        self.expected() == Some(1)
    }

    /// Returns how many of the expected numbers were received, each counted once; if no beat
    /// carried a number, the number of beats.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.into()
    }

    /// Returns the number of beats expected: all from the first number to the highest.
    #[must_use]
    pub fn expected(&self) -> Option<u64> {
        self.is_numbered().then(|| u64::from(self.received) + u64::from(self.lost))
    }

    /// Returns the first number, from which on beats are expected.
    pub(super) fn first(&self) -> Option<u64> {
        let expected = self.expected()?;
        Some(self.highest.saturating_sub(expected.saturating_sub(1)))
    }

    /// Returns how many were received after a higher number (RFC 4737).
    #[must_use]
    pub fn reordered(&self) -> u64 {
        self.reordered.into()
    }

    /// Returns the number of duplicates.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates.into()
    }

    /// Returns how far `seq` is above the highest number, if it is.
    pub(super) fn ahead(&self, seq: Option<u64>) -> Option<u64> {
        let seq = seq.filter(|_| self.is_numbered())?;
        let bits = if self.bits == 0 { self.wraps(seq) } else { self.bits };
        let ahead = Self { bits, ..*self }.extend(seq).saturating_sub(self.highest);
        (ahead > 0).then_some(ahead)
    }

    /// Returns how far `seq` is above the highest number, at least 1; 1 if either is missing.
    pub(super) fn steps(&self, seq: Option<u64>) -> u64 {
        self.ahead(seq).unwrap_or(1)
    }

    /// Returns whether `seq` is above all before. A beat without a number counts as the newest.
    pub(super) fn is_ahead(&self, seq: Option<u64>) -> bool {
        seq.is_none() || !self.is_numbered() || self.ahead(seq).is_some()
    }

    /// Counts and classifies a number, with the help of its beat's send time. If old beats are
    /// accepted, only a number that falls back to 0 or 1 is a restart.
    pub(super) fn observe(
        &mut self,
        seq: Option<u64>,
        order: SendOrder,
        old: OldBeats,
    ) -> SeqClass {
        let Some(raw) = seq else {
            if self.is_numbered() {
                return SeqClass::Unnumbered;
            }
            self.received = self.received.saturating_add(1);
            return SeqClass::Next;
        };
        if !self.is_numbered() {
            // The beats before were greetings.
            self.restart(raw);
            return SeqClass::Next;
        }
        let is_old = matches!(order, SendOrder::Earlier | SendOrder::BeforeFirst(_));
        if self.bits == 0 {
            if !is_old {
                self.bits = self.wraps(raw);
            }
        } else if raw >> self.bits != 0 {
            // It never wrapped: it started over close to the end of that range.
            if is_old {
                return SeqClass::Stale;
            }
            self.restart(raw);
            return SeqClass::Restart;
        }
        let seq = self.extend(raw);
        if seq > self.highest {
            self.received = self.received.saturating_add(1);
            return match self.move_to(seq) {
                None => SeqClass::Next,
                Some((first, last)) => SeqClass::AfterLoss { first, last },
            };
        }
        if self.received < FEW && self.does_not_count(raw, seq, order) {
            self.doubt(raw);
            return SeqClass::Next;
        }
        let age = self.highest - seq;
        let bit = u32::try_from(age).ok().and_then(|age| 1_u64.checked_shl(age));
        let bit = bit.filter(|_| Some(seq) >= self.first());
        let missing = bit.filter(|bit| self.seen & bit == 0);
        let from_the_start = raw <= 1 && seq < self.highest;
        let (is_of_this_run, is_of_another) = match order {
            SendOrder::BeforeFirst(by_s) => {
                let overtaken = Some(seq) < self.first() && by_s <= OVERTAKEN_S;
                (overtaken, !overtaken)
            }
            SendOrder::Earlier => (true, false),
            SendOrder::Later => (false, true),
            SendOrder::Same | SendOrder::Unknown => (false, false),
        };
        if let Some(bit) = missing
            && !(from_the_start && is_of_another)
        {
            self.seen |= bit;
            self.received = self.received.saturating_add(1);
            self.lost = self.lost.saturating_sub(1);
            self.reordered = self.reordered.saturating_add(1);
            return SeqClass::Late { seq };
        }
        // If the times do not decide, assume that an old number means a restart, not a delayed
        // packet.
        if !is_of_this_run {
            let in_sequence = old == OldBeats::Ignore
                && self.restart_candidate != 0
                && self.restart_candidate == low(raw);
            if from_the_start || in_sequence {
                self.restart(raw);
                return SeqClass::Restart;
            }
            self.restart_candidate = low(raw.wrapping_add(1));
        }
        if bit.is_some() {
            self.duplicates = self.duplicates.saturating_add(1);
            SeqClass::Duplicate
        } else {
            SeqClass::Stale
        }
    }

    /// Counts a number like [`believe`](Self::believe) and [`observe`](Self::observe), on a fast path,
    /// if it is the next one of a counter that never wrapped, and believed for the same reason as
    /// before; otherwise changes nothing. Returns whether it did.
    #[inline]
    pub(super) fn count_next(&mut self, reading: &Reading) -> bool {
        let belief = match reading.evidence {
            Evidence::Label => LABEL,
            Evidence::Form => FORM,
            Evidence::None => return false,
        };
        let next = self.highest.checked_add(1);
        if self.belief != belief || self.bits != 0 || self.seen == 0 || next != reading.seq {
            return false;
        }
        self.received = self.received.saturating_add(1);
        self.highest += 1;
        (self.seen, self.restart_candidate) = (self.seen << 1 | 1, 0);
        true
    }

    /// Skips the number of a goodbye, which is neither received nor expected. Returns the first and
    /// the last beat lost before it, or `None` if the client had already ended, because the missing
    /// numbers are then those of other goodbyes.
    pub(super) fn pass_goodbye(&mut self, seq: Option<u64>, has_ended: bool) -> Option<(u64, u64)> {
        let seq = self.extend(seq.filter(|_| self.is_numbered())?);
        if seq <= self.highest {
            return None;
        }
        let lost = self.lost;
        let missing = self.move_to(seq).filter(|_| !has_ended);
        if has_ended {
            self.lost = lost;
        }
        missing
    }

    /// Corrects the count of lost numbers: `count` of them were never sent, or could not be heard.
    pub(super) fn excuse(&mut self, count: u64) {
        self.lost = self.lost.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Returns the width of a counter that wraps from the highest number to `raw`, or 0.
    fn wraps(&self, raw: u64) -> u8 {
        let highest = self.highest;
        if raw > highest || raw >= NEAR {
            return 0;
        }
        let wraps = |bits: &u8| {
            let span = 1_u64 << bits;
            let near = NEAR.min(span / 16);
            raw < near && (span - near..span).contains(&highest)
        };
        [8, 16, 32].into_iter().find(wraps).unwrap_or(0)
    }

    /// Returns the number as if the sender's counter never wrapped.
    fn extend(&self, raw: u64) -> u64 {
        let span = match self.bits {
            0 => return raw,
            bits => 1_u64 << bits,
        };
        let ahead = raw.wrapping_sub(self.highest) % span;
        if ahead < span / 2 {
            self.highest.saturating_add(ahead)
        } else {
            self.highest.saturating_sub(span - ahead)
        }
    }

    /// Makes `seq` the highest number. Returns the first and the last number skipped.
    fn move_to(&mut self, seq: u64) -> Option<(u64, u64)> {
        let (before, step) = (self.highest, seq - self.highest);
        let missing = u32::try_from(step - 1).unwrap_or(u32::MAX);
        self.lost = self.lost.saturating_add(missing);
        let shifted = u32::try_from(step).ok().and_then(|step| self.seen.checked_shl(step));
        self.seen = shifted.unwrap_or(0) | 1;
        self.highest = seq;
        self.restart_candidate = 0;
        (step > 1).then(|| (before + 1, seq - 1))
    }
}

fn low(number: u64) -> u16 {
    (number & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Ordering;
    use std::collections::BTreeSet;

    fn observe(sequence: &mut Sequence, seq: u64, order: SendOrder) -> SeqClass {
        sequence.observe(Some(seq), order, OldBeats::Ignore)
    }

    fn observe_all(numbers: &[u64]) -> (Sequence, Vec<SeqClass>) {
        let mut sequence = Sequence::new(Some(numbers[0]));
        let classes = numbers[1..]
            .iter()
            .map(|&seq| observe(&mut sequence, seq, SendOrder::Unknown))
            .collect();
        (sequence, classes)
    }

    fn counts(sequence: &Sequence) -> (u64, u64) {
        (sequence.received(), sequence.expected().unwrap())
    }

    fn any_order() -> impl Strategy<Value = SendOrder> {
        prop_oneof![
            (0..20_u32).prop_map(SendOrder::BeforeFirst),
            Just(SendOrder::Earlier),
            Just(SendOrder::Later),
            Just(SendOrder::Same),
            Just(SendOrder::Unknown),
        ]
    }

    fn any_number() -> impl Strategy<Value = Option<u64>> {
        let near = |end: u64| end - 70..=end + 70;
        let ends = prop_oneof![near(255), near(u16::MAX.into()), near(u32::MAX.into())];
        prop::option::of(prop_oneof![0..140_u64, ends, u64::MAX - 140..=u64::MAX, any::<u64>()])
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Sequence>(), 36);
    }

    #[test]
    fn a_gap_is_lost_until_its_numbers_come() {
        let (sequence, classes) = observe_all(&[1, 2, 6, 4, 4, 7]);
        let gap = SeqClass::AfterLoss { first: 3, last: 5 };
        let late = SeqClass::Late { seq: 4 };
        let expected = [SeqClass::Next, gap, late, SeqClass::Duplicate, SeqClass::Next];
        assert_eq!(classes, expected);
        assert_eq!(counts(&sequence), (5, 7));
        assert_eq!((sequence.reordered(), sequence.duplicates()), (1, 1));
    }

    #[test]
    fn falling_back_to_the_start_is_a_restart() {
        for start in [0, 1] {
            let (sequence, classes) = observe_all(&[5, 6, start]);
            assert_eq!(classes[1], SeqClass::Restart);
            assert_eq!(counts(&sequence), (1, 1));
        }
        assert_eq!(observe_all(&[1, 1]).1, [SeqClass::Duplicate]);
        assert_eq!(observe_all(&[0, 2, 1]).1[1], SeqClass::Late { seq: 1 });
    }

    #[test]
    fn an_old_packet_is_not_a_restart() {
        let mut sequence = Sequence::new(Some(1));
        assert_eq!(observe(&mut sequence, 2, SendOrder::Later), SeqClass::Next);
        assert_eq!(observe(&mut sequence, 1, SendOrder::Earlier), SeqClass::Duplicate);
        assert_eq!(observe(&mut sequence, 1, SendOrder::Later), SeqClass::Restart);
        let mut sequence = Sequence::new(Some(0));
        observe(&mut sequence, 2, SendOrder::Later);
        assert_eq!(observe(&mut { sequence }, 1, SendOrder::Earlier), SeqClass::Late { seq: 1 });
        assert_eq!(observe(&mut sequence, 1, SendOrder::Later), SeqClass::Restart);
    }

    #[test]
    fn a_restart_is_seen_on_a_coarse_clock_or_one_set_back() {
        for order in [SendOrder::BeforeFirst(1000), SendOrder::Same] {
            let mut sequence = Sequence::new(Some(5));
            observe(&mut sequence, 6, SendOrder::Later);
            assert_eq!(observe(&mut sequence, 1, order), SeqClass::Restart);
        }
        let mut sequence = Sequence::new(Some(0));
        observe(&mut sequence, 2, SendOrder::Same);
        assert_eq!(observe(&mut { sequence }, 1, SendOrder::Same), SeqClass::Late { seq: 1 });
        assert_eq!(observe(&mut sequence, 1, SendOrder::BeforeFirst(1)), SeqClass::Restart);
    }

    #[test]
    fn a_packet_overtaken_by_the_first_is_not_a_restart() {
        let mut sequence = Sequence::new(Some(2));
        assert_eq!(observe(&mut sequence, 1, SendOrder::BeforeFirst(OVERTAKEN_S)), SeqClass::Stale);
        assert_eq!(observe(&mut sequence, 3, SendOrder::Later), SeqClass::Next);
        let restart = SendOrder::BeforeFirst(OVERTAKEN_S + 1);
        assert_eq!(observe(&mut sequence, 1, restart), SeqClass::Restart);
    }

    #[test]
    fn two_consecutive_old_numbers_are_a_restart() {
        assert_eq!(observe_all(&[500, 10, 11]).1, [SeqClass::Stale, SeqClass::Restart]);
        let twice = [SeqClass::Duplicate, SeqClass::Next, SeqClass::Duplicate];
        assert_eq!(observe_all(&[500, 500, 501, 501]).1, twice);
    }

    #[test]
    fn far_jumps_are_counted_without_a_loop() {
        let (sequence, classes) = observe_all(&[0, u64::MAX]);
        assert_eq!(classes, [SeqClass::AfterLoss { first: 1, last: u64::MAX - 1 }]);
        assert_eq!(
            counts(&sequence),
            (2, 2 + u64::from(u32::MAX)),
            "losses are counted in 32 bits"
        );
    }

    #[test]
    fn counters_of_8_16_and_32_bits_may_wrap() {
        for end in [u64::from(u8::MAX), u64::from(u16::MAX), u64::from(u32::MAX)] {
            let (sequence, classes) = observe_all(&[end - 1, end, 0, 2, 1, end, 3]);
            let gap = SeqClass::AfterLoss { first: end + 2, last: end + 2 };
            let expected = [
                SeqClass::Next,
                SeqClass::Next,
                gap,
                SeqClass::Late { seq: end + 2 },
                SeqClass::Duplicate,
                SeqClass::Next,
            ];
            assert_eq!(classes, expected);
            assert_eq!(counts(&sequence), (6, 6));
        }
    }

    #[test]
    fn a_restart_close_to_a_possible_wrap_is_noticed_later() {
        let (mut sequence, _) = observe_all(&[250, 1]);
        let classes: Vec<_> =
            (2..300).map(|seq| observe(&mut sequence, seq, SendOrder::Unknown)).collect();
        assert_eq!(classes.iter().filter(|class| **class == SeqClass::Restart).count(), 1);
        assert_eq!(counts(&sequence), (44, 44));
    }

    fn believe(sequence: &mut Sequence, seq: u64, evidence: Evidence) -> SeqClass {
        let seq = sequence.believe(&Reading { seq: Some(seq), evidence, ..Reading::default() });
        // A bare number comes without a time.
        let order = if evidence == Evidence::None { SendOrder::Unknown } else { SendOrder::Later };
        sequence.observe(seq, order, OldBeats::Ignore)
    }

    /// Returns a sequence of numbers without evidence.
    fn bare(numbers: impl IntoIterator<Item = u64>) -> Sequence {
        let mut sequence = Sequence::default();
        for seq in numbers {
            believe(&mut sequence, seq, Evidence::None);
        }
        sequence
    }

    #[test]
    fn a_number_that_counts_up_is_believed_with_those_before() {
        let sequence = bare([7, 8, 9]);
        assert_eq!((sequence.received(), sequence.expected(), sequence.highest()), (3, None, None));
        let mut sequence = bare([7, 8, 9, 10]);
        assert_eq!(counts(&sequence), (4, 4));
        let lost = SeqClass::AfterLoss { first: 11, last: 11 };
        assert_eq!(believe(&mut sequence, 12, Evidence::None), lost);
        assert_eq!(believe(&mut sequence, 11, Evidence::None), SeqClass::Late { seq: 11 });
        assert_eq!(believe(&mut sequence, 0, Evidence::None), SeqClass::Restart);
        assert_eq!(believe(&mut sequence, 1, Evidence::None), SeqClass::Next);
        // Losses before count, too.
        assert_eq!(counts(&bare([7, 10, 11, 12, 13])), (5, 7));
    }

    #[test]
    fn a_load_or_an_uptime_is_not_believed() {
        let loads: [&[u64]; 7] = [
            &[3; 40],
            &[3, 4, 3, 4, 5, 4, 5, 6, 7, 8, 9, 4, 5, 6, 7, 3],
            &[10, 20, 30, 40, 50, 60, 70, 80, 90],
            &[2, 4, 6, 8, 10, 12, 14],
            &[1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19],
            &[1_000_000, 1, 2_000_000, 2, 3, 3],
            &[3, 4, 5, 6, 2, 5, 3, 2],
        ];
        for numbers in loads {
            let sequence = bare(numbers.iter().copied());
            let received = numbers.len() as u64;
            assert_eq!((sequence.received(), sequence.expected()), (received, None), "{numbers:?}");
        }
        // A counter that only began badly is believed in the end.
        assert_eq!(counts(&bare([5, 1, 1].into_iter().chain(2..30))), (29, 29));
    }

    #[test]
    fn a_form_is_believed_until_its_number_does_not_count() {
        let mut sequence = Sequence::default();
        assert_eq!(believe(&mut sequence, 4, Evidence::Form), SeqClass::Next);
        assert_eq!(sequence.expected(), Some(1));
        for received in 2..20 {
            assert_eq!(believe(&mut sequence, 4, Evidence::Form), SeqClass::Next);
            assert_eq!((sequence.received(), sequence.expected()), (received, None));
        }
        let mut labelled = Sequence::new(Some(4));
        assert_eq!(believe(&mut labelled, 4, Evidence::Label), SeqClass::Duplicate);
    }

    #[test]
    fn a_number_without_evidence_does_not_count_beside_one_with_a_label() {
        let mut sequence = bare([2, 3]);
        assert_eq!(believe(&mut sequence, 1, Evidence::Label), SeqClass::Next);
        assert_eq!(believe(&mut sequence, 5, Evidence::None), SeqClass::Unnumbered);
        assert_eq!(believe(&mut sequence, 2, Evidence::Form), SeqClass::Next);
        assert_eq!(counts(&sequence), (2, 2));
    }

    #[test]
    fn beats_without_numbers_are_counted() {
        let mut sequence = Sequence::new(None);
        assert_eq!(sequence.observe(None, SendOrder::Unknown, OldBeats::Ignore), SeqClass::Next);
        assert_eq!((sequence.received(), sequence.expected(), sequence.highest()), (2, None, None));
    }

    #[test]
    fn goodbyes_are_neither_received_nor_expected() {
        let (mut sequence, _) = observe_all(&[7, 8]);
        assert_eq!(sequence.pass_goodbye(Some(11), false), Some((9, 10)));
        assert_eq!(counts(&sequence), (2, 4));
        for seq in [Some(11), Some(14), Some(3), None] {
            assert_eq!(sequence.pass_goodbye(seq, true), None);
            assert_eq!(counts(&sequence), (2, 4));
        }
        assert_eq!(observe(&mut sequence, 15, SendOrder::Unknown), SeqClass::Next);
        assert_eq!(counts(&sequence), (3, 5));
        let mut unnumbered = Sequence::new(None);
        assert_eq!(unnumbered.pass_goodbye(Some(4), false), None);
        assert_eq!((unnumbered.received(), unnumbered.expected()), (1, None));
    }

    #[test]
    fn greetings_are_neither_received_nor_expected() {
        let mut sequence = Sequence::new(None);
        assert_eq!(observe(&mut sequence, 3, SendOrder::Unknown), SeqClass::Next);
        let greeting = sequence.observe(None, SendOrder::Unknown, OldBeats::Ignore);
        assert_eq!(greeting, SeqClass::Unnumbered);
        observe(&mut sequence, 5, SendOrder::Unknown);
        assert_eq!(counts(&sequence), (2, 3));
    }

    proptest! {
        /// Shuffled and repeated numbers within the window, compared with a plain set.
        #[test]
        fn counts_match_a_set(
            numbers in prop::collection::vec(1000..1064_u64, 1..300),
        ) {
            let mut sequence = Sequence::new(Some(numbers[0]));
            let mut set = BTreeSet::from([numbers[0]]);
            let mut duplicates = 0;
            for &seq in &numbers[1..] {
                // Send times of one run, in the order of the numbers.
                let order = match Some(seq).cmp(&sequence.highest()) {
                    Ordering::Less => SendOrder::Earlier,
                    Ordering::Equal => SendOrder::Same,
                    Ordering::Greater => SendOrder::Later,
                };
                let class = observe(&mut sequence, seq, order);
                if seq < numbers[0] {
                    prop_assert_eq!(class, SeqClass::Stale);
                    continue;
                }
                let new = set.insert(seq);
                duplicates += u64::from(!new);
                prop_assert_eq!(!new, class == SeqClass::Duplicate);
                prop_assert_eq!(sequence.received(), set.len() as u64);
                prop_assert_eq!(sequence.duplicates(), duplicates);
                let highest = *set.last().unwrap();
                prop_assert_eq!(sequence.expected(), Some(highest - numbers[0] + 1));
            }
        }

        #[test]
        fn counters_wrap_without_losing_the_counts(
            bits in prop::sample::select(vec![8, 16, 32]), back in 0..100_u64,
            steps in prop::collection::vec(1..=8_u64, 100..400),
        ) {
            let span = 1 << bits;
            let first = span - 1 - back;
            let mut sequence = Sequence::new(Some(first));
            let mut number = first;
            for step in &steps {
                number += step;
                let class = observe(&mut sequence, number % span, SendOrder::Later);
                let is_newer = matches!(class, SeqClass::Next | SeqClass::AfterLoss { .. });
                prop_assert!(is_newer, "{:?}", class);
            }
            let received = steps.len() as u64 + 1;
            prop_assert_eq!(counts(&sequence), (received, number - first + 1));
        }

        #[test]
        fn any_numbers_are_accepted(
            numbers in prop::collection::vec((any_number(), any_order(), 0..8_usize), 1..50),
            old in prop::sample::select(vec![OldBeats::Ignore, OldBeats::Accept]),
        ) {
            let mut sequence = Sequence::new(numbers[0].0);
            for &(seq, order, kind) in &numbers {
                prop_assert!(sequence.steps(seq) > 0);
                match kind {
                    0 => drop(sequence.pass_goodbye(seq, false)),
                    1 => drop(sequence.pass_goodbye(seq, true)),
                    2..=4 => {
                        let evidence = [Evidence::None, Evidence::Form, Evidence::Label][kind - 2];
                        let seq = sequence.believe(&Reading { seq, evidence, ..Reading::default() });
                        sequence.observe(seq, order, old);
                    }
                    _ => drop(sequence.observe(seq, order, old)),
                }
                if let Some(expected) = sequence.expected() {
                    prop_assert!((1..=expected).contains(&sequence.received()));
                }
            }
        }
    }
}
