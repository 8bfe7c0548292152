//! Dates and times of day as people write them. Each parser reads the start of its input and
//! returns the number of bytes used.

use std::io::{self, Write};

use crate::time::NS_PER_SECOND;

pub(super) const DAY_NS: i64 = 86_400 * NS_PER_SECOND;

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A parsed date and time: nanoseconds since the Unix epoch on the writer's clock, and the clock's
/// offset from UTC, if given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) ns: i64,
    pub(super) offset_ns: Option<i64>,
}

/// Parses `2026-01-31 12:00:05.25` or the same without seconds (ISO 8601), with `T`, `_` or a blank
/// in the middle, `-` or `/` in the date, and optionally `Z` or `+01:00` at the end. `T` and `Z` may
/// be small (RFC 3339 section 5.6).
pub(super) fn date_time(text: &[u8]) -> Option<(Civil, usize)> {
    let mut at = Cursor::new(text);
    let year = at.digits(4, 4)?;
    let separator = at.one_of(b"-/")?;
    let month = at.digits(2, 2)?;
    at.one_of(&[separator])?;
    let day = at.digits(2, 2)?;
    at.one_of(b"Tt _")?;
    let time_ns = at.time_of_day(2, Seconds::Optional)?;
    let offset_ns = at.attempt(Cursor::offset);
    Some((Civil { ns: moment_ns(year, month, day, time_ns)?, offset_ns }, at.used))
}

/// Parses `Sat Jan 31 12:00:05 2026`, the format of C's `ctime`, case-insensitively.
pub(super) fn ctime(text: &[u8]) -> Option<(Civil, usize)> {
    let mut at = Cursor::new(text);
    at.name(&WEEKDAYS)?;
    at.blanks()?;
    let month = at.name(&MONTHS)? + 1;
    at.blanks()?;
    let day = at.digits(1, 2)?;
    at.blanks()?;
    let time_ns = at.time_of_day(2, Seconds::Needed)?;
    at.blanks()?;
    let year = at.digits(4, 4)?;
    Some((Civil { ns: moment_ns(year, month, day, time_ns)?, offset_ns: None }, at.used))
}

/// Parses `12:00:05.25` or `9:5:3` as nanoseconds since midnight.
pub(super) fn time_of_day(text: &[u8]) -> Option<(i64, usize)> {
    let mut at = Cursor::new(text);
    let ns = at.time_of_day(1, Seconds::Needed)?;
    // `1:2:3:4` is not a time of day.
    let goes_on = matches!(text.get(at.used..), Some([b':' | b'0'..=b'9', ..]));
    (!goes_on).then_some((ns, at.used))
}

/// Returns nanoseconds from the Unix epoch; `None` if the date is invalid or outside about 1678 to
/// 2262.
fn moment_ns(year: i64, month: i64, day: i64, time_ns: i64) -> Option<i64> {
    days(year, month, day)?.checked_mul(DAY_NS)?.checked_add(time_ns)
}

/// Returns the days from the Unix epoch to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day last.
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(365 * year + leap_days + day_of_year - 719_468)
}

/// A moment of the Gregorian calendar.
struct Moment {
    year: i64,
    /// From 1.
    month: usize,
    day: i64,
    /// Days since Sunday.
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
}

impl Moment {
    /// Returns the moment `local_ns` after the Unix epoch.
    fn new(local_ns: i64) -> Self {
        let days = local_ns.div_euclid(DAY_NS);
        let nanos = local_ns.rem_euclid(DAY_NS);
        let seconds = nanos / NS_PER_SECOND;
        // The inverse of `days`: years that begin in March, in eras of 400 years.
        let since_march = days + 719_468;
        let (era, day_of_era) = (since_march.div_euclid(146_097), since_march.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months = (5 * day_of_year + 2) / 153;
        Self {
            year: 400 * era + year_of_era + i64::from(months >= 10),
            month: below::<12>(months + 2) + 1,
            day: day_of_year - (153 * months + 2) / 5 + 1,
            weekday: below::<7>(days + 4),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            nanos: nanos % NS_PER_SECOND,
        }
    }
}

/// Returns the remainder of a division by `N`, as an index.
fn below<const N: i64>(number: i64) -> usize {
    usize::try_from(number.rem_euclid(N)).unwrap_or_default()
}

/// Writes a moment as C's `ctime`: `Sat Jan 31 12:00:05 2026`.
pub(super) fn write_ctime(local_ns: i64, out: &mut Vec<u8>) -> io::Result<()> {
    let Moment { year, month, day, weekday, hour, minute, second, .. } = Moment::new(local_ns);
    let (weekday, month) = (WEEKDAYS[weekday], MONTHS[month - 1]);
    write!(out, "{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
}

/// Writes a moment with six decimals: `2026-01-31 12:00:05.250000`.
pub(super) fn write_date_time(local_ns: i64, out: &mut Vec<u8>) -> io::Result<()> {
    let Moment { year, month, day, hour, minute, second, nanos, .. } = Moment::new(local_ns);
    let micros = nanos / 1000;
    write!(out, "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// Returns a moment of UTC as ISO 8601 with nine decimals: `2026-01-31T12:00:05.250000000+00:00`.
#[must_use]
pub fn utc(ns: i64) -> String {
    let Moment { year, month, day, hour, minute, second, nanos, .. } = Moment::new(ns);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}+00:00")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seconds {
    Needed,
    Optional,
}

struct Cursor<'a> {
    text: &'a [u8],
    used: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, used: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.used..).unwrap_or_default()
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = *self.rest().first().filter(|byte| bytes.contains(byte))?;
        self.used += 1;
        Some(byte)
    }

    fn blanks(&mut self) -> Option<()> {
        let blanks = self.rest().iter().take_while(|byte| **byte == b' ').count();
        self.used += blanks;
        (blanks > 0).then_some(())
    }

    /// Reads a number of at least `min` digits, using at most `max`.
    fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let rest = self.rest();
        let length = rest.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
        self.used += length;
        let value =
            rest[..length].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        (length >= min).then_some(value)
    }

    /// Reads one of `names`, each of three letters, and returns its index.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        let word = self.rest().get(..3)?;
        let index = names.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes()))?;
        self.used += 3;
        i64::try_from(index).ok()
    }

    /// Reads a time of day whose minutes and seconds have at least `width` digits.
    fn time_of_day(&mut self, width: usize, seconds: Seconds) -> Option<i64> {
        let hour = self.digits(1, 2).filter(|hour| *hour < 24)?;
        self.one_of(b":")?;
        let minute = self.digits(width, 2).filter(|minute| *minute < 60)?;
        let second_ns = match self.attempt(|at| at.second_ns(width)) {
            None if seconds == Seconds::Optional => 0,
            second_ns => second_ns?,
        };
        Some((hour * 60 + minute) * 60 * NS_PER_SECOND + second_ns)
    }

    fn second_ns(&mut self, width: usize) -> Option<i64> {
        self.one_of(b":")?;
        // A leap second is written as 60.
        let second = self.digits(width, 2).filter(|second| *second <= 60)?;
        let fraction_ns = self.attempt(Self::fraction_ns).unwrap_or(0);
        Some(second * NS_PER_SECOND + fraction_ns)
    }

    fn fraction_ns(&mut self) -> Option<i64> {
        self.one_of(b".,")?;
        let before = self.used;
        let value = self.digits(1, 9)?;
        let missing = u32::try_from(9 - (self.used - before)).ok()?;
        self.used += self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        Some(value * 10_i64.pow(missing))
    }

    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.digits(2, 2)?;
        let _ = self.one_of(b":");
        let minutes = self.digits(2, 2)?;
        Some(sign * (hours * 60 + minutes) * 60 * NS_PER_SECOND)
    }

    /// Reads an optional part; uses no bytes if `read` fails.
    fn attempt(&mut self, read: impl FnOnce(&mut Self) -> Option<i64>) -> Option<i64> {
        let before = self.used;
        let value = read(self);
        if value.is_none() {
            self.used = before;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_is_to_the_nanosecond() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000000000+00:00");
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999999999+00:00");
        assert_eq!(utc(i64::MAX), "2262-04-11T23:47:16.854775807+00:00");
        let parsed = date_time(utc(1_790_000_000_123_456_789).as_bytes());
        let civil = Civil { ns: 1_790_000_000_123_456_789, offset_ns: Some(0) };
        assert_eq!(parsed, Some((civil, 35)));
    }

    #[test]
    fn dates_count_from_the_epoch() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(1969, 12, 31), Some(-1));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2100, 3, 1), Some(47_541));
        for (year, month, day) in [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 4, 31)] {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn written_moments_are_read_again() {
        for day in (-100_000..=100_000).chain([-106_751, 106_751]) {
            let ns = day * DAY_NS + (day.rem_euclid(86_400) * NS_PER_SECOND);
            let mut out = Vec::new();
            write_date_time(ns + 123_000, &mut out).unwrap();
            let micros = Civil { ns: ns + 123_000, offset_ns: None };
            assert_eq!(date_time(&out), Some((micros, 26)), "{day}");
            out.clear();
            write_ctime(ns + 123_000, &mut out).unwrap();
            assert_eq!(ctime(&out), Some((Civil { ns, offset_ns: None }, 24)), "{day}");
        }
    }

    #[test]
    fn date_times_in_their_forms() {
        let expected = 1_486_391_425_250_000_000; // 2017-02-06 14:30:25.25 UTC
        for (text, offset_ns, used) in [
            ("2017-02-06 14:30:25.25", None, 22),
            ("2017/02/06T14:30:25,250 x", None, 23),
            ("2017-02-06T14:30:25.25Z", Some(0), 23),
            ("2017-02-06t14:30:25.25z", Some(0), 23),
            ("2017-02-06 14:30:25.25+01:30", Some(5400 * NS_PER_SECOND), 28),
            ("2017-02-06 14:30:25.25-0130", Some(-5400 * NS_PER_SECOND), 27),
            ("2017-02-06 14:30:25.25 -3", None, 22),
        ] {
            let civil = Civil { ns: expected, offset_ns };
            assert_eq!(date_time(text.as_bytes()), Some((civil, used)), "{text}");
        }
    }

    #[test]
    fn ctime_in_any_case() {
        let civil = Civil { ns: 1_486_391_425_000_000_000, offset_ns: None };
        for text in ["Mon Feb  6 14:30:25 2017", "MON FEB 06 14:30:25 2017"] {
            assert_eq!(ctime(text.as_bytes()), Some((civil, 24 - usize::from(text.len() < 24))));
        }
    }

    #[test]
    fn dates_out_of_range_are_none() {
        for year in ["0000", "1677", "2263", "2999", "9999"] {
            assert_eq!(date_time(format!("{year}-06-01 00:00:00").as_bytes()), None);
            assert_eq!(ctime(format!("Mon Jun  1 00:00:00 {year}").as_bytes()), None);
        }
    }

    #[test]
    fn times_may_be_short() {
        let of_day = (9 * 3600 + 5 * 60) * NS_PER_SECOND;
        assert_eq!(time_of_day(b"9:5:3"), Some((of_day + 3 * NS_PER_SECOND, 5)));
        let civil = Civil { ns: of_day, offset_ns: None };
        assert_eq!(date_time(b"1970-01-01 09:05 7"), Some((civil, 16)));
    }

    #[test]
    fn malformed_times_are_none() {
        for text in ["", "2017-02-06", "2017-02/06 1:00:00", "2017-13-06 1:00:00", "24:00:00"] {
            let text = text.as_bytes();
            assert_eq!((date_time(text), ctime(text), time_of_day(text)), (None, None, None));
        }
        for text in ["1:00:00:00", "1:0", "12:60:00", "12:00:61"] {
            assert_eq!(time_of_day(text.as_bytes()), None, "{text}");
        }
    }
}
