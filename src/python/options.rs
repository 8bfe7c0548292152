//! Options, each stated once.
//!
//! A table lists the options of a class or a function: documentation, name, type and default. From
//! it `options!` generates the Python signature, the code that reads the arguments, the settings
//! stored in an object, its attributes, and the options part of the docstring. The table is a
//! macro, so that a class and a function can share it:
//!
//! ```text
//! macro_rules! ping_options {
//!     ($($part:tt)*) => { options! { { $($part)* }
//!         /// the server's address or name.
//!         host: RemoteHost,
//!         /// the server's port, 1 to 65535.
//!         port: RemotePort = 12000,
//!         *,
//!         /// the time to wait for each reply, in seconds.
//!         timeout: Seconds = 1.0,
//!     } };
//! }
//!
//! ping_options!(settings);
//!
//! #[doc = ping_options!(signature PingClient)]
//! /// A UDP ping client.
//! ///
//! #[doc = ping_options!(docs)]
//! #[pyclass(frozen)]
//! struct PingClient { settings: Settings, ... }
//!
//! ping_options!(class PingClient);
//!
//! ping_options! {
//!     #[doc = ping_options!(signature ping)]
//!     /// Pings once.
//!     function ping = run_ping -> PyResult<PingReport>
//! }
//! ```

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::python::args::Argument;

/// The given argument, or the default of the option.
pub(super) enum Given<'py> {
    Object(Bound<'py, PyAny>),
    Default(Literal),
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Object(object.to_owned()))
    }
}

impl Given<'_> {
    /// Reads the argument `name`.
    pub(super) fn read<T: Argument>(&self, py: Python<'_>, name: &'static str) -> PyResult<T> {
        match self {
            Self::Object(object) => T::read(name, object),
            Self::Default(literal) => T::read_default(name, &literal.object(py)?),
        }
    }
}

/// A default, spelled in the table as in Python.
#[derive(Clone, Copy)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(u32),
    Float(f64),
    Text(&'static str),
    Bytes(&'static [u8]),
    EmptyTuple,
    Address(&'static str, u16),
}

impl Literal {
    pub(super) fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Self::None => Ok(py.None().into_bound(py)),
            Self::Bool(value) => value.into_bound_py_any(py),
            Self::Int(value) => value.into_bound_py_any(py),
            Self::Float(value) => value.into_bound_py_any(py),
            Self::Text(value) => value.into_bound_py_any(py),
            Self::Bytes(value) => Ok(PyBytes::new(py, value).into_any()),
            Self::EmptyTuple => Ok(PyTuple::empty(py).into_any()),
            Self::Address(host, port) => (host, port).into_bound_py_any(py),
        }
    }
}

impl From<u32> for Literal {
    fn from(value: u32) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Literal {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&'static str> for Literal {
    fn from(value: &'static str) -> Self {
        Self::Text(value)
    }
}

impl<const N: usize> From<&'static [u8; N]> for Literal {
    fn from(value: &'static [u8; N]) -> Self {
        Self::Bytes(value)
    }
}

macro_rules! literal {
    (None) => {
        $crate::python::options::Literal::None
    };
    (False) => {
        $crate::python::options::Literal::Bool(false)
    };
    (True) => {
        $crate::python::options::Literal::Bool(true)
    };
    (()) => {
        $crate::python::options::Literal::EmptyTuple
    };
    (($host:literal, $port:literal)) => {
        $crate::python::options::Literal::Address($host, $port)
    };
    ($value:literal) => {
        $crate::python::options::Literal::from($value)
    };
}
pub(super) use literal;

/// Returns the settings that are not at their defaults, each as `, name=value`.
pub(super) fn changed<const N: usize>(
    settings: [(&str, Bound<'_, PyAny>, Literal); N],
) -> PyResult<String> {
    let mut changed = Vec::new();
    for (name, value, default) in settings {
        if !value.eq(default.object(value.py())?)? {
            changed.push(format!(", {name}={}", value.repr()?));
        }
    }
    Ok(changed.concat())
}

/// The default for an argument that was not given.
macro_rules! given {
    ($default:tt) => {
        $crate::python::options::Given::Default($crate::python::options::literal!($default))
    };
}
pub(super) use given;

macro_rules! options {
    // The table as written. Each option becomes a group: (name [type] [default] documentation).
    (
        { $($part:tt)* }
        $(
            $(#[doc = $doc:literal])+
            $positional:ident: $positional_kind:ty $(= $positional_default:tt)?,
        )*
        *,
        $($(#[doc = $docs:literal])+ $name:ident: $kind:ty = $default:tt,)*
    ) => {
        $crate::python::options::options! {
            @ $($part)*;
            $(($positional [$positional_kind] [$($positional_default)?] $($doc)+))*;
            $(($name [$kind] [$default] $($docs)+))*
        }
    };

    // The text signature of a class or a function, which Python reads from the start of a
    // docstring.
    (
        @ signature $owner:ident;
        $(($positional:ident $_pk:tt [$($positional_default:tt)?] $($_p:literal)+))*;
        $(($name:ident $_k:tt [$default:tt] $($_n:literal)+))*
    ) => {
        concat!(
            stringify!($owner), "(",
            $(stringify!($positional), $("=", stringify!($positional_default),)? ", ",)*
            "*", $(", ", stringify!($name), "=", stringify!($default),)* ")\n--\n"
        )
    };

    // The options part of a docstring.
    (
        @ docs;
        $(($positional:ident $_pk:tt $_pd:tt $first:literal $($more:literal)*))*;
        $(($name:ident $_k:tt $_d:tt $doc:literal $($docs:literal)*))*
    ) => {
        concat!(
            $(stringify!($positional), ":", $first, "\n", $("   ", $more, "\n",)*)*
            $(stringify!($name), ":", $doc, "\n", $("   ", $docs, "\n",)*)*
        )
    };

    // The struct `Settings`, which another module may use if it says `pub(super) settings`.
    (
        @ $vis:vis settings;
        $(($positional:ident [$positional_kind:ty] $($_p:tt)*))*;
        $(($name:ident [$kind:ty] $($_n:tt)*))*
    ) => {
        /// The options as read.
        $vis struct Settings {
            $($vis $positional: $positional_kind,)*
            $($vis $name: $kind,)*
        }
    };

    // The constructor of a class and the attributes of its objects, stored in the field `settings`.
    // The class needs a function `make` that creates an object from the settings. They may be those
    // of a class with more options, whose values follow.
    (
        @ class $class:ident $(, $fixed:ident = $value:expr)*;
        $(($positional:ident $_pk:tt [$($positional_default:tt)?] $($doc:literal)+))*;
        $(($name:ident $_k:tt [$default:tt] $($docs:literal)+))*
    ) => {
        #[pyo3::pymethods]
        impl $class {
            #[new]
            #[pyo3(
                signature = (
                    $($positional $(= $crate::python::options::given!($positional_default))?,)* *,
                    $($name = $crate::python::options::given!($default),)*
                ),
                text_signature = None,
            )]
            #[expect(clippy::too_many_arguments, reason = "each is an option by name")]
            fn new(
                py: pyo3::Python<'_>,
                $($positional: $crate::python::options::Given<'_>,)*
                $($name: $crate::python::options::Given<'_>,)*
            ) -> pyo3::PyResult<Self> {
                Self::make(Settings {
                    $($positional: $positional.read(py, stringify!($positional))?,)*
                    $($name: $name.read(py, stringify!($name))?,)*
                    $($fixed: $value,)*
                })
            }

            $(
                $(#[doc = $doc])+
                #[getter]
                fn $positional<'py>(
                    &self,
                    py: pyo3::Python<'py>,
                ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                    $crate::python::args::Argument::show(&self.settings.$positional, py)
                }
            )*

            $(
                $(#[doc = $docs])+
                #[getter]
                fn $name<'py>(
                    &self,
                    py: pyo3::Python<'py>,
                ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                    $crate::python::args::Argument::show(&self.settings.$name, py)
                }
            )*
        }

        impl $class {
            /// Returns the keyword options that are not at their defaults, each as `, name=value`.
            fn changed(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<String> {
                let options = [$((
                    stringify!($name),
                    $crate::python::args::Argument::show(&self.settings.$name, py)?,
                    $crate::python::options::literal!($default),
                )),*];
                $crate::python::options::changed(options)
            }
        }
    };

    // A function that reads the settings and runs `$run` with them; a class may have more settings,
    // whose values follow.
    (
        @ $(#[$doc:meta])* function $function:ident = $run:ident -> $return:ty
            $(, $fixed:ident = $value:expr)*;
        $(($positional:ident $_pk:tt [$($positional_default:tt)?] $($_p:literal)+))*;
        $(($name:ident $_k:tt [$default:tt] $($_n:literal)+))*
    ) => {
        $(#[$doc])*
        #[pyo3::pyfunction]
        #[pyo3(
            signature = (
                $($positional $(= $crate::python::options::given!($positional_default))?,)* *,
                $($name = $crate::python::options::given!($default),)*
            ),
            text_signature = None,
        )]
        #[allow(clippy::too_many_arguments, reason = "each is an option by name")]
        pub(super) fn $function(
            py: pyo3::Python<'_>,
            $($positional: $crate::python::options::Given<'_>,)*
            $($name: $crate::python::options::Given<'_>,)*
        ) -> $return {
            $run(py, Settings {
                $($positional: $positional.read(py, stringify!($positional))?,)*
                $($name: $name.read(py, stringify!($name))?,)*
                $($fixed: $value,)*
            })
        }
    };
}
pub(super) use options;
