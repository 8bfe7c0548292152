//! Types of arguments, read from Python and shown to it.
//!
//! Errors for a wrong type and a wrong value have the same form: argument, allowed values, given
//! value.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyString, PyTuple};

use crate::net::{Endpoint, now};
use crate::python::value::address;
use crate::wire::beat::is_name;
use crate::{Error, Random, nanoseconds, seconds};

/// A type of argument.
pub(super) trait Argument: Sized {
    /// Reads the argument `name`.
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self>;

    /// Reads the default of `name`, which was not given.
    fn read_default(name: &'static str, default: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::read(name, default)
    }

    /// Returns the argument as an attribute shows it.
    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

/// Returns a `TypeError`: `name` must be `allowed`, not `given`.
pub(super) fn wrong_type(name: &str, given: &Bound<'_, PyAny>, allowed: &str) -> PyErr {
    PyTypeError::new_err(format!("{name} must be {allowed}, not {}", shown(given)))
}

/// Returns a `ValueError`: `name` must be `allowed`, not `given`.
pub(super) fn wrong_value(name: &'static str, given: &Bound<'_, PyAny>, allowed: &str) -> PyErr {
    Error::argument(name, shown(given), allowed).into()
}

/// Returns the `repr` of an object, or its type if that is too long.
fn shown(given: &Bound<'_, PyAny>) -> String {
    match (given.repr(), given.get_type().name()) {
        (Ok(text), _) if text.len().is_ok_and(|length| length <= 80) => text.to_string(),
        (_, Ok(name)) => format!("a very long {name}"),
        (_, Err(_)) => "something else".to_owned(),
    }
}

/// Reads a number; refuses a bool, and reads a number too large for a float as infinite.
pub(super) fn number(name: &str, given: &Bound<'_, PyAny>, allowed: &str) -> PyResult<f64> {
    if given.is_instance_of::<PyBool>() {
        return Err(wrong_type(name, given, allowed));
    }
    match given.extract::<f64>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) => {
            Ok(f64::INFINITY.copysign(if given.lt(0)? { -1.0 } else { 1.0 }))
        }
        number => number.map_err(|_| wrong_type(name, given, allowed)),
    }
}

/// Reads a number in `range`.
pub(super) fn number_within(
    name: &'static str,
    given: &Bound<'_, PyAny>,
    range: RangeInclusive<f64>,
    allowed: &str,
) -> PyResult<f64> {
    let value = number(name, given, allowed)?;
    if range.contains(&value) { Ok(value) } else { Err(wrong_value(name, given, allowed)) }
}

/// Reads a whole number in `range`; refuses a bool.
pub(super) fn integer(
    name: &'static str,
    given: &Bound<'_, PyAny>,
    range: RangeInclusive<u64>,
    allowed: &str,
) -> PyResult<u64> {
    if given.is_instance_of::<PyBool>() {
        return Err(wrong_type(name, given, allowed));
    }
    match given.extract::<u64>() {
        Ok(value) if range.contains(&value) => Ok(value),
        Err(error) if error.is_instance_of::<PyTypeError>(given.py()) => {
            Err(wrong_type(name, given, allowed))
        }
        // Out of range, or too large for the type.
        _ => Err(wrong_value(name, given, allowed)),
    }
}

/// Reads at most `limit` items. Does not trust `__len__`, which may return any number.
pub(super) fn items<'py, T>(
    name: &'static str,
    given: &Bound<'py, PyAny>,
    limit: usize,
    allowed: &str,
    read: impl Fn(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let mut items = Vec::new();
    for item in given.try_iter().map_err(|_| wrong_type(name, given, allowed))? {
        if items.len() == limit {
            return Err(Error::argument(name, "more", format!("at most {limit} {allowed}")).into());
        }
        items.push(read(&item?)?);
    }
    Ok(items)
}

impl<T: Argument> Argument for Option<T> {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_none() { Ok(None) } else { T::read(name, given).map(Some) }
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.as_ref().map_or_else(|| Ok(py.None().into_bound(py)), |argument| argument.show(py))
    }
}

impl Argument for bool {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        given.extract().map_err(|_| wrong_type(name, given, "True or False"))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.into_bound_py_any(py)
    }
}

/// Any number.
impl Argument for f64 {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        number(name, given, "a number")
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.into_bound_py_any(py)
    }
}

/// Any text.
impl Argument for String {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        given.extract().map_err(|_| wrong_type(name, given, "a str"))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.into_bound_py_any(py)
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Int<T, const MIN: u64, const MAX: u64>(pub(super) T);

/// A local port; 0 for any free one.
pub(super) type LocalPort = Int<u16, 0, 65_535>;

/// A destination port.
pub(super) type RemotePort = Int<u16, 1, 65_535>;

/// The maximum number of events to return.
pub(super) type BatchLimit = Int<usize, 1, { u32::MAX as u64 }>;

/// Returns a range of whole numbers in Python's words.
pub(super) fn range(min: u64, max: u64) -> String {
    // The limits of machine words say nothing to a reader of decimal digits.
    match max.checked_add(1) {
        None => format!("{min} to 2**64 - 1"),
        Some(end) if end == 1 << 32 => format!("{min} to 2**32 - 1"),
        Some(_) => format!("{min} to {max}"),
    }
}

/// A count of at least 1.
pub(super) type Count = Int<u64, 1, { u64::MAX }>;

impl<T, const MIN: u64, const MAX: u64> Argument for Int<T, MIN, MAX>
where
    T: TryFrom<u64> + Copy + for<'py> IntoPyObject<'py>,
{
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = range(MIN, MAX);
        let value = T::try_from(integer(name, given, MIN..=MAX, &allowed)?);
        value.map(Self).map_err(|_| wrong_value(name, given, &allowed))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A duration of at least `LEAST_NS`.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Seconds<const LEAST_NS: i64 = 1>(pub(super) f64);

impl<const LEAST_NS: i64> Seconds<LEAST_NS> {
    pub(super) fn ns(self) -> i64 {
        nanoseconds(self.0).unwrap_or(i64::MAX)
    }
}

impl<const LEAST_NS: i64> Argument for Seconds<LEAST_NS> {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let least = match LEAST_NS {
            1 => "above 0".to_owned(),
            _ => format!("at least {}", seconds(LEAST_NS)),
        };
        let allowed = format!("{least} and below 9.2e9 seconds");
        let seconds = number(name, given, &allowed)?;
        if nanoseconds(seconds).is_some_and(|ns| ns >= LEAST_NS) {
            Ok(Self(seconds))
        } else {
            Err(wrong_value(name, given, &allowed))
        }
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A waiting time of 0 or more seconds.
#[derive(Clone, Copy)]
pub(super) struct Patience(f64);

impl Patience {
    pub(super) fn ns(self) -> i64 {
        nanoseconds(self.0).unwrap_or(i64::MAX)
    }

    /// Returns the end of a wait that starts now, in monotonic nanoseconds.
    pub(super) fn deadline_ns(self) -> i64 {
        now().mono_ns.saturating_add(self.ns())
    }
}

impl Argument for Patience {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        number_within(name, given, 0.0..=f64::INFINITY, "0 or more seconds").map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A probability.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Probability(pub(super) f64);

impl Argument for Probability {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        number_within(name, given, 0.0..=1.0, "a probability from 0 to 1").map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// The seed of random choices. If none is given, draws one, so that a run can be repeated.
#[derive(Clone, Copy)]
pub(super) struct Seed(pub(super) u64);

impl Argument for Seed {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_none() {
            // 53 bits: exact as a JSON number.
            return Ok(Self(Random::new(None).below(1 << 53)));
        }
        let allowed = range(0, u64::MAX);
        integer(name, given, 0..=u64::MAX, &allowed).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A type with a word for each of its values.
pub(super) trait Words: Copy + PartialEq + 'static {
    /// The words and their values.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of `T`.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Word<T>(pub(super) T);

impl<T: Words> Word<T> {
    pub(super) fn word(self) -> Option<&'static str> {
        T::WORDS.iter().find(|(_, value)| *value == self.0).map(|(word, _)| *word)
    }
}

impl<T: Words> Argument for Word<T> {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| format!("'{word}'")).collect();
        let allowed = match &words[..] {
            [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
            all => all.join(""),
        };
        let text: String = given.extract().map_err(|_| wrong_type(name, given, &allowed))?;
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Self(*value)).ok_or_else(|| wrong_value(name, given, &allowed))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.word().into_bound_py_any(py)
    }
}

/// The number of rows that an object keeps.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    /// Not given: the default number.
    Default(usize),
    Last(usize),
    All,
}

impl Keep {
    /// Returns the number of rows; `None` for all.
    pub(super) fn rows(self) -> Option<usize> {
        match self {
            Self::Default(rows) | Self::Last(rows) => Some(rows),
            Self::All => None,
        }
    }
}

impl Argument for Keep {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.extract::<String>().is_ok_and(|word| word == "all") {
            return Ok(Self::All);
        }
        let allowed = format!("{} or 'all'", range(0, u32::MAX.into()));
        if given.extract::<String>().is_ok() {
            return Err(wrong_value(name, given, &allowed));
        }
        let rows = integer(name, given, 0..=u32::MAX.into(), &allowed)?;
        Ok(Self::Last(usize::try_from(rows).unwrap_or(usize::MAX)))
    }

    fn read_default(name: &'static str, default: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::read(name, default).map(|keep| keep.rows().map_or(keep, Self::Default))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.rows() {
            Some(rows) => rows.into_bound_py_any(py),
            None => "all".into_bound_py_any(py),
        }
    }
}

/// A host to bind: an address or a name; empty for all interfaces.
pub(super) struct LocalHost(pub(super) String);

impl Argument for LocalHost {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        given.extract().map(Self).map_err(|_| wrong_type(name, given, HOST))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.as_str().into_bound_py_any(py)
    }
}

/// A destination host.
pub(super) struct RemoteHost(pub(super) String);

const HOST: &str = "an address or a name";

impl Argument for RemoteHost {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let LocalHost(host) = LocalHost::read(name, given)?;
        if host.is_empty() { Err(wrong_value(name, given, HOST)) } else { Ok(Self(host)) }
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.as_str().into_bound_py_any(py)
    }
}

/// At most `MAX` destinations, (host, port) pairs.
pub(super) struct Remotes<const MAX: usize>(pub(super) Vec<Endpoint>);

impl<const MAX: usize> Argument for Remotes<MAX> {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "(host, port) pairs";
        let read = |item: &Bound<'_, PyAny>| {
            let (RemoteHost(host), Int(port)): (_, RemotePort) = pair(name, item, allowed)?;
            Ok(Endpoint::new(host, port)?)
        };
        items(name, given, MAX, allowed, read).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pairs = self.0.iter().map(|Endpoint { host, port, .. }| (host.as_str(), *port));
        Ok(PyTuple::new(py, pairs)?.into_any())
    }
}

/// Names of heartbeat clients.
pub(super) struct Names(pub(super) Vec<String>);

impl Argument for Names {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "names of 1 to 255 bytes without blanks, control characters and \";\"";
        let read = |item: &Bound<'_, PyAny>| {
            let word: String = item.extract().map_err(|_| wrong_type(name, item, allowed))?;
            let valid = is_name(word.as_bytes());
            if valid { Ok(word) } else { Err(wrong_value(name, item, allowed)) }
        };
        if given.is_instance_of::<PyString>() {
            return Err(wrong_type(name, given, allowed));
        }
        items(name, given, usize::MAX, allowed, read).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, &self.0)?.into_any())
    }
}

/// The name of a network interface.
pub(super) struct Interface(pub(super) String);

impl Argument for Interface {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let interface = String::read(name, given)?;
        // The kernel would cut a longer name, and take the empty one for none.
        if (1..16).contains(&interface.len()) && !interface.contains('\0') {
            return Ok(Self(interface));
        }
        Err(wrong_value(name, given, "the name of a network interface, 1 to 15 bytes"))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.as_str().into_bound_py_any(py)
    }
}

/// The source address and port of datagrams.
pub(super) struct Source(pub(super) SocketAddr);

impl Argument for Source {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "an (address, port) of this host";
        let (LocalHost(host), Int(port)): (_, LocalPort) = pair(name, given, allowed)?;
        let address = Endpoint::new(host, port).ok().and_then(|endpoint| endpoint.literal());
        address.map(Self).ok_or_else(|| wrong_value(name, given, allowed))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        address(self.0).into_bound_py_any(py)
    }
}

/// Reads a host and a port from a tuple or list of two.
pub(super) fn pair<H: Argument, P: Argument>(
    name: &str,
    given: &Bound<'_, PyAny>,
    allowed: &str,
) -> PyResult<(H, P)> {
    let list = given.cast::<PyList>().map(PyListMethods::to_tuple);
    let Some((host, port)) = list
        .or_else(|_| given.cast::<PyTuple>().cloned())
        .ok()
        .and_then(|pair| pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>().ok())
    else {
        return Err(wrong_type(name, given, allowed));
    };
    let read = || Ok((H::read("host", &host)?, P::read("port", &port)?));
    read().map_err(|error: PyErr| {
        let is_value = error.is_instance_of::<PyValueError>(given.py());
        if is_value { error } else { wrong_type(name, given, allowed) }
    })
}
