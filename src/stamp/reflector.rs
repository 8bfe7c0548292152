//! The reflector.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::ops::Range;

use crate::impair::Link;
use crate::path::{
    Changeable, Damage, Done, Event, Fate, Packet, PathConfig, Paths, Queued, Roster, Route,
    Timeline,
};
use crate::stamp::reflected::{Counters, Numbers, Outcome, Reflected, Truth};
use crate::stamp::sessions::{Key as SessionKey, MAX_SESSIONS, Session, Sessions};
use crate::wire::stamp::{
    Departed, ErrorEstimate, Facts, Format, Mode, Reply, Request, Timestamp, TimestampInfo,
    is_authenticated, is_reflected, is_signed, reflect, selector, set_sent, sign,
};
use crate::wire::{Key, Shown, Unauthenticated};
use crate::{
    Arrival, Events, Headers, Limiter, Local, Machine, Prefix, Stamp, Transmit, answers_anything,
};

/// The shortest packet that is answered by one of its own length: a reply of TWAMP.
const SHORTEST: usize = 41;

/// The most bytes of replies that wait on one thread: a batch of the longest packets.
const MAX_WAITING: usize = 17 << 20;

/// How far apart two readings of both clocks may be.
const APART_NS: i64 = 1_000_000;

/// The settings of a reflector.
#[derive(Clone, Debug)]
pub struct ReflectorConfig {
    /// Whether replies have numbers of their own in each session.
    pub stateful: bool,
    /// Whether requests of 14 to 40 bytes are answered with 44 (RFC 8762 section 4.6).
    pub twamp_light: bool,
    /// The keys of authenticated packets. A reply is signed with that of its request.
    pub keys: Vec<Key>,
    /// The treatment of unauthenticated packets if there are keys.
    pub unauthenticated: Unauthenticated,
    /// The sources that are answered; empty for all.
    pub allowed: Vec<Prefix>,
    /// The rate limit per source.
    pub limiter: Option<Limiter>,
    /// The most sessions.
    pub max_sessions: usize,
    /// The format of T2 and T3.
    pub format: Format,
    /// Whether this host's clock is synchronized to UTC.
    pub synchronized: bool,
    /// The error of this host's clock.
    pub error_ns: u64,
    /// Impairments on the way in.
    pub uplink: Link,
    /// Impairments on the way back.
    pub downlink: Link,
    /// Both links of the first clients, in order of appearance.
    pub per_client: Vec<[Link; 2]>,
    /// The seed of all random choices; if `None`, the system chooses.
    pub seed: Option<u64>,
    /// The capacity of the delay lines in bytes.
    pub delay_line: usize,
    /// Changes of its paths.
    pub timeline: Timeline,
    /// How many of the last records and fates to keep.
    pub keep: usize,
}

impl Default for ReflectorConfig {
    fn default() -> Self {
        Self {
            stateful: true,
            twamp_light: false,
            keys: Vec::new(),
            unauthenticated: Unauthenticated::Refuse,
            allowed: Vec::new(),
            limiter: None,
            max_sessions: MAX_SESSIONS,
            format: Format::Ntp,
            synchronized: false,
            error_ns: 16_000_000_000,
            uplink: Link::default(),
            downlink: Link::default(),
            per_client: Vec::new(),
            seed: None,
            delay_line: 64 << 20,
            timeline: Timeline::default(),
            keep: 0,
        }
    }
}

/// The reflector as a state machine.
///
/// It is at the far end of the links: a packet that leaves the uplink has arrived, and its reply is
/// sent when it enters the downlink. Replies are queued and leave by [`Machine::transmit`], which sets
/// their T3: that is as late as a program can.
#[derive(Debug)]
pub struct Reflector {
    config: ReflectorConfig,
    local: SocketAddr,
    estimate: ErrorEstimate,
    sessions: Sessions,
    counters: Counters,
    lines: Vec<Line>,
    /// Two lines for each thread: [`up`] and [`down`].
    paths: Paths<Reflected>,
    /// `None` if nothing is impaired: packets take no path.
    roster: Option<Roster>,
    now: Stamp,
    /// The payload of the departing reply that was delayed.
    departing: Box<[u8]>,
    /// Receive-queue drops per socket.
    receive_drops: Vec<u64>,
}

/// A packet that reached the reflector.
struct Incoming<'a> {
    /// When it did; the wall clock is T2.
    at: Stamp,
    from: SocketAddr,
    /// The address of this host to which it was sent, if there are several.
    to: Option<Local>,
    /// The headers with which it came.
    headers: Headers,
    /// The number of its client's path, if it took one.
    path: Option<u32>,
    datagram: &'a [u8],
}

impl Incoming<'_> {
    /// Returns the record of a packet without a reply.
    fn record(&self, outcome: Outcome) -> Reflected {
        Reflected {
            at: self.at,
            client: self.from,
            outcome,
            size: self.datagram.len(),
            ttl: self.headers.ttl,
            tos: self.headers.tos,
            numbers: None,
            sent_ns: None,
        }
    }
}

/// The replies of one thread.
#[derive(Clone, Debug, Default)]
struct Line {
    answers: VecDeque<Answer>,
    memory: Vec<u8>,
    /// When the last packet left the uplink that this delayed.
    last: Stamp,
}

/// A reply without its T3.
#[derive(Clone, Debug)]
struct Answer {
    to: SocketAddr,
    from: Option<Local>,
    at: Range<usize>,
    key: Option<usize>,
    session: Option<usize>,
    /// The number of its client's path, if it takes the downlink.
    path: Option<u32>,
    record: Reflected,
}

impl Reflector {
    /// Creates a reflector for one thread, which is bound to `local`.
    #[must_use]
    pub fn new(config: ReflectorConfig, local: SocketAddr) -> Self {
        Self::shared(config, local, 1)
    }

    /// Creates a reflector for several threads. All packets of a client must come to the same one.
    #[must_use]
    pub fn shared(mut config: ReflectorConfig, local: SocketAddr, threads: usize) -> Self {
        let paths = PathConfig {
            uplink: mem::take(&mut config.uplink),
            downlink: mem::take(&mut config.downlink),
            per_client: mem::take(&mut config.per_client),
            seed: config.seed,
            delay_line: config.delay_line,
            keep: config.keep,
            timeline: mem::take(&mut config.timeline),
            capture: false,
        };
        let plain = paths.uplink == Link::default()
            && paths.downlink == Link::default()
            && paths.per_client.is_empty()
            && paths.timeline.steps.is_empty();
        let mut paths = Paths::new(paths, &[Route::Up, Route::Down].repeat(threads));
        Self {
            local,
            estimate: ErrorEstimate::new(config.synchronized, config.format, config.error_ns),
            sessions: Sessions::new(config.max_sessions),
            counters: Counters::default(),
            lines: vec![Line::default(); threads],
            roster: (!plain).then(|| Roster::new(&mut paths)),
            paths,
            now: Stamp::default(),
            departing: Box::default(),
            receive_drops: vec![0; threads],
            config,
        }
    }

    /// Returns the packet counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { receive_drops: self.receive_drops.iter().sum(), ..self.counters }
    }

    /// Returns the sessions that were heard in the last five minutes.
    #[must_use]
    pub fn sessions(&self, now_ns: i64) -> Vec<Session> {
        self.sessions.active(now_ns).copied().collect()
    }

    /// Returns the records that are kept, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Reflected> {
        self.paths.records()
    }

    /// Returns the counts of the links.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let [uplink, downlink] = self.paths.impairments();
        Truth {
            uplink,
            downlink,
            pending: self.paths.pending(),
            delayed: self.paths.delayed(),
            delay_line_full: self.paths.delay_line_full(),
            crowded: self.roster.as_ref().map_or(0, Roster::crowded),
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

    /// Returns why a packet must not enter a path.
    fn objection(&mut self, arrival: &Arrival<'_>) -> Option<Outcome> {
        let config = &mut self.config;
        let Arrival { from, is_answer, to_group, .. } = *arrival;
        if is_answer || to_group || answers_anything(from) {
            return Some(Outcome::Unanswerable);
        }
        if !(config.allowed.is_empty() || config.allowed.iter().any(|one| one.contains(from.ip())))
        {
            return Some(Outcome::NotAllowed);
        }
        let at_ns = arrival.at().mono_ns;
        let limited =
            config.limiter.as_mut().is_some_and(|limiter| !limiter.admits(from.ip(), at_ns));
        limited.then_some(Outcome::Limited)
    }

    /// Returns the number of the key that a packet is signed with, if it is authenticated, or why the
    /// reflector does not answer it.
    fn admit(&self, datagram: &[u8]) -> Result<Option<usize>, Outcome> {
        let config = &self.config;
        let shortest = if config.twamp_light { Mode::Open.shortest() } else { SHORTEST };
        if datagram.len() < shortest {
            return Err(Outcome::Short);
        }
        let key = config.keys.iter().position(|key| is_signed(datagram, key));
        if key.is_none() && !config.keys.is_empty() {
            if is_authenticated(datagram) {
                return Err(Outcome::BadTag);
            }
            if config.unauthenticated == Unauthenticated::Refuse {
                return Err(Outcome::Unauthenticated);
            }
        }
        if is_reflected(mode(key), datagram) { Err(Outcome::Looped) } else { Ok(key) }
    }

    /// Counts a packet, which is dropped if there is an objection.
    fn count(&mut self, packet: &Incoming<'_>, objection: Option<Outcome>) {
        self.counters.count(objection.unwrap_or(Outcome::Replied));
        if let Some(outcome) = objection {
            self.paths.log().push(Event::Record(packet.record(outcome)));
        }
    }

    /// Queues the reply to a packet, or drops it.
    fn reflect(&mut self, thread: usize, packet: &Incoming<'_>) {
        let objection = match self.admit(packet.datagram) {
            Ok(key) => self.answer(thread, packet, key),
            Err(outcome) => Some(outcome),
        };
        self.count(packet, objection);
    }

    /// Queues the reply to a packet that is signed with this key. Returns why it has none.
    fn answer(
        &mut self,
        thread: usize,
        packet: &Incoming<'_>,
        key: Option<usize>,
    ) -> Option<Outcome> {
        let mode = mode(key);
        let Some(request) = Request::read(mode, packet.datagram) else {
            return Some(Outcome::Short);
        };
        let (at, size) = (packet.at, packet.datagram.len());
        let length = if size < SHORTEST { mode.base() } else { size };
        let line = &mut self.lines[thread];
        if line.answers.is_empty() {
            line.memory.clear();
        }
        if line.memory.len() + length > MAX_WAITING {
            return Some(Outcome::QueueFull);
        }
        let ssid = selector(mode, packet.datagram);
        let (client, to) = (packet.from, packet.to.map(|local| local.ip));
        let stateful = self.config.stateful;
        let session_key = SessionKey { client, to, ssid, authenticated: key.is_some() };
        let received = stateful.then(|| self.sessions.receive(session_key, at, &request));
        let session = match received.transpose() {
            Ok(session) => session.flatten(),
            Err(outcome) => return Some(outcome),
        };
        self.counters.stateless += u64::from(stateful && session.is_none());
        let counts = session.and_then(|index| {
            let session = self.sessions.get_mut(index)?;
            let counts = session.counts();
            session.replied += 1;
            Some(counts)
        });
        let seq = counts.map_or(request.seq, |counts| counts.sent);
        let start = line.memory.len();
        line.memory.extend_from_slice(packet.datagram);
        line.memory.resize(start + length, 0);
        let reply = &mut line.memory[start..];
        if let Some(tail) = reply.get_mut(mode.base()..) {
            let to_ip = to.or(Some(self.local.ip()).filter(|ip| !ip.is_unspecified()));
            let source = if self.config.synchronized { 1 } else { 5 };
            let facts = Facts {
                sender_seq: request.seq,
                seq,
                from: client,
                to: (to_ip, self.local.port()),
                tos: packet.headers.tos.unwrap_or(0),
                reply_tos: 0,
                timestamps: TimestampInfo {
                    source_in: source,
                    method_in: 2,
                    source_out: source,
                    method_out: 2,
                },
                counts,
            };
            let keys = &self.config.keys;
            let keys = key.map_or(&keys[..], |key| &keys[key..=key]);
            reflect(tail, keys, key.is_some(), &facts);
        }
        let base = Reply {
            seq,
            sent: Timestamp::default(),
            error: self.estimate,
            ssid: request.ssid,
            received: Timestamp::new(self.config.format, at.wall_ns),
            sender_seq: request.seq,
            sender_sent: request.sent,
            sender_error: request.error,
            ttl: packet.headers.ttl,
        };
        base.write(mode, reply);
        let numbers = Numbers { ssid, seq: request.seq, reflector_seq: seq };
        line.answers.push_back(Answer {
            to: client,
            from: packet.to.filter(|_| self.local.ip().is_unspecified()),
            at: start..start + length,
            key,
            session,
            path: packet.path,
            record: Reflected { numbers: Some(numbers), ..packet.record(Outcome::Replied) },
        });
        None
    }

    /// Sends a reply into the downlink, now at T3. Returns whether it leaves immediately.
    fn send(&mut self, thread: usize, answer: &Answer) -> bool {
        let Answer { to, from, ref at, key, session, path, record } = *answer;
        let (now, reply) = (self.now, &mut self.lines[thread].memory[at.clone()]);
        let sent = complete(&self.config, key, reply, now);
        let session = session.and_then(|index| self.sessions.get_mut(index));
        if let Some((session, Numbers { reflector_seq: seq, .. })) = session.zip(record.numbers) {
            session.last = Some(Departed { seq, sent });
        }
        let record = Reflected { sent_ns: Some(now.wall_ns), ..record };
        self.paths.log().push(Event::Record(record));
        let Some(path) = path else { return true };
        let mut packet = Packet {
            at: now,
            read_ns: now.wall_ns,
            client: to,
            path,
            session: path,
            local: from,
            received: Headers::default(),
            headers: Headers::default(),
            is_reply: true,
            length: reply.len(),
            payload: reply,
        };
        self.paths.enter(down(thread), &mut packet, Shown::of, Damage::flip)
    }
}

/// Returns the number of a thread's uplinks.
fn up(thread: usize) -> usize {
    2 * thread
}

/// Returns the number of a thread's downlinks.
fn down(thread: usize) -> usize {
    2 * thread + 1
}

/// Returns the layout of a packet that is signed with this key.
fn mode(key: Option<usize>) -> Mode {
    if key.is_some() { Mode::Authenticated } else { Mode::Open }
}

/// Sets the T3 of a reply, and signs it with this key.
fn complete(
    config: &ReflectorConfig,
    key: Option<usize>,
    reply: &mut [u8],
    now: Stamp,
) -> Timestamp {
    let sent = Timestamp::new(config.format, now.wall_ns);
    set_sent(mode(key), reply, sent);
    if let Some(key) = key {
        sign(reply, &config.keys[key]);
    }
    sent
}

impl Changeable for Reflector {
    type Record = Reflected;

    fn paths(&mut self) -> &mut Paths<Reflected> {
        // Packets take paths that change.
        self.roster.get_or_insert_with(|| Roster::new(&mut self.paths));
        &mut self.paths
    }

    fn set_link(
        &mut self,
        way: usize,
        link: &Link,
        client: Option<SocketAddr>,
        now: Stamp,
    ) -> usize {
        let roster = self.roster.get_or_insert_with(|| Roster::new(&mut self.paths));
        roster.set_link(&mut self.paths, way, link, client, now)
    }
}

impl Machine for Reflector {
    type Event = Event<Reflected>;

    fn on_datagram(&mut self, thread: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        let objection = self.objection(arrival);
        let headers = Headers { ttl: arrival.ttl, tos: arrival.tos };
        let incoming = Incoming {
            at: arrival.at(),
            from: arrival.from,
            to: arrival.to,
            headers,
            path: None,
            datagram: arrival.datagram,
        };
        if objection.is_some() {
            self.count(&incoming, objection);
            return None;
        }
        let Incoming { at, from, to, .. } = incoming;
        if self.roster.is_some() && self.paths.is_step_due(at, true) {
            self.take_steps(at, true);
        }
        let Some(roster) = &mut self.roster else {
            self.reflect(thread, &incoming);
            return None;
        };
        let path = roster.path_of(from, &mut self.paths);
        let mut packet = Packet {
            at,
            read_ns: arrival.read.wall_ns,
            client: from,
            path,
            session: path,
            local: to,
            received: headers,
            headers,
            is_reply: false,
            length: arrival.datagram.len(),
            payload: arrival.datagram,
        };
        if self.paths.enter(up(thread), &mut packet, Shown::of, Damage::flip) {
            let (path, datagram) = (Some(path), &*packet.payload);
            self.reflect(thread, &Incoming { at, from, to, headers, path, datagram });
        }
        None
    }

    fn on_time(&mut self, thread: usize, now: Stamp, _heard_ns: i64) {
        self.now = now;
        if self.roster.is_none() {
            return;
        }
        if self.paths.is_step_due(now, false) {
            self.take_steps(now, false);
        }
        // T2 is when a packet leaves the uplink, not when this thread wakes.
        let next_ns = |paths: &Paths<_>| paths.next_ns(up(thread), now.mono_ns);
        while let Some(due_ns) = next_ns(&self.paths).filter(|ns| *ns <= now.mono_ns) {
            let line = &mut self.lines[thread];
            // A packet that was read late comes after those that have left.
            let after_ns = due_ns.max(line.last.mono_ns);
            let leaves_ns = self.paths.held_until(up(thread), after_ns).unwrap_or(after_ns);
            let mut at = now.moved_to(leaves_ns);
            // Both clocks are read a little apart: that must not swap the T2 of two packets. Those of
            // copies that a link delivers together differ, too.
            if (0..APART_NS).contains(&line.last.wall_ns.saturating_sub(at.wall_ns)) {
                at.wall_ns = line.last.wall_ns.saturating_add(1);
            }
            line.last = at;
            let Some(queued) = self.paths.depart(up(thread), at) else { break };
            let Queued { to: from, from: to, headers, ref payload, session: path, .. } = queued;
            let (path, datagram) = (Some(path), &payload[..]);
            self.reflect(thread, &Incoming { at, from, to, headers, path, datagram });
        }
    }

    fn deadline(&self, thread: usize) -> Option<i64> {
        if !self.lines[thread].answers.is_empty() {
            // A driver that has replies to send reads the clock for their T3.
            return Some(i64::MIN);
        }
        self.roster.as_ref()?;
        let now_ns = self.now.mono_ns;
        let lines = [up(thread), down(thread)].map(|line| self.paths.next_ns(line, now_ns));
        let refusal_ns = self.paths.refusal_end(now_ns);
        // One thread does the steps.
        let step_ns = self.paths.step_ns().filter(|_| thread == 0);
        lines.into_iter().chain([refusal_ns, step_ns]).flatten().min()
    }

    fn refuses(&self, _: usize, now: Stamp) -> bool {
        self.paths.refuses(now.mono_ns)
    }

    fn transmit(&mut self, thread: usize) -> Option<Transmit<'_>> {
        while let Some(answer) = self.lines[thread].answers.pop_front() {
            if self.send(thread, &answer) {
                let Answer { to, from, at, .. } = answer;
                return Some(Transmit { to, from, datagram: &self.lines[thread].memory[at] });
            }
        }
        self.roster.as_ref()?;
        let Queued { to, from, payload, .. } = self.paths.depart(down(thread), self.now)?;
        self.departing = payload;
        Some(Transmit { to, from, datagram: &self.departing })
    }

    fn on_unblocked(
        &mut self,
        _: usize,
        now: Stamp,
        _to: SocketAddr,
        datagram: &mut Vec<u8>,
    ) -> bool {
        // A reply that took the downlink was sent before.
        if self.roster.is_none() {
            let key = self.config.keys.iter().position(|key| is_signed(datagram, key));
            complete(&self.config, key, datagram, now);
        }
        true
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, _: &[u8], _: Option<i32>) {
        // If several copies of a reply fail, each counts as a packet, but never more than were answered.
        let replied = &mut self.counters.outcomes[Outcome::Replied as usize];
        let packets = (*replied).min(1);
        *replied -= packets;
        self.counters.send_failed += packets;
    }

    fn on_receive_drops(&mut self, thread: usize, total: u64) {
        self.receive_drops[thread] = total;
    }

    fn events(&mut self) -> &mut Events<Event<Reflected>> {
        self.paths.log()
    }
}
