//! `Keys`.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::python::args::{Argument, Word, Words};
use crate::python::value::text;
use crate::wire::beat::is_name;
use crate::wire::{self, Key, NamedKey, Unauthenticated};
use crate::{Error, Result};

/// Maximum length of a file, in bytes: that of the longest set, with comments.
const MAX_FILE: u64 = 1 << 16;

/// Keys that authenticate datagrams (HMAC-SHA-256, RFC 2104), in order: the first one signs, all of
/// them verify. Nothing shows the secrets.
///
/// keys: a dict of 1 to 64 keys: from ids, 1 to 16 ASCII letters, digits, "-", "_" and ".", to
///     secrets, 16 to 64 bytes such as `secrets.token_bytes(32)`.
///
/// The path of a file of keys serves wherever Keys do; `udpulse keygen` makes one.
///
/// Raises ValueError if `keys` is empty or has other ids or secrets.
#[pyclass(frozen, module = "udpulse")]
#[derive(Clone)]
pub(super) struct Keys(pub(super) Arc<wire::Keys>);

impl Keys {
    fn of(keys: wire::Keys) -> Self {
        Self(Arc::new(keys))
    }

    /// Reads the keys of the file that the argument `name` is the path of.
    fn open(name: &'static str, path: &Path) -> PyResult<Self> {
        let shown = path.display();
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| {
            let metadata = file.metadata()?;
            file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
            Ok(metadata)
        });
        if is_exposed(&read.map_err(|error| of_path(&error, path))?) {
            let allowed = format!("a file that only its owner can open (chmod 600 {shown})");
            return Err(Error::argument(name, format!("{shown}, which others can"), allowed).into());
        }
        let keys = match String::from_utf8(bytes) {
            Ok(text) if text.len() as u64 <= MAX_FILE => wire::Keys::parse(&text),
            _ => Err(("another kind of text".to_owned(), 1)),
        };
        let keys = keys.map_err(|(reason, line)| {
            let allowed = format!("a file whose lines are {}", wire::Keys::ALLOWED);
            Error::argument(name, format!("{reason} in {shown}, line {line}"), allowed)
        })?;
        Ok(Self::of(keys))
    }
}

/// Returns whether a file has permissions for others than its owner.
#[cfg(unix)]
fn is_exposed(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_metadata: &Metadata) -> bool {
    false
}

/// Creates a file that only its owner can open.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Returns the exception for an error of the system about a file.
fn of_path(error: &std::io::Error, path: &Path) -> PyErr {
    let reason = crate::error::reason(error);
    PyOSError::new_err((error.raw_os_error(), reason, path.as_os_str().to_owned()))
}

/// Reads a path. An error must not show what may be a secret.
fn path(name: &str, given: &Bound<'_, PyAny>, allowed: &str) -> PyResult<PathBuf> {
    given.extract().map_err(|_| {
        let kind = given.get_type().name();
        let kind = kind.map_or_else(|_| "another type".to_owned(), |kind| kind.to_string());
        PyTypeError::new_err(format!("{name} must be {allowed}, not of type {kind}"))
    })
}

#[pymethods]
impl Keys {
    #[new]
    #[pyo3(signature = (keys), text_signature = "(keys)")]
    fn new(keys: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a dict from ids to secrets: an id is 1 to 16 letters, digits, '-', '_' and \
                       '.', a secret 16 to 64 bytes";
        let wrong_type = || PyTypeError::new_err(format!("keys must be {allowed}"));
        let mut all = Vec::new();
        for (id, secret) in keys.cast::<PyDict>().map_err(|_| wrong_type())? {
            let id: String = id.extract().map_err(|_| wrong_type())?;
            let secret = secret.cast::<PyBytes>().map_err(|_| wrong_type())?;
            let key = NamedKey::new(&id, secret.as_bytes(), None);
            all.push(key.map_err(|reason| Error::argument("keys", reason, allowed))?);
        }
        let keys = wire::Keys::new(all);
        Ok(Self::of(keys.map_err(|(reason, _)| Error::argument("keys", reason, allowed))?))
    }

    /// Returns the keys of a file. A line is a key: the id, the secret in hexadecimal and, if it is
    /// the key of one client, the client's name. Empty lines and lines that start with "#" are
    /// skipped.
    ///
    /// path: the path of the file.
    ///
    /// Raises OSError if the file cannot be read, and ValueError if it has other lines or if others
    /// than its owner can open it (not checked on Windows).
    #[staticmethod]
    #[pyo3(signature = (path), text_signature = "(path)")]
    fn read(path: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::open("path", &self::path("path", path, "the path of a file")?)
    }

    /// Writes the keys to a new file that only its owner can open (mode 600).
    ///
    /// path: the path of the file.
    ///
    /// Raises OSError if the file exists or cannot be written.
    #[pyo3(signature = (path), text_signature = "($self, path)")]
    fn write(&self, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = self::path("path", path, "the path of a file")?;
        let written = create(&path).and_then(|mut file| file.write_all(self.0.text().as_bytes()));
        written.map_err(|error| of_path(&error, &path))
    }

    /// Returns the keys of one client: each is HMAC-SHA-256 of "udpulse client" and the name. They
    /// serve to sign in this name only; a server with these keys derives them.
    ///
    /// name: the client's name, 1 to 255 bytes without blanks, control characters and ";".
    ///
    /// Raises ValueError if `name` is not such a name, or if all keys are bound to other clients.
    #[pyo3(signature = (name), text_signature = "($self, name)")]
    fn client(&self, name: &str) -> PyResult<Self> {
        let keys = if is_name(name.as_bytes()) { self.0.of_client(name.as_bytes()) } else { None };
        let keys = keys.ok_or_else(|| {
            let allowed = "a name of 1 to 255 bytes without blanks, control characters and \";\", \
                           and one that a key is for";
            Error::argument("name", format!("'{name}'"), allowed)
        });
        Ok(Self::of(keys?))
    }

    /// The ids, in order.
    #[getter]
    fn ids(&self) -> Vec<String> {
        self.0.all().iter().map(|key| key.id().to_owned()).collect()
    }

    /// The name of the client that each key is bound to, in order; None for a key of all clients.
    #[getter]
    fn names(&self) -> Vec<Option<String>> {
        self.0.all().iter().map(|key| key.client().map(text)).collect()
    }

    fn __repr__(&self) -> String {
        let shown = self.0.all().iter().map(|key| match key.client() {
            None => key.id().to_owned(),
            Some(name) => format!("{} of {}", key.id(), text(name)),
        });
        format!("<Keys {}>", shown.collect::<Vec<_>>().join(", "))
    }
}

impl Argument for Keys {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        match given.cast::<Self>() {
            Ok(keys) => Ok(keys.get().clone()),
            Err(_) => Self::open(name, &path(name, given, "Keys or the path of a file")?),
        }
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.clone().into_bound_py_any(py)
    }
}

impl Keys {
    /// Returns the keys that are bound to no client, with their ids: at least one.
    pub(super) fn masters(&self) -> Result<Vec<(&str, &Key)>> {
        let keys = self.0.all().iter();
        let masters: Vec<_> = keys.filter_map(|key| Some((key.id(), key.master()?))).collect();
        if masters.is_empty() {
            let allowed = "keys with one that is bound to no client";
            return Err(Error::argument("keys", "those of clients", allowed));
        }
        Ok(masters)
    }
}

impl Words for Unauthenticated {
    const WORDS: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("accept", Self::Accept)];
}

/// Returns the treatment of unauthenticated datagrams, a choice that only a server with keys has.
pub(super) fn policy(keys: Option<&Keys>, given: Word<Unauthenticated>) -> Result<Unauthenticated> {
    if keys.is_none() && given.0 == Unauthenticated::Accept {
        let allowed = "'refuse' without keys";
        return Err(Error::argument("unauthenticated", "'accept'", allowed));
    }
    Ok(given.0)
}
