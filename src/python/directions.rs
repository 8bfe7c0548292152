//! `Direction`, `ReflectorClock` and `ReflectorTraits`.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::ping::{self, Directions, Quirk};
use crate::python::args::{Argument, Word, Words, wrong_type};
use crate::python::json::{Items, Json, Members, Object};
use crate::python::path::HeaderField;
use crate::python::value::value;
use crate::seconds;
use crate::wire::stamp::Format;

/// A (low, high) pair of seconds.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Interval(f64, f64);

impl Argument for Interval {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let pair = given.extract().map_err(|_| wrong_type(name, given, "a (low, high) pair"));
        pair.map(|(low, high)| Self(low, high))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        (self.0, self.1).into_bound_py_any(py)
    }
}

impl Interval {
    pub(super) fn ends(self) -> (f64, f64) {
        (self.0, self.1)
    }
}

impl From<(i64, i64)> for Interval {
    fn from((low_ns, high_ns): (i64, i64)) -> Self {
        Self(seconds(low_ns), seconds(high_ns))
    }
}

/// Whether a reflector counts.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Stateful,
    Stateless,
}

impl Words for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("stateful", Self::Stateful), ("stateless", Self::Stateless)];
}

impl Words for Quirk {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

/// The result of a claim to know the time.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Claim {
    Synchronized,
    Refuted,
}

impl Words for Claim {
    const WORDS: &'static [(&'static str, Self)] =
        &[("synchronized", Self::Synchronized), ("refuted", Self::Refuted)];
}

value! {
    /// One direction between a StampSender and its reflector: to it, or back. Of a PingClient all is
    /// None, because an echo server does not tell directions apart.
    Direction in "udpulse.reports" {
        *,
        /// Packets lost in this direction, of those that the reflector's numbers can attribute; the
        /// others are in the report's `unattributed`. None if the numbers cannot tell.
        lost: Option<u64> = None,
        /// The `seq` of each of the last 65,536 probes that were lost in this direction for certain. Not
        /// among them are probes lost in a row with losses in the other direction, or next to
        /// copies. Empty for a sum of reports and of flows.
        lost_seqs: Vec<u64> = (),
        /// Why `lost` is None; None if it is not.
        unknown: Option<String> = None,
        /// Copies of packets that were made in this direction, as far as they came back.
        duplicates: Option<u64> = None,
        /// Packets that arrived after a later one (RFC 4737 section 3.3), of those answered.
        reordered: Option<u64> = None,
        /// Their share, 0 to 1, of all that were answered (RFC 4737 section 4.1).
        reorder_ratio: Option<f64> = None,
        /// The largest reordering extent, in packets (RFC 4737 section 4.2); None without reordering.
        reorder_extent: Option<u64> = None,
        /// The mean absolute inter-packet delay variation (RFC 3393), in seconds, over pairs of
        /// consecutive packets that were both answered. The clocks' difference in speed is removed if
        /// it is known.
        ipdv_abs_mean: Option<f64> = None,
        /// The median of packet delay variation (RFC 5481 section 4.2), in seconds: each delay minus
        /// the least. The clocks' difference in speed is removed if it is known.
        pdv_median: Option<f64> = None,
        /// The 95th percentile of the same; None for fewer than 20.
        pdv_p95: Option<f64> = None,
        /// The maximum of the same.
        pdv_max: Option<f64> = None,
        /// How often the least delay changed for good, as after a change of the route: by more than
        /// 50 us and ten times what it varies by. At least 64 packets before and after are compared.
        route_changes: Option<u64> = None,
        /// The bounds of the median one-way delay (RFC 7679), a (low, high) pair of seconds.
        delay: Option<Interval> = None,
    }
}

value! {
    /// The clock of a reflector against this host's, which does not step in it.
    ReflectorClock in "udpulse.reports" {
        *,
        /// The bounds of its offset at the last reply, a (low, high) pair of seconds: positive if it
        /// is ahead. None without replies, and for a sum.
        offset: Option<Interval> = None,
        /// The middle of the bounds: the offset if both directions take equally long, which nothing
        /// shows.
        offset_assuming_symmetry: Option<f64> = None or offset.map(|Interval(low, high)| f64::midpoint(low, high)),
        /// By how many parts per million it runs faster; None if the two directions disagree, as
        /// after a change of the route, or if the variation of delays hides it.
        skew_ppm: Option<f64> = None,
        /// How often it stepped.
        steps: u64 = 0,
        /// The sum of the steps, in seconds.
        step_total: f64 = 0.0,
        /// "synchronized" if both ends claim to be synchronized to UTC and the replies agree with
        /// the claimed errors, "refuted" if they do not; None without the claim.
        claim: Option<Word<Claim>> = None,
    }
}

value! {
    /// The habits of a reflector, as its replies show them.
    ReflectorTraits in "udpulse.reports" {
        *,
        /// "stateful" if it numbers its replies, "stateless" if it repeats the packets' numbers; None
        /// if the replies do not show which.
        mode: Option<Word<Mode>> = None,
        /// The format of its timestamps, "ntp" or "ptp", by their values; None without replies.
        timestamp_format: Option<Word<Format>> = None,
        /// The TTL or hop limit of packets that arrived there, a HeaderField; None if it does not
        /// report it.
        ttl: Option<HeaderField> = None,
        /// The shortest reply, in bytes; None without replies.
        min_reply_size: Option<u64> = None,
        /// The longest reply, in bytes; None without replies.
        max_reply_size: Option<u64> = None,
        /// Oddities of its replies, a tuple of "t1_t3_swapped" (the places are exchanged, and were
        /// put right), "z_mismatch" (the format of timestamps is not the announced one),
        /// "short_reply" and "long_reply" (of another length than the packet), "ssid_zeroed",
        /// "t2_equals_t3", "impossible_times" (T3 is before T2 or after the reply; such times are not
        /// used), "invalid_error_estimate" and "tai" (timestamps are 37 s ahead, as the standard of
        /// PTP has it).
        quirks: Vec<Word<Quirk>> = (),
    }
}

/// Returns why nothing is known about the direction of losses.
fn unknown(directions: &Directions) -> Option<String> {
    let reason = match directions.reflector.stateful {
        _ if directions.unattributed == 0 && directions.residence.count() > 0 => return None,
        Some(true) => return None,
        Some(false) => "the reflector repeats the packets' numbers (stateless)",
        None if directions.reflector.format.is_none() => "no reply came",
        None => "the replies do not show whether the reflector counts",
    };
    Some(reason.to_owned())
}

impl Direction {
    pub(super) fn of(directions: &Directions, direction: &ping::Direction) -> Self {
        let unknown = unknown(directions);
        let ping::Direction { lost, lost_seqs, duplicates, reordering, route_changes, .. } =
            direction;
        let ping::Direction { ipdv, pdv, .. } = direction;
        Self {
            lost: unknown.is_none().then_some(*lost),
            lost_seqs: lost_seqs.clone(),
            unknown,
            duplicates: Some(*duplicates),
            reordered: Some(reordering.reordered()),
            reorder_ratio: reordering.ratio(),
            reorder_extent: reordering.max_extent(),
            ipdv_abs_mean: ipdv.ipdv_abs_mean_ns().map(|ns| ns / 1e9),
            pdv_median: pdv.percentile_ns(50.0).map(seconds),
            pdv_p95: pdv.percentile_ns(95.0).map(seconds),
            pdv_max: pdv.max_ns().map(seconds),
            route_changes: Some(*route_changes),
            delay: direction.delay_ns().map(Interval::from),
        }
    }

    pub(super) fn nothing() -> Self {
        Self {
            lost: None,
            lost_seqs: Vec::new(),
            unknown: Some("an echo server does not tell directions apart".to_owned()),
            duplicates: None,
            reordered: None,
            reorder_ratio: None,
            reorder_extent: None,
            ipdv_abs_mean: None,
            pdv_median: None,
            pdv_p95: None,
            pdv_max: None,
            route_changes: None,
            delay: None,
        }
    }
}

impl From<&Directions> for ReflectorClock {
    fn from(directions: &Directions) -> Self {
        let ping::ClockReport { offset_ns, skew, steps, step_total_ns, claim } = directions.clock;
        let offset = offset_ns.map(Interval::from);
        let claimed = |holds| Word(if holds { Claim::Synchronized } else { Claim::Refuted });
        Self {
            offset,
            offset_assuming_symmetry: offset.map(|Interval(low, high)| f64::midpoint(low, high)),
            skew_ppm: skew.map(|skew| skew * 1e6),
            steps,
            step_total: seconds(step_total_ns),
            claim: claim.map(claimed),
        }
    }
}

fn mode(directions: &Directions) -> Option<Word<Mode>> {
    let mode = |stateful| Word(if stateful { Mode::Stateful } else { Mode::Stateless });
    directions.reflector.stateful.map(mode)
}

fn quirks(directions: &Directions) -> impl Iterator<Item = Word<Quirk>> + Clone {
    let quirks = directions.reflector.quirks;
    let all = Quirk::ALL.into_iter().map(|(_, quirk)| quirk);
    all.filter(move |quirk| quirks & *quirk as u16 != 0).map(Word)
}

impl From<&Directions> for ReflectorTraits {
    fn from(directions: &Directions) -> Self {
        let ping::Reflector { format, ttl, sizes, .. } = directions.reflector;
        Self {
            mode: mode(directions),
            timestamp_format: format.map(Word),
            ttl: ttl.map(HeaderField::from),
            min_reply_size: sizes.map(|(least, _)| least.into()),
            max_reply_size: sizes.map(|(_, most)| most.into()),
            quirks: quirks(directions).collect(),
        }
    }
}

/// Adds the attributes of a session with a reflector to a line; null for another server.
pub(super) fn describe(directions: Option<&Directions>, line: &mut Object<'_>) {
    let direction = |of: fn(&Directions) -> &ping::Direction| {
        directions.map(|all| {
            Members(move |object: &mut Object<'_>| describe_direction(all, of(all), object))
        })
    };
    line.add("forward", direction(|all| &all.forward))
        .add("reverse", direction(|all| &all.reverse))
        .add("unattributed", directions.map(|all| all.unattributed))
        .add("residence", directions.map(|all| &all.residence))
        .add(
            "reflector",
            directions.map(|all| {
                Members(move |object: &mut Object<'_>| {
                    let ping::Reflector { format, ttl, sizes, .. } = all.reflector;
                    object
                        .add("mode", mode(all).and_then(Word::word))
                        .add("timestamp_format", format.and_then(|format| Word(format).word()))
                        .add("ttl", ttl)
                        .add("min_reply_size", sizes.map(|(least, _)| least))
                        .add("max_reply_size", sizes.map(|(_, most)| most))
                        .add("quirks", Items(quirks(all).map(Word::word)));
                })
            }),
        )
        .add(
            "clock",
            directions.map(|all| {
                Members(move |object: &mut Object<'_>| {
                    let ping::ClockReport { offset_ns, skew, steps, step_total_ns, .. } = all.clock;
                    let claim = ReflectorClock::from(all).claim;
                    object
                        .add("offset_ns", offset_ns.map(ends))
                        .add(
                            "offset_assuming_symmetry_ns",
                            offset_ns.map(|(a, b)| i64::midpoint(a, b)),
                        )
                        .add("skew_ppm", skew.map(|skew| skew * 1e6))
                        .add("steps", steps)
                        .add("step_total_ns", step_total_ns)
                        .add("claim", claim.and_then(Word::word));
                })
            }),
        );
}

fn describe_direction(all: &Directions, one: &ping::Direction, object: &mut Object<'_>) {
    let ping::Direction { lost, duplicates, reordering, route_changes, ipdv, pdv, .. } = one;
    let unknown = unknown(all);
    object
        .add("lost", unknown.is_none().then_some(*lost))
        .add("unknown", unknown)
        .add("duplicates", *duplicates)
        .add("reordered", reordering.reordered())
        .add("reorder_ratio", reordering.ratio())
        .add("reorder_extent", reordering.max_extent())
        .add("ipdv_abs_mean_ns", ipdv.ipdv_abs_mean_ns().map(f64::round))
        .add("pdv_median_ns", pdv.percentile_ns(50.0))
        .add("pdv_p95_ns", pdv.percentile_ns(95.0))
        .add("pdv_max_ns", pdv.max_ns())
        .add("route_changes", *route_changes)
        .add("delay_ns", one.delay_ns().map(ends));
}

/// The ends of an interval.
fn ends((low, high): (i64, i64)) -> Ends {
    Ends([low, high])
}

struct Ends([i64; 2]);

impl Json for Ends {
    fn write(&self, out: &mut Vec<u8>) {
        self.0[..].write(out);
    }
}
