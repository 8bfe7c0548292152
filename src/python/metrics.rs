//! `_exposition`, which `udpulse.metrics` calls.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::heartbeat::{ClientCounters, Peer, ServerCounters, State};
use crate::impair::Flags;
use crate::net::Endpoint;
use crate::path::{self, LinkCounters};
use crate::ping::{Directions, Flows, Report, Tally, Verdict, Ways};
use crate::python::echo_server::EchoServer;
use crate::python::heartbeat_client::HeartbeatClient;
use crate::python::heartbeat_server::HeartbeatServer;
use crate::python::ping_client::{Client, PingClient};
use crate::python::ping_many::PingSweep;
use crate::python::ping_report::PingReport;
use crate::python::relay::Relay;
use crate::python::stamp_reflector::StampReflector;
use crate::python::stamp_sender::StampSender;
use crate::python::value::text;
use crate::stats::{Buckets, Exposition, Kind, Labels, Value};
use crate::{echo, relay, stamp};

/// A name, an object, its counts from before the start, and labels of its own.
type Source<'py> = (String, Bound<'py, PyAny>, Base, BTreeMap<String, String>);

/// Counts from before the start of an object, by the names of its counters.
type Base = HashMap<String, u64>;

/// The numbers of an object.
struct Row<T> {
    now: T,
    base: Base,
}

impl<T> Row<T> {
    /// Returns the value of the counter `name`, including the counts from before the start.
    fn since_before(&self, name: &str, value: Value) -> Value {
        match (value, self.base.get(name)) {
            (Value::Count(count), Some(base)) => Value::Count(count.saturating_add(*base)),
            _ => value,
        }
    }
}

/// A family with at most one sample for each row.
struct Metric<T> {
    /// The name of the counter in Python, after the prefix of its table.
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&T) -> Option<Value>,
}

const fn counter<T>(
    name: &'static str,
    help: &'static str,
    read: fn(&T) -> Option<Value>,
) -> Metric<T> {
    Metric { name, kind: Kind::Counter, help, read }
}

const fn gauge<T>(
    name: &'static str,
    help: &'static str,
    read: fn(&T) -> Option<Value>,
) -> Metric<T> {
    Metric { name, kind: Kind::Gauge, help, read }
}

#[expect(clippy::unnecessary_wraps, reason = "as a metric is read")]
fn count(count: u64) -> Option<Value> {
    Some(Value::Count(count))
}

#[expect(clippy::unnecessary_wraps, reason = "as a metric is read")]
fn ns(ns: i64) -> Option<Value> {
    Some(Value::Nanoseconds(ns))
}

/// Rows of one kind by their labels.
type Table<T> = BTreeMap<Labels, Row<T>>;

/// A family with a sample for each word of a label.
struct ByWord<T> {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    label: &'static str,
    read: fn(&T) -> Vec<(&'static str, u64)>,
}

/// A running object of any class.
struct Object {
    running: bool,
    started_ns: Option<i64>,
    events_dropped: u64,
}

const OBJECT: [Metric<Object>; 3] = [
    gauge("running", "Whether the object is running.", |o| count(o.running.into())),
    gauge("start_time_seconds", "The last start.", |o| Some(Value::Nanoseconds(o.started_ns?))),
    counter("events_dropped", "Events dropped before they were read.", |o| count(o.events_dropped)),
];

const PING: [Metric<Tally>; 17] = [
    counter("sent", "Settled probes: no reply revises them any more.", |t| count(t.sent())),
    counter("answered", "Settled probes answered within the timeout.", |t| {
        count(t.of(Verdict::Answered))
    }),
    counter("late", "Settled probes answered after the timeout.", |t| count(t.of(Verdict::Late))),
    counter("lost", "Settled probes without an answer, for no known reason.", |t| {
        count(t.of(Verdict::Lost))
    }),
    counter("refused", "Settled probes without an answer after an ICMP port unreachable.", |t| {
        count(t.of(Verdict::Refused))
    }),
    counter("unreachable", "Settled probes without an answer after another ICMP error.", |t| {
        count(t.of(Verdict::Unreachable))
    }),
    counter("send_failed", "Settled probes that this host could not send.", |t| {
        count(t.of(Verdict::SendFailed))
    }),
    counter("duplicates", "Replies to a probe that already had one.", |t| count(t.duplicates)),
    counter("corrupt", "Damaged replies.", |t| count(t.corrupt)),
    counter("foreign", "Datagrams that answer no probe.", |t| count(t.foreign)),
    counter("reordered", "Replies that arrived after one to a later probe.", |t| {
        count(t.reordered)
    }),
    counter("missed", "Slots of the schedule that passed unused.", |t| count(t.missed)),
    counter("receive_drops", "Datagrams that this host dropped before they were read.", |t| {
        count(t.receive_drops)
    }),
    counter("loss_bursts", "Runs of probes without an answer in time.", |t| count(t.loss_bursts)),
    counter("outages", "Runs of three and more of them, or as many as outage_after says.", |t| {
        count(t.outages)
    }),
    counter("pause_seconds", "Time in which this process did not run although it had work.", |t| {
        ns(t.paused_ns)
    }),
    gauge("last_reply_timestamp_seconds", "Arrival of the last reply.", |t| {
        Some(Value::Nanoseconds(t.last_reply_ns?))
    }),
];

/// The name, help and buckets of a histogram.
type OfBuckets = (&'static str, &'static str, fn(&Tally) -> &Buckets);

const PING_HISTOGRAMS: [OfBuckets; 2] = [
    ("udpulse_ping_rtt_seconds", "Round-trip times of probes answered within the timeout.", |t| {
        &t.rtt
    }),
    ("udpulse_ping_kernel_rtt_seconds", "The same by the kernel's timestamps.", |t| &t.kernel_rtt),
];

/// The numbers of a session with a reflector.
#[derive(Default)]
struct StampRow {
    ways: Ways,
    directions: Directions,
}

/// A family with a sample for each direction.
struct ByWay {
    /// The name of the counter in Python, after the word of the direction.
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&StampRow) -> [Option<Value>; 2],
}

fn bounds(row: &StampRow, bound: fn((i64, i64)) -> i64) -> [Option<Value>; 2] {
    [&row.directions.forward, &row.directions.reverse]
        .map(|direction| Some(Value::Nanoseconds(bound(direction.delay_ns()?))))
}

const WAYS: [&str; 2] = ["forward", "reverse"];

const STAMP_BY_WAY: [ByWay; 5] = [
    ByWay {
        name: "lost",
        kind: Kind::Counter,
        help: "Settled packets lost in a direction, once a later reply shows which.",
        read: |row| row.ways.lost.map(count),
    },
    ByWay {
        name: "duplicates",
        kind: Kind::Counter,
        help: "Copies of packets made in a direction.",
        read: |row| row.ways.duplicates.map(count),
    },
    ByWay {
        name: "reordered",
        kind: Kind::Counter,
        help: "Settled packets that arrived after a later one.",
        read: |row| row.ways.reordered.map(count),
    },
    ByWay {
        name: "delay_low_seconds",
        kind: Kind::Gauge,
        help: "Lower bound of the median one-way delay.",
        read: |row| bounds(row, |(low, _)| low),
    },
    ByWay {
        name: "delay_high_seconds",
        kind: Kind::Gauge,
        help: "Upper bound of the median one-way delay.",
        read: |row| bounds(row, |(_, high)| high),
    },
];

const STAMP: [Metric<StampRow>; 3] = [
    counter("unattributed", "Settled packets lost in an unknown direction.", |row| {
        count(row.ways.unattributed)
    }),
    gauge("clock_offset_low_seconds", "Lower bound of the reflector's clock's offset.", |row| {
        ns(row.directions.clock.offset_ns?.0)
    }),
    gauge("clock_offset_high_seconds", "Upper bound of the reflector's clock's offset.", |row| {
        ns(row.directions.clock.offset_ns?.1)
    }),
];

type EchoRow = (path::Counters, echo::Truth);

const ECHO: [Metric<EchoRow>; 15] = [
    counter("received", "Packets received.", |(c, _)| count(c.received)),
    counter("replied", "Packets answered.", |(c, _)| count(c.replied)),
    counter("dropped", "Packets not answered on purpose.", |(c, _)| count(c.dropped)),
    counter("send_failed", "Packets whose answer this host could not send.", |(c, _)| {
        count(c.send_failed)
    }),
    counter("replies", "Replies sent, copies included.", |(_, t)| count(t.replies)),
    counter("unanswerable", "Packets dropped because an answer could start a loop.", |(_, t)| {
        count(t.unanswerable)
    }),
    counter("limited", "Packets dropped because their source exceeded its rate.", |(_, t)| {
        count(t.limited)
    }),
    counter("unauthenticated", "Packets dropped because they have no tag.", |(_, t)| {
        count(t.unauthenticated)
    }),
    counter("unknown_key", "Packets dropped because their tag is of an unknown key.", |(_, t)| {
        count(t.unknown_key)
    }),
    counter("bad_tag", "Packets dropped because their tag is wrong.", |(_, t)| count(t.bad_tag)),
    counter("replayed", "Packets dropped because they came before.", |(_, t)| count(t.replayed)),
    counter("crowded", "Packets of clients beyond the full table.", |(_, t)| count(t.crowded)),
    counter("delay_line_full", "Copies dropped because the delay line was full.", |(_, t)| {
        count(t.delay_line_full)
    }),
    counter(
        "receive_drops",
        "Datagrams that this host dropped before they were read.",
        |(_, t)| count(t.receive_drops),
    ),
    gauge("delayed_packets", "Replies that are delayed, copies included.", |(_, t)| {
        count(t.delayed)
    }),
];

type RelayRow = (path::Counters, relay::Truth);

const RELAY: [Metric<RelayRow>; 14] = [
    counter("received", "Packets received, both ways.", |(c, _)| count(c.received)),
    counter("relayed", "Packets passed on.", |(c, _)| count(c.replied)),
    counter("dropped", "Packets not passed on on purpose, or refused.", |(c, _)| count(c.dropped)),
    counter("send_failed", "Packets that this host could not send.", |(c, _)| count(c.send_failed)),
    counter("sent", "Datagrams sent, copies included.", |(_, t)| count(t.sent)),
    counter("refused", "Datagrams that the upstream refused.", |(_, t)| count(t.refused)),
    counter("hops", "Packets dropped because they had no hops left.", |(_, t)| count(t.hops)),
    counter("delay_line_full", "Copies dropped because the delay line was full.", |(_, t)| {
        count(t.delay_line_full)
    }),
    counter("expired", "Copies dropped because their client's session ended.", |(_, t)| {
        count(t.expired)
    }),
    counter("idle", "Sessions that ended because neither side was active.", |(_, t)| count(t.idle)),
    counter(
        "evicted",
        "Sessions that ended because another client needed their place.",
        |(_, t)| count(t.evicted),
    ),
    counter(
        "receive_drops",
        "Datagrams that this host dropped before they were read.",
        |(_, t)| count(t.receive_drops),
    ),
    gauge("delayed_packets", "Datagrams that are delayed, copies included.", |(_, t)| {
        count(t.delayed)
    }),
    gauge("sessions", "Clients with a session.", |(_, t)| count(t.sessions)),
];

type ReflectorRow = (stamp::Counters, stamp::Truth);

const REFLECTOR: [Metric<ReflectorRow>; 7] = [
    counter("received", "Packets received: with links, those that left the uplink.", |(c, _)| {
        count(c.received())
    }),
    counter("send_failed", "Packets whose reply this host could not send.", |(c, _)| {
        count(c.send_failed)
    }),
    counter(
        "stateless_answers",
        "Packets answered without a session because the table was full.",
        |(c, _)| count(c.stateless),
    ),
    counter(
        "receive_drops",
        "Datagrams that this host dropped before they were read.",
        |(c, _)| count(c.receive_drops),
    ),
    counter("crowded", "Packets of clients beyond the full table.", |(_, t)| count(t.crowded)),
    counter("delay_line_full", "Copies dropped because the delay line was full.", |(_, t)| {
        count(t.delay_line_full)
    }),
    gauge("delayed_packets", "Packets and replies that are delayed, copies included.", |(_, t)| {
        count(t.delayed)
    }),
];

const REFLECTOR_OUTCOMES: ByWord<ReflectorRow> = ByWord {
    name: "udpulse_reflector_packets",
    kind: Kind::Counter,
    help: "Packets by outcome; with send_failed their sum is received.",
    label: "outcome",
    read: |(counters, _)| {
        stamp::Outcome::ALL.map(|(word, outcome)| (word, counters.of(outcome))).to_vec()
    },
};

const BEATING: [Metric<ClientCounters>; 6] = [
    counter("sent", "Beats sent or tried, once for each server.", |c| count(c.sent)),
    counter("skipped", "Beats not sent on purpose.", |c| count(c.skipped)),
    counter("send_failed", "Beats that this host could not send.", |c| count(c.send_failed)),
    counter("refused", "ICMP port unreachable errors received.", |c| count(c.refused)),
    counter("received", "Answers received.", |c| count(c.received)),
    counter("unauthenticated", "Answers among them without a right signature.", |c| {
        count(c.unauthenticated)
    }),
];

/// The clients of a heartbeat server by state.
type States = [u64; State::ALL.len()];

/// The counters, clients by state and number of missing clients of a heartbeat server.
type ServerRow = (ServerCounters, States, u64);

const SERVER: [Metric<ServerRow>; 7] = [
    counter("received", "Datagrams received.", |(c, ..)| count(c.received)),
    counter("late_beats", "Beats that had been reported lost.", |(c, ..)| count(c.late_beats)),
    counter("overlong_names", "Datagrams whose name is too long to be read.", |(c, ..)| {
        count(c.overlong_names)
    }),
    counter(
        "receive_drops",
        "Datagrams that this host dropped before they were read.",
        |(c, ..)| count(c.receive_drops),
    ),
    counter("replied", "Answers sent.", |(c, ..)| count(c.replied)),
    counter("send_failed", "Answers that this host could not send.", |(c, ..)| {
        count(c.send_failed)
    }),
    gauge("missing_clients", "Expected clients that were not heard.", |(_, _, missing)| {
        count(*missing)
    }),
];

const SERVER_BY_WORD: [ByWord<ServerRow>; 2] = [
    ByWord {
        name: "udpulse_heartbeat_datagrams",
        kind: Kind::Counter,
        help: "Datagrams by outcome; their sum is received.",
        label: "outcome",
        read: |(counters, ..)| outcomes(counters),
    },
    ByWord {
        name: "udpulse_heartbeat_clients",
        kind: Kind::Gauge,
        help: "Clients by state.",
        label: "state",
        read: |(_, states, _)| State::ALL.iter().map(|(word, _)| *word).zip(*states).collect(),
    },
];

fn outcomes(counters: &ServerCounters) -> Vec<(&'static str, u64)> {
    vec![
        ("beats", counters.beats),
        ("goodbyes", counters.goodbyes),
        ("duplicates", counters.duplicates),
        ("stale", counters.stale),
        ("unproven", counters.unproven),
        ("ignored", counters.ignored),
        ("rejected", counters.rejected),
        ("unauthenticated", counters.unauthenticated),
        ("unknown_keys", counters.unknown_keys),
        ("bad_tags", counters.bad_tags),
        ("replays", counters.replays),
        ("old_boots", counters.old_boots),
    ]
}

const PEER: [Metric<Peer>; 9] =
    [
        counter("received", "Beats received since the client's start, each once.", |p| {
            count(p.sequence.received())
        }),
        counter("expected", "Beats due since then, if they carry numbers.", |p| {
            count(p.sequence.expected()?)
        }),
        counter("reordered", "Beats that arrived after one with a higher number.", |p| {
            count(p.sequence.reordered())
        }),
        counter("duplicates", "Duplicates of beats.", |p| count(p.sequence.duplicates())),
        counter("failures", "Failures that the client reported.", |p| count(p.failures?)),
        gauge("last_beat_timestamp_seconds", "Arrival of the last new beat.", |p| {
            ns(p.last_received_ns)
        }),
        gauge("interval_seconds", "Interval of the beats, declared or learned.", |p| {
            ns(p.interval_ns?)
        }),
        gauge("timeout_seconds", "Silence after which the client is down.", |p| ns(p.timeout_ns)),
        gauge("delay_seconds", "One-way delay of the last beat beyond that of the fastest.", |p| {
            ns(p.delay_ns?)
        }),
    ];

const PEER_STATE: ByWord<Peer> = ByWord {
    name: "udpulse_peer_state",
    kind: Kind::Gauge,
    help: "1 for the state of the client, 0 for each other one.",
    label: "state",
    read: |peer| State::ALL.map(|(word, state)| (word, u64::from(state == peer.state))).to_vec(),
};

/// Series of a histogram: its bounds, +Inf, a sum and a count.
fn histogram_series() -> usize {
    Buckets::bounds_ns().count() + 3
}

/// Series of a target, and those that it has more if it is a reflector.
fn target_series(is_reflector: bool) -> usize {
    let ping = PING.len() + PING_HISTOGRAMS.len() * histogram_series() + 1;
    let stamp = STAMP.len() + STAMP_BY_WAY.len() * WAYS.len() + histogram_series();
    ping + if is_reflector { stamp } else { 0 }
}

const PEER_SERIES: usize = PEER.len() + State::ALL.len();

/// All numbers of a page.
#[derive(Default)]
struct Rows {
    objects: Table<Object>,
    pings: Table<Tally>,
    /// Those of them that are reflectors.
    stamps: Table<StampRow>,
    /// The current addresses of targets.
    addresses: BTreeMap<Labels, SocketAddr>,
    echoes: Table<EchoRow>,
    relays: Table<RelayRow>,
    reflectors: Table<ReflectorRow>,
    beating: Table<ClientCounters>,
    servers: Table<ServerRow>,
    /// The first ones by their labels, as many as the page has room for.
    peers: Table<Peer>,
    max_peers: usize,
    /// The number of all, with those whose labels others have: bytes that are not UTF-8 look alike.
    all_peers: usize,
}

impl Rows {
    fn add(
        &mut self,
        py: Python<'_>,
        name: &str,
        source: &Bound<'_, PyAny>,
        base: Base,
        more: &Labels,
    ) -> PyResult<()> {
        let labels = Labels::new([("name", name)]).and(more);
        macro_rules! object {
            ($handle:expr, $kind:literal) => {{
                let handle = &$handle;
                let now = Object {
                    running: handle.is_running(),
                    started_ns: handle.started_ns(),
                    events_dropped: handle.events_dropped(py),
                };
                let labels = Labels::new([("kind", $kind), ("name", name)]).and(more);
                self.objects.insert(labels, Row { now, base: Base::new() });
                handle
            }};
        }
        if let Ok(client) = source.cast::<PingClient>() {
            object!(client.get().handle, "ping");
            self.add_client(py, ["ping", name], client.get(), base, more);
        } else if let Ok(sender) = source.cast::<StampSender>() {
            object!(sender.get().handle, "stamp");
            self.add_client(py, ["stamp", name], sender.get(), base, more);
        } else if let Ok(sweep) = source.cast::<PingSweep>() {
            let handle = object!(sweep.get().handle, "ping_many");
            let ended = !handle.is_running();
            let mut tallies = handle.look(py, |sweep| sweep.tallies(ended)).into_iter();
            for endpoint in sweep.get().endpoints() {
                let (now, address) = tallies.next().unwrap_or_default();
                let row = Row { now, base: Base::new() };
                let labels = target_labels(["ping_many", name, &endpoint.to_string()], more);
                self.add_ping(labels, row, address);
            }
        } else if let Ok(report) = source.cast::<PingReport>() {
            let report = report.get().report();
            let target = report.target.clone();
            let target =
                target.map(|(host, port)| Endpoint { host, port, family: None }.to_string());
            let target = target.unwrap_or_default();
            let labels = target_labels(["ping_many", name, &target], more);
            if let Some(directions) = report.directions.as_deref().cloned() {
                let now = StampRow { ways: Ways::from(&directions), directions };
                self.stamps.insert(labels.clone(), Row { now, base: base.clone() });
            }
            let row = Row { now: report.tally(), base };
            self.add_ping(labels, row, report.address);
        } else if let Ok(server) = source.cast::<EchoServer>() {
            let handle = object!(server.get().handle, "echo");
            let now = handle.look(py, |echo| (echo.counters(), echo.truth()));
            self.echoes.insert(labels, Row { now, base });
        } else if let Ok(relay) = source.cast::<Relay>() {
            let handle = object!(relay.get().handle, "relay");
            let now = handle.look(py, |relay| (relay.counters(), relay.truth()));
            self.relays.insert(labels, Row { now, base });
        } else if let Ok(reflector) = source.cast::<StampReflector>() {
            let handle = object!(reflector.get().handle, "reflect");
            let now = handle.look(py, |reflector| (reflector.counters(), reflector.truth()));
            self.reflectors.insert(labels, Row { now, base });
        } else if let Ok(client) = source.cast::<HeartbeatClient>() {
            let handle = object!(client.get().handle, "beat");
            let now = handle.look(py, |client| client.counters());
            self.beating.insert(labels, Row { now, base });
        } else if let Ok(server) = source.cast::<HeartbeatServer>() {
            object!(server.get().handle, "heartbeat");
            self.add_server(py, name, server.get(), base, more);
        } else {
            let class = source.get_type().qualname()?;
            let message =
                format!("sources must be running objects of udpulse or PingReports, not {class}");
            return Err(PyTypeError::new_err(message));
        }
        Ok(())
    }

    fn add_client(
        &mut self,
        py: Python<'_>,
        [kind, name]: [&str; 2],
        client: &Client,
        base: Base,
        more: &Labels,
    ) {
        let ended = !client.handle.is_running();
        let read = client.handle.look(py, |flows| Some((flows.tally(ended), flows.target())));
        let (now, address) = read.unwrap_or_default();
        let target = client.endpoint.to_string();
        let labels = target_labels([kind, name, &target], more);
        if kind == "stamp" {
            let read = |flows: &mut Flows| Some((flows.ways(ended), flows.snapshots(ended)));
            let (ways, snapshots) = client.handle.look(py, read).unwrap_or_default();
            let directions = py.detach(|| {
                let reports: Vec<_> = snapshots.into_iter().map(Report::from).collect();
                Flows::total(&reports).directions
            });
            let now = StampRow { ways, directions: *directions.unwrap_or_default() };
            self.stamps.insert(labels.clone(), Row { now, base: base.clone() });
        }
        self.add_ping(labels, Row { now, base }, address);
    }

    /// Adds a target; a sweep may have it twice.
    fn add_ping(&mut self, labels: Labels, row: Row<Tally>, address: Option<SocketAddr>) {
        self.addresses.extend(address.map(|address| (labels.clone(), address)));
        match self.pings.entry(labels) {
            Entry::Vacant(entry) => drop(entry.insert(row)),
            Entry::Occupied(mut entry) => entry.get_mut().now += &row.now,
        }
    }

    fn add_server(
        &mut self,
        py: Python<'_>,
        name: &str,
        server: &HeartbeatServer,
        base: Base,
        more: &Labels,
    ) {
        let peers = server.peers_as(py, |peer| {
            let state = peer.state;
            self.add_peer(name, server.config.by_host, peer, more);
            state
        });
        self.all_peers += peers.len();
        let mut states = States::default();
        for state in peers {
            states[state as usize] += 1;
        }
        let (counters, missing) =
            server.handle.look(py, |server| (server.counters(), server.missing().count() as u64));
        let now = (counters, states, missing);
        self.servers.insert(Labels::new([("name", name)]).and(more), Row { now, base });
    }

    /// Adds a client.
    fn add_peer(&mut self, name: &str, by_host: bool, peer: Peer, more: &Labels) {
        let (of_peer, address) = match &peer.name {
            Some(of_peer) => (text(of_peer), String::new()),
            None if by_host => (String::new(), peer.address.ip().to_string()),
            None => (String::new(), peer.address.to_string()),
        };
        let labels = [("name", name), ("peer", &of_peer), ("address", &address)];
        self.peers.insert(Labels::new(labels).and(more), Row { now: peer, base: Base::new() });
        if self.peers.len() > self.max_peers {
            self.peers.pop_last();
        }
    }

    /// Returns how many targets fit into a page with `limit` series, and how many series they have.
    fn fitting(&self, limit: usize) -> (usize, usize) {
        let (mut pings, mut series) = (0, 0);
        for labels in self.pings.keys() {
            let all = series + target_series(self.stamps.contains_key(labels));
            if all > limit {
                break;
            }
            (pings, series) = (pings + 1, all);
        }
        (pings, series)
    }

    /// Returns the page, with at most `limit` series of targets and clients.
    fn page(&self, open_metrics: bool, limit: usize) -> String {
        let mut page = Exposition::new(open_metrics);
        page.family("udpulse_build", Kind::Info, "The version of udpulse.");
        let version = Labels::new([("version", env!("CARGO_PKG_VERSION"))]);
        page.sample(&version, Value::Count(1));
        let (pings, series) = self.fitting(limit);
        let peers = self.peers.len().min((limit - series) / PEER_SERIES);
        let left_out = self.fitting(usize::MAX).1 - series + (self.all_peers - peers) * PEER_SERIES;
        let help = "Series of targets and clients that this page has no room for.";
        page.family("udpulse_series_left_out", Kind::Gauge, help);
        page.sample(&Labels::default(), Value::Count(left_out as u64));

        write(&mut page, "udpulse_", &OBJECT, &self.objects.iter());
        let rows = || self.pings.iter().take(pings);
        write(&mut page, "udpulse_ping_", &PING, &rows());
        if pings > 0 {
            for (name, help, read) in &PING_HISTOGRAMS {
                page.family(name, Kind::Histogram, help);
                rows().for_each(|(labels, row)| page.histogram(labels, read(&row.now)));
            }
            page.family("udpulse_ping_address", Kind::Info, "The target's current address.");
            for (labels, _) in rows() {
                let address = self.addresses.get(labels).map(SocketAddr::to_string);
                let labels = labels.with("address", &address.unwrap_or_default());
                page.sample(&labels, Value::Count(1));
            }
        }
        let rows = rows().filter_map(|(labels, _)| self.stamps.get_key_value(labels));
        write_stamps(&mut page, &rows);
        write(&mut page, "udpulse_echo_", &ECHO, &self.echoes.iter());
        write_links(&mut page, "udpulse_echo_impaired", &self.echoes, |(_, truth)| {
            [truth.uplink, truth.downlink]
        });
        write(&mut page, "udpulse_relay_", &RELAY, &self.relays.iter());
        write_links(&mut page, "udpulse_relay_impaired", &self.relays, |(_, truth)| {
            [truth.uplink, truth.downlink]
        });
        write(&mut page, "udpulse_reflector_", &REFLECTOR, &self.reflectors.iter());
        write_words(&mut page, &REFLECTOR_OUTCOMES, self.reflectors.iter());
        write_links(&mut page, "udpulse_reflector_impaired", &self.reflectors, |(_, truth)| {
            [truth.uplink, truth.downlink]
        });
        write(&mut page, "udpulse_heartbeat_client_", &BEATING, &self.beating.iter());
        write(&mut page, "udpulse_heartbeat_", &SERVER, &self.servers.iter());
        for family in &SERVER_BY_WORD {
            write_words(&mut page, family, self.servers.iter());
        }
        let rows = || self.peers.iter().take(peers);
        write_words(&mut page, &PEER_STATE, rows());
        write(&mut page, "udpulse_peer_", &PEER, &rows());
        page.finish()
    }
}

/// Returns the labels of a target.
fn target_labels([kind, name, target]: [&str; 3], more: &Labels) -> Labels {
    Labels::new([("kind", kind), ("name", name), ("target", target)]).and(more)
}

fn write_stamps<'a>(
    page: &mut Exposition,
    rows: &(impl Iterator<Item = (&'a Labels, &'a Row<StampRow>)> + Clone),
) {
    for family in &STAMP_BY_WAY {
        let mut is_begun = false;
        for (labels, row) in rows.clone() {
            for (way, value) in WAYS.into_iter().zip((family.read)(&row.now)) {
                let Some(value) = value else { continue };
                if !std::mem::replace(&mut is_begun, true) {
                    let name = format!("udpulse_stamp_{}", family.name);
                    page.family(&name, family.kind, family.help);
                }
                let value = row.since_before(&format!("{way}_{}", family.name), value);
                page.sample(&labels.with("way", way), value);
            }
        }
    }
    write(page, "udpulse_stamp_", &STAMP, rows);
    let mut rows = rows.clone().peekable();
    if rows.peek().is_some() {
        let help = "Time that packets spent in the reflector.";
        page.family("udpulse_stamp_residence_seconds", Kind::Histogram, help);
    }
    rows.for_each(|(labels, row)| page.histogram(labels, &row.now.ways.residence));
}

fn write<'a, T: 'a>(
    page: &mut Exposition,
    prefix: &str,
    metrics: &[Metric<T>],
    rows: &(impl Iterator<Item = (&'a Labels, &'a Row<T>)> + Clone),
) {
    for metric in metrics {
        let read = |(labels, row): (&'a Labels, &'a Row<T>)| {
            Some((labels, row.since_before(metric.name, (metric.read)(&row.now)?)))
        };
        let mut samples = rows.clone().filter_map(read).peekable();
        if samples.peek().is_some() {
            page.family(&format!("{prefix}{}", metric.name), metric.kind, metric.help);
        }
        samples.for_each(|(labels, value)| page.sample(labels, value));
    }
}

fn write_words<'a, T: 'a>(
    page: &mut Exposition,
    family: &ByWord<T>,
    rows: impl Iterator<Item = (&'a Labels, &'a Row<T>)>,
) {
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        page.family(family.name, family.kind, family.help);
    }
    for (labels, row) in rows {
        for (word, count) in (family.read)(&row.now) {
            let value = row.since_before(word, Value::Count(count));
            page.sample(&labels.with(family.label, word), value);
        }
    }
}

fn write_links<T>(
    page: &mut Exposition,
    name: &str,
    rows: &Table<T>,
    links: fn(&T) -> [LinkCounters; 2],
) {
    if !rows.is_empty() {
        page.family(name, Kind::Counter, "Packets by impairment.");
    }
    for (labels, row) in rows {
        for (link, counters) in ["uplink", "downlink"].into_iter().zip(links(&row.now)) {
            let labels = labels.with("link", link);
            for ((word, _), count) in Flags::ALL.iter().zip(counters.flags) {
                page.sample(&labels.with("impairment", word), Value::Count(count));
            }
        }
    }
}

/// Returns the metrics of running objects, each with its name, counts from before its start and more
/// labels, as text: in the format of Prometheus or of OpenMetrics, with at most `limit` series of targets and
/// clients.
#[pyfunction]
#[pyo3(name = "_exposition")]
pub(super) fn exposition<'py>(
    py: Python<'py>,
    sources: Vec<Source<'py>>,
    open_metrics: bool,
    limit: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut rows = Rows { max_peers: limit / PEER_SERIES, ..Rows::default() };
    for (name, source, base, more) in sources {
        let more = Labels::new(more.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        rows.add(py, &name, &source, base, &more)?;
    }
    let page = py.detach(|| rows.page(open_metrics, limit));
    Ok(PyBytes::new(py, page.as_bytes()))
}
