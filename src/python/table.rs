//! Tables: rows of an object as NumPy arrays, as an Arrow stream and as CSV.

use std::fmt::{self, Display, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::types::{ArrowDictionaryKeyType, Int64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, DurationNanosecondArray,
    PrimitiveArray, RecordBatch, RecordBatchIterator, StringArray, TimestampNanosecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, Field, Schema};
use numpy::{Element, IntoPyArray};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyCapsule, PyDict};

use crate::python::args::{Words, wrong_type};
use crate::python::error::failed;
use crate::wire::utc;

/// Rows that are formatted before they are written.
const BLOCK: usize = 4096;

/// The values of a column.
pub(super) enum Values {
    U8(UInt8Array),
    U16(UInt16Array),
    U32(UInt32Array),
    U64(UInt64Array),
    Bool(BooleanArray),
    /// Nanoseconds since the Unix epoch; NumPy counts from the table's start.
    Time(TimestampNanosecondArray),
    Duration(DurationNanosecondArray),
    /// Indices into words; NumPy has the indices.
    Code(UInt8Array, StringArray),
    /// The same for many words.
    LongCode(UInt32Array, StringArray),
    /// Indices into words; NumPy has the words.
    Word(UInt8Array, StringArray),
    Text(StringArray),
}

macro_rules! values {
    ($($type:ty => $variant:ident,)*) => {
        $(impl From<Vec<$type>> for Values {
            fn from(values: Vec<$type>) -> Self {
                Self::$variant(values.into())
            }
        })*
    };
}

values! {
    u8 => U8,
    u16 => U16,
    u32 => U32,
    Option<u32> => U32,
    u64 => U64,
    Option<u64> => U64,
    bool => Bool,
    String => Text,
    Option<String> => Text,
}

/// Returns times in nanoseconds since the Unix epoch.
pub(super) fn times(values: impl Into<TimestampNanosecondArray>) -> Values {
    Values::Time(values.into())
}

/// Returns durations in nanoseconds.
pub(super) fn durations(values: impl Into<DurationNanosecondArray>) -> Values {
    Values::Duration(values.into())
}

/// Returns words of `T` that NumPy shows as indices into all of them.
pub(super) fn codes<T: Words>(codes: Vec<u8>) -> Values {
    Values::Code(codes.into(), T::WORDS.iter().map(|(word, _)| Some(*word)).collect())
}

/// Returns words of `T`.
pub(super) fn words<T: Words>(values: impl Iterator<Item = T>) -> Values {
    let code = |value: T| T::WORDS.iter().position(|(_, known)| *known == value);
    let codes = values.map(|value| code(value).and_then(|code| u8::try_from(code).ok()));
    Values::Word(codes.collect(), T::WORDS.iter().map(|(word, _)| Some(*word)).collect())
}

/// Returns indices into texts.
pub(super) fn indices(indices: Vec<u32>, texts: Vec<String>) -> Values {
    Values::LongCode(indices.into(), texts.into())
}

impl Values {
    /// Returns the values for Arrow.
    fn array(&self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::U8(values) => Arc::new(values.clone()),
            Self::U16(values) => Arc::new(values.clone()),
            Self::U32(values) => Arc::new(values.clone()),
            Self::U64(values) => Arc::new(values.clone()),
            Self::Bool(values) => Arc::new(values.clone()),
            Self::Time(values) => Arc::new(values.clone().with_timezone("UTC")),
            Self::Duration(values) => Arc::new(values.clone()),
            Self::Code(codes, words) | Self::Word(codes, words) => dictionary(codes, words)?,
            Self::LongCode(codes, words) => dictionary(codes, words)?,
            Self::Text(values) => Arc::new(values.clone()),
        })
    }

    /// Returns the values for NumPy; with `optional`, numbers are floats, NaN if missing.
    fn numpy(self, py: Python<'_>, optional: bool, started_ns: i64) -> PyResult<Bound<'_, PyAny>> {
        Ok(match self {
            Self::U8(values) | Self::Code(values, _) => numbers(py, values, optional),
            Self::U16(values) => numbers(py, values, optional),
            Self::U32(values) | Self::LongCode(values, _) => numbers(py, values, optional),
            Self::U64(values) => numbers(py, values, optional),
            Self::Bool(values) => {
                values.values().iter().collect::<Vec<_>>().into_pyarray(py).into_any()
            }
            Self::Time(values) => {
                // A pickle may have any time.
                let since = |ns: i64| ns.wrapping_sub(started_ns);
                numbers(py, values.unary::<_, Int64Type>(since), optional)
            }
            Self::Duration(values) => numbers(py, values, optional),
            Self::Word(codes, words) => {
                // The rows share one object for each word.
                let words = objects(py, words.iter().collect())?;
                words.call_method1("take", (numbers(py, codes, false),))?
            }
            Self::Text(values) => objects(py, values.iter().collect())?,
        })
    }

    /// Writes a value as CSV; nothing if it is missing.
    fn write(&self, row: usize, out: &mut String) -> fmt::Result {
        match self {
            Self::U8(values) => number(values, row, out),
            Self::U16(values) => number(values, row, out),
            Self::U32(values) => number(values, row, out),
            Self::U64(values) => number(values, row, out),
            Self::Bool(values) => write!(out, "{}", values.value(row)),
            Self::Time(values) if values.is_null(row) => Ok(()),
            Self::Time(values) => out.write_str(&utc(values.value(row))),
            Self::Duration(values) => number(values, row, out),
            Self::Code(codes, words) | Self::Word(codes, words) => {
                text(words, codes.value(row).into(), out)
            }
            Self::LongCode(codes, words) => text(words, codes.value(row) as usize, out),
            Self::Text(values) => text(values, row, out),
        }
    }
}

/// Returns words by their indices.
fn dictionary<K: ArrowDictionaryKeyType>(
    codes: &PrimitiveArray<K>,
    words: &StringArray,
) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(DictionaryArray::try_new(codes.clone(), Arc::new(words.clone()))?))
}

/// Passes numbers to NumPy; without missing ones, their memory, too.
fn numbers<T>(py: Python<'_>, values: PrimitiveArray<T>, optional: bool) -> Bound<'_, PyAny>
where
    T: ArrowPrimitiveType<Native: Element + Into<i128>>,
{
    if optional {
        #[expect(clippy::cast_precision_loss, reason = "such columns are floats, exact up to 2^53")]
        let float = |value: Option<T::Native>| value.map_or(f64::NAN, |value| value.into() as f64);
        return values.iter().map(float).collect::<Vec<_>>().into_pyarray(py).into_any();
    }
    let (_, values, _) = values.into_parts();
    Vec::from(values).into_pyarray(py).into_any()
}

/// Returns texts as an array of objects.
fn objects<'py>(py: Python<'py>, values: Vec<Option<&str>>) -> PyResult<Bound<'py, PyAny>> {
    let objects = values.into_bound_py_any(py)?;
    py.import("numpy")?.getattr("array")?.call1((objects, "O"))
}

/// Writes a number as CSV.
fn number<T>(values: &PrimitiveArray<T>, row: usize, out: &mut String) -> fmt::Result
where
    T: ArrowPrimitiveType<Native: Display>,
{
    if values.is_null(row) { Ok(()) } else { write!(out, "{}", values.value(row)) }
}

/// Writes a text as CSV (RFC 4180), on one line: `\u001b` for a character that has no shape.
fn text(values: &StringArray, row: usize, out: &mut String) -> fmt::Result {
    if values.is_null(row) {
        return Ok(());
    }
    let text = values.value(row);
    let quote = if text.is_empty() || text.contains([',', '"']) { "\"" } else { "" };
    out.write_str(quote)?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\"\"")?,
            _ if is_control(character) => write!(out, "\\u{:04x}", u32::from(character))?,
            _ => out.write_char(character)?,
        }
    }
    out.write_str(quote)
}

/// Returns whether a character controls a terminal or the order of others.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// A column of a table.
struct Column {
    /// As the attribute of a value.
    name: &'static str,
    /// Whether values can be missing.
    optional: bool,
    values: Values,
}

/// The rows of a report or server at one time: for polars, pandas, DuckDB, pyarrow and any other
/// library that reads Arrow's PyCapsule interface, or as CSV.
///
/// Columns are named as the attributes of Probe, Fate, Reply and Peer. Times are timestamps in UTC,
/// durations are durations, both in nanoseconds; undefined values are null.
#[pyclass(frozen, module = "udpulse.reports")]
pub(super) struct Table {
    rows: usize,
    started_ns: i64,
    columns: Vec<Column>,
}

impl Table {
    /// Creates a table without columns; NumPy's times count from `started_ns`.
    pub(super) fn new(rows: usize, started_ns: i64) -> Self {
        Self { rows, started_ns, columns: Vec::new() }
    }

    /// Adds a column.
    pub(super) fn add(&mut self, name: &'static str, values: impl Into<Values>) {
        self.columns.push(Column { name, optional: false, values: values.into() });
    }

    /// Adds a column whose values can be missing.
    pub(super) fn add_optional(&mut self, name: &'static str, values: impl Into<Values>) {
        self.columns.push(Column { name, optional: true, values: values.into() });
    }

    /// Returns a dict of read-only NumPy arrays of one length.
    pub(super) fn into_numpy(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        for Column { name, optional, values } in self.columns {
            let unit = match values {
                Values::Time(_) | Values::Duration(_) => "_ns",
                _ => "",
            };
            let array = values.numpy(py, optional, self.started_ns)?;
            array.call_method1("setflags", (false,))?;
            dict.set_item(format!("{name}{unit}"), array)?;
        }
        Ok(dict)
    }

    /// Returns a capsule with an Arrow stream of all rows.
    pub(super) fn stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let batch = self.batch().map_err(|_| failed("Table"))?;
        let schema = batch.schema();
        let stream = RecordBatchIterator::new([Ok(batch)], schema);
        let stream = FFI_ArrowArrayStream::new(Box::new(stream));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for Column { name, optional, values } in &self.columns {
            let array = values.array()?;
            fields.push(Field::new(*name, array.data_type().clone(), *optional));
            arrays.push(array);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }

    /// Returns a header or a row as CSV.
    fn line(
        &self,
        out: &mut String,
        write: impl Fn(&Column, &mut String) -> fmt::Result,
    ) -> fmt::Result {
        for (i, column) in self.columns.iter().enumerate() {
            out.write_str(if i > 0 { "," } else { "" })?;
            write(column, out)?;
        }
        out.write_char('\n')
    }

    /// Returns the header as CSV.
    fn header(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        self.line(&mut out, |column, out| {
            let unit = if matches!(column.values, Values::Duration(_)) { "_ns" } else { "" };
            write!(out, "{}{unit}", column.name)
        })?;
        Ok(out)
    }

    /// Returns rows as CSV.
    fn lines(&self, rows: Range<usize>) -> Result<String, fmt::Error> {
        let mut out = String::new();
        for row in rows {
            self.line(&mut out, |column, out| column.values.write(row, out))?;
        }
        Ok(out)
    }

    fn write(&self, py: Python<'_>, file: &Bound<'_, PyAny>) -> PyResult<()> {
        let write = |text: Result<String, fmt::Error>| {
            file.call_method1("write", (text.map_err(|_| failed("Table"))?,))
        };
        write(self.header())?;
        for start in (0..self.rows).step_by(BLOCK) {
            write(py.detach(|| self.lines(start..self.rows.min(start + BLOCK))))?;
            py.check_signals()?;
        }
        Ok(())
    }
}

#[pymethods]
impl Table {
    /// Returns the rows as an Arrow stream, in a PyCapsule as Arrow's PyCapsule interface has it:
    /// `polars.DataFrame(table)`, `pyarrow.table(table)`.
    ///
    /// requested_schema: ignored, as the interface allows.
    #[pyo3(signature = (requested_schema = None), text_signature = "($self, requested_schema=None)")]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        self.stream(py)
    }

    /// Writes the rows as CSV (RFC 4180) in UTF-8, with the names of the columns in the first line.
    ///
    /// file: a text file open for writing, or the path of a file to create or replace.
    ///
    /// Times are ISO 8601 in UTC with nine decimals. Durations are whole nanoseconds; the names of
    /// their columns end in `_ns`. Undefined values are empty. Characters that control a terminal
    /// are written as in `\u001b`.
    ///
    /// Raises OSError if the file cannot be written.
    #[pyo3(signature = (file), text_signature = "($self, file)")]
    fn write_csv<'py>(&self, py: Python<'py>, file: &Bound<'py, PyAny>) -> PyResult<()> {
        if file.hasattr("write")? {
            return self.write(py, file);
        }
        let Ok(path) = file.extract::<PathBuf>() else {
            return Err(wrong_type("file", file, "a path or a text file"));
        };
        let options = [("mode", "w"), ("encoding", "utf-8"), ("newline", "")].into_py_dict(py)?;
        let file = py.import("builtins")?.getattr("open")?.call((path,), Some(&options))?;
        let written = self.write(py, &file);
        file.call_method0("close")?;
        written
    }

    fn __len__(&self) -> usize {
        self.rows
    }

    fn __repr__(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        format!("<Table of {} rows: {}>", self.rows, names.join(", "))
    }
}

/// Generates the method by which libraries read a class's table. The class needs a method `rows`.
macro_rules! arrow_stream {
    ($class:ident) => {
        #[pyo3::pymethods]
        impl $class {
            /// Returns `table()` as an Arrow stream, so that polars and others take the object
            /// itself.
            #[pyo3(signature = (requested_schema = None))]
            #[pyo3(text_signature = "($self, requested_schema=None)")]
            fn __arrow_c_stream__<'py>(
                &self,
                py: pyo3::Python<'py>,
                requested_schema: Option<&pyo3::Bound<'py, pyo3::PyAny>>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyCapsule>> {
                let _ = requested_schema;
                self.rows(py).stream(py)
            }
        }
    };
}
pub(super) use arrow_stream;
