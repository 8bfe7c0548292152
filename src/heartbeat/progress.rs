//! What an application tells of itself to the client that beats for it, from any thread.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Not told yet.
const NEVER: i64 = i64::MIN;

/// The application's last word, shared by it and the client.
#[derive(Debug)]
pub struct Progress {
    last_ns: AtomicI64,
    busy_until_ns: AtomicI64,
    /// Whether a silence was announced or ended that no beat has told of yet.
    news: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            last_ns: AtomicI64::new(NEVER),
            busy_until_ns: AtomicI64::new(NEVER),
            news: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// What the application runs on ran at `now_ns` on the monotonic clock.
    pub fn tick(&self, now_ns: i64) {
        self.last_ns.store(now_ns, Ordering::Release);
    }

    /// The application got somewhere at `now_ns` on the monotonic clock, and is not busy any more.
    /// Tells whether that ended an announced silence, which is news.
    pub fn mark(&self, now_ns: i64) -> bool {
        self.tick(now_ns);
        // Mostly there is nothing to end, and to see that is all that it costs.
        if self.busy_until_ns.load(Ordering::Acquire) == NEVER {
            return false;
        }
        let ended = self.busy_until_ns.swap(NEVER, Ordering::AcqRel) > now_ns;
        if ended {
            self.news.store(true, Ordering::Release);
        }
        ended
    }

    /// The application may be silent until `until_ns`, which is news.
    pub fn announce_silence(&self, until_ns: i64) {
        self.busy_until_ns.store(until_ns, Ordering::Release);
        self.news.store(true, Ordering::Release);
    }

    /// Whether there is something to tell that should not wait for the next beat's turn.
    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// Records that the next beat carries the news.
    pub(super) fn clear_news(&self) {
        self.news.store(false, Ordering::Release);
    }

    /// How long ago the application last got somewhere, where it ever told.
    pub(super) fn age_ns(&self, now_ns: i64) -> Option<i64> {
        let last_ns = self.last_ns.load(Ordering::Acquire);
        (last_ns != NEVER).then(|| now_ns.saturating_sub(last_ns).max(0))
    }

    /// For how much longer the application may be silent, where it may.
    pub(super) fn busy_ns(&self, now_ns: i64) -> Option<i64> {
        let until_ns = self.busy_until_ns.load(Ordering::Acquire);
        Some(until_ns.saturating_sub(now_ns)).filter(|left_ns| *left_ns > 0)
    }
}
