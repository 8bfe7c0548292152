//! Waiting in Rust while other Python threads run and Ctrl-C works.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

use crate::net::{Endpoint, now, resolve};
use crate::python::error::failed;
use crate::{Error, Result};

/// Longest time until Ctrl-C is noticed.
const SLICE: Duration = Duration::from_millis(20);

/// Calls `wait`, detached, with a time limit until it returns a value. Between calls, signal
/// handlers run and may raise.
pub(super) fn wait<T: Send>(
    py: Python<'_>,
    mut wait: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<T> {
    loop {
        if let Some(value) = wait_until(py, i64::MAX, &mut wait)? {
            return Ok(value);
        }
    }
}

/// Calls `wait` like [`wait`], up to a deadline in monotonic nanoseconds. Returns `None` at the
/// deadline.
pub(super) fn wait_until<T: Send>(
    py: Python<'_>,
    deadline_ns: i64,
    mut wait: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    loop {
        let left_ns = deadline_ns.saturating_sub(now().mono_ns).max(0);
        let slice = SLICE.min(Duration::from_nanos(left_ns.unsigned_abs()));
        if let Some(value) = py.detach(|| wait(slice)) {
            return Ok(Some(value));
        }
        py.check_signals()?;
        if left_ns == 0 {
            return Ok(None);
        }
    }
}

/// Attaches the results so far to the exception that ended a call, so that Ctrl-C loses nothing.
pub(super) fn interrupted<'py>(
    py: Python<'py>,
    error: PyErr,
    name: &str,
    results: impl IntoPyObject<'py>,
) -> PyErr {
    // This fails only for a class without attributes; then raise the exception without results.
    let _ = error.value(py).setattr(name, results);
    error
}

/// Resolves `endpoints` on a thread that is abandoned if a signal handler raises, because the
/// system's resolver cannot be interrupted.
pub(super) fn resolve_all<'a>(
    py: Python<'_>,
    endpoints: impl Iterator<Item = &'a Endpoint>,
) -> PyResult<Vec<SocketAddr>> {
    let endpoints: Vec<_> = endpoints.cloned().collect();
    let name = endpoints.iter().find(|endpoint| endpoint.literal().is_none());
    let Some(name) = name.map(|name| name.host.clone()) else {
        return Ok(endpoints.iter().filter_map(Endpoint::literal).collect());
    };
    let (send, receive) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("udpulse".to_owned())
        .spawn(move || send.send(endpoints.iter().map(resolve).collect::<Result<_>>()))
        .map_err(Error::io("start a thread to resolve", name))?;
    let received = wait(py, move |slice| match receive.recv_timeout(slice) {
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        received => Some(received),
    })?;
    Ok(received.map_err(|_| failed("the resolver"))??)
}
