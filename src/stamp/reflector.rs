//! The reflector.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

use crate::stamp::reflected::{Counters, Numbers, Outcome, Reflected};
use crate::stamp::sessions::{Key as SessionKey, MAX_SESSIONS, Session, Sessions};
use crate::wire::stamp::{
    Departed, ErrorEstimate, Facts, Format, Mode, Reply, Request, Timestamp, TimestampInfo,
    is_authenticated, is_reflected, is_signed, reflect, selector, set_sent, sign,
};
use crate::wire::{Key, Unauthenticated};
use crate::{Arrival, Events, Limiter, Local, Machine, Prefix, Stamp, Transmit, answers_anything};

/// The shortest packet that is answered by one of its own length: a reply of TWAMP.
const SHORTEST: usize = 41;

/// The most bytes of replies that wait on one thread: a batch of the longest packets.
const MAX_WAITING: usize = 17 << 20;

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
    /// How many of the last records to keep.
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
            keep: 0,
        }
    }
}

/// The reflector as a state machine.
///
/// Replies are queued and leave by [`Machine::transmit`], which sets their T3: that is as late as a
/// program can.
#[derive(Debug)]
pub struct Reflector {
    config: ReflectorConfig,
    local: SocketAddr,
    estimate: ErrorEstimate,
    sessions: Sessions,
    counters: Counters,
    lines: Vec<Line>,
    now: Stamp,
    /// Receive-queue drops per socket.
    receive_drops: Vec<u64>,
    records: Events<Reflected>,
}

/// The replies of one thread.
#[derive(Clone, Debug, Default)]
struct Line {
    answers: VecDeque<Answer>,
    memory: Vec<u8>,
}

/// A reply without its T3.
#[derive(Clone, Debug)]
struct Answer {
    to: SocketAddr,
    from: Option<Local>,
    at: Range<usize>,
    key: Option<usize>,
    session: Option<usize>,
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
    pub fn shared(config: ReflectorConfig, local: SocketAddr, threads: usize) -> Self {
        Self {
            local,
            estimate: ErrorEstimate::new(config.synchronized, config.format, config.error_ns),
            sessions: Sessions::new(config.max_sessions),
            counters: Counters::default(),
            lines: vec![Line::default(); threads],
            now: Stamp::default(),
            receive_drops: vec![0; threads],
            records: Events::log(config.keep),
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
    #[must_use]
    pub fn records(&self) -> impl ExactSizeIterator<Item = &Reflected> {
        self.records.iter()
    }

    /// Returns the number of the key that a packet is signed with, if it is authenticated, or why it
    /// is not answered.
    fn admit(&mut self, arrival: &Arrival<'_>) -> Result<Option<usize>, Outcome> {
        let config = &mut self.config;
        let Arrival { from, is_answer, to_group, ref datagram, .. } = *arrival;
        let shortest = if config.twamp_light { Mode::Open.shortest() } else { SHORTEST };
        if is_answer || to_group || answers_anything(from) {
            return Err(Outcome::Unanswerable);
        }
        if !(config.allowed.is_empty() || config.allowed.iter().any(|one| one.contains(from.ip())))
        {
            return Err(Outcome::NotAllowed);
        }
        let at_ns = arrival.at().mono_ns;
        if config.limiter.as_mut().is_some_and(|limiter| !limiter.admits(from.ip(), at_ns)) {
            return Err(Outcome::Limited);
        }
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

    /// Queues the reply to a packet that is signed with this key. Returns why it has none.
    fn answer(
        &mut self,
        thread: usize,
        arrival: &Arrival<'_>,
        key: Option<usize>,
    ) -> Option<Outcome> {
        let mode = mode(key);
        let Some(request) = Request::read(mode, arrival.datagram) else {
            return Some(Outcome::Short);
        };
        let (at, size) = (arrival.at(), arrival.datagram.len());
        let length = if size < SHORTEST { mode.base() } else { size };
        let line = &mut self.lines[thread];
        if line.answers.is_empty() {
            line.memory.clear();
        }
        if line.memory.len() + length > MAX_WAITING {
            return Some(Outcome::QueueFull);
        }
        let ssid = selector(mode, arrival.datagram);
        let (client, to) = (arrival.from, arrival.to.map(|local| local.ip));
        let stateful = self.config.stateful;
        let session_key = SessionKey { client, to, ssid, authenticated: key.is_some() };
        let session = stateful.then(|| self.sessions.receive(session_key, at)).flatten();
        self.counters.stateless += u64::from(stateful && session.is_none());
        let counts = session.and_then(|index| {
            let session = self.sessions.get_mut(index)?;
            let counts = session.counts();
            session.replied += 1;
            Some(counts)
        });
        let seq = counts.map_or(request.seq, |counts| counts.sent);
        let start = line.memory.len();
        line.memory.extend_from_slice(arrival.datagram);
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
                tos: arrival.tos.unwrap_or(0),
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
            ttl: arrival.ttl,
        };
        base.write(mode, reply);
        let numbers = Numbers { ssid, seq: request.seq, reflector_seq: seq };
        line.answers.push_back(Answer {
            to: client,
            from: arrival.to.filter(|_| self.local.ip().is_unspecified()),
            at: start..start + length,
            key,
            session,
            record: Reflected { numbers: Some(numbers), ..record(arrival, Outcome::Replied) },
        });
        None
    }
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

/// Returns the record of a packet without a reply.
fn record(arrival: &Arrival<'_>, outcome: Outcome) -> Reflected {
    Reflected {
        at: arrival.at(),
        client: arrival.from,
        outcome,
        size: arrival.datagram.len(),
        ttl: arrival.ttl,
        tos: arrival.tos,
        numbers: None,
        sent_ns: None,
    }
}

impl Machine for Reflector {
    type Event = Reflected;

    fn on_datagram(&mut self, thread: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        let objection = match self.admit(arrival) {
            Ok(key) => self.answer(thread, arrival, key),
            Err(outcome) => Some(outcome),
        };
        self.counters.count(objection.unwrap_or(Outcome::Replied));
        if let Some(outcome) = objection {
            self.records.push(record(arrival, outcome));
        }
        None
    }

    fn on_time(&mut self, _: usize, now: Stamp, _heard_ns: i64) {
        self.now = now;
    }

    fn deadline(&self, thread: usize) -> Option<i64> {
        // A driver that has replies to send reads the clock for their T3.
        (!self.lines[thread].answers.is_empty()).then_some(i64::MIN)
    }

    fn transmit(&mut self, thread: usize) -> Option<Transmit<'_>> {
        let Self { config, sessions, lines, now, records, .. } = self;
        let Line { answers, memory } = &mut lines[thread];
        let Answer { to, from, at, key, session, record } = answers.pop_front()?;
        let reply = &mut memory[at];
        let sent = complete(config, key, reply, *now);
        let session = session.and_then(|index| sessions.get_mut(index));
        if let Some((session, Numbers { reflector_seq: seq, .. })) = session.zip(record.numbers) {
            session.last = Some(Departed { seq, sent });
        }
        records.push(Reflected { sent_ns: Some(now.wall_ns), ..record });
        Some(Transmit { to, from, datagram: reply })
    }

    fn on_unblocked(
        &mut self,
        _: usize,
        now: Stamp,
        _to: SocketAddr,
        datagram: &mut Vec<u8>,
    ) -> bool {
        let key = self.config.keys.iter().position(|key| is_signed(datagram, key));
        complete(&self.config, key, datagram, now);
        true
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, _: &[u8], _: Option<i32>) {
        self.counters.outcomes[Outcome::Replied as usize] -= 1;
        self.counters.send_failed += 1;
    }

    fn on_receive_drops(&mut self, thread: usize, total: u64) {
        self.receive_drops[thread] = total;
    }

    fn events(&mut self) -> &mut Events<Reflected> {
        &mut self.records
    }
}
