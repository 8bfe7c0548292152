//! What a capture says about packets: the points of paths, and comments.

use std::fmt::Write;

use crate::Point;
use crate::impair::Flags;
use crate::path::{Damage, Fate, Outcome, Reply, Route};

const fn point(name: &'static str, description: &'static str, outbound: bool) -> Point {
    Point { name, description, outbound }
}

/// The points of a path that answers, in the order of their numbers.
pub const ROUND_TRIP: [Point; 3] = [
    point("in", "requests, before the uplink", false),
    point("out", "replies, after the downlink", true),
    point("dropped", "replies that were dropped after their request had come in", false),
];

/// The points of a path to an upstream and back.
pub const ONE_WAY: [Point; 5] = [
    point("client in", "packets of clients, before the uplink", false),
    point("upstream out", "packets for the upstream, after the uplink", true),
    point("upstream in", "packets of the upstream, before the downlink", false),
    point("client out", "packets for clients, after the downlink", true),
    point("dropped", "packets that were dropped after they had come in, or refused", false),
];

/// A point of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before its first link.
    Start,
    /// After its last link.
    End,
    /// Wherever a copy is dropped later.
    Within,
}

impl Route {
    /// Returns the number of a point.
    pub(super) fn point(self, place: Place) -> usize {
        match (self, place) {
            (Self::Both | Self::Up, Place::Start) => 0,
            (Self::Both | Self::Up, Place::End) => 1,
            (Self::Down, Place::Start) | (Self::Both, Place::Within) => 2,
            (Self::Down, Place::End) => 3,
            (Self::Up | Self::Down, Place::Within) => 4,
        }
    }

    /// Returns whether the far end of a packet at a point is the upstream.
    pub(super) fn meets_upstream(self, place: Place) -> bool {
        match self {
            Self::Both => false,
            Self::Up => place == Place::End,
            Self::Down => place != Place::End,
        }
    }
}

/// Returns the comment on a packet that came in: the outcome if that is known because it is dropped,
/// and its impairments.
pub(super) fn on_arrival(fate: &Fate, is_dropped: bool) -> String {
    let mut comment = numbered(fate.number);
    if is_dropped {
        add(&mut comment, outcome(fate.outcome));
    }
    let mut separator = ":";
    let ways = [("uplink", fate.uplink), ("downlink", fate.downlink)];
    for ((way, flags), rule) in ways.into_iter().zip(fate.rules) {
        if flags != Flags::default() {
            let _ = write!(comment, "{separator} {way} {}", names(flags));
            if let Some(rule) = rule {
                let _ = write!(comment, " (rule {rule})");
            }
            separator = ";";
        }
    }
    comment
}

/// Returns the comment on a copy that leaves, the last of the replies of its fate.
pub(super) fn on_departure(fate: &Fate) -> String {
    let mut comment = numbered(fate.number);
    let Some(&Reply { sent_ns, damage, .. }) = fate.replies().last() else { return comment };
    let count = fate.replies().count();
    if count > 1 {
        let _ = write!(comment, " copy {count}");
    }
    #[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
    let ms = sent_ns.saturating_sub(fate.at.wall_ns) as f64 / 1e6;
    let _ = write!(comment, " after {ms:.6} ms");
    let Damage { flipped: [up, down], corrupted } = damage;
    for (way, bit) in [("uplink", up), ("downlink", down)] {
        if let Some(bit) = bit {
            let _ = write!(comment, ", {way} bit {bit}");
        }
    }
    if corrupted {
        comment.push_str(", corrupted");
    }
    comment
}

/// Returns the comment on a copy that the downlink dropped.
pub(super) fn on_drop(number: u64, flags: Flags) -> String {
    let mut comment = numbered(number);
    let _ = write!(comment, " lost: downlink {}", names(flags));
    comment
}

/// Returns the comment on a copy with another end.
pub(super) fn on_end(number: u64, end: Outcome) -> String {
    let mut comment = numbered(number);
    add(&mut comment, outcome(end));
    comment
}

/// Returns the start of a comment: the number of the packet, unless it is 0.
fn numbered(number: u64) -> String {
    if number > 0 { format!("#{number}") } else { String::new() }
}

fn add(comment: &mut String, word: &str) {
    if !comment.is_empty() {
        comment.push(' ');
    }
    comment.push_str(word);
}

fn outcome(outcome: Outcome) -> &'static str {
    Outcome::ALL.iter().find(|(_, each)| *each == outcome).map_or("", |(name, _)| *name)
}

fn names(flags: Flags) -> String {
    let names = Flags::ALL.iter().filter(|(_, flag)| flags.has(*flag)).map(|(name, _)| *name);
    names.collect::<Vec<_>>().join(", ")
}
