//! A socket as the driver's loop uses it.

use std::net::SocketAddr;
use std::ops::Range;

use crate::Local;
use crate::net::{Batch, Outbox, Wake};

/// A socket that never blocks in a send.
pub trait Port {
    /// Whether the kernel stamps arrivals, so that one that is read late is not late.
    const STAMPS: bool = false;

    /// Waits for datagrams until `deadline`, in monotonic nanoseconds, or without end; if
    /// `blocked`, also for room in the send buffer.
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake;

    /// Sends the datagrams of the outbox, which lie in `memory`, and empties it. Reports each one
    /// that did not leave.
    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent));

    /// How many datagrams the full receive queue has dropped, as far as the platform tells.
    fn receive_drops(&self) -> u64 {
        0
    }
}

/// A datagram that did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// The destination.
    pub to: SocketAddr,
    /// The source address.
    pub from: Option<Local>,
    /// Where it lies in the memory.
    pub at: Range<usize>,
    /// Whether it only found the send buffer full.
    pub blocked: bool,
}
