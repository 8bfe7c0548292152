//! Parser of lab messages: a sequence number and a time, in any order, with any words and
//! separators around them.

use std::ops::Range;

use crate::time::NS_PER_SECOND;
use crate::wire::civil::{self, Civil, DAY_NS};

/// Number and time found in a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The first whole number that is not part of the time.
    pub seq: Option<u64>,
    /// Send time, according to the sender.
    pub time: Option<SentAt>,
}

/// A time as the sender wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentAt {
    /// A date and time without a zone: nanoseconds since the epoch in the sender's local time.
    Local(i64),
    /// A time of day without a date: nanoseconds since midnight in the sender's local time.
    OfDay(i64),
    /// Nanoseconds since the Unix epoch.
    Unix(i64),
}

impl SentAt {
    /// Returns the time from this moment to `wall_ns`, in nanoseconds; negative if the sender's
    /// clock is ahead. A time without a zone is assumed to be `offset_ns` ahead of UTC; a time of
    /// day is the nearest such moment.
    #[must_use]
    pub fn until_ns(self, wall_ns: i64, offset_ns: i64) -> i64 {
        let local_ns = wall_ns.saturating_add(offset_ns);
        match self {
            Self::Local(ns) => local_ns.saturating_sub(ns),
            Self::OfDay(ns) => {
                let ahead = (local_ns.rem_euclid(DAY_NS) - ns).rem_euclid(DAY_NS);
                if ahead > DAY_NS / 2 { ahead - DAY_NS } else { ahead }
            }
            Self::Unix(ns) => wall_ns.saturating_sub(ns),
        }
    }
}

/// Parses a datagram. Looks for the time first: Unix seconds, milli-, micro- or nanoseconds by
/// their magnitude (10, 13, 16 or 19 digits), an ISO date and time, or C's `ctime`, whichever comes
/// first; if there is none, `H:M:S`.
#[must_use]
pub fn read(datagram: &[u8]) -> Reading {
    let found = find(datagram, moment).or_else(|| {
        find(datagram, |text| civil::time_of_day(text).map(|(ns, used)| (SentAt::OfDay(ns), used)))
    });
    match found {
        None => Reading { seq: whole_number(datagram), time: None },
        Some((time, Range { start, end })) => Reading {
            seq: whole_number(&datagram[..start]).or_else(|| whole_number(&datagram[end..])),
            time: Some(time),
        },
    }
}

/// Finds the first position, not inside a number or a word, at which `read` succeeds.
fn find(
    text: &[u8],
    read: impl Fn(&[u8]) -> Option<(SentAt, usize)>,
) -> Option<(SentAt, Range<usize>)> {
    (0..text.len()).filter(|&start| begins(text, start)).find_map(|start| {
        let (time, used) = read(&text[start..])?;
        Some((time, start..start + used))
    })
}

/// Returns whether a number or a word begins at `start`; digits after a decimal point do not count.
fn begins(text: &[u8], start: usize) -> bool {
    let same_kind: fn(&u8) -> bool = match text[start] {
        b'0'..=b'9' => u8::is_ascii_digit,
        b'a'..=b'z' | b'A'..=b'Z' => u8::is_ascii_alphabetic,
        _ => return false,
    };
    match text[..start] {
        [.., digit, b'.'] if text[start].is_ascii_digit() => !digit.is_ascii_digit(),
        [.., before] => !same_kind(&before),
        [] => true,
    }
}

/// Parses a date and time or a Unix time at the start of `text`.
fn moment(text: &[u8]) -> Option<(SentAt, usize)> {
    let of = |(Civil { ns, offset_ns }, used)| match offset_ns {
        Some(offset_ns) => (SentAt::Unix(ns.saturating_sub(offset_ns)), used),
        None => (SentAt::Local(ns), used),
    };
    if text.first()?.is_ascii_digit() {
        unix(text).or_else(|| civil::date_time(text).map(of))
    } else {
        civil::ctime(text).map(of)
    }
}

/// Parses a Unix time; the number of digits tells its unit.
fn unix(text: &[u8]) -> Option<(SentAt, usize)> {
    let digits = digits(text);
    let unit_ns = match digits {
        10 => NS_PER_SECOND,
        13 => 1_000_000,
        16 => 1000,
        19 => 1,
        _ => return None,
    };
    if text[0] == b'0' {
        return None;
    }
    let whole = number(&text[..digits])?.checked_mul(u64::try_from(unit_ns).ok()?)?;
    let mut ns = i64::try_from(whole).ok()?;
    let mut used = digits;
    if let [b'.', fraction @ ..] = &text[digits..] {
        let length = self::digits(fraction);
        let mut digit_ns = unit_ns;
        for digit in &fraction[..length] {
            digit_ns /= 10;
            ns = ns.checked_add(i64::from(digit - b'0') * digit_ns)?;
        }
        used += if length > 0 { 1 + length } else { 0 };
    }
    Some((SentAt::Unix(ns), used))
}

/// Returns the first whole number that fits; the parts of a decimal fraction do not count.
fn whole_number(text: &[u8]) -> Option<u64> {
    let mut start = 0;
    while start < text.len() {
        let length = digits(&text[start..]);
        if length == 0 {
            start += 1;
            continue;
        }
        let end = start + length;
        let is_fraction = !begins(text, start)
            || matches!(text[end..], [b'.', digit, ..] if digit.is_ascii_digit());
        if !is_fraction && let Some(value) = number(&text[start..end]) {
            return Some(value);
        }
        start = end;
    }
    None
}

/// Returns the number of digits that `text` begins with.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Returns the value of `digits`, if it fits.
fn number(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Template;
    use proptest::prelude::*;

    const T: i64 = 1_486_420_330_000_000_000; // 2017-02-06 22:32:10 UTC
    const DAY_T: i64 = ((22 * 60 + 32) * 60 + 10) * NS_PER_SECOND;

    #[test]
    fn messages_of_lab_programs() {
        let unix = |us: i64| Some(SentAt::Unix(T + us * 1000));
        let local = |us: i64| Some(SentAt::Local(T + us * 1000));
        let of_day = |us: i64| Some(SentAt::OfDay(DAY_T + us * 1000));
        for (text, seq, time) in [
            ("Heartbeat 17 1486420330.837133", Some(17), unix(837_133)),
            ("Heartbeat  0 1486420330.5", Some(0), unix(500_000)),
            ("7 1486420330.83", Some(7), unix(830_000)),
            ("1486420330.83 7", Some(7), unix(830_000)),
            ("7,1486420330.5", Some(7), unix(500_000)),
            ("PING 3 1486420330500", Some(3), unix(500_000)),
            ("PING 3 1486420330500.25", Some(3), unix(500_250)),
            ("3 1486420330500250", Some(3), unix(500_250)),
            ("3 1486420330500250000", Some(3), unix(500_250)),
            ("3 1486420330", Some(3), unix(0)),
            ("Ping 1 Mon Feb  6 22:32:10 2017", Some(1), local(0)),
            ("Ping #1 Mon Feb  6 22:32:10 2017", Some(1), local(0)),
            ("12_Mon Feb 06 22:32:10 2017\n", Some(12), local(0)),
            ("4\t2017-02-06 22:32:10.500000", Some(4), local(500_000)),
            ("Ping 4: 2017-02-06 22:32:10", Some(4), local(0)),
            ("[2017-02-06 22:32:10.500000]", None, local(500_000)),
            ("4 2017-02-06T22:32:10Z", Some(4), unix(0)),
            ("4 2017-02-06T23:32:10+01:00", Some(4), unix(0)),
            ("SeqNo: 9 22:32:10.500", Some(9), of_day(500_000)),
            ("Ping 9:22:32:10", Some(9), of_day(0)),
            ("Packet: 5 | Timestamp: 1486420330.5 ", Some(5), unix(500_000)),
            ("#6 time:1486420330.5", Some(6), unix(500_000)),
            ("Heartbeat 1486420330.5", None, unix(500_000)),
            ("1486420330.5", None, unix(500_000)),
            ("24", Some(24), None),
            ("Sequence No.: 8", Some(8), None),
            ("Ping8", Some(8), None),
            ("Ping 3 0.0523", Some(3), None),
            ("0.5 3.", Some(3), None),
            ("99999999999999999999999 4", Some(4), None),
            ("pong", None, None),
            ("", None, None),
        ] {
            assert_eq!(read(text.as_bytes()), Reading { seq, time }, "{text:?}");
        }
    }

    #[test]
    fn differences_for_each_kind_of_time() {
        let hour = 3600 * NS_PER_SECOND;
        assert_eq!(SentAt::Unix(T).until_ns(T + 5, hour), 5);
        assert_eq!(SentAt::Unix(T).until_ns(T - 5, hour), -5);
        assert_eq!(SentAt::Local(T + hour).until_ns(T + 5, hour), 5);
        assert_eq!(SentAt::OfDay(DAY_T).until_ns(T - 5, 0), -5);
        // 23:59:59 heard at 00:00:01 was two seconds ago.
        let midnight = T - DAY_T;
        let last_second = SentAt::OfDay(DAY_NS - NS_PER_SECOND);
        assert_eq!(last_second.until_ns(midnight + NS_PER_SECOND, 0), 2 * NS_PER_SECOND);
    }

    proptest! {
        #[test]
        fn any_date_is_read(
            year in 0..=9999, month in 1..=12, day in 1..=28, wall_ns: i64, offset_ns: i64,
        ) {
            let iso = format!("7 {year:04}-{month:02}-{day:02} 23:59:60.9+23:59");
            let ctime = format!("7 Mon Jan {day:2} 23:59:60 {year:04}");
            for text in [iso, ctime] {
                if let Some(time) = read(text.as_bytes()).time {
                    let _ = time.until_ns(wall_ns, offset_ns);
                }
            }
        }

        #[test]
        fn any_bytes_are_read(datagram: Vec<u8>, wall_ns: i64) {
            if let Some(time) = read(&datagram).time {
                let _ = time.until_ns(wall_ns, 0);
            }
        }

        #[test]
        fn text_that_resembles_times_is_read(datagram in "[0-9:., TZ+/A-Za-z-]{0,80}") {
            let _ = read(datagram.as_bytes());
        }

        #[test]
        fn our_own_messages_are_read_back(
            // A number that could itself be a time is read as one if it comes first.
            seq in 0..1_000_000_000_u64,
            micros in 1_000_000_000_000_000_i64..9_000_000_000_000_000,
        ) {
            let mut message = Vec::new();
            for template in [Template::ping(), Template::heartbeat()] {
                template.write(seq, micros * 1000, 0, &mut message);
                let reading = Reading { seq: Some(seq), time: Some(SentAt::Unix(micros * 1000)) };
                prop_assert_eq!(read(&message), reading);
            }
        }
    }
}
