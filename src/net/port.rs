//! The driver's view of a socket.

use std::net::SocketAddr;
use std::ops::Range;

use crate::Local;
use crate::net::{Batch, Outbox, Wake};

/// A socket whose sends never block.
pub trait Port {
    /// Whether the kernel stamps arrivals, so that a late read does not delay them.
    const STAMPS: bool = false;

    /// Waits for datagrams until `deadline` (monotonic nanoseconds) or, if `None`, indefinitely; if
    /// `blocked`, also for room in the send buffer.
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake;

    /// Sends the datagrams of the outbox, whose bytes are in `memory`, and empties it. Reports each
    /// datagram that did not leave.
    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent));

    /// Sets whether the system refuses datagrams, as if nobody listened on the port.
    fn refuse(&mut self, _wanted: bool) {}

    /// Returns an outbox for [`send`](Self::send).
    fn outbox(&self) -> Outbox {
        Outbox::default()
    }
}

/// A datagram that did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// The destination.
    pub to: SocketAddr,
    /// The source address.
    pub from: Option<Local>,
    /// Its range in the memory.
    pub at: Range<usize>,
    /// The system's error code; `None` if the only obstacle was a full send buffer.
    pub error: Option<i32>,
}
