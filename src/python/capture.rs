//! Captures of running objects.

use std::path::PathBuf;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::driver::CaptureConfig;
use crate::python::args::{Argument, Count, Int, wrong_type, wrong_value};

/// The path of a file.
#[derive(Clone)]
pub(super) struct File(PathBuf);

impl Argument for File {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let path: PathBuf = given.extract().map_err(|_| wrong_type(name, given, "a path"))?;
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(wrong_value(name, given, "a path without a NUL"));
        }
        Ok(Self(path))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.as_os_str().into_bound_py_any(py)
    }
}

/// The most bytes that a capture keeps of a packet: at least its headers.
pub(super) type Snaplen = Int<u32, 48, 65_575>;

/// Returns the settings of a capture, if one is asked for.
pub(super) fn config(
    file: Option<&File>,
    snaplen: Option<Snaplen>,
    limit: Count,
) -> Option<CaptureConfig> {
    let snaplen = snaplen.map_or(0, |snaplen| snaplen.0);
    file.map(|file| CaptureConfig { path: file.0.clone(), snaplen, limit: limit.0 })
}

/// Generates the attributes about a capture. The class needs a field `handle`.
macro_rules! captured {
    ($class:ident) => {
        #[pyo3::pymethods]
        impl $class {
            /// The number of packets that are missing in the file of the capture: it is full, or
            /// could not be written in time.
            #[getter]
            fn capture_dropped(&self) -> u64 {
                self.handle.capture(|capture| capture.dropped()).unwrap_or_default()
            }

            /// The OSError that ended the capture; None if it could be written.
            #[getter]
            fn capture_error(
                &self,
                py: pyo3::Python<'_>,
            ) -> Option<pyo3::Py<pyo3::exceptions::PyBaseException>> {
                let error = self.handle.capture(|capture| capture.error())??;
                Some(crate::python::error::system(&error).into_value(py))
            }
        }
    };
}
pub(super) use captured;
