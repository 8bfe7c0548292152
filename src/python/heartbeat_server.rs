//! `HeartbeatServer`.

use pyo3::prelude::*;

use crate::heartbeat::{self, Server, ServerConfig, ServerCounters};
use crate::net::{Endpoint, Socket};
use crate::python::args::{self, Integer, Seconds};
use crate::python::events::Event;
use crate::python::handle::{Handle, running_object};
use crate::python::value::{Address, address, value};
use crate::{NS_PER_SECOND, Result, seconds};

/// How many events wait for an iterating reader.
const UNREAD: usize = 65_536;

value! {
    /// How many datagrams met which fate:
    /// received = beats + duplicates + stale + ignored + refused.
    HeartbeatServerCounters {
        /// Datagrams that came in.
        received: u64,
        /// Heartbeats, each counted once.
        beats: u64,
        /// Of these, the ones that had been reported lost.
        late: u64,
        /// Heartbeats that had come before.
        duplicates: u64,
        /// Heartbeats too old to say whether they had come before.
        stale: u64,
        /// Datagrams that are no heartbeat: neither a number nor a time is in them.
        ignored: u64,
        /// Datagrams of clients that found the table full.
        refused: u64,
        /// Answers sent.
        replied: u64,
        /// Answers that this host could not send.
        send_failed: u64,
    }
}

value! {
    /// What a HeartbeatServer knows of a client.
    Peer {
        /// The (host, port) that its last beat came from.
        address: Address,
        /// "up", or "down" where it has been silent for the timeout.
        state: &'static str,
        /// When its last beat came that was news, in seconds since the Unix epoch.
        last: f64,
        /// The highest number heard; None where its beats carry none.
        seq: Option<u64>,
        /// How many of its beats came since it started, each counted once.
        received: u64,
        /// How many should have come, from the first heard to the highest; None without numbers.
        expected: Option<u64>,
    }
}

/// Tells which clients are alive by the heartbeats that they send.
///
/// host: the address to bind; "" is all interfaces (IPv4), "::" is all (IPv6).
/// port: 0 to 65535; 0 is any free port, see `address`.
/// timeout: how long a silence means that a client has stopped, in seconds.
/// by_host: tell clients apart by their hosts alone, not by address and port.
/// reply: answer each beat with its text in upper case.
/// max_peers: how many clients are followed, at least 1; others are refused and counted. Clients
///     that have stopped make room for new ones.
/// every_beat: give each datagram as an event (Heard, Ignored), not only what it changes.
///
/// A beat is any datagram that holds a whole number, its sequence number, or a time: Unix time in
/// seconds, milli-, micro- or nanoseconds, an ISO date and time, C's ctime, or H:M:S.
///
/// Iterating gives what happens: Up, Lost, Late, Down, Recovered, Restarted.
///
/// Raises ValueError for an argument out of range.
#[pyclass(frozen, module = "udpulse")]
pub(super) struct HeartbeatServer {
    endpoint: Endpoint,
    config: ServerConfig,
    handle: Handle<Server>,
}

impl HeartbeatServer {
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let time = py.import("time")?;
        let offset: i64 = time.call_method0("localtime")?.getattr("tm_gmtoff")?.extract()?;
        let config = ServerConfig { utc_offset_ns: offset * NS_PER_SECOND, ..self.config.clone() };
        self.handle.start(py, &self.endpoint, Socket::bind, |_| Server::new(config))
    }
}

running_object!(HeartbeatServer: Event {
    #[new]
    #[pyo3(
        signature = (
            host = "127.0.0.1".to_owned(), port = Integer::new(12_000), *, timeout = Seconds(5.0),
            by_host = false, reply = false, max_peers = Integer::new(65_536), every_beat = false,
        ),
        text_signature = "(host='127.0.0.1', port=12000, *, timeout=5.0, by_host=False, \
                          reply=False, max_peers=65536, every_beat=False)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn new(
        host: String,
        port: Integer,
        timeout: Seconds,
        by_host: bool,
        reply: bool,
        max_peers: Integer,
        every_beat: bool,
    ) -> Result<Self> {
        let config = ServerConfig {
            timeout_ns: args::duration_ns("timeout", timeout)?,
            by_host,
            reply,
            max_peers: max_peers.within("max_peers", 1..=u64::from(u32::MAX))?,
            utc_offset_ns: 0,
            every_beat,
            events: UNREAD,
        };
        let endpoint = args::local(host, &port)?;
        Ok(Self { endpoint, config, handle: Handle::new("HeartbeatServer") })
    }

    /// How many datagrams met which fate since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> HeartbeatServerCounters {
        let counters = self.handle.look(py, |server| server.counters());
        let ServerCounters {
            received, beats, late, duplicates, stale, ignored, refused, replied, send_failed,
        } = counters;
        HeartbeatServerCounters {
            received, beats, late, duplicates, stale, ignored, refused, replied, send_failed,
        }
    }

    /// The clients heard since the last start and not forgotten, in no order.
    fn peers(&self, py: Python<'_>) -> Vec<Peer> {
        let peers: Vec<_> = self.handle.look(py, |server| server.peers().cloned().collect());
        peers.iter().map(peer).collect()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let peers = self.handle.look(py, |server| server.peers().count());
        let HeartbeatServerCounters { beats, .. } = self.counters(py);
        format!("{}, peers={peers}, beats={beats})", self.handle.describe(&self.endpoint))
    }
});

fn peer(peer: &heartbeat::Peer) -> Peer {
    Peer {
        address: address(peer.address),
        state: if peer.down { "down" } else { "up" },
        last: seconds(peer.fresh.wall_ns),
        seq: peer.highest(),
        received: peer.received(),
        expected: peer.expected(),
    }
}
