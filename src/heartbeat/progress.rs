//! Progress of an application, which reports it to its client from any thread.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Not reported yet.
const NEVER: i64 = i64::MIN;

/// The application's last report, shared with the client.
#[derive(Debug)]
pub struct Progress {
    last_ns: AtomicI64,
    busy_until_ns: AtomicI64,
    /// Whether a silence was announced or ended that no beat has reported yet.
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
    /// Records that the application's event loop ran at `now_ns` on the monotonic clock.
    pub fn tick(&self, now_ns: i64) {
        self.last_ns.store(now_ns, Ordering::Release);
    }

    /// Records progress at `now_ns` on the monotonic clock and ends an announced silence. Returns
    /// whether there was one to end, which is news.
    pub fn mark(&self, now_ns: i64) -> bool {
        self.tick(now_ns);
        // Fast path: usually there is no silence to end.
        if self.busy_until_ns.load(Ordering::Acquire) == NEVER {
            return false;
        }
        let ended = self.busy_until_ns.swap(NEVER, Ordering::AcqRel) > now_ns;
        if ended {
            self.news.store(true, Ordering::Release);
        }
        ended
    }

    /// Announces a silence until `until_ns`, which is news.
    pub fn announce_silence(&self, until_ns: i64) {
        self.busy_until_ns.store(until_ns, Ordering::Release);
        self.news.store(true, Ordering::Release);
    }

    /// Returns whether there is news that should not wait for the next beat's slot.
    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// Records that the next beat carries the news.
    pub(super) fn clear_news(&self) {
        self.news.store(false, Ordering::Release);
    }

    /// Returns the time since the last progress, if any was reported.
    pub(super) fn age_ns(&self, now_ns: i64) -> Option<i64> {
        let last_ns = self.last_ns.load(Ordering::Acquire);
        (last_ns != NEVER).then(|| now_ns.saturating_sub(last_ns).max(0))
    }

    /// Returns the rest of the announced silence, if any.
    pub(super) fn busy_ns(&self, now_ns: i64) -> Option<i64> {
        let until_ns = self.busy_until_ns.load(Ordering::Acquire);
        Some(until_ns.saturating_sub(now_ns)).filter(|left_ns| *left_ns > 0)
    }
}
