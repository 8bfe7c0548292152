//! Datagrams that found the send buffer full.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::Local;

/// The capacity of a backlog in bytes, including its bookkeeping.
const CAPACITY: usize = 1 << 20;

/// A queue of datagrams, bounded in bytes.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Waiting>,
    bytes: usize,
}

/// A waiting datagram.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) to: SocketAddr,
    pub(super) from: Option<Local>,
    pub(super) datagram: Vec<u8>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.datagram.len()
    }
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends a datagram. Returns whether there was room.
    pub(super) fn push(&mut self, waiting: Waiting) -> bool {
        let fits = self.bytes + waiting.bytes() <= CAPACITY;
        if fits {
            self.bytes += waiting.bytes();
            self.queue.push_back(waiting);
        }
        fits
    }

    /// Returns a datagram to the front of the queue.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes();
        self.queue.push_front(waiting);
    }

    /// Removes the oldest datagram.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.queue.pop_front()?;
        self.bytes -= waiting.bytes();
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(length: usize) -> Waiting {
        Waiting { to: "127.0.0.1:1".parse().unwrap(), from: None, datagram: vec![0; length] }
    }

    #[test]
    fn a_backlog_is_bounded_in_bytes() {
        let mut backlog = Backlog::default();
        let fits = (1 << 20) / waiting(1000).bytes();
        assert!((0..fits).all(|_| backlog.push(waiting(1000))));
        assert!(!backlog.push(waiting(1000)));
        let first = backlog.pop().unwrap();
        backlog.put_back(first);
        assert!(!backlog.push(waiting(1000)));
        while backlog.pop().is_some() {}
        assert_eq!((backlog.is_empty(), backlog.bytes), (true, 0));
    }
}
