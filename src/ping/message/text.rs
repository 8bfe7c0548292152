//! The lab's message with a token, and the likeness of a reply.

use crate::Random;
use crate::ping::message::{Fill, Signer};
use crate::wire::probe::{self, Direction};
use crate::wire::{first_word, write_text};

/// The smallest payload that carries a token; it leaves room for the lab's message with any number.
pub const MIN_TOKEN_SIZE: usize = 64;

/// How many bytes of a reply are searched.
const SEARCHED: usize = 1024;

/// How many occurrences of a word in a reply are read.
const MAX_WORDS: usize = 4;

/// The lab's message `Ping seq time`; from [`MIN_TOKEN_SIZE`] on, a secret token follows and, with a
/// key, its tag. Padding up to the size comes last.
#[derive(Debug)]
pub(in crate::ping) struct Text {
    secret: u64,
    token: Option<Token>,
    size: usize,
    fill: Fill,
    key: Option<Signer>,
    /// The probe composed last: its number and time, and the end of its tag.
    said_of: Option<(u64, i64)>,
    end: usize,
    said: Vec<u8>,
}

/// A random number in hexadecimal digits.
pub(in crate::ping) type Token = [u8; 16];

/// Appends the lab's message, the beginning of every probe.
fn write_lab(seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Ping");
    write_text(seq, wall_ns, out);
}

/// Returns the token of a reply if it is the fourth word, as in a probe.
pub(in crate::ping) fn token_of(reply: &[u8]) -> Option<Token> {
    let mut rest = &reply[..reply.len().min(2 * MIN_TOKEN_SIZE)];
    for _ in 0..3 {
        rest = rest.get(first_word(rest) + 1..)?;
    }
    rest[..first_word(rest)].try_into().ok()
}

/// Returns the numbers after the first few occurrences of `word` in `text`, in any case, each with
/// the index of the word.
pub(in crate::ping) fn numbers_after(
    word: &'static [u8],
    text: &[u8],
) -> impl Iterator<Item = (usize, u64)> {
    let text = searched(text);
    let words = text.windows(word.len()).enumerate();
    let found = words.filter(|(_, window)| window.eq_ignore_ascii_case(word)).take(MAX_WORDS);
    found.filter_map(|(index, _)| Some((index, whole_number(&text[index + word.len()..])?)))
}

/// Returns the number of a probe whose end may be missing.
pub(super) fn quoted_number(probe: &[u8]) -> Option<u64> {
    let rest = probe.strip_prefix(b"Ping ")?;
    whole_number(&rest[..rest.iter().position(|byte| *byte == b' ')?])
}

/// Returns whether `text` begins the probe with this number and ends before its time.
pub(super) fn is_start(text: &[u8], seq: u64) -> bool {
    text.is_empty() || format!("Ping {seq} ").as_bytes().starts_with(text)
}

/// Returns the part of a reply that is searched.
pub(in crate::ping) fn searched(reply: &[u8]) -> &[u8] {
    &reply[..reply.len().min(SEARCHED)]
}

/// Returns the whole number that `text` begins with.
fn whole_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || text.get(digits) == Some(&b'.') {
        return None;
    }
    text[..digits].iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// Returns whether two texts of the same length differ, apart from case, in at most an eighth of
/// their bytes, or in one.
fn nearly_same(one: &[u8], other: &[u8]) -> bool {
    let differ = |(one, other): &(&u8, &u8)| !one.eq_ignore_ascii_case(other);
    one.len() == other.len()
        && one.iter().zip(other).filter(differ).count() <= (one.len() / 8).max(1)
}

/// Returns whether `raised` is `text` in upper case.
fn is_raised(text: &[u8], raised: &[u8]) -> bool {
    text.len() == raised.len()
        && text.iter().zip(raised).all(|(byte, raised)| byte.to_ascii_uppercase() == *raised)
}

impl Text {
    /// Creates messages of `size` bytes, or more if the lab's message is longer. `secret` becomes
    /// the token. With a `key` there are both a token and a tag.
    pub(super) fn new(size: usize, fill: Fill, secret: u64, key: Option<Signer>) -> Self {
        let least = key.as_ref().map_or(0, |signer| MIN_TOKEN_SIZE + probe::length(&signer.0));
        let size = size.max(least);
        let token = (size >= MIN_TOKEN_SIZE).then(|| {
            // Upper case, because the lab's server raises letters.
            let digit = |place| b"0123456789ABCDEF"[((secret >> (60 - 4 * place)) & 15) as usize];
            std::array::from_fn(digit)
        });
        let said = Vec::with_capacity(size.max(MIN_TOKEN_SIZE));
        Self { secret, token, size, fill, key, said_of: None, end: 0, said }
    }

    /// Returns the token, if there is one.
    pub(super) fn token(&self) -> Option<Token> {
        self.token
    }

    /// Writes the probe with this number into `out`, replacing its content.
    pub(super) fn write(&mut self, seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
        self.compose(seq, wall_ns);
        out.clear();
        out.extend_from_slice(&self.said);
        if let Some((_, key)) = self.key.as_deref() {
            probe::sign(out, self.end, Direction::Probe, key);
        }
    }

    /// Composes the probe with this number, with a tag of zeros if there is a key, unless it was
    /// composed last: usually its reply comes before the next one.
    fn compose(&mut self, seq: u64, wall_ns: i64) {
        if self.said_of == Some((seq, wall_ns)) {
            return;
        }
        let out = &mut self.said;
        out.clear();
        write_lab(seq, wall_ns, out);
        if let Some(token) = &self.token {
            out.push(b' ');
            out.extend_from_slice(token);
        }
        if let Some(signer) = &self.key {
            probe::append(&signer.0, out);
        }
        (self.said_of, self.end) = (Some((seq, wall_ns)), out.len());
        if self.end < self.size {
            out.push(b' ');
            self.fill.pad(self.size, || Random::stream(self.secret, &[seq]), out);
        }
    }

    /// Returns the number of a probe whose end may be missing.
    pub(super) fn number_of(&self, probe: &[u8]) -> Option<u64> {
        let is_ours = self.token.is_none_or(|token| token_of(probe) == Some(token));
        if is_ours { quoted_number(probe) } else { None }
    }

    /// Returns whether a reply carries our token, or nearly.
    pub(in crate::ping) fn is_ours(&self, reply: &[u8]) -> bool {
        let Some(token) = &self.token else { return false };
        let beginning = &reply[..reply.len().min(2 * MIN_TOKEN_SIZE)];
        beginning.windows(token.len()).any(|window| nearly_same(window, token))
    }

    /// Returns whether `reply` is the probe as sent or all in upper case; with a key, it must have
    /// the tag of a reply. Without a token, a reply of another length may have the lab's message in
    /// any case at `index`: some servers put words of their own around it.
    pub(in crate::ping) fn is_echo(
        &mut self,
        reply: &[u8],
        index: usize,
        seq: u64,
        wall_ns: i64,
    ) -> bool {
        self.compose(seq, wall_ns);
        let Self { token, key, end, said, .. } = &*self;
        if said.len() == reply.len() {
            let tag = if key.is_some() { probe::digits(*end) } else { 0..0 };
            let rest = [0..tag.start, tag.end..said.len()];
            let are = |same: fn(&[u8], &[u8]) -> bool| {
                rest.iter().all(|at| same(&said[at.clone()], &reply[at.clone()]))
            };
            let key = key.as_ref();
            (are(|said, reply| said == reply) || are(is_raised))
                && key.is_none_or(|key| probe::verifies(reply, *end, Direction::Reply, &key.1))
        } else {
            // Without a token that is the end of the lab's message.
            let quoted = reply.get(index..index + end);
            token.is_none() && quoted.is_some_and(|text| text.eq_ignore_ascii_case(&said[..*end]))
        }
    }

    /// Returns whether `reply` has the length of the probe, which has no tag, and differs from it in
    /// a few bytes.
    pub(in crate::ping) fn is_nearly(&mut self, reply: &[u8], seq: u64, wall_ns: i64) -> bool {
        self.compose(seq, wall_ns);
        nearly_same(&self.said, reply)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use super::*;
    use crate::wire::{Key, MAX_DATAGRAM};
    use proptest::prelude::*;

    const WALL_NS: i64 = 1_486_420_330_837_133_000;
    const SECRET: u64 = 0x1234_5678_9ABC_DEF0;

    fn fills() -> [Fill; 4] {
        let pattern = |bytes: &'static [u8]| Fill::Pattern(Cow::Borrowed(bytes));
        [Fill::default(), pattern(b"abc"), pattern(&[7; 100]), Fill::Random]
    }

    fn filled(size: usize, fill: Fill) -> (Text, Vec<u8>) {
        let mut message = Text::new(size, fill, SECRET, None);
        let mut out = Vec::new();
        message.write(7, WALL_NS, &mut out);
        (message, out)
    }

    fn message(size: usize) -> (Text, Vec<u8>) {
        filled(size, Fill::default())
    }

    fn is_echo(message: &mut Text, reply: &[u8]) -> bool {
        let mut numbers = numbers_after(b"Ping ", reply);
        numbers.any(|(index, seq)| message.is_echo(reply, index, seq, WALL_NS))
    }

    #[test]
    fn the_labs_message_comes_first_and_the_size_is_kept() {
        for size in [0, 25, 26, 30, MIN_TOKEN_SIZE, 100, MAX_DATAGRAM] {
            for fill in fills() {
                let (mut message, out) = filled(size, fill);
                assert!(out.starts_with(b"Ping 7 1486420330.837133"));
                assert_eq!((out.len(), message.number_of(&out)), (size.max(24), Some(7)));
                let upper = out.to_ascii_uppercase();
                assert!(is_echo(&mut message, &out) && is_echo(&mut message, &upper));
                assert_eq!(token_of(&upper), message.token());
            }
        }
        let mut out = Vec::new();
        message(MIN_TOKEN_SIZE).0.write(u64::MAX, WALL_NS, &mut out);
        assert_eq!(out.len(), MIN_TOKEN_SIZE);
    }

    #[test]
    fn padding_repeats_a_pattern_or_is_random() {
        let padding = |size, fill| filled(size, fill).1.split_off(25);
        assert_eq!(padding(33, Fill::Pattern(b"abc".into())), b"abcabcab");
        assert_eq!(padding(27, Fill::Pattern(b"abc".into())), b"ab");
        let mut random = Text::new(60, Fill::Random, SECRET, None);
        let [mut one, mut other] = [Vec::new(), Vec::new()];
        random.write(1, WALL_NS, &mut one);
        random.write(2, WALL_NS, &mut other);
        assert_ne!(one[25..], other[25..]);
        assert_eq!(random.number_of(&one[..8]), Some(1));
        assert_eq!(random.number_of(b"Ping 12"), None, "the end of the number is missing");
    }

    #[test]
    fn a_forged_reply_lacks_the_token() {
        let (mut message, out) = message(64);
        assert!(!message.is_ours(&out[..24]) && message.is_ours(&out[..41]));
        let mut other = Text::new(64, Fill::default(), 2, None);
        assert!(!other.is_ours(&out) && !is_echo(&mut other, &out));
        assert_eq!((other.number_of(&out), message.number_of(&out)), (None, Some(7)));
        assert!(is_echo(&mut message, &out));
    }

    /// Returns messages with a key, a probe, and its reply in the same letters.
    fn keyed(size: usize) -> (Text, Vec<u8>, Vec<u8>) {
        let key = Key::new(&[7; 32]).unwrap();
        let signer = Some(Arc::new(("2026a".to_owned(), key)));
        let mut message = Text::new(size, Fill::default(), SECRET, signer);
        let (mut probe, mut reply) = (Vec::new(), Vec::new());
        message.write(7, WALL_NS, &mut probe);
        message.compose(7, WALL_NS);
        reply.extend_from_slice(&message.said);
        probe::sign(&mut reply, message.end, Direction::Reply, &Key::new(&[7; 32]).unwrap());
        (message, probe, reply)
    }

    #[test]
    fn a_tag_follows_the_token() {
        for (size, length) in [(0, 107), (64, 107), (107, 107), (200, 200)] {
            let (mut message, probe, reply) = keyed(size);
            assert!(probe.starts_with(b"Ping 7 1486420330.837133 123456789ABCDEF0 k=2026a;m="));
            assert_eq!((probe.len(), message.number_of(&probe)), (length, Some(7)));
            assert!(is_echo(&mut message, &reply));
            // A probe that comes back, one that somebody made, and a truncated tag.
            let mut forged = reply.clone();
            forged[52] = if forged[52] == b'0' { b'1' } else { b'0' };
            for other in [probe, forged, [&reply[..80], &reply[81..]].concat()] {
                assert!(!is_echo(&mut message, &other) && message.is_ours(&other));
            }
        }
        let (mut out, mut message) = (Vec::new(), keyed(0).0);
        message.write(u64::MAX, WALL_NS, &mut out);
        assert_eq!(out.len(), 107, "with any number");
    }

    #[test]
    fn a_reply_in_upper_case_has_a_tag_of_its_own() {
        let (mut message, probe, mut reply) = keyed(0);
        reply.make_ascii_uppercase();
        assert!(!is_echo(&mut message, &reply));
        probe::sign(&mut reply, message.end, Direction::Reply, &Key::new(&[7; 32]).unwrap());
        assert!(is_echo(&mut message, &reply) && !is_echo(&mut message, &probe));
    }

    #[test]
    fn without_a_token_words_may_stand_around_the_message() {
        let (mut message, out) = message(0);
        let text = String::from_utf8(out).unwrap();
        for reply in [
            format!("You said {text}"),
            format!("{}!\n", text.to_lowercase()),
            format!("Reply to ping 3: ping x: PING 9 {text} at 1486420331.2"),
        ] {
            assert!(is_echo(&mut message, reply.as_bytes()), "{reply}");
            assert!(!message.is_nearly(reply.as_bytes(), 7, WALL_NS));
        }
        for reply in ["", "pong", "Pong 7", "Ping 7 received", "Ping 7 1486420330.837134"] {
            assert!(!is_echo(&mut message, reply.as_bytes()), "{reply}");
        }
        let (mut message, out) = self::message(30);
        assert!(is_echo(&mut message, &out[..24]), "the lab's message is the whole of its text");
        assert!(!is_echo(&mut message, b"Ping 7 1486420330.837133 ....,"));
    }

    #[test]
    fn numbers_stand_after_their_word() {
        let numbers = |text: &str| {
            numbers_after(b"Pong ", text.as_bytes()).map(|(_, seq)| seq).collect::<Vec<_>>()
        };
        assert_eq!(numbers("pong 7"), [7]);
        assert_eq!(numbers("PONG 7 and Pong 8, pong"), [7, 8]);
        assert!(numbers("pong 0.5 ms, pong x, ping 4, pong 99999999999999999999").is_empty());
        assert_eq!(numbers(&"pong 1 ".repeat(9)).len(), MAX_WORDS);
    }

    proptest! {
        #[test]
        fn damage_is_always_detected(
            size in prop_oneof![Just(0), MIN_TOKEN_SIZE..300],
            fill in prop::sample::select(fills().to_vec()),
            upper: bool,
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..40),
        ) {
            let (mut message, mut out) = filled(size, fill);
            let sent = out.clone();
            if upper {
                out.make_ascii_uppercase();
            }
            // Without a token the lab's message must not be another one.
            let flips = if size == 0 { &flips[..1] } else { &flips };
            for (index, bit) in flips {
                let index = index.index(out.len());
                out[index] ^= 1_u8 << bit;
            }
            prop_assume!(out != sent && out != sent.to_ascii_uppercase());
            prop_assert!(!message.is_echo(&out, 0, 7, WALL_NS));
            if flips.len() == 1 {
                prop_assert!(message.is_nearly(&out, 7, WALL_NS));
                prop_assert_eq!(message.is_ours(&out), size > 0);
            }
        }

        #[test]
        fn any_bytes_can_be_read(
            size in 0..100_usize, reply in prop::collection::vec(any::<u8>(), 0..100), index: u8,
        ) {
            let (mut message, _) = message(size);
            let _ = (message.number_of(&reply), message.is_ours(&reply));
            let _ = is_echo(&mut message, &reply);
            let _ = message.is_echo(&reply, index.into(), 7, WALL_NS);
            let _ = message.is_nearly(&reply, 7, WALL_NS);
        }
    }
}
