//! The batch socket of platforms without batches: each batch holds one datagram.

use std::net::SocketAddr;

use crate::net::{Batch, Interrupter, Options, Outbox, Port, Socket, Unsent, Wake, Waker};
use crate::{Error, Result};

/// A bound UDP socket that receives and sends many datagrams per call, if the platform can.
#[derive(Debug)]
pub struct BatchSocket(Socket);

impl BatchSocket {
    /// Whether several sockets can share an address.
    pub const CAN_SHARE: bool = false;

    /// The TTL of answers, if it is known.
    pub const ANSWER_TTL: Option<u8> = None;

    /// Binds `address`; port 0 is any free one.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses, or cannot do what `options` ask for.
    pub fn bind(address: SocketAddr, options: Options) -> Result<Self> {
        if options.shared {
            let refusal = std::io::ErrorKind::Unsupported.into();
            return Err(Error::io("share", address)(refusal));
        }
        Socket::bind(address).map(Self)
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

    /// Returns a handle that ends one wait from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.0.waker()
    }

    /// Returns the maximum: the platform does not report the size of the send buffer.
    #[must_use]
    pub fn send_buffer(&self) -> usize {
        usize::MAX
    }
}

impl Port for BatchSocket {
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake {
        self.0.receive(batch, deadline, blocked)
    }

    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent)) {
        self.0.send(outbox, memory, unsent);
    }

    fn refuse(&mut self, wanted: bool) {
        self.0.refuse(wanted);
    }
}
