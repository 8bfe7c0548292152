//! `HeartbeatClient`.

use pyo3::prelude::*;

use crate::Result;
use crate::heartbeat::{self, Client, ClientConfig, ClientCounters, Outcome};
use crate::impair::probability;
use crate::net::{Endpoint, Socket};
use crate::python::args::{self, Integer, Seconds};
use crate::python::handle::{Handle, running_object};
use crate::python::value::{Address, value};
use crate::seconds;
use crate::wire::Template;

/// How many beats wait for an iterating reader.
const UNREAD: usize = 4096;

value! {
    /// How many beats met which fate.
    HeartbeatClientCounters {
        /// Beats sent.
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
    Beat {
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
/// interval: the time from one beat to the next, in seconds.
/// count: how many beats, at least 1; None is without end, until `stop`.
/// fail_at: the number, from 1, of the beat at which a crash is simulated.
/// fail_chance: the probability, 0 to 1, of a simulated crash at each beat.
/// loss: the probability, 0 to 1, that a beat is not sent, on purpose.
/// seed: makes these choices repeatable (xoshiro256++).
/// format: the message; {seq} is the beat's number, {time} seconds since the Unix epoch.
///
/// Beats go out on an absolute schedule; after a stall comes one beat, not a burst. Iterating gives
/// each Beat as it is due and ends with the last.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, module = "udpulse")]
pub(super) struct HeartbeatClient {
    endpoint: Endpoint,
    /// Complete but for the server's address, which is known at the start.
    config: ClientConfig,
    handle: Handle<Client>,
}

impl HeartbeatClient {
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.start(py, &self.endpoint, Socket::connect, |socket| {
            Client::new(ClientConfig { server: socket.peer_address(), ..self.config.clone() })
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
            host, port = Integer::new(12_000), *, interval = Seconds(1.0), count = None, fail_at = None,
            fail_chance = 0.0, loss = 0.0, seed = None, format = "Heartbeat {seq} {time}",
        ),
        text_signature = "(host, port=12000, *, interval=1.0, count=None, fail_at=None, \
                          fail_chance=0.0, loss=0.0, seed=None, format='Heartbeat {seq} {time}')",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        host: String,
        port: Integer,
        interval: Seconds,
        count: Option<Integer>,
        fail_at: Option<Integer>,
        fail_chance: f64,
        loss: f64,
        seed: Option<Integer>,
        format: &str,
    ) -> Result<Self> {
        let config = ClientConfig {
            server: ([0, 0, 0, 0], 0).into(),
            interval_ns: args::duration_ns("interval", interval)?,
            count: args::count("count", count.as_ref())?,
            fail_at: args::count("fail_at", fail_at.as_ref())?,
            fail_chance: probability("fail_chance", fail_chance)?,
            loss: probability("loss", loss)?,
            seed: args::seed(seed.as_ref())?,
            message: Template::parse("format", format)?,
            events: UNREAD,
        };
        let endpoint = args::remote(host, &port)?;
        Ok(Self { endpoint, config, handle: Handle::new("HeartbeatClient") })
    }

    /// The (host, port) that the beats go to.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn server(&self) -> PyResult<Address> {
        self.handle.peer()
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
