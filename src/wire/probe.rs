//! The tag of a probe and of its reply, in the word behind the token:
//!
//! ```text
//! Ping 7 1760000000.123456 0123456789ABCDEF k=2026a;m=00112233445566778899AABBCCDDEEFF ....
//! ```
//!
//! The tag covers all other bytes and the direction: a probe that is sent back is not a reply.

use std::ops::Range;

use crate::wire::keys::hex_tag;
use crate::wire::{Key, TAG};

/// The length of a tag's digits.
const DIGITS: usize = 2 * TAG;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// How many bytes of a datagram are searched for a tag.
const SEARCHED: usize = 256;

/// The direction of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Probe,
    /// Back.
    Reply,
}

impl Direction {
    const fn domain(self) -> &'static [u8] {
        match self {
            Self::Probe => b"udpulse ping 1 c>s",
            Self::Reply => b"udpulse ping 1 s>c",
        }
    }
}

/// The session and the number of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token of its session.
    pub token: [u8; 16],
    /// Its number.
    pub seq: u64,
}

/// The tag that a datagram claims to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The id of its key.
    pub id: &'a [u8],
    /// Where its digits end.
    pub end: usize,
    /// The probe that it would be.
    pub probe: Identity,
}

impl<'a> Claim<'a> {
    /// Finds the tag of a probe; `None` if it has none, or no number or token before it.
    #[must_use]
    pub fn find(probe: &'a [u8]) -> Option<Self> {
        let beginning = &probe[..probe.len().min(SEARCHED)];
        let mut blanks = (0..beginning.len()).filter(|at| beginning[*at] == b' ');
        let mut blank = || blanks.next();
        let (first, second, third, fourth) = (blank()?, blank()?, blank()?, blank()?);
        let end = blank().unwrap_or(beginning.len());
        let seq = std::str::from_utf8(&beginning[first + 1..second]).ok()?.parse().ok()?;
        let token = beginning[third + 1..fourth].try_into().ok()?;
        let word = beginning[fourth + 1..end].strip_prefix(b"k=")?;
        let length = word.iter().position(|byte| *byte == b';')?;
        let digits = word[length + 1..].strip_prefix(b"m=")?;
        let end = end - digits.len() + DIGITS;
        Some(Self { id: &word[..length], end, probe: Identity { token, seq } })
    }
}

/// Appends the word with a tag of zeros to a probe.
pub fn append(id: &str, probe: &mut Vec<u8>) {
    for part in [" k=", id, ";m="] {
        probe.extend_from_slice(part.as_bytes());
    }
    probe.resize(probe.len() + DIGITS, b'0');
}

/// Returns the place of the digits of a tag that ends there.
#[must_use]
pub fn digits(end: usize) -> Range<usize> {
    end.saturating_sub(DIGITS)..end
}

/// Returns the length of the word with a tag, and of the blank before it.
#[must_use]
pub fn length(id: &str) -> usize {
    " k=;m=".len() + id.len() + DIGITS
}

/// Writes the tag of a datagram that ends there; does nothing if that is outside.
pub fn sign(datagram: &mut [u8], end: usize, direction: Direction, key: &Key) {
    let Some((before, _, after)) = split(datagram, end) else { return };
    let tag = key.tag([direction.domain(), before, after]);
    let (places, _) = datagram[digits(end)].as_chunks_mut();
    for (place, byte) in places.iter_mut().zip(tag) {
        *place = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
}

/// Returns whether the tag of a datagram that ends there is right, and the end of its word.
#[must_use]
pub fn verifies(datagram: &[u8], end: usize, direction: Direction, key: &Key) -> bool {
    split(datagram, end).is_some_and(|(before, digits, after)| {
        let ends = after.first().is_none_or(|byte| *byte == b' ');
        let tag = tag(digits).filter(|_| ends);
        tag.is_some_and(|tag| key.verifies([direction.domain(), before, after], &tag))
    })
}

/// Returns the bytes before, of and after the digits of a tag that ends there.
fn split(datagram: &[u8], end: usize) -> Option<(&[u8], &[u8], &[u8])> {
    let (rest, after) = datagram.split_at_checked(end)?;
    let (before, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    Some((before, digits, after))
}

/// Parses a tag. Lower case is refused: a bit may have changed it.
fn tag(digits: &[u8]) -> Option<[u8; TAG]> {
    let lower = digits.iter().any(u8::is_ascii_lowercase);
    if lower { None } else { hex_tag(digits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROBE: &str = "Ping 7 1760000000.123456 0123456789ABCDEF";

    fn key() -> Key {
        Key::new(&[7; 32]).unwrap()
    }

    /// Returns a signed probe and the end of its tag.
    fn signed(id: &str, padding: &[u8]) -> (Vec<u8>, usize) {
        let mut probe = PROBE.as_bytes().to_vec();
        append(id, &mut probe);
        let end = probe.len();
        probe.extend_from_slice(padding);
        sign(&mut probe, end, Direction::Probe, &key());
        (probe, end)
    }

    fn is_right(datagram: &[u8], direction: Direction) -> bool {
        let claim = Claim::find(datagram);
        claim.is_some_and(|claim| verifies(datagram, claim.end, direction, &key()))
    }

    #[test]
    fn a_tag_is_found_where_it_was_written() {
        for padding in [&b""[..], b" ", b" k=b;m=00", b" \xff\0"] {
            for id in ["a", "2026a", "x-_.0123456789AB"] {
                let (probe, end) = signed(id, padding);
                let found = Claim::find(&probe).unwrap();
                let probe_of = Identity { token: *b"0123456789ABCDEF", seq: 7 };
                assert_eq!(found, Claim { id: id.as_bytes(), end, probe: probe_of });
                assert_eq!(length(id) + PROBE.len() + padding.len(), probe.len());
                assert!(is_right(&probe, Direction::Probe));
            }
        }
    }

    #[test]
    fn a_probe_sent_back_is_no_reply() {
        let (mut probe, end) = signed("a", b" ....");
        assert!(!is_right(&probe, Direction::Reply));
        sign(&mut probe, end, Direction::Reply, &key());
        assert!(is_right(&probe, Direction::Reply) && !is_right(&probe, Direction::Probe));
    }

    #[test]
    fn a_truncated_tag_is_wrong() {
        let (probe, end) = signed("a", b"");
        for length in [0, 2, 30, 31] {
            let (probe, _) = probe.split_at(digits(end).start + length);
            assert!(!is_right(probe, Direction::Probe) && Claim::find(probe).is_some());
            assert!(!is_right(&[probe, b" ...."].concat(), Direction::Probe));
        }
        assert!(!is_right(&[&probe[..], b"00"].concat(), Direction::Probe));
        assert!(!is_right(&probe.to_ascii_lowercase(), Direction::Probe));
    }

    #[test]
    fn other_words_are_no_tag() {
        for probe in ["", PROBE, "Ping k=a;m=0", "    "] {
            assert_eq!(Claim::find(probe.as_bytes()), None, "{probe}");
        }
        let token = "0123456789ABCDEF";
        for (seq, token, word) in [
            ("7", token, "k=a"),
            ("7", token, "m=0;k=a"),
            ("x", token, "k=a;m=0"),
            ("7", &token[1..], "k=a;m=0"),
        ] {
            let probe = format!("Ping {seq} 1.0 {token} {word}");
            assert_eq!(Claim::find(probe.as_bytes()), None, "{probe}");
        }
        let mut empty = [];
        for end in [0, 1, DIGITS, usize::MAX] {
            sign(&mut empty, end, Direction::Probe, &key());
            assert!(!verifies(&empty, end, Direction::Probe, &key()));
        }
    }

    proptest! {
        #[test]
        fn any_change_is_found(bit in 0..8 * 90_usize) {
            let (mut probe, end) = signed("2026a", b" ...........");
            prop_assert_eq!(probe.len(), 96);
            let bit = bit % (8 * probe.len());
            probe[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verifies(&probe, end, Direction::Probe, &key()));
            prop_assert!(!is_right(&probe, Direction::Probe));
        }

        #[test]
        fn any_bytes_are_read(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            words in "[ kam=;:0-9A-F]{0,80}",
            end in 0..400_usize,
        ) {
            for datagram in [&bytes[..], words.as_bytes()] {
                prop_assert!(!is_right(datagram, Direction::Reply));
            }
            prop_assert!(!verifies(&bytes, end, Direction::Probe, &key()));
            sign(&mut bytes, end, Direction::Probe, &key());
        }
    }
}
