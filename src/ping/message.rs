//! The text of a probe, and the claims of a reply.

use std::io::Write;
use std::sync::LazyLock;

use crate::wire::{self, Template};

/// The smallest payload that carries a token; it leaves room for the lab's message with any number.
pub const MIN_TOKEN_SIZE: usize = 64;

/// How many bytes of a reply are searched.
const SEARCHED: usize = 1024;

/// The lab's message `Ping seq time`; from [`MIN_TOKEN_SIZE`] on, a secret token and dots up to the
/// size follow.
#[derive(Debug)]
pub(super) struct Message {
    token: Option<Token>,
    size: usize,
    /// A buffer for the text of a probe.
    said: Vec<u8>,
}

/// The beginning of every message.
static LAB: LazyLock<Template> = LazyLock::new(Template::ping);

/// A random number in hexadecimal digits.
pub(super) type Token = [u8; 16];

/// Returns the token of a reply if it is the fourth word, as in a probe.
pub(super) fn token_of(reply: &[u8]) -> Option<Token> {
    let beginning = &reply[..reply.len().min(2 * MIN_TOKEN_SIZE)];
    beginning.splitn(5, |byte| *byte == b' ').nth(3)?.try_into().ok()
}

/// A reply's own account of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// An echo of the probe with this number.
    Echo(u64),
    /// Another answer to the probe with this number.
    Answer(u64),
    /// A reply without a number.
    Unnumbered,
    /// Carries our token, but the header is damaged.
    Damaged,
    /// Lacks our token.
    Foreign,
}

impl Message {
    /// Creates messages of `size` bytes, or more if the lab's message is longer. `secret` becomes
    /// the token.
    pub(super) fn new(size: usize, secret: u64) -> Self {
        let token = (size >= MIN_TOKEN_SIZE).then(|| {
            let mut token = [0; 16];
            // Upper case, because the lab's server raises letters. The 16 digits fit exactly.
            let _ = write!(&mut token[..], "{secret:016X}");
            token
        });
        Self { token, size, said: Vec::new() }
    }

    /// Returns the token, if there is one.
    pub(super) fn token(&self) -> Option<Token> {
        self.token
    }

    /// Writes the probe with this number into `out`, replacing its content.
    pub(super) fn write(&self, seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
        out.reserve(self.size.max(MIN_TOKEN_SIZE));
        LAB.write(seq, wall_ns, 0, out);
        if let Some(token) = &self.token {
            out.push(b' ');
            out.extend_from_slice(token);
        }
        if out.len() < self.size {
            out.push(b' ');
            out.resize(self.size, b'.');
        }
    }

    /// Returns the claim of a reply.
    pub(super) fn claim(&self, reply: &[u8]) -> Claim {
        let beginning = &reply[..reply.len().min(SEARCHED)];
        let knows = |token: &Token| {
            let mut windows = beginning[..beginning.len().min(2 * MIN_TOKEN_SIZE)].windows(16);
            windows.any(|window| window == token)
        };
        match (&self.token, echoed(beginning)) {
            (Some(token), _) if !knows(token) => Claim::Foreign,
            (_, Some(seq)) => Claim::Echo(seq),
            (Some(_), None) => Claim::Damaged,
            (None, None) => wire::read(beginning).seq.map_or(Claim::Unnumbered, Claim::Answer),
        }
    }

    /// Returns whether `reply` is the probe as sent, ignoring case. Without a token, only a reply
    /// of the same length must match: teachers' servers put their own words around a number.
    pub(super) fn fits(&mut self, reply: &[u8], seq: u64, wall_ns: i64) -> bool {
        let mut said = std::mem::take(&mut self.said);
        self.write(seq, wall_ns, &mut said);
        let fits =
            said.eq_ignore_ascii_case(reply) || (self.token.is_none() && said.len() != reply.len());
        self.said = said;
        fits
    }
}

/// Returns the number of the probe if `text` begins like one, in any case.
fn echoed(text: &[u8]) -> Option<u64> {
    let (word, rest) = text.split_at_checked(5)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !word.eq_ignore_ascii_case(b"Ping ") || digits == 0 || rest.get(digits) != Some(&b' ') {
        return None;
    }
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MAX_DATAGRAM;
    use proptest::prelude::*;

    const WALL_NS: i64 = 1_486_420_330_837_133_000;

    fn message(size: usize) -> (Message, Vec<u8>) {
        let message = Message::new(size, 0x1234_5678_9ABC_DEF0);
        let mut out = Vec::new();
        message.write(7, WALL_NS, &mut out);
        (message, out)
    }

    #[test]
    fn the_labs_message_comes_first_and_the_size_is_kept() {
        for size in [0, 30, MIN_TOKEN_SIZE, 100, MAX_DATAGRAM] {
            let (mut message, out) = message(size);
            assert!(out.starts_with(b"Ping 7 1486420330.837133"));
            assert_eq!(out.len(), size.max(24));
            assert_eq!(message.claim(&out.to_ascii_uppercase()), Claim::Echo(7));
            assert!(message.fits(&out.to_ascii_uppercase(), 7, WALL_NS));
            assert_eq!(token_of(&out.to_ascii_uppercase()), message.token());
        }
        let mut out = Vec::new();
        message(MIN_TOKEN_SIZE).0.write(u64::MAX, WALL_NS, &mut out);
        assert_eq!(out.len(), MIN_TOKEN_SIZE);
    }

    #[test]
    fn a_forged_reply_lacks_the_token() {
        let (message, out) = message(64);
        assert_eq!(message.claim(&out[..24]), Claim::Foreign);
        let other = Message::new(64, 2);
        assert_eq!(other.claim(&out), Claim::Foreign);
    }

    #[test]
    fn replies_in_other_words_are_matched_by_number() {
        let (mut message, _) = message(0);
        for (reply, claim) in [
            ("pong", Claim::Unnumbered),
            ("Pong 7", Claim::Answer(7)),
            ("Reply to 7 at 1486420331.2", Claim::Answer(7)),
        ] {
            assert_eq!(message.claim(reply.as_bytes()), claim, "{reply}");
        }
        assert_eq!(message.claim(b"Ping 7 received"), Claim::Echo(7));
        assert!(message.fits(b"Ping 7 received", 7, WALL_NS));
        assert!(!message.fits(b"Ping 7 1486420330.837134", 7, WALL_NS));
    }

    proptest! {
        #[test]
        fn damage_is_always_detected(
            size in MIN_TOKEN_SIZE..300, at in any::<prop::sample::Index>(), bits in 1..=255_u8,
        ) {
            let (mut message, out) = message(size);
            let mut damaged = out.clone();
            damaged[at.index(out.len())] ^= bits;
            prop_assume!(!damaged.eq_ignore_ascii_case(&out));
            let taken = match message.claim(&damaged) {
                Claim::Echo(7) => message.fits(&damaged, 7, WALL_NS),
                Claim::Echo(_) | Claim::Damaged | Claim::Foreign => false,
                Claim::Answer(_) | Claim::Unnumbered => true,
            };
            prop_assert!(!taken);
        }

        #[test]
        fn any_bytes_can_be_read(
            size in 0..100_usize, reply in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let (mut message, _) = message(size);
            let _ = message.claim(&reply);
            let _ = message.fits(&reply, 7, WALL_NS);
        }
    }
}
