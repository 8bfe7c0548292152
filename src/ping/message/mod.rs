//! The messages of a session.

mod stamp;
mod text;

use std::borrow::Cow;
use std::sync::Arc;

use crate::Random;
use crate::wire::Key;
use crate::wire::stamp::{ErrorEstimate, Format};

pub(super) use stamp::Packet;
pub use stamp::Reflection;
pub use text::MIN_TOKEN_SIZE;
pub(super) use text::{Text, Token, numbers_after, searched, token_of};

/// The protocol of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The lab's message, for a server that repeats it.
    #[default]
    Echo,
    /// Test packets of STAMP (RFC 8762), for a Session-Reflector.
    Stamp {
        /// The session identifier; 0 for none.
        ssid: u16,
        /// The format of T1.
        format: Format,
        /// The claimed error of T1.
        error: ErrorEstimate,
    },
}

/// The key of a session, with its id.
pub type Signer = Arc<(String, Key)>;

/// The content of the padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// These bytes, over and over; at least one.
    Pattern(Cow<'static, [u8]>),
    /// Pseudo-random bytes, others in each probe.
    Random,
}

impl Default for Fill {
    fn default() -> Self {
        Self::Pattern(Cow::Borrowed(b"."))
    }
}

impl Fill {
    /// Appends padding to `out` up to `size` bytes.
    pub(super) fn pad(&self, size: usize, random: impl FnOnce() -> Random, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Self::Random => {
                out.resize(size, 0);
                random().fill(&mut out[start..]);
            }
            Self::Pattern(Cow::Borrowed([byte])) => out.resize(size, *byte),
            // Doubles the padding until it is long enough.
            Self::Pattern(pattern) => {
                out.extend_from_slice(&pattern[..pattern.len().min(size - start)]);
                while let done @ 1.. = out.len() - start
                    && out.len() < size
                {
                    out.extend_from_within(start..start + done.min(size - out.len()));
                }
            }
        }
    }
}

/// Writes the probes of a session and recognizes their replies.
#[derive(Debug)]
pub(super) enum Message {
    Text(Text),
    Packet(Packet),
}

impl Message {
    /// Creates messages of `size` bytes, or more if the shortest one is longer, signed with `key`.
    /// Nobody must be able to guess `secret`.
    pub(super) fn new(
        protocol: Protocol,
        size: usize,
        fill: Fill,
        secret: u64,
        key: Option<Signer>,
    ) -> Self {
        match protocol {
            Protocol::Echo => Self::Text(Text::new(size, fill, secret, key)),
            Protocol::Stamp { ssid, format, error } => {
                Self::Packet(Packet::new((ssid, format, error), size, fill, secret, key))
            }
        }
    }

    /// Returns the token, if there is one.
    pub(super) fn token(&self) -> Option<Token> {
        match self {
            Self::Text(text) => text.token(),
            Self::Packet(_) => None,
        }
    }

    /// Writes the probe with this number into `out`, replacing its content.
    pub(super) fn write(&mut self, seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => text.write(seq, wall_ns, out),
            Self::Packet(packet) => packet.write(seq, wall_ns, out),
        }
    }

    /// Returns the number of a probe whose end may be missing; `sent` is the last number.
    pub(super) fn number_of(&self, probe: &[u8], sent: u64) -> Option<u64> {
        match self {
            Self::Text(text) => text.number_of(probe),
            Self::Packet(_) => stamp::quoted_number(probe, sent),
        }
    }

    /// Returns the number of the probe that an ICMP error quotes the start of.
    pub(super) fn quoted_number(&self, quote: &[u8], sent: u64) -> Option<u64> {
        match self {
            Self::Text(_) => text::quoted_number(quote),
            Self::Packet(_) => stamp::quoted_number(quote, sent),
        }
    }

    /// Returns whether a quote too short for a number begins this probe.
    pub(super) fn is_start(&self, quote: &[u8], seq: u64) -> bool {
        match self {
            Self::Text(_) => text::is_start(quote, seq),
            Self::Packet(_) => stamp::is_start(quote, seq),
        }
    }

    /// Returns whether `quote` is the start of the probe, or the probe with padding (RFC 4884).
    pub(super) fn is_quote(&mut self, quote: &[u8], seq: u64, wall_ns: i64) -> bool {
        let mut probe = Vec::new();
        self.write(seq, wall_ns, &mut probe);
        let length = probe.len().min(quote.len());
        probe[..length] == quote[..length]
    }
}
