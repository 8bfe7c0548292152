//! Sets of keys and their files.
//!
//! ```text
//! # the master key of a server
//! 2026a 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
//! ```
//!
//! A line is a key: its id, the secret in hexadecimal and, if it is the key of one client, the
//! client's name. Empty lines and lines that start with `#` are skipped.

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter, Write};

use crate::wire::beat::is_name;
use crate::wire::key::{Key, MAX_SECRET, TAG};

/// Maximum number of keys in a set.
pub const MAX_KEYS: usize = 64;

/// Maximum length of a key's id, in bytes.
pub const MAX_ID: usize = 16;

/// A set of keys in order: the first one signs, all of them verify. It is never empty.
#[derive(Clone, Debug)]
pub struct Keys(Box<[NamedKey]>);

/// A key of a set.
#[derive(Clone)]
pub struct NamedKey {
    id: Box<str>,
    secret: Box<[u8]>,
    client: Option<Box<[u8]>>,
    key: Key,
}

impl NamedKey {
    /// Creates a key from its id, its secret and, if it is bound to one, its client's name.
    ///
    /// # Errors
    /// The reason, without the secret.
    pub fn new(id: &str, secret: &[u8], client: Option<&[u8]>) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=MAX_ID).contains(&id.len()) || !id.bytes().all(is_plain) {
            return Err("an id of another form".to_owned());
        }
        if !(TAG..=MAX_SECRET).contains(&secret.len()) {
            return Err(format!("a key of {} bytes", secret.len()));
        }
        if !client.is_none_or(is_name) {
            return Err("a name of another form".to_owned());
        }
        let key = Key::new(secret).map_err(|error| error.to_string())?;
        Ok(Self { id: id.into(), secret: secret.into(), client: client.map(Into::into), key })
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name of the client that the key is bound to.
    #[must_use]
    pub fn client(&self) -> Option<&[u8]> {
        self.client.as_deref()
    }

    /// Returns the key itself, unless it is bound to a client.
    #[must_use]
    pub fn master(&self) -> Option<&Key> {
        self.client.is_none().then_some(&self.key)
    }

    /// Returns the key of the client `name`; `None` if this one is bound to another client.
    #[must_use]
    pub fn of_client(&self, name: &[u8]) -> Option<Key> {
        match self.client() {
            None => Key::new(&self.key.client_secret(name)).ok(),
            Some(client) => (client == name).then(|| self.key.clone()),
        }
    }

    fn client_secret(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self.client() {
            None => Some(Cow::Owned(self.key.client_secret(name).into())),
            Some(client) => (client == name).then_some(Cow::Borrowed(&self.secret)),
        }
    }

    fn read(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let (id, secret, client) = (words.next(), words.next(), words.next());
        let (Some(id), Some(secret), None) = (id, secret, words.next()) else {
            return Err("a line of another form".to_owned());
        };
        let secret = from_hex(secret.as_bytes()).ok_or("a key that is not hexadecimal")?;
        Self::new(id, &secret, client.map(str::as_bytes))
    }
}

impl Debug for NamedKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(...)", self.id)
    }
}

/// The reason why keys are refused, without any secret, and the number of the key or line, from 1.
pub type Refusal = (String, usize);

impl Keys {
    /// The valid lines of a file.
    pub const ALLOWED: &str = "an id of 1 to 16 letters, digits, '-', '_' and '.', a key of 16 to \
                               64 bytes in hexadecimal and, if it is one client's, the name";

    /// Creates a set of 1 to [`MAX_KEYS`] keys.
    ///
    /// # Errors
    /// The reason, if there are too many, or none, or two with the same id.
    pub fn new(keys: Vec<NamedKey>) -> Result<Self, Refusal> {
        Self::numbered(keys.into_iter().zip(1..).map(Ok))
    }

    fn numbered(
        keys: impl Iterator<Item = Result<(NamedKey, usize), Refusal>>,
    ) -> Result<Self, Refusal> {
        let mut all: Vec<NamedKey> = Vec::new();
        for key in keys {
            let (key, number) = key?;
            if all.len() == MAX_KEYS {
                return Err((format!("more than {MAX_KEYS} keys"), number));
            }
            if all.iter().any(|other| other.id == key.id) {
                return Err(("the id of an earlier key".to_owned(), number));
            }
            all.push(key);
        }
        if all.is_empty() { Err(("no key".to_owned(), 1)) } else { Ok(Self(all.into())) }
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// The reason and the line.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let lines = text.lines().zip(1..).map(|(line, number)| (line.trim_ascii(), number));
        let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        Self::numbered(lines.map(|(line, number)| match NamedKey::read(line) {
            Ok(key) => Ok((key, number)),
            Err(reason) => Err((reason, number)),
        }))
    }

    /// Returns the text of a file with these keys.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = "# udpulse: id, secret, name of the only client that it is for\n".to_owned();
        for NamedKey { id, secret, client, .. } in &self.0 {
            let _ = write!(text, "{id} ");
            for byte in secret {
                let _ = write!(text, "{byte:02x}");
            }
            if let Some(name) = client {
                let _ = write!(text, " {}", String::from_utf8_lossy(name));
            }
            text.push('\n');
        }
        text
    }

    /// Returns the keys of the client `name`, without those that are bound to another one; `None`
    /// if there are no others.
    #[must_use]
    pub fn of_client(&self, name: &[u8]) -> Option<Self> {
        let bound = |named: &NamedKey| {
            NamedKey::new(&named.id, &named.client_secret(name)?, Some(name)).ok()
        };
        let keys: Vec<_> = self.0.iter().filter_map(bound).collect();
        (!keys.is_empty()).then(|| Self(keys.into()))
    }

    /// Returns the key that signs.
    #[must_use]
    pub fn first(&self) -> &NamedKey {
        &self.0[0]
    }

    /// Returns the keys in order.
    #[must_use]
    pub fn all(&self) -> &[NamedKey] {
        &self.0
    }

    /// Returns the key with an id, and its position.
    #[must_use]
    pub fn find(&self, id: &[u8]) -> Option<(usize, &NamedKey)> {
        self.0.iter().enumerate().find(|(_, key)| key.id.as_bytes() == id)
    }
}

/// Parses hexadecimal digits in pairs.
fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks();
    let value = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(value(*high)? << 4 | value(*low)?).ok();
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.filter(|_| rest.is_empty())
}

/// Parses a tag from its hexadecimal digits in either case, with which `digits` begins.
pub(super) fn hex_tag(digits: &[u8]) -> Option<[u8; TAG]> {
    let (eights, _) = digits.as_chunks();
    let eights = eights.first_chunk::<{ TAG / 4 }>()?;
    let mut tag = [0; TAG];
    for (bytes, eight) in tag.chunks_exact_mut(4).zip(eights) {
        bytes.copy_from_slice(&hex_eight(*eight)?.to_be_bytes());
    }
    Some(tag)
}

/// Parses eight hexadecimal digits in either case, without a look at each.
pub(super) fn hex_eight(digits: [u8; 8]) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let bytes = u64::from_be_bytes(digits);
    // The highest bit of each byte that is at least the first and below the second bound.
    let within = |bytes: u64, from: u64, below: u64| {
        let at_least = |bound: u64| bytes.wrapping_add(ONES * (0x80 - bound));
        at_least(from) & !at_least(below) & (ONES * 0x80)
    };
    let figures = within(bytes, 0x30, 0x3a);
    let letters = within(bytes | (ONES * 0x20), 0x61, 0x67);
    // A byte of another alphabet, whose carry could disturb others, has the highest bit.
    if (figures | letters) & !bytes != ONES * 0x80 {
        return None;
    }
    let fours = (bytes & (ONES * 0x0f)) + (letters >> 7) * 9;
    let eights = (fours | fours >> 4) & 0x00ff_00ff_00ff_00ff;
    let halves = (eights | eights >> 8) & 0x0000_ffff_0000_ffff;
    #[expect(clippy::cast_possible_truncation, reason = "the upper half is left out")]
    Some((halves | halves >> 16) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

    fn refusal(text: &str) -> Refusal {
        Keys::parse(text).unwrap_err()
    }

    #[test]
    fn a_file_is_read_and_written() {
        let text = format!("\n# old and new\r\n  2026b\t{SECRET}  \n\na {SECRET}{SECRET} api-1\n");
        let keys = Keys::parse(&text).unwrap();
        let shape = keys.all().iter().map(|key| (key.id(), key.client())).collect::<Vec<_>>();
        assert_eq!(shape, [("2026b", None), ("a", Some(&b"api-1"[..]))]);
        assert_eq!(keys.first().id(), "2026b");
        assert_eq!(keys.find(b"a").map(|(position, _)| position), Some(1));
        assert!(keys.find(b"A").is_none());
        let again = Keys::parse(&keys.text()).unwrap();
        let message = [&b"message"[..]];
        for (one, other) in keys.all().iter().zip(again.all()) {
            assert_eq!((one.id(), one.client()), (other.id(), other.client()));
            assert_eq!(one.key.tag(message), other.key.tag(message));
        }
    }

    #[test]
    fn refusals_name_the_line_and_no_secret() {
        let long = "x".repeat(17);
        for (line, reason) in [
            (SECRET.to_owned(), "a line of another form"),
            (format!("a {SECRET} api 1"), "a line of another form"),
            (format!("{long} {SECRET}"), "an id of another form"),
            (format!("a=b {SECRET}"), "an id of another form"),
            (format!("a {}", &SECRET[1..]), "a key that is not hexadecimal"),
            (format!("a {}+1", &SECRET[2..]), "a key that is not hexadecimal"),
            (format!("a {}", &SECRET[2..]), "a key of 15 bytes"),
            (format!("a {}", SECRET.repeat(5)), "a key of 80 bytes"),
            (format!("a {SECRET} a;b"), "a name of another form"),
            (format!("b {SECRET}"), "the id of an earlier key"),
        ] {
            let text = format!("# key\nb {SECRET}\n{line}\n");
            assert_eq!(refusal(&text), (reason.to_owned(), 3), "{line}");
        }
        assert_eq!(refusal("# key\n"), ("no key".to_owned(), 1));
        let many: Vec<_> = (0..=MAX_KEYS).map(|id| format!("{id} {SECRET}")).collect();
        assert_eq!(refusal(&many.join("\n")), ("more than 64 keys".to_owned(), MAX_KEYS + 1));
    }

    #[test]
    fn a_client_with_its_own_key_signs_like_one_with_the_master() {
        let keys = Keys::parse(&format!("a {SECRET}\nb {SECRET}00 db\n")).unwrap();
        let message = [&b"message"[..]];
        let tag =
            |keys: &Keys, name: &[u8]| keys.first().of_client(name).map(|key| key.tag(message));
        let api = Keys::parse(&keys.of_client(b"api").unwrap().text()).unwrap();
        assert_eq!(api.all().len(), 1, "the other key is bound to db");
        assert_eq!(api.first().client(), Some(&b"api"[..]));
        assert_eq!(tag(&api, b"api"), tag(&keys, b"api"));
        assert_ne!(tag(&keys, b"db"), tag(&keys, b"api"));
        assert_eq!(tag(&api, b"db"), None, "it speaks only for itself");
        assert!(api.of_client(b"db").is_none() && api.first().master().is_none());
        assert_eq!(keys.of_client(b"db").unwrap().all().len(), 2);
    }

    #[test]
    fn no_secret_is_shown() {
        let keys = Keys::parse(&format!("a {SECRET}\n")).unwrap();
        assert_eq!(format!("{keys:?}"), r#"Keys(["a"(...)])"#);
    }

    proptest! {
        #[test]
        fn eight_digits_are_read_like_one_by_one(
            digits in prop_oneof!["[0-9a-fA-F]{8}", "[/-:@-G`-g]{8}"],
            (at, byte) in (0..8_usize, any::<u8>()),
        ) {
            let mut bytes: [u8; 8] = digits.into_bytes().try_into().unwrap();
            for _ in 0..2 {
                let plain = from_hex(&bytes).map(|bytes| bytes.try_into().unwrap());
                prop_assert_eq!(hex_eight(bytes), plain.map(u32::from_be_bytes));
                bytes[at] = byte;
            }
        }

        #[test]
        fn any_text_is_read(text in "([ab#]? ?[0-9a-f]{30,34}( [!-~é]{0,3})?\n?){0,4}|\\PC{0,40}") {
            if let Ok(keys) = Keys::parse(&text) {
                prop_assert!(Keys::parse(&keys.text()).is_ok());
            }
        }
    }
}
