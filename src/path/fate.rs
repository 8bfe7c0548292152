//! The fates of packets: counts and records.

use std::net::SocketAddr;

use crate::Stamp;
use crate::impair::{Corruption, Flags};
use crate::path::Route;
use crate::wire::Shown;

/// Packet counts: `received = replied + dropped + send_failed + pending`, with
/// `pending` packets whose copies are all delayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came in.
    pub received: u64,
    /// Packets answered; several replies to one count once.
    pub replied: u64,
    /// Packets not answered on purpose.
    pub dropped: u64,
    /// Packets whose answer this host could not send.
    pub send_failed: u64,
}

/// Packets by impairment on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// One for each of [`Flags::ALL`].
    pub flags: [u64; Flags::ALL.len()],
}

impl LinkCounters {
    pub(crate) fn count(&mut self, flags: Flags) {
        // Most packets have none.
        let mut rest = flags.0;
        while rest != 0 {
            self.flags[rest.trailing_zeros() as usize] += 1;
            rest &= rest - 1;
        }
    }
}

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    #[default]
    Replied,
    /// Passed on.
    Relayed,
    /// Lost on purpose, on either link.
    Lost,
    /// An answer could have started a loop.
    Unanswerable,
    /// Its source exceeded its rate.
    Limited,
    /// It has no tag.
    Unauthenticated,
    /// Its tag is of an unknown key.
    UnknownKey,
    /// Its tag is wrong.
    BadTag,
    /// It came before, as its tag proves.
    Replayed,
    /// The delay line was full.
    DelayLineFull,
    /// Passed on, and refused by the upstream.
    Refused,
    /// Its client's session ended before it left.
    Expired,
    /// It had no hops left.
    Hops,
}

impl Outcome {
    /// All of them by name.
    pub const ALL: [(&str, Self); 13] = [
        ("replied", Self::Replied),
        ("relayed", Self::Relayed),
        ("lost", Self::Lost),
        ("unanswerable", Self::Unanswerable),
        ("limited", Self::Limited),
        ("unauthenticated", Self::Unauthenticated),
        ("unknown_key", Self::UnknownKey),
        ("bad_tag", Self::BadTag),
        ("replayed", Self::Replayed),
        ("delay_line_full", Self::DelayLineFull),
        ("refused", Self::Refused),
        ("expired", Self::Expired),
        ("hops", Self::Hops),
    ];
}

/// The record of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// When it arrived.
    pub at: Stamp,
    /// Its source address.
    pub client: SocketAddr,
    /// The links of its route.
    pub route: Route,
    /// The unimpaired answer, or payload that was passed on, cut to [`MAX_SHOWN`](crate::wire::MAX_SHOWN)
    /// bytes.
    pub answer: Shown,
    /// The length of its payload as received.
    pub size: usize,
    /// Its number among the packets of its client, from 1; 0 if it was dropped before it entered a
    /// link.
    pub number: u64,
    /// The outcome.
    pub outcome: Outcome,
    /// Impairments on the uplink.
    pub uplink: Flags,
    /// Impairments on the downlink, of any of its copies.
    pub downlink: Flags,
    /// The indexes of the rules that acted on it, on the uplink and on the downlink.
    pub rules: [Option<u8>; 2],
    /// The first reply.
    pub first: Option<Reply>,
    /// The other replies in order of sending.
    pub others: Vec<Reply>,
}

/// A reply that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its number among all replies of the server, from 1, in order of sending.
    pub number: u64,
    /// When it was sent (wall clock).
    pub sent_ns: i64,
    /// The damage to its payload.
    pub damage: Damage,
}

/// The damage to the payload of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The bits flipped on the uplink and on the downlink, counted from the lowest bit of the first
    /// byte.
    pub flipped: [Option<u32>; 2],
    /// Whether it differs from the unimpaired answer.
    pub corrupted: bool,
}

impl Damage {
    /// Flips bits of a payload that is passed on as it is.
    pub(crate) fn flip(payload: &mut [u8], flipped: [Option<u32>; 2]) -> Self {
        for bit in flipped.into_iter().flatten() {
            Corruption::flip(payload, bit);
        }
        Self { flipped, corrupted: flipped != [None, None] }
    }
}

impl Fate {
    /// Returns whether it was deliberately not answered.
    #[must_use]
    pub fn dropped(&self) -> bool {
        !matches!(self.outcome, Outcome::Replied | Outcome::Relayed)
    }

    /// Returns all replies in order of sending; at most four.
    pub fn replies(&self) -> impl Iterator<Item = &Reply> {
        self.first.iter().chain(&self.others)
    }
}
