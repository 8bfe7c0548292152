//! Templates of messages that carry a sequence number and the time.

use std::borrow::Cow;
use std::io::Write;

use crate::time::NS_PER_SECOND;
use crate::wire::civil;
use crate::{Error, Result};

/// A message compiled from a text such as `Heartbeat {seq} {time}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// Maximum length of a template's text; the message fits in one packet on most networks.
const MAX_TEXT: usize = 1400;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Field(Field),
    Text(Cow<'static, str>),
}

/// A placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// As C's `ctime` writes it, in local time.
    Ctime,
    /// As Python's `str(datetime.now())`, in local time.
    Datetime,
    /// Milliseconds since the Unix epoch.
    Ms,
    Seq,
    /// Seconds since the Unix epoch with six decimals.
    Time,
}

const FIELDS: [(&str, Field); 5] = [
    ("{seq}", Field::Seq),
    ("{time}", Field::Time),
    ("{ms}", Field::Ms),
    ("{ctime}", Field::Ctime),
    ("{datetime}", Field::Datetime),
];

impl Template {
    /// Returns the heartbeat of the lab: `Heartbeat {seq} {time}`.
    #[must_use]
    pub fn heartbeat() -> Self {
        Self::lab("Heartbeat ")
    }

    /// Returns the ping of the lab: `Ping {seq} {time}`.
    #[must_use]
    pub fn ping() -> Self {
        Self::lab("Ping ")
    }

    fn lab(word: &'static str) -> Self {
        let [seq, time] = [Field::Seq, Field::Time].map(Piece::Field);
        Self(vec![Piece::Text(word.into()), seq, Piece::Text(" ".into()), time])
    }

    /// Compiles `text`, an argument called `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] if a brace belongs to no placeholder, or the text is too long.
    pub fn parse(name: &'static str, text: &str) -> Result<Self> {
        let wrong = || {
            let allowed =
                "a text whose only braces are {seq}, {time}, {ms}, {ctime} and {datetime}";
            Error::argument(name, format!("'{text}'"), allowed)
        };
        if text.len() > MAX_TEXT {
            let allowed = format!("a text of at most {MAX_TEXT} bytes");
            return Err(Error::argument(name, format!("one of {}", text.len()), allowed));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, braces) = rest.split_at(open);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned().into()));
            }
            let (field, after) = FIELDS
                .iter()
                .find_map(|(name, field)| Some((*field, braces.strip_prefix(name)?)))
                .ok_or_else(wrong)?;
            pieces.push(Piece::Field(field));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned().into()));
        }
        Ok(Self(pieces))
    }

    /// Writes the message into `out`, replacing its contents. Local time is `utc_offset_ns` ahead
    /// of UTC.
    pub fn write(&self, seq: u64, wall_ns: i64, utc_offset_ns: i64, out: &mut Vec<u8>) {
        out.clear();
        let local_ns = wall_ns.saturating_add(utc_offset_ns);
        for piece in &self.0 {
            // Writing to a vector cannot fail.
            let _ = match piece {
                Piece::Field(Field::Ctime) => civil::write_ctime(local_ns, out),
                Piece::Field(Field::Datetime) => civil::write_date_time(local_ns, out),
                Piece::Field(Field::Ms) => write!(out, "{}", wall_ns.div_euclid(1_000_000)),
                Piece::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    Ok(())
                }
                Piece::Field(Field::Seq) => {
                    write_number(seq, 1, out);
                    Ok(())
                }
                Piece::Field(Field::Time) => {
                    write_seconds(wall_ns, out);
                    Ok(())
                }
            };
        }
    }
}

/// Writes a time in seconds since the Unix epoch with six decimals.
pub(super) fn write_seconds(wall_ns: i64, out: &mut Vec<u8>) {
    if wall_ns < 0 {
        out.push(b'-');
    }
    let micros = wall_ns.unsigned_abs() / 1000;
    let per_second = NS_PER_SECOND.unsigned_abs() / 1000;
    write_number(micros / per_second, 1, out);
    out.push(b'.');
    write_number(micros % per_second, 6, out);
}

/// Writes a number with at least `least` digits, 1 to 8. Every probe and beat has three numbers, and
/// `write!` takes ten times as many instructions for one.
pub(super) fn write_number(number: u64, least: usize, out: &mut Vec<u8>) {
    const EIGHT: u64 = 100_000_000;
    let digits = eight_digits(number % EIGHT);
    let mut zeros = 0;
    if number >= EIGHT {
        write_number(number / EIGHT, 1, out);
    } else {
        // The last one is a digit of 0, too.
        zeros = ((digits | (1 << 56)).trailing_zeros() as usize / 8).min(8 - least);
    }
    // Eight bytes in any case: one store instead of a call for a copy.
    let text = (digits | 0x3030_3030_3030_3030) >> (8 * zeros);
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(out.len() - zeros);
}

/// Returns the digits of a number below 10^8, each in a byte, the first one lowest. Divides all parts
/// of a number together, by multiplying.
fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((pairs - tens * 10) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a message in a zone an hour ahead of UTC.
    fn written(template: &Template, seq: u64, wall_ns: i64) -> String {
        let mut out = b"old".to_vec();
        template.write(seq, wall_ns, 3600 * NS_PER_SECOND, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_labs_messages() {
        let wall_ns = 1_486_420_330_837_133_999;
        assert_eq!(written(&Template::ping(), 1, wall_ns), "Ping 1 1486420330.837133");
        assert_eq!(written(&Template::heartbeat(), 7, 5_000), "Heartbeat 7 0.000005");
        assert_eq!(written(&Template::ping(), 1, -1_500_000_000), "Ping 1 -1.500000");
    }

    #[test]
    fn numbers_are_written_like_rusts() {
        let powers = (0..20).map(|digits| 10_u64.pow(digits));
        let edges = powers.flat_map(|power| [power - 1, power, power + 1]);
        for number in edges.chain((0..100_000_000).step_by(9973)).chain([u64::MAX]) {
            let mut out = Vec::new();
            write_number(number, 1, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
            out.clear();
            write_number(number, 6, &mut out);
            assert_eq!(out, format!("{number:06}").as_bytes());
        }
    }

    #[test]
    fn a_text_compiles_to_its_pieces() {
        let text = "Heartbeat {seq} {time}";
        assert_eq!(Template::parse("format", text).unwrap(), Template::heartbeat());
        let csv = Template::parse("format", "{seq},{time};").unwrap();
        assert_eq!(written(&csv, 3, 1_000_000_000), "3,1.000000;");
        assert_eq!(written(&Template::parse("format", "").unwrap(), 3, 0), "");
        let times = Template::parse("format", "{ms}|{ctime}|{datetime}").unwrap();
        let wall_ns = 1_486_420_330_000_133_999;
        let text = "1486420330000|Mon Feb  6 23:32:10 2017|2017-02-06 23:32:10.000133";
        assert_eq!(written(&times, 3, wall_ns), text);
        let text = "-1|Thu Jan  1 00:59:59 1970|1970-01-01 00:59:59.999999";
        assert_eq!(written(&times, 3, -1), text);
    }

    #[test]
    fn a_text_is_bounded() {
        assert!(Template::parse("format", &"x".repeat(MAX_TEXT)).is_ok());
        assert!(Template::parse("format", &"x".repeat(MAX_TEXT + 1)).is_err());
    }

    #[test]
    fn other_braces_are_rejected() {
        for text in ["{", "}", "{}", "{name}", "{seq", "{{seq}}", "{seq:03}", "{date}"] {
            let error = Template::parse("format", text).unwrap_err().to_string();
            assert!(error.starts_with("format must be ") && error.contains(text), "{error}");
        }
    }
}
