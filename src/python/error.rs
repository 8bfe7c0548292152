//! From the crate's errors to Python's exceptions.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::{PyErr, import_exception};

use crate::Error;

import_exception!(socket, gaierror);
import_exception!(udpulse._errors, NotStartedError);
import_exception!(udpulse._errors, UdpulseError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Argument { .. } => PyValueError::new_err(text),
            // `OSError` chooses its subclass by the number.
            Error::Io { source, .. } => match source.raw_os_error() {
                Some(number) => PyOSError::new_err((number, text)),
                None => PyOSError::new_err(text),
            },
            Error::Resolve { code, .. } => gaierror::new_err((code, text)),
        }
    }
}

/// What is raised where the engine itself failed.
pub(super) fn failed(class: &str) -> PyErr {
    UdpulseError::new_err(format!("the engine of {class} failed; please report it"))
}

/// What is raised where an object is asked for what it has only once started.
pub(super) fn not_started(class: &str) -> PyErr {
    NotStartedError::new_err(format!("this {class} was never started"))
}
