//! Checking arguments: what is wrong names the argument, its value and what is allowed.

use std::fmt;
use std::ops::RangeInclusive;

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;

use crate::net::Endpoint;
use crate::{Error, Result, nanoseconds};

/// A Python integer of any size, so that one out of range is a `ValueError` that shows it.
pub(super) struct Integer(std::result::Result<i128, String>);

impl Integer {
    pub(super) fn new(value: i64) -> Self {
        Self(Ok(value.into()))
    }

    /// The value, where it is not beyond all ranges.
    pub(super) fn value(&self) -> Option<i128> {
        self.0.as_ref().ok().copied()
    }

    /// The value, where it lies in `range`.
    pub(super) fn within<T: TryFrom<i128>>(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<T> {
        let allowed = i128::from(*range.start())..=i128::from(*range.end());
        let refused =
            || Error::argument(name, self, format!("{} to {}", range.start(), range.end()));
        let value = self.value().filter(|value| allowed.contains(value)).ok_or_else(refused)?;
        T::try_from(value).map_err(|_| refused())
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(value) => value.fmt(f),
            Err(text) => text.fmt(f),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Integer {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let value = unless_too_large(object.py(), object.extract::<i128>())?;
        // Python refuses to write a number of thousands of digits.
        let text = || object.str().map_or("so large a number".to_owned(), |text| text.to_string());
        Ok(Self(value.ok_or_else(text)))
    }
}

/// A duration in seconds, so that one out of range is a `ValueError`.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) f64);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let value = unless_too_large(object.py(), object.extract::<f64>())?;
        let endless = || Ok(f64::INFINITY.copysign(if object.lt(0)? { -1.0 } else { 1.0 }));
        value.map_or_else(endless, Ok).map(Self)
    }
}

/// None where Python says that the value does not fit.
fn unless_too_large<T>(py: Python<'_>, value: PyResult<T>) -> PyResult<Option<T>> {
    match value {
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => Ok(None),
        value => value.map(Some),
    }
}

/// Returns a `TypeError`: `name` must be `allowed`, not `given`.
pub(super) fn wrong_type(name: &str, given: &Bound<'_, PyAny>, allowed: &str) -> PyErr {
    // A long list tells less than its type.
    let shown = match given.repr() {
        Ok(text) if text.len().is_ok_and(|length| length <= 80) => text.to_string(),
        _ => given.get_type().to_string(),
    };
    PyTypeError::new_err(format!("{name} must be {allowed}, not {shown}"))
}

/// Reads up to `limit` items, and one more if there is one. The length that an object claims is not
/// believed: it may be any number.
pub(super) fn items<'py, T>(
    given: &Bound<'py, PyAny>,
    limit: usize,
    wrong: impl Fn(&Bound<'py, PyAny>) -> PyErr,
    read: impl Fn(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let mut items = Vec::new();
    for item in given.try_iter().map_err(|_| wrong(given))?.take(limit.saturating_add(1)) {
        items.push(read(&item?)?);
    }
    Ok(items)
}

/// The address of a server: port 0 is any free one.
pub(super) fn local(host: String, port: &Integer) -> Result<Endpoint> {
    Endpoint::new(host, port.within("port", 0..=65_535)?)
}

/// The address of what a client talks to.
pub(super) fn remote(host: String, port: &Integer) -> Result<Endpoint> {
    if host.is_empty() {
        return Err(Error::argument("host", "empty", "an address or a name"));
    }
    Endpoint::new(host, port.within("port", 1..=65_535)?)
}

/// Reads up to `limit` (host, port) pairs that something is sent to.
pub(super) fn pairs(
    name: &'static str,
    given: &Bound<'_, PyAny>,
    limit: usize,
) -> PyResult<Vec<Endpoint>> {
    let allowed = "(host, port) pairs";
    let endpoints = items(
        given,
        limit,
        |given| wrong_type(name, given, allowed),
        |item| {
            let pair = item.extract::<(String, Integer)>();
            let (host, port) = pair.map_err(|_| wrong_type(name, item, allowed))?;
            Ok(remote(host, &port)?)
        },
    )?;
    if endpoints.len() > limit {
        let allowed = format!("at most {limit} {allowed}");
        return Err(Error::argument(name, "more", allowed).into());
    }
    Ok(endpoints)
}

/// How many: at least one, or without end.
pub(super) fn count(name: &'static str, count: Option<&Integer>) -> Result<Option<u64>> {
    count.map(|count| count.within(name, 1..=u64::MAX)).transpose()
}

/// A seed, or the system's choice.
pub(super) fn seed(seed: Option<&Integer>) -> Result<Option<u64>> {
    seed.map(|seed| seed.within("seed", 0..=u64::MAX)).transpose()
}

/// A duration in seconds, in nanoseconds.
pub(super) fn duration_ns(name: &'static str, Seconds(seconds): Seconds) -> Result<i64> {
    nanoseconds(seconds)
        .filter(|ns| *ns > 0)
        .ok_or_else(|| Error::number(name, seconds, "above 0 and below 9.2e9 seconds"))
}
