//! The server: what becomes of the clients as beats come and time passes.

use std::net::{Ipv4Addr, SocketAddr};

use crate::events::shown;
use crate::heartbeat::peer::{Extra, Record};
use crate::heartbeat::table::Table;
use crate::heartbeat::{
    Arrival, Before, Cause, Detector, Estimate, Event, Gap, Kind, MAX_LISTED, Peer, Sent, Sequence,
    Signal, State,
};
use crate::machine::Outgoing;
use crate::wire::Beat;
use crate::wire::beat::Status;
use crate::{Events, Machine, NS_PER_SECOND, Stamp};

/// How often deadlines are looked at when many clients have them close to each other, and how much
/// less often for each client: a look takes a nanosecond or two of each, so that this stays some
/// hundredths of a core, and a million clients are looked at every 50 ms.
const SWEEP_NS: i64 = 10_000_000;
const SWEEP_PER_CLIENT_NS: i64 = 50;
/// How often they are looked at in any case, so that the server notices where it did not run.
const WATCH_NS: i64 = NS_PER_SECOND;
/// By how much later than it asked for it must be called to have been stopped or starved.
const PAUSE_NS: i64 = 250_000_000;
/// How far a clock jumps that steps; less is its discipline, or delay.
const STEP_NS: i64 = 500_000_000;
/// How long a client may be silent of which no interval is known yet.
const GRACE_NS: i64 = 60 * NS_PER_SECOND;
/// How many silent clients are many, and of how many alive each one of them is.
const MANY: usize = 5;
const OF_ALIVE: (usize, usize) = (3, 10);
/// Intervals are taken for no shorter and no longer than these.
const INTERVALS_NS: (i64, i64) = (1_000_000, 86_400 * NS_PER_SECOND);
/// How many places are looked at for one that a newcomer may have.
const STEPS: usize = 64;
/// How many datagrams are usual at once.
const MAX_BATCH: usize = 128;

/// How the server judges.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How long a silence means something.
    pub detector: Detector,
    /// Whether clients without a name are told apart by their hosts alone, not by address and port.
    pub by_host: bool,
    /// Whether each beat is answered with its text in upper case.
    pub reply: bool,
    /// How many clients are followed; others are refused.
    pub max_peers: usize,
    /// How far this host's clock on the wall is ahead of UTC, for times without a zone.
    pub utc_offset_ns: i64,
    /// Whether each datagram is an event and not only what it changes.
    pub every_beat: bool,
    /// How many events are kept for a reader.
    pub events: usize,
}

/// How many datagrams met which fate: `received = beats + duplicates + stale + ignored + refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCounters {
    /// Datagrams that came in.
    pub received: u64,
    /// Heartbeats, each counted once.
    pub beats: u64,
    /// Of these, the ones that had been taken for lost.
    pub late: u64,
    /// Heartbeats that had come before.
    pub duplicates: u64,
    /// Heartbeats too old to say whether they had come before, or of a boot that is over.
    pub stale: u64,
    /// Datagrams that are no heartbeat: neither a number nor a time.
    pub ignored: u64,
    /// Datagrams of clients that found the table full.
    pub refused: u64,
    /// Datagrams that this host lost before they came in, because they were not read in time.
    pub own_drops: u64,
    /// Answers sent.
    pub replied: u64,
    /// Answers that this host could not send.
    pub send_failed: u64,
}

/// The heartbeat server as a state machine.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    table: Table,
    /// How many clients are in each state.
    counts: [usize; State::COUNT],
    /// How many were heard but once.
    unproven: usize,
    /// Where the search for a place to give away goes on.
    hand: usize,
    counters: ServerCounters,
    /// The clock on the wall minus the monotonic one: when the first datagram came, and now.
    offsets_ns: Option<(i64, i64)>,
    /// When time was last looked at.
    driven_ns: i64,
    /// No silence is over before this.
    sweep_ns: Option<i64>,
    /// Whether a mass silence was told of and is not over.
    mass: bool,
    outgoing: Outgoing,
    events: Events<Event>,
}

/// A beat as it came in.
struct BeatIn<'a> {
    at: Stamp,
    from: SocketAddr,
    datagram: &'a [u8],
    beat: Beat<'a>,
    /// Receive time minus send time, as if this host's clock on the wall had never stepped.
    lag_ns: Option<i64>,
    /// Of its client's key.
    hash: u64,
}

impl Server {
    /// A server that has heard nothing yet.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self {
            table: Table::new(config.by_host),
            counts: [0; State::COUNT],
            unproven: 0,
            hand: 0,
            counters: ServerCounters::default(),
            offsets_ns: None,
            driven_ns: 0,
            sweep_ns: None,
            mass: false,
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            config,
        }
    }

    /// How many datagrams met which fate so far.
    #[must_use]
    pub fn counters(&self) -> ServerCounters {
        self.counters
    }

    /// Takes datagrams that came in, faster than one by one where the table is large. Their answers,
    /// if any, are lost but for the last.
    pub fn on_datagrams<'a>(
        &mut self,
        datagrams: impl Iterator<Item = (Stamp, SocketAddr, &'a [u8])>,
    ) {
        let mut all = Vec::with_capacity(MAX_BATCH);
        all.extend(datagrams.map(|(at, from, datagram)| self.read(at, from, datagram)));
        self.table.touch(all.iter().map(|read| read.hash));
        for read in &all {
            self.take(read);
        }
    }

    /// Takes the number of datagrams that this host has lost so far, because they were not read in
    /// time.
    pub fn on_own_drops(&mut self, so_far: u64) {
        self.counters.own_drops = so_far;
    }

    /// Whether beats are answered.
    #[must_use]
    pub fn replies(&self) -> bool {
        self.config.reply
    }

    fn read<'a>(&mut self, at: Stamp, from: SocketAddr, datagram: &'a [u8]) -> BeatIn<'a> {
        let beat = Beat::read(datagram);
        let offset_ns = at.wall_ns.saturating_sub(at.mono_ns);
        let (first_ns, _) = *self.offsets_ns.get_or_insert((offset_ns, offset_ns));
        let steady_ns = at.mono_ns.saturating_add(first_ns);
        let time = beat.reading.time;
        let lag_ns = time.map(|time| time.until_ns(steady_ns, self.config.utc_offset_ns));
        let hash = self.table.hash(&self.table.key(from, beat.name));
        BeatIn { at, from, datagram, beat, lag_ns, hash }
    }

    fn take(&mut self, beat_in: &BeatIn<'_>) {
        let BeatIn { at, from, datagram, beat, hash, .. } = *beat_in;
        self.counters.received += 1;
        if !beat.is_beat() {
            self.counters.ignored += 1;
            if self.config.every_beat {
                let signal = Signal::Ignored { message: shown(datagram) };
                self.tell_of(from, None, at, Before::default(), signal);
            }
            return;
        }
        let key = self.table.key(from, beat.name);
        let fresh = match self.table.find(hash, &key) {
            Some(place) => self.follow(place, beat_in),
            None if self.welcome(hash, beat_in) => true,
            None => return,
        };
        if fresh && self.config.every_beat {
            let utc_ns = self.config.utc_offset_ns;
            let difference_ns = beat.reading.time.map(|time| time.until_ns(at.wall_ns, utc_ns));
            let message = shown(datagram);
            let name = beat.name.map(Into::into);
            let signal = Signal::Heard { seq: beat.reading.seq, difference_ns, message };
            self.tell_of(from, name, at, Before::default(), signal);
        }
        if self.config.reply {
            self.counters.replied += 1;
            self.outgoing.put_upper(from, datagram);
        }
    }

    /// How many clients are in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no client is in the table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clients as they are at `now_ns` on the monotonic clock, in no order.
    pub fn peers(&self, now_ns: i64) -> impl Iterator<Item = Peer> {
        (0..self.len()).map(move |place| self.peer(place, now_ns))
    }

    fn peer(&self, place: usize, now_ns: i64) -> Peer {
        let record = self.table.record(place);
        let extra = self.table.extra(place);
        let overdue = record.interval_ns().is_some_and(|interval_ns| {
            record.state == State::Up && now_ns - record.arrived_ns > interval_ns + interval_ns / 2
        });
        let (_, now_offset_ns) = self.offsets_ns.unwrap_or_default();
        Peer {
            address: self.table.address(place),
            name: extra.and_then(|extra| extra.name.clone()),
            state: if overdue { State::Late } else { record.state },
            last_ns: record.arrived_ns.saturating_add(now_offset_ns),
            sequence: record.sequence.clone(),
            interval_ns: record.interval_ns(),
            timeout_ns: self.timeouts_ns(place).1,
            delay_ns: record.delay_ns(),
            difference_ns: record.difference_ns(),
            boot: extra.and_then(|extra| extra.boot),
            status: extra.and_then(|extra| extra.status),
            age_ns: extra.and_then(|extra| extra.age_ns),
        }
    }

    /// After how long a silence a client is suspected and taken for down.
    fn timeouts_ns(&self, place: usize) -> (i64, i64) {
        let record = self.table.record(place);
        if !self.has_learned(place) {
            return (GRACE_NS, GRACE_NS);
        }
        let interval_ns = record.interval_ns().unwrap_or(NS_PER_SECOND);
        self.config.detector.timeouts_ns(&self.table.estimate(place), interval_ns)
    }

    fn has_learned(&self, place: usize) -> bool {
        self.config.detector.kind() == Kind::Fixed || self.table.record(place).has_learned()
    }

    /// Whether there is room for one more client. In a full table newcomers that were heard once
    /// and fell silent make it, else clients that ended; while there are such newcomers, a flood of
    /// them takes only each other's places.
    fn has_room(&mut self) -> bool {
        if self.len() < self.config.max_peers {
            return true;
        }
        if self.unproven + self.ended() == 0 {
            return false;
        }
        for _ in 0..STEPS.min(self.len()) {
            self.hand = (self.hand + 1) % self.len();
            let record = self.table.record(self.hand);
            if record.state.is_end() && (self.unproven == 0 || !record.is_proven()) {
                self.counts[record.state as usize] -= 1;
                self.unproven -= usize::from(!record.is_proven());
                self.table.remove(self.hand);
                return true;
            }
        }
        false
    }

    fn ended(&self) -> usize {
        self.counts[State::Down as usize] + self.counts[State::Stopped as usize]
    }

    fn enter(&mut self, place: usize, state: State) {
        let record = self.table.record_mut(place);
        self.counts[record.state as usize] -= 1;
        record.state = state;
        self.counts[state as usize] += 1;
    }

    /// Takes the first beat of a client, where there is room for it.
    fn welcome(&mut self, hash: u64, beat_in: &BeatIn<'_>) -> bool {
        if !self.has_room() {
            self.counters.refused += 1;
            return false;
        }
        let BeatIn { at, from, beat, lag_ns, .. } = beat_in;
        let mut record = Record::new(beat.reading.seq, at.mono_ns);
        record.set_newest(at.mono_ns, *lag_ns);
        let says = beat.name.is_some() || beat.boot.is_some();
        let extra = says.then(|| Extra {
            name: beat.name.map(Into::into),
            boot: beat.boot,
            ..Extra::default()
        });
        let remembers = self.config.detector.remembers();
        let place = self.table.insert(hash, *from, extra, record, remembers);
        self.counts[State::Unknown as usize] += 1;
        self.unproven += 1;
        self.counters.beats += 1;
        self.tell(place, *at, Signal::Up { seq: beat.reading.seq });
        self.settle(place, beat_in, 0);
        true
    }

    /// Takes a further beat of a client; tells whether it is one of now.
    fn follow(&mut self, place: usize, beat_in: &BeatIn<'_>) -> bool {
        let BeatIn { at, from, beat, lag_ns, .. } = beat_in;
        let seq = beat.reading.seq;
        if let Some(boot) = beat.boot {
            let extra = self.table.extra_or_new(place);
            let known = *extra.boot.get_or_insert(boot);
            if known != boot {
                return self.follow_boot(place, beat_in, boot);
            }
        }
        if beat.status == Some(Status::Bye) && self.table.address(place) != *from {
            // Who could say goodbye for another could silence the alarm.
            self.counters.stale += 1;
            return false;
        }
        let record = self.table.record_mut(place);
        let sent = record.sent(at.mono_ns, *lag_ns);
        let sequence = record.sequence.clone();
        let steps = record.sequence.steps(seq);
        let arrival = record.sequence.observe(seq, sent);
        match arrival {
            Arrival::Duplicate => self.counters.duplicates += 1,
            Arrival::Stale => self.counters.stale += 1,
            _ => self.counters.beats += 1,
        }
        match arrival {
            Arrival::Restart => {
                let before = self.before_of(place, &sequence);
                self.restart(place, beat_in, Cause::Sequence, before);
                true
            }
            Arrival::Next | Arrival::Gap { .. } => {
                self.advance(place, beat_in, steps);
                if let Arrival::Gap { first, last } = arrival {
                    self.tell(place, *at, Signal::Lost { first, last });
                }
                true
            }
            // A client may repeat its number: only a beat that itself says that it is old is no
            // sign of life.
            Arrival::Duplicate if sent == Sent::Later => {
                self.advance(place, beat_in, 1);
                true
            }
            Arrival::Duplicate | Arrival::Late | Arrival::Stale => {
                if sent.may_be_newer() {
                    self.refresh(place, beat_in);
                }
                if arrival == Arrival::Late {
                    self.counters.late += 1;
                    self.tell(place, *at, Signal::Late { seq: seq.unwrap_or_default() });
                }
                false
            }
        }
    }

    /// Takes a beat that is surely the newest.
    fn advance(&mut self, place: usize, beat_in: &BeatIn<'_>, steps: u64) {
        self.prove(place);
        let silence_ns = beat_in.at.mono_ns.saturating_sub(self.table.record(place).arrived_ns);
        self.learn(place, beat_in, steps);
        self.settle(place, beat_in, silence_ns);
    }

    /// Takes a beat that may be the newest: its client lives, and nothing is learned from when it
    /// came. What a client has announced stands.
    fn refresh(&mut self, place: usize, beat_in: &BeatIn<'_>) {
        let record = self.table.record_mut(place);
        if matches!(record.state, State::Stopped | State::Busy) {
            return;
        }
        let silence_ns = beat_in.at.mono_ns.saturating_sub(record.arrived_ns);
        record.set_newest(beat_in.at.mono_ns, beat_in.lag_ns);
        self.prove(place);
        self.follow_address(place, beat_in);
        self.settle(place, beat_in, silence_ns);
    }

    fn prove(&mut self, place: usize) {
        let record = self.table.record_mut(place);
        if !record.is_proven() {
            record.prove();
            self.unproven -= 1;
        }
    }

    /// Takes a beat of another boot than the one that is followed.
    fn follow_boot(&mut self, place: usize, beat_in: &BeatIn<'_>, boot: u64) -> bool {
        let seq = beat_in.beat.reading.seq;
        let before = self.before(place);
        let extra = self.table.extra_or_new(place);
        if let Some((old, highest)) = extra.before
            && old == boot
        {
            // Leftovers of the boot before have old numbers. New ones say that it is alive.
            self.counters.stale += 1;
            if (seq > highest || seq.is_none()) && !extra.conflict {
                extra.conflict = true;
                self.tell(place, beat_in.at, Signal::Conflict { boot });
            }
            return false;
        }
        if beat_in.beat.status == Some(Status::Bye) {
            self.counters.stale += 1;
            return false;
        }
        let known = extra.boot.replace(boot);
        extra.before = known.map(|known| (known, before.seq));
        extra.conflict = false;
        self.counters.beats += 1;
        self.table.record_mut(place).sequence = Sequence::new(seq);
        self.restart(place, beat_in, Cause::Boot, before);
        true
    }

    /// Forgets what was learned of a client before it started again.
    fn restart(&mut self, place: usize, beat_in: &BeatIn<'_>, cause: Cause, before: Before) {
        let record = self.table.record_mut(place);
        record.restart();
        record.set_newest(beat_in.at.mono_ns, beat_in.lag_ns);
        let state = if record.is_proven() { State::Learning } else { State::Unknown };
        if let Some(estimate) = self.table.estimate_mut(place) {
            *estimate = Estimate::default();
        }
        self.table.set_address(place, beat_in.from);
        self.enter(place, state);
        let signal = Signal::Restarted { cause, seq: beat_in.beat.reading.seq };
        self.tell_with(place, beat_in.at, before, signal);
        self.settle(place, beat_in, 0);
    }

    /// Learns from a beat that is the next one, or is after a loss, how the client's beats come.
    fn learn(&mut self, place: usize, beat_in: &BeatIn<'_>, steps: u64) {
        let BeatIn { at, lag_ns, .. } = beat_in;
        let has_learned = self.has_learned(place);
        let record = self.table.record_mut(place);
        // The gap that follows a suspicion or an announced silence says nothing of the usual ones.
        let usual =
            matches!(record.state, State::Unknown | State::Learning | State::Up | State::Stalled);
        let gap_ns = at.mono_ns.saturating_sub(record.arrived_ns);
        let known_ns = record.interval_ns().filter(|_| has_learned);
        let mut stepped = None;
        let mut sent_gap_ns = gap_ns;
        if let (Some(lag_ns), Some(newest_ns)) = (lag_ns, record.difference_ns()) {
            let more_ns = lag_ns.saturating_sub(newest_ns);
            sent_gap_ns = gap_ns.saturating_sub(more_ns);
            // Of a beat that was long under way the gap in sending is the usual one; where it
            // is the gap in arriving, the sender's clock has jumped.
            let off = |gap_ns: i64| {
                known_ns.map(|known_ns| {
                    let steps = i64::try_from(steps).unwrap_or(i64::MAX);
                    gap_ns.saturating_sub(known_ns.saturating_mul(steps)).saturating_abs()
                })
            };
            let jump_ns = more_ns.saturating_abs();
            if jump_ns > STEP_NS
                && let (Some(sent), Some(arrived)) = (off(sent_gap_ns), off(gap_ns))
                && sent > arrived.saturating_add(jump_ns / 2)
            {
                record.step_clock(more_ns);
                stepped = Some(more_ns.saturating_neg());
                sent_gap_ns = gap_ns;
            }
            record.let_least_rise(gap_ns);
        }
        record.set_newest(at.mono_ns, *lag_ns);
        if usual {
            let gap_or_sent_ns = if sent_gap_ns > 0 { sent_gap_ns } else { gap_ns };
            record.learn_interval(gap_or_sent_ns, steps);
            if let Some(interval_ns) = record.interval_ns()
                && let Some(estimate) = self.table.estimate_mut(place)
            {
                self.config.detector.observe(estimate, Gap { ns: gap_ns, steps, interval_ns });
            }
        }
        self.follow_address(place, beat_in);
        if let Some(by_ns) = stepped {
            self.tell(place, *at, Signal::ClockStepped { by_ns });
        }
    }

    fn follow_address(&mut self, place: usize, beat_in: &BeatIn<'_>) {
        let old = self.table.address(place);
        if old != beat_in.from {
            self.table.set_address(place, beat_in.from);
            if self.table.extra(place).is_some_and(|extra| extra.name.is_some()) {
                self.tell(place, beat_in.at, Signal::Moved { from: old });
            }
        }
    }

    /// Puts a client whose news have come after a silence into the state that they say, and sets
    /// its deadline.
    fn settle(&mut self, place: usize, beat_in: &BeatIn<'_>, silence_ns: i64) {
        let beat = beat_in.beat;
        if let Some(interval_ns) = beat.interval_ns {
            let (least_ns, most_ns) = INTERVALS_NS;
            self.table.record_mut(place).declare_interval(interval_ns.clamp(least_ns, most_ns));
        }
        if beat.status.is_some() || beat.age_ns.is_some() {
            let extra = self.table.extra_or_new(place);
            (extra.status, extra.age_ns) = (beat.status, beat.age_ns);
        }
        let has_learned = self.has_learned(place);
        let record = self.table.record_mut(place);
        record.hold(false);
        let old = record.state;
        let new = match beat.status {
            Some(Status::Bye) => State::Stopped,
            Some(Status::Busy) => State::Busy,
            Some(Status::Stalled) => State::Stalled,
            _ if !record.is_proven() => State::Unknown,
            _ if !has_learned => State::Learning,
            _ => State::Up,
        };
        let due_ns = self.due_ns(place, beat_in, new);
        if due_ns <= beat_in.at.mono_ns {
            return;
        }
        if new != old {
            self.change(place, beat_in, silence_ns, (old, new));
        }
        *self.table.deadline_mut(place) = due_ns;
        self.expect(due_ns);
    }

    /// Tells of a change of state that a beat brought.
    fn change(
        &mut self,
        place: usize,
        beat_in: &BeatIn<'_>,
        silence_ns: i64,
        (old, new): (State, State),
    ) {
        let BeatIn { at, beat, .. } = beat_in;
        let signal = match new {
            State::Stopped => Some(Signal::Stopped),
            State::Busy => Some(Signal::Busy { for_ns: beat.busy_ns.unwrap_or_default() }),
            State::Stalled => Some(Signal::Stalled { age_ns: beat.age_ns }),
            _ => match old {
                State::Unknown | State::Learning | State::Up => None,
                _ => {
                    let since_ns = self.table.extra(place).map_or(0, |extra| extra.since_ns);
                    let for_ns = match old {
                        State::Suspect | State::Down => silence_ns,
                        _ => at.mono_ns.saturating_sub(since_ns),
                    };
                    Some(Signal::Recovered { from: old, for_ns, seq: beat.reading.seq })
                }
            },
        };
        if matches!(new, State::Stopped | State::Busy | State::Stalled) {
            self.table.extra_or_new(place).since_ns = at.mono_ns;
        }
        self.enter(place, new);
        if let Some(signal) = signal {
            self.tell(place, *at, signal);
        }
    }

    /// When a client that was heard becomes suspect next, or is down.
    fn due_ns(&self, place: usize, beat_in: &BeatIn<'_>, state: State) -> i64 {
        let (suspect_ns, down_ns) = self.timeouts_ns(place);
        let record = self.table.record(place);
        match state {
            State::Stopped => i64::MAX,
            State::Busy => {
                let for_ns = beat_in.beat.busy_ns.unwrap_or_default();
                record.arrived_ns.saturating_add(for_ns).saturating_add(down_ns)
            }
            _ => {
                let due_ns = record.arrived_ns.saturating_add(suspect_ns);
                due_ns.saturating_sub(record.overdue_ns(suspect_ns))
            }
        }
    }

    /// Looks at the deadlines no later than at `deadline_ns`.
    fn expect(&mut self, deadline_ns: i64) {
        if deadline_ns < i64::MAX {
            let sweep_ns = self.sweep_ns.unwrap_or(deadline_ns);
            self.sweep_ns = Some(sweep_ns.min(deadline_ns));
        }
    }

    /// Notices what happened to this host itself.
    fn observe_self(&mut self, now: Stamp) {
        let offset_ns = now.wall_ns.saturating_sub(now.mono_ns);
        let here = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        if let Some((_, known_ns)) = &mut self.offsets_ns {
            let by_ns = offset_ns.saturating_sub(*known_ns);
            *known_ns = offset_ns;
            if by_ns.saturating_abs() > STEP_NS {
                self.tell_of(here, None, now, Before::default(), Signal::ClockStepped { by_ns });
            }
        }
        let stopped_ns = self.driven_ns;
        self.driven_ns = now.mono_ns;
        if self.sweep_ns.is_none_or(|asked_ns| now.mono_ns - asked_ns <= PAUSE_NS) {
            return;
        }
        let for_ns = now.mono_ns - stopped_ns;
        for place in 0..self.len() {
            // What this host slept through is nobody's silence.
            let unwatched_ns = now.mono_ns - self.table.record(place).arrived_ns.max(stopped_ns);
            let deadline = self.table.deadline_mut(place);
            *deadline = deadline.saturating_add(unwatched_ns.max(0));
        }
        self.tell_of(here, None, now, Before::default(), Signal::Paused { for_ns });
    }

    /// Judges the clients whose deadlines have come.
    fn sweep(&mut self, now: Stamp) {
        let mut due = Vec::new();
        for (place, deadline_ns) in self.table.deadlines().iter().enumerate() {
            if *deadline_ns <= now.mono_ns {
                due.push((self.table.record(place).arrived_ns, place));
            }
        }
        due.sort_unstable();
        let (suspects, silent): (Vec<_>, Vec<_>) =
            due.into_iter().map(|(_, place)| place).partition(|place| self.is_first_doubt(*place));
        for place in suspects {
            self.suspect(place, now);
        }
        self.end_silent(&silent, now);
        let next_ns = self.table.deadlines().iter().copied().min().unwrap_or(i64::MAX);
        self.sweep_ns = (next_ns < i64::MAX).then(|| {
            let clients = i64::try_from(self.len()).unwrap_or(i64::MAX);
            let pause_ns = clients.saturating_mul(SWEEP_PER_CLIENT_NS).clamp(SWEEP_NS, WATCH_NS);
            let soon_ns = now.mono_ns.saturating_add(pause_ns);
            next_ns.clamp(soon_ns, now.mono_ns.saturating_add(WATCH_NS))
        });
    }

    /// Whether a deadline that has come means a suspicion and no more.
    fn is_first_doubt(&self, place: usize) -> bool {
        let (suspect_ns, down_ns) = self.timeouts_ns(place);
        let doubted = matches!(self.table.record(place).state, State::Suspect | State::Busy);
        suspect_ns < down_ns && !doubted
    }

    fn suspect(&mut self, place: usize, now: Stamp) {
        let (suspect_ns, down_ns) = self.timeouts_ns(place);
        let deadline = self.table.deadline_mut(place);
        *deadline = deadline.saturating_add(down_ns - suspect_ns);
        let silence_ns = now.mono_ns - self.table.record(place).arrived_ns;
        self.enter(place, State::Suspect);
        self.tell(place, now, Signal::Suspect { silence_ns });
    }

    /// Takes those whose silence has lasted for down, unless it is that of many at once: then that
    /// is told, and they have as long again to come back.
    fn end_silent(&mut self, silent: &[usize], now: Stamp) {
        let is_suspect = |place: &&usize| self.table.record(**place).state == State::Suspect;
        let others = silent.len() - silent.iter().filter(is_suspect).count();
        let many = self.counts[State::Suspect as usize] + others;
        let alive = self.len() - self.ended();
        let mass = many >= MANY && many * OF_ALIVE.1 >= alive * OF_ALIVE.0;
        let began = mass && !self.mass && !silent.is_empty();
        self.mass = mass && (self.mass || began);
        if began {
            let all = self.table.records().iter().enumerate();
            let suspects = all.filter(|(_, record)| record.state == State::Suspect);
            let others = silent
                .iter()
                .copied()
                .filter(|place| self.table.record(*place).state != State::Suspect);
            let places = suspects.map(|(place, _)| place).chain(others).take(MAX_LISTED);
            let listed = places.map(|place| self.table.address(place)).collect();
            let here = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let signal = Signal::MassSilence { silent: many, alive, listed };
            self.tell_of(here, None, now, Before::default(), signal);
        }
        for &place in silent {
            let (_, down_ns) = self.timeouts_ns(place);
            let held = self.table.record(place).is_held();
            if mass && !held {
                self.table.record_mut(place).hold(true);
                let deadline = self.table.deadline_mut(place);
                *deadline = now.mono_ns.saturating_add(down_ns);
            } else {
                self.end(place, now, held);
            }
        }
    }

    fn end(&mut self, place: usize, now: Stamp, held: bool) {
        let (suspect_ns, _) = self.timeouts_ns(place);
        let record = self.table.record(place);
        let silence_ns = now.mono_ns - record.arrived_ns;
        let cause = match record.state {
            _ if held => Cause::MassSilence,
            State::Busy => Cause::BusyOver,
            _ if record.overdue_ns(suspect_ns) > 0 => Cause::OldBeats,
            _ => Cause::Silence,
        };
        *self.table.deadline_mut(place) = i64::MAX;
        self.enter(place, State::Down);
        self.tell(place, now, Signal::Down { cause, silence_ns });
    }

    fn before(&self, place: usize) -> Before {
        self.before_of(place, &self.table.record(place).sequence)
    }

    fn before_of(&self, place: usize, sequence: &Sequence) -> Before {
        Before {
            seq: sequence.highest(),
            received: sequence.received(),
            expected: sequence.expected(),
            timeout_ns: self.timeouts_ns(place).1,
        }
    }

    fn tell(&mut self, place: usize, at: Stamp, signal: Signal) {
        if self.events.wanted() {
            self.tell_with(place, at, self.before(place), signal);
        }
    }

    fn tell_with(&mut self, place: usize, at: Stamp, before: Before, signal: Signal) {
        let name = self.table.extra(place).and_then(|extra| extra.name.clone());
        self.tell_of(self.table.address(place), name, at, before, signal);
    }

    fn tell_of(
        &mut self,
        address: SocketAddr,
        name: Option<Box<[u8]>>,
        at: Stamp,
        before: Before,
        signal: Signal,
    ) {
        self.events.push(Event { address, name, at, before, signal });
    }
}

impl Machine for Server {
    type Event = Event;

    fn on_datagram(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]) {
        let read = self.read(at, from, datagram);
        self.take(&read);
    }

    fn on_refused(&mut self) {}

    fn on_time(&mut self, now: Stamp) {
        self.observe_self(now);
        if self.sweep_ns.is_some_and(|sweep| sweep <= now.mono_ns) {
            self.sweep(now);
        }
    }

    fn deadline(&self) -> Option<i64> {
        self.sweep_ns
    }

    fn transmit(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.outgoing.take()
    }

    fn on_send_failed(&mut self) {
        self.counters.replied -= 1;
        self.counters.send_failed += 1;
    }

    fn events(&mut self) -> &mut Events<Event> {
        &mut self.events
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
