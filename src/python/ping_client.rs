//! `PingClient` and `ping`.

use pyo3::prelude::*;

use crate::net::{Endpoint, Socket};
use crate::ping::{Config, Report, Session, Verdict};
use crate::python::args::{self, Integer, Seconds};
use crate::python::handle::{Handle, running_object};
use crate::python::value::{Address, value};
use crate::{Result, seconds, stats};

/// How many decided probes wait for an iterating reader.
const UNREAD: usize = 65_536;

value! {
    /// A probe that was decided.
    Probe {
        /// Its number, from 1.
        seq: u64,
        /// What became of it: "answered" in time, "lost" (no reply in time), "refused" (no reply,
        /// and the host said that nothing listens on the port) or "send_failed" (this host could
        /// not send it).
        verdict: &'static str,
        /// The round-trip time in seconds (RFC 2681), from a clock that never steps; None without
        /// a reply in time.
        rtt: Option<f64>,
        /// The payload of the reply, at most 1024 bytes of it; None without one in time.
        reply: Option<Vec<u8>>,
        /// When it was sent, in seconds since the Unix epoch.
        sent: f64,
    }
}

value! {
    /// Round-trip times in seconds (RFC 2681) of the probes answered in time.
    Rtt {
        /// How many.
        count: u64,
        /// The smallest; None without any.
        min: Option<f64>,
        /// The arithmetic mean; None without any.
        mean: Option<f64>,
        /// The largest; None without any.
        max: Option<f64>,
    }
}

value! {
    /// What a ping session measured. At every moment
    /// sent = answered + late + lost + refused + send_failed + pending (probes) and
    /// received = answered + late + duplicates + foreign (datagrams).
    PingReport {
        /// Probes sent.
        sent: u64,
        /// Probes answered within the timeout.
        answered: u64,
        /// Probes answered after it.
        late: u64,
        /// Probes not answered, and no reason known.
        lost: u64,
        /// Probes not answered because nothing listens on the port (ICMP port unreachable).
        refused: u64,
        /// Probes that this host could not send.
        send_failed: u64,
        /// Probes whose time is not up.
        pending: u64,
        /// Datagrams that came in.
        received: u64,
        /// Further replies to a probe that had one (RFC 5560).
        duplicates: u64,
        /// Datagrams that are no reply to any probe.
        foreign: u64,
        /// The share, 0 to 1, of the probes decided that had no answer in time (round-trip loss,
        /// RFC 6673; what comes after the timeout is lost, RFC 2680 section 2.4); None before any
        /// is decided.
        loss: Option<f64>,
        /// The round-trip times.
        rtt: Rtt,
    }
}

/// A UDP ping client: sends numbered probes to a server that echoes them and matches the replies.
///
/// host: the server's address or name; of a name that has both, the IPv4 address is taken.
/// port: the server's port, 1 to 65535.
/// count: how many probes, at least 1; None is without end, until `stop`.
/// timeout: how long each reply is waited for, in seconds.
///
/// The next probe goes out when the last was answered or its time is up. A probe is one line of
/// ASCII, "Ping seq time" (seconds since the Unix epoch). A reply that carries a number belongs to
/// the probe of that number, one without any to the probe that waits.
///
/// Iterating gives each Probe as it is decided and ends with the last.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, module = "udpulse")]
pub(super) struct PingClient {
    endpoint: Endpoint,
    count: Option<u64>,
    timeout_ns: i64,
    events: usize,
    handle: Handle<Session>,
}

impl PingClient {
    fn make(
        host: String,
        port: &Integer,
        count: Option<&Integer>,
        timeout: Seconds,
        events: usize,
    ) -> Result<Self> {
        Ok(Self {
            endpoint: args::remote(host, port)?,
            count: args::count("count", count)?,
            timeout_ns: args::duration_ns("timeout", timeout)?,
            events,
            handle: Handle::new("PingClient"),
        })
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let Self { count, timeout_ns, events, .. } = *self;
        self.handle.start(py, &self.endpoint, Socket::connect, |socket| {
            Session::new(Config { target: socket.peer_address(), count, timeout_ns, events })
        })
    }
}

impl From<crate::ping::Probe> for Probe {
    fn from(probe: crate::ping::Probe) -> Self {
        Self {
            seq: probe.seq,
            verdict: verdict(probe.verdict),
            rtt: probe.rtt_ns.map(seconds),
            reply: probe.reply.map(Vec::from),
            sent: seconds(probe.sent.wall_ns),
        }
    }
}

running_object!(PingClient: Probe {
    #[new]
    #[pyo3(
        signature = (
            host, port = Integer::new(12_000), *, count = Some(Integer::new(10)), timeout = Seconds(1.0),
        ),
        text_signature = "(host, port=12000, *, count=10, timeout=1.0)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn new(host: String, port: Integer, count: Option<Integer>, timeout: Seconds) -> Result<Self> {
        Self::make(host, &port, count.as_ref(), timeout, UNREAD)
    }

    /// The (host, port) that the pings go to.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn server(&self) -> PyResult<Address> {
        self.handle.peer()
    }

    /// What was measured since the last start; consistent also while it runs.
    fn report(&self, py: Python<'_>) -> PingReport {
        report(&self.handle.look(py, |session| session.report()))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let PingReport { sent, answered, .. } = self.report(py);
        let what = self.handle.describe(&self.endpoint);
        format!("{what}, to={}, sent={sent}, answered={answered})", self.endpoint)
    }
});

/// Ping a UDP echo server and return the PingReport.
///
/// The arguments are those of PingClient; count is at least 1. Blocks until the last probe is
/// decided; Ctrl-C ends it at once.
///
/// Raises ValueError for an argument out of range, OSError where the system refuses the address and
/// socket.gaierror where the host has none.
#[pyfunction]
#[pyo3(
    signature = (host, port = Integer::new(12_000), *, count = Integer::new(10), timeout = Seconds(1.0)),
    text_signature = "(host, port=12000, *, count=10, timeout=1.0)",
)]
#[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
pub(super) fn ping(
    py: Python<'_>,
    host: String,
    port: Integer,
    count: Integer,
    timeout: Seconds,
) -> PyResult<PingReport> {
    let client = PingClient::make(host, &port, Some(&count), timeout, 0)?;
    client.run(py)?;
    client.handle.join(py)?;
    Ok(client.report(py))
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Answered => "answered",
        Verdict::Late => "late",
        Verdict::Lost => "lost",
        Verdict::Pending => "pending",
        Verdict::Refused => "refused",
        Verdict::SendFailed => "send_failed",
    }
}

fn report(Report { counters, rtt }: &Report) -> PingReport {
    PingReport {
        sent: counters.sent,
        answered: counters.answered,
        late: counters.late,
        lost: counters.lost,
        refused: counters.refused,
        send_failed: counters.send_failed,
        pending: counters.pending,
        received: counters.received,
        duplicates: counters.duplicates,
        foreign: counters.foreign,
        loss: counters.loss(),
        rtt: summary(rtt),
    }
}

fn summary(rtt: &stats::Rtt) -> Rtt {
    Rtt {
        count: rtt.count(),
        min: rtt.min_ns().map(seconds),
        mean: rtt.mean_ns().map(|ns| ns / 1e9),
        max: rtt.max_ns().map(seconds),
    }
}
