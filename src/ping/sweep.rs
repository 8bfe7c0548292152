//! Many targets at one common rate, with a session for each of their rounds.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::{iter, mem};

use foldhash::HashMap;
use slab::Slab;

use crate::machine::Outgoing;
use crate::ping::flows::{count_of, share};
use crate::ping::message::{Token, token_of};
use crate::ping::{
    Config, Event, Fill, MIN_TOKEN_SIZE, Probe, Protocol, Report, Schedule, Session, Signer, Tally,
    Verdict,
};
use crate::time::NS_PER_SECOND;
use crate::{Arrival, Events, Icmp, Machine, Random, Stamp, Target, Transmit, canonical, on_ipv6};

/// The most probes that may leave in a row once all replies are read.
const BURST: u32 = 64;

/// How long replies wait to be read together.
const GATHER: Duration = Duration::from_micros(500);

/// The most delay that is caught up with: after a longer pause of this host the schedule shifts
/// instead of sending a burst.
const MAX_BEHIND_NS: i64 = 10_000_000;

/// The most probes of one socket that wait for a reply; the schedule shifts until one is decided.
const MAX_WAITING: usize = 1 << 20;

/// The most names that are looked up together.
const MAX_LOOKUPS: usize = 16;

/// How many events of a session wait until its round is followed.
const UNREAD: usize = 1 << 20;

/// How many secrets to draw from the system together.
const SECRETS: usize = 1024;

/// The settings of a sweep.
#[derive(Clone, Debug)]
pub struct SweepConfig {
    /// The destinations, each with its host and port as the user gave them.
    pub targets: Vec<(String, u16, Target)>,
    /// Whether the sockets are IPv6 ones for both families.
    pub dual: bool,
    /// The number of probes to each target in a round.
    pub count: u64,
    /// The number of rounds; unlimited if `None`.
    pub rounds: Option<u64>,
    /// The number of probes per second, over all targets.
    pub rate: f64,
    /// How long to wait for a reply.
    pub timeout_ns: i64,
    /// The payload of a probe in bytes, at least [`MIN_TOKEN_SIZE`].
    pub size: usize,
    /// The key that authenticates probes and replies.
    pub key: Option<Signer>,
    /// The number of flows of each target, at most `count`.
    pub flows: u32,
    /// How many of the last probes of a round to keep as columns; all if `None`.
    pub keep: Option<usize>,
    /// Whether to report each probe as an event, too.
    pub probes: bool,
    /// How many events to keep for a reader.
    pub events: usize,
}

/// Many targets at one common rate, in rounds.
///
/// Each target belongs to a group, and a group has a socket for each flow. A round of a target has a
/// session for each flow, with a token of its own: a reply to an earlier round answers nothing in a
/// later one. A round may start before the last one is decided.
#[derive(Debug)]
pub struct Sweep {
    config: SweepConfig,
    groups: usize,
    /// The settings of the sessions of each flow, all but their targets.
    configs: Vec<Arc<Config>>,
    /// The last round that each target has started.
    latest: Vec<Option<usize>>,
    rounds: Slab<Round>,
    /// The sessions of each flow, with the numbers of their rounds.
    sessions: Vec<Slab<Session>>,
    /// The numbers of each target's forgotten rounds; empty if no round is forgotten.
    forgotten: Vec<Tally>,
    /// Rounds that are not decided although the next one has started, by target and number.
    overdue: HashMap<(usize, u64), usize>,
    /// The round and flow of each token.
    of_token: HashMap<Token, (usize, usize)>,
    /// The target at an address: one of them, if several have it.
    of_address: HashMap<(IpAddr, u16), usize>,
    shares: Vec<Share>,
    started_ns: Option<i64>,
    /// Targets whose names must be looked up.
    lookups: Vec<usize>,
    /// The number of lookups that have no result yet.
    looking_up: usize,
    secrets: Vec<u64>,
    outgoing: Outgoing,
    events: Events<SweepEvent>,
}

/// An event for a reader.
#[derive(Clone, Debug)]
pub enum SweepEvent {
    /// The round of a target is decided.
    Finished {
        /// The number of the target, from 0.
        target: usize,
        /// The report of each flow.
        reports: Vec<Report>,
    },
    /// An event of a session.
    Probe {
        /// The number of the target, from 0.
        target: usize,
        /// The number of the round, from 0.
        round: u64,
        /// The flow.
        flow: usize,
        /// The event.
        event: Event,
    },
}

/// The probes of one round to one target.
#[derive(Clone, Copy, Debug)]
struct Round {
    target: usize,
    /// From 0.
    number: u64,
    /// Whether all probes were sent and decided.
    finished: bool,
}

/// The share of one socket: the targets of its group, in one flow.
#[derive(Debug)]
struct Share {
    group: usize,
    flow: usize,
    /// The number of targets.
    targets: usize,
    /// The number of its probes to each target in a round.
    count: u64,
    next: Turn,
    /// Sends in order (time, round), as long as a reply may be in time.
    waiting: VecDeque<(i64, usize)>,
    /// How many probes may leave before more replies are read.
    burst: u32,
    now: Stamp,
    /// Everything that arrived earlier was read.
    heard_ns: i64,
}

/// The next probe of a socket.
#[derive(Debug, Default)]
struct Turn {
    round: u64,
    /// The number of the probe in its round and flow, from 0.
    probe: u64,
    /// The number of the target in its group.
    target: usize,
    /// When it is due, from the start of the sweep.
    since_ns: i64,
}

impl Sweep {
    /// Creates a sweep that has sent nothing, over `groups` times as many sockets as flows. Socket
    /// `flow * groups + group` is the one for this flow of this group.
    #[must_use]
    pub fn new(config: SweepConfig, groups: usize) -> Self {
        let targets = config.targets.len();
        let share = |flow, group| Share {
            group,
            flow: flow as usize,
            targets: (targets + groups - 1 - group) / groups,
            count: count_of(config.count, config.flows, flow),
            next: Turn::default(),
            waiting: VecDeque::new(),
            burst: 0,
            now: Stamp::default(),
            heard_ns: i64::MIN,
        };
        let shares = (0..config.flows).flat_map(|flow| (0..groups).map(move |group| (flow, group)));
        let mut sweep = Self {
            shares: shares.map(|(flow, group)| share(flow, group)).collect(),
            groups,
            configs: session_configs(&config),
            latest: vec![None; targets],
            rounds: Slab::with_capacity(targets),
            sessions: (0..config.flows).map(|_| Slab::with_capacity(targets)).collect(),
            forgotten: Vec::new(),
            overdue: HashMap::default(),
            of_token: HashMap::default(),
            of_address: HashMap::default(),
            started_ns: None,
            lookups: Vec::new(),
            looking_up: 0,
            secrets: Vec::new(),
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            config,
        };
        sweep.of_token.reserve(targets * sweep.configs.len());
        sweep.of_address.reserve(targets);
        for (number, (.., target)) in sweep.config.targets.iter().enumerate() {
            sweep.of_address.extend(target.address().map(|address| (key(address), number)));
        }
        (0..sweep.shares.len()).for_each(|socket| sweep.schedule(socket));
        sweep
    }

    /// Returns the reports of a target's last round, one for each flow; an empty one before the
    /// first. `ended` if the sweep was stopped.
    #[must_use]
    pub fn reports(&self, target: usize, ended: bool) -> Vec<Report> {
        match self.latest[target] {
            Some(last) => self.round_reports(last, ended),
            None => self.labelled(target, self.host(target), vec![Report::default()]),
        }
    }

    /// Returns the report of each flow of a round.
    fn round_reports(&self, round: usize, ended: bool) -> Vec<Report> {
        let flows = (0..).zip(&self.sessions);
        let reports = flows.map(|(flow, sessions)| sessions[round].flow_report(flow, ended));
        let target = self.rounds[round].target;
        self.labelled(target, self.host(target), reports.collect())
    }

    /// Ends the sweep. Returns the [`reports`](Self::reports) of a target once: they are not kept.
    pub fn take_reports(&mut self, target: usize) -> Vec<Report> {
        self.config.rounds = Some(0);
        self.of_token = HashMap::default();
        let host = mem::take(&mut self.config.targets[target].0);
        let Some(last) = self.latest[target].take() else {
            return self.labelled(target, host, vec![Report::default()]);
        };
        self.rounds.remove(last);
        let flows = (0..).zip(&mut self.sessions);
        let reports = flows.map(|(flow, sessions)| sessions.remove(last).into_report(flow));
        let reports = reports.collect();
        self.labelled(target, host, reports)
    }

    /// Returns the numbers of each target for a monitoring system, of all its rounds, with its
    /// current address; `ended` if the sweep was stopped.
    #[must_use]
    pub fn tallies(&self, ended: bool) -> Vec<(Tally, Option<SocketAddr>)> {
        let mut tallies = self.forgotten.clone();
        tallies.resize_with(self.latest.len(), Tally::default);
        for (number, round) in &self.rounds {
            for sessions in &self.sessions {
                tallies[round.target] += &sessions[number].tally(ended);
            }
        }
        let addresses = self.config.targets.iter().map(|(.., target)| target.address());
        tallies.into_iter().zip(addresses).collect()
    }

    /// Returns the probes that are not decided yet, each with its target, round and flow.
    pub fn undecided(&self) -> impl Iterator<Item = ((usize, u64, usize), Probe)> {
        let flows = self.sessions.iter().enumerate();
        flows.flat_map(move |(flow, sessions)| {
            sessions.iter().flat_map(move |(round, session)| {
                let Round { target, number, .. } = self.rounds[round];
                session.undecided().map(move |probe| ((target, number, flow), probe))
            })
        })
    }

    fn host(&self, target: usize) -> String {
        self.config.targets[target].0.clone()
    }

    /// Adds the names of a target to its reports.
    fn labelled(&self, target: usize, host: String, mut reports: Vec<Report>) -> Vec<Report> {
        let (_, port, target) = &self.config.targets[target];
        let hosts = iter::repeat_n(host, reports.len());
        for (report, host) in reports.iter_mut().zip(hosts) {
            report.target = Some((host, *port));
            report.address = target.address();
            report.unresolved = target.unresolved().map(str::to_owned);
        }
        reports
    }

    /// Returns whether probes to a target leave from this socket, in some flow.
    fn serves(&self, socket: usize, target: usize) -> bool {
        target % self.groups == self.shares[socket].group
    }

    /// Sets when the next probe of a socket is due.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "casts saturate"
    )]
    fn schedule(&mut self, socket: usize) {
        let Share { group, flow, next, .. } = &mut self.shares[socket];
        let flows = f64::from(self.config.flows);
        let lap = next.round as f64 * self.config.count as f64 + next.probe as f64 * flows;
        let turn = next.target * self.groups + *group;
        let number = (lap + *flow as f64) * self.latest.len() as f64 + turn as f64;
        next.since_ns = (number / self.config.rate * NS_PER_SECOND as f64) as i64;
    }

    /// Returns when the next probe of a socket is due; `None` if it has sent all.
    fn due_ns(&self, socket: usize) -> Option<i64> {
        let Share { next, targets, .. } = &self.shares[socket];
        let ended = self.config.rounds.is_some_and(|rounds| next.round >= rounds);
        (!ended && *targets > 0)
            .then(|| self.started_ns.map_or(i64::MIN, |at| at.saturating_add(next.since_ns)))
    }

    /// Sets the time; shifts the schedule of all sockets if this one is too far behind.
    fn come_to(&mut self, socket: usize, now: Stamp) {
        self.shares[socket].now = now;
        if let (Some(started_ns), Some(due_ns)) = (self.started_ns, self.due_ns(socket)) {
            let behind_ns = now.mono_ns.saturating_sub(due_ns);
            self.started_ns = Some(started_ns + behind_ns.saturating_sub(MAX_BEHIND_NS).max(0));
        }
    }

    /// Returns the round of a target, which starts now if it is new.
    fn round(&mut self, target: usize, number: u64) -> usize {
        let Some(last) = self.latest[target] else { return self.start_round(target, number) };
        let Round { number: started, finished, .. } = self.rounds[last];
        if started == number {
            return last;
        }
        // The socket of another flow may be ahead.
        if let Some(round) = self.overdue.get(&(target, number)) {
            return *round;
        }
        let round = self.start_round(target, number);
        if finished {
            self.forget(last);
        } else {
            self.overdue.insert((target, started), last);
        }
        round
    }

    fn start_round(&mut self, target: usize, number: u64) -> usize {
        let address = self.config.targets[target].2.address().unwrap_or(NOWHERE);
        let last = self.latest[target];
        let round = self.rounds.insert(Round { target, number, finished: false });
        for (flow, (sessions, config)) in self.sessions.iter_mut().zip(&self.configs).enumerate() {
            if self.secrets.is_empty() {
                self.secrets = Random::secrets(SECRETS);
            }
            let secret = self.secrets.pop().unwrap_or_default();
            let source = last.map(|last| sessions[last].source());
            let index = sessions.insert(Session::with_secret(Arc::clone(config), address, secret));
            let session = &mut sessions[index];
            if let Some(source) = source {
                session.set_source(source);
            }
            self.of_token.extend(session.token().map(|token| (token, (round, flow))));
        }
        self.latest[target] = Some(round);
        round
    }

    fn forget(&mut self, round: usize) {
        let Round { target, .. } = self.rounds.remove(round);
        self.forgotten.resize_with(self.latest.len(), Tally::default);
        for sessions in &mut self.sessions {
            let session = sessions.remove(round);
            self.forgotten[target] += &session.tally(true);
            if let Some(token) = session.token() {
                self.of_token.remove(&token);
            }
        }
    }

    /// Follows a change of a round in one flow: reports it if it is finished, and forgets it if the
    /// next one has started.
    fn follow(&mut self, round: usize, flow: usize) {
        let Round { target, number, finished } = self.rounds[round];
        match self.sessions[flow][round].take_last_verdict() {
            Some(Verdict::Answered) => self.config.targets[target].2.on_answer(),
            Some(_) => self.config.targets[target].2.on_silence(),
            None => {}
        }
        if self.config.probes {
            while let Some(event) = self.sessions[flow][round].events().pop() {
                self.events.push(SweepEvent::Probe { target, round: number, flow, event });
            }
        }
        if finished || !self.sessions.iter().all(|sessions| sessions[round].is_done(0)) {
            return;
        }
        self.rounds[round].finished = true;
        if self.events.wanted() {
            let reports = self.round_reports(round, true);
            self.events.push(SweepEvent::Finished { target, reports });
        }
        if self.overdue.remove(&(target, number)).is_some() {
            self.forget(round);
        }
    }

    /// Returns the round that a datagram belongs to, by the token or the other host's address.
    fn round_of(&self, socket: usize, datagram: &[u8], other: SocketAddr) -> Option<usize> {
        let flow = self.shares[socket].flow;
        let of_token = token_of(datagram).and_then(|token| self.of_token.get(&token)).copied();
        of_token
            .filter(|(round, of)| *of == flow && self.serves(socket, self.rounds[*round].target))
            .map(|(round, _)| round)
            .or_else(|| {
                let target = self.of_address.get(&key(other)).copied();
                self.latest[target.filter(|target| self.serves(socket, *target))?]
            })
    }

    /// Returns the session that a probe of ours belongs to, with its round.
    fn session_of(&mut self, probe: &[u8]) -> Option<(usize, &mut Session)> {
        let (round, flow) = *self.of_token.get(&token_of(probe)?)?;
        Some((round, &mut self.sessions[flow][round]))
    }

    /// Expires overdue probes and drops entries that were answered.
    fn expire(&mut self, socket: usize, now_ns: i64) {
        let (timeout_ns, flow) = (self.config.timeout_ns, self.shares[socket].flow);
        while let Some((sent_ns, round)) = self.shares[socket].waiting.front().copied() {
            // The number of a forgotten round may be used again.
            let of_round = self.rounds.get(round).filter(|of| self.serves(socket, of.target));
            if of_round.is_some() && self.sessions[flow][round].counters().pending > 0 {
                if now_ns < sent_ns.saturating_add(timeout_ns) {
                    return;
                }
                self.sessions[flow][round].expire(now_ns);
                self.follow(round, flow);
            }
            self.shares[socket].waiting.pop_front();
        }
    }
}

impl Share {
    /// Advances to the next probe.
    fn advance(&mut self) {
        let Turn { round, probe, target, .. } = &mut self.next;
        *target += 1;
        if *target == self.targets {
            (*target, *probe) = (0, *probe + 1);
        }
        if *probe == self.count {
            (*probe, *round) = (0, *round + 1);
        }
    }
}

/// The address of a target whose name has none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Returns the settings of the sessions of each flow, all but their targets.
fn session_configs(config: &SweepConfig) -> Vec<Arc<Config>> {
    let all = Config {
        target: NOWHERE,
        count: Some(config.count),
        duration_ns: None,
        schedule: Schedule::StopAndWait,
        start: None,
        offset_ns: 0,
        timeout_ns: config.timeout_ns,
        wait_out: false,
        protocol: Protocol::Echo,
        size: config.size.max(MIN_TOKEN_SIZE),
        fill: Fill::default(),
        key: config.key.clone(),
        keep: config.keep,
        outage_after: None,
        revisions: config.probes,
        linger_ns: Some(0),
        events: if config.probes { UNREAD } else { 0 },
        capture: false,
    };
    (0..config.flows).map(|flow| Arc::new(share(&all, config.flows, flow))).collect()
}

/// Returns what identifies a host and port: an IPv6 scope or flow label does not, and an IPv4-mapped
/// address is the IPv4 address.
fn key(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

impl Machine for Sweep {
    type Event = SweepEvent;

    fn on_datagram(&mut self, socket: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        self.come_to(socket, arrival.read);
        // One in, one out: read replies before provoking many more.
        let Share { burst, flow, .. } = &mut self.shares[socket];
        *burst = (*burst + 1).min(BURST);
        let flow = *flow;
        arrival.from = canonical(arrival.from);
        if let Some(round) = self.round_of(socket, arrival.datagram, arrival.from) {
            self.sessions[flow][round].on_datagram(0, arrival);
            self.follow(round, flow);
        }
        None
    }

    fn on_time(&mut self, socket: usize, now: Stamp, heard_ns: i64) {
        self.started_ns.get_or_insert(now.mono_ns);
        self.come_to(socket, now);
        let Share { burst, heard_ns: heard, .. } = &mut self.shares[socket];
        *heard = heard_ns;
        if heard_ns >= now.mono_ns {
            *burst = BURST;
        }
        self.expire(socket, heard_ns);
    }

    fn deadline(&self, socket: usize) -> Option<i64> {
        let waiting = &self.shares[socket].waiting;
        let timeout_ns = waiting.front().map(|(ns, _)| ns.saturating_add(self.config.timeout_ns));
        let due_ns = if waiting.len() < MAX_WAITING { self.due_ns(socket) } else { None };
        // With neither, the socket is done: without targets from the beginning.
        [due_ns, timeout_ns].into_iter().flatten().min().or(Some(i64::MIN))
    }

    fn lookups(&mut self, _: Stamp) -> Vec<usize> {
        std::mem::take(&mut self.lookups)
    }

    fn on_resolved(&mut self, server: usize, now: Stamp, found: Result<&[SocketAddr], &str>) {
        self.looking_up -= 1;
        let target = &mut self.config.targets[server].2;
        let before = target.address();
        if !target.on_resolved(now.mono_ns, found) {
            return;
        }
        if let Some(address) = target.address() {
            if let Some(before) = before.map(key)
                && self.of_address.get(&before) == Some(&server)
            {
                self.of_address.remove(&before);
            }
            self.of_address.insert(key(address), server);
            if let Some(round) = self.latest[server] {
                for sessions in &mut self.sessions {
                    sessions[round].redirect(address, now);
                }
            }
        }
    }

    fn transmit(&mut self, socket: usize) -> Option<Transmit<'_>> {
        loop {
            let due_ns = self.due_ns(socket)?;
            let Share { group, flow, ref mut burst, ref next, ref waiting, now, heard_ns, .. } =
                self.shares[socket];
            let held = self.started_ns.is_none() || *burst == 0 || waiting.len() >= MAX_WAITING;
            if held || now.mono_ns < due_ns {
                return None;
            }
            *burst -= 1;
            let (number, round) = (next.target * self.groups + group, next.round);
            self.shares[socket].advance();
            self.schedule(socket);
            let target = &mut self.config.targets[number].2;
            if self.looking_up < MAX_LOOKUPS && target.is_due(now.mono_ns) {
                self.looking_up += 1;
                self.lookups.push(number);
            }
            let has_address = target.address().is_some();
            let round = self.round(number, round);
            self.shares[socket].waiting.push_back((now.mono_ns, round));
            let session = &mut self.sessions[flow][round];
            session.expire(heard_ns);
            if has_address {
                let to = session.target();
                let place = if self.config.dual { on_ipv6(to) } else { to };
                self.outgoing.put(place, |out| session.write(now, out));
                return self.outgoing.take();
            }
            session.fail_to_send(now);
        }
    }

    fn on_blocked(&mut self, _: usize, probe: &[u8]) {
        if let Some((_, session)) = self.session_of(probe) {
            session.on_blocked(0, probe);
        }
    }

    fn on_unblocked(
        &mut self,
        socket: usize,
        now: Stamp,
        to: SocketAddr,
        probe: &mut Vec<u8>,
    ) -> bool {
        let Some((round, session)) = self.session_of(probe) else { return false };
        let leaves = session.on_unblocked(0, now, to, probe);
        if leaves {
            self.shares[socket].waiting.push_back((now.mono_ns, round));
        }
        leaves
    }

    fn on_send_failed(&mut self, _: usize, to: SocketAddr, probe: &[u8], error: Option<i32>) {
        if let Some((_, session)) = self.session_of(probe) {
            session.on_send_failed(0, to, probe, error);
        }
    }

    fn on_icmp(&mut self, socket: usize, error: &Icmp<'_>) {
        if let Some(round) = self.round_of(socket, error.datagram, error.to) {
            let flow = self.shares[socket].flow;
            self.sessions[flow][round].on_icmp(0, error);
            self.follow(round, flow);
        }
    }

    fn patience(&self) -> Duration {
        // Gather only if several probes are due in that time.
        if self.config.rate * GATHER.as_secs_f64() > 1.0 { GATHER } else { Duration::ZERO }
    }

    fn is_done(&self, socket: usize) -> bool {
        self.due_ns(socket).is_none() && self.shares[socket].waiting.is_empty()
    }

    fn events(&mut self) -> &mut Events<SweepEvent> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::by_hand::{arrive, port_unreachable, tick, transmit};
    use crate::ping::Counters;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Stamp {
        Stamp { mono_ns: ms * MS, wall_ns: 1_486_420_330_837_133_000 + ms * MS }
    }

    fn targets_at(addresses: impl Iterator<Item = SocketAddr>) -> Vec<(String, u16, Target)> {
        addresses.map(|at| (at.ip().to_string(), at.port(), Target::from(at))).collect()
    }

    fn config(targets: usize, rate: f64) -> SweepConfig {
        let target = |n| SocketAddr::from(([127, 0, 1, u8::try_from(n).unwrap()], 7));
        SweepConfig {
            targets: targets_at((0..targets).map(target)),
            dual: false,
            count: 2,
            rounds: Some(1),
            rate,
            timeout_ns: 100 * MS,
            size: 0,
            key: None,
            flows: 1,
            keep: None,
            probes: false,
            events: 1000,
        }
    }

    fn sweep(targets: usize, rate: f64) -> Sweep {
        Sweep::new(config(targets, rate), 1)
    }

    fn sent(sweep: &mut Sweep, ms: i64) -> Vec<(SocketAddr, Vec<u8>)> {
        tick(sweep, at(ms));
        let mut all = Vec::new();
        while let Some((to, datagram)) = transmit(sweep) {
            all.push((to, datagram.to_vec()));
        }
        all
    }

    /// Returns the counters of all targets, which have one flow.
    fn counters(sweep: &mut Sweep) -> Vec<Counters> {
        let targets = 0..sweep.latest.len();
        targets.map(|target| sweep.take_reports(target)[0].counters).collect()
    }

    /// Returns the next round that is decided: target and reports.
    fn next_finished(sweep: &mut Sweep) -> Option<(usize, Vec<Report>)> {
        std::iter::from_fn(|| sweep.events.pop()).find_map(|event| match event {
            SweepEvent::Finished { target, reports } => Some((target, reports)),
            SweepEvent::Probe { .. } => None,
        })
    }

    fn finished(sweep: &mut Sweep) -> Vec<(usize, Counters)> {
        std::iter::from_fn(|| next_finished(sweep))
            .map(|(target, reports)| (target, reports[0].counters))
            .collect()
    }

    #[test]
    fn the_rate_covers_all_targets_and_they_take_turns() {
        let mut sweep = sweep(3, 1000.0);
        let hosts: Vec<_> =
            (0..6).flat_map(|ms| sent(&mut sweep, ms)).map(|(to, _)| to.ip().to_string()).collect();
        assert_eq!(hosts[..3], ["127.0.1.0", "127.0.1.1", "127.0.1.2"]);
        assert_eq!((hosts.len(), &hosts[..3]), (6, &hosts[3..]));
        assert_eq!(sweep.deadline(0), Some(100 * MS));
        assert!(sent(&mut sweep, 300).is_empty() && sweep.is_done(0));
        assert!(counters(&mut sweep).iter().all(|counters| counters.lost == 2));
    }

    #[test]
    fn the_due_time_saturates() {
        let mut sweep = sweep(1, 1e-12);
        assert_eq!(sent(&mut sweep, 0).len(), 1);
        assert!(sent(&mut sweep, 5).is_empty());
        assert_eq!(sweep.due_ns(0), Some(i64::MAX));
    }

    #[test]
    fn no_targets_are_done_immediately() {
        let mut sweep = Sweep::new(SweepConfig { rounds: None, ..config(0, 1.0) }, 1);
        assert_eq!(sweep.deadline(0), Some(i64::MIN));
        assert!(sent(&mut sweep, 0).is_empty() && sweep.is_done(0));
    }

    #[test]
    fn a_sweep_ends_with_the_last_reply() {
        let mut sweep = sweep(2, 1e9);
        let probes: Vec<_> = (0..4).flat_map(|ms| sent(&mut sweep, ms)).collect();
        for (to, echo) in probes.iter().rev() {
            assert!(!sweep.is_done(0));
            arrive(&mut sweep, at(9), *to, echo);
        }
        tick(&mut sweep, at(9));
        assert!(sweep.is_done(0));
        assert!(counters(&mut sweep).iter().all(|counters| counters.answered == 2));
    }

    #[test]
    fn targets_are_reported_as_they_finish() {
        let mut sweep = sweep(3, 1e9);
        let probes: Vec<_> = (0..6).flat_map(|ms| sent(&mut sweep, ms)).collect();
        for index in [2, 1, 5, 4, 4] {
            let (to, echo) = &probes[index];
            arrive(&mut sweep, at(9), *to, echo);
        }
        let answered = |target| (target, Counters { answered: 2, sent: 2, ..Counters::default() });
        let of = |events: Vec<(usize, Counters)>| -> Vec<_> {
            let each = |(target, counters)| (target, Counters { received: 0, ..counters });
            events.into_iter().map(each).collect()
        };
        assert_eq!(of(finished(&mut sweep)), [answered(2), answered(1)]);
        tick(&mut sweep, at(300));
        let lost = Counters { lost: 2, sent: 2, ..Counters::default() };
        assert_eq!(of(finished(&mut sweep)), [(0, lost)]);
        assert_eq!(counters(&mut sweep)[1].duplicates, 1, "it still belongs to the last round");
    }

    #[test]
    fn a_late_reply_does_not_count_for_the_next_round() {
        let each = SweepConfig { rounds: None, count: 1, timeout_ns: 15 * MS, ..config(1, 100.0) };
        let mut sweep = Sweep::new(each, 1);
        let (to, first) = sent(&mut sweep, 0).remove(0);
        let (_, second) = sent(&mut sweep, 10).remove(0);
        // The first round is not decided yet.
        assert_eq!((sweep.rounds.len(), sweep.overdue.len()), (2, 1));
        arrive(&mut sweep, at(12), to, &second);
        sent(&mut sweep, 16);
        assert_eq!((sweep.rounds.len(), sweep.overdue.len(), sweep.of_token.len()), (1, 0, 1));
        arrive(&mut sweep, at(17), to, &first);
        arrive(&mut sweep, at(17), "127.0.1.9:7".parse().unwrap(), &first);
        let (_, third) = sent(&mut sweep, 20).remove(0);
        arrive(&mut sweep, at(21), to, &first);
        arrive(&mut sweep, at(22), to, &third);
        let counts = finished(&mut sweep).into_iter().map(|(_, counters)| {
            let Counters { answered, lost, foreign, .. } = counters;
            (answered, lost, foreign)
        });
        assert_eq!(counts.collect::<Vec<_>>(), [(1, 0, 0), (0, 1, 0), (1, 0, 1)]);
        assert_eq!(sweep.rounds.len(), 1);
    }

    #[test]
    fn memory_does_not_grow_with_the_rounds() {
        let each = SweepConfig { rounds: None, count: 1, events: 4, ..config(3, 1000.0) };
        let mut sweep = Sweep::new(each, 1);
        for ms in 0..3000 {
            for (to, echo) in sent(&mut sweep, ms) {
                if ms % 2 > 0 {
                    arrive(&mut sweep, at(ms), to, &echo);
                }
            }
            // As many as can be sent within the timeout.
            assert!(sweep.rounds.len() <= 103 && sweep.shares[0].waiting.len() <= 101);
            assert_eq!(sweep.of_token.len(), sweep.rounds.len());
        }
        assert_eq!((sweep.events.dropped(), finished(&mut sweep).len()), (2946, 4));
    }

    #[test]
    fn constant_noise_does_not_keep_a_sweep_from_ending() {
        let mut sweep = sweep(2, 1e9);
        sent(&mut sweep, 0);
        assert!(!sweep.is_done(0));
        let noisy = "127.0.1.1:7".parse().unwrap();
        for ms in 1..=100 {
            arrive(&mut sweep, at(ms), noisy, b"noise");
            sweep.on_time(0, at(ms), ms * MS - 1);
            while transmit(&mut sweep).is_some() {}
        }
        sweep.on_time(0, at(400), 99 * MS);
        assert!(!sweep.is_done(0), "a reply that came in time may still be read");
        sweep.on_time(0, at(400), 399 * MS);
        assert!(sweep.is_done(0));
        assert_eq!(counters(&mut sweep)[0].lost, 2);
    }

    #[test]
    fn no_burst_follows_a_pause_of_this_host() {
        let mut sweep = sweep(200, 1000.0);
        assert_eq!(sent(&mut sweep, 0).len(), 1);
        assert_eq!(sent(&mut sweep, 5).len(), 5, "a short pause is caught up with");
        assert_eq!(sent(&mut sweep, 900).len(), 11);
        assert_eq!(sent(&mut sweep, 901).len(), 1);
        arrive(&mut sweep, at(1800), "192.0.2.1:9".parse().unwrap(), b"noise");
        assert_eq!(sent(&mut sweep, 1800).len(), 11);
    }

    #[test]
    fn a_reply_has_the_token_and_the_address_of_its_target() {
        let mut sweep = sweep(3, 1e9);
        let probes: Vec<_> = (0..3).flat_map(|ms| sent(&mut sweep, ms)).collect();
        let (to, mut echo) = probes[1].clone();
        let (other, stranger) = (probes[2].0, "192.0.2.1:9".parse().unwrap());
        arrive(&mut sweep, at(5), stranger, &echo);
        arrive(&mut sweep, at(5), other, &echo);
        arrive(&mut sweep, at(5), stranger, b"PING 1 1486420330.837133");
        arrive(&mut sweep, at(5), to, b"PING 1 1486420330.837133");
        arrive(&mut sweep, at(6), to, &echo);
        echo[62] ^= 1;
        arrive(&mut sweep, at(7), to, &echo);
        let counters = counters(&mut sweep);
        let Counters { answered, foreign, corrupt, .. } = counters[1];
        assert_eq!((answered, foreign, corrupt), (1, 3, 1));
        assert_eq!(
            (counters[0].received, counters[2].received),
            (0, 0),
            "sessions are independent"
        );
    }

    #[test]
    fn an_icmp_error_is_for_the_probe_that_it_quotes_or_the_target_that_it_names() {
        let mut sweep = sweep(3, 1e9);
        let probes: Vec<_> = (0..3).flat_map(|ms| sent(&mut sweep, ms)).collect();
        let quoted = port_unreachable(probes[1].0, &probes[1].1);
        sweep.on_icmp(0, &quoted);
        sweep.on_icmp(0, &Icmp { to: probes[2].0, datagram: &[], ..quoted });
        let stranger = "192.0.2.1:9".parse().unwrap();
        sweep.on_icmp(0, &Icmp { to: stranger, datagram: &[], ..quoted });
        tick(&mut sweep, at(300));
        let counters = counters(&mut sweep);
        assert_eq!(counters.iter().map(|each| each.refused).collect::<Vec<_>>(), [0, 1, 1]);
    }

    #[test]
    fn a_socket_of_both_families_sees_mapped_addresses() {
        let mut sweep = Sweep::new(SweepConfig { dual: true, ..config(1, 1e9) }, 1);
        let (to, echo) = sent(&mut sweep, 0).remove(0);
        assert_eq!(to, "[::ffff:127.0.1.0]:7".parse().unwrap());
        arrive(&mut sweep, at(1), to, &echo);
        arrive(&mut sweep, at(1), to, b"noise");
        arrive(&mut sweep, at(1), "[::ffff:192.0.2.1]:9".parse().unwrap(), &echo);
        let report = sweep.take_reports(0).remove(0);
        assert_eq!((report.counters.answered, report.counters.foreign), (1, 2));
        assert_eq!(report.address, Some("127.0.1.0:7".parse().unwrap()));
        let sources: Vec<_> =
            report.path.troubles.foreign_sources.keys().map(ToString::to_string).collect();
        assert_eq!(sources, ["127.0.1.0:7", "192.0.2.1:9"]);
    }

    #[test]
    fn a_name_without_an_address_is_pinged_once_it_has_one() {
        let mut each = SweepConfig { rounds: Some(3), count: 1, ..config(2, 1.0) };
        each.targets[0] = ("far.test".to_owned(), 7, Target::named(Err("unknown"), None, 0));
        let mut sweep = Sweep::new(each, 1);
        assert!(sent(&mut sweep, 0).is_empty());
        assert!(sweep.lookups(at(0)).is_empty(), "it was looked up a moment ago");
        assert_eq!(sent(&mut sweep, 1000).len(), 1, "the other is pinged");
        let (target, reports) = next_finished(&mut sweep).unwrap();
        let Report { counters, unresolved, target: given, address, .. } = &reports[0];
        assert_eq!((target, counters.send_failed, *address), (0, 1, None));
        assert_eq!(unresolved.as_deref(), Some("unknown"));
        assert_eq!(given, &Some(("far.test".to_owned(), 7)));

        assert!(sent(&mut sweep, 2000).is_empty());
        assert_eq!((sweep.lookups(at(2000)), sweep.lookups(at(2000))), (vec![0], vec![]));
        let found = "127.0.1.9:7".parse().unwrap();
        sweep.on_resolved(0, at(2001), Ok(&[found]));
        sent(&mut sweep, 3000);
        let (to, echo) = sent(&mut sweep, 4000).remove(0);
        assert_eq!(to, found);
        arrive(&mut sweep, at(4001), found, &echo);
        let report = sweep.reports(0, false).remove(0);
        assert_eq!((report.counters.answered, report.address), (1, Some(found)));
        assert_eq!((report.unresolved, sweep.of_address.len()), (None, 2));
    }

    #[test]
    fn lookups_are_bounded() {
        let mut each = config(100, 1e9);
        for (.., target) in &mut each.targets {
            *target = Target::named(Err("unknown"), None, 0);
        }
        let mut sweep = Sweep::new(SweepConfig { rounds: None, ..each }, 1);
        sent(&mut sweep, 999);
        sent(&mut sweep, 1000);
        let first = sweep.lookups(at(1000));
        assert_eq!(first, (1..=MAX_LOOKUPS).collect::<Vec<_>>());
        sent(&mut sweep, 2000);
        assert!(sweep.lookups(at(2000)).is_empty());
        for server in first {
            sweep.on_resolved(server, at(2000), Err("unknown"));
        }
        sent(&mut sweep, 2001);
        assert_eq!(sweep.lookups(at(2001)).len(), MAX_LOOKUPS);
    }

    #[test]
    fn a_lost_address_of_this_host_has_its_time() {
        let mut sweep = sweep(1, 1000.0);
        let (to, mut echo) = sent(&mut sweep, 5).remove(0);
        let ip = "192.0.2.1".parse().unwrap();
        let mut arrival = Arrival::new(at(6), to, &mut echo);
        arrival.to = Some(crate::Local { ip, interface: 0 });
        sweep.on_datagram(0, &mut arrival);
        let (to, probe) = sent(&mut sweep, 7).remove(0);
        let unreachable = (0..20_000).find(|code| {
            let error = std::io::Error::from_raw_os_error(*code);
            error.kind() == std::io::ErrorKind::NetworkUnreachable
        });
        sweep.on_send_failed(0, to, &probe, unreachable);
        let report = sweep.take_reports(0).remove(0);
        let change = &report.path.troubles.changes.last[0];
        assert_eq!((change.before, change.after), (Some(ip), None));
        assert_eq!(change.at_ns, at(7).wall_ns);
    }

    #[test]
    fn a_name_that_moves_is_followed() {
        let (here, there) = ("127.0.1.1:7".parse().unwrap(), "127.0.1.2:7".parse().unwrap());
        let mut each = config(1, 1.0);
        each.targets[0].2 = Target::named(Ok(here), Some(MS), 0);
        let mut sweep = Sweep::new(each, 1);
        let (to, first) = sent(&mut sweep, 10).remove(0);
        assert_eq!((to, sweep.lookups(at(10))), (here, vec![0]));
        sweep.on_resolved(0, at(11), Ok(&[there]));
        arrive(&mut sweep, at(12), here, &first);
        let (to, second) = sent(&mut sweep, 1010).remove(0);
        assert_eq!(to, there);
        arrive(&mut sweep, at(1011), there, &second);
        let report = sweep.take_reports(0).remove(0);
        assert_eq!((report.counters.answered, report.path.troubles.changes.count), (2, 1));
        assert_eq!(report.address, Some(there));
    }

    #[test]
    fn names_with_the_same_address_move_independently() {
        let (here, there) = ("127.0.1.1:7".parse().unwrap(), "127.0.1.2:7".parse().unwrap());
        let mut each = config(2, 1.0);
        for (.., target) in &mut each.targets {
            *target = Target::named(Ok(here), Some(MS), 0);
        }
        let mut sweep = Sweep::new(each, 1);
        let _ = (sent(&mut sweep, 10), sent(&mut sweep, 1010));
        assert_eq!(sweep.lookups(at(1010)), [0, 1]);
        sweep.on_resolved(1, at(1011), Ok(&[there]));
        sweep.on_resolved(0, at(1011), Ok(&[there]));
        assert_eq!(sent(&mut sweep, 2010)[0].0, there);
    }

    #[test]
    fn a_target_may_be_given_as_a_mapped_address() {
        let (mapped, v4) =
            ("[::ffff:127.0.1.1]:7".parse().unwrap(), "127.0.1.1:7".parse().unwrap());
        let targets = targets_at(std::iter::once(mapped));
        let mut sweep = Sweep::new(SweepConfig { dual: true, targets, ..config(0, 1e9) }, 1);
        let (to, echo) = sent(&mut sweep, 0).remove(0);
        arrive(&mut sweep, at(1), to, &echo);
        sent(&mut sweep, 2);
        sweep.on_icmp(0, &port_unreachable(v4, &[]));
        let counters = counters(&mut sweep)[0];
        assert_eq!((to, counters.answered, counters.refused), (mapped, 1, 1));
    }

    #[test]
    fn a_lost_address_of_this_host_is_told_by_the_round_that_noticed_it() {
        let each = SweepConfig { count: 1, rounds: Some(2), ..config(1, 1.0) };
        let mut sweep = Sweep::new(each, 1);
        let (to, mut echo) = sent(&mut sweep, 0).remove(0);
        let local = crate::Local { ip: to.ip(), interface: 0 };
        let arrival = Arrival { to: Some(local), ..Arrival::new(at(1), to, &mut echo) };
        sweep.on_datagram(0, &mut { arrival });
        let (_, probe) = sent(&mut sweep, 1000).remove(0);
        sweep.on_send_failed(0, to, &probe, Some(22));
        let report = sweep.take_reports(0).remove(0);
        let changes =
            report.path.troubles.changes.last.iter().map(|c| (c.at_ns, c.before, c.after));
        assert_eq!(changes.collect::<Vec<_>>(), [(at(1000).wall_ns, Some(to.ip()), None)]);
    }

    /// A reply that is on its way.
    struct Reply {
        ms: i64,
        socket: usize,
        from: SocketAddr,
        echo: Vec<u8>,
    }

    proptest! {
        /// Whatever the rounds, flows and sockets, probes leave in one order at one rate, every
        /// target gets its count in each round, and reports add up.
        #[test]
        fn any_targets_take_turns_over_any_sockets(
            targets in 1..6_usize,
            count in 1..6_u64,
            rounds in 1..4_u64,
            flows in 1..4_u32,
            groups in 1..4_usize,
            timeout_ms in 1..40_i64,
            fates in prop::collection::vec(0..60_i64, 1..50),
        ) {
            prop_assume!(u64::from(flows) <= count && groups <= targets);
            let each = SweepConfig {
                count,
                rounds: Some(rounds),
                flows,
                timeout_ns: timeout_ms * MS,
                ..config(targets, 1000.0)
            };
            let all: Vec<_> = each.targets.iter().filter_map(|(.., to)| to.address()).collect();
            let mut sends = Vec::new();
            let mut replies = Vec::<Reply>::new();
            let sockets = groups * flows as usize;
            let mut sweep = Sweep::new(each, groups);
            let total = targets as u64 * count * rounds;
            let end = i64::try_from(total).unwrap() + 100;
            for ms in 0..end {
                for socket in 0..sockets {
                    let now = |reply: &Reply| (reply.ms, reply.socket) == (ms, socket);
                    let (arriving, later) = replies.into_iter().partition::<Vec<_>, _>(now);
                    replies = later;
                    for Reply { from, mut echo, .. } in arriving {
                        sweep.on_datagram(socket, &mut Arrival::new(at(ms), from, &mut echo));
                    }
                    sweep.on_time(socket, at(ms), ms * MS);
                    while let Some(Transmit { to, datagram, .. }) = sweep.transmit(socket) {
                        let fate = fates[sends.len() % fates.len()];
                        let echo = datagram.to_vec();
                        replies.push(Reply { ms: ms + 1 + fate, socket, from: to, echo });
                        sends.push((ms, to, (socket / groups) as u64));
                    }
                }
            }
            let laps = (0..rounds).flat_map(|_| (0..count).map(|probe| probe % u64::from(flows)));
            let turns = laps.flat_map(|flow| all.iter().map(move |to| (*to, flow)));
            let expected: Vec<_> = (0..).zip(turns).map(|(ms, (to, flow))| (ms, to, flow)).collect();
            prop_assert_eq!(sends, expected);
            prop_assert!((0..sockets).all(|socket| sweep.is_done(socket)));
            let mut reported = vec![0; targets];
            while let Some((target, reports)) = next_finished(&mut sweep) {
                let total = crate::ping::Flows::total(&reports);
                let Counters { sent, answered, late, lost, received, duplicates, foreign, .. } =
                    total.counters;
                prop_assert_eq!((sent, answered + late + lost), (count, count));
                prop_assert_eq!(received, answered + late + duplicates + foreign);
                prop_assert_eq!(total.columns().seq.len() as u64, count);
                reported[target] += 1;
            }
            prop_assert_eq!(reported, vec![rounds; targets]);
            prop_assert_eq!((sweep.rounds.len(), sweep.overdue.len()), (targets, 0));
            prop_assert_eq!(sweep.of_token.len(), targets * flows as usize);
        }
    }
}
