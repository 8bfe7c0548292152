//! What a reflector did with packets: counts and records.

use std::net::SocketAddr;

use crate::Stamp;
use crate::path::LinkCounters;

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Answered.
    Replied,
    /// An answer could have started a loop, or many hosts could have answered: it came from another
    /// server of this process or from a service that answers anything, or went to a broadcast or
    /// multicast address.
    Unanswerable,
    /// It is a reply itself: an answer would be answered in turn.
    Looped,
    /// Its source is not among those allowed.
    NotAllowed,
    /// Its source exceeded its rate.
    Limited,
    /// It is too short to be answered by a reply of its own length.
    Short,
    /// It is not authenticated.
    Unauthenticated,
    /// No key gives its tag.
    BadTag,
    /// It is authenticated and came before in its session.
    Replayed,
    /// Too many replies wait to be sent.
    QueueFull,
}

impl Outcome {
    /// All of them by name.
    pub const ALL: [(&str, Self); 10] = [
        ("replied", Self::Replied),
        ("unanswerable", Self::Unanswerable),
        ("looped", Self::Looped),
        ("not_allowed", Self::NotAllowed),
        ("limited", Self::Limited),
        ("short", Self::Short),
        ("unauthenticated", Self::Unauthenticated),
        ("bad_tag", Self::BadTag),
        ("replayed", Self::Replayed),
        ("queue_full", Self::QueueFull),
    ];
}

/// Counts of the packets that reached the reflector: `received` is the sum of all outcomes and of
/// `send_failed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// One for each of [`Outcome::ALL`]; a reply that could not be sent counts as none of them.
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Packets whose reply this host could not send.
    pub send_failed: u64,
    /// Packets answered without a session because the table of sessions was full.
    pub stateless: u64,
    /// Datagrams that this host dropped before they were read.
    pub receive_drops: u64,
}

impl Counters {
    /// Returns the number of packets received.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.outcomes.iter().sum::<u64>() + self.send_failed
    }

    /// Returns the number of packets with an outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    pub(super) fn count(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }
}

/// Counts of the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Impairments on the uplink.
    pub uplink: LinkCounters,
    /// Impairments on the downlink.
    pub downlink: LinkCounters,
    /// Packets and replies that are neither dropped nor past their link yet: they are delayed.
    pub pending: u64,
    /// The same, copies included.
    pub delayed: u64,
    /// Copies dropped because the delay line was full.
    pub delay_line_full: u64,
    /// Packets from clients beyond the full table, which share one stream of random choices;
    /// consecutive packets of one such client count once.
    pub crowded: u64,
}

/// The record of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflected {
    /// When it arrived; its wall clock is T2.
    pub at: Stamp,
    /// Its source.
    pub client: SocketAddr,
    /// The outcome.
    pub outcome: Outcome,
    /// The length of its payload.
    pub size: usize,
    /// Its TTL or hop limit on arrival, if known.
    pub ttl: Option<u8>,
    /// Its type of service or traffic class on arrival, if known.
    pub tos: Option<u8>,
    /// The numbers of the packet and of its reply, if it was answered.
    pub numbers: Option<Numbers>,
    /// T3.
    pub sent_ns: Option<i64>,
}

/// The numbers of a packet and of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The session identifier that the sender chose; 0 without one.
    pub ssid: u16,
    /// The sender's sequence number.
    pub seq: u32,
    /// The sequence number of the reply.
    pub reflector_seq: u32,
}
