//! JSON in ASCII, written without Python objects.

use std::borrow::Cow;
use std::io::Write;
use std::net::SocketAddr;

/// A value that can be written as JSON.
pub(super) trait Json {
    fn write(&self, out: &mut Vec<u8>);
}

/// An object under construction.
pub(super) struct Object<'a>(&'a mut Vec<u8>);

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self(out)
    }

    pub(super) fn add(&mut self, key: &str, value: impl Json) -> &mut Self {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        key.write(self.0);
        self.0.push(b':');
        value.write(self.0);
        self
    }

    /// Adds bytes as text or, if they are not UTF-8, as hexadecimal digits under another key.
    pub(super) fn add_bytes(&mut self, key: &str, bytes: Option<&[u8]>) -> &mut Self {
        let text = bytes.map(str::from_utf8);
        let digits = bytes.filter(|_| text.is_some_and(|text| text.is_err())).map(Hex);
        self.add(key, text.and_then(Result::ok)).add(&format!("{key}_hex"), digits)
    }

    pub(super) fn end(&mut self) {
        self.0.push(b'}');
    }
}

/// An object whose members a function adds.
pub(super) struct Members<F>(pub(super) F);

impl<F: Fn(&mut Object<'_>)> Json for Members<F> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        self.0(&mut object);
        object.end();
    }
}

/// An array of the values that an iterator yields.
pub(super) struct Items<I>(pub(super) I);

impl<I: Iterator<Item: Json> + Clone> Json for Items<I> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, item) in self.0.clone().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write(out);
        }
        out.push(b']');
    }
}

impl<T: Json> Json for [T] {
    fn write(&self, out: &mut Vec<u8>) {
        Items(self.iter()).write(out);
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

/// Writes to memory, which cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {
        let _ = std::write!($out, $($text)*);
    };
}

macro_rules! plain {
    ($($kind:ty)*) => { $(
        impl Json for $kind {
            fn write(&self, out: &mut Vec<u8>) {
                put!(out, "{self}");
            }
        }
    )* };
}

plain!(bool u8 u16 u32 u64 usize i32 i64);

/// A finite number; null otherwise.
impl Json for f64 {
    fn write(&self, out: &mut Vec<u8>) {
        if self.is_finite() {
            put!(out, "{self}");
        } else {
            None::<bool>.write(out);
        }
    }
}

impl Json for str {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        for character in self.chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                ' '..='~' => out.push(u8::try_from(character).unwrap_or(b'?')),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        put!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
        out.push(b'"');
    }
}

impl Json for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }
}

impl Json for Cow<'_, str> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

/// As `host:port`, IPv6 in brackets.
impl Json for SocketAddr {
    fn write(&self, out: &mut Vec<u8>) {
        put!(out, "\"{self}\"");
    }
}

/// JSON as it is.
pub(super) struct Raw<'a>(pub(super) &'a str);

impl Json for Raw<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Json for Hex<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        for byte in self.0 {
            put!(out, "{byte:02x}");
        }
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: impl Json) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_but_printable_ascii_is_escaped() {
        assert_eq!(
            written("a\"\\\u{1b}[2J\u{9b}\u{202e}\u{1f600}\u{7f}"),
            r#""a\"\\\u001b[2J\u009b\u202e\ud83d\ude00\u007f""#
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_digits() {
        let pair = |bytes| {
            written(Members(move |object: &mut Object<'_>| {
                object.add_bytes("reply", bytes);
            }))
        };
        assert_eq!(pair(Some(b"hi")), r#"{"reply":"hi","reply_hex":null}"#);
        assert_eq!(pair(Some(b"\xff\0")), r#"{"reply":null,"reply_hex":"ff00"}"#);
        assert_eq!(pair(None), r#"{"reply":null,"reply_hex":null}"#);
    }

    #[test]
    fn undefined_values_are_null() {
        assert_eq!(
            written(&[Some(0.5), Some(f64::NAN), None, Some(-0.0)][..]),
            "[0.5,null,null,-0]"
        );
        assert_eq!(written(Members(|_: &mut Object<'_>| ())), "{}");
        assert_eq!(written(SocketAddr::from(([0_u16; 8], 7))), "\"[::]:7\"");
    }

    proptest! {
        #[test]
        fn no_text_ends_a_line(text: String) {
            let json = written(&text);
            prop_assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
