//! `HeartbeatClient`.

use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pyo3::exceptions::{PyResourceWarning, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::driver::Worker;
use crate::driver::heartbeat::start_client;
use crate::heartbeat::{
    self, BeatFormat, Client, ClientConfig, ClientCounters, Ending, MAX_TASKS, Mark, Outcome, Task,
};
use crate::net::{Endpoint, now};
use crate::python::args::{
    Count, Probability, RemoteHost, RemotePort, Remotes, Seconds, Seed, Word, number, wrong_value,
};
use crate::python::handle::{Handle, running_object};
use crate::python::keys::Keys;
use crate::python::options::{Given, given, options};
use crate::python::value::{Address, address, text, value, zone};
use crate::python::wait::resolve_each;
use crate::wire::Template;
use crate::wire::beat::{MAX_NAME, MAX_WORD, is_error, is_name, is_task};
use crate::wire::signed::Signer;
use crate::{Error, Zone, nanoseconds, seconds};

/// Maximum number of beats that wait for an iterating reader.
const UNREAD: usize = 4096;

value! {
    /// Beat counts of a HeartbeatClient.
    HeartbeatClientCounters in "udpulse.reports" {
        *,
        /// Beats sent or tried, each copy of a goodbye and `send_failed` included; a beat to several
        /// servers counts once per server.
        sent: u64 = 0,
        /// Beats not sent on purpose.
        skipped: u64 = 0,
        /// Beats that this host could not send, or whose server had no address.
        send_failed: u64 = 0,
        /// ICMP port-unreachable errors received: nothing listens on the server's port. Linux only;
        /// 0 elsewhere.
        refused: u64 = 0,
        /// Answers received.
        received: u64 = 0,
        /// With keys: answers among them without a right signature.
        unauthenticated: u64 = 0,
    }
}

value! {
    /// A beat of a HeartbeatClient, due and handled.
    Beat in "udpulse" {
        *,
        /// Its number, from 1.
        seq: u64,
        /// The outcome: "sent", "send_failed" (this host could not send it to any server), "skipped"
        /// (not sent, on purpose) or "failed" (a simulated crash: neither this beat nor a later one
        /// is sent).
        outcome: Word<Outcome>,
        /// The time at which the client acted on it, in seconds since the Unix epoch.
        time: f64,
    }
}

value! {
    /// A server that replied to a HeartbeatClient no longer does: it may not hear the client.
    Unheard in "udpulse.events" {
        *,
        /// The server's (host, port).
        server: Address,
        /// The time at which the client noticed it, in seconds since the Unix epoch.
        time: f64,
        /// The time since the last reply, in seconds.
        silence: f64,
    }
}

macro_rules! client_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the server's address or name. If a name has addresses of both families, the IPv4 address
        /// is used.
        host: RemoteHost,
        /// the server's port, 1 to 65535.
        port: RemotePort = 12000,
        *,
        /// at most 255 more servers, each a (host, port); every beat goes to all of them.
        also: Remotes<255> = (),
        /// the time between beats, in seconds, at least 0.001.
        interval: Seconds<1_000_000> = 1.0,
        /// the largest random shift of a beat, earlier or later, as a fraction of the interval, 0
        /// to 0.5.
        spread: f64 = 0.0,
        /// the name that identifies this client to the server even if its address changes: 1 to 255
        /// bytes without blanks, control characters and ";". None for no name.
        name: Option<String> = None,
        /// the time without `progress`, in seconds, after which beats report "stalled", counted
        /// from the start; None for never.
        stall_after: Option<Seconds> = None,
        /// the number of intervals without a beat after which the server marks this client down,
        /// instead of by its own detector, 1 to 1e6; the server has bounds. None for one interval if
        /// there is a grace.
        multiplier: Option<f64> = None,
        /// the time in addition, in seconds, until the server marks this client down; None for none.
        /// A daily job that may be an hour late has an interval of 86400 s and a grace of 3600 s.
        grace: Option<Seconds> = None,
        /// the time after which a name is looked up again, in seconds; None for never. It is also
        /// looked up while it has no address, while its server cannot be reached, and while a server
        /// that replied no longer does.
        resolve_every: Option<Seconds> = 60.0,
        /// the keys that sign beats: Keys or the path of a file of them. The client uses the first one,
        /// that of its name, and believes only answers that are signed with it. None for no
        /// signatures.
        keys: Option<Keys> = None,
        /// whether beats may go to broadcast addresses.
        broadcast: bool = False,
        /// the number of consecutive beats without a reply after which Unheard is yielded, if the
        /// server has replied before (`reply=True` on a HeartbeatServer), 1 or more; None for never.
        unheard_after: Option<Count> = 5,
        /// the number of beats to send, 1 or more, including the immediate ones of `busy`; None for
        /// no limit.
        count: Option<Count> = None,
        /// False falls silent at an orderly end: a job that beats once each time that it runs is
        /// missed if it does not run again.
        goodbye: bool = True,
        /// the number, from 1, of the beat at which a crash is simulated; None for no crash.
        fail_at: Option<Count> = None,
        /// the probability, 0 to 1, of a simulated crash at each beat.
        fail_chance: Probability = 0.0,
        /// the probability, 0 to 1, that a beat is skipped on purpose.
        loss: Probability = 0.0,
        /// the seed of these random choices (xoshiro256++); drawn at random if None.
        seed: Seed = None,
        /// the text of a beat, with {seq} for its number and {time} (seconds since the Unix epoch),
        /// {ms} (milliseconds), {ctime} (as C's ctime) or {datetime} (as Python's
        /// str(datetime.now())) for its time. With None a beat declares its interval, the name, a
        /// boot id that changes with each start, and the progress and silence reported by
        /// `progress` and `busy`: "Heartbeat;i=1000;b=18f3a2c0d1e;id=api 17 1760000000.123456". A
        /// format cannot be combined with `name`, `stall_after`, `multiplier`, `grace` or `keys`.
        format: Option<String> = None,
    } };
}

client_options!(settings);

#[doc = client_options!(signature HeartbeatClient)]
/// A sender of heartbeats, which show a heartbeat server that this process is alive.
///
#[doc = client_options!(docs)]
/// An orderly end sends three goodbyes, 20 ms apart: leaving the `with` block, `stop`, the beat
/// number `count`, the end of the interpreter. If the block is left by an exception, or the
/// interpreter ends with an uncaught one, the client sends its type, but not its text, and the
/// server reports a failure. KeyboardInterrupt, GeneratorExit, asyncio.CancelledError and
/// SystemExit with code 0 or None are orderly, as is any SystemExit outside the block. A simulated
/// crash, a client with a format, a killed process and `os._exit` fall silent. So does an object
/// that is dropped while it beats, with a ResourceWarning. In a process forked from this one the
/// object is stopped and sends no beats.
///
/// `async with` watches the running event loop: while the loop runs, it marks the progress of a task
/// of its own, once per interval, or twice per `stall_after` if that is sooner. If the loop is
/// blocked, or has ended before the block is left, the beats go on and report for how long.
///
/// Beats follow an absolute schedule; after a stall one beat is sent, not a burst. Iterating yields
/// each Beat once it has left or failed, and Unheard, and ends with the last beat.
///
/// A client starts without a network and without the address of a name; it beats once there is one.
/// The first beat waits for the first lookup of every name, but at most a second if the address of
/// one server is known.
///
/// Raises ValueError if an argument is out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct HeartbeatClient {
    settings: Settings,
    endpoint: Endpoint,
    /// Complete except for the servers' addresses, which are resolved at each start.
    config: ClientConfig,
    progress: Arc<heartbeat::Progress>,
    pub(super) handle: Handle<Client>,
}

client_options!(class HeartbeatClient);
running_object!(@ HeartbeatClient: ClientEvent);

/// The workers that were started, so that the end of the interpreter ends them.
static STARTED: Mutex<Vec<Weak<Worker<Client>>>> = Mutex::new(Vec::new());

/// Returns the end that leaving with `exception`, or with None, is.
fn ending(exception: &Bound<'_, PyAny>) -> PyResult<Ending> {
    if exception.is_none() {
        return Ok(Ending::Orderly);
    }
    let failure = exception.py().import("udpulse._ending")?.getattr("failure")?;
    let name: Option<String> = failure.call1((exception,))?.extract()?;
    let Some(name) = name else { return Ok(Ending::Orderly) };
    let name = Some(name.into_bytes()).filter(|name| is_error(name));
    Ok(Ending::Failed(name.map(Into::into)))
}

/// Ends all clients of this process: the interpreter ends with `exception` or None.
#[pyfunction]
pub(super) fn _end_clients(py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let ending = ending(exception)?;
    let started = std::mem::take(&mut *STARTED.lock().unwrap_or_else(PoisonError::into_inner));
    let workers: Vec<_> = started.iter().filter_map(Weak::upgrade).collect();
    py.detach(|| {
        for worker in &workers {
            worker.look(|client| client.end(ending.clone()));
            worker.begin_stop();
        }
        for worker in &workers {
            worker.stop();
        }
    });
    Ok(())
}

impl Drop for HeartbeatClient {
    fn drop(&mut self) {
        if !self.handle.is_running() {
            return;
        }
        Python::try_attach(|py| {
            let raised = PyErr::take(py);
            let text = format!("a HeartbeatClient of {} was dropped while it beat", self.endpoint);
            let text = CString::new(text).unwrap_or_default();
            if let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &text, 1) {
                error.write_unraisable(py, None);
            }
            raised.inspect(|raised| raised.clone_ref(py).restore(py));
        });
    }
}

/// A progress mark, the result of `HeartbeatClient.progress`: marks progress at the end of a `with`
/// block or, as a decorator, after each call of a function or coroutine function.
///
/// It marks only success. An exception counts as a failure, which beats report to the server, unless
/// it is an orderly end (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, SystemExit with
/// code 0 or None).
#[pyclass(frozen, weakref, module = "udpulse.reports")]
pub(super) struct Progress {
    client: Py<HeartbeatClient>,
    task: Task,
    /// The mark of the call that created it, until it is withdrawn.
    mark: Mutex<Option<Mark>>,
}

#[pymethods]
impl Progress {
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().client.get().declares("progress")?;
        slf.get().withdraw();
        Ok(slf)
    }

    #[pyo3(signature = (_type, exception, _traceback))]
    fn __exit__(
        &self,
        _type: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let client = self.client.get();
        if exception.is_none() {
            client.mark(&self.task)?;
        } else if ending(exception)? != Ending::Orderly {
            client.progress.fail();
        }
        Ok(())
    }

    /// Forgets the task, which has ended: it need not make progress any more.
    fn finish(&self) {
        self.client.get().progress.forget(&self.task, now().mono_ns);
    }

    /// Returns the function, wrapped to mark progress after each call, or at the end of the awaitable
    /// that the call returns.
    ///
    /// Raises TypeError if it is a generator function, whose calls end before its work begins; so
    /// does a call that returns a generator.
    fn __call__<'py>(
        slf: Bound<'py, Self>,
        function: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.get().withdraw();
        slf.py().import("udpulse._progress")?.getattr("decorated")?.call1((slf, function))
    }
}

impl Progress {
    /// Withdraws the mark of the call that created it: the work is still to be done.
    fn withdraw(&self) {
        let mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner).take();
        let client = self.client.get();
        if mark.is_some_and(|mark| client.progress.withdraw(&self.task, mark)) {
            client.handle.prompt();
        }
    }
}

/// Returns the signer of a client of this name.
fn signer(keys: &Keys, name: Option<&str>) -> PyResult<Signer> {
    let Some(name) = name else {
        let allowed = "the client's name, which its keys depend on";
        return Err(Error::argument("name", "None", allowed).into());
    };
    Signer::new(&keys.0, name.as_bytes()).ok_or_else(|| {
        let bound = keys.0.first().client().map(text).unwrap_or_default();
        let allowed = format!("'{bound}', the only client that the first key is for");
        Error::argument("name", format!("'{name}'"), allowed).into()
    })
}

impl HeartbeatClient {
    fn make(settings: Settings) -> PyResult<Self> {
        if let Some(name) = settings.name.as_ref().filter(|name| !is_name(name.as_bytes())) {
            let allowed =
                format!("1 to {MAX_NAME} bytes without blanks, control characters and \";\"");
            return Err(Error::argument("name", format!("'{name}'"), allowed).into());
        }
        if !(0.0..=0.5).contains(&settings.spread) {
            let allowed = "a part of the interval from 0 to 0.5";
            return Err(Error::number("spread", settings.spread, allowed).into());
        }
        let multiplier = settings.multiplier.map(|intervals| {
            let given = (1.0..=1e6).contains(&intervals).then_some(intervals);
            given.ok_or(Error::number("multiplier", intervals, "a number from 1 to 1e6"))
        });
        let multiplier = multiplier.transpose()?;
        let signer = settings.keys.as_ref().map(|keys| signer(keys, settings.name.as_deref()));
        let signer = signer.transpose()?.map(Box::new);
        let declares = settings.name.is_some()
            || settings.stall_after.is_some()
            || multiplier.is_some()
            || settings.grace.is_some();
        if let Some(format) = settings.format.as_ref().filter(|_| declares) {
            let allowed = "None beside name, stall_after, multiplier or grace, which only declared \
                           beats carry";
            return Err(Error::argument("format", format!("'{format}'"), allowed).into());
        }
        let progress = Arc::new(heartbeat::Progress::default());
        let format = match &settings.format {
            Some(format) => BeatFormat::Template(Template::parse("format", format)?),
            None => BeatFormat::Declared {
                name: settings.name.as_ref().map(|name| name.as_bytes().into()),
                progress: Arc::clone(&progress),
                stall_after_ns: settings.stall_after.map(Seconds::ns),
                #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
                down_millionths: multiplier.map(|intervals| (intervals * 1e6).round() as i64),
                grace_ns: settings.grace.map(Seconds::ns),
                signer,
            },
        };
        let config = ClientConfig {
            servers: Vec::new(),
            interval_ns: settings.interval.ns(),
            spread: settings.spread,
            count: settings.count.map(|count| count.0),
            fail_at: settings.fail_at.map(|number| number.0),
            fail_chance: settings.fail_chance.0,
            loss: settings.loss.0,
            goodbye: settings.goodbye,
            broadcast: settings.broadcast,
            unheard_after: settings.unheard_after.map(|count| count.0),
            seed: Some(settings.seed.0),
            format,
            zone: Zone::default(),
            events: UNREAD,
        };
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        let handle = Handle::new("HeartbeatClient");
        Ok(Self { settings, endpoint, config, progress, handle })
    }

    /// Raises `RuntimeError` if no beat of this process can carry the declaration of `method`.
    fn declares(&self, method: &str) -> PyResult<()> {
        let reason = if self.settings.format.is_some() {
            "a HeartbeatClient with a format declares nothing, so it has no"
        } else if self.handle.worker().is_some_and(|worker| worker.is_elsewhere()) {
            "this HeartbeatClient beats in another process, from which this one was forked; start \
             one here for its"
        } else {
            return Ok(());
        };
        Err(PyRuntimeError::new_err(format!("{reason} {method}()")))
    }

    /// Chooses the farewell after `exception` or None.
    fn end(&self, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        let ending = ending(exception)?;
        self.handle.look(exception.py(), |client| client.end(ending));
        Ok(())
    }

    /// Marks progress of `task` and ends an announced silence.
    fn mark(&self, task: &Task) -> PyResult<Mark> {
        self.declares("progress")?;
        let mark = self.progress.mark(task, now().mono_ns).ok_or_else(|| {
            Error::argument("task", "one more", format!("one of at most {MAX_TASKS} names"))
        })?;
        if mark.ended_silence() {
            self.handle.prompt();
        }
        Ok(mark)
    }

    /// Returns the period of progress marks from a watched event loop.
    fn tick_ns(&self) -> i64 {
        let ClientConfig { interval_ns, format, .. } = &self.config;
        match format {
            BeatFormat::Declared { stall_after_ns: Some(stall_after_ns), .. } => {
                (stall_after_ns / 2).min(*interval_ns)
            }
            _ => *interval_ns,
        }
    }

    /// A start resolves nothing: names are looked up while the client runs.
    #[expect(clippy::unused_self, reason = "other running objects need it")]
    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::empty()
    }

    fn servers(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint).chain(&self.settings.also.0)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        // Only a format has local times.
        let zone = self.settings.format.as_ref().map(|_| zone(py)).transpose()?.unwrap_or_default();
        let config = ClientConfig { zone, ..self.config.clone() };
        self.handle.launch_any(py, &[], |_| {
            self.progress.restart(now().mono_ns);
            let resolve_every_ns = self.settings.resolve_every.map(Seconds::ns);
            let servers = self.servers().cloned().collect();
            start_client(servers, resolve_every_ns, config)
        })?;
        // Registers the end of the interpreter, at the first start.
        py.import("udpulse._ending")?;
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        started.retain(|worker| worker.strong_count() > 0);
        started.extend(self.handle.worker().map(|worker| Arc::downgrade(&worker)));
        Ok(())
    }
}

impl From<heartbeat::Beat> for Beat {
    fn from(heartbeat::Beat { seq, at, outcome }: heartbeat::Beat) -> Self {
        Self { seq, outcome: Word(outcome), time: seconds(at.wall_ns) }
    }
}

impl From<heartbeat::Unheard> for Unheard {
    fn from(heartbeat::Unheard { server, at, silence_ns }: heartbeat::Unheard) -> Self {
        Self { server: address(server), time: seconds(at.wall_ns), silence: seconds(silence_ns) }
    }
}

/// An event of a client.
#[derive(IntoPyObject)]
pub(super) enum ClientEvent {
    Beat(Beat),
    Unheard(Unheard),
}

impl From<heartbeat::ClientEvent> for ClientEvent {
    fn from(event: heartbeat::ClientEvent) -> Self {
        match event {
            heartbeat::ClientEvent::Beat(beat) => Self::Beat(beat.into()),
            heartbeat::ClientEvent::Unheard(unheard) => Self::Unheard(unheard.into()),
        }
    }
}

#[pymethods]
impl HeartbeatClient {
    /// The (host, port) of the server; with several, of the first. None while its name has no
    /// address.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn server(&self, py: Python<'_>) -> PyResult<Option<Address>> {
        self.handle.address()?;
        Ok(self.handle.look(py, |client| client.server()).map(address))
    }

    /// The servers that the last lookup did not resolve: a dict from each (host, port) to the
    /// resolver's reason. They are looked up again until they have an address.
    #[getter]
    fn unresolved<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let reasons = PyDict::new(py);
        let servers: Vec<_> = self.servers().collect();
        for (index, reason) in self.handle.look(py, |client| client.unresolved()) {
            let Endpoint { host, port, .. } = servers[index];
            reasons.set_item((host, port), reason)?;
        }
        Ok(reasons)
    }

    /// The time of the last reply from any server, in seconds since the Unix epoch; None if there
    /// was none. A HeartbeatServer replies if told to (`reply=True`).
    #[getter]
    fn heard_at(&self, py: Python<'_>) -> Option<f64> {
        self.handle.look(py, |client| client.heard()).map(|heard| seconds(heard.wall_ns))
    }

    /// Resolves the names of all servers now; raises `socket.gaierror` if one has no address.
    fn _resolve(&self, py: Python<'_>) -> PyResult<()> {
        let servers: Vec<_> = self.servers().cloned().collect();
        for found in resolve_each(py, &servers)? {
            found?;
        }
        Ok(())
    }

    /// Says goodbye and stops; counters stay readable.
    ///
    /// goodbye: False stops immediately and falls silent, like a crash.
    /// failure: the failure that ended the work, so that the server reports Failed with it: an ASCII
    ///     identifier of 1 to 64 characters, such as "exit_3". None for an orderly end.
    ///
    /// Any thread may call it, any number of times; the first farewell counts.
    ///
    /// Raises ValueError if `failure` is no such word.
    #[pyo3(
        signature = (*, goodbye = given!(True), failure = given!(None)),
        text_signature = "($self, *, goodbye=True, failure=None)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 passes it by value")]
    fn stop(&self, py: Python<'_>, goodbye: Given<'_>, failure: Given<'_>) -> PyResult<()> {
        let goodbye: bool = goodbye.read(py, "goodbye")?;
        let failure: Option<String> = failure.read(py, "failure")?;
        let ending = match failure {
            None => Ending::Orderly,
            Some(word) if is_error(word.as_bytes()) => {
                Ending::Failed(Some(word.into_bytes().into()))
            }
            Some(word) => {
                let allowed = format!("an ASCII identifier of 1 to {MAX_WORD} characters");
                return Err(Error::argument("failure", format!("'{word}'"), allowed).into());
            }
        };
        let ending = if goodbye { ending } else { Ending::Silent };
        self.handle.look(py, |client| client.end(ending));
        self.handle.stop(py);
        Ok(())
    }

    #[pyo3(signature = (_type, exception, _traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _type: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let ended = self.end(exception);
        self.handle.stop(py);
        ended
    }

    /// Stops the object without blocking the event loop.
    #[pyo3(signature = (_type, exception, _traceback))]
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        _type: &Bound<'py, PyAny>,
        exception: &Bound<'py, PyAny>,
        _traceback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("udpulse._asyncio")?.getattr("leave")?.call1((slf, exception))
    }

    /// Chooses the farewell of a client whose block was left with this exception or None.
    fn _end(&self, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.end(exception)
    }

    /// Marks progress of the application: beats carry the time since the last mark. Any thread may
    /// call it.
    ///
    /// task: the name of a task that makes progress by itself, 1 to 64 bytes without blanks,
    ///     control characters and ";"; at most 64 names. The task whose last mark is oldest decides.
    ///
    /// Returns a Progress, a context manager that marks progress at its end and a decorator that
    /// marks it after each call: `with beat.progress("poll"): ...`, `@beat.progress()`. Both mark
    /// only success, and count a failure. If the calling interpreter is stuck, the beats go on and
    /// report for how long.
    ///
    /// Raises ValueError if `task` is not such a name.
    /// Raises RuntimeError if the client has a format, since its beats carry no progress, and in a
    /// process forked from the one that beats.
    #[pyo3(
        signature = (task = given!(None)),
        text_signature = "($self, task=None)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 passes it by value")]
    fn progress(slf: Bound<'_, Self>, task: Given<'_>) -> PyResult<Progress> {
        let name: Option<String> = task.read(slf.py(), "task")?;
        let task = match name {
            None => Task::Application,
            Some(name) if is_task(name.as_bytes()) => Task::Named(name.into_bytes().into()),
            Some(name) => {
                let allowed =
                    format!("1 to {MAX_WORD} bytes without blanks, control characters and \";\"");
                return Err(Error::argument("task", format!("'{name}'"), allowed).into());
            }
        };
        let mark = slf.get().mark(&task)?;
        Ok(Progress { client: slf.unbind(), task, mark: Mutex::new(Some(mark)) })
    }

    /// Announces a silence in an extra beat, sent immediately.
    ///
    /// until: the end of the silence, in seconds since the Unix epoch; `progress` ends it earlier.
    ///
    /// The server waits until then, plus its timeout, before it marks the client down.
    ///
    /// Raises ValueError if `until` is not in the future, and RuntimeError if the client has a
    /// format, since its beats announce nothing, and in a process forked from the one that beats.
    #[pyo3(signature = (*, until))]
    fn busy(&self, until: &Bound<'_, PyAny>) -> PyResult<()> {
        self.declares("busy")?;
        let (now, allowed) = (now(), "a time to come in seconds since the Unix epoch");
        let until_ns = nanoseconds(number("until", until, allowed)?)
            .filter(|until_ns| *until_ns > now.wall_ns)
            .ok_or_else(|| wrong_value("until", until, allowed))?;
        self.progress
            .announce_silence(now.mono_ns.saturating_add(until_ns.saturating_sub(now.wall_ns)));
        self.handle.prompt();
        Ok(())
    }

    /// The period of `_tick` calls from a watched event loop, in seconds.
    #[getter]
    fn _tick_period(&self) -> f64 {
        seconds(self.tick_ns())
    }

    /// Marks progress of the event loop; an announced silence stays.
    fn _tick(&self) {
        self.progress.mark(&Task::EventLoop, now().mono_ns);
    }

    /// Beat counts since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> HeartbeatClientCounters {
        let counters = self.handle.look(py, |client| client.counters());
        let ClientCounters { sent, skipped, send_failed, refused, received, unauthenticated } =
            counters;
        HeartbeatClientCounters { sent, skipped, send_failed, refused, received, unauthenticated }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let HeartbeatClientCounters { sent, .. } = self.counters(py);
        let (what, changed) = (self.handle.describe(None), self.changed(py)?);
        Ok(format!("{what}, to={}{changed}, sent={sent})", self.endpoint))
    }
}
