//! The errors of the crate.

use std::fmt::Display;
use std::io;

/// The result of a function that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument outside the allowed values.
    #[error("{name} must be {allowed}, not {}", printable(value))]
    Argument {
        /// The argument's name.
        name: &'static str,
        /// The value given.
        value: String,
        /// The allowed values.
        allowed: String,
    },
    /// The operating system refused an operation.
    #[error("cannot {operation} {}: {}", printable(address), reason(source))]
    Io {
        /// The operation as a verb: `bind`, `connect to`.
        operation: &'static str,
        /// The address of the operation.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// A host name could not be resolved.
    #[error("cannot resolve host {}: {reason}", printable(host))]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's code (`EAI_*`).
        code: i32,
        /// The resolver's message.
        reason: String,
    },
}

impl Error {
    /// Creates an argument error: `name` must be `allowed`, not `value`.
    pub fn argument(name: &'static str, value: impl Display, allowed: impl Into<String>) -> Self {
        Self::Argument { name, value: value.to_string(), allowed: allowed.into() }
    }

    /// Creates an argument error for a number, which is shown briefly, as Python does.
    pub fn number(name: &'static str, value: f64, allowed: impl Into<String>) -> Self {
        let value = match value.abs() {
            size if size.is_nan() => "nan".to_owned(),
            size if size == 0.0 || (1e-4..1e16).contains(&size) => value.to_string(),
            _ => format!("{value:e}"),
        };
        Self::argument(name, value, allowed)
    }

    /// Returns a function for `map_err` that names the operation and the address of an I/O error.
    pub fn io(operation: &'static str, address: impl Display) -> impl FnOnce(io::Error) -> Self {
        let address = address.to_string();
        move |source| Self::Io { operation, address, source }
    }
}

/// Escapes the characters that control a terminal or hide on a page, as Python does.
fn printable(text: &str) -> String {
    let escape = |character: char| match u32::from(character) {
        _ if "'\"\\".contains(character) => character.to_string(),
        _ if character.escape_debug().len() == 1 => character.to_string(),
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    text.chars().map(escape).collect()
}

/// Returns the system's words without the number that Rust appends; Python shows the number itself.
pub(crate) fn reason(source: &io::Error) -> String {
    let text = source.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_name_operation_and_address() {
        let error = Error::io("bind", "127.0.0.1:1")(io::Error::from_raw_os_error(13));
        assert_eq!(error.to_string(), "cannot bind 127.0.0.1:1: Permission denied");
    }

    #[test]
    fn no_text_controls_a_terminal() {
        let error = Error::argument("p", "'é\\\u{1b}\u{9b}2J\u{202e}\u{e0001}'", "x");
        assert_eq!(error.to_string(), r"p must be x, not 'é\\x1b\x9b2J\u202e\U000e0001'");
    }

    #[test]
    fn numbers_are_short() {
        let shown = |value| Error::number("p", value, "x").to_string();
        for (value, text) in [
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
            (-1.0, "-1"),
            (0.0, "0"),
            (1e308, "1e308"),
            (-2.5e-300, "-2.5e-300"),
        ] {
            assert_eq!(shown(value), format!("p must be x, not {text}"));
        }
    }

    #[test]
    fn argument_errors_name_value_and_range() {
        let error = Error::argument("port", 70_000, "0 to 65535");
        assert_eq!(error.to_string(), "port must be 0 to 65535, not 70000");
    }
}
