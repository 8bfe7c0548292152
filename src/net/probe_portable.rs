//! Probes where the platform gives no more than sockets and clocks.

use std::io;
use std::net::SocketAddr;

use crate::net::{Arrival, Interrupter, ProbeOptions, Received, Socket, probe};
use crate::{Error, Result};

/// A connected UDP socket that sends probes and waits for replies.
#[derive(Debug)]
pub struct ProbeSocket(Socket);

impl ProbeSocket {
    /// Opens a socket as the options say, as far as the platform can, and connects it to `peer`.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses: no route, the source is not this host's.
    pub fn connect(peer: SocketAddr, options: &ProbeOptions) -> Result<Self> {
        let socket = probe::connect(peer, options).and_then(Socket::connected);
        Ok(Self(socket.map_err(Error::io("connect to", peer))?))
    }

    /// The address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.0.local_address()
    }

    /// The address that the socket is connected to.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.0.peer_address()
    }

    /// The means to end its waiting from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.0.interrupter()
    }

    /// Prepares the thread that is going to use the socket.
    pub fn settle_in(&self) {}

    /// Sends a datagram; never blocks.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(self.0.peer_address(), datagram)
    }

    /// How many datagrams its full receive queue has dropped, as far as the platform tells.
    #[must_use]
    pub fn drops(&self) -> u64 {
        0
    }

    /// Waits for a reply until `deadline`, in monotonic nanoseconds, or without end.
    pub fn receive(&mut self, deadline: Option<i64>) -> Arrival<'_> {
        match self.0.receive(deadline) {
            Received::Datagram { at, datagram, .. } => {
                Arrival::Datagram { at, kernel_ns: None, datagram }
            }
            Received::Refused => Arrival::Refused(None),
            Received::Nothing => Arrival::Nothing,
            Received::Interrupted => Arrival::Interrupted,
        }
    }
}
