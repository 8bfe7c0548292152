//! Conversion of the crate's errors to Python exceptions.

use std::io;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::import_exception;
use pyo3::prelude::*;

use crate::Error;
use crate::error::reason;

import_exception!(socket, gaierror);
import_exception!(udpulse._errors, NotStartedError);
import_exception!(udpulse._errors, UdpulseError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Argument { .. } => PyValueError::new_err(text),
            // `OSError` chooses its subclass by errno.
            Error::Io { source, .. } => match source.raw_os_error() {
                Some(number) => PyOSError::new_err((number, text)),
                // Our own I/O errors all report options that the platform does not support.
                None => Python::attach(|py| {
                    let number = py.import("errno").and_then(|errno| errno.getattr("ENOTSUP"));
                    number.map_or_else(
                        |error| error,
                        |number| PyOSError::new_err((number.unbind(), text)),
                    )
                }),
            },
            Error::Resolve { code, .. } => gaierror::new_err((code, text)),
        }
    }
}

/// Returns the exception for an error of the system.
pub(super) fn system(error: &io::Error) -> PyErr {
    PyOSError::new_err((error.raw_os_error(), reason(error)))
}

/// Returns the exception for a failure of the engine itself.
pub(super) fn failed(class: &str) -> PyErr {
    UdpulseError::new_err(format!("the engine of {class} failed; please report it"))
}

/// Returns the exception for using an object that was never started.
pub(super) fn not_started(class: &str) -> PyErr {
    NotStartedError::new_err(format!("this {class} was never started"))
}
