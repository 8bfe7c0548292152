//! A bounded queue of events that counts its losses.

use std::collections::VecDeque;

/// The newest events, up to a capacity. Older ones are dropped unread and counted.
#[derive(Debug)]
pub struct Events<E> {
    queue: VecDeque<E>,
    capacity: usize,
    dropped: u64,
}

impl<E> Events<E> {
    /// Creates a queue of at most `capacity` events; 0 disables it.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { queue: VecDeque::new(), capacity, dropped: 0 }
    }

    /// Returns whether the queue is enabled.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.capacity > 0
    }

    /// Adds an event; if the queue is full, drops the oldest.
    pub fn push(&mut self, event: E) {
        if !self.wanted() {
            return;
        }
        if self.queue.len() == self.capacity {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(event);
    }

    /// Removes the oldest event.
    pub fn pop(&mut self) -> Option<E> {
        self.queue.pop_front()
    }

    /// Returns whether all events were read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the unread events, oldest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &E> {
        self.queue.iter()
    }

    /// Returns how many events were dropped unread.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_event_is_dropped_and_counted() {
        let mut events = Events::new(2);
        for event in 1..=3 {
            events.push(event);
        }
        assert_eq!((events.pop(), events.pop(), events.pop()), (Some(2), Some(3), None));
        assert_eq!(events.dropped(), 1);
    }

    #[test]
    fn a_queue_of_0_keeps_and_counts_nothing() {
        let mut events = Events::new(0);
        events.push(1);
        assert!(events.is_empty() && !events.wanted());
        assert_eq!(events.dropped(), 0);
    }
}
