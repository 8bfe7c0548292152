//! The probe socket of platforms that offer only sockets and clocks.

use std::net::SocketAddr;

use crate::net::{
    Batch, Family, Interrupter, Outbox, Port, ProbeOptions, Socket, Unsent, Wake, probe,
};
use crate::{Error, Result};

/// A UDP socket that sends probes and waits for replies.
#[derive(Debug)]
pub struct ProbeSocket(Socket);

impl ProbeSocket {
    /// Opens a socket with `options`, if the platform supports them.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses, for example if the source is not this host's.
    pub fn bind(family: Family, options: &ProbeOptions) -> Result<Self> {
        let udp = probe::open(family, options)?;
        Socket::of(udp).map(Self).map_err(Error::io("open", "a socket"))
    }

    /// Returns the address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.0.local_address()
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
