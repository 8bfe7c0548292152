//! The ends of clients' sessions.

use std::net::SocketAddr;

use crate::Stamp;

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When it ended.
    pub at: Stamp,
    /// The client.
    pub client: SocketAddr,
    /// Why it ended.
    pub reason: Reason,
    /// The packets that came to the uplink and to the downlink.
    pub packets: [u64; 2],
}

/// The reason for the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither side was active.
    Idle,
    /// Another client needed its place.
    Evicted,
}

impl Reason {
    /// All of them by name.
    pub const ALL: [(&str, Self); 2] = [("idle", Self::Idle), ("evicted", Self::Evicted)];
}
