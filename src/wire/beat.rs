//! Declarations about the sender inside a heartbeat's first word, which old servers ignore:
//!
//! ```text
//! Heartbeat;i=1000;b=18f3a2c0d1e;id=api-1;s=ok;a=20 17 1760000000.123456
//! ```
//!
//! | key | value |
//! |---|---|
//! | `i` | the interval between beats, in milliseconds, optionally with a fraction |
//! | `b` | the boot id, hexadecimal; new at each start of the sender |
//! | `id` | the sender's name, at most [`MAX_NAME`] bytes |
//! | `s` | the sender's [`Status`]: `starting`, `ok`, `degraded`, `stalled`, `busy`, `bye`, `failed` |
//! | `e` | with `failed`: the type of the exception, an ASCII identifier of at most [`MAX_WORD`] bytes |
//! | `a` | the age of the application's oldest progress mark, in milliseconds |
//! | `t` | the task of that mark, if tasks are named, at most [`MAX_WORD`] bytes |
//! | `f` | the application's failures since the sender's start |
//! | `d` | the beats since the sender's start that its own host refused to send |
//! | `u` | with `busy`: how long the silence may last, in milliseconds |
//! | `x` | the sender's level for the down timeout, with at most six decimals |
//! | `g` | the sender's grace before it is down, in milliseconds |
//!
//! `n`, `k` and `m` sign the beat: [`signed`](super::signed). Keys and statuses are case-insensitive; unknown keys and
//! invalid values are skipped. The words after the first are read like those of any lab program.

use std::io::Write;

use crate::wire::keys::hex_eight;
use crate::wire::template::{write_number, write_seconds};
use crate::wire::text::{self, Evidence, Label, Reading, SentAt};

/// Maximum length of a sender's name, in bytes.
pub const MAX_NAME: usize = 255;

/// Maximum length of an exception's type and of a task's name, in bytes.
pub const MAX_WORD: usize = 64;

const NS_PER_MS: i64 = 1_000_000;

/// A heartbeat, received or to be written; every part is optional.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat<'a> {
    /// The interval that the sender promises to keep.
    pub interval_ns: Option<i64>,
    /// Boot id, which identifies this start of the sender.
    pub boot: Option<u64>,
    /// The sender's name.
    pub name: Option<&'a [u8]>,
    /// Whether the sender's name is longer than [`MAX_NAME`] and was therefore skipped.
    pub overlong: bool,
    /// The status that the sender declares.
    pub status: Option<Status>,
    /// The type of the exception that ended the application.
    pub error: Option<&'a [u8]>,
    /// Time since the application's oldest progress mark.
    pub age_ns: Option<i64>,
    /// The task of that mark, if tasks are named.
    pub task: Option<&'a [u8]>,
    /// The application's failures since the sender's start.
    pub failures: Option<u64>,
    /// The beats since the sender's start that its own host refused to send.
    pub send_failed: Option<u64>,
    /// How long a busy sender may be silent.
    pub busy_ns: Option<i64>,
    /// The sender's level for the down timeout, in millionths.
    pub down_millionths: Option<i64>,
    /// The sender's grace before it is down.
    pub grace_ns: Option<i64>,
    /// The number and the time.
    pub reading: Reading,
}

/// Status that a sender declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Starting up.
    Starting,
    /// Working.
    Ok,
    /// Working, but not well.
    Degraded,
    /// Beating, but its application makes no progress.
    Stalled,
    /// Announcing a silence.
    Busy,
    /// Shutting down: a goodbye, with the number that the next beat would have had.
    Bye,
    /// Ended by an exception; otherwise like `Bye`.
    Failed,
}

impl Status {
    /// All of them by their word on the wire.
    pub const ALL: [(&str, Self); 7] = [
        ("starting", Self::Starting),
        ("ok", Self::Ok),
        ("degraded", Self::Degraded),
        ("stalled", Self::Stalled),
        ("busy", Self::Busy),
        ("bye", Self::Bye),
        ("failed", Self::Failed),
    ];

    /// Returns the word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        // `ALL` is in the order of the variants.
        Self::ALL[self as usize].0
    }

    fn read(word: &[u8]) -> Option<Self> {
        let (_, status) =
            Self::ALL.iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes()))?;
        Some(*status)
    }
}

impl<'a> Beat<'a> {
    /// Parses a datagram without allocating. Parts that are missing or invalid are `None`.
    #[must_use]
    pub fn read(datagram: &'a [u8]) -> Self {
        let mut beat = Self::default();
        beat.fill(datagram);
        beat
    }

    /// Parses a datagram like [`read`](Self::read), into a beat without any part. Returns the length
    /// of the first word; 0 if it declares nothing.
    pub(crate) fn fill(&mut self, datagram: &'a [u8]) -> usize {
        if let Some(reading) = read_packed(datagram) {
            self.reading = reading;
            return 0;
        }
        let (word, text) = datagram.split_at(letters(datagram));
        let rest = self.read_declarations(text);
        if rest.len() < text.len() {
            self.reading = read_declared(rest);
            return datagram.len() - rest.len();
        }
        // With a blank, as it stands before the number.
        let before = &datagram[..datagram.len().min(word.len() + 1)];
        // Fast path: nearly all beats begin with this word.
        let is_label = || word != b"Heartbeat" && text::label(before) != Label::None;
        let usual = usual(rest).filter(|_| !is_label());
        let usual = usual.map(|reading| Reading { evidence: Evidence::Form, ..reading });
        self.reading = usual.unwrap_or_else(|| text::read_with_evidence(datagram));
        0
    }

    /// Parses a datagram like [`fill`](Self::fill), but by the lab's rule: the first whole number is
    /// the sequence number.
    pub(crate) fn fill_by_first_number(&mut self, datagram: &'a [u8]) -> usize {
        if let Some(reading) = read_packed(datagram) {
            self.reading = reading;
            return 0;
        }
        let text = &datagram[letters(datagram)..];
        let rest = self.read_declarations(text);
        let is_declared = rest.len() < text.len();
        self.reading =
            usual(rest).unwrap_or_else(|| text::read(if is_declared { rest } else { datagram }));
        if is_declared { datagram.len() - rest.len() } else { 0 }
    }

    /// Returns whether the datagram held a number, a time or a declaration.
    #[must_use]
    pub fn is_beat(&self) -> bool {
        // Fast path: nearly all beats have a number.
        self.reading.seq.is_some() || *self != Self::default()
    }

    /// Returns whether it declares more than a name, a boot id and an interval.
    pub(crate) fn has_particulars(&self) -> bool {
        self.overlong
            || self.status.is_some()
            || self.age_ns.is_some()
            || self.failures.is_some()
            || self.send_failed.is_some()
            || self.down_millionths.is_some()
            || self.grace_ns.is_some()
    }

    /// Returns whether the sender says that this is its end.
    #[must_use]
    pub fn is_goodbye(&self) -> bool {
        matches!(self.status, Some(Status::Bye | Status::Failed))
    }

    /// Parses the declarations after the letters of the first word: `;key=value` at least once, up
    /// to a blank. Returns the rest of the text, or all of it if there are none.
    fn read_declarations(&mut self, text: &'a [u8]) -> &'a [u8] {
        let mut declares = false;
        let mut rest = text;
        while let [b';', part @ ..] = rest {
            // Fast path: most beats declare whole milliseconds, first.
            if let [b'i', b'=', value @ ..] = part
                && let Some((ms, after)) = short_number(value)
            {
                self.interval_ns = Some(ms * NS_PER_MS).filter(|ns| *ns > 0);
                (declares, rest) = (true, after);
                continue;
            }
            let (part, after) = part.split_at(end_of_declaration(part));
            rest = after;
            match part {
                [b'i' | b'I', b'=', value @ ..] => {
                    self.interval_ns = milliseconds(value).filter(|ns| *ns > 0);
                }
                [b'b' | b'B', b'=', value @ ..] => self.boot = hexadecimal(value),
                [b'i' | b'I', b'd' | b'D', b'=', value @ ..] => {
                    self.name = Some(value).filter(|name| is_name(name));
                    self.overlong = value.len() > MAX_NAME;
                }
                [b's' | b'S', b'=', value @ ..] => self.status = Status::read(value),
                [b'e' | b'E', b'=', value @ ..] => {
                    self.error = Some(value).filter(|error| is_error(error));
                }
                [b'a' | b'A', b'=', value @ ..] => self.age_ns = milliseconds(value),
                [b't' | b'T', b'=', value @ ..] => {
                    self.task = Some(value).filter(|task| is_task(task));
                }
                [b'f' | b'F', b'=', value @ ..] => self.failures = count(value),
                [b'd' | b'D', b'=', value @ ..] => self.send_failed = count(value),
                [b'u' | b'U', b'=', value @ ..] => self.busy_ns = milliseconds(value),
                [b'x' | b'X', b'=', value @ ..] => {
                    self.down_millionths = milliseconds(value).filter(|x| *x > 0);
                }
                [b'g' | b'G', b'=', value @ ..] => self.grace_ns = milliseconds(value),
                // Fast path: the signature.
                [b'n' | b'N' | b'k' | b'K' | b'm' | b'M', b'=', ..] => {}
                _ if !part.contains(&b'=') => continue,
                _ => {}
            }
            declares = true;
        }
        if declares { rest } else { text }
    }

    /// Writes the beat into `out`, replacing its contents: `Heartbeat` with the declarations, the
    /// number, and the time in seconds since the Unix epoch with six decimals.
    pub fn write(&self, seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
        self.write_word(out);
        write_text(seq, wall_ns, out);
    }

    /// Writes the first word into `out`, replacing its contents.
    pub(super) fn write_word(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(b"Heartbeat");
        // Writing to a vector cannot fail.
        if let Some(ns) = self.interval_ns {
            let _ = out.write_all(b";i=");
            write_milliseconds(ns, out);
        }
        if let Some(boot) = self.boot {
            let _ = write!(out, ";b={boot:x}");
        }
        let status = self.status.map(|status| status.word().as_bytes());
        let words = [("id", self.name), ("s", status), ("e", self.error), ("t", self.task)];
        for (key, word) in words {
            if let Some(word) = word {
                let _ = write!(out, ";{key}=");
                out.extend_from_slice(word);
            }
        }
        // A number with six decimals is written like milliseconds to the nanosecond.
        let times = [
            ("a", self.age_ns),
            ("u", self.busy_ns),
            ("x", self.down_millionths),
            ("g", self.grace_ns),
        ];
        for (key, ns) in times {
            if let Some(ns) = ns {
                let _ = write!(out, ";{key}=");
                write_milliseconds(ns, out);
            }
        }
        for (key, count) in [("f", self.failures), ("d", self.send_failed)] {
            if let Some(count) = count {
                let _ = write!(out, ";{key}={count}");
            }
        }
    }
}

/// Appends the words after the first one.
pub(crate) fn write_text(seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
    out.push(b' ');
    write_number(seq, 1, out);
    out.push(b' ');
    write_seconds(wall_ns, out);
}

/// Returns the number of letters that a datagram begins with.
fn letters(datagram: &[u8]) -> usize {
    // Fast path: nearly all beats begin with this word.
    let known = if datagram.starts_with(b"Heartbeat") { 9 } else { 0 };
    known + datagram[known..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count()
}

/// Returns whether `name` is valid in a beat: 1 to [`MAX_NAME`] bytes without a blank, `;` or a
/// control character, in UTF-8 also one of U+0080 to U+009F, which terminals obey.
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    // All blanks but the space are control characters.
    let allowed = |byte: &u8| !matches!(byte, 0..=b' ' | b';' | 0x7f);
    let controls = || name.windows(2).any(|pair| matches!(pair, [0xc2, 0x80..=0x9f]));
    (1..=MAX_NAME).contains(&name.len())
        && name.iter().all(allowed)
        && (name.is_ascii() || !controls())
}

/// Returns whether `task` is valid in a beat: like a name, but of at most [`MAX_WORD`] bytes.
#[must_use]
pub fn is_task(task: &[u8]) -> bool {
    task.len() <= MAX_WORD && is_name(task)
}

/// Returns whether `error` is valid in a beat: an ASCII identifier of at most [`MAX_WORD`] bytes.
#[must_use]
pub fn is_error(error: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (1..=MAX_WORD).contains(&error.len()) && error.iter().all(allowed) && !error[0].is_ascii_digit()
}

/// Parses the words after declarations: the number comes first, or has a label.
fn read_declared(rest: &[u8]) -> Reading {
    read_lab(rest).unwrap_or_else(|| {
        if rest.trim_ascii_start().first().is_some_and(u8::is_ascii_digit) {
            return text::read(rest);
        }
        let reading = text::read_with_evidence(rest);
        let seq = reading.seq.filter(|_| reading.evidence != Evidence::None);
        Reading { seq, ..reading }
    })
}

/// Parses the usual form like [`read_lab`], unless its number may be the time.
fn usual(rest: &[u8]) -> Option<Reading> {
    read_lab(rest).filter(|reading| !reading.seq.is_some_and(is_time))
}

/// Parses the usual form after the first word, ` seq seconds.fraction`, on a fast path.
fn read_lab(rest: &[u8]) -> Option<Reading> {
    let (seq, rest) = number_after_blanks(rest)?;
    let ns = last_seconds(rest).or_else(|| seconds_after_blanks(rest))?;
    Some(Reading::of(seq, Some(SentAt::Unix(ns))))
}

/// Parses a Unix time in seconds with a fraction after at least one blank, which only blanks follow.
fn seconds_after_blanks(text: &[u8]) -> Option<i64> {
    let (seconds, rest) = number_after_blanks(text)?;
    // Ten digits: seconds between 2001 and 2286, as in `text::read`.
    if !(1_000_000_000..10_000_000_000).contains(&seconds) {
        return None;
    }
    let [b'.', fraction @ ..] = rest else { return None };
    let (part, digits) = digits(fraction);
    // At most nine digits, down to the nanosecond.
    let unit_ns = *TENS.get(9_usize.checked_sub(digits)?)?;
    let clean = digits > 0 && fraction[digits..].iter().all(u8::is_ascii_whitespace);
    let ns = i64::try_from(seconds * TENS[9] + part * unit_ns).ok()?;
    clean.then_some(ns)
}

/// Parses a time like [`seconds_after_blanks`], by the places of its parts: one blank, at most eight
/// digits in the fraction, and nothing after it.
#[inline]
fn last_seconds(text: &[u8]) -> Option<i64> {
    let (whole, fraction) = text.split_first_chunk::<12>()?;
    let [b' ', first @ b'1'..=b'9', second @ b'0'..=b'9', eight @ .., b'.'] = *whole else {
        return None;
    };
    let (eight, 8) = digits_in(u64::from_le_bytes(eight)) else { return None };
    let (1..=8, last) = (fraction.len(), text.last_chunk()?) else { return None };
    let (part, digits) = digits_in(u64::from_le_bytes(*last) >> (64 - 8 * fraction.len()));
    let two = u64::from(first - b'0') * 10 + u64::from(second - b'0');
    let ns = (two * TENS[8] + eight) * TENS[9] + part * TENS.get(9_usize.checked_sub(digits)?)?;
    i64::try_from(ns).ok().filter(|_| digits == fraction.len())
}

/// Powers of ten up to the nanoseconds of a second.
const TENS: [u64; 10] =
    [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// Returns the number that `text` begins with and its length; if it has more than 18 digits, only
/// the length is valid.
#[inline]
fn digits(text: &[u8]) -> (u64, usize) {
    match digits_of_eight(text) {
        eight @ (_, 8) => more_digits(text, eight),
        fewer => fewer,
    }
}

/// Continues [`digits`] after the first eight.
fn more_digits(text: &[u8], (mut number, mut length): (u64, usize)) -> (u64, usize) {
    loop {
        let (more, digits) = digits_of_eight(&text[length..]);
        number = number.wrapping_mul(TENS[digits]).wrapping_add(more);
        length += digits;
        if digits < 8 {
            return (number, length);
        }
    }
}

/// Returns the number of at most eight digits that `text` begins with and its length, without a
/// look at each byte.
#[inline]
fn digits_of_eight(text: &[u8]) -> (u64, usize) {
    digits_in(eight(text))
}

/// Returns the number that these bytes begin with, the first one lowest, and its length.
#[inline]
fn digits_in(bytes: u64) -> (u64, usize) {
    let values = bytes.wrapping_sub(ONES * u64::from(b'0'));
    // The highest bit of each byte but digits; a carry only disturbs those after the first.
    let others = (bytes.wrapping_add(ONES * 0x46) | values) & (ONES * 0x80);
    let bits = others.trailing_zeros() & !7;
    // Zeros first, then the sums of pairs, of fours and of all eight.
    let ones = values.checked_shl(64 - bits).unwrap_or(0);
    let pairs = ones.wrapping_mul(10).wrapping_add(ones >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    let number = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
    (number, (bits / 8) as usize)
}

/// Returns the length of a declaration, which ends at a blank or at `;`.
fn end_of_declaration(text: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let bytes = eight(&text[end..]);
        // The highest bit of each semicolon, control character and blank; a borrow only disturbs
        // those after the first.
        let others = bytes ^ (ONES * u64::from(b';'));
        let semicolons = others.wrapping_sub(ONES) & !others;
        let controls = bytes.wrapping_sub(ONES * 0x21) & !bytes;
        let found = (semicolons | controls) & (ONES * 0x80);
        end += found.trailing_zeros() as usize / 8;
        match text.get(end) {
            None => return text.len(),
            Some(byte) if *byte == b';' || byte.is_ascii_whitespace() => return end,
            // Eight bytes without an end, or another control character.
            Some(_) => end += usize::from(found != 0),
        }
    }
}

/// Returns the length of the first word, which ends at a blank.
pub(crate) fn first_word(text: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let bytes = eight(&text[end..]);
        // The highest bit of the first control character or blank.
        let found = bytes.wrapping_sub(ONES * 0x21) & !bytes & (ONES * 0x80);
        end += found.trailing_zeros() as usize / 8;
        match text.get(end) {
            None => return text.len(),
            Some(byte) if byte.is_ascii_whitespace() => return end,
            Some(_) => end += usize::from(found != 0),
        }
    }
}

/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Returns the first eight bytes of `text`, the first one lowest; zeros follow a shorter text.
#[inline]
fn eight(text: &[u8]) -> u64 {
    if let Some(eight) = text.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    let (mut bytes, mut bits, mut rest) = (0, 0, text);
    if let Some((four, after)) = rest.split_first_chunk() {
        (bytes, bits, rest) = (u32::from_le_bytes(*four).into(), 32, after);
    }
    if let Some((two, after)) = rest.split_first_chunk() {
        bytes |= u64::from(u16::from_le_bytes(*two)) << bits;
        (bits, rest) = (bits + 16, after);
    }
    bytes | rest.first().map_or(0, |byte| u64::from(*byte) << bits)
}

/// Returns whether `text::read` reads this number as a Unix time in one of its four units.
fn is_time(number: u64) -> bool {
    matches!(number.checked_ilog10(), Some(9 | 12 | 15 | 18))
}

/// Parses a whole number after at least one blank, of at most 18 digits without a leading zero.
#[inline]
fn number_after_blanks(text: &[u8]) -> Option<(u64, &[u8])> {
    // Fast path: nearly all numbers have one blank before them and fewer than eight digits.
    if let [b' ', first, ..] = text
        && let (number, digits @ 1..8) = digits_of_eight(&text[1..])
        && (*first != b'0' || digits == 1)
    {
        return Some((number, &text[1 + digits..]));
    }
    any_number_after_blanks(text)
}

/// Continues [`number_after_blanks`] if its fast path does not apply.
#[inline(never)]
fn any_number_after_blanks(text: &[u8]) -> Option<(u64, &[u8])> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).filter(|at| *at > 0)?;
    let text = &text[start..];
    let (number, digits) = digits(text);
    let plain = matches!(digits, 1..=18) && (text[0] != b'0' || digits == 1);
    plain.then(|| (number, &text[digits..]))
}

/// Parses C's or Python's `struct` of a 32-bit number and a double of Unix seconds: 12 bytes, or 16
/// with padding. No text is mistaken for one, because its double is never such a time.
fn read_packed(datagram: &[u8]) -> Option<Reading> {
    let (seq, time) = match datagram.len() {
        12 | 16 => (datagram.first_chunk::<4>()?, datagram.last_chunk::<8>()?),
        _ => return None,
    };
    let plausible = 1e9..1e10;
    let (seq, time) = if plausible.contains(&f64::from_le_bytes(*time)) {
        (u32::from_le_bytes(*seq), f64::from_le_bytes(*time))
    } else {
        (u32::from_be_bytes(*seq), f64::from_be_bytes(*time))
    };
    if !plausible.contains(&time) {
        return None;
    }
    Some(Reading::of(seq.into(), crate::nanoseconds(time).map(SentAt::Unix)))
}

/// Parses a declared number of at most eight digits. Returns the text from its end on.
#[inline]
fn short_number(text: &[u8]) -> Option<(i64, &[u8])> {
    let (number, length) = digits_of_eight(text);
    let rest @ [end, ..] = &text[length..] else { return None };
    let is_whole = length > 0 && (*end == b';' || end.is_ascii_whitespace());
    Some((number.cast_signed(), rest)).filter(|_| is_whole)
}

/// Parses milliseconds with an optional fraction, to the nanosecond; `None` if they do not fit.
fn milliseconds(text: &[u8]) -> Option<i64> {
    let (whole, length) = digits(text);
    let (1..=18, fraction @ ([] | [b'.', ..])) = (length, &text[length..]) else { return None };
    let mut ns = i64::try_from(whole).ok()?.checked_mul(NS_PER_MS)?;
    let mut digit_ns = NS_PER_MS;
    for digit in fraction.iter().skip(1) {
        if !digit.is_ascii_digit() {
            return None;
        }
        digit_ns /= 10;
        ns = ns.checked_add(i64::from(digit - b'0') * digit_ns)?;
    }
    Some(ns)
}

fn write_milliseconds(ns: i64, out: &mut Vec<u8>) {
    let (ns, ns_per_ms) = (ns.max(0).unsigned_abs(), NS_PER_MS.unsigned_abs());
    write_number(ns / ns_per_ms, 1, out);
    let rest = ns % ns_per_ms;
    if rest > 0 {
        out.push(b'.');
        write_number(rest, 6, out);
        while out.pop_if(|digit| *digit == b'0').is_some() {}
    }
}

/// Parses a count of at most 18 digits.
fn count(text: &[u8]) -> Option<u64> {
    let (number, length) = digits(text);
    (length == text.len() && (1..=18).contains(&length)).then_some(number)
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    let start = 16_usize.checked_sub(text.len()).filter(|start| *start < 16)?;
    let mut digits = [b'0'; 16];
    digits[start..].copy_from_slice(text);
    let high = hex_eight(*digits.first_chunk()?)?;
    let low = hex_eight(*digits.last_chunk()?)?;
    Some(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Template;
    use proptest::prelude::*;

    const T: i64 = 1_760_000_000_123_456_000;

    fn reading(seq: u64) -> Reading {
        Reading::of(seq, Some(SentAt::Unix(T)))
    }

    /// A number that only the form of the text shows to be a sequence number.
    fn formed(seq: u64) -> Reading {
        Reading { evidence: Evidence::Form, ..reading(seq) }
    }

    #[test]
    fn a_beat_carries_declarations() {
        let text = b"Heartbeat;i=1000;b=18f3a2c0d1e;id=api-1;s=busy;a=20.5;t=poll;f=3;d=2;u=30000;\
            x=2.5;g=90000;e=OSError 17 1760000000.123456";
        let beat = Beat {
            interval_ns: Some(1_000_000_000),
            boot: Some(0x18f_3a2c_0d1e),
            name: Some(b"api-1"),
            status: Some(Status::Busy),
            error: Some(b"OSError"),
            age_ns: Some(20_500_000),
            task: Some(b"poll"),
            failures: Some(3),
            send_failed: Some(2),
            busy_ns: Some(30_000_000_000),
            down_millionths: Some(2_500_000),
            grace_ns: Some(90_000_000_000),
            reading: reading(17),
            ..Beat::default()
        };
        assert_eq!(Beat::read(text), beat);
        let upper = text.to_ascii_uppercase();
        let words =
            Beat { name: Some(b"API-1"), error: Some(b"OSERROR"), task: Some(b"POLL"), ..beat };
        assert_eq!(Beat::read(&upper), words);
    }

    #[test]
    fn a_name_has_no_control_character() {
        for name in ["a", "Ä-\u{a0}", "\u{202e}a", "\u{7fff}"] {
            assert!(is_name(name.as_bytes()), "{name:?}");
        }
        for name in ["", "a b", "a;b", "a\u{1b}", "a\u{7f}", "\u{80}", "a\u{9b}2J"] {
            assert!(!is_name(name.as_bytes()), "{name:?}");
        }
        assert!(is_name(&[0x9b; MAX_NAME]) && !is_name(&[b'a'; MAX_NAME + 1]));
    }

    #[test]
    fn invalid_declarations_are_skipped() {
        let read = |text: &'static str| Beat::read(text.as_bytes());
        let plain = Beat { reading: reading(17), ..Beat::default() };
        for text in [
            "HB;y=1;i=-5;b=xyz;id=;s=great;a=1e3;u=.5;k=1;m=2 17 1760000000.123456",
            "HB;i=0;b=00000000000000001;a=99999999999999999999;noise 17 1760000000.123456",
            "HB;e=a.b;e=1a;e=;t=;f=-1;f=1.5;d=;d=9999999999999999999;x=0;g=-1 17 1760000000.123456",
            "HB;i=1; 17 1760000000.123456\n",
        ] {
            assert_eq!(Beat { interval_ns: None, ..read(text) }, plain, "{text}");
        }
        assert_eq!(read("hb;i=1 4 17").interval_ns, Some(1_000_000));
    }

    #[test]
    fn long_words_are_skipped_and_an_overlong_name_is_noticed() {
        let x = "x".repeat(MAX_NAME + 1);
        let text = format!("hb;id={};t={};e={} 4", &x[1..], &x[..MAX_WORD], &x[..MAX_WORD]);
        let longest = Beat::read(text.as_bytes());
        let lengths = [longest.name, longest.task, longest.error].map(|word| word.map(<[u8]>::len));
        assert_eq!(lengths, [MAX_NAME, MAX_WORD, MAX_WORD].map(Some));
        let text = format!("hb;id={x};t={};e={} 4", &x[..=MAX_WORD], &x[..=MAX_WORD]);
        let reading = Reading::of(4, None);
        let longer = Beat { overlong: true, reading, ..Beat::default() };
        assert_eq!(Beat::read(text.as_bytes()), longer, "a part of a name could be another's");
    }

    #[test]
    fn netcat_is_a_client() {
        let beat = Beat::read(b"hb;id=nc\n");
        assert_eq!(
            (beat.name, beat.reading, beat.is_beat()),
            (Some(&b"nc"[..]), Reading::default(), true)
        );
        assert!(!Beat::read(b"hello\n").is_beat());
    }

    #[test]
    fn separators_of_the_lab_are_not_declarations() {
        for text in ["17;1760000000.123456", "Heartbeat;17;1760000000.123456"] {
            assert_eq!(
                Beat::read(text.as_bytes()),
                Beat { reading: formed(17), ..Beat::default() }
            );
        }
    }

    #[test]
    fn structs_are_read_in_both_byte_orders_and_alignments() {
        let time = 1_760_000_000.5_f64;
        let expected = Reading::of(7, Some(SentAt::Unix(1_760_000_000_500_000_000)));
        let le = [7_u32.to_le_bytes().as_slice(), &time.to_le_bytes()].concat();
        let be = [7_u32.to_be_bytes().as_slice(), &time.to_be_bytes()].concat();
        let padded = [7_u32.to_le_bytes().as_slice(), &[0; 4], &time.to_le_bytes()].concat();
        for bytes in [le, be, padded] {
            assert_eq!(Beat::read(&bytes).reading, expected);
        }
        assert!(!Beat::read(&[0xff; 16]).is_beat());
    }

    /// The texts of a beat: name, error and task.
    type Words = [Option<String>; 3];

    prop_compose! {
        fn beats()(
            times in prop::array::uniform5(0..i64::MAX),
            counts in prop::array::uniform2(0..10_u64.pow(18)),
            given: [bool; 7],
            boot: Option<u64>,
            status in prop::option::of(prop::sample::select(Status::ALL.map(|(_, status)| status).to_vec())),
            name in prop::option::of("[!-:<-~]{1,255}"),
            error in prop::option::of("[A-Za-z_][A-Za-z0-9_]{0,63}"),
            task in prop::option::of("[!-:<-~]{1,64}"),
        ) -> (Beat<'static>, Words) {
            let time = |at: usize| given[at].then_some(times[at]);
            let beat = Beat {
                interval_ns: time(0).map(|ns| ns.max(1)),
                boot,
                status,
                age_ns: time(1),
                busy_ns: time(2),
                down_millionths: time(3).map(|x| x.max(1)),
                grace_ns: time(4),
                failures: given[5].then_some(counts[0]),
                send_failed: given[6].then_some(counts[1]),
                ..Beat::default()
            };
            (beat, [name, error, task])
        }
    }

    fn with_words<'a>(beat: Beat<'static>, words: &'a Words) -> Beat<'a> {
        let [name, error, task] = words.each_ref().map(|word| word.as_deref().map(str::as_bytes));
        Beat { name, error, task, ..beat }
    }

    #[test]
    fn a_time_beyond_64_bits_is_left_to_the_general_parser() {
        for text in ["hb 1 9223372036.854775807", "hb 1 9223372036.854775808", "hb 1 9300000000.0"]
        {
            let text = text.as_bytes();
            assert_eq!(Beat::read(text).reading, text::read_with_evidence(text));
        }
    }

    proptest! {
        #[test]
        fn declarations_end_at_the_first_blank_or_semicolon(
            text in prop::collection::vec(prop::sample::select(&b"aZ=:;<\x00\x1f \t!\xbb\xa0\x80"[..]), 0..30),
        ) {
            let ends = |byte: &u8| *byte == b';' || byte.is_ascii_whitespace();
            let end = text.iter().position(ends).unwrap_or(text.len());
            prop_assert_eq!(end_of_declaration(&text), end);
        }

        #[test]
        fn the_first_word_ends_at_the_first_blank(
            text in prop::collection::vec(prop::sample::select(&b"aZ;<\x00\x1f \t!\xbb\xa0\x80"[..]), 0..30),
        ) {
            let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
            prop_assert_eq!(first_word(&text), end);
        }

        #[test]
        fn numbers_are_read_like_digit_by_digit(text in "[0-9/:\\x00\\x7f]{0,20}|[0-9]{0,20}é") {
            let length = text.bytes().take_while(u8::is_ascii_digit).count();
            let (number, digits) = digits(text.as_bytes());
            prop_assert_eq!(digits, length);
            if length <= 18 {
                prop_assert_eq!(number, text[..length].parse().unwrap_or(0));
            }
        }

        #[test]
        fn boot_ids_are_read_like_digit_by_digit(text in "[0-9a-fA-F]{0,17}|[0-9a-gF:/@`-]{1,3}") {
            let is_short = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let plain = u64::from_str_radix(&text, 16).ok().filter(|_| is_short);
            prop_assert_eq!(hexadecimal(text.as_bytes()), plain);
        }

        #[test]
        fn written_beats_are_read_back(
            (beat, words) in beats(), seq in 0..1_000_000_000_u64, second in 1_000_000_000..9_000_000_000_i64,
        ) {
            let written = with_words(beat, &words);
            let mut out = b"old".to_vec();
            let wall_ns = second * crate::NS_PER_SECOND + 1000;
            written.write(seq, wall_ns, &mut out);
            let time = Some(SentAt::Unix(wall_ns));
            let declares = written != Beat::default();
            let evidence = if declares { Evidence::Label } else { Evidence::Form };
            let reading = Reading { evidence, ..Reading::of(seq, time) };
            prop_assert_eq!(Beat::read(&out), Beat { reading, ..written });
        }

        /// A beat damaged by the network or by an adversary is read without a panic.
        #[test]
        fn a_mutated_beat_is_read(
            (beat, words) in beats(), cut: prop::sample::Index,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut out = Vec::new();
            with_words(beat, &words).write(17, T, &mut out);
            for (at, byte) in flips {
                let at = at.index(out.len());
                out[at] = byte;
            }
            out.truncate(cut.index(out.len() + 1));
            let read = Beat::read(&out);
            prop_assert!(read.name.is_none_or(is_name));
            prop_assert!(read.task.is_none_or(is_task));
            prop_assert!(read.error.is_none_or(is_error));
            prop_assert!(read.down_millionths.is_none_or(|x| x > 0));
            prop_assert!(read.interval_ns.is_none_or(|ns| ns > 0));
        }

        /// The fast path and `text::read` agree if nothing is declared.
        #[test]
        fn the_fast_path_agrees_with_the_general_parser(
            text in "([A-Za-z]{0,9}|[0-9]{1,3})[ \t]{0,2}[0-9]{0,20}[ ]{0,2}[0-9]{9,11}[.]?[0-9]{0,12}[ \n]{0,2}",
        ) {
            let text = text.as_bytes();
            prop_assert_eq!(Beat::read(text).reading, text::read_with_evidence(text));
            let mut beat = Beat::default();
            beat.fill_by_first_number(text);
            prop_assert_eq!(beat.reading, text::read(text));
        }

        #[test]
        fn any_bytes_are_read(datagram: Vec<u8>) {
            for length in
                [Beat::default().fill(&datagram), Beat::default().fill_by_first_number(&datagram)]
            {
                prop_assert!(length == 0 || length == first_word(&datagram));
            }
        }

        #[test]
        fn the_labs_beats_are_read(seq in 0..1_000_000_000_u64) {
            let mut out = Vec::new();
            Template::heartbeat().write(seq, T, 0, &mut out);
            prop_assert_eq!(Beat::read(&out), Beat { reading: formed(seq), ..Beat::default() });
        }
    }
}
