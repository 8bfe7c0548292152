//! `Relay`.

use pyo3::prelude::*;

use crate::driver;
use crate::net::{Endpoint, now};
use crate::path::{self, Changeable, Ended, OutageMode, Reason};
use crate::python::args::{
    Argument, Count, Int, Keep, LocalHost, LocalPort, RemoteHost, RemotePort, Seconds, Seed, Word,
    pair,
};
use crate::python::capture::{self, File, Snaplen, captured};
use crate::python::echo_server::LinkCounters;
use crate::python::fates::{Columns, Rows};
use crate::python::handle::{Handle, running_object};
use crate::python::options::{Given, given, options};
use crate::python::paths::{Client, Live, PerClient, changeable, check_refusal, fated};
use crate::python::table::{Table, arrow_stream};
use crate::python::timeline::{PathEvent, Step, Timeline};
use crate::python::value::{Address, address, value};
use crate::relay::{self, Relay as Machine};
use crate::{Result, seconds};

/// Maximum number of clients.
const MAX_CLIENTS: u64 = 60_000;

value! {
    /// Packet counts of a Relay, both ways: received = relayed + dropped + send_failed + the pending of
    /// `truth`.
    RelayCounters in "udpulse.reports" {
        *,
        /// Packets received.
        received: u64 = 0,
        /// Packets passed on; a packet with several copies counts once.
        relayed: u64 = 0,
        /// Packets not passed on on purpose, or refused by the upstream; `truth` has the reasons.
        dropped: u64 = 0,
        /// Packets that this host could not send.
        send_failed: u64 = 0,
    }
}

value! {
    /// Counts of a Relay beyond RelayCounters: impairments, sessions and drops.
    RelayTruth in "udpulse.reports" {
        *,
        /// Impairments from the clients to the upstream.
        uplink: LinkCounters = None or path::LinkCounters::default().into(),
        /// Impairments from the upstream to the clients.
        downlink: LinkCounters = None or path::LinkCounters::default().into(),
        /// Datagrams sent, copies included.
        sent: u64 = 0,
        /// Packets that are neither passed on nor dropped yet: they are delayed.
        pending: u64 = 0,
        /// Datagrams that are delayed, copies included.
        delayed: u64 = 0,
        /// Datagrams that the upstream refused (ICMP port unreachable).
        refused: u64 = 0,
        /// Packets dropped because they had no hops left.
        hops: u64 = 0,
        /// Copies dropped because the delay line was full: 32 MiB each way.
        delay_line_full: u64 = 0,
        /// Copies dropped because their client's session ended before they left.
        expired: u64 = 0,
        /// Clients with a session now.
        sessions: u64 = 0,
        /// Sessions that ended because neither side was active.
        idle: u64 = 0,
        /// Sessions that ended because another client needed their place.
        evicted: u64 = 0,
        /// Datagrams that this host dropped before they were read, those of a session's socket once
        /// it is closed; 0 if the platform does not report them.
        receive_drops: u64 = 0,
    }
}

value! {
    /// The end of a client's session at a Relay.
    SessionEnded in "udpulse.events" {
        *,
        /// The client's (host, port).
        client: Address,
        /// The time of the end, in seconds since the Unix epoch.
        time: f64,
        /// "idle" if neither side was active, "evicted" if another client needed its place.
        reason: Word<Reason>,
        /// The number of packets that came to its uplink.
        uplink: u64,
        /// The number of packets that came to its downlink.
        downlink: u64,
    }
}

impl From<Ended> for SessionEnded {
    fn from(Ended { at, client, reason, packets: [uplink, downlink] }: Ended) -> Self {
        let (client, time, reason) = (address(client), seconds(at.wall_ns), Word(reason));
        Self { client, time, reason, uplink, downlink }
    }
}

macro_rules! relay_options {
    ($($part:tt)*) => { options! { { $($part)* }
        /// the upstream's address or name, which is looked up at the start.
        host: RemoteHost,
        /// the upstream's port, 1 to 65535.
        port: RemotePort,
        *,
        /// the (host, port) for clients; "" for all interfaces (IPv4), "::" for all (IPv6), and port
        /// 0 for any free one, see `address`. On Linux a reply leaves from the address to which the
        /// client sent.
        listen: Listen = ("127.0.0.1", 0),
        /// the Link from the clients to the upstream; None for an unimpaired one. It can be set
        /// while the relay runs.
        uplink: Live = None,
        /// the Link from the upstream to the clients; None for an unimpaired one. It can be set,
        /// too.
        downlink: Live = None,
        /// (uplink, downlink) pairs, each a Link or None, at most 65536: links of the first client,
        /// of the second and so on, in order of their first packets.
        per_client: PerClient = (),
        /// the seed of all random choices (xoshiro256++); drawn at random if None. A client's
        /// choices depend on the seed, its IP address and the rank of its port at that address, in
        /// order of first packets, and are separate for each way.
        seed: Seed = None,
        /// how long a client's session lasts without a packet of either side, in seconds (RFC 4787
        /// section 4.3); None for no limit.
        idle: Option<Seconds> = 120.0,
        /// the most sessions, 1 to 60000: another client ends the longest idle one.
        max_clients: Int<usize, 1, MAX_CLIENTS> = 16384,
        /// the TTL or hop limit of all packets, 1 to 255; None for one less than they came with
        /// (Linux; elsewhere the system's).
        ttl: Option<Int<u8, 1, 255>> = None,
        /// the changes of its links and outages, at most 1000: each a Step, or a dict with its fields
        /// as JSON has them. `steps` returns those that were taken.
        timeline: Timeline = (),
        /// the number of last fates to keep, or "all". `fates` and `columns` return them; iterating
        /// reads each once and removes none. With 0 there is nothing to iterate over.
        keep: Keep = 10000,
        /// the path of a pcapng file for the packets at each point of the path, each with its
        /// verdict as a comment; None for no capture. A start replaces the file.
        capture: Option<File> = None,
        /// the most bytes that the capture keeps of a packet, with its headers, 48 to 65575; None
        /// for all.
        capture_snaplen: Option<Snaplen> = None,
        /// the most bytes of the file, 1 or more. The packets that do not fit are counted as
        /// `capture_dropped`.
        capture_limit: Count = 1073741824,
    } };
}

relay_options!(settings);

/// An address to bind.
struct Listen(String, u16);

impl Argument for Listen {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (LocalHost(host), Int(port)): (_, LocalPort) = pair(name, given, "a (host, port)")?;
        Ok(Self(host, port))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok((self.0.as_str(), self.1).into_pyobject(py)?.into_any())
    }
}

#[doc = relay_options!(signature Relay)]
/// A bad path between any two UDP programs: clients send to its `address` in place of the upstream.
///
#[doc = relay_options!(docs)]
/// Each client gets a path of its own, and a socket of its own towards the upstream. The type of
/// service with its ECN bits is passed on (Linux), and the TTL lowered by one, so that a ring of
/// relays ends. If the upstream refuses packets, the relay goes on, and so does the client when the
/// upstream is back.
///
/// Iterating yields each packet's Fate when its last copy has left, and SessionEnded when a session
/// ends; packets that were delayed then follow as "expired".
///
/// Raises ValueError if an argument is out of range.
#[pyclass(frozen, weakref, module = "udpulse")]
pub(super) struct Relay {
    settings: Settings,
    /// The address to bind and the upstream.
    endpoints: [Endpoint; 2],
    pub(super) handle: Handle<Machine>,
}

relay_options!(class Relay);
running_object!(Relay: PathEvent);
changeable!(Relay);
captured!(Relay);
fated! { Relay: Rows = "fates", "(self, table='fates')"
    /// Returns the kept fates as a dict of read-only NumPy arrays of shape (n,).
    ///
    /// table: "fates" for a row per packet, in order of completion, or "copies" for a row per datagram
    ///     sent, with the columns of `EchoServer.columns`. "fates" has one more:
    ///     way: uint8, 0 for a packet to the upstream and 1 for one to a client.
    ///
    /// The rows of a running relay change between calls: stop it before you relate the tables or
    /// `clients` to each other.
    ///
    /// Raises ValueError for another table.
}
arrow_stream!(Relay);

impl Relay {
    fn make(settings: Settings) -> PyResult<Self> {
        let listen = Endpoint::new(settings.listen.0.clone(), settings.listen.1)?;
        let upstream = Endpoint::new(settings.host.0.clone(), settings.port.0)?;
        let relay = Self { settings, endpoints: [listen, upstream], handle: Handle::new("Relay") };
        relay.config()?;
        Python::attach(|py| relay.settings.timeline.check(py, |step| relay.check_step(step)))?;
        Ok(relay)
    }

    fn config(&self) -> Result<relay::Config> {
        let settings = &self.settings;
        Ok(relay::Config {
            uplink: settings.uplink.model()?,
            downlink: settings.downlink.model()?,
            per_client: settings.per_client.model()?,
            seed: Some(settings.seed.0),
            idle_ns: settings.idle.map(Seconds::ns),
            max_clients: settings.max_clients.0,
            ttl: settings.ttl.as_ref().map(|ttl| ttl.0),
            keep: settings.keep.rows().unwrap_or(usize::MAX),
            timeline: settings.timeline.model(0, self.handle.is_recorded())?,
            ..relay::Config::default()
        })
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter()
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let Settings { capture, capture_snaplen, capture_limit, .. } = &self.settings;
        let capture = capture::config(capture.as_ref(), *capture_snaplen, *capture_limit);
        let mut config = self.config()?;
        self.handle.launch(py, self.endpoints(), |addresses| {
            config.timeline.start_ns = now().mono_ns;
            driver::relay::start(addresses[0], addresses[1], config, capture.as_ref())
        })
    }

    /// Refuses an outage that a relay cannot have.
    #[expect(clippy::unused_self, reason = "an echo server needs itself")]
    fn check_outage(&self, mode: OutageMode, ways: [bool; 2]) -> Result<()> {
        check_refusal(mode, ways)
    }

    /// Refuses a step that it cannot take.
    fn check_step(&self, step: &Step) -> Result<()> {
        step.outage().map_or(Ok(()), |(mode, ways)| self.check_outage(mode, ways))
    }

    fn rows(&self, py: Python<'_>) -> Table {
        self.rows_of(py, Rows::Fates)
    }

    fn rows_of(&self, py: Python<'_>, rows: Rows) -> Table {
        let (columns, started_ns) =
            self.handle.look_since(py, |relay| Columns::of(relay.fates()).with_ways());
        columns.table(rows, started_ns)
    }
}

#[pymethods]
impl Relay {
    /// Packet counts since the last start.
    #[getter]
    fn counters(&self, py: Python<'_>) -> RelayCounters {
        let counters = self.handle.look(py, |relay| relay.counters());
        let path::Counters { received, replied, dropped, send_failed } = counters;
        RelayCounters { received, relayed: replied, dropped, send_failed }
    }

    /// Counts of impairments, sessions and drops since the last start.
    #[getter]
    fn truth(&self, py: Python<'_>) -> RelayTruth {
        let truth = self.handle.look(py, |relay| relay.truth());
        let relay::Truth { uplink, downlink, sent, pending, delayed, refused, hops, .. } = truth;
        let relay::Truth { delay_line_full, expired, sessions, idle, evicted, .. } = truth;
        RelayTruth {
            uplink: uplink.into(),
            downlink: downlink.into(),
            sent,
            pending,
            delayed,
            refused,
            hops,
            delay_line_full,
            expired,
            sessions,
            idle,
            evicted,
            receive_drops: truth.receive_drops,
        }
    }

    /// The upstream's (host, port), the host an IP address.
    ///
    /// Raises NotStartedError before the first start.
    #[getter]
    fn upstream(&self) -> PyResult<Address> {
        self.handle.peer()
    }

    /// Replaces the port of a client, or of all, towards the upstream, as a NAT does after it forgot
    /// them.
    ///
    /// client: its (host, port), the host an IP address; None for all.
    ///
    /// What the upstream still sends to the old port is lost. Returns the number of clients.
    ///
    /// Raises NotStartedError before the first start.
    #[pyo3(signature = (client = given!(None)), text_signature = "($self, client=None)")]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn rebind(&self, py: Python<'_>, client: Given<'_>) -> PyResult<usize> {
        let client: Option<Client> = client.read(py, "client")?;
        self.handle.address()?;
        let count = self.handle.look(py, |relay| relay.rebind(client.map(|client| client.0)));
        self.handle.prompt();
        Ok(count)
    }

    /// The list of clients with a session, each a (host, port), the longest idle first.
    #[getter]
    fn sessions(&self, py: Python<'_>) -> Vec<Address> {
        let clients = self.handle.look(py, |relay| relay.clients());
        clients.into_iter().map(address).collect()
    }

    /// The time of the last start, in seconds since the Unix epoch; None before the first.
    #[getter]
    fn started_at(&self) -> Option<f64> {
        self.handle.started_ns().map(seconds)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let RelayCounters { received, relayed, dropped, .. } = self.counters(py);
        let (what, changed) = (self.handle.describe(Some(&self.endpoints[0])), self.changed(py)?);
        let upstream = &self.endpoints[1];
        Ok(format!(
            "{what}, upstream={upstream}{changed}, received={received}, relayed={relayed}, \
             dropped={dropped})"
        ))
    }
}
