//! Types of fields that only values have, not options.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::heartbeat::{self, Cause, State};
use crate::impair::Flags;
use crate::path::{Outcome, Reason};
use crate::ping::Verdict;
use crate::python::args::{
    Argument, LocalHost, LocalPort, Word, Words, integer, items, pair, range, wrong_type,
};
use crate::python::value::Address;
use crate::wire::beat::Status;

/// Maximum length of a sequence.
const MAX_ITEMS: usize = 1 << 20;

impl Words for Verdict {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for Outcome {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for Reason {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for heartbeat::Outcome {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for State {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for Cause {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for Status {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

impl Words for Flags {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

macro_rules! integer_argument {
    ($($type:ty),*) => {
        $(impl Argument for $type {
            fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
                let max = u64::try_from(Self::MAX).unwrap_or(u64::MAX);
                let allowed = range(0, max);
                let value = integer(name, given, 0..=max, &allowed)?;
                Ok(Self::try_from(value).unwrap_or(Self::MAX))
            }

            fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.into_bound_py_any(py)
            }
        })*
    };
}
integer_argument!(u16, u32, u64, usize);

/// Bytes from the network.
impl Argument for Vec<u8> {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = given.cast::<PyBytes>().map_err(|_| wrong_type(name, given, "bytes"))?;
        Ok(bytes.as_bytes().to_vec())
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyBytes::new(py, self).into_any())
    }
}

impl Argument for Address {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (LocalHost(host), port): (_, LocalPort) = pair(name, given, "a (host, port) pair")?;
        Ok((host, port.0))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.into_bound_py_any(py)
    }
}

/// A tuple, because values are immutable.
impl<T: Argument> Argument for Vec<T> {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a sequence";
        if given.is_instance_of::<PyString>() {
            return Err(wrong_type(name, given, allowed));
        }
        items(name, given, MAX_ITEMS, allowed, |item| T::read(name, item))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let items: Vec<_> = self.iter().map(|item| item.show(py)).collect::<PyResult<_>>()?;
        Ok(PyTuple::new(py, items)?.into_any())
    }
}

/// A tuple of names.
impl Argument for Flags {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let words: Vec<Word<Self>> = Argument::read(name, given)?;
        let mut flags = Self::default();
        for word in words {
            flags.add(word.0);
        }
        Ok(flags)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let flags = Self::ALL.iter().filter(|(_, flag)| self.has(*flag));
        Ok(PyTuple::new(py, flags.map(|(name, _)| name).collect::<Vec<_>>())?.into_any())
    }
}
