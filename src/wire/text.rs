//! Parser of lab messages: a sequence number and a time, in any order, with any words and
//! separators around them.
//!
//! Two rules find the number. The lab's ([`read`]) takes the first whole number that is not part of
//! the time. The other ([`read_with_evidence`]) is for programs that send more than that, such as
//! `web-03 load 2` or JSON: it prefers a number with a label to one without, skips those with the
//! label of something else, and tells what the number rests on.

use std::ops::Range;

use crate::time::NS_PER_SECOND;
use crate::wire::civil::{self, Civil, DAY_NS};

/// The bytes in which the number and the time are sought, so that a stranger's datagram of 64 KiB
/// costs no more than a beat.
const SEARCHED: usize = 1024;

/// Numbers and time found in a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The number that is or may be the message's sequence number.
    pub seq: Option<u64>,
    /// Evidence that it is.
    pub evidence: Evidence,
    /// Whether the message has any whole number besides the time.
    pub has_number: bool,
    /// Send time, according to the sender.
    pub time: Option<SentAt>,
}

/// Evidence that a number is a sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// None: it may be anything.
    #[default]
    None,
    /// The message has the form of the lab: the number, a time, and at most one word.
    Form,
    /// A label.
    Label,
}

impl Reading {
    /// Returns a reading of a number that certainly is a sequence number.
    #[must_use]
    pub fn of(seq: u64, time: Option<SentAt>) -> Self {
        Self { seq: Some(seq), evidence: Evidence::Label, has_number: true, time }
    }
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

/// Parses a datagram by the lab's rule. Looks for the time first: Unix seconds, milli-, micro- or
/// nanoseconds by their magnitude (10, 13, 16 or 19 digits), an ISO date and time, or C's `ctime`,
/// whichever comes first; if there is none, `H:M:S`. Looks only at the first kilobyte.
#[must_use]
pub fn read(datagram: &[u8]) -> Reading {
    let datagram = start(datagram);
    let anywhere = |_| true;
    let found = find(datagram, anywhere, moment).or_else(|| find(datagram, anywhere, time_of_day));
    let (time, before, after) = split(datagram, found);
    match numbers(before).chain(numbers(after)).next() {
        Some((_, first)) => Reading::of(first, time),
        None => Reading { time, ..Reading::default() },
    }
}

/// Parses a datagram of any program. Looks for the same times as [`read`], but those with a label
/// such as `time=` precede others, and a number labelled as the sequence number is not a time, nor
/// is a whole number of ten digits from 2038 on, which is a counter of 32 bits.
#[must_use]
pub(super) fn read_with_evidence(datagram: &[u8]) -> Reading {
    let datagram = start(datagram);
    let label_at = |start: usize| label(&datagram[..start]);
    let may_be_time =
        |start: usize| label_at(start) != Label::Sequence && !is_large_counter(&datagram[start..]);
    let found = find(datagram, |start| label_at(start) == Label::Time, moment)
        .or_else(|| find(datagram, may_be_time, moment))
        .or_else(|| find(datagram, may_be_time, time_of_day));
    let (time, before, after) = split(datagram, found);
    let (seq, evidence) = sequence_number(before, after, time.is_some());
    let has_number = numbers(before).chain(numbers(after)).next().is_some();
    Reading { seq, evidence, has_number, time }
}

/// Returns the part of a text that is searched, without the beginning of a number that it cuts.
fn start(text: &[u8]) -> &[u8] {
    match text.split_at_checked(SEARCHED) {
        Some((start, [b'0'..=b'9' | b'.', ..])) => trim_end(start, u8::is_ascii_digit),
        Some((start, _)) => start,
        None => text,
    }
}

/// Splits the text at the time that was found.
fn split(text: &[u8], found: Option<(SentAt, Range<usize>)>) -> (Option<SentAt>, &[u8], &[u8]) {
    match found {
        Some((time, at)) => (Some(time), &text[..at.start], &text[at.end..]),
        None => (None, text, &[]),
    }
}

/// Returns whether `text` begins with a whole number of ten digits that is a Unix time only from
/// 2038 on, but fits in 32 bits.
fn is_large_counter(text: &[u8]) -> bool {
    let length = digits(text);
    let is_whole = !matches!(text[length..], [b'.', digit, ..] if digit.is_ascii_digit());
    let range = 1 << 31..1 << 32;
    length == 10 && is_whole && number(&text[..length]).is_some_and(|value| range.contains(&value))
}

/// Finds the sequence number around the time: the first with its label, or else the first that
/// stands alone, or else the first, skipping those with the label of something else.
fn sequence_number(before: &[u8], after: &[u8], is_timed: bool) -> (Option<u64>, Evidence) {
    let is_json = before.trim_ascii_start().first() == Some(&b'{');
    let (mut alone, mut attached) = (None, None);
    for text in [before, after] {
        for (at, number) in numbers(text) {
            match label(&text[..at.start]) {
                Label::Sequence => return (Some(number), Evidence::Label),
                Label::Time | Label::Other => {}
                Label::None if is_json => {}
                Label::None if stands_alone(text, at) => alone = alone.or(Some(number)),
                Label::None => attached = attached.or(Some(number)),
            }
        }
    }
    let is_form = is_timed && alone.is_some() && has_form(before, after);
    (alone.or(attached), if is_form { Evidence::Form } else { Evidence::None })
}

/// Returns whether there is only one number around the time, and at most one word but `time`.
fn has_form(before: &[u8], after: &[u8]) -> bool {
    let parts = |is_part: fn(&u8) -> bool| {
        let split = move |text| <[u8]>::split(text, move |byte| !is_part(byte));
        split(before).chain(split(after)).filter(|part| !part.is_empty())
    };
    let is_time = |word: &&[u8]| is_any(word, &TIMES);
    parts(u8::is_ascii_digit).count() == 1
        && parts(u8::is_ascii_alphabetic).filter(|word| !is_time(word)).count() <= 1
}

/// Meaning of a number, according to the word before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Sequence,
    Time,
    /// A key other than those two, or the word of a measurement.
    Other,
    None,
}

const TIMES: [&str; 8] = ["time", "timestamp", "ts", "t", "sent", "sent_at", "date", "datetime"];
/// Words before numbers that may rise as a sequence does.
const MEASUREMENTS: [&str; 8] = ["up", "uptime", "load", "cpu", "mem", "temp", "pid", "port"];

/// Reads the label at the end of `text`, the part before a number.
pub(super) fn label(text: &[u8]) -> Label {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || b"\"'".contains(byte);
    let is_quoted = |text: &[u8]| text.last().is_some_and(|byte| b"\"'".contains(byte));
    let mut rest = trim_end(text, blank);
    let sign = rest.last().copied();
    if sign == Some(b'#') {
        return Label::Sequence;
    }
    if matches!(sign, Some(b'=' | b':')) {
        rest = trim_end(&rest[..rest.len() - 1], u8::is_ascii_whitespace);
    }
    let is_key = sign == Some(b'=') || sign == Some(b':') && is_quoted(rest);
    rest = trim_end(rest, |byte| blank(byte) || *byte == b'.');
    let letters = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let word = &rest[trim_end(rest, letters).len()..];
    let is_attached = !word.is_empty() && rest.len() == text.len();
    if starts_with(word, b"seq") || !is_attached && is_any(word, &["n", "no"]) {
        Label::Sequence
    } else if is_key && is_any(word, &TIMES) {
        Label::Time
    } else if is_key || is_any(word, &MEASUREMENTS) {
        Label::Other
    } else {
        Label::None
    }
}

fn is_any(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

fn starts_with(word: &[u8], start: &[u8]) -> bool {
    word.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn trim_end(text: &[u8], drops: impl Fn(&u8) -> bool) -> &[u8] {
    let end = text.iter().rposition(|byte| !drops(byte)).map_or(0, |last| last + 1);
    &text[..end]
}

/// Returns whether a number is outside of names (`web-03`, `pi4`), addresses and measures (`5%`).
fn stands_alone(text: &[u8], at: Range<usize>) -> bool {
    let joins = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'%';
    let is_joined = match &text[..at.start] {
        [.., before, b'-' | b'_' | b'.'] => before.is_ascii_alphanumeric(),
        [.., before, b':'] => before.is_ascii_digit(),
        [.., before] => joins(before) || *before == b'-',
        [] => false,
    };
    !is_joined && !text.get(at.end).is_some_and(joins)
}

/// Finds the first position that `may` be one, not inside a number or a word, at which `read`
/// succeeds.
fn find(
    text: &[u8],
    may: impl Fn(usize) -> bool,
    read: impl Fn(&[u8]) -> Option<(SentAt, usize)>,
) -> Option<(SentAt, Range<usize>)> {
    (0..text.len()).filter(|&start| begins(text, start) && may(start)).find_map(|start| {
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

fn time_of_day(text: &[u8]) -> Option<(SentAt, usize)> {
    civil::time_of_day(text).map(|(ns, used)| (SentAt::OfDay(ns), used))
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

/// Returns the whole numbers that fit; the parts of a decimal fraction do not count.
fn numbers(text: &[u8]) -> impl Iterator<Item = (Range<usize>, u64)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        while next < text.len() {
            let (start, length) = (next, digits(&text[next..]));
            let end = start + length;
            next = end.max(start + 1);
            let is_fraction = length == 0
                || !begins(text, start)
                || matches!(text[end..], [b'.', digit, ..] if digit.is_ascii_digit());
            if !is_fraction && let Some(value) = number(&text[start..end]) {
                return Some((start..end, value));
            }
        }
        None
    })
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
    fn only_the_first_kilobyte_is_searched() {
        for read in [read, read_with_evidence] {
            let after =
                |blanks: usize| read(format!("{}seq 123", " ".repeat(blanks)).as_bytes()).seq;
            assert_eq!([1017, 1018, 1020, 65_000].map(after), [Some(123), None, None, None]);
        }
    }

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
            let lab =
                seq.map_or(Reading { time, ..Reading::default() }, |seq| Reading::of(seq, time));
            assert_eq!(read(text.as_bytes()), lab, "{text:?}");
            let reading = read_with_evidence(text.as_bytes());
            assert_eq!((reading.seq, reading.time), (seq, time), "{text:?}");
            let is_labelled = text.to_ascii_lowercase().contains("seq") || text.contains('#');
            let evidence = match (seq, time) {
                (Some(_), _) if is_labelled => Evidence::Label,
                (Some(_), Some(_)) => Evidence::Form,
                _ => Evidence::None,
            };
            assert_eq!(reading.evidence, evidence, "{text:?}");
        }
    }

    #[test]
    fn a_labelled_number_precedes_all_others() {
        for (text, seq) in [
            ("web-03 load 2 seq 17", 17),
            (r#"{"host": "pi4", "load": 3, "seq": 17, "time": 1486420330.5}"#, 17),
            (r#"{"n":17,"up":4711}"#, 17),
            (r#"{"seq_no": "17"}"#, 17),
            ("host=pi4 uptime=4711 sequence=17", 17),
            ("pi4 SEQ=17;load=3", 17),
            ("4 sensors, n = 17", 17),
            ("4 sensors, #17", 17),
            ("seq17 3", 17),
        ] {
            let reading = read_with_evidence(text.as_bytes());
            assert_eq!((reading.seq, reading.evidence), (Some(seq), Evidence::Label), "{text:?}");
        }
    }

    #[test]
    fn a_name_or_a_measurement_is_skipped_for_another_number() {
        for (text, seq) in [
            ("web-03 17", Some(17)),
            ("pi4 17 ok", Some(17)),
            ("10.0.0.1:12000 17", Some(17)),
            ("cpu 3 % load 2 17", Some(17)),
            ("5d 17", Some(17)),
            ("-5 17", Some(17)),
            ("host=4 17", Some(17)),
            ("web-03", Some(3)),
            ("uptime 4711", None),
            ("Uptime: 4711 s", None),
            ("load=3", None),
            (r#"{"host": "web 3", "loads": [1, 2]}"#, None),
        ] {
            let reading = read_with_evidence(text.as_bytes());
            assert_eq!((reading.seq, reading.evidence), (seq, Evidence::None), "{text:?}");
            assert!(reading.has_number, "{text:?}");
        }
    }

    #[test]
    fn the_form_of_the_lab_has_one_number_and_one_word() {
        for (text, evidence) in [
            ("pi4 1486420330.5", Evidence::None),
            ("web-03 1486420330.5", Evidence::None),
            ("Client 2 connected at 12:00:01", Evidence::None),
            ("load 2 1486420330.5", Evidence::None),
            ("beat 2 of 5 1486420330.5", Evidence::None),
            ("2 beat 1486420330.5", Evidence::Form),
            ("beat [2] time=1486420330.5", Evidence::Form),
        ] {
            assert_eq!(read_with_evidence(text.as_bytes()).evidence, evidence, "{text:?}");
        }
    }

    #[test]
    fn a_counter_of_32_bits_is_not_a_time() {
        let time = Some(SentAt::Unix(T + 500_000_000));
        for (text, seq, time) in [
            ("seq=4294967295 time=1486420330.5", 4_294_967_295, time),
            ("hb 4294967295 1486420330.5", 4_294_967_295, time),
            ("4294967295", 4_294_967_295, None),
            ("seq 1486420330000", 1_486_420_330_000, None),
        ] {
            let reading = read_with_evidence(text.as_bytes());
            assert_eq!((reading.seq, reading.time), (Some(seq), time), "{text:?}");
        }
    }

    #[test]
    fn a_time_with_a_label_precedes_others() {
        for text in [
            r#"{"boot": 1486420000, "time": 1486420330.5, "seq": 1}"#,
            "mem=1073741824 ts=1486420330.5",
        ] {
            let time = Some(SentAt::Unix(T + 500_000_000));
            assert_eq!(read_with_evidence(text.as_bytes()).time, time, "{text:?}");
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
            let _ = read_with_evidence(&datagram);
        }

        #[test]
        fn text_that_resembles_times_is_read(datagram in "[0-9:., TZ+/A-Za-z-]{0,80}") {
            let _ = read(datagram.as_bytes());
            let _ = read_with_evidence(datagram.as_bytes());
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
                let reading = Reading::of(seq, Some(SentAt::Unix(micros * 1000)));
                prop_assert_eq!(read(&message), reading);
                let reading = Reading { evidence: Evidence::Form, ..reading };
                prop_assert_eq!(read_with_evidence(&message), reading);
            }
        }
    }
}
