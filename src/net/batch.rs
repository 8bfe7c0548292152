//! Many datagrams received at once.

use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::net::BatchSocket;
use crate::{Local, Stamp};

/// The most messages received at once.
pub const MAX_BATCH: usize = 256;

/// How long [`Batch::gather`] waits.
pub const GATHER: Duration = Duration::from_micros(500);

/// How a [`BatchSocket`] is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own to ask of a socket")]
pub struct Options {
    /// Arrival is stamped by the kernel where it can, not when the datagram is read.
    pub kernel_stamps: bool,
    /// Datagrams that a sender handed over in one piece are taken and given in one piece (GRO, GSO).
    pub offload: bool,
    /// Several sockets of this process share the address; the kernel spreads the senders over them.
    pub shared: bool,
    /// What it sends are answers: from the address that was asked, see [`Message::to`], and to be
    /// answered by no other socket of the kind, see [`Message::is_answer`].
    pub answers: bool,
}

/// Datagrams of one sender that came in one piece; mostly one.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// When they were received.
    pub at: Stamp,
    /// Where they came from.
    pub from: SocketAddr,
    /// Where they came to, where the socket answers on all addresses and the platform can tell.
    pub to: Option<Local>,
    /// Whether they are seen to be answers of another socket with [`Options::answers`]. Only one call
    /// in 64 that receive looks, where the platform can: enough to end a loop.
    pub is_answer: bool,
    pub(super) start: usize,
    pub(super) length: usize,
    /// The length of each datagram but the last, which may be shorter.
    pub(super) segment: usize,
}

impl Message {
    /// Where the datagrams lie in the batch's memory, in the order in which they were sent.
    pub fn datagrams(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let Self { start, length, segment, .. } = *self;
        // A datagram of nothing is a datagram.
        let count = if length == 0 { 1 } else { length.div_ceil(segment) };
        (0..count).map(move |i| start + i * segment..start + (i * segment + segment).min(length))
    }
}

/// What one call received, and the memory it lies in; used again and again.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) memory: Vec<u8>,
    pub(super) messages: Vec<Message>,
}

impl Batch {
    /// The messages, and the memory that their datagrams lie in.
    pub fn split(&mut self) -> (&[Message], &mut [u8]) {
        (&self.messages, &mut self.memory)
    }

    /// Waits for more datagrams to come before the next call, where few came with this one: a thread
    /// that is woken for each costs several times as much. Arrivals have the kernel's stamps, so that
    /// none is late by it; where they have none nothing is waited for.
    pub fn gather(&self) {
        if BatchSocket::STAMPS && self.messages.len() < MAX_BATCH / 2 {
            thread::sleep(GATHER);
        }
    }

    /// The memory that the datagrams lie in.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// Each datagram with the message that it is of.
    pub fn datagrams(&self) -> impl Iterator<Item = (&Message, &[u8])> {
        self.messages
            .iter()
            .flat_map(move |message| message.datagrams().map(move |at| (message, &self.memory[at])))
    }
}

/// What waiting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Datagrams, in the batch.
    Received,
    /// Nothing is left to receive and the deadline has come.
    Nothing,
    /// The interrupter was used.
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(length: usize, segment: usize) -> Vec<Range<usize>> {
        let from = "127.0.0.1:1".parse().unwrap();
        let (at, to) = (Stamp::default(), None);
        let message = Message { at, from, to, is_answer: false, start: 10, length, segment };
        message.datagrams().collect()
    }

    #[test]
    fn a_message_is_cut_into_its_datagrams() {
        assert_eq!(ranges(7, 3), [10..13, 13..16, 16..17]);
        assert_eq!(ranges(6, 3), [10..13, 13..16]);
        assert_eq!(ranges(6, 6), [10..16; 1]);
        assert_eq!(ranges(0, 0), [10..10; 1]);
    }
}
