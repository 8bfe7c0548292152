//! Common part of the five running objects: a worker that starts and stops.

use std::net::SocketAddr;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;

use crate::driver::{Capture, Next, Worker};
use crate::net::{Endpoint, Notifier, Receiver};
use crate::python::error::{failed, not_started, system};
use crate::python::jsonlines::{Lines, Recorded};
use crate::python::value::{self, Address};
use crate::python::wait::{resolve_each, wait, wait_until};
use crate::{Error, Observed, Result, Stamp};

/// The worker of a Python object: none before the first start, then the most recent.
pub(super) struct Handle<M: Observed> {
    class: &'static str,
    /// Locked only while attached to Python, so that no other thread holds it at a fork.
    worker: Mutex<Option<Arc<Worker<M>>>>,
    /// Id of the process with a thread that is starting a worker; 0 if there is none.
    starting: AtomicU32,
    /// Whether the events of the next worker become lines.
    recorded: AtomicBool,
}

/// The right to start a worker, held by one thread at a time.
struct Starting<'a>(&'a AtomicU32);

impl<'a> Starting<'a> {
    /// Acquires the right, unless another thread of this `process` holds it. After a fork, the
    /// child ignores a holder in the parent, which never releases it here.
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

impl<M: Observed> Handle<M> {
    pub(super) fn new(class: &'static str) -> Self {
        let (worker, starting) = (Mutex::new(None), AtomicU32::new(0));
        Self { class, worker, starting, recorded: AtomicBool::new(false) }
    }

    /// Starts the worker created by `launch` for the addresses of `endpoints`, unless one runs.
    pub(super) fn launch<'a>(
        &self,
        py: Python<'_>,
        endpoints: impl Iterator<Item = &'a Endpoint>,
        launch: impl FnOnce(Vec<SocketAddr>) -> Result<Worker<M>>,
    ) -> PyResult<()> {
        let endpoints: Vec<_> = endpoints.cloned().collect();
        self.launch_any(py, &endpoints, |found| launch(found.into_iter().collect::<Result<_>>()?))
    }

    /// Starts the worker created by `launch` for the addresses of `endpoints`, or why they have
    /// none, unless one runs.
    pub(super) fn launch_any(
        &self,
        py: Python<'_>,
        endpoints: &[Endpoint],
        launch: impl FnOnce(Vec<Result<SocketAddr>>) -> Result<Worker<M>>,
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
        let found = resolve_each(py, endpoints)?;
        let worker = Arc::new(launch(found)?);
        let last = self.lock().replace(worker);
        py.detach(|| drop(last));
        Ok(())
    }

    /// Wakes the worker, if any, so that it polls the machine now.
    pub(super) fn prompt(&self) {
        if let Some(worker) = self.worker() {
            worker.prompt();
        }
    }

    /// Stops the worker, if one runs. Its state stays readable.
    pub(super) fn stop(&self, py: Python<'_>) {
        if let Some(worker) = self.worker() {
            py.detach(|| worker.stop());
        }
    }

    /// Makes the worker stop; does not wait for it.
    pub(super) fn begin_stop(&self) {
        if let Some(worker) = self.worker() {
            worker.begin_stop();
        }
    }

    /// Returns whether no worker runs; if one does, makes `waiter` readable when it may have ended.
    pub(super) fn poll_end(&self, py: Python<'_>, waiter: &Waiter) -> bool {
        self.worker().is_none_or(|worker| py.detach(|| worker.poll_end(&waiter.0)))
    }

    pub(super) fn is_running(&self) -> bool {
        self.worker().is_some_and(|worker| worker.is_running())
    }

    pub(super) fn was_started(&self) -> bool {
        self.worker().is_some()
    }

    /// Returns the local address of the worker's socket.
    pub(super) fn address(&self) -> PyResult<Address> {
        Ok(value::address(self.started()?.address()))
    }

    /// Returns the remote address of a client's worker.
    pub(super) fn peer(&self) -> PyResult<Address> {
        Ok(value::address(self.started()?.peer()))
    }

    /// Returns the start of a `repr`: class, address and state. Before the first start the address
    /// is `to_bind`, the one that a server will bind.
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

    /// Returns the number of events dropped before they were read.
    pub(super) fn events_dropped(&self, py: Python<'_>) -> u64 {
        self.look(py, |machine| machine.unread().dropped())
    }

    /// Returns the error of the last datagram that this host could not send.
    pub(super) fn send_error(&self) -> Option<PyErr> {
        self.worker()?.send_error().map(|error| system(&error))
    }

    /// Returns the result of `look` on the worker's capture, if it has one.
    pub(super) fn capture<R>(&self, look: impl FnOnce(&Capture) -> R) -> Option<R> {
        self.worker()?.capture().map(look)
    }

    /// Returns the result of `look` on the machine; the default before the first start, and in a
    /// forked child that cannot lock the machine.
    pub(super) fn look<R: Default + Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&mut M) -> R + Send,
    ) -> R {
        self.worker().and_then(|worker| py.detach(|| worker.look(look))).unwrap_or_default()
    }

    /// Like [`look`](Self::look), with the worker's start in nanoseconds since the Unix epoch; 0
    /// before the first start.
    pub(super) fn look_since<R: Default + Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(&mut M) -> R + Send,
    ) -> (R, i64) {
        let Some(worker) = self.worker() else { return (R::default(), 0) };
        let seen = py.detach(|| worker.look(look)).unwrap_or_default();
        (seen, worker.started().wall_ns)
    }

    /// Returns the worker's start in nanoseconds since the Unix epoch.
    pub(super) fn started_ns(&self) -> Option<i64> {
        self.worker().map(|worker| worker.started().wall_ns)
    }

    /// Waits for the next event; returns `None` at the end of the events.
    pub(super) fn next(&self, py: Python<'_>) -> PyResult<Option<M::Event>> {
        self.next_until(py, i64::MAX)
    }

    /// Waits for an event until a deadline, in monotonic nanoseconds. Returns all pending events,
    /// at most `limit`.
    pub(super) fn next_batch(
        &self,
        py: Python<'_>,
        limit: usize,
        deadline_ns: i64,
    ) -> PyResult<Vec<M::Event>> {
        let Some(first) = self.next_until(py, deadline_ns)? else { return Ok(Vec::new()) };
        let more: Vec<_> = self.look(py, |machine| {
            std::iter::from_fn(|| machine.unread().pop()).take(limit - 1).collect()
        });
        Ok(std::iter::once(first).chain(more).collect())
    }

    /// Waits for events until a deadline and adds a line for each pending one, at most `limit`, to
    /// `lines`. Returns whether there may be more.
    pub(super) fn record(
        &self,
        py: Python<'_>,
        lines: &Lines,
        limit: usize,
        deadline_ns: i64,
    ) -> PyResult<bool>
    where
        M: Recorded,
    {
        let running = self.is_running();
        let events = self.next_batch(py, limit, deadline_ns)?;
        let (start, more) = (self.start(py), running || !events.is_empty());
        py.detach(|| lines.add::<M>(events, start));
        Ok(more)
    }

    /// Adds lines for probes that are not decided.
    pub(super) fn record_rest(&self, py: Python<'_>, lines: &Lines)
    where
        M: Recorded,
    {
        let start = self.start(py);
        self.look(py, |machine| lines.add_rest(machine, start));
    }

    /// Makes the next worker report all events that lines need.
    pub(super) fn record_all(&self) {
        self.recorded.store(true, Ordering::Relaxed);
    }

    /// Returns whether the events of the next worker become lines.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Returns the moment from which the times of lines count.
    pub(super) fn start(&self, py: Python<'_>) -> Stamp
    where
        M: Recorded,
    {
        let Some(worker) = self.worker() else { return Stamp::default() };
        let started = worker.started();
        py.detach(|| worker.look(|machine| machine.start(started))).unwrap_or(started)
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

    /// Returns the next event without waiting; if there is none, makes `waiter` readable when there
    /// may be one.
    pub(super) fn poll(&self, py: Python<'_>, waiter: &Waiter) -> PyResult<Option<M::Event>> {
        let worker = self.started()?;
        match py.detach(|| worker.poll_event(&waiter.0)) {
            Next::Event(event) => Ok(Some(event)),
            Next::Nothing => Ok(None),
            Next::Ended => Err(PyStopAsyncIteration::new_err(())),
            Next::Failed => Err(failed(self.class)),
        }
    }

    /// Waits until the system refuses datagrams for the worker, at most until a deadline in monotonic
    /// nanoseconds.
    pub(super) fn wait_refusing(&self, py: Python<'_>, deadline_ns: i64) -> PyResult<()> {
        let worker = self.started()?;
        wait_until(py, deadline_ns, |slice| worker.wait_refusing(slice).then_some(())).map(drop)
    }

    /// Waits until the worker has ended.
    pub(super) fn join(&self, py: Python<'_>) -> PyResult<()> {
        let worker = self.started()?;
        wait(py, |slice| worker.wait(slice).then_some(()))?;
        if worker.has_failed() { Err(failed(self.class)) } else { Ok(()) }
    }

    fn started(&self) -> PyResult<Arc<Worker<M>>> {
        self.worker().ok_or_else(|| not_started(self.class))
    }

    pub(super) fn worker(&self) -> Option<Arc<Worker<M>>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Worker<M>>>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakeup of an event loop for `_asyncio`.
#[pyclass(frozen, name = "_Waiter", module = "udpulse._core")]
pub(super) struct Waiter(Arc<Notifier>);

#[pymethods]
impl Waiter {
    /// Returns a waiter and the descriptor of the socket that it makes readable; the caller closes
    /// it.
    #[staticmethod]
    fn pair() -> Result<(Self, Receiver)> {
        let (notifier, receiver) =
            Notifier::pair().map_err(Error::io("open", "a pair of sockets"))?;
        Ok((Self(Arc::new(notifier)), receiver))
    }

    /// Returns another waiter that makes the same socket readable.
    fn another(&self) -> Self {
        Self(Arc::new(self.0.another()))
    }

    /// The number of the waiter, unique for its socket.
    #[getter]
    fn number(&self) -> u64 {
        self.0.number()
    }

    /// Returns the numbers of the waiters of its socket that were woken since the last call.
    fn woken(&self) -> Vec<u64> {
        self.0.raised()
    }
}

/// Calls the function `name` of `udpulse._asyncio` with a running object.
pub(super) fn asynchronous<'py>(
    name: &str,
    running: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    running.py().import("udpulse._asyncio")?.getattr(name)?.call1((running,))
}

/// Generates the methods common to all running objects.
///
/// The class needs a field `handle`, a method `run` that starts it, a method `endpoints` that
/// returns the addresses for `run` to resolve, and an event type that is `From` the machine's.
macro_rules! running_object {
    ($class:ident: $event:ty) => {
        crate::python::handle::running_object!(@ $class: $event);

        #[pyo3::pymethods]
        impl $class {
            /// Stops immediately and closes the socket; counters and results stay readable.
            ///
            /// Any thread may call it, any number of times.
            fn stop(&self, py: pyo3::Python<'_>) {
                self.handle.stop(py);
            }

            #[pyo3(signature = (*_exception))]
            fn __exit__(&self, py: pyo3::Python<'_>, _exception: &pyo3::Bound<'_, pyo3::PyAny>) {
                self.handle.stop(py);
            }

            /// Stops the object without blocking the event loop.
            #[pyo3(signature = (*_exception))]
            fn __aexit__<'py>(
                slf: &pyo3::Bound<'py, Self>,
                _exception: &pyo3::Bound<'py, pyo3::PyAny>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::PyAny>> {
                crate::python::handle::asynchronous("leave", slf.as_any())
            }
        }
    };
    // Everything but the end, which differs between classes.
    (@ $class:ident: $event:ty) => {
        #[pyo3::pymethods]
        impl $class {
            /// Starts the object on its own thread; does nothing if it is already running.
            ///
            /// A start after a stop resets all counters.
            ///
            /// Raises OSError if the system refuses the address and socket.gaierror if the host has
            /// none; a HeartbeatClient looks names up while it runs instead.
            fn start(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<()> {
                self.run(py)
            }

            /// Whether the object is running.
            #[getter]
            fn running(&self) -> bool {
                self.handle.is_running()
            }

            /// The local (host, port) of the object's socket.
            ///
            /// Raises NotStartedError before the first start.
            #[getter]
            fn address(&self) -> pyo3::PyResult<crate::python::value::Address> {
                self.handle.address()
            }

            /// The number of events dropped from the bounded queue before they were read.
            #[getter]
            fn events_dropped(&self, py: pyo3::Python<'_>) -> u64 {
                self.handle.events_dropped(py)
            }

            /// The OSError of the last datagram that this host could not send; None if none failed.
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

            /// Starts the object if it was never started; returns the iterator.
            fn __iter__(slf: pyo3::Bound<'_, Self>) -> pyo3::PyResult<pyo3::Bound<'_, Self>> {
                // A stopped object may still have unread events.
                if !slf.get().handle.was_started() {
                    slf.get().run(slf.py())?;
                }
                Ok(slf)
            }

            fn __next__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<Option<$event>> {
                Ok(self.handle.next(py)?.map(<$event>::from))
            }

            /// Waits for an event and returns a list of all pending ones, oldest first.
            ///
            /// limit: the maximum length of the list, 1 to 2**32 - 1.
            /// timeout: the time to wait for the first event, in seconds, 0 or more; None for no
            ///     limit.
            ///
            /// The list is empty at the timeout, and at the end: the object has stopped and all
            /// events were read. `events_dropped` counts the events that were dropped unread.
            ///
            /// Raises NotStartedError before the first start and ValueError if an argument is out
            /// of range.
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

            /// Waits up to `timeout` seconds for an event and adds a line for each pending one, at
            /// most `limit`, to `lines`. Returns whether there may be more.
            fn _record(
                &self,
                py: pyo3::Python<'_>,
                lines: &crate::python::jsonlines::Lines,
                limit: usize,
                timeout: f64,
            ) -> pyo3::PyResult<bool> {
                let now_ns = crate::net::now().mono_ns;
                let deadline_ns = crate::nanoseconds(timeout).map(|ns| now_ns.saturating_add(ns));
                self.handle.record(py, lines, limit, deadline_ns.unwrap_or(i64::MAX))
            }

            /// Adds a line for each probe that is not decided to `lines`.
            fn _record_rest(
                &self,
                py: pyo3::Python<'_>,
                lines: &crate::python::jsonlines::Lines,
            ) {
                self.handle.record_rest(py, lines);
            }

            /// Makes the next start report all events that lines need.
            fn _record_all(&self) {
                self.handle.record_all();
            }

            /// The moment from which the times of lines count, in nanoseconds since the Unix epoch.
            #[getter]
            fn _start_ns(&self, py: pyo3::Python<'_>) -> i64 {
                self.handle.start(py).wall_ns
            }

            /// The time since that moment, in nanoseconds.
            #[getter]
            fn _elapsed_ns(&self, py: pyo3::Python<'_>) -> i64 {
                crate::net::now().mono_ns.saturating_sub(self.handle.start(py).mono_ns)
            }

            /// Returns an asynchronous iterator on the running event loop; starts the object if it
            /// was never started.
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

            /// Returns whether a start waits for the system's resolver.
            fn _has_names(&self) -> bool {
                self.endpoints().any(|endpoint| endpoint.literal().is_none())
            }

            /// Makes the object stop; returns immediately.
            fn _begin_stop(&self) {
                self.handle.begin_stop();
            }

            /// Returns whether the work has ended; if not, makes `waiter` readable when it may
            /// have.
            fn _poll_end(
                &self,
                py: pyo3::Python<'_>,
                waiter: &crate::python::handle::Waiter,
            ) -> bool {
                self.handle.poll_end(py, waiter)
            }

            /// Returns the next event; if there is none yet, returns None and makes `waiter`
            /// readable when there may be one.
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
