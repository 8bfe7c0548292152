//! Datagrams to pass on, in reused memory.

use std::net::SocketAddr;
use std::ops::Range;

use crate::{Headers, Local};

/// A datagram to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The number of its client's session.
    pub session: u32,
    /// Its destination, if it goes to the client; otherwise it goes to the upstream.
    pub to: Option<SocketAddr>,
    /// The source address, if it goes to the client.
    pub from: Option<Local>,
    /// The fields of its header.
    pub headers: Headers,
    /// Its range in the memory.
    pub at: Range<usize>,
}

/// Datagrams to pass on, in order of departure.
#[derive(Debug, Default)]
pub struct Forwards {
    /// The datagrams.
    pub list: Vec<Forward>,
    /// Their bytes.
    pub memory: Vec<u8>,
}

impl Forwards {
    /// Removes all datagrams.
    pub fn clear(&mut self) {
        self.list.clear();
        self.memory.clear();
    }

    /// Adds a datagram.
    pub(super) fn push(
        &mut self,
        session: u32,
        to: Option<SocketAddr>,
        from: Option<Local>,
        headers: Headers,
        datagram: &[u8],
    ) {
        let start = self.memory.len();
        self.memory.extend_from_slice(datagram);
        self.list.push(Forward { session, to, from, headers, at: start..self.memory.len() });
    }
}
