//! The server's counts beyond those of its paths.

use crate::path::LinkCounters;

/// Counts beyond [`Counters`](crate::path::Counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Impairments on the uplink.
    pub uplink: LinkCounters,
    /// Impairments on the downlink.
    pub downlink: LinkCounters,
    /// Replies sent, copies included.
    pub replies: u64,
    /// Packets that are neither answered nor dropped yet: their replies are delayed.
    pub pending: u64,
    /// Replies that are delayed, copies included.
    pub delayed: u64,
    /// Packets dropped because an answer could have started a loop.
    pub unanswerable: u64,
    /// Packets dropped because their source exceeded its rate.
    pub limited: u64,
    /// Packets dropped because they have no tag.
    pub unauthenticated: u64,
    /// Packets dropped because their tag is of an unknown key.
    pub unknown_key: u64,
    /// Packets dropped because their tag is wrong.
    pub bad_tag: u64,
    /// Packets with a right tag dropped because they came before.
    pub replayed: u64,
    /// Copies dropped because the delay line was full.
    pub delay_line_full: u64,
    /// Packets from clients beyond the full table, which share one stream of random choices;
    /// consecutive packets of one such client count once.
    pub crowded: u64,
    /// Datagrams dropped by this host before they were read, if the platform reports it.
    pub receive_drops: u64,
}
