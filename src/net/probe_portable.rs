//! The probe socket of platforms that offer only sockets and clocks.

use std::net::SocketAddr;

use crate::net::{Batch, Interrupter, Outbox, Port, ProbeOptions, Socket, Unsent, Wake, probe};
use crate::{Error, Result};

/// A connected UDP socket that sends probes and waits for replies.
#[derive(Debug)]
pub struct ProbeSocket(Socket);

impl ProbeSocket {
    /// Opens a socket with `options`, if the platform supports them, and connects it to `peer`,
    /// without a route at the first send that finds one.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses, for example if the source is not this host's.
    pub fn connect(peer: SocketAddr, options: &ProbeOptions) -> Result<Self> {
        let connected = |udp| Socket::connected(udp, peer);
        let socket = probe::connect(peer, options).and_then(connected);
        Ok(Self(socket.map_err(Error::io("connect to", peer))?))
    }

    /// Returns the address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.0.local_address()
    }

    /// Returns the address that the socket is connected to.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.0.peer_address()
    }

    /// Returns a handle that ends its waits from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.0.interrupter()
    }
}

impl Port for ProbeSocket {
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake {
        self.0.receive(batch, deadline, blocked)
    }

    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent)) {
        self.0.send(outbox, memory, unsent);
    }
}
