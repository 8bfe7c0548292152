//! Value classes: frozen; compared, hashed, copied, pickled and shown by their fields.
//!
//! `value!` declares a class from a table of its fields, written like a Python signature:
//! documentation, name, type and default. After a default of `None`, `or` computes the field from
//! others:
//!
//! ```text
//! value! {
//!     /// A reply.
//!     Reply in "udpulse.reports" {
//!         *,
//!         /// The flipped bit.
//!         bit: Option<u32> = None,
//!         /// Whether it was damaged.
//!         corrupted: bool = None or bit.is_some(),
//!     }
//! }
//! ```
//!
//! After the table, `checked` names a function that refuses contradictory fields, and `hint` is the
//! help for a keyword that users often try although it does not exist.

use std::net::SocketAddr;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::net::now;
use crate::python::options::Literal;
use crate::{NS_PER_SECOND, Zone};

/// Version of the pickle format. Other versions are refused, so that fields cannot be confused.
const VERSION: u8 = 1;

/// Maximum number of items of a sequence that `repr` shows in full.
const SHOWN: usize = 16;

/// Behaviour of a value class, derived from its fields.
pub(super) trait Value: Sized {
    /// The name of the class.
    const CLASS: &'static str;
    /// The names of the fields, in the order of the table.
    const FIELDS: &'static [&'static str];
    /// Keywords that users often try although they do not exist, each with its replacement.
    const HINTS: &'static [(&'static str, &'static str)];

    /// Returns the fields as Python objects.
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>>;

    /// Returns the values that `repr` omits: the defaults of fields, computed ones included.
    fn defaults<'py>(&self, py: Python<'py>) -> PyResult<Vec<Option<Bound<'py, PyAny>>>>;

    /// Returns the text of a constructor call without the fields that have their defaults.
    fn repr(&self, py: Python<'_>) -> PyResult<String> {
        let fields = self.fields(py)?.into_iter().zip(self.defaults(py)?);
        let mut shown = Vec::new();
        for (name, (field, default)) in Self::FIELDS.iter().zip(fields) {
            if !default.map_or(Ok(false), |default| field.eq(default))? {
                shown.push(format!("{name}={}", text_of(&field)?));
            }
        }
        Ok(format!("{}({})", Self::CLASS, shown.join(", ")))
    }

    fn hash(&self, py: Python<'_>) -> PyResult<isize> {
        PyTuple::new(py, self.fields(py)?)?.hash()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, field) in Self::FIELDS.iter().zip(self.fields(py)?) {
            dict.set_item(name, plain(field)?)?;
        }
        Ok(dict)
    }

    /// Raises `TypeError` for an unknown keyword.
    fn refuse(unknown: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let Some(name) = unknown.and_then(|unknown| unknown.keys().iter().next()) else {
            return Ok(());
        };
        let hint = Self::HINTS.iter().find(|(wrong, _)| name.eq(wrong).unwrap_or(false));
        let help = match hint {
            Some((_, hint)) => (*hint).to_owned(),
            None => format!("it has {}", Self::FIELDS.join(", ")),
        };
        Err(PyTypeError::new_err(format!("{} has no {name}: {help}", Self::CLASS)))
    }
}

/// Returns the `repr` of a field; abbreviates a long sequence.
fn text_of(field: &Bound<'_, PyAny>) -> PyResult<String> {
    let long = field.cast::<PyTuple>().ok().filter(|items| items.len() > SHOWN);
    let Some(items) = long else { return Ok(field.repr()?.to_string()) };
    let shown = items.iter().take(SHOWN / 2).map(|item| Ok(item.repr()?.to_string()));
    let shown = shown.collect::<PyResult<Vec<_>>>()?.join(", ");
    Ok(format!("({shown}, ... {} more)", items.len() - SHOWN / 2))
}

/// Returns the default that `repr` omits; counts are always shown.
pub(super) fn silent(default: Literal, py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    match default {
        Literal::Int(_) => Ok(None),
        _ => default.object(py).map(Some),
    }
}

/// Converts a value, or each value of a tuple, to a dict; returns other objects unchanged.
fn plain(field: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = field.py();
    if let Ok(items) = field.cast::<PyTuple>() {
        let items: Vec<_> = items.iter().map(plain).collect::<PyResult<_>>()?;
        return Ok(PyTuple::new(py, items)?.into_any());
    }
    match field.getattr_opt("to_dict")? {
        Some(to_dict) => to_dict.call0(),
        None => Ok(field),
    }
}

/// Returns attributes of an object as a dict.
pub(super) fn attributes<'py>(
    object: &Bound<'py, PyAny>,
    names: &[&str],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(object.py());
    for name in names {
        dict.set_item(name, plain(object.getattr(*name)?)?)?;
    }
    Ok(dict)
}

/// Result of `__reduce__`: a function and its arguments.
pub(super) type Pickle<'py> = (Bound<'py, PyAny>, (Bound<'py, PyType>, u8, Bound<'py, PyAny>));

/// Returns the pickle of an object of `class` with this `state`.
pub(super) fn pickle<'py>(
    class: Bound<'py, PyType>,
    state: Bound<'py, PyAny>,
) -> PyResult<Pickle<'py>> {
    let restore = class.py().import("udpulse._core")?.getattr("_restore")?;
    Ok((restore, (class, VERSION, state)))
}

/// Restores an object from its pickled fields, or from bytes with its class's `_load`.
#[pyfunction(name = "_restore")]
pub(super) fn restore<'py>(
    class: &Bound<'py, PyType>,
    version: &Bound<'py, PyAny>,
    state: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let name = class.name()?;
    if !version.eq(VERSION)? {
        return Err(PyValueError::new_err(format!(
            "this {name} was pickled in format {version}, by another version of udpulse; this one \
             reads format {VERSION}"
        )));
    }
    if state.is_instance_of::<PyBytes>() {
        return class.call_method1("_load", (state,));
    }
    let names = class.getattr("__match_args__")?.cast_into::<PyTuple>()?;
    let fields = state.cast::<PyTuple>()?;
    if fields.len() > names.len() {
        let (given, known) = (fields.len(), names.len());
        let text = format!("a pickled {name} has {given} fields, and the class has {known}");
        return Err(PyValueError::new_err(text));
    }
    let arguments = PyDict::new(class.py());
    for (name, field) in names.iter().zip(fields) {
        arguments.set_item(name, field)?;
    }
    class.call((), Some(&arguments))
}

macro_rules! value {
    // The table as written. Each field becomes a row: [documentation] name [type] [default] [or].
    (
        $(#[$doc:meta])* $class:ident in $module:literal {
            $($(#[$p_doc:meta])* $p:ident: $p_kind:ty $(= $p_none:tt $(or $p_or:expr)?)?,)*
            $(*, $($(#[$k_doc:meta])* $k:ident: $k_kind:ty $(= $k_none:tt $(or $k_or:expr)?)?,)+)?
        } $(checked $check:path)? $(, hint $wrong:literal: $hint:literal)?
    ) => {
        $crate::python::value::value! {
            @ $class $module [$(#[$doc])*] [$($check)?] [$(($wrong, $hint))?]
            (
                $($p $(= $crate::python::options::given!($p_none))?,)*
                $(*, $($k $(= $crate::python::options::given!($k_none))?,)+)?
                **unknown
            )
            [concat!(
                stringify!($class), "(",
                $(stringify!($p), $("=", stringify!($p_none),)? ", ",)*
                $("*, ", $(stringify!($k), $("=", stringify!($k_none),)? ", ",)+)? ")\n--\n"
            )]
            $([$(#[$p_doc])*] $p [$p_kind] [$($p_none)?] [$($($p_or)?)?])*
            $($([$(#[$k_doc])*] $k [$k_kind] [$($k_none)?] [$($($k_or)?)?])+)?
        }
    };
    (
        @ $class:ident $module:literal [$($doc:tt)*] [$($check:path)?] [$($hint:tt)?]
        $signature:tt [$($text:tt)*]
        $([$($field_doc:tt)*] $field:ident [$kind:ty] [$($none:tt)?] [$($or:expr)?])*
    ) => {
        #[doc = $($text)*]
        $($doc)*
        #[pyo3::pyclass(frozen, eq, weakref, module = $module)]
        #[derive(Clone, PartialEq)]
        pub(super) struct $class {
            $(pub(super) $field: $kind,)*
        }

        #[pyo3::pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = $signature, text_signature = None)]
            #[allow(clippy::too_many_arguments, reason = "each is a field by name")]
            fn new(
                py: pyo3::Python<'_>,
                $($field: $crate::python::options::Given<'_>,)*
                unknown: Option<&pyo3::Bound<'_, pyo3::types::PyDict>>,
            ) -> pyo3::PyResult<Self> {
                <Self as $crate::python::value::Value>::refuse(unknown)?;
                $(let $field: $kind = $crate::python::value::read!(py, $field $(, $or)?);)*
                let value = Self { $($field,)* };
                $($check(&value)?;)?
                Ok(value)
            }

            $($($field_doc)*
            #[getter]
            fn $field<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                $crate::python::args::Argument::show(&self.$field, py)
            })*

            /// Returns the fields as a dict; values among them become dicts, too.
            fn to_dict<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyDict>> {
                $crate::python::value::Value::to_dict(self, py)
            }

            #[classattr]
            fn __match_args__(
                py: pyo3::Python<'_>,
            ) -> pyo3::PyResult<pyo3::Bound<'_, pyo3::types::PyTuple>> {
                pyo3::types::PyTuple::new(py, <Self as $crate::python::value::Value>::FIELDS)
            }

            fn __repr__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<String> {
                $crate::python::value::Value::repr(self, py)
            }

            fn __hash__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<isize> {
                $crate::python::value::Value::hash(self, py)
            }

            fn __copy__(slf: pyo3::Bound<'_, Self>) -> pyo3::Bound<'_, Self> {
                slf
            }

            fn __deepcopy__<'py>(
                slf: pyo3::Bound<'py, Self>,
                _memo: &pyo3::Bound<'py, pyo3::PyAny>,
            ) -> pyo3::Bound<'py, Self> {
                slf
            }

            fn __reduce__<'py>(
                slf: &pyo3::Bound<'py, Self>,
            ) -> pyo3::PyResult<$crate::python::value::Pickle<'py>> {
                let fields = $crate::python::value::Value::fields(slf.get(), slf.py())?;
                let fields = pyo3::types::PyTuple::new(slf.py(), fields)?;
                $crate::python::value::pickle(slf.get_type(), fields.into_any())
            }
        }

        impl $crate::python::value::Value for $class {
            const CLASS: &'static str = stringify!($class);
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
            const HINTS: &'static [(&'static str, &'static str)] = &[$($hint)?];

            fn fields<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<Vec<pyo3::Bound<'py, pyo3::PyAny>>> {
                Ok(vec![$($crate::python::args::Argument::show(&self.$field, py)?),*])
            }

            #[allow(unused_variables, reason = "a default may follow from any field")]
            fn defaults<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<Vec<Option<pyo3::Bound<'py, pyo3::PyAny>>>> {
                let Self { $($field,)* } = self.clone();
                Ok(vec![$($crate::python::value::default!(py, $kind, [$($none)?] $($or)?)),*])
            }
        }

        impl $crate::python::args::Argument for $class {
            fn read(
                name: &'static str,
                given: &pyo3::Bound<'_, pyo3::PyAny>,
            ) -> pyo3::PyResult<Self> {
                let wrong = concat!("a ", stringify!($class));
                match given.cast::<Self>() {
                    Ok(value) => Ok(value.get().clone()),
                    Err(_) => Err($crate::python::args::wrong_type(name, given, wrong)),
                }
            }

            fn show<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                Ok(pyo3::Bound::new(py, self.clone())?.into_any())
            }
        }
    };
}
pub(super) use value;

/// Reads a field; if it is not given, computes it with `or`.
macro_rules! read {
    ($py:ident, $field:ident) => {
        $field.read($py, stringify!($field))?
    };
    ($py:ident, $field:ident, $or:expr) => {
        match $field.read($py, stringify!($field))? {
            Some(given) => given,
            None => $or,
        }
    };
}
pub(super) use read;

/// Returns the default of a field, if it has one.
macro_rules! default {
    ($py:ident, $kind:ty, []) => {
        None
    };
    ($py:ident, $kind:ty, [$none:tt]) => {
        $crate::python::value::silent($crate::python::options::literal!($none), $py)?
    };
    ($py:ident, $kind:ty, [$none:tt] $or:expr) => {{
        let default: $kind = $or;
        Some($crate::python::args::Argument::show(&default, $py)?)
    }};
}
pub(super) use default;

/// An address as Python writes it.
pub(super) type Address = (String, u16);

/// Returns the host and the port of `address`.
pub(super) fn address(address: SocketAddr) -> Address {
    let host = match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    };
    (host, address.port())
}

/// Returns local time from now on, for five years: the threads that need it cannot ask Python.
pub(super) fn zone(py: Python<'_>) -> PyResult<Zone> {
    /// Offsets last longer than two weeks.
    const STEP_S: i64 = 14 * 86_400;
    const STEPS: i64 = 130;
    let (localtime, name) = (py.import("time")?.getattr("localtime")?, intern!(py, "tm_gmtoff"));
    let offset_s = |at_s: i64| localtime.call1((at_s,))?.getattr(name)?.extract::<i64>();
    let now_s = now().wall_ns / NS_PER_SECOND;
    let mut changes = vec![(now_s, offset_s(now_s)?)];
    for step in 0..STEPS {
        let (_, before_s) = changes[changes.len() - 1];
        let (mut from_s, mut until_s) = (now_s + step * STEP_S, now_s + (step + 1) * STEP_S);
        let after_s = offset_s(until_s)?;
        if after_s == before_s {
            continue;
        }
        while until_s - from_s > 1 {
            let middle_s = i64::midpoint(from_s, until_s);
            if offset_s(middle_s)? == before_s {
                from_s = middle_s;
            } else {
                until_s = middle_s;
            }
        }
        changes.push((until_s, after_s));
    }
    let ns = |(at_s, offset_s)| (at_s * NS_PER_SECOND, offset_s * NS_PER_SECOND);
    Ok(Zone::new(changes.into_iter().map(ns).collect::<Vec<_>>()))
}

/// Returns bytes from the network as text; replaces invalid UTF-8.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
