//! Platforms whose sockets have no error queue.

use std::net::SocketAddr;

use crate::net::Batch;

/// The reader of an error queue that is always empty.
#[derive(Debug)]
pub(super) struct ErrorQueue;

#[expect(clippy::unused_self, reason = "other platforms have state")]
impl ErrorQueue {
    /// Returns the queue of a socket.
    pub(super) fn new<S>(_: &S, _: SocketAddr) -> Self {
        Self
    }

    /// Does nothing.
    pub(super) fn expect(&mut self) {}

    /// Returns that there is no ICMP error.
    pub(super) fn find_icmp<S>(&mut self, _: &S, _: &mut Batch) -> bool {
        false
    }
}
