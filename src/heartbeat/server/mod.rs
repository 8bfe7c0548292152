//! The heartbeat server: tracks clients by their beats and reports what happens to them.

mod follow;
mod guard;
mod identity;
mod judge;
mod timeouts;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use self::guard::{Authentic, Refused};
use crate::heartbeat::peer::{Details, Guard, NONE, Record};
use crate::heartbeat::sequence::SeqClass;
use crate::heartbeat::table::{Key, Table};
use crate::heartbeat::{Change, Detector, Event, Peer, Sequence, Snapshot, State};
use crate::machine::one_by_one;
use crate::wire::signed::answer;
use crate::wire::{self, Beat, Keys, Unauthenticated, shown};
use crate::{Arrival, Events, Machine, NS_PER_SECOND, Stamp, Transmit, Zone, canonical};

/// Timeout of a client whose interval is not known yet.
const GRACE_NS: i64 = 60 * NS_PER_SECOND;
/// Maximum number of clients examined to make room for a newcomer.
const EVICTION_STEPS: usize = 64;
/// Newcomers heard only once may evict clients that ended until they hold one in this many entries
/// of the table.
const ON_PROBATION: usize = 16;
/// Maximum time that beats wait to be read together.
const GATHER: Duration = Duration::from_micros(500);
/// The address in events about this host.
const HERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
/// The most datagrams whose clients are fetched from memory together.
const TOGETHER: usize = 64;

/// Treatment of a beat whose number or time says that it is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldBeats {
    /// Not a sign of life.
    Ignore,
    /// A sign of life, like any other beat.
    Accept,
}

impl OldBeats {
    /// All variants with their names.
    pub const ALL: [(&'static str, Self); 2] = [("ignore", Self::Ignore), ("accept", Self::Accept)];
}

/// Rule that finds a beat's sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// A number with a label, or in the lab's form, or that has counted up.
    Counting,
    /// The first whole number, as in the lab.
    First,
}

impl Numbers {
    /// All variants with their names.
    pub const ALL: [(&'static str, Self); 2] =
        [("counting", Self::Counting), ("first", Self::First)];
}

/// Settings of a heartbeat server.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub struct ServerConfig {
    /// Failure detector, which sets the timeouts.
    pub detector: Detector,
    /// Whether old beats are signs of life.
    pub old_beats: OldBeats,
    /// Whether clients without a name are identified by host alone, not by address and port.
    pub by_host: bool,
    /// Which numbers in a beat are its sequence number.
    pub numbers: Numbers,
    /// Whether any datagram is a beat, also one without a number, a time or a declaration.
    pub opaque: bool,
    /// Whether each beat is answered with its text in upper case.
    pub reply: bool,
    /// The keys of authenticated clients; if `None`, no beat is authenticated.
    pub keys: Option<Arc<Keys>>,
    /// Treatment of beats without a signature, if there are keys.
    pub unauthenticated: Unauthenticated,
    /// The largest multiplier of its interval that a client may ask for as its timeout.
    pub max_multiplier: u32,
    /// The longest grace that a client may ask for.
    pub max_grace_ns: i64,
    /// Names of clients that must be heard.
    pub expect: Vec<Box<[u8]>>,
    /// Time after the start in which they must be heard.
    pub expect_within_ns: i64,
    /// Maximum number of clients; others are rejected.
    pub max_peers: usize,
    /// The local time of times without a zone.
    pub zone: Zone,
    /// Whether every datagram is an event, not only changes.
    pub every_beat: bool,
    /// Number of most recent events kept for a reader.
    pub events: usize,
}

/// Counters of a heartbeat server. Each datagram in `received` is one of `beats`, `goodbyes`,
/// `duplicates`, `stale`, `unproven`, `ignored`, `rejected`, `unauthenticated`, `unknown_keys`,
/// `bad_tags`, `replays` and `old_boots`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCounters {
    /// Datagrams received.
    pub received: u64,
    /// Heartbeats, each counted once.
    pub beats: u64,
    /// Beats among them that had been counted lost.
    pub late_beats: u64,
    /// Goodbyes, after a failure or not.
    pub goodbyes: u64,
    /// Repeated heartbeats.
    pub duplicates: u64,
    /// Heartbeats too old to classify, or of a boot that has ended.
    pub stale: u64,
    /// Beats and goodbyes that do not prove to be from the client they name.
    pub unproven: u64,
    /// Datagrams without a number, a time or a declaration.
    pub ignored: u64,
    /// Datagrams of clients that found the table full.
    pub rejected: u64,
    /// Beats without a signature.
    pub unauthenticated: u64,
    /// Beats signed with a key that is not in the set.
    pub unknown_keys: u64,
    /// Beats with a wrong tag.
    pub bad_tags: u64,
    /// Authentic beats whose number was received before, or is too old to tell.
    pub replays: u64,
    /// Authentic beats of a boot that is neither newer than the last one nor proves to be live.
    pub old_boots: u64,
    /// Datagrams, included above, whose name is too long and was skipped.
    pub overlong_names: u64,
    /// Datagrams that this host's kernel dropped because they were not read in time.
    pub receive_drops: u64,
    /// Answers sent.
    pub replied: u64,
    /// Answers that this host failed to send.
    pub send_failed: u64,
}

impl ServerCounters {
    /// Counts a beat whose number is of this class.
    fn count(&mut self, class: SeqClass) {
        match class {
            SeqClass::Duplicate => self.duplicates += 1,
            SeqClass::Stale => self.stale += 1,
            _ => self.beats += 1,
        }
    }
}

/// The heartbeat server as a state machine.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    table: Table,
    /// Number of clients in each state: those heard only once, and the others.
    counts: [[usize; State::ALL.len()]; 2],
    /// Index at which the next search for a client to evict starts.
    eviction_cursor: usize,
    removals: u64,
    counters: ServerCounters,
    /// Wall clock minus monotonic clock: at the first datagram, and now.
    offsets_ns: Option<(i64, i64)>,
    /// When the server last ran.
    ran_ns: i64,
    /// The time until which silence was last judged.
    heard_ns: i64,
    /// The last time in which this process did not run although it had work: from, to.
    away: (i64, i64),
    /// Expected clients that have not been heard.
    missing: BTreeSet<Box<[u8]>>,
    /// When they are reported: `i64::MIN` before the first call, `i64::MAX` once they were.
    missing_ns: i64,
    /// Earliest time at which a deadline may expire.
    sweep_ns: Option<i64>,
    /// Whether a mass silence was reported and has not ended.
    mass: bool,
    /// The nonce for clients that are not known.
    nonce: u64,
    events: Events<Event>,
}

/// A received datagram, parsed.
struct ReceivedBeat<'a> {
    at: Stamp,
    from: SocketAddr,
    datagram: &'a [u8],
    beat: Beat<'a>,
    /// The length of the first word; 0 if it declares nothing.
    word: usize,
    /// Receive time minus send time, on a wall clock of this host that never steps.
    difference_ns: Option<i64>,
    /// Hash of its client's key.
    hash: u64,
    /// Probable index of its client.
    hint: u32,
}

impl<'a> ReceivedBeat<'a> {
    /// Creates one that is not parsed yet.
    #[inline]
    fn new(at: Stamp, from: SocketAddr, datagram: &'a [u8]) -> Self {
        let (from, beat) = (canonical(from), Beat::default());
        Self { at, from, datagram, beat, word: 0, difference_ns: None, hash: 0, hint: NONE }
    }
}

/// The answer to a beat.
#[derive(Debug)]
enum Answer {
    None,
    /// In upper case.
    Plain,
    /// Signed, with a nonce.
    Signed(Box<(wire::Key, u64)>),
}

impl Answer {
    fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl Server {
    /// Creates a server that knows no clients.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self {
            table: Table::new(config.by_host),
            counts: [[0; State::ALL.len()]; 2],
            eviction_cursor: 0,
            removals: 0,
            counters: ServerCounters::default(),
            offsets_ns: None,
            ran_ns: 0,
            heard_ns: 0,
            away: (0, 0),
            missing_ns: if config.expect.is_empty() { i64::MAX } else { i64::MIN },
            missing: config.expect.iter().cloned().collect(),
            sweep_ns: None,
            mass: false,
            nonce: guard::random(),
            events: Events::new(config.events),
            config,
        }
    }

    /// Returns the counters so far.
    #[must_use]
    pub fn counters(&self) -> ServerCounters {
        self.counters
    }

    /// Handles a datagram that is not a heartbeat.
    fn ignore(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]) {
        self.counters.received += 1;
        self.counters.ignored += 1;
        if self.config.every_beat {
            let change = Change::Ignored { payload: shown(datagram) };
            self.push_event(from, None, at, Snapshot::default(), change);
        }
    }

    /// Parses a received datagram in place: a beat is long.
    fn parse(&mut self, received: &mut ReceivedBeat<'_>) {
        let ReceivedBeat { at, from, datagram, beat, word, difference_ns, hash, .. } = received;
        *word = match self.config.numbers {
            Numbers::Counting => beat.fill(datagram),
            Numbers::First => beat.fill_by_first_number(datagram),
        };
        let offset_ns = at.wall_ns.saturating_sub(at.mono_ns);
        let (first_ns, _) = *self.offsets_ns.get_or_insert_with(|| {
            (self.ran_ns, self.heard_ns) = (at.mono_ns, at.mono_ns);
            (offset_ns, offset_ns)
        });
        let steady_ns = at.mono_ns.saturating_add(first_ns);
        let time = beat.reading.time;
        let zone = &self.config.zone;
        *difference_ns = time.map(|time| time.until_ns(steady_ns, zone.offset_ns(at.wall_ns)));
        *hash = self.table.hash(&self.table.key(*from, beat.name, beat.boot));
    }

    /// Handles a datagram and returns its answer.
    fn hear(&mut self, received: &mut ReceivedBeat<'_>) -> Answer {
        // Nearly all beats only say that nothing has changed.
        if self.keep_pace(received) { Answer::None } else { self.handle(received) }
    }

    /// Handles a datagram that may say anything and returns its answer.
    fn handle(&mut self, received: &mut ReceivedBeat<'_>) -> Answer {
        let ReceivedBeat { at, from, datagram, hash, hint, ref beat, .. } = *received;
        if !beat.is_beat() && !self.config.opaque {
            self.ignore(at, from, datagram);
            return Answer::None;
        }
        self.counters.received += 1;
        self.counters.overlong_names += u64::from(beat.overlong);
        let key = self.table.key(from, beat.name, beat.boot);
        let found = self.table.find(hash, &key, hint);
        let Authentic { found, guard, answer } = match self.authenticate(found, received) {
            Ok(authentic) => authentic,
            Err(Refused { counter, answer }) => {
                *counter(&mut self.counters) += 1;
                self.counters.replied += u64::from(answer.is_some());
                return answer;
            }
        };
        let is_heard = if let Some(index) = found {
            if self.is_other_boot(index, received) {
                self.meet_boot(index, received)
            } else {
                let sequence = &mut self.table.record_mut(index).sequence;
                received.beat.reading.seq = sequence.believe(&received.beat.reading);
                self.follow(index, received)
            }
        } else {
            let sequence = Sequence::of(&received.beat.reading);
            received.beat.reading.seq = sequence.highest();
            if !self.admit(hash, received, sequence, guard) {
                return Answer::None;
            }
            true
        };
        let beat = &received.beat;
        // A goodbye has an event of its own.
        if is_heard && self.config.every_beat && !beat.is_goodbye() {
            let zone_ns = self.config.zone.offset_ns(at.wall_ns);
            let difference_ns = beat.reading.time.map(|time| time.until_ns(at.wall_ns, zone_ns));
            let payload = shown(datagram);
            let name = beat.name.map(Into::into);
            let seq = beat.reading.seq;
            let change = Change::Heard { seq, difference_ns, payload };
            self.push_event(from, name, at, Snapshot::default(), change);
        }
        self.counters.replied += u64::from(answer.is_some());
        answer
    }

    /// Returns the names of the expected clients that have not been heard.
    pub fn missing(&self) -> impl Iterator<Item = &[u8]> {
        self.missing.iter().map(|name| &**name)
    }

    /// Returns the number of clients in the table.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.table.len()
    }

    /// Returns the clients as of `now_ns` on the monotonic clock, in no particular order.
    pub fn peers(&self, now_ns: i64) -> impl Iterator<Item = Peer> {
        self.peers_from(0, now_ns)
    }

    /// Returns those from `place` in that order on. A new one is the last;
    /// [`removals`](Self::removals) change the order.
    pub fn peers_from(&self, place: usize, now_ns: i64) -> impl Iterator<Item = Peer> {
        (place..self.table.len()).map(move |index| self.peer(index, now_ns))
    }

    /// Returns how many clients have been forgotten.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.removals
    }

    /// Returns the client that declares `name`, as of `now_ns`.
    #[must_use]
    pub fn named(&self, name: &[u8], now_ns: i64) -> Option<Peer> {
        let key = Key::Name(name);
        let index = self.table.find(self.table.hash(&key), &key, NONE)?;
        Some(self.peer(index, now_ns))
    }

    fn peer(&self, index: usize, now_ns: i64) -> Peer {
        let record = self.table.record(index);
        let details = self.table.details(index);
        let overdue = record.interval_ns().is_some_and(|interval_ns| {
            let due_ns = record.last_received_ns.saturating_add(interval_ns);
            record.state == State::Up && now_ns > due_ns.saturating_add(interval_ns / 2)
        });
        let (_, now_offset_ns) = self.offsets_ns.unwrap_or_default();
        Peer {
            address: self.table.address(index),
            name: details.and_then(|details| details.name.clone()),
            state: if overdue { State::Overdue } else { record.state },
            last_received_ns: record.last_received_ns.saturating_add(now_offset_ns),
            sequence: record.sequence,
            interval_ns: record.interval_ns(),
            timeout_ns: self.timeouts_ns(index).1,
            delay_ns: record.delay_ns(),
            difference_ns: record.difference_ns(),
            boot: details.and_then(|details| details.boot),
            status: details.and_then(|details| details.status),
            progress_age_ns: details.and_then(|details| details.progress_age_ns),
            task: details.and_then(|details| details.task.clone()),
            failures: details.and_then(|details| details.failures),
            error: details.and_then(|details| details.error.clone()),
            key: self.config.keys.as_ref().and_then(|keys| {
                let guard = details?.guard.as_ref()?;
                Some(keys.all()[guard.position].id().into())
            }),
        }
    }

    /// Makes room for one more client; returns whether there is any. If the table is full, newcomers
    /// heard only once are evicted, unless they [may be silent](Self::may_be_silent). So are other
    /// clients, unless there are many such newcomers: a flood of them evicts only its own.
    fn make_room(&mut self, now_ns: i64) -> bool {
        if self.table.len() < self.config.max_peers {
            return true;
        }
        let unproven: usize = self.counts[0].iter().sum();
        let is_flood = unproven * ON_PROBATION >= self.table.len();
        for _ in 0..EVICTION_STEPS.min(self.table.len()) {
            self.eviction_cursor = (self.eviction_cursor + 1) % self.table.len();
            let is_proven = self.table.record(self.eviction_cursor).is_proven();
            if !(is_proven && is_flood || self.may_be_silent(self.eviction_cursor, now_ns)) {
                self.remove(self.eviction_cursor);
                return true;
            }
        }
        false
    }

    /// Returns whether a client is alive for all that its silence shows. If it said that it may be
    /// silent for long, it is believed for twice as long as it has been known: a few beats cannot
    /// hold an entry of the table for days.
    fn may_be_silent(&self, index: usize, now_ns: i64) -> bool {
        let record = self.table.record(index);
        let last_ns = record.last_received_ns;
        let claims_since_ns = self.table.details(index).and_then(|known| known.claims_since_ns);
        let believed_ns = match claims_since_ns {
            Some(since_ns) => last_ns.saturating_sub(since_ns).saturating_mul(2),
            None if record.is_proven() => i64::MAX,
            None => 0,
        };
        let until_ns = last_ns.saturating_add(believed_ns.max(GRACE_NS));
        !record.state.is_end() && now_ns < until_ns
    }

    /// Forgets a client.
    fn remove(&mut self, index: usize) {
        let record = self.table.record(index);
        self.counts[usize::from(record.is_proven())][record.state as usize] -= 1;
        self.table.remove(index);
        self.removals += 1;
    }

    fn set_state(&mut self, index: usize, state: State) {
        let record = self.table.record_mut(index);
        let counts = &mut self.counts[usize::from(record.is_proven())];
        counts[record.state as usize] -= 1;
        record.state = state;
        counts[state as usize] += 1;
    }

    /// Marks a client as proven: it was heard more than once.
    fn mark_proven(&mut self, index: usize) {
        let record = self.table.record_mut(index);
        if !record.is_proven() {
            record.prove();
            self.counts[0][record.state as usize] -= 1;
            self.counts[1][record.state as usize] += 1;
        }
    }

    /// Handles the first beat of a client. Returns whether there was room for it.
    fn admit(
        &mut self,
        hash: u64,
        received: &ReceivedBeat<'_>,
        sequence: Sequence,
        guard: Option<Box<Guard>>,
    ) -> bool {
        if !self.make_room(received.at.mono_ns) {
            self.counters.rejected += 1;
            return false;
        }
        let ReceivedBeat { at, from, beat, difference_ns, .. } = received;
        if let Some(name) = beat.name {
            self.missing.remove(name);
        }
        let mut record = Record::new(sequence, at.mono_ns);
        if beat.is_goodbye() {
            self.counters.goodbyes += 1;
            record.sequence = Sequence::default();
        } else {
            self.counters.beats += 1;
        }
        record.set_newest(at.mono_ns, *difference_ns);
        let says = beat.name.is_some() || beat.boot.is_some();
        let details = says.then(|| Details {
            name: beat.name.map(Into::into),
            boot: beat.boot,
            guard,
            beats: 1,
            unsent: beat.send_failed.unwrap_or_default(),
            ..Details::default()
        });
        let remembers = self.config.detector.remembers();
        let index = self.table.insert(hash, *from, details, record, remembers);
        self.counts[0][State::Unknown as usize] += 1;
        self.report(index, *at, Change::Up { seq: beat.reading.seq });
        self.update_state(index, received, 0);
        true
    }

    fn snapshot(&self, index: usize) -> Snapshot {
        self.snapshot_of(index, &self.table.record(index).sequence)
    }

    fn snapshot_of(&self, index: usize, sequence: &Sequence) -> Snapshot {
        Snapshot {
            seq: sequence.highest(),
            received: sequence.received(),
            expected: sequence.expected(),
            timeout_ns: self.timeouts_ns(index).1,
        }
    }

    /// Queues an event with the client's current counts.
    fn report(&mut self, index: usize, at: Stamp, change: Change) {
        if self.events.wanted() {
            self.report_with(index, at, self.snapshot(index), change);
        }
    }

    /// Queues an event with earlier counts of the client.
    fn report_with(&mut self, index: usize, at: Stamp, before: Snapshot, change: Change) {
        let name = self.table.details(index).and_then(|details| details.name.clone());
        self.push_event(self.table.address(index), name, at, before, change);
    }

    /// Queues an event about this host.
    fn report_own(&mut self, at: Stamp, change: Change) {
        self.push_event(HERE, None, at, Snapshot::default(), change);
    }

    fn push_event(
        &mut self,
        address: SocketAddr,
        name: Option<Box<[u8]>>,
        at: Stamp,
        before: Snapshot,
        change: Change,
    ) {
        self.events.push(Event { address, name, at, before, change });
    }
}

fn ended(counts: &[usize; State::ALL.len()]) -> usize {
    [State::Down, State::Stopped, State::Failed].iter().map(|state| counts[*state as usize]).sum()
}

impl Machine for Server {
    type Event = Event;

    fn on_datagram(&mut self, _: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        let (at, from) = (arrival.at(), arrival.from);
        if arrival.is_answer {
            self.ignore(at, from, arrival.datagram);
            return None;
        }
        self.notice_pause(arrival.read.mono_ns);
        let mut received = ReceivedBeat::new(at, from, arrival.datagram);
        self.parse(&mut received);
        received.hint = self.table.hint(received.hash);
        match self.hear(&mut received) {
            Answer::None => return None,
            Answer::Plain => arrival.datagram.make_ascii_uppercase(),
            Answer::Signed(signature) => answer(arrival.datagram, &signature.0, signature.1),
        }
        Some(arrival.datagram.len())
    }

    fn on_datagrams<'a>(
        &mut self,
        socket: usize,
        arrivals: impl Iterator<Item = Arrival<'a>>,
        answer: impl FnMut(&Arrival<'a>, usize),
    ) {
        if self.config.reply {
            return one_by_one(self, socket, arrivals, answer);
        }
        // In a large table each client is a cache miss: fetch them together.
        let mut arrivals = arrivals;
        let mut all = Vec::with_capacity(TOGETHER);
        loop {
            all.extend(arrivals.by_ref().take(TOGETHER).map(|arrival| {
                self.notice_pause(arrival.read.mono_ns);
                ReceivedBeat::new(arrival.at(), arrival.from, arrival.datagram)
            }));
            if all.is_empty() {
                return;
            }
            for received in &mut all {
                self.parse(received);
            }
            // Tight loops without other work, so that the loads overlap.
            for received in &mut all {
                received.hint = self.table.hint(received.hash);
            }
            self.table.prefetch(all.iter().map(|received| received.hint));
            for received in &mut all {
                self.hear(received);
            }
            all.clear();
        }
    }

    fn on_time(&mut self, _: usize, now: Stamp, heard_ns: i64) {
        self.observe_self(now);
        if heard_ns == i64::MIN {
            return;
        }
        // Judge silence as of the last read: an unread datagram may still end it.
        let wall_ns = now.wall_ns.saturating_sub(now.mono_ns.saturating_sub(heard_ns));
        let heard = Stamp { mono_ns: heard_ns, wall_ns };
        self.excuse_silence(heard_ns);
        self.report_missing(heard);
        if self.sweep_ns.is_some_and(|sweep| sweep <= heard_ns) {
            self.sweep(heard);
        }
    }

    fn deadline(&self, _: usize) -> Option<i64> {
        let deadline_ns = self.sweep_ns.unwrap_or(i64::MAX).min(self.missing_ns);
        (deadline_ns < i64::MAX).then_some(deadline_ns)
    }

    fn transmit(&mut self, _: usize) -> Option<Transmit<'_>> {
        None
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, _: &[u8], _: Option<i32>) {
        self.counters.replied -= 1;
        self.counters.send_failed += 1;
    }

    fn on_receive_drops(&mut self, _: usize, total: u64) {
        self.counters.receive_drops = total;
    }

    fn patience(&self) -> Duration {
        // If nobody waits for an answer, read in batches: a thread that wakes for each beat costs
        // several times as much.
        if self.config.reply { Duration::ZERO } else { GATHER }
    }

    fn events(&mut self) -> &mut Events<Event> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests;
