//! `HeartbeatClient`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::driver::Worker;
use crate::heartbeat::{self, BeatFormat, Client, ClientConfig, ClientCounters, Outcome};
use crate::net::{Endpoint, Socket, now, on_ipv6};
use crate::python::args::{
    Count, Probability, RemoteHost, RemotePort, Remotes, Seconds, Seed, Word, number, wrong_value,
};
use crate::python::handle::{Handle, running_object};
use crate::python::options::options;
use crate::python::value::{Address, address, utc_offset_ns, value};
use crate::wire::Template;
use crate::wire::beat::{MAX_NAME, is_name};
use crate::{Error, Result, nanoseconds, seconds};

/// How many unread beats to keep.
const UNREAD: usize = 4096;

value! {
    /// Counts of beats.
    HeartbeatClientCounters in "udpulse.reports" {
        *,
        /// Beats sent, goodbyes included; one to several servers counts once for each.
        sent: u64 = 0,
        /// Beats not sent on purpose.
        skipped: u64 = 0,
        /// Beats that this host could not send.
        send_failed: u64 = 0,
        /// Times the server's host said that nothing listens on the port (ICMP port unreachable).
        refused: u64 = 0,
        /// Answers that arrived.
        received: u64 = 0,
    }
}

value! {
    /// A beat of a HeartbeatClient that was due.
    Beat in "udpulse" {
        *,
        /// Its number, from 1.
        seq: u64,
        /// What was done: "sent", "skipped" (not sent, on purpose) or "failed" (a crash was
        /// simulated: this beat and all that follow stay away).
        outcome: Word<Outcome>,
        /// When it was due, in seconds since the Unix epoch.
        time: f64,
    }
}

macro_rules! client_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the server's address or name; if a name has addresses of both families, IPv4 is used.
        host: RemoteHost,
        /// the server's port, 1 to 65535.
        port: RemotePort = 12000,
        *,
        /// up to 255 more servers, each a (host, port); every beat goes to all of them.
        also: Remotes<255> = (),
        /// the time from one beat to the next, in seconds.
        interval: Seconds = 1.0,
        /// how much earlier or later each beat is at random: a fraction of the interval, 0 to 0.5.
        spread: f64 = 0.0,
        /// the name that the server knows this client by, also from another address: 1 to 64 bytes
        /// without blanks and ";".
        name: Option<String> = None,
        /// without `progress` for longer than this, in seconds, beats say "stalled"; never if None.
        stall_after: Option<Seconds> = None,
        /// how many beats to send, including those that `busy` sends out of turn, at least 1; None
        /// sends until `stop`.
        count: Option<Count> = None,
        /// the number, from 1, of the beat at which a crash is simulated.
        fail_at: Option<Count> = None,
        /// the probability, 0 to 1, of a simulated crash at each beat.
        fail_chance: Probability = 0.0,
        /// the probability, 0 to 1, that a beat is not sent, on purpose.
        loss: Probability = 0.0,
        /// repeats these random choices (xoshiro256++); drawn at random if None.
        seed: Seed = None,
        /// a message of your own, with {seq} for the beat's number and its time as {time} (seconds
        /// since the Unix epoch), {ms} (milliseconds), {ctime} (as C's ctime) or {datetime} (as
        /// Python's str(datetime.now())). Without one a beat declares its interval, the name, a boot id that is new with
        /// each start, and the progress and silence that `progress` and `busy` reported:
        /// "Heartbeat;i=1000;b=18f3a2c0d1e;id=api 17 1760000000.123456".
        format: Option<String> = None,
    } };
}

client_options!(settings);

#[doc = client_options!(signature HeartbeatClient)]
/// Tells a heartbeat server that this process is alive.
///
#[doc = client_options!(docs)]
/// Leaving the `with` block says goodbye, three times 20 ms apart; `stop` does not, like a crash. A
/// process forked from this one sends no beats: there the object is stopped.
///
/// `async with` watches the running event loop: while it turns, it marks progress once per interval, or
/// twice per `stall_after` if that is sooner. If it is blocked, the beats go on and say for how long. If
/// it ends before the block is left, the client stops.
///
/// Beats go out on an absolute schedule; after a stall comes one beat, not a burst. Iterating yields
/// each Beat as it is due and ends with the last.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct HeartbeatClient {
    settings: Settings,
    endpoint: Endpoint,
    /// Complete but for the servers' addresses, which are known at the start.
    config: ClientConfig,
    progress: Arc<heartbeat::Progress>,
    handle: Handle<Client>,
}

client_options!(class HeartbeatClient);
running_object!(HeartbeatClient: Beat);

/// The result of `HeartbeatClient.progress`: marks progress at the end of a `with` block, or after each
/// call of a function or coroutine function that it decorates.
#[pyclass(frozen, weakref, module = "udpulse.reports")]
pub(super) struct Progress(Py<HeartbeatClient>);

#[pymethods]
impl Progress {
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        self.0.get().mark();
    }

    /// Decorate a function.
    fn __call__<'py>(
        slf: Bound<'py, Self>,
        function: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("udpulse._progress")?.getattr("decorated")?.call1((slf, function))
    }
}

/// Opens a socket that can send to several servers.
fn bind_any(first: SocketAddr) -> Result<Socket> {
    let any = match first {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Socket::bind(SocketAddr::new(any, 0))
}

impl HeartbeatClient {
    fn make(settings: Settings) -> PyResult<Self> {
        if let Some(name) = settings.name.as_ref().filter(|name| !is_name(name.as_bytes())) {
            let allowed = format!("1 to {MAX_NAME} bytes without blanks and \";\"");
            return Err(Error::argument("name", format!("'{name}'"), allowed).into());
        }
        if !(0.0..=0.5).contains(&settings.spread) {
            let allowed = "a part of the interval from 0 to 0.5";
            return Err(Error::number("spread", settings.spread, allowed).into());
        }
        if let Some(format) = &settings.format
            && (settings.name.is_some() || settings.stall_after.is_some())
        {
            let allowed = "None beside name or stall_after, which only declared beats carry";
            return Err(Error::argument("format", format!("'{format}'"), allowed).into());
        }
        let progress = Arc::new(heartbeat::Progress::default());
        let format = match &settings.format {
            Some(format) => BeatFormat::Template(Template::parse("format", format)?),
            None => BeatFormat::Declared {
                name: settings.name.as_ref().map(|name| name.as_bytes().into()),
                progress: Arc::clone(&progress),
                stall_after_ns: settings.stall_after.map(Seconds::ns),
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
            seed: Some(settings.seed.0),
            format,
            utc_offset_ns: 0,
            events: UNREAD,
        };
        let endpoint = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        let handle = Handle::new("HeartbeatClient");
        Ok(Self { settings, endpoint, config, progress, handle })
    }

    /// Refuses `method` if the beats of this client cannot carry it.
    fn declares(&self, method: &str) -> PyResult<()> {
        if self.settings.format.is_none() {
            return Ok(());
        }
        let reason = "a HeartbeatClient with a format declares nothing, so it has no";
        Err(PyRuntimeError::new_err(format!("{reason} {method}()")))
    }

    fn mark(&self) {
        if self.progress.mark(now().mono_ns) {
            self.handle.prompt();
        }
    }

    /// Returns how often a watched event loop marks progress.
    fn tick_ns(&self) -> i64 {
        let ClientConfig { interval_ns, format, .. } = &self.config;
        match format {
            BeatFormat::Declared { stall_after_ns: Some(stall_after_ns), .. } => {
                (stall_after_ns / 2).min(*interval_ns)
            }
            _ => *interval_ns,
        }
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint).chain(&self.settings.also.0)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let config = ClientConfig { utc_offset_ns: utc_offset_ns(py)?, ..self.config.clone() };
        self.handle.launch(py, self.endpoints(), |mut servers| {
            // A socket of IPv6 reaches IPv4, too.
            if servers.iter().any(SocketAddr::is_ipv6) {
                servers = servers.into_iter().map(on_ipv6).collect();
            }
            let socket = match &mut servers[..] {
                [alone] => {
                    let socket = Socket::connect(*alone)?;
                    // The system may have connected elsewhere than asked, as it does for 0.0.0.0.
                    *alone = socket.peer_address();
                    socket
                }
                several => bind_any(several[0])?,
            };
            Worker::start(socket, Client::new(ClientConfig { servers, ..config }))
        })
    }
}

impl From<heartbeat::Beat> for Beat {
    fn from(heartbeat::Beat { seq, at, outcome }: heartbeat::Beat) -> Self {
        Self { seq, outcome: Word(outcome), time: seconds(at.wall_ns) }
    }
}

#[pymethods]
impl HeartbeatClient {
    /// The (host, port) that the beats go to.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn server(&self, py: Python<'_>) -> PyResult<Address> {
        let first = self.handle.look(py, |client| client.server());
        first.map_or_else(|| self.handle.peer(), |first| Ok(address(first)))
    }

    /// Mark progress of the application: beats carry the time since then. Any thread may call it.
    ///
    /// The result is a context manager that marks progress at its end, and a decorator that marks it after
    /// each call: `with beat.progress(): ...`, `@beat.progress()`. If the interpreter that calls it is
    /// stuck, the beats go on and say for how long.
    ///
    /// Raises RuntimeError if the client has a format: its beats carry no progress.
    fn progress(slf: Bound<'_, Self>) -> PyResult<Progress> {
        slf.get().declares("progress")?;
        slf.get().mark();
        Ok(Progress(slf.unbind()))
    }

    /// Announce silence immediately: the next beat does not wait for its turn.
    ///
    /// until: the end of the silence, in seconds since the Unix epoch; `progress` ends it earlier.
    ///
    /// The server holds its verdict until then and its timeout. Raises ValueError if `until` is not in the
    /// future, and RuntimeError if the client has a format: its beats announce nothing.
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

    /// How often a watched event loop calls `_tick`, in seconds.
    #[getter]
    fn _tick_period(&self) -> f64 {
        seconds(self.tick_ns())
    }

    /// Mark that the event loop turns; it does not end a silence that `busy` announced.
    fn _tick(&self) {
        self.progress.tick(now().mono_ns);
    }

    /// Counts of beats since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> HeartbeatClientCounters {
        let counters = self.handle.look(py, |client| client.counters());
        let ClientCounters { sent, skipped, send_failed, refused, received } = counters;
        HeartbeatClientCounters { sent, skipped, send_failed, refused, received }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let HeartbeatClientCounters { sent, .. } = self.counters(py);
        let (what, changed) = (self.handle.describe(None), self.changed(py)?);
        Ok(format!("{what}, to={}{changed}, sent={sent})", self.endpoint))
    }
}
