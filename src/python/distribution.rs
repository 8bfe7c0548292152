//! `Distribution` and `Runs`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::packed::{pack, unpack};
use crate::python::args::{items, number_within, wrong_value};
use crate::python::table::{Table, arrow_stream, durations};
use crate::python::value::{Pickle, attributes, pickle, value};
use crate::{nanoseconds, seconds, stats};

/// Maximum number of durations given to the constructor.
const MAX_DURATIONS: usize = 1 << 24;

value! {
    /// Lengths of runs of consecutive probes. An unfinished run counts with its current length.
    Runs in "udpulse.reports" {
        *,
        /// The number of runs.
        count: u64,
        /// The mean length, in probes; None without runs.
        mean: Option<f64> = None,
        /// The greatest length, in probes; None without runs.
        max: Option<u64> = None,
    }
}

impl From<&stats::Runs> for Runs {
    fn from(runs: &stats::Runs) -> Self {
        Self { count: runs.count, mean: runs.mean(), max: runs.max }
    }
}

/// A distribution of durations, in seconds. Count, minimum, mean, standard deviation and maximum
/// are exact; percentiles are exact up to 1024 values, then within 0.1 % (an HDR histogram with
/// three digits).
///
/// durations: at most 16,777,216 numbers of seconds, 0 to 9.2e9.
///
/// Raises ValueError for a number out of range.
#[pyclass(frozen, eq, weakref, module = "udpulse.reports")]
#[derive(Clone, PartialEq)]
pub(super) struct Distribution(pub(super) stats::Distribution);

impl Distribution {
    const ATTRIBUTES: [&str; 7] = ["count", "min", "mean", "median", "p99", "max", "stddev"];
}

/// Reads a percentile; refuses a share, the likely meaning of a number between 0 and 1.
fn read_percent(percent: &Bound<'_, PyAny>) -> PyResult<f64> {
    let allowed = "0 or from 1 to 100 (99 is the 99th percentile)";
    let value = number_within("percent", percent, 0.0..=100.0, allowed)?;
    if value > 0.0 && value < 1.0 {
        return Err(wrong_value("percent", percent, allowed));
    }
    Ok(value)
}

arrow_stream!(Distribution);

impl Distribution {
    fn rows(&self, py: Python<'_>) -> Table {
        let (values, counts): (Vec<_>, Vec<_>) =
            py.detach(|| self.0.occurrences().into_iter().unzip());
        let mut table = Table::new(values.len(), 0);
        table.add("value", durations(values));
        table.add("count", counts);
        table
    }
}

#[pymethods]
impl Distribution {
    #[new]
    #[pyo3(signature = (durations = None), text_signature = "(durations=())")]
    fn new(durations: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let mut distribution = stats::Distribution::default();
        let (name, allowed) = ("durations", "numbers of seconds from 0 to 9.2e9");
        if let Some(durations) = durations {
            let read = |item: &Bound<'_, PyAny>| number_within(name, item, 0.0..=9.2e9, allowed);
            for seconds in items(name, durations, MAX_DURATIONS, allowed, read)? {
                distribution.add(nanoseconds(seconds).unwrap_or(i64::MAX));
            }
        }
        Ok(Self(distribution))
    }

    /// The number of values.
    #[getter]
    fn count(&self) -> u64 {
        self.0.count()
    }

    /// The smallest value, in seconds; None if empty.
    #[getter]
    fn min(&self) -> Option<f64> {
        self.0.min_ns().map(seconds)
    }

    /// The arithmetic mean, in seconds; None if empty.
    #[getter]
    fn mean(&self) -> Option<f64> {
        self.0.mean_ns().map(|ns| ns / 1e9)
    }

    /// The 50th percentile, in seconds; None if empty.
    #[getter]
    fn median(&self) -> Option<f64> {
        self.0.percentile_ns(50.0).map(seconds)
    }

    /// The 99th percentile, in seconds; None for fewer than 100 values.
    #[getter]
    fn p99(&self) -> Option<f64> {
        self.0.percentile_ns(99.0).map(seconds)
    }

    /// The largest value, in seconds; None if empty.
    #[getter]
    fn max(&self) -> Option<f64> {
        self.0.max_ns().map(seconds)
    }

    /// The sample standard deviation (n - 1), in seconds; None for fewer than two values.
    #[getter]
    fn stddev(&self) -> Option<f64> {
        self.0.stddev_ns().map(|ns| ns / 1e9)
    }

    /// Returns the smallest value that at least `percent` of the values do not exceed (nearest
    /// rank), in seconds.
    ///
    /// None if fewer than one value is expected beyond it: p99.9 needs 1000 values, the median only
    /// one. 0 is the minimum, 100 the maximum. A number between 0 and 1 is refused, because it is
    /// almost always meant as a share: the 99th percentile is percentile(99).
    ///
    /// Raises ValueError unless percent is 0 or in 1 to 100.
    fn percentile(&self, percent: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
        Ok(self.0.percentile_ns(read_percent(percent)?).map(seconds))
    }

    /// Returns the 95 % confidence interval of a percentile, a (low, high) pair in seconds: if the
    /// values are independent, the percentile of all possible values is within it in at least 95 of
    /// 100 samples, whatever their distribution. Its ends are two of the values, by binomial ranks
    /// (David and Nagaraja, Order Statistics, 2003, section 7.1).
    ///
    /// None if there are too few values: the median needs 6, the 90th percentile 36, the 99th 368;
    /// minimum and maximum have no interval.
    ///
    /// Raises ValueError unless percent is 0 or in 1 to 100.
    fn percentile_interval(&self, percent: &Bound<'_, PyAny>) -> PyResult<Option<(f64, f64)>> {
        let interval = self.0.percentile_interval_ns(read_percent(percent)?);
        Ok(interval.map(|(low, high)| (seconds(low), seconds(high))))
    }

    /// Returns the values as a dict of NumPy arrays of one length, in rising order.
    ///
    /// value_ns: int64, a duration in nanoseconds; beyond 1024 values the upper end of all that
    ///     differ from it by less than 0.1 %.
    /// count: uint64, the number of its occurrences.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.rows(py).into_numpy(py)
    }

    /// Returns the values as a Table, for polars, pandas and others, or for CSV: the rows and
    /// columns of `columns()`; `value` is a duration[ns].
    #[pyo3(signature = (), text_signature = "($self)")]
    fn table(&self, py: Python<'_>) -> Table {
        self.rows(py)
    }

    /// Returns the attributes as a dict.
    fn to_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        attributes(slf.as_any(), &Self::ATTRIBUTES)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyTuple::new(py, [self.0.mean_ns(), self.min(), self.max()])?.hash()
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Pickle<'py>> {
        let state = PyBytes::new(slf.py(), &pack(&slf.get().0));
        pickle(slf.get_type(), state.into_any())
    }

    #[staticmethod]
    fn _load(state: &[u8]) -> PyResult<Self> {
        let damaged = || PyValueError::new_err("the pickle of this Distribution is damaged");
        unpack(state).map(Self).ok_or_else(damaged)
    }

    pub(super) fn __repr__(&self) -> String {
        let text = |value: Option<f64>| value.map_or("None".to_owned(), |v| format!("{v:?}"));
        let [min, mean, median, max] =
            [self.min(), self.mean(), self.median(), self.max()].map(text);
        let count = self.count();
        format!("Distribution(count={count}, min={min}, mean={mean}, median={median}, max={max})")
    }
}
