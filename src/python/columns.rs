//! Tables: dicts of read-only NumPy arrays of one length.

use numpy::{Element, IntoPyArray};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A table under construction.
pub(super) struct Table<'py>(Bound<'py, PyDict>);

impl<'py> Table<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self(PyDict::new(py))
    }

    /// Adds a column; the array owns its memory.
    pub(super) fn add<T: Element>(&self, name: &str, column: Vec<T>) -> PyResult<()> {
        self.insert(name, column.into_pyarray(self.0.py()).into_any())
    }

    /// Adds a column of objects.
    pub(super) fn add_objects<T: IntoPyObject<'py>>(
        &self,
        name: &str,
        column: Vec<T>,
    ) -> PyResult<()> {
        let objects = column.into_bound_py_any(self.0.py())?;
        let array = self.0.py().import("numpy")?.getattr("array")?;
        self.insert(name, array.call1((objects, "O"))?)
    }

    fn insert(&self, name: &str, array: Bound<'py, PyAny>) -> PyResult<()> {
        array.call_method1("setflags", (false,))?;
        self.0.set_item(name, array)
    }

    pub(super) fn into_dict(self) -> Bound<'py, PyDict> {
        self.0
    }
}

/// Returns a number as a float; NaN if it is missing.
#[expect(clippy::cast_precision_loss, reason = "such columns are floats, exact up to 2^53")]
pub(super) fn float(value: Option<i64>) -> f64 {
    value.map_or(f64::NAN, |value| value as f64)
}

/// Returns an unsigned number as a float; NaN if it is missing.
#[expect(clippy::cast_precision_loss, reason = "such columns are floats, exact up to 2^53")]
pub(super) fn unsigned_float(value: Option<u64>) -> f64 {
    value.map_or(f64::NAN, |value| value as f64)
}
