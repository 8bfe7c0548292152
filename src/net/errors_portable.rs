//! Platforms whose sockets have no error queue: a connected socket reports
//! refusals and nothing else.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::UdpSocket;

use crate::net::Batch;
use crate::net::batch::IcmpError;

/// The refusals that a socket has reported.
#[derive(Debug, Default)]
pub(super) struct ErrorQueue {
    refusals: u32,
}

impl ErrorQueue {
    /// Returns the queue of a socket.
    pub(super) fn new(_: &UdpSocket, _: SocketAddr) -> Self {
        Self::default()
    }

    /// Handles an error of a call: it may be about an earlier datagram.
    pub(super) fn on_error(&mut self, error: &io::Error) {
        // Windows calls it a reset.
        if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) {
            self.refusals = self.refusals.saturating_add(1);
        }
    }

    /// Removes a refusal. Returns whether there is one, in the batch.
    pub(super) fn find_icmp(&mut self, socket: &UdpSocket, batch: &mut Batch) -> bool {
        if self.refusals == 0 {
            return false;
        }
        self.refusals -= 1;
        // A socket that is not connected cannot tell who refused.
        let Ok(peer) = socket.peer_addr() else { return false };
        let to = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let (kind, code) = if to.is_ipv4() { (3, 3) } else { (1, 4) };
        batch.icmp =
            Some(IcmpError { kind, code, router: Some(to.ip()), to, mtu: None, length: 0 });
        true
    }
}
