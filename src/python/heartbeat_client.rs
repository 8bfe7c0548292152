//! `HeartbeatClient`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use pyo3::prelude::*;

use crate::heartbeat::{self, Client, ClientConfig, ClientCounters, Message, Outcome};
use crate::net::{Endpoint, Socket, now, on_ipv6};
use crate::python::args::{self, Integer, Seconds};
use crate::python::handle::{Handle, running_object};
use crate::python::value::{Address, address, value};
use crate::python::wait::resolve_all;
use crate::wire::Template;
use crate::wire::beat::{MAX_NAME, is_name};
use crate::{Error, Result, probability, seconds};

/// How many beats wait for an iterating reader.
const UNREAD: usize = 4096;

/// How many servers there may be besides the first.
const MAX_ALSO: usize = 255;

value! {
    /// How many beats met which fate.
    HeartbeatClientCounters in "udpulse.reports" {
        /// Beats sent, goodbyes among them; of several servers each counts.
        sent: u64,
        /// Beats not sent on purpose.
        skipped: u64,
        /// Beats that this host could not send.
        send_failed: u64,
        /// Times the server's host said that nothing listens on the port (ICMP port unreachable).
        refused: u64,
        /// Answers that came in.
        received: u64,
    }
}

value! {
    /// A beat of a HeartbeatClient that was due.
    Beat in "udpulse" {
        /// Its number, from 1.
        seq: u64,
        /// What was done: "sent", "skipped" (not sent, on purpose) or "failed" (a crash was
        /// simulated: this beat and all that follow stay away).
        outcome: &'static str,
        /// When it was due, in seconds since the Unix epoch.
        time: f64,
    }
}

/// Tells a heartbeat server that this process is alive.
///
/// host: the server's address or name; of a name that has both, the IPv4 address is taken.
/// port: the server's port, 1 to 65535.
/// also: up to 255 further servers, each a (host, port); every beat goes to all of them.
/// interval: the time from one beat to the next, in seconds.
/// spread: by how much of the interval, 0 to 0.5, each beat is earlier or later at random.
/// name: what the server knows this client by, also from another address: 1 to 64 bytes without
///     blanks and ";".
/// stall_after: without `progress` for longer than this, in seconds, beats say "stalled"; never
///     where None.
/// count: how many beats, those that `busy` sends out of turn included, at least 1; None is without
///     end, until `stop`.
/// fail_at: the number, from 1, of the beat at which a crash is simulated.
/// fail_chance: the probability, 0 to 1, of a simulated crash at each beat.
/// loss: the probability, 0 to 1, that a beat is not sent, on purpose.
/// seed: makes these choices repeatable (xoshiro256++).
/// format: a message of your own, where {seq} is the beat's number and {time} seconds since the Unix
///     epoch. Without one a beat declares its interval, the name, a boot id that is new with each
///     start, and what `progress` and `busy` told: "Heartbeat;i=1000;b=18f3a2c0d1e;id=api 17
///     1760000000.123456".
///
/// Leaving the `with` block says goodbye, three times 20 ms apart; `stop` does not, like a crash. A
/// process that this one forks has no beats: there the object is stopped.
///
/// `async with` watches the running event loop: while it turns, it marks progress once per interval, or
/// twice per `stall_after` where that is sooner. Where it is blocked the beats go on and say for how
/// long.
///
/// Beats go out on an absolute schedule; after a stall comes one beat, not a burst. Iterating gives
/// each Beat as it is due and ends with the last.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct HeartbeatClient {
    endpoint: Endpoint,
    /// Complete but for the server's address, which is known at the start.
    config: ClientConfig,
    also: Vec<Endpoint>,
    progress: Arc<heartbeat::Progress>,
    handle: Handle<Client>,
}

/// What `HeartbeatClient.progress` gives: marks progress at the end of a `with` block, or after each
/// call of a function that it decorates, also a coroutine function.
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

/// A socket that may send to many.
fn open_any(first: SocketAddr) -> Result<Socket> {
    let any = match first {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Socket::bind(SocketAddr::new(any, 0))
}

impl HeartbeatClient {
    fn mark(&self) {
        if self.progress.mark(now().mono_ns) {
            self.handle.prompt();
        }
    }

    /// How often an event loop that is watched marks progress.
    fn tick_ns(&self) -> i64 {
        let ClientConfig { interval_ns, message, .. } = &self.config;
        match message {
            Message::Declared { stall_after_ns: Some(stall_after_ns), .. } => {
                (stall_after_ns / 2).min(*interval_ns)
            }
            _ => *interval_ns,
        }
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint).chain(&self.also)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let endpoints: Vec<_> =
            std::iter::once(&self.endpoint).chain(&self.also).cloned().collect();
        let mut servers = resolve_all(py, &endpoints)?;
        let open = if servers.len() == 1 { Socket::connect } else { open_any };
        // A socket of IPv6 reaches IPv4, too.
        if servers.iter().any(SocketAddr::is_ipv6) {
            servers = servers.into_iter().map(on_ipv6).collect();
        }
        let (host, port) = address(servers[0]);
        let endpoint = Endpoint { host, port, family: None };
        self.handle.start(py, &endpoint, open, |socket| {
            if let [alone] = &mut servers[..] {
                // The system may have connected elsewhere than asked, as it does for 0.0.0.0.
                *alone = socket.peer_address();
            }
            Client::new(ClientConfig { servers, ..self.config.clone() })
        })
    }
}

impl From<heartbeat::Beat> for Beat {
    fn from(heartbeat::Beat { seq, at, outcome }: heartbeat::Beat) -> Self {
        Self {
            seq,
            outcome: match outcome {
                Outcome::Failed => "failed",
                Outcome::Sent => "sent",
                Outcome::Skipped => "skipped",
            },
            time: seconds(at.wall_ns),
        }
    }
}

running_object!(HeartbeatClient: Beat {
    #[new]
    #[pyo3(
        signature = (
            host, port = Integer::new(12_000), *, also = None, interval = Seconds(1.0), spread = 0.0,
            name = None, stall_after = None, count = None, fail_at = None, fail_chance = 0.0,
            loss = 0.0, seed = None, format = None,
        ),
        text_signature = "(host, port=12000, *, also=(), interval=1.0, spread=0.0, name=None, \
                          stall_after=None, count=None, fail_at=None, fail_chance=0.0, loss=0.0, \
                          seed=None, format=None)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        host: String,
        port: Integer,
        also: Option<&Bound<'_, PyAny>>,
        interval: Seconds,
        spread: f64,
        name: Option<&str>,
        stall_after: Option<Seconds>,
        count: Option<Integer>,
        fail_at: Option<Integer>,
        fail_chance: f64,
        loss: f64,
        seed: Option<Integer>,
        format: Option<&str>,
    ) -> PyResult<Self> {
        if let Some(name) = name.filter(|name| !is_name(name.as_bytes())) {
            let allowed = format!("1 to {MAX_NAME} bytes without blanks and \";\"");
            return Err(Error::argument("name", format!("'{name}'"), allowed).into());
        }
        if !(0.0..=0.5).contains(&spread) {
            return Err(Error::number("spread", spread, "a part of the interval from 0 to 0.5").into());
        }
        let stall_after = stall_after.map(|stall| args::duration_ns("stall_after", stall));
        let progress = Arc::new(heartbeat::Progress::default());
        let message = match format {
            Some(format) => Message::Template(Template::parse("format", format)?),
            None => Message::Declared {
                name: name.map(|name| name.as_bytes().into()),
                progress: Arc::clone(&progress),
                stall_after_ns: stall_after.transpose()?,
            },
        };
        let config = ClientConfig {
            servers: Vec::new(),
            interval_ns: args::duration_ns("interval", interval)?,
            spread,
            count: args::count("count", count.as_ref())?,
            fail_at: args::count("fail_at", fail_at.as_ref())?,
            fail_chance: probability("fail_chance", fail_chance)?,
            loss: probability("loss", loss)?,
            seed: args::seed(seed.as_ref())?,
            message,
            events: UNREAD,
        };
        let endpoint = args::remote(host, &port)?;
        let also = also.map(|also| args::pairs("also", also, MAX_ALSO)).transpose()?;
        let also = also.unwrap_or_default();
        Ok(Self { endpoint, config, also, progress, handle: Handle::new("HeartbeatClient") })
    }

    /// The (host, port) that the beats go to.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn server(&self, py: Python<'_>) -> PyResult<Address> {
        let first = self.handle.look(py, |client| client.server());
        first.map_or_else(|| self.handle.peer(), |first| Ok(address(first)))
    }

    /// The application gets somewhere: beats carry the time since then, from any thread.
    ///
    /// It is also a context manager that marks progress at its end, and a decorator that does after
    /// each call: `with beat.progress(): ...`, `@beat.progress()`. Where the interpreter that calls it is
    /// stuck, the beats go on and say for how long.
    fn progress(slf: Bound<'_, Self>) -> Progress {
        slf.get().mark();
        Progress(slf.unbind())
    }

    /// Announce that there may be silence, at once: the next beat does not wait for its turn.
    ///
    /// until: the end of it, in seconds since the Unix epoch; `progress` ends it before, at once, too.
    ///
    /// The server holds its verdict until then and its timeout. Raises ValueError where `until` is not
    /// a time to come.
    #[pyo3(signature = (*, until))]
    fn busy(&self, until: f64) -> Result<()> {
        let now = now();
        let until_ns = crate::nanoseconds(until).filter(|until_ns| *until_ns > now.wall_ns);
        let until_ns = until_ns.ok_or_else(|| {
            Error::number("until", until, "a time to come in seconds since the Unix epoch")
        })?;
        self.progress.announce_silence(now.mono_ns.saturating_add(until_ns.saturating_sub(now.wall_ns)));
        self.handle.prompt();
        Ok(())
    }

    /// How often a watched event loop calls `_tick`, in seconds.
    #[getter]
    fn _tick_period(&self) -> f64 {
        seconds(self.tick_ns())
    }

    /// The event loop turns; what `busy` announced stands.
    fn _tick(&self) {
        self.progress.tick(now().mono_ns);
    }

    /// How many beats met which fate since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> HeartbeatClientCounters {
        let counters = self.handle.look(py, |client| client.counters());
        let ClientCounters { sent, skipped, send_failed, refused, received } = counters;
        HeartbeatClientCounters { sent, skipped, send_failed, refused, received }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let HeartbeatClientCounters { sent, .. } = self.counters(py);
        let what = self.handle.describe(&self.endpoint);
        format!("{what}, to={}, sent={sent})", self.endpoint)
    }
});
