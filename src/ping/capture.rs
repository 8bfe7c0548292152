//! What a capture says about probes and replies.

use std::fmt::Write;

use crate::Point;
use crate::ping::Verdict;

/// The points at which a session captures packets, in the order of their numbers.
pub const POINTS: [Point; 3] = [
    Point { name: "out", description: "probes", outbound: true },
    Point { name: "in", description: "datagrams that came back", outbound: false },
    Point { name: "unanswered", description: "probes, when they were given up", outbound: true },
];

/// The numbers of the points.
pub(super) const OUT: usize = 0;
pub(super) const IN: usize = 1;
pub(super) const UNANSWERED: usize = 2;

/// Returns the comment on a probe that leaves.
pub(super) fn on_probe(seq: u64) -> String {
    format!("#{seq}")
}

/// Returns the comment on a reply: a word, and the round-trip time of a reply that counts.
pub(super) fn on_reply(seq: u64, word: &str, rtt_ns: Option<i64>, guessed: bool) -> String {
    let mut comment = format!("#{seq} {word}");
    if let Some(ns) = rtt_ns {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
        let ms = ns as f64 / 1e6;
        let _ = write!(comment, " after {ms:.6} ms");
    }
    if guessed {
        comment.push_str(", guessed");
    }
    comment
}

/// Returns the name of a verdict.
pub(super) fn name(verdict: Verdict) -> &'static str {
    Verdict::ALL[verdict as usize].0
}
