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

/// Maximum number of threads that resolve names.
const RESOLVERS: usize = 16;

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

/// Returns the address of each of `endpoints`, or why it has none.
///
/// Names are resolved on threads that are abandoned if a signal handler raises, because the system's
/// resolver cannot be interrupted.
pub(super) fn resolve_each(
    py: Python<'_>,
    endpoints: &[Endpoint],
) -> PyResult<Vec<Result<SocketAddr>>> {
    let mut found: Vec<_> = endpoints.iter().map(|endpoint| endpoint.literal().map(Ok)).collect();
    let names: Vec<_> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
    let (send, receive) = mpsc::channel();
    for part in names.chunks(names.len().div_ceil(RESOLVERS).max(1)) {
        let part: Vec<_> = part.iter().map(|at| (*at, endpoints[*at].clone())).collect();
        let (send, first) = (send.clone(), part[0].1.host.clone());
        let run = move || {
            // A failed send means that nobody waits any more.
            part.iter().all(|(at, name)| send.send((*at, resolve(name))).is_ok())
        };
        thread::Builder::new()
            .name("udpulse".to_owned())
            .spawn(run)
            .map_err(Error::io("start a thread to resolve", first))?;
    }
    drop(send);
    let found = wait(py, move |slice| match receive.recv_timeout(slice) {
        Ok((at, one)) => {
            found[at] = Some(one);
            None
        }
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        Err(mpsc::RecvTimeoutError::Disconnected) => Some(std::mem::take(&mut found)),
    })?;
    found.into_iter().collect::<Option<_>>().ok_or_else(|| failed("the resolver"))
}
