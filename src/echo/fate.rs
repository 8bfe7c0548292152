//! What became of packets, each and all.

use std::net::SocketAddr;

use crate::Stamp;
use crate::impair::Flags;

/// How many packets met which fate: `received = replied + dropped + send_failed`, and
/// [`pending`](Truth::pending).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came in.
    pub received: u64,
    /// Packets answered, each once however many replies it got.
    pub replied: u64,
    /// Packets not answered on purpose.
    pub dropped: u64,
    /// Packets whose answer this host could not send.
    pub send_failed: u64,
}

/// How many packets met what on one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// One for each of [`Flags::NAMES`].
    pub flags: [u64; 5],
}

impl LinkCounters {
    pub(super) fn count(&mut self, flags: Flags) {
        for (bit, counter) in self.flags.iter_mut().enumerate() {
            *counter += u64::from(flags.0 >> bit & 1);
        }
    }
}

/// What the counters do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// What happened on the way in.
    pub uplink: LinkCounters,
    /// What happened on the way back.
    pub downlink: LinkCounters,
    /// Replies sent, copies included.
    pub replies: u64,
    /// Packets that are neither answered nor dropped yet: their replies are delayed.
    pub pending: u64,
    /// Replies that are delayed, copies included.
    pub delayed: u64,
    /// Packets dropped because an answer could have started a loop.
    pub unanswerable: u64,
    /// Packets dropped because their source sent too many.
    pub limited: u64,
    /// Copies dropped because too much was delayed already.
    pub delay_line_full: u64,
    /// Clients that came when the table was full; they share one stream of random choices.
    pub crowded: u64,
    /// Datagrams that this host lost before they were read, as far as is known.
    pub receive_drops: u64,
}

/// What a packet came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    #[default]
    Replied,
    /// Lost on purpose, on one of the ways.
    Lost,
    /// An answer could have started a loop.
    Unanswerable,
    /// Its source sent too many.
    Limited,
    /// Too much was delayed already.
    DelayLineFull,
}

impl Outcome {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::Lost => "lost",
            Self::Unanswerable => "unanswerable",
            Self::Limited => "limited",
            Self::DelayLineFull => "delay_line_full",
        }
    }
}

/// What the server did to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// When it came.
    pub at: Stamp,
    /// Where it came from.
    pub client: SocketAddr,
    /// The answer, or what it would have been, unimpaired: at most
    /// [`MAX_SHOWN`](crate::wire::MAX_SHOWN) bytes of it.
    pub answer: Box<[u8]>,
    /// How long its payload was as it came.
    pub size: usize,
    /// The number of the packet among those of its client, from 1.
    pub number: u64,
    /// What it came to.
    pub outcome: Outcome,
    /// What happened on the way in.
    pub uplink: Flags,
    /// What happened on the way back, of several copies to any.
    pub downlink: Flags,
    /// The first reply.
    pub first: Option<Reply>,
    /// The others in the order in which they were sent.
    pub others: Vec<Reply>,
}

/// A reply that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its number among all replies of the server, from 1, in the order in which they were sent.
    pub number: u64,
    /// When it was sent, on the wall clock.
    pub sent_ns: i64,
    /// What happened to its payload.
    pub damage: Damage,
}

/// What happened to the payload of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The bit that was flipped on the way in, and that on the way back: counted from the first byte's
    /// lowest.
    pub flipped: [Option<u32>; 2],
    /// Whether it differs from what an unimpaired answer is.
    pub corrupted: bool,
}

impl Fate {
    /// Whether it was not answered on purpose.
    #[must_use]
    pub fn dropped(&self) -> bool {
        self.outcome != Outcome::Replied
    }

    /// All replies in the order in which they were sent; at most four.
    pub fn replies(&self) -> impl Iterator<Item = &Reply> {
        self.first.iter().chain(&self.others)
    }
}
