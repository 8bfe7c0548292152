//! Rules: packets chosen by their bytes, their size and their number.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::impair::link::{Flags, LinkDraw};
use crate::{Error, Result};

/// An action on packets that it chooses; it makes no random choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    action: Action,
    bytes: Option<Bytes>,
    sizes: RangeInclusive<usize>,
    nth: Nth,
}

/// The effect of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The packet is lost.
    Drop,
    /// It is held back for this time, in nanoseconds.
    Delay(i64),
    /// It arrives twice.
    Duplicate,
    /// This bit is flipped, counted from the lowest bit of the first byte. A packet that has no such
    /// bit does not match.
    Corrupt(u32),
}

/// The bytes of matching packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Where they are.
    pub offset: usize,
    /// Their bits that count.
    pub mask: Box<[u8]>,
    /// The values of these bits.
    pub value: Box<[u8]>,
}

/// The numbers of the matches on which a rule acts, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nth {
    /// All.
    Every,
    /// Those from the first up to the second, which is not one of them, by steps of the third.
    Range(u64, u64, u64),
    /// These, in rising order.
    List(Arc<[u64]>),
}

/// How many packets matched each rule of a link.
#[derive(Clone, Debug, Default)]
pub(super) struct Matches(Vec<u64>);

impl Rule {
    /// The most rules of a link.
    pub const MAX: usize = 64;
    /// The size of the longest payload: that of IPv6.
    pub const MAX_SIZE: usize = 65_527;
    /// The most numbers of a list.
    pub const MAX_NUMBERS: usize = 1 << 16;

    /// Creates a rule for packets with these bytes and one of these sizes.
    ///
    /// # Errors
    /// [`Error::Argument`] names an argument by which no packet could match.
    pub fn new(
        action: Action,
        bytes: Option<Bytes>,
        sizes: RangeInclusive<usize>,
        nth: Nth,
    ) -> Result<Self> {
        let (least, most) = (*sizes.start(), *sizes.end());
        if most < least {
            let allowed = format!("at least min_size ({least})");
            return Err(Error::argument("max_size", most, allowed));
        }
        if let Some(bytes) = &bytes {
            bytes.check(most)?;
        }
        if let Action::Corrupt(bit) = action
            && bit as usize / 8 >= most
        {
            let allowed = format!("a bit of the first {most} bytes, which max_size allows");
            return Err(Error::argument("bit", bit, allowed));
        }
        nth.check()?;
        Ok(Self { action, bytes, sizes, nth })
    }

    /// Returns whether it delays packets.
    pub(super) fn delays(&self) -> bool {
        matches!(self.action, Action::Delay(_))
    }

    fn matches(&self, payload: &[u8]) -> bool {
        self.sizes.contains(&payload.len())
            && self.bytes.as_ref().is_none_or(|bytes| bytes.are_in(payload))
            && !matches!(self.action, Action::Corrupt(bit) if bit as usize / 8 >= payload.len())
    }

    /// Changes the decisions for a packet. Returns whether there was anything to change.
    pub(super) fn apply(&self, drawn: &mut LinkDraw) -> bool {
        if let Action::Drop = self.action {
            *drawn = LinkDraw { flags: Flags::LOST, ..LinkDraw::default() };
            return true;
        }
        for copy in drawn.copies.iter_mut().flatten() {
            match self.action {
                Action::Delay(ns) => {
                    copy.held_ns = Some(copy.held_ns.unwrap_or(0).saturating_add(ns));
                }
                Action::Corrupt(bit) => copy.flipped = Some(bit),
                Action::Drop | Action::Duplicate => {}
            }
        }
        let [first, second] = &mut drawn.copies;
        if first.is_some() && self.action == Action::Duplicate {
            *second = second.or(*first);
            drawn.flags.add(Flags::DUPLICATED);
        }
        first.is_some()
    }
}

impl Bytes {
    fn check(&self, most: usize) -> Result<()> {
        let Self { offset, mask, value } = self;
        if value.is_empty() || value.len() > most {
            let allowed = format!("1 to {most} bytes long");
            return Err(Error::argument("value", value.len(), allowed));
        }
        if mask.len() != value.len() {
            let allowed = format!("as long as value ({} bytes)", value.len());
            return Err(Error::argument("mask", mask.len(), allowed));
        }
        if let Some(at) = value.iter().zip(mask).position(|(value, mask)| value & !mask != 0) {
            let (value, mask) = (value[at], mask[at]);
            let allowed = format!("0 where mask is: within {mask:#04x} in byte {at}");
            return Err(Error::argument("value", format!("{value:#04x}"), allowed));
        }
        let last = most - value.len();
        if *offset > last {
            let allowed = format!("0 to {last}, so that value ends within max_size");
            return Err(Error::argument("offset", offset, allowed));
        }
        Ok(())
    }

    fn are_in(&self, payload: &[u8]) -> bool {
        let found = payload.get(self.offset..).and_then(|rest| rest.get(..self.value.len()));
        found.is_some_and(|found| {
            let masked = found.iter().zip(&self.mask).map(|(byte, mask)| byte & mask);
            masked.eq(self.value.iter().copied())
        })
    }
}

impl Nth {
    /// Returns the numbers of a list in any order.
    #[must_use]
    pub fn list(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        Self::List(numbers.into())
    }

    fn check(&self) -> Result<()> {
        let (is_empty, first) = match self {
            Self::Every => (false, 1),
            Self::Range(first, end, step) => (first >= end || *step == 0, *first),
            Self::List(numbers) => (numbers.is_empty(), numbers.first().copied().unwrap_or(1)),
        };
        if is_empty || first == 0 {
            let given = if is_empty { "none" } else { "0" };
            return Err(Error::argument("nth", given, "numbers from 1"));
        }
        Ok(())
    }

    fn includes(&self, number: u64) -> bool {
        match self {
            Self::Every => true,
            Self::Range(first, end, step) => {
                (*first..*end).contains(&number) && (number - first).is_multiple_of(*step)
            }
            Self::List(numbers) => numbers.binary_search(&number).is_ok(),
        }
    }
}

impl Matches {
    /// Counts a packet for each rule that it matches. Returns the first one that acts on it.
    pub(super) fn hit(&mut self, rules: &[Rule], payload: &[u8]) -> Option<usize> {
        self.0.resize(rules.len(), 0);
        let mut hit = None;
        for (index, (rule, count)) in rules.iter().zip(&mut self.0).enumerate() {
            if rule.matches(payload) {
                *count += 1;
                hit = hit.or_else(|| rule.nth.includes(*count).then_some(index));
            }
        }
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZES: RangeInclusive<usize> = 0..=Rule::MAX_SIZE;

    fn bytes(offset: usize, mask: &[u8], value: &[u8]) -> Bytes {
        Bytes { offset, mask: mask.into(), value: value.into() }
    }

    fn rule(bytes: impl Into<Option<Bytes>>, nth: Nth) -> Rule {
        Rule::new(Action::Drop, bytes.into(), SIZES, nth).unwrap()
    }

    /// Returns the rule that acts on each packet.
    fn hits(rules: &[Rule], packets: &[&[u8]]) -> Vec<Option<usize>> {
        let mut matches = Matches::default();
        packets.iter().map(|packet| matches.hit(rules, packet)).collect()
    }

    #[test]
    fn bytes_are_compared_under_their_mask() {
        // A long header of QUIC: the type is in two bits.
        let initial = rule(bytes(0, &[0xb0], &[0x80]), Nth::Every);
        let packets: [&[u8]; 5] = [b"\xc3abc", b"\xd3abc", b"\x43abc", b"\x80", b""];
        let expected = [Some(0), None, None, Some(0), None];
        assert_eq!(hits(&[initial], &packets), expected);
        let hello = rule(bytes(1, &[255; 2], b"bc"), Nth::Every);
        let packets: [&[u8]; 4] = [b"abc", b"abcd", b"ab", b"bc"];
        assert_eq!(hits(&[hello], &packets), [Some(0), Some(0), None, None]);
    }

    #[test]
    fn each_rule_counts_its_matches_and_the_first_that_is_due_acts() {
        let rules = [
            rule(bytes(0, &[255], b"a"), Nth::list(vec![2])),
            rule(bytes(0, &[255], b"a"), Nth::list(vec![4, 2])),
            rule(None, Nth::Range(5, u64::MAX, 2)),
        ];
        let packets: [&[u8]; 7] = [b"a", b"b", b"a", b"a", b"b", b"a", b"b"];
        let expected = [None, None, Some(0), None, Some(2), Some(1), Some(2)];
        assert_eq!(hits(&rules, &packets), expected);
    }

    #[test]
    fn sizes_and_bits_must_exist() {
        let sized = Rule::new(Action::Drop, None, 2..=3, Nth::Every).unwrap();
        let packets: [&[u8]; 4] = [b"a", b"ab", b"abc", b"abcd"];
        assert_eq!(hits(&[sized], &packets), [None, Some(0), Some(0), None]);
        let flip = Rule::new(Action::Corrupt(8), None, SIZES, Nth::Every).unwrap();
        assert_eq!(hits(&[flip], &packets[..2]), [None, Some(0)]);
    }

    #[test]
    fn impossible_rules_are_named() {
        let text = |action, bytes, sizes, nth| {
            Rule::new(action, bytes, sizes, nth).unwrap_err().to_string()
        };
        let of_bytes = |bytes| text(Action::Drop, Some(bytes), 0..=10, Nth::Every);
        assert_eq!(of_bytes(bytes(0, b"", b"")), "value must be 1 to 10 bytes long, not 0");
        assert_eq!(
            of_bytes(bytes(0, b"abc", b"ab")),
            "mask must be as long as value (2 bytes), not 3"
        );
        assert_eq!(
            of_bytes(bytes(0, b"\xff\x0f", b"\x01\x10")),
            "value must be 0 where mask is: within 0x0f in byte 1, not 0x10"
        );
        assert_eq!(
            of_bytes(bytes(9, &[255; 2], b"ab")),
            "offset must be 0 to 8, so that value ends within max_size, not 9"
        );
        assert_eq!(
            text(Action::Drop, None, RangeInclusive::new(5, 4), Nth::Every),
            "max_size must be at least min_size (5), not 4"
        );
        assert_eq!(
            text(Action::Corrupt(80), None, 0..=10, Nth::Every),
            "bit must be a bit of the first 10 bytes, which max_size allows, not 80"
        );
        for (nth, given) in [
            (Nth::list(Vec::new()), "none"),
            (Nth::Range(3, 3, 1), "none"),
            (Nth::list(vec![0, 3]), "0"),
        ] {
            assert_eq!(
                text(Action::Drop, None, 0..=10, nth),
                format!("nth must be numbers from 1, not {given}")
            );
        }
    }

    proptest! {
        #[test]
        fn a_range_includes_what_it_lists(
            start in 1..20_u64, length in 1..20_u64, step in 1..5_u64, number in 0..50_u64,
        ) {
            let range = Nth::Range(start, start + length, step);
            let step_size = usize::try_from(step).unwrap();
            let list = Nth::list((start..start + length).step_by(step_size).collect());
            prop_assert_eq!(range.includes(number), list.includes(number));
        }
    }
}
