//! `AddressChange` and `HeaderField`.

use pyo3::prelude::*;

use crate::ping::{self, Change, End};
use crate::python::args::{Word, Words};
use crate::python::value::value;
use crate::seconds;

impl Words for End {
    const WORDS: &'static [(&'static str, Self)] = &End::ALL;
}

value! {
    /// A change of an address during a ping session.
    AddressChange in "udpulse.reports" {
        *,
        /// When it was noticed, in seconds since the Unix epoch.
        time: f64,
        /// Whose address changed: "source" (this host) or "target" (the server's name has another
        /// address).
        end: Word<End>,
        /// The address before; None if this host had none from which the server can be reached.
        before: Option<String> = None,
        /// The address after; None if this host has none left from which the server can be reached.
        after: Option<String> = None,
    }
}

value! {
    /// The values of a header field of the replies.
    HeaderField in "udpulse.reports" {
        *,
        /// The smallest value.
        min: u64,
        /// The largest value.
        max: u64,
        /// How often the value differed from that of the reply before.
        changes: u64 = 0,
    }
}

impl From<&Change> for AddressChange {
    fn from(change: &Change) -> Self {
        Self {
            time: seconds(change.at_ns),
            end: Word(change.of),
            before: change.before.map(|ip| ip.to_string()),
            after: change.after.map(|ip| ip.to_string()),
        }
    }
}

impl From<ping::HeaderField> for HeaderField {
    fn from(field: ping::HeaderField) -> Self {
        Self { min: field.min.into(), max: field.max.into(), changes: field.changes }
    }
}
