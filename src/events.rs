//! A bounded queue of events that counts its losses.

use std::collections::VecDeque;

/// The newest events, up to a capacity. Older ones are dropped and counted.
#[derive(Debug)]
pub struct Events<E> {
    queue: VecDeque<E>,
    capacity: usize,
    dropped: u64,
    /// Whether an event has come since the last call of [`take_news`](Self::take_news), when all
    /// others had been read.
    news: bool,
    /// Set if events stay in the queue once they are read.
    log: Option<Log>,
}

/// The reader's place in a queue that keeps what was read.
#[derive(Debug, Default)]
struct Log {
    /// How many events of the queue were read.
    read: usize,
    /// Whether anybody ever tried to read one.
    has_reader: bool,
    rows_dropped: u64,
}

impl<E> Events<E> {
    /// Creates a queue of at most `capacity` events; 0 disables it.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { queue: VecDeque::new(), capacity, dropped: 0, news: false, log: None }
    }

    /// Creates a queue that keeps events once they are read.
    #[must_use]
    pub fn log(capacity: usize) -> Self {
        Self { log: Some(Log::default()), ..Self::new(capacity) }
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
        self.news |= self.is_empty();
        let length = self.queue.len();
        if length == self.capacity {
            self.dropped += u64::from(self.log.as_mut().is_none_or(Log::drop_row));
            // In the place of the oldest, which need not be moved.
            self.queue.rotate_left(1);
            if let Some(last) = self.queue.back_mut() {
                *last = event;
            }
            return;
        }
        if length == self.queue.capacity() {
            // Not beyond the capacity: a full queue then uses the same memory over and over.
            self.queue.reserve_exact(length.max(4).min(self.capacity - length));
        }
        self.queue.push_back(event);
    }

    /// Returns the oldest unread event. It leaves the queue unless that is a log.
    pub fn pop(&mut self) -> Option<E>
    where
        E: Clone,
    {
        let Some(log) = &mut self.log else { return self.queue.pop_front() };
        log.has_reader = true;
        let event = self.queue.get(log.read)?;
        log.read += 1;
        Some(event.clone())
    }

    /// Returns whether all events were read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.len() == self.log.as_ref().map_or(0, |log| log.read)
    }

    /// Returns whether readers must be woken, once: they wait only if all events were read.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Returns the events in the queue, oldest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &E> {
        self.queue.iter()
    }

    /// Returns the last `count` events in the queue, newest first.
    pub(crate) fn recent_mut(&mut self, count: usize) -> impl Iterator<Item = &mut E> {
        self.queue.iter_mut().rev().take(count)
    }

    /// Returns how many events were dropped unread. Of a log that nobody reads that is none.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns how many events were dropped from a log, read or not.
    #[must_use]
    pub fn rows_dropped(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.rows_dropped)
    }
}

impl Log {
    /// The oldest event is dropped. Returns whether a reader missed it.
    fn drop_row(&mut self) -> bool {
        self.rows_dropped += 1;
        let was_read = self.read > 0;
        self.read -= usize::from(was_read);
        self.has_reader && !was_read
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

    #[test]
    fn only_the_first_unread_event_is_news() {
        for mut events in [Events::new(2), Events::log(2)] {
            assert!(!events.take_news());
            events.push(1);
            events.push(2);
            assert_eq!((events.take_news(), events.take_news()), (true, false));
            events.push(3);
            assert!(!events.take_news(), "nobody waits while there is one to read");
            while events.pop().is_some() {}
            events.push(4);
            assert!(events.take_news());
        }
    }

    #[test]
    fn a_log_keeps_what_was_read() {
        let mut log = Events::log(3);
        log.push(1);
        assert_eq!((log.pop(), log.pop(), log.is_empty()), (Some(1), None, true));
        log.push(2);
        log.push(3);
        assert_eq!(log.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        log.push(4);
        assert_eq!((log.dropped(), log.rows_dropped()), (0, 1), "1 was read");
        log.push(5);
        assert_eq!((log.dropped(), log.rows_dropped()), (1, 2), "2 was not");
        assert_eq!((log.pop(), log.pop(), log.pop(), log.pop()), (Some(3), Some(4), Some(5), None));
        assert_eq!(log.iter().copied().collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[test]
    fn nobody_misses_what_nobody_reads() {
        let mut log = Events::log(1);
        (1..=3).for_each(|event| log.push(event));
        assert_eq!((log.dropped(), log.rows_dropped(), log.pop()), (0, 2, Some(3)));
    }
}
