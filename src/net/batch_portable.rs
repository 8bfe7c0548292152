//! The batch socket of platforms without batches: each holds one datagram.

use std::net::SocketAddr;
use std::ops::Range;

use crate::net::{Batch, Interrupter, Message, Options, Outbox, Received, Socket, Waited};
use crate::{Error, Result};

/// A bound UDP socket that receives and sends many datagrams at once where the platform can.
#[derive(Debug)]
pub struct BatchSocket(Socket);

impl BatchSocket {
    /// Whether several can share an address.
    pub const CAN_SHARE: bool = false;

    /// Whether the kernel stamps arrivals.
    pub const STAMPS: bool = false;

    /// Binds `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses, or cannot do what `options` ask for.
    pub fn bind(address: SocketAddr, options: Options) -> Result<Self> {
        if options.shared {
            let refusal = std::io::ErrorKind::Unsupported.into();
            return Err(Error::io("share", address)(refusal));
        }
        Socket::bind(address).map(Self)
    }

    /// The address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.0.local_address()
    }

    /// The means to end its waiting from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.0.interrupter()
    }

    /// How many datagrams this host lost because they were not read in time, as far as is known.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        0
    }

    /// Waits for datagrams until `deadline`, in monotonic nanoseconds, or without end.
    pub fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>) -> Waited {
        batch.messages.clear();
        loop {
            match self.0.receive(deadline) {
                Received::Datagram { at, from, datagram } => {
                    let length = datagram.len();
                    batch.memory.clear();
                    batch.memory.extend_from_slice(datagram);
                    batch.messages.push(Message {
                        at,
                        from,
                        to: None,
                        is_answer: false,
                        start: 0,
                        length,
                        segment: length,
                    });
                    return Waited::Received;
                }
                // Nobody waits for the answer any more.
                Received::Refused => {}
                Received::Nothing => return Waited::Nothing,
                Received::Interrupted => return Waited::Interrupted,
            }
        }
    }

    /// Sends what is in the outbox, empties it, and tells which datagrams could not be sent.
    pub fn send(
        &mut self,
        outbox: &mut Outbox,
        memory: &[u8],
        mut failed: impl FnMut(Range<usize>),
    ) {
        let plan = outbox.plan();
        for place in 0..plan.len() {
            for at in plan.datagrams(place) {
                let datagram = &memory[at.clone()];
                let to = plan.group(place).to;
                let mut sent = self.0.send(to, datagram);
                if sent.as_ref().is_err_and(crate::net::is_refusal) {
                    // The error belongs to an earlier datagram; the system sent nothing this time.
                    sent = self.0.send(to, datagram);
                }
                if sent.is_err() {
                    failed(at);
                }
            }
        }
        outbox.clear();
    }
}
