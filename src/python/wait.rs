//! The ways to wait in Rust while Python runs and Ctrl-C works.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How long Ctrl-C may go unseen.
const SLICE: Duration = Duration::from_millis(20);

/// Calls `wait`, detached, with the longest time it may take, until it gives something. Between two
/// calls a signal that came raises what its handler raises.
pub(super) fn wait<T: Send>(
    py: Python<'_>,
    mut wait: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<T> {
    loop {
        if let Some(value) = py.detach(|| wait(SLICE)) {
            return Ok(value);
        }
        py.check_signals()?;
    }
}

/// Runs what cannot be interrupted on a thread that is left behind when a signal comes.
pub(super) fn aside<T: Send + 'static>(
    py: Python<'_>,
    run: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (give, take) = mpsc::sync_channel(1);
    thread::spawn(move || give.send(run()));
    let received = wait(py, move |slice| match take.recv_timeout(slice) {
        Err(mpsc::RecvTimeoutError::Timeout) => None,
        received => Some(received),
    })?;
    received.map_err(|_| PyRuntimeError::new_err("a thread of the engine died"))
}
