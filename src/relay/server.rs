//! The relay as a state machine.

use std::convert::Infallible;
use std::mem;
use std::net::SocketAddr;

use crate::impair::Link;
use crate::path::{
    Changeable, Counters, Damage, Done, Event, Fate, LinkCounters, Outcome, Packet, PathConfig,
    Paths, Queued, Reason, Route, Timeline,
};
use crate::relay::forwards::Forwards;
use crate::relay::sessions::Sessions;
use crate::wire::Shown;
use crate::{Arrival, Captured, Events, Headers, Icmp, Observed, Stamp};

/// The delay lines of the two routes.
const UP: usize = 0;
const DOWN: usize = 1;

/// The settings of a relay.
#[derive(Clone, Debug)]
pub struct Config {
    /// The link from the clients to the upstream.
    pub uplink: Link,
    /// The link from the upstream to the clients.
    pub downlink: Link,
    /// Both links of the first clients, in order of appearance.
    pub per_client: Vec<[Link; 2]>,
    /// The seed of all random choices; if `None`, the system chooses.
    pub seed: Option<u64>,
    /// How long neither side of a session is active before it ends; `None` if it never does.
    pub idle_ns: Option<i64>,
    /// The most sessions; another client ends the longest idle one.
    pub max_clients: usize,
    /// The TTL of all datagrams; if `None`, one less than they came with.
    pub ttl: Option<u8>,
    /// The capacity of the delay line in bytes.
    pub delay_line: usize,
    /// How many of the last fates and ends of sessions to keep.
    pub keep: usize,
    /// Changes of its paths.
    pub timeline: Timeline,
    /// Whether to capture packets at the points [`ONE_WAY`](crate::path::ONE_WAY).
    pub capture: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            uplink: Link::default(),
            downlink: Link::default(),
            per_client: Vec::new(),
            seed: None,
            idle_ns: None,
            max_clients: 1 << 14,
            ttl: None,
            delay_line: 64 << 20,
            keep: 0,
            timeline: Timeline::default(),
            capture: false,
        }
    }
}

/// Counts beyond [`Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Impairments on the uplink.
    pub uplink: LinkCounters,
    /// Impairments on the downlink.
    pub downlink: LinkCounters,
    /// Datagrams sent, copies included.
    pub sent: u64,
    /// Packets that are neither passed on nor dropped yet.
    pub pending: u64,
    /// Datagrams that are delayed, copies included.
    pub delayed: u64,
    /// Datagrams that the upstream refused.
    pub refused: u64,
    /// Packets without hops left.
    pub hops: u64,
    /// Copies dropped because the delay line was full.
    pub delay_line_full: u64,
    /// Copies dropped because their client's session ended.
    pub expired: u64,
    /// Sessions now.
    pub sessions: u64,
    /// Sessions that ended because neither side was active.
    pub idle: u64,
    /// Sessions that ended because another client needed their place.
    pub evicted: u64,
    /// Datagrams dropped by this host before they were read, if the platform reports it.
    pub receive_drops: u64,
}

/// A change of a session's upstream socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The session has ended.
    Close(u32),
    /// The session goes on with another port.
    Rebind {
        /// The number of the session.
        session: u32,
        /// How many of the datagrams to pass on leave before.
        after: usize,
    },
}

/// The relay as a state machine.
#[derive(Debug)]
pub struct Relay {
    paths: Paths,
    sessions: Sessions,
    idle_ns: Option<i64>,
    max_clients: usize,
    ttl: Option<u8>,
    forwards: Forwards,
    changes: Vec<Change>,
    /// The counts that are its own.
    truth: Truth,
    listener_drops: u64,
    now: Stamp,
}

impl Relay {
    /// Creates a relay.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let Config { uplink, downlink, per_client, seed, delay_line, .. } = config;
        let Config { keep, timeline, capture, .. } = config;
        let paths =
            PathConfig { uplink, downlink, per_client, seed, delay_line, keep, timeline, capture };
        Self {
            paths: Paths::new(paths, &[Route::Up, Route::Down]),
            sessions: Sessions::default(),
            idle_ns: config.idle_ns,
            max_clients: config.max_clients,
            ttl: config.ttl,
            forwards: Forwards::default(),
            changes: Vec::new(),
            truth: Truth::default(),
            listener_drops: 0,
            now: Stamp::default(),
        }
    }

    /// Returns the packet counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.paths.counters()
    }

    /// Returns the counts beyond [`counters`](Self::counters).
    #[must_use]
    pub fn truth(&self) -> Truth {
        let [uplink, downlink] = self.paths.impairments();
        Truth {
            uplink,
            downlink,
            sent: self.paths.sent(),
            pending: self.paths.pending(),
            delayed: self.paths.delayed(),
            delay_line_full: self.paths.delay_line_full(),
            expired: self.paths.expired(),
            sessions: self.sessions.len() as u64,
            receive_drops: self.truth.receive_drops + self.listener_drops,
            ..self.truth
        }
    }

    /// Returns the completed fates that are kept, oldest first.
    pub fn fates(&self) -> impl Iterator<Item = &Fate> {
        self.paths.fates()
    }

    /// Returns the last steps that were done, oldest first.
    pub fn steps(&self) -> impl Iterator<Item = &Done> {
        self.paths.steps()
    }

    /// Handles a datagram of a client.
    pub fn on_client(&mut self, arrival: &mut Arrival<'_>) {
        let key = (arrival.from, arrival.to);
        let at = arrival.at();
        if self.paths.is_step_due(at, true) {
            self.take_steps(at, true);
        }
        let session = match self.sessions.find(key) {
            Some(session) => {
                self.sessions.touch(session, at.mono_ns);
                session
            }
            None => self.open(key, at),
        };
        self.carry(session, UP, arrival);
    }

    /// Handles a datagram of the upstream for a session.
    pub fn on_upstream(&mut self, session: u32, arrival: &mut Arrival<'_>) {
        let session = session as usize;
        if self.sessions.get(session).is_none() {
            return;
        }
        if self.paths.is_step_due(arrival.at(), true) {
            self.take_steps(arrival.at(), true);
        }
        self.sessions.touch(session, arrival.at().mono_ns);
        self.carry(session, DOWN, arrival);
    }

    /// Handles an ICMP error about a datagram that a session sent to the upstream.
    pub fn on_icmp(&mut self, session: u32, error: &Icmp<'_>) {
        if !error.is_port_unreachable() {
            return;
        }
        if let Some(session) = self.sessions.get(session as usize) {
            self.truth.refused += 1;
            let (client, local) = session.key;
            self.paths.on_refused(client, local, error.datagram);
        }
    }

    /// Handles a datagram that this host could not send.
    pub fn on_send_failed(&mut self) {
        self.paths.on_send_failed();
    }

    /// Adds datagrams that the full receive queue of a session's socket has dropped.
    pub fn add_receive_drops(&mut self, count: u64) {
        self.truth.receive_drops += count;
    }

    /// The system has no socket for a session: ends the longest idle other one. Returns whether
    /// there was one.
    pub fn make_room(&mut self, session: u32) -> bool {
        let idlest = self.sessions.idlest().filter(|(idlest, _)| *idlest != session as usize);
        if let Some((idlest, _)) = idlest {
            self.end(idlest, Reason::Evicted, self.now);
        }
        idlest.is_some()
    }

    /// Performs the work that is due at `now`.
    pub fn on_time(&mut self, now: Stamp) {
        self.now = now;
        if self.paths.is_step_due(now, false) {
            self.take_steps(now, false);
        }
        for line in [UP, DOWN] {
            while let Some(queued) = self.paths.depart(line, now) {
                let Queued { to, from, headers, payload, session, .. } = queued;
                let (to, from) = if line == DOWN { (Some(to), from) } else { (None, None) };
                self.forwards.push(session, to, from, headers, &payload);
            }
        }
        while let Some(idle_ns) = self.idle_ns
            && let Some((session, active_ns)) = self.sessions.idlest()
            && active_ns.saturating_add(idle_ns) <= now.mono_ns
        {
            self.end(session, Reason::Idle, now);
        }
    }

    /// Returns when `on_time` has work again, in monotonic nanoseconds.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        let idle = self.idle_ns.zip(self.sessions.idlest());
        let ends_ns = idle.map(|(idle_ns, (_, active_ns))| active_ns.saturating_add(idle_ns));
        let now_ns = self.now.mono_ns;
        let refusal_ns = self.paths.refusal_end(now_ns);
        let lines = [UP, DOWN].map(|line| self.paths.next_ns(line, now_ns));
        let step_ns = self.paths.step_ns();
        lines.into_iter().chain([ends_ns, refusal_ns, step_ns]).flatten().min()
    }

    /// Exchanges an empty list for the datagrams to pass on.
    pub fn take(&mut self, forwards: &mut Forwards) {
        mem::swap(&mut self.forwards, forwards);
    }

    /// Returns the packets that were captured, if there is a capture.
    pub fn captured(&mut self) -> Option<&mut Vec<Captured>> {
        self.paths.captured()
    }

    /// Returns the changes of sockets in order; sockets are closed after the datagrams to pass on
    /// have left.
    pub fn take_changes(&mut self) -> Vec<Change> {
        for change in &self.changes {
            if let Change::Close(session) = change {
                self.sessions.forget(*session as usize);
            }
        }
        mem::take(&mut self.changes)
    }

    /// Returns whether the system must refuse datagrams of clients.
    #[must_use]
    pub fn refuses(&self, now: Stamp) -> bool {
        self.paths.refuses(now.mono_ns)
    }

    /// Returns the clients with sessions, the longest idle first.
    #[must_use]
    pub fn clients(&self) -> Vec<SocketAddr> {
        self.sessions.by_activity().map(|session| session.key.0).collect()
    }

    /// Opens a session.
    fn open(&mut self, key: (SocketAddr, Option<crate::Local>), at: Stamp) -> usize {
        while self.sessions.len() >= self.max_clients
            && let Some((idlest, _)) = self.sessions.idlest()
        {
            self.end(idlest, Reason::Evicted, at);
        }
        let path = self.paths.add_client(key.0.ip());
        self.sessions.add(key, path, at.mono_ns)
    }

    /// Ends a session.
    fn end(&mut self, session: usize, reason: Reason, at: Stamp) {
        let Some((client, path)) = self.sessions.remove(session) else { return };
        match reason {
            Reason::Idle => self.truth.idle += 1,
            Reason::Evicted => self.truth.evicted += 1,
        }
        self.paths.end_client(path, client, reason, at);
        self.changes.push(Change::Close(number(session)));
    }

    /// Decides about a packet of a session.
    fn carry(&mut self, session: usize, line: usize, arrival: &mut Arrival<'_>) {
        let Some(found) = self.sessions.get(session) else { return };
        let ((client, local), path) = (found.key, found.path);
        let ttl = self.ttl.or(arrival.ttl.map(|ttl| ttl.saturating_sub(1)));
        let headers = Headers { ttl, tos: arrival.tos };
        let mut packet = Packet {
            at: arrival.at(),
            read_ns: arrival.read.wall_ns,
            client,
            path,
            session: number(session),
            local,
            received: Headers { ttl: arrival.ttl, tos: arrival.tos },
            headers,
            is_reply: false,
            length: arrival.datagram.len(),
            payload: arrival.datagram,
        };
        // A packet without hops is dropped, as by a router, so that a ring of relays ends.
        if arrival.ttl.is_some_and(|ttl| ttl <= 1) {
            self.truth.hops += 1;
            self.paths.refuse(line, &packet, Outcome::Hops, Shown::of);
        } else if self.paths.enter(line, &mut packet, Shown::of, Damage::flip) {
            let (to, from) = if line == DOWN { (Some(client), local) } else { (None, None) };
            self.forwards.push(number(session), to, from, headers, packet.payload);
        }
    }
}

impl Changeable for Relay {
    type Record = Infallible;

    fn paths(&mut self) -> &mut Paths {
        &mut self.paths
    }

    fn set_link(
        &mut self,
        way: usize,
        link: &Link,
        client: Option<SocketAddr>,
        now: Stamp,
    ) -> usize {
        let Some(client) = client else {
            return self.paths.set_link(way, link.clone(), None, now);
        };
        let sessions: Vec<_> = self.sessions.of(Some(client)).collect();
        for session in &sessions {
            if let Some(session) = self.sessions.get(*session) {
                self.paths.set_link(way, link.clone(), Some(session.path), now);
            }
        }
        sessions.len()
    }

    fn rebind(&mut self, client: Option<SocketAddr>) -> usize {
        let before = self.changes.len();
        let after = self.forwards.list.len();
        let sessions = self.sessions.of(client).map(number);
        let rebound = sessions.map(|session| Change::Rebind { session, after });
        self.changes.extend(rebound);
        self.changes.len() - before
    }
}

impl Observed for Relay {
    type Event = Event;

    fn unread(&mut self) -> &mut Events<Event> {
        self.paths.log()
    }

    fn count_drops(&mut self, _: usize, total: u64) {
        self.listener_drops = total;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the table of sessions is bounded")]
fn number(session: usize) -> u32 {
    session as u32
}
