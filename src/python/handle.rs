//! What the four classes share: a worker that is started, watched and stopped.

use std::net::SocketAddr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::exceptions::{PyOSError, PyStopAsyncIteration};
use pyo3::prelude::*;

use crate::driver::{Next, Worker};
use crate::error::reason;
use crate::net::{Endpoint, Notifier, Receiver};
use crate::python::error::{failed, not_started};
use crate::python::value::{self, Address};
use crate::python::wait::{resolve_all, wait, wait_until};
use crate::{Error, Machine, Result};

/// The worker of a Python object: the latest one that was started.
pub(super) struct Handle<M: Machine> {
    class: &'static str,
    /// Locked only while attached to Python, so that no other thread holds it at a fork.
    worker: Mutex<Option<Arc<Worker<M>>>>,
    /// The process one thread of which is starting a worker; 0 if none is.
    starting: AtomicU32,
}

/// The right to start a worker, held by one thread at a time.
struct Starting<'a>(&'a AtomicU32);

impl<'a> Starting<'a> {
    /// Takes the right if no other thread of this `process` has it: in a child by `fork` a thread of
    /// the parent never returns it.
    fn attempt(starting: &'a AtomicU32, process: u32) -> Option<Self> {
        let attempt = |now| (now != process).then_some(process);
        let taken = starting.fetch_update(Ordering::Acquire, Ordering::Relaxed, attempt);
        taken.is_ok().then_some(Self(starting))
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

impl<M: Machine> Handle<M> {
    pub(super) fn new(class: &'static str) -> Self {
        Self { class, worker: Mutex::new(None), starting: AtomicU32::new(0) }
    }

    /// Starts the worker that `launch` makes for the addresses of `endpoints`, unless one runs.
    pub(super) fn launch<'a>(
        &self,
        py: Python<'_>,
        endpoints: impl Iterator<Item = &'a Endpoint>,
        launch: impl FnOnce(Vec<SocketAddr>) -> Result<Worker<M>>,
    ) -> PyResult<()> {
        let _starting = wait(py, |slice| {
            Starting::attempt(&self.starting, process::id()).or_else(|| {
                thread::sleep(slice);
                None
            })
        })?;
        if self.is_running() {
            return Ok(());
        }
        let addresses = resolve_all(py, endpoints)?;
        let worker = Arc::new(launch(addresses)?);
        let last = self.lock().replace(worker);
        py.detach(|| drop(last));
        Ok(())
    }

    /// Wakes the driver so that it polls the machine now.
    pub(super) fn prompt(&self) {
        if let Some(worker) = self.worker() {
            worker.prompt();
        }
    }

    /// Stops the worker, if one runs. Its machine stays readable.
    pub(super) fn stop(&self, py: Python<'_>) {
        if let Some(worker) = self.worker() {
            py.detach(|| worker.stop());
        }
    }

    /// Stops the worker after the farewell of its machine.
    pub(super) fn leave(&self, py: Python<'_>) {
        if let Some(worker) = self.worker() {
            py.detach(|| worker.leave());
        }
    }

    /// Starts to `leave` and returns immediately.
    pub(super) fn begin_leaving(&self) {
        if let Some(worker) = self.worker() {
            worker.begin_leaving();
        }
    }

    /// Returns whether no worker runs; if one does, `waiter` becomes readable once it may have ended.
    pub(super) fn poll_end(&self, py: Python<'_>, waiter: &Waiter) -> bool {
        self.worker().is_none_or(|worker| py.detach(|| worker.poll_end(&waiter.0)))
    }

    pub(super) fn is_running(&self) -> bool {
        self.worker().is_some_and(|worker| worker.is_running())
    }

    pub(super) fn was_started(&self) -> bool {
        self.worker().is_some()
    }

    /// Returns the address that the worker's socket is bound to.
    pub(super) fn address(&self) -> PyResult<Address> {
        Ok(value::address(self.started()?.address()))
    }

    /// Returns the address that a client's worker sends to.
    pub(super) fn peer(&self) -> PyResult<Address> {
        Ok(value::address(self.started()?.peer()))
    }

    /// Starts the repr: the class, its address, and the state. Before the first start the address is
    /// the one that a server is to bind.
    pub(super) fn describe(&self, to_bind: Option<&Endpoint>) -> String {
        let class = self.class;
        match (self.worker(), to_bind) {
            (None, None) => format!("{class}(not started"),
            (None, Some(endpoint)) => format!("{class}({endpoint}, not started"),
            (Some(worker), _) => {
                let state = if worker.is_running() { "running" } else { "stopped" };
                format!("{class}({}, {state}", worker.address())
            }
        }
    }

    /// Returns how many events were dropped unread.
    pub(super) fn events_dropped(&self, py: Python<'_>) -> u64 {
        self.look(py, |machine| machine.events().dropped())
    }

    /// The error of the last datagram that this host could not send.
    pub(super) fn send_error(&self) -> Option<PyErr> {
        let error = self.worker()?.send_error()?;
        Some(PyOSError::new_err((error.raw_os_error(), reason(&error))))
    }

    /// Returns the result of `look` at the machine; the default before the first start, and in a
    /// forked child if the machine was locked at the fork.
    pub(super) fn look<R: Default + Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&mut M) -> R + Send,
    ) -> R {
        self.worker().and_then(|worker| py.detach(|| worker.look(look))).unwrap_or_default()
    }

    /// The same, with the Unix time in nanoseconds at which the worker was started; 0 if it was not.
    pub(super) fn look_since<R: Default + Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&mut M) -> R + Send,
    ) -> (R, i64) {
        let Some(worker) = self.worker() else { return (R::default(), 0) };
        let seen = py.detach(|| worker.look(look)).unwrap_or_default();
        (seen, worker.started().wall_ns)
    }

    /// The Unix time in nanoseconds at which the worker was started.
    pub(super) fn started_ns(&self) -> Option<i64> {
        self.worker().map(|worker| worker.started().wall_ns)
    }

    /// Waits for the next event; returns `None` at the end of the events.
    pub(super) fn next(&self, py: Python<'_>) -> PyResult<Option<M::Event>> {
        self.next_until(py, i64::MAX)
    }

    /// Waits for an event until a deadline, in monotonic nanoseconds, and returns all unread ones, up
    /// to `limit`.
    pub(super) fn next_batch(
        &self,
        py: Python<'_>,
        limit: usize,
        deadline_ns: i64,
    ) -> PyResult<Vec<M::Event>> {
        let Some(first) = self.next_until(py, deadline_ns)? else { return Ok(Vec::new()) };
        let more: Vec<_> = self.look(py, |machine| {
            std::iter::from_fn(|| machine.events().pop()).take(limit - 1).collect()
        });
        Ok(std::iter::once(first).chain(more).collect())
    }

    fn next_until(&self, py: Python<'_>, deadline_ns: i64) -> PyResult<Option<M::Event>> {
        let worker = self.started()?;
        let next = wait_until(py, deadline_ns, |slice| match worker.next_event(slice) {
            Next::Event(event) => Some(Ok(Some(event))),
            Next::Ended => Some(Ok(None)),
            Next::Failed => Some(Err(failed(self.class))),
            Next::Nothing => None,
        })?;
        next.unwrap_or(Ok(None))
    }

    /// Returns the next event without waiting. If there is none, `waiter` becomes readable once there
    /// may be.
    pub(super) fn poll(&self, py: Python<'_>, waiter: &Waiter) -> PyResult<Option<M::Event>> {
        let worker = self.started()?;
        match py.detach(|| worker.poll_event(&waiter.0)) {
            Next::Event(event) => Ok(Some(event)),
            Next::Nothing => Ok(None),
            Next::Ended => Err(PyStopAsyncIteration::new_err(())),
            Next::Failed => Err(failed(self.class)),
        }
    }

    /// Waits for the end of the work.
    pub(super) fn join(&self, py: Python<'_>) -> PyResult<()> {
        let worker = self.started()?;
        wait(py, |slice| worker.wait(slice).then_some(()))?;
        if worker.has_failed() { Err(failed(self.class)) } else { Ok(()) }
    }

    fn started(&self) -> PyResult<Arc<Worker<M>>> {
        self.worker().ok_or_else(|| not_started(self.class))
    }

    fn worker(&self) -> Option<Arc<Worker<M>>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Worker<M>>>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes an event loop that watches the other end of a pair of sockets.
#[pyclass(frozen, name = "_Waiter", module = "udpulse._core")]
pub(super) struct Waiter(Arc<Notifier>);

#[pymethods]
impl Waiter {
    /// Make a waiter and the descriptor that becomes readable, which the caller closes.
    #[staticmethod]
    fn pair() -> Result<(Self, Receiver)> {
        let (notifier, receiver) =
            Notifier::pair().map_err(Error::io("open", "a pair of sockets"))?;
        Ok((Self(Arc::new(notifier)), receiver))
    }
}

/// Calls the function `name` of `udpulse._asyncio` with a running object.
pub(super) fn asynchronous<'py>(
    name: &str,
    running: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    running.py().import("udpulse._asyncio")?.getattr(name)?.call1((running,))
}

/// Writes the methods that all running objects have.
///
/// The class has a field `handle`, a method `run` that starts it, and a method `endpoints` that
/// returns the addresses that `run` resolves; its event is made `From` the machine's.
macro_rules! running_object {
    ($class:ident: $event:ty) => {
        #[pyo3::pymethods]
        impl $class {
            /// Start the object on a thread of its own; do nothing if it runs already.
            ///
            /// A start after a stop begins anew, with counters at zero.
            ///
            /// Raises OSError if the system refuses the address and socket.gaierror if the host has
            /// no address.
            fn start(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<()> {
                self.run(py)
            }

            /// Stop and close the socket; counters and events stay readable.
            ///
            /// Any thread may call it, any number of times.
            fn stop(&self, py: pyo3::Python<'_>) {
                self.handle.stop(py);
            }

            /// Whether the object runs.
            #[getter]
            fn running(&self) -> bool {
                self.handle.is_running()
            }

            /// The (host, port) that the object's socket is bound to.
            ///
            /// Raises NotStartedError before the first start.
            #[getter]
            fn address(&self) -> pyo3::PyResult<crate::python::value::Address> {
                self.handle.address()
            }

            /// How many events were dropped because nobody read them in time.
            #[getter]
            fn events_dropped(&self, py: pyo3::Python<'_>) -> u64 {
                self.handle.events_dropped(py)
            }

            /// The OSError of the last datagram that this host could not send; None if it sent all.
            #[getter]
            fn last_send_error(
                &self,
                py: pyo3::Python<'_>,
            ) -> Option<pyo3::Py<pyo3::exceptions::PyBaseException>> {
                Some(self.handle.send_error()?.into_value(py))
            }

            fn __enter__(slf: pyo3::Bound<'_, Self>) -> pyo3::PyResult<pyo3::Bound<'_, Self>> {
                slf.get().run(slf.py())?;
                Ok(slf)
            }

            #[pyo3(signature = (*_exception))]
            fn __exit__(&self, py: pyo3::Python<'_>, _exception: &pyo3::Bound<'_, pyo3::PyAny>) {
                self.handle.leave(py);
            }

            /// Starts the object if it was never started.
            fn __iter__(slf: pyo3::Bound<'_, Self>) -> pyo3::PyResult<pyo3::Bound<'_, Self>> {
                // After a run there may be unread events.
                if !slf.get().handle.was_started() {
                    slf.get().run(slf.py())?;
                }
                Ok(slf)
            }

            fn __next__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<Option<$event>> {
                Ok(self.handle.next(py)?.map(<$event>::from))
            }

            /// Wait for an event and return all that are unread then, oldest first.
            ///
            /// limit: how many to return at most, at least 1.
            /// timeout: how long to wait for the first, in seconds; None waits without end.
            ///
            /// The list is empty at the timeout, and once the object has stopped and all events were
            /// read. `events_dropped` counts those that nobody read in time.
            ///
            /// Raises NotStartedError before the first start.
            #[pyo3(
                signature = (limit = crate::python::options::given!(4096), timeout = crate::python::options::given!(None)),
                text_signature = "($self, limit=4096, timeout=None)",
            )]
            fn next_batch(
                &self,
                py: pyo3::Python<'_>,
                limit: crate::python::options::Given<'_>,
                timeout: crate::python::options::Given<'_>,
            ) -> pyo3::PyResult<Vec<$event>> {
                let limit: crate::python::args::BatchLimit = limit.read(py, "limit")?;
                let timeout: Option<crate::python::args::Patience> = timeout.read(py, "timeout")?;
                let deadline_ns = timeout.map_or(i64::MAX, |timeout| timeout.deadline_ns());
                let events = self.handle.next_batch(py, limit.0, deadline_ns)?;
                Ok(events.into_iter().map(<$event>::from).collect())
            }

            /// Starts the object if it was never started; the events come through the running event
            /// loop.
            fn __aiter__<'py>(
                slf: &pyo3::Bound<'py, Self>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                crate::python::handle::asynchronous("Events", slf.as_any())
            }

            /// Starts the object; a name is resolved without blocking the event loop.
            fn __aenter__<'py>(
                slf: &pyo3::Bound<'py, Self>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                crate::python::handle::asynchronous("enter", slf.as_any())
            }

            /// Stops the object without blocking the event loop.
            #[pyo3(signature = (*_exception))]
            fn __aexit__<'py>(
                slf: &pyo3::Bound<'py, Self>,
                _exception: &pyo3::Bound<'py, pyo3::PyAny>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                crate::python::handle::asynchronous("leave", slf.as_any())
            }

            /// Whether a start waits for the system's resolver.
            fn _has_names(&self) -> bool {
                self.endpoints().any(|endpoint| endpoint.literal().is_none())
            }

            /// Stop after the farewell; return immediately.
            fn _begin_leaving(&self) {
                self.handle.begin_leaving();
            }

            /// Whether the work has ended; if not, `waiter` becomes readable once it may have.
            fn _poll_end(
                &self,
                py: pyo3::Python<'_>,
                waiter: &crate::python::handle::Waiter,
            ) -> bool {
                self.handle.poll_end(py, waiter)
            }

            /// The next event; if there is none yet, None, and `waiter` becomes readable once there may be.
            fn _poll(
                &self,
                py: pyo3::Python<'_>,
                waiter: &crate::python::handle::Waiter,
            ) -> pyo3::PyResult<Option<$event>> {
                Ok(self.handle.poll(py, waiter)?.map(<$event>::from))
            }
        }
    };
}
pub(super) use running_object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_does_not_wait_for_a_start_of_its_parent() {
        let starting = AtomicU32::new(0);
        let parent = Starting::attempt(&starting, 1);
        assert!(parent.is_some());
        assert!(Starting::attempt(&starting, 1).is_none());
        let child = Starting::attempt(&starting, 2);
        assert!(child.is_some());
        drop(child);
        assert!(Starting::attempt(&starting, 2).is_some());
    }
}
