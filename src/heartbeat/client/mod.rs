//! The heartbeat client: beats on an absolute schedule, with optional simulated faults.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::heartbeat::progress::{Progress, Summary};
use crate::wire::beat::Status;
use crate::wire::signed::Signer;
use crate::wire::{self, Template};
use crate::{
    Arrival, Events, Icmp, Machine, NS_PER_SECOND, Random, Stamp, Target, Transmit, Zone, canonical,
};

/// Number of goodbyes, because any one may be lost, and the time between them.
const GOODBYES: u32 = 3;
const APART: Duration = Duration::from_millis(20);

/// Minimum gap before a beat sent out of turn, however often the application has news.
const APART_NS: i64 = 20_000_000;

/// How long the first beat waits for the lookup of one server's name if the address of another is
/// known.
const FIRST_LOOKUP_NS: i64 = NS_PER_SECOND;

/// Settings of a heartbeat client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Every beat is sent to each of these.
    pub servers: Vec<Target>,
    /// Time between beats.
    pub interval_ns: i64,
    /// Random shift of each beat, as a fraction of the interval (0 to 0.5), so that many clients do
    /// not beat in step.
    pub spread: f64,
    /// Number of beats; unlimited if `None`.
    pub count: Option<u64>,
    /// Number of the beat at which to simulate a crash.
    pub fail_at: Option<u64>,
    /// Probability of a simulated crash at each beat.
    pub fail_chance: f64,
    /// Probability that a beat is skipped on purpose.
    pub loss: f64,
    /// Whether an orderly end says goodbye.
    pub goodbye: bool,
    /// Whether beats may go to broadcast addresses.
    pub broadcast: bool,
    /// Seed of these random choices; drawn by the system if `None`.
    pub seed: Option<u64>,
    /// Number of consecutive beats without a reply after which a server that replied before no
    /// longer hears the client; never if `None`.
    pub unheard_after: Option<u64>,
    /// Format of the beats.
    pub format: BeatFormat,
    /// The local time of messages that contain one.
    pub zone: Zone,
    /// Number of most recent events kept for a reader.
    pub events: usize,
}

/// Format of a client's beats.
#[derive(Clone, Debug)]
pub enum BeatFormat {
    /// The user's own text, which declares nothing.
    Template(Template),
    /// The lab's number and time, preceded by declarations about the sender.
    Declared {
        /// The sender's name.
        name: Option<Box<[u8]>>,
        /// The application's progress.
        progress: Arc<Progress>,
        /// Time without progress after which the sender declares the application stalled.
        stall_after_ns: Option<i64>,
        /// Intervals after which the server shall mark the sender down, in millionths.
        down_millionths: Option<i64>,
        /// Time in addition.
        grace_ns: Option<i64>,
        /// Signs beats and verifies their answers.
        signer: Option<Box<Signer>>,
    },
}

/// Counters of a heartbeat client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Beats that were due and not skipped, once for each server, including `send_failed`.
    pub sent: u64,
    /// Beats skipped on purpose.
    pub skipped: u64,
    /// Beats that this host failed to send, or whose server had no address.
    pub send_failed: u64,
    /// ICMP port-unreachable messages.
    pub refused: u64,
    /// Datagrams received.
    pub received: u64,
    /// Answers among them without a right signature.
    pub unauthenticated: u64,
}

/// An event for the owner of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A beat that was due.
    Beat(Beat),
    /// A server that replied before no longer does.
    Unheard(Unheard),
}

/// A beat that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Sequence number, starting at 1.
    pub seq: u64,
    /// When the client acted on it.
    pub at: Stamp,
    /// The client's action.
    pub outcome: Outcome,
}

/// A server that replied before no longer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unheard {
    /// The server's address.
    pub server: SocketAddr,
    /// When it was noticed.
    pub at: Stamp,
    /// The time since the last reply.
    pub silence_ns: i64,
}

/// Action of a client when a beat was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Simulated a crash: sent neither this beat nor any later one.
    Failed,
    /// Failed to send the beat to any server.
    SendFailed,
    /// Sent the beat.
    Sent,
    /// Skipped the beat on purpose.
    Skipped,
}

impl Outcome {
    /// All of them by name.
    pub const ALL: [(&str, Self); 4] = [
        ("failed", Self::Failed),
        ("send_failed", Self::SendFailed),
        ("sent", Self::Sent),
        ("skipped", Self::Skipped),
    ];
}

/// The end of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An orderly one.
    Orderly,
    /// An exception, with its type if that can be written in a beat.
    Failed(Option<Box<[u8]>>),
    /// An end that is not reported.
    Silent,
}

/// A server of a client.
#[derive(Debug)]
struct Server {
    target: Target,
    /// The last datagram for it.
    datagram: Vec<u8>,
    /// Beats that this host failed to send to it.
    send_failed: u64,
    /// When the last reply arrived.
    heard: Option<Stamp>,
    /// Scheduled beats since then.
    unanswered: u64,
    /// The highest number of a beat with an authentic answer, and the nonce in that.
    answered: (u64, u64),
}

impl Server {
    fn has(&self, address: SocketAddr) -> bool {
        self.target.address().is_some_and(|own| canonical(own) == canonical(address))
    }

    /// Returns whether this is a group of servers, or may be one if `broadcast` is permitted, that
    /// `address` may be one of.
    fn may_contain(&self, address: SocketAddr, broadcast: bool) -> bool {
        let Some(own) = self.target.address().map(canonical) else { return false };
        let is_group = match own.ip() {
            IpAddr::V6(ip) => ip.is_multicast(),
            // The host's part of a broadcast address is all ones, of at least two bits.
            IpAddr::V4(ip) => ip.is_multicast() || broadcast && ip.octets()[3] & 3 == 3,
        };
        is_group && own.port() == address.port()
    }
}

/// The datagrams that did not leave, of a beat that was not reported yet.
#[derive(Debug)]
struct Pending {
    failed: usize,
    /// Datagrams that wait for room in the send buffer.
    blocked: usize,
}

/// The heartbeat client as a state machine.
///
/// It falls silent if it is stopped, unless [`end`](Self::end) was called before.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    random: Random,
    /// Separate generator, so that the spread does not change the other choices.
    spread: Random,
    /// Boot id, drawn at the first beat: milliseconds of the start in the upper bits, random bits
    /// below.
    boot: Option<u64>,
    counters: ClientCounters,
    servers: Vec<Server>,
    /// When the client began to wait for the addresses of its servers.
    started_ns: Option<i64>,
    seq: u64,
    /// When the current beat was due.
    at: Stamp,
    pending: Option<Pending>,
    /// The next beat's slot in the schedule, and the time to send it, shifted by the spread.
    slot_ns: i64,
    next_ns: i64,
    /// When the last beat was handled.
    last_ns: i64,
    /// The end to report, if there is one to report.
    ending: Option<Ending>,
    goodbyes: u32,
    /// Whether the last beat was handled, so that only the farewell is left.
    over: bool,
    /// Index of the next server to send the current beat to.
    next_server: usize,
    done: bool,
    events: Events<ClientEvent>,
}

impl Client {
    /// Creates a client whose first beat is due immediately.
    #[must_use]
    pub fn new(mut config: ClientConfig) -> Self {
        let server = |target| Server {
            target,
            datagram: Vec::new(),
            send_failed: 0,
            heard: None,
            unanswered: 0,
            answered: (0, 0),
        };
        let servers: Vec<_> = mem::take(&mut config.servers).into_iter().map(server).collect();
        Self {
            random: Random::new(config.seed),
            spread: Random::new(config.seed),
            boot: None,
            counters: ClientCounters::default(),
            started_ns: None,
            seq: 0,
            at: Stamp::default(),
            pending: None,
            slot_ns: i64::MIN,
            next_ns: i64::MIN,
            last_ns: i64::MIN,
            ending: None,
            goodbyes: 0,
            over: false,
            next_server: servers.len(),
            servers,
            done: false,
            events: Events::new(config.events),
            config,
        }
    }

    /// Returns the counters so far.
    #[must_use]
    pub fn counters(&self) -> ClientCounters {
        self.counters
    }

    /// Returns the address of the first server, if it is known.
    #[must_use]
    pub fn server(&self) -> Option<SocketAddr> {
        self.servers.first()?.target.address().map(canonical)
    }

    /// Returns the servers, by number, whose name the last lookup did not resolve, with the
    /// resolver's reason.
    #[must_use]
    pub fn unresolved(&self) -> Vec<(usize, String)> {
        let reason = |(index, server): (usize, &Server)| {
            Some((index, server.target.unresolved()?.to_owned()))
        };
        self.servers.iter().enumerate().filter_map(reason).collect()
    }

    /// Returns when the last reply of any server arrived.
    #[must_use]
    pub fn heard(&self) -> Option<Stamp> {
        self.servers.iter().filter_map(|server| server.heard).max_by_key(|heard| heard.mono_ns)
    }

    /// Chooses the farewell, unless one was chosen before. A silent end has none, whatever was
    /// chosen.
    pub fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Silent => self.ending = Some(ending),
            Ending::Orderly if !self.config.goodbye => {}
            _ => {
                self.ending.get_or_insert(ending);
            }
        }
    }

    /// Returns whether there is a farewell to say: beats were sent and declared, and the end is to
    /// be reported.
    fn has_farewell(&self) -> bool {
        let declares = matches!(self.config.format, BeatFormat::Declared { .. });
        let reports = matches!(self.ending, Some(Ending::Orderly | Ending::Failed(_)));
        declares && reports && self.seq > 0 && !self.done && self.goodbyes < GOODBYES
    }

    /// Queues the current beat or goodbye for all servers.
    fn send(&mut self, now: Stamp) {
        (self.at, self.next_server) = (now, 0);
    }

    /// Returns the next server to send to, with its address. A beat for a server without one fails.
    fn next_destination(&mut self) -> Option<(usize, SocketAddr)> {
        while let Some(server) = self.servers.get_mut(self.next_server) {
            self.next_server += 1;
            self.counters.sent += 1;
            if let Some(to) = server.target.address() {
                return Some((self.next_server - 1, to));
            }
            server.send_failed += 1;
            self.count_failure();
        }
        None
    }

    /// Writes the current beat or goodbye for a server.
    fn write(&mut self, server: usize) {
        let Self { config, boot, servers, seq, ending, goodbyes, at: now, .. } = self;
        let farewell = ending.as_ref().filter(|_| *goodbyes > 0);
        let Server { datagram: out, send_failed, answered: (_, nonce), .. } = &mut servers[server];
        match &config.format {
            BeatFormat::Template(template) => {
                let zone_ns = config.zone.offset_ns(now.wall_ns);
                template.write(*seq, now.wall_ns, zone_ns, out);
            }
            BeatFormat::Declared {
                name,
                progress,
                stall_after_ns,
                down_millionths,
                grace_ns,
                signer,
            } => {
                let boot = *boot.get_or_insert_with(|| {
                    let ms = now.wall_ns.max(0).cast_unsigned() / 1_000_000;
                    ms << 16 | Random::new(None).below(1 << 16)
                });
                let Summary { age_ns, task, failures, busy_ns } =
                    progress.summary(now.mono_ns, stall_after_ns.is_some());
                let status = match (farewell, busy_ns, age_ns.zip(*stall_after_ns)) {
                    (Some(Ending::Orderly), ..) => Some(Status::Bye),
                    (Some(Ending::Failed(_)), ..) => Some(Status::Failed),
                    (_, Some(_), _) => Some(Status::Busy),
                    (.., Some((age_ns, after_ns))) if age_ns > after_ns => Some(Status::Stalled),
                    _ => None,
                };
                let error = match farewell {
                    Some(Ending::Failed(Some(error))) => Some(&**error),
                    _ => None,
                };
                let beat = wire::Beat {
                    interval_ns: Some(config.interval_ns),
                    boot: Some(boot),
                    name: name.as_deref(),
                    status,
                    error,
                    age_ns,
                    task: task.as_deref(),
                    failures: Some(failures).filter(|failures| *failures > 0),
                    send_failed: Some(*send_failed).filter(|failed| *failed > 0),
                    busy_ns: busy_ns.filter(|_| farewell.is_none()),
                    down_millionths: *down_millionths,
                    grace_ns: *grace_ns,
                    ..wire::Beat::default()
                };
                match signer {
                    Some(signer) => signer.write(&beat, *nonce, *seq, now.wall_ns, out),
                    None => beat.write(*seq, now.wall_ns, out),
                }
            }
        }
    }

    /// Returns when the first beat is due: once all servers' names were looked up, or one address
    /// has been known for long enough.
    fn first_ns(&self) -> i64 {
        let unknown = self.servers.iter().any(|server| server.target.is_unknown());
        let known = self.servers.iter().any(|server| server.target.address().is_some());
        match (unknown, self.started_ns) {
            (false, _) => i64::MIN,
            (true, Some(started_ns)) if known => started_ns.saturating_add(FIRST_LOOKUP_NS),
            _ => i64::MAX,
        }
    }

    /// Returns when the next beat is due: in its slot, or sooner if the application has news.
    fn due_ns(&self) -> i64 {
        if self.seq == 0 {
            return self.first_ns();
        }
        match &self.config.format {
            BeatFormat::Declared { progress, .. } if !self.over => {
                let soon_ns = self.last_ns.saturating_add(APART_NS);
                let news_ns = progress.news_ns().map(|news_ns| news_ns.max(soon_ns));
                news_ns.map_or(self.next_ns, |news_ns| news_ns.min(self.next_ns))
            }
            _ => self.next_ns,
        }
    }

    /// Advances to the first slot after `now` and schedules its beat.
    fn schedule(&mut self, now: Stamp) {
        let ClientConfig { interval_ns, spread, .. } = self.config;
        if self.seq == 1 {
            self.slot_ns = now.mono_ns;
        }
        // After a stall, send one beat, not a burst. A beat sent early because of its spread missed
        // no slot.
        let missed = now.mono_ns.saturating_sub(self.slot_ns).max(0) / interval_ns;
        self.slot_ns =
            self.slot_ns.saturating_add(interval_ns.saturating_mul(missed.saturating_add(1)));
        self.next_ns = self.slot_ns;
        if spread > 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "a random shift need not be exact"
            )]
            let most_ns = (interval_ns as f64 * spread) as i64;
            let drawn = self.spread.below(2 * most_ns.unsigned_abs() + 1);
            self.next_ns = self.next_ns.saturating_add(drawn.cast_signed() - most_ns);
        }
    }

    /// Counts a datagram of the current beat that did not leave.
    fn count_failure(&mut self) {
        self.counters.send_failed += 1;
        if let Some(pending) = &mut self.pending {
            pending.failed += 1;
        }
    }

    /// Returns the outcome of the pending beat once its datagrams have left or failed.
    fn fate(&self) -> Option<Outcome> {
        let Pending { failed, blocked } = self.pending.as_ref()?;
        let all = self.servers.len();
        if self.next_server < all {
            None
        } else if all > failed + blocked {
            Some(Outcome::Sent)
        } else {
            (*blocked == 0).then_some(Outcome::SendFailed)
        }
    }

    /// Reports the pending beat, if there is one.
    fn report(&mut self, outcome: Outcome) {
        if self.pending.take().is_some() {
            self.push(outcome);
        }
    }

    /// Reports the current beat.
    fn push(&mut self, outcome: Outcome) {
        self.events.push(ClientEvent::Beat(Beat { seq: self.seq, at: self.at, outcome }));
        self.done |= outcome == Outcome::Failed || self.over && !self.has_farewell();
    }

    /// Counts a scheduled beat as unanswered so far, after reporting servers that answered none of
    /// the last ones.
    fn check_replies(&mut self, now: Stamp) {
        for Server { target, heard, unanswered, .. } in &mut self.servers {
            if self.config.unheard_after == Some(*unanswered)
                && let (Some(server), Some(heard)) = (target.address(), *heard)
            {
                let silence_ns = now.mono_ns.saturating_sub(heard.mono_ns);
                let unheard = Unheard { server: canonical(server), at: now, silence_ns };
                self.events.push(ClientEvent::Unheard(unheard));
                target.on_silence();
            }
            *unanswered = unanswered.saturating_add(1);
        }
    }

    fn outcome(&mut self) -> Outcome {
        let ClientConfig { fail_at, fail_chance, loss, .. } = self.config;
        // Draw both every time, so that one setting does not change the other's choices.
        let fails = self.random.chance(fail_chance);
        let skips = self.random.chance(loss);
        if fails || fail_at == Some(self.seq) {
            Outcome::Failed
        } else if skips {
            Outcome::Skipped
        } else {
            Outcome::Sent
        }
    }
}

impl Machine for Client {
    type Event = ClientEvent;

    fn on_datagram(&mut self, _: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        self.counters.received += 1;
        // Our boot id shows that the sender has read a beat of ours.
        let is_declared = matches!(self.config.format, BeatFormat::Declared { .. });
        let answer = wire::Beat::read(arrival.datagram);
        let has_read = self.boot.is_some() && answer.boot == self.boot;
        if is_declared && !has_read {
            return None;
        }
        let mut signed = None;
        if let BeatFormat::Declared { signer: Some(signer), .. } = &self.config.format {
            signed = answer.reading.seq.zip(signer.verify(arrival.datagram));
            if signed.is_none() {
                self.counters.unauthenticated += 1;
                return None;
            }
        }
        let (from, servers) = (arrival.from, &mut self.servers);
        let index = servers.iter().position(|server| server.has(from)).or_else(|| {
            let may_be = |server: &Server| server.may_contain(from, self.config.broadcast);
            servers.iter().position(|server| is_declared && may_be(server))
        });
        if let Some(server) = index.and_then(|index| servers.get_mut(index)) {
            if let Some(answered) = signed {
                // An answer counts once, so that no recording of it does.
                if answered.0 <= server.answered.0 {
                    return None;
                }
                server.answered = answered;
            }
            (server.heard, server.unanswered) = (Some(arrival.at()), 0);
            server.target.on_answer();
        }
        None
    }

    fn on_icmp(&mut self, _: usize, error: &Icmp<'_>) {
        self.counters.refused += u64::from(error.is_port_unreachable());
        for server in self.servers.iter_mut().filter(|server| server.has(error.to)) {
            server.target.on_silence();
        }
    }

    fn on_time(&mut self, _: usize, now: Stamp, _heard_ns: i64) {
        self.started_ns.get_or_insert(now.mono_ns);
        if let Some(outcome) = self.fate() {
            self.report(outcome);
        }
        if self.done || now.mono_ns < self.due_ns() {
            return;
        }
        // A beat that still waits for room in the send buffer is replaced.
        self.report(Outcome::SendFailed);
        if self.over {
            match self.farewell(now) {
                Some(_) => self.next_ns = now.mono_ns.saturating_add(APART_NS),
                None => self.done = true,
            }
            return;
        }
        self.seq += 1;
        self.at = now;
        self.last_ns = now.mono_ns;
        if now.mono_ns >= self.next_ns {
            self.schedule(now);
            self.check_replies(now);
        }
        if let BeatFormat::Declared { progress, .. } = &self.config.format {
            progress.clear_news();
        }
        let outcome = self.outcome();
        if self.config.count == Some(self.seq) {
            self.end(Ending::Orderly);
            self.over = true;
            self.next_ns = now.mono_ns.saturating_add(APART_NS);
        }
        if outcome == Outcome::Sent {
            self.send(now);
            self.pending = Some(Pending { failed: 0, blocked: 0 });
        } else {
            self.counters.skipped += u64::from(outcome == Outcome::Skipped);
            self.push(outcome);
        }
    }

    fn deadline(&self, _: usize) -> Option<i64> {
        let due_ns = if self.fate().is_some() { i64::MIN } else { self.due_ns() };
        let lookups = self.servers.iter().filter_map(|server| server.target.deadline());
        lookups.chain([due_ns]).min()
    }

    fn lookups(&mut self, now: Stamp) -> Vec<usize> {
        let servers = self.servers.iter_mut().enumerate();
        servers
            .filter_map(|(index, server)| server.target.is_due(now.mono_ns).then_some(index))
            .collect()
    }

    fn on_resolved(&mut self, server: usize, now: Stamp, found: Result<&[SocketAddr], &str>) {
        if let Some(server) = self.servers.get_mut(server) {
            server.target.on_resolved(now.mono_ns, found);
        }
    }

    fn transmit(&mut self, _: usize) -> Option<Transmit<'_>> {
        let (server, to) = self.next_destination()?;
        self.write(server);
        Some(Transmit { to, from: None, datagram: &self.servers[server].datagram })
    }

    fn on_blocked(&mut self, _: usize, beat: &[u8]) {
        let is_latest = self.servers.iter().any(|server| server.datagram == beat);
        if let Some(pending) = self.pending.as_mut().filter(|_| is_latest) {
            pending.blocked += 1;
        }
    }

    fn on_unblocked(&mut self, _: usize, _: Stamp, to: SocketAddr, beat: &mut Vec<u8>) -> bool {
        let server = self.servers.iter_mut().find(|server| server.has(to));
        // Once the socket is writable again, send only the newest beat, not a burst.
        if server.as_ref().is_some_and(|server| server.datagram == *beat) {
            if let Some(pending) = &mut self.pending {
                pending.blocked = pending.blocked.saturating_sub(1);
            }
            return true;
        }
        self.counters.send_failed += 1;
        if let Some(server) = server {
            server.send_failed += 1;
        }
        false
    }

    fn on_send_failed(&mut self, _: usize, to: SocketAddr, beat: &[u8], error: Option<i32>) {
        let server = self.servers.iter_mut().find(|server| server.has(to));
        let is_latest = server.as_ref().is_some_and(|server| server.datagram == beat);
        if let Some(server) = server {
            server.send_failed += 1;
            if error.is_some() {
                server.target.on_silence();
            }
        }
        if is_latest {
            self.count_failure();
        } else {
            self.counters.send_failed += 1;
        }
    }

    fn farewell(&mut self, now: Stamp) -> Option<Duration> {
        let outcome = self.fate().unwrap_or(Outcome::SendFailed);
        self.report(outcome);
        if !self.has_farewell() {
            return None;
        }
        // All goodbyes carry the number that the next beat would have had.
        self.seq += u64::from(self.goodbyes == 0);
        self.goodbyes += 1;
        self.send(now);
        Some(if self.goodbyes < GOODBYES { APART } else { Duration::ZERO })
    }

    fn is_done(&self, _: usize) -> bool {
        self.done
    }

    fn events(&mut self) -> &mut Events<ClientEvent> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests;
