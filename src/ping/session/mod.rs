//! One ping session: sends probes on schedule and decides the verdict of each.

mod judge;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::machine::Outgoing;
use crate::ping::capture::{self, IN, OUT, UNANSWERED};
use crate::ping::directions::Exchanges;
use crate::ping::message::{Message, Token};
use crate::ping::outages::{OUTAGE_AFTER, Outage};
use crate::ping::path::{Source, means_no_address};
use crate::ping::probe_log::ProbeLog;
use crate::ping::probe_log::Row;
use crate::ping::schedule::Slots;
use crate::ping::session::judge::{Match, Numbers};
use crate::ping::steps::stepped;
use crate::ping::{Counters, Fill, Protocol, Report, Schedule, Signer, Tally, Ways};
use crate::wire::shown;
use crate::{Arrival, Captured, Events, Headers, Icmp, Machine, Random, Stamp, Transmit};

/// How many recent probes a reply can match; more if more are pending.
const REMEMBERED: usize = 16_384;

/// How many probes to make room for at first: a sweep has thousands of sessions of a few probes.
const FEW: usize = 4;

/// The most pending probes; a slot beyond that is missed.
const MAX_PENDING: usize = 1 << 20;

/// The pause of stop-and-wait after an ICMP error, so that errors do not cause a flood.
const PAUSE_NS: i64 = 100_000_000;

/// How long after its timeout a reply can still revise a probe.
const REVISABLE_NS: i64 = 30_000_000_000;

/// The settings of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// The destination.
    pub target: SocketAddr,
    /// The number of probes; unlimited if `None`.
    pub count: Option<u64>,
    /// The duration of sending; unlimited if `None`.
    pub duration_ns: Option<i64>,
    /// The timing of probes.
    pub schedule: Schedule,
    /// The start; if `None`, the first call of `on_time`.
    pub start: Option<Stamp>,
    /// The delay from the start to the first slot.
    pub offset_ns: i64,
    /// How long to wait for a reply.
    pub timeout_ns: i64,
    /// Whether to wait for the timeout after an ICMP error.
    pub wait_out: bool,
    /// The messages.
    pub protocol: Protocol,
    /// The payload of a probe in bytes; more if the shortest message is longer.
    pub size: usize,
    /// The content of the padding up to that size.
    pub fill: Fill,
    /// The key that authenticates probes and replies.
    pub key: Option<Signer>,
    /// How many of the last probes to keep as columns; all if `None`.
    pub keep: Option<usize>,
    /// How many consecutive probes without an answer in time are an outage to report as an event.
    pub outage_after: Option<u64>,
    /// Whether to report revised verdicts as events.
    pub revisions: bool,
    /// How long to listen after the last probe was decided; if `None`, one timeout if a probe is
    /// lost.
    pub linger_ns: Option<i64>,
    /// How many events to keep for a reader.
    pub events: usize,
    /// Whether to capture packets at the points [`POINTS`](crate::ping::POINTS).
    pub capture: bool,
}

/// An event for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A probe was decided.
    Probe(Probe),
    /// A reply revised the verdict of a decided probe.
    Revised(Probe),
    /// An outage began, or ended if it has an end.
    Outage(Outage),
}

/// The verdict on a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// A reply arrived in time.
    Answered,
    /// A reply arrived after the timeout.
    Late,
    /// No reply arrived.
    Lost,
    /// Still waiting for a reply.
    Pending,
    /// No reply arrived, and ICMP reported that nothing listens on the port.
    Refused,
    /// This host could not send it.
    SendFailed,
    /// No reply arrived, and another ICMP error reported why.
    Unreachable,
}

impl Verdict {
    /// All of them by name, in the order of their numbers in stored columns: new ones are appended.
    pub const ALL: [(&str, Self); 7] = [
        ("answered", Self::Answered),
        ("late", Self::Late),
        ("lost", Self::Lost),
        ("pending", Self::Pending),
        ("refused", Self::Refused),
        ("send_failed", Self::SendFailed),
        ("unreachable", Self::Unreachable),
    ];
}

/// A decided probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was sent.
    pub sent_at: Stamp,
    /// The verdict.
    pub verdict: Verdict,
    /// The round-trip time, if a reply arrived in time.
    pub rtt_ns: Option<i64>,
    /// The same by kernel timestamps, if the reply has one.
    pub kernel_rtt_ns: Option<i64>,
    /// The payload of the reply, cut to [`MAX_SHOWN`](crate::wire::MAX_SHOWN) bytes.
    pub reply: Option<Box<[u8]>>,
    /// Whether the reply has no number: it was attributed to the only pending probe.
    pub guessed: bool,
    /// Its payload in bytes.
    pub size: u16,
}

/// A ping session as a state machine.
#[derive(Debug)]
pub struct Session {
    /// Shared by the sessions of a sweep, all but the target.
    config: Arc<Config>,
    message: Message,
    /// Of a session with a Session-Reflector.
    exchanges: Option<Box<Exchanges>>,
    /// Complete except for values that other parts hold until a report is asked for.
    report: Report,
    slots: Option<Box<Slots>>,
    started: Option<Stamp>,
    /// Whether sending has ended.
    closed: bool,
    /// The remembered probes, in order of their numbers.
    probes: VecDeque<Record>,
    /// Probes up to this number were answered or have timed out, and are accounted for.
    decided: u64,
    /// Probes up to this number are settled: no reply revises them.
    settled: u64,
    /// When the last probe was decided.
    over_ns: Option<i64>,
    /// Whether the time of listening is over, too.
    done: bool,
    outgoing: Outgoing,
    events: Events<Event>,
    /// Packets at points; `None` if there is no capture.
    captured: Option<Vec<Captured>>,
    target: SocketAddr,
    /// This host's address on the path.
    source: Source,
    /// The target before its name had another address: replies may still come from there.
    former: Option<SocketAddr>,
    /// When the last reply arrived, in nanoseconds since the Unix epoch.
    last_reply_ns: Option<i64>,
    /// The verdict decided last, until it is taken.
    last_verdict: Option<Verdict>,
    /// Whether an ICMP error has decided a probe since the last step.
    failed: bool,
    /// Stop-and-wait sends nothing earlier.
    not_before_ns: i64,
    now: Stamp,
    /// Whether the server's own numbers are ours.
    numbers: Numbers,
}

/// A consistent view of a session. The analysis of the directions, which takes milliseconds, is left
/// to its conversion to a report, so that it does not hold up the session.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) report: Report,
    exchanges: Option<Box<Exchanges>>,
}

impl From<Snapshot> for Report {
    fn from(Snapshot { report, exchanges }: Snapshot) -> Self {
        let directions = exchanges.map(|exchanges| Box::new(exchanges.directions()));
        Self { directions, ..report }
    }
}

/// A remembered probe.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// When it left.
    at: Stamp,
    /// When it was to leave.
    due_ns: i64,
    departed_ns: Option<i64>,
    rtt_ns: Option<i64>,
    kernel_rtt_ns: Option<i64>,
    size: u16,
    verdict: Verdict,
    /// The verdict if no reply arrives.
    silence: Verdict,
    /// Whether its reply was attributed by guess.
    guessed: bool,
}

impl Record {
    /// Returns the start of its timeout: more tries to leave grant no more time.
    fn timed_from_ns(&self) -> i64 {
        if self.silence == Verdict::SendFailed { self.due_ns } else { self.at.mono_ns }
    }

    /// Returns the probe as an event shows it.
    fn probe(&self, seq: u64, reply: Option<&[u8]>) -> Probe {
        Probe {
            seq,
            sent_at: self.at,
            verdict: self.verdict,
            rtt_ns: self.rtt_ns,
            kernel_rtt_ns: self.kernel_rtt_ns,
            reply: reply.map(shown),
            guessed: self.guessed,
            size: self.size,
        }
    }
}

impl Session {
    /// Creates a session that has sent nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let target = config.target;
        Self::with_secret(Arc::new(config), target, Random::secrets(1)[0])
    }

    /// Creates a session with `target` instead of the one in `config`. Its token is made of `secret`,
    /// which nobody must be able to guess.
    pub(super) fn with_secret(config: Arc<Config>, target: SocketAddr, secret: u64) -> Self {
        Self {
            exchanges: match config.protocol {
                Protocol::Echo => None,
                Protocol::Stamp { error, .. } => Some(Box::new(Exchanges::new(error))),
            },
            message: Message::new(
                config.protocol,
                config.size,
                config.fill.clone(),
                secret,
                config.key.clone(),
            ),
            report: Report { log: ProbeLog::new(config.keep), ..Report::default() },
            slots: None,
            started: None,
            closed: false,
            probes: VecDeque::with_capacity(first_probes(config.count)),
            decided: 0,
            settled: 0,
            over_ns: None,
            done: false,
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            captured: config.capture.then(Vec::new),
            target,
            source: Source::default(),
            former: None,
            last_reply_ns: None,
            last_verdict: None,
            failed: false,
            not_before_ns: i64::MIN,
            now: Stamp::default(),
            numbers: Numbers::default(),
            config,
        }
    }

    /// Returns the report so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.snapshot(0, false).into()
    }

    /// Returns a snapshot, as that of one of several flows; `ended` if the session was stopped.
    pub(super) fn snapshot(&self, flow: u8, ended: bool) -> Snapshot {
        Snapshot { report: self.flow_report(flow, ended), exchanges: self.exchanges.clone() }
    }

    /// Returns the report so far without directions, as that of one of several flows; `ended` if the
    /// session was stopped.
    pub(super) fn flow_report(&self, flow: u8, ended: bool) -> Report {
        self.completed(self.report.clone(), flow, ended)
    }

    /// Returns the final report, as that of one of several flows.
    pub(super) fn into_report(mut self, flow: u8) -> Report {
        let report = std::mem::take(&mut self.report);
        self.report.counters = report.counters;
        self.completed(report, flow, true)
    }

    /// Adds the values that other parts hold to `report`.
    fn completed(&self, mut report: Report, flow: u8, ended: bool) -> Report {
        report.started_ns = self.started.map(|started| started.wall_ns);
        let ahead_ns = self.started.map(|started| started.wall_ns.saturating_sub(started.mono_ns));
        if let Some(pauses) = report.pauses.made() {
            pauses.shift(ahead_ns.unwrap_or_default());
        }
        report.token = self.token().is_some();
        report.signed = self.config.key.is_some();
        report.address = Some(self.target);
        // A reply may still revise them, so they are not accounted for.
        let rest = self.probes.iter().skip(self.first_undecided());
        for probe in rest.take_while(|probe| probe.verdict != Verdict::Pending) {
            report.add_decided(probe.verdict, probe.rtt_ns);
            if ended {
                let after = self.config.outage_after.unwrap_or(OUTAGE_AFTER);
                let answered = probe.verdict == Verdict::Answered;
                report.outages.add(self.sent_ns(probe), answered, after);
            }
        }
        if ended {
            report.settle();
        }
        report.missed = self.slots.as_deref().map_or(0, Slots::missed);
        if report.log.wanted() {
            report.log.reserve(self.probes.len());
            for (seq, probe) in (self.forgotten() + 1..).zip(&self.probes) {
                report.log.push(self.row(seq, probe));
            }
        }
        report.end(flow);
        report
    }

    /// Sends later probes to `address`: the target's name has another address.
    pub(super) fn redirect(&mut self, address: SocketAddr, now: Stamp) {
        let before = std::mem::replace(&mut self.target, address);
        self.former = Some(before);
        let before = Some(before.ip()).filter(|ip| !ip.is_unspecified());
        self.report.path.troubles.make().changes.add_target(now, before, address.ip());
    }

    /// Returns this host's address on the path.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Sets this host's address on the path before the first probe.
    pub(super) fn set_source(&mut self, source: Source) {
        self.source = source;
    }

    /// Notices this host's address on the path: `None` if a send failed for want of one.
    fn see_source(&mut self, at: Stamp, address: Option<IpAddr>) {
        if let Some(change) = self.source.set(at, address) {
            self.report.path.troubles.make().changes.push(change);
        }
    }

    /// Returns the verdict decided last, once.
    pub(super) fn take_last_verdict(&mut self) -> Option<Verdict> {
        self.last_verdict.take()
    }

    /// Returns the counters so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.report.counters
    }

    /// Returns the numbers for a monitoring system; `ended` if the session was stopped.
    pub(super) fn tally(&self, ended: bool) -> Tally {
        let mut tally = self.report.tally();
        if ended {
            let mut counters = self.report.counters;
            tally.settled = counters.decided_as();
        }
        tally.missed = self.slots.as_deref().map_or(0, Slots::missed);
        tally.last_reply_ns = self.last_reply_ns;
        tally
    }

    /// Returns the numbers of both directions for a monitoring system; `ended` if the session was
    /// stopped.
    pub(super) fn ways(&mut self, ended: bool) -> Ways {
        self.exchanges.as_mut().map(|exchanges| exchanges.ways(ended)).unwrap_or_default()
    }

    /// Sends the probe that is due at `now`, unless the time for sending is over.
    fn on_slot(&mut self, now: Stamp) {
        if let Some(end_ns) = self.end_ns()
            && !self.closed
            && now.mono_ns >= end_ns
        {
            self.closed = true;
            if let Some(slots) = &mut self.slots
                && slots.next_due(end_ns - 1).is_some()
            {
                slots.miss();
            }
        }
        if !self.closed && self.started.is_some() {
            self.send_due(now);
        }
    }

    fn explain_silence(&mut self, datagram: &[u8], why: Verdict) {
        if let Some(seq) = self.message.number_of(datagram, self.report.counters.sent)
            && let Some(probe) = self.remembered(seq)
        {
            probe.silence = why;
        }
    }

    /// Returns the destination of the next probe.
    pub(super) fn target(&self) -> SocketAddr {
        self.target
    }

    /// Returns the secret that all probes carry.
    pub(super) fn token(&self) -> Option<Token> {
        self.message.token()
    }

    /// Returns whether replies may come from this address; an IPv6 scope or flow label does not
    /// count, and an IPv4-mapped address is the IPv4 address.
    fn is_target(&self, from: SocketAddr) -> bool {
        let place = |of: SocketAddr| (of.ip().to_canonical(), of.port());
        let is_at = |target: SocketAddr| place(target) == place(from);
        from == self.target || is_at(self.target) || self.former.is_some_and(is_at)
    }

    /// Returns the number of the probe that an ICMP error quotes the start of. If it quotes too
    /// little to tell, that is the first pending probe without an error that fits.
    fn quoted(&mut self, quote: &[u8]) -> Option<u64> {
        let Some(seq) = self.message.quoted_number(quote, self.report.counters.sent) else {
            let pending = self.pending().filter(|(_, probe)| probe.silence == Verdict::Lost);
            let mut numbers = pending.map(|(seq, _)| seq);
            return numbers.find(|seq| self.message.is_start(quote, *seq));
        };
        let at = self.remembered(seq)?.at;
        self.message.is_quote(quote, seq, at.wall_ns).then_some(seq)
    }

    fn reply(
        &mut self,
        seq: u64,
        at: Stamp,
        kernel_ns: Option<i64>,
        datagram: &[u8],
        guessed: bool,
    ) -> Received {
        let settled = self.settled;
        let paused = kernel_ns.is_some_and(|ns| self.report.pauses.observe(ns, at.mono_ns));
        let in_time = seq > self.decided;
        let Some(probe) = self.remembered(seq) else { return Received::Foreign };
        if matches!(probe.verdict, Verdict::Answered | Verdict::Late) {
            self.report.counters.duplicates += 1;
            self.exchange(seq, kernel_ns.unwrap_or(at.mono_ns), datagram, false);
            return Received::Duplicate;
        }
        if seq <= settled {
            self.report.counters.foreign += 1;
            return Received::Foreign;
        }
        let pending = probe.verdict == Verdict::Pending;
        let since_ns = |ns: i64| ns - probe.at.mono_ns;
        let read_ns = since_ns(at.mono_ns);
        let departed_ns = probe.departed_ns.map(since_ns).filter(|ns| *ns >= 0).unwrap_or(0);
        let arrived_ns = kernel_ns.map(since_ns).filter(|ns| (departed_ns..=read_ns).contains(ns));
        let kernel_rtt_ns = arrived_ns.map(|ns| ns - departed_ns);
        let rtt_ns = arrived_ns.filter(|_| paused).unwrap_or(read_ns);
        (probe.rtt_ns, probe.kernel_rtt_ns) = (Some(rtt_ns), kernel_rtt_ns);
        probe.guessed = guessed && pending;
        let verdict = if in_time { Verdict::Answered } else { Verdict::Late };
        self.last_reply_ns = Some(at.wall_ns);
        self.report.add_reply(seq, verdict, rtt_ns, kernel_rtt_ns.map(|ns| (ns, read_ns - ns)));
        self.exchange(seq, kernel_ns.unwrap_or(at.mono_ns), datagram, true);
        if pending {
            self.report.counters.guessed += u64::from(guessed);
            self.decide(seq, verdict, Some(datagram));
        } else {
            self.revise(seq, verdict, datagram);
        }
        self.decide_until(i64::MIN);
        Received::Reply(verdict, rtt_ns)
    }

    /// Adds a reply of a Session-Reflector, which arrived at `arrived_ns`: the first to its probe or
    /// a copy.
    fn exchange(&mut self, seq: u64, arrived_ns: i64, datagram: &[u8], is_first: bool) {
        let Some(&mut Record { at, departed_ns, size, .. }) = self.remembered(seq) else { return };
        let started = self.started.unwrap_or(at);
        let (Some(exchanges), Message::Packet(packet)) = (&mut self.exchanges, &mut self.message)
        else {
            return;
        };
        let Some(reflection) = packet.read(datagram, seq, at.wall_ns) else { return };
        // On a wall clock that does not step.
        let wall_ns = |mono_ns| started.moved_to(mono_ns).wall_ns;
        let sent_ns = departed_ns.filter(|ns| *ns >= at.mono_ns).unwrap_or(at.mono_ns);
        if is_first {
            exchanges.add(seq, size, (wall_ns(sent_ns), wall_ns(arrived_ns)), &reflection);
        } else {
            exchanges.copy(seq, &reflection);
        }
    }

    /// Sets the verdict of a pending probe and reports it.
    fn decide(&mut self, seq: u64, verdict: Verdict, reply: Option<&[u8]>) {
        let Some(probe) = self.remembered(seq) else { return };
        probe.verdict = verdict;
        let probe = *probe;
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.decide(seq, verdict);
        }
        self.last_verdict = Some(verdict);
        self.report.counters.pending -= 1;
        *self.report.counters.of(verdict) += 1;
        if self.events.wanted() {
            self.events.push(Event::Probe(probe.probe(seq, reply)));
        }
        if let (Some(captured), None) = (&mut self.captured, reply) {
            let comment = capture::on_reply(seq, capture::name(verdict), None, false);
            let mut payload = Vec::new();
            self.message.write(seq, probe.at.wall_ns, &mut payload);
            captured.push(sent(UNANSWERED, None, self.target, &payload, comment));
        }
    }

    /// Revises the verdict of a probe that was given up: it was answered.
    fn revise(&mut self, seq: u64, verdict: Verdict, reply: &[u8]) {
        let Some(probe) = self.remembered(seq) else { return };
        let before = std::mem::replace(&mut probe.verdict, verdict);
        let probe = *probe;
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.decide(seq, verdict);
        }
        *self.report.counters.of(before) -= 1;
        *self.report.counters.of(verdict) += 1;
        if self.config.revisions {
            self.events.push(Event::Revised(probe.probe(seq, Some(reply))));
        }
    }

    /// Expires probes that had timed out at `now_ns`, and settles those that no reply can revise any
    /// more.
    pub(super) fn expire(&mut self, now_ns: i64) {
        self.decide_until(now_ns);
        let revisable_ns = self.config.timeout_ns.saturating_add(REVISABLE_NS);
        while self.settled < self.decided
            && let Some(probe) = self.remembered(self.settled + 1)
            && now_ns >= probe.timed_from_ns().saturating_add(revisable_ns)
        {
            let verdict = probe.verdict;
            self.settle(verdict);
        }
    }

    /// Decides probes that had timed out at `now_ns`, and adds those to the report, in send order,
    /// that no reply in time can revise.
    fn decide_until(&mut self, now_ns: i64) {
        let timeout_ns = self.config.timeout_ns;
        while let Some(probe) = self.probes.get(self.first_undecided()) {
            match probe.verdict {
                Verdict::Answered => {}
                _ if now_ns < probe.timed_from_ns().saturating_add(timeout_ns) => break,
                Verdict::Pending => self.decide(self.decided + 1, probe.silence, None),
                _ => {}
            }
            self.account();
        }
    }

    /// Adds the next probe to the report, and reports an outage that it begins or ends.
    fn account(&mut self) {
        self.decided += 1;
        let Some(&mut probe) = self.remembered(self.decided) else { return };
        self.report.add_decided(probe.verdict, probe.rtt_ns);
        let after = self.config.outage_after;
        let outage = self.report.outages.add(
            self.sent_ns(&probe),
            probe.verdict == Verdict::Answered,
            after.unwrap_or(OUTAGE_AFTER),
        );
        if let Some(outage) = outage.filter(|_| after.is_some()) {
            self.events.push(Event::Outage(outage));
        }
    }

    /// Settles the next probe.
    fn settle(&mut self, verdict: Verdict) {
        self.settled += 1;
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.settle();
        }
        self.report.settled[verdict as usize] += 1;
    }

    /// Reports a pause of this process if it has not done the work that was due.
    fn notice_pause(&mut self, now_ns: i64) {
        // Work that is due immediately has no time.
        if let Some(due_ns) = self.deadline(0).filter(|ns| *ns > i64::MIN) {
            self.report.pauses.observe(due_ns, now_ns);
        }
    }

    /// Returns how long to listen after the last probe was decided.
    fn linger_ns(&self) -> i64 {
        let Report { counters, settled, .. } = &self.report;
        let revisable = counters.lost > settled[Verdict::Lost as usize];
        self.config.linger_ns.unwrap_or(if revisable { self.config.timeout_ns } else { 0 })
    }

    /// Ends the session if all is decided and the time of listening is over.
    fn end(&mut self, now_ns: i64) {
        let Counters { sent, pending, .. } = self.report.counters;
        if !self.closed || pending > 0 || self.done {
            return;
        }
        let over_ns = *self.over_ns.get_or_insert(now_ns);
        if now_ns >= over_ns.saturating_add(self.linger_ns()) {
            self.done = true;
            while self.decided < sent {
                self.account();
            }
            self.settled = sent;
            self.report.settle();
        }
    }

    /// Returns the number of the last probe that is no longer remembered.
    fn forgotten(&self) -> u64 {
        self.report.counters.sent - self.probes.len() as u64
    }

    /// Returns the index of the first remembered probe that is not accounted for.
    fn first_undecided(&self) -> usize {
        usize::try_from(self.decided - self.forgotten()).unwrap_or(usize::MAX)
    }

    /// Returns the pending probes with their numbers.
    fn pending(&self) -> impl Iterator<Item = (u64, &Record)> {
        let later = (self.decided + 1..).zip(self.probes.iter().skip(self.first_undecided()));
        later.filter(|(_, probe)| probe.verdict == Verdict::Pending)
    }

    /// Returns the probes that are not decided yet.
    pub(super) fn undecided(&self) -> impl Iterator<Item = Probe> {
        self.pending().map(|(seq, probe)| probe.probe(seq, None))
    }

    fn remembered(&mut self, seq: u64) -> Option<&mut Record> {
        let index = seq.checked_sub(self.forgotten() + 1)?;
        self.probes.get_mut(usize::try_from(index).ok()?)
    }

    /// Returns when a probe was sent, on a wall clock that does not step.
    fn sent_ns(&self, probe: &Record) -> i64 {
        let started = self.started.unwrap_or(probe.at);
        started.moved_to(probe.at.mono_ns).wall_ns
    }

    fn row(&self, seq: u64, probe: &Record) -> Row {
        Row {
            seq,
            sent_ns: self.sent_ns(probe),
            rtt_ns: probe.rtt_ns,
            kernel_rtt_ns: probe.kernel_rtt_ns,
            verdict: probe.verdict,
            size: probe.size,
        }
    }

    /// Sends the next probe if it is due.
    fn send_due(&mut self, now: Stamp) {
        let counters = &self.report.counters;
        let slot_ns = match &mut self.slots {
            Some(slots) => match slots.next_due(now.mono_ns) {
                Some(_) if self.probes.len() >= MAX_PENDING => return slots.miss(),
                Some(slot_ns) => slot_ns,
                None => return,
            },
            None if counters.pending > 0 || now.mono_ns < self.not_before_ns => return,
            None => now.mono_ns,
        };
        if self.slots.is_some() {
            self.report.schedule_error.make().add(now.mono_ns - slot_ns);
        }
        self.send(now);
    }

    /// Sends the next probe.
    fn send(&mut self, now: Stamp) {
        let (to, mut outgoing) = (self.target, std::mem::take(&mut self.outgoing));
        outgoing.put(to, |out| self.write(now, out));
        self.outgoing = outgoing;
    }

    /// Writes the next probe, which leaves now, into `out`, replacing its content.
    pub(super) fn write(&mut self, now: Stamp, out: &mut Vec<u8>) {
        self.now = now;
        self.started.get_or_insert(now);
        while self.probes.len() >= REMEMBERED && self.forgotten() < self.decided {
            let seq = self.forgotten() + 1;
            let Some(probe) = self.probes.front() else { break };
            let (row, verdict) = (self.row(seq, probe), probe.verdict);
            self.report.log.push(row);
            if self.settled < seq {
                self.settle(verdict);
            }
            self.probes.pop_front();
        }
        let seq = self.report.counters.sent + 1;
        self.message.write(seq, now.wall_ns, out);
        self.probes.push_back(Record {
            at: now,
            due_ns: now.mono_ns,
            departed_ns: None,
            rtt_ns: None,
            kernel_rtt_ns: None,
            size: u16::try_from(out.len()).unwrap_or(u16::MAX),
            verdict: Verdict::Pending,
            silence: Verdict::Lost,
            guessed: false,
        });
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.push();
        }
        self.report.counters.sent = seq;
        self.report.counters.pending += 1;
        self.closed = self.config.count.is_some_and(|count| seq >= count);
        self.not_before_ns = i64::MIN;
    }

    /// Counts the next probe without sending it: the target has no address.
    pub(super) fn fail_to_send(&mut self, now: Stamp) {
        self.write(now, &mut Vec::new());
        if let Some(probe) = self.probes.back_mut() {
            probe.silence = Verdict::SendFailed;
        }
    }

    /// Captures a datagram that came in.
    fn capture_arrival(&mut self, arrival: &Arrival<'_>, comment: impl FnOnce() -> String) {
        if let Some(captured) = &mut self.captured {
            captured.push(Captured {
                point: IN,
                at_ns: Some(arrival.at().wall_ns),
                remote: Some(arrival.from),
                local: arrival.to,
                session: 0,
                headers: Headers { ttl: arrival.ttl, tos: arrival.tos },
                payload: (*arrival.datagram).into(),
                comment: comment(),
            });
        }
    }

    /// Returns when sending ends.
    fn end_ns(&self) -> Option<i64> {
        Some(self.started?.mono_ns.saturating_add(self.config.duration_ns?))
    }
}

/// Returns the number of probes to make room for at first.
fn first_probes(count: Option<u64>) -> usize {
    count.and_then(|count| usize::try_from(count).ok()).map_or(FEW, |count| count.min(FEW))
}

/// The verdict on a received datagram that names a probe.
enum Received {
    /// The first reply: the verdict on the probe, and its round-trip time.
    Reply(Verdict, i64),
    Duplicate,
    Foreign,
}

impl Received {
    /// Returns the comment of a capture.
    fn comment(&self, seq: u64, guessed: bool) -> String {
        match self {
            Self::Reply(verdict, rtt_ns) => {
                capture::on_reply(seq, capture::name(*verdict), Some(*rtt_ns), guessed)
            }
            Self::Duplicate => capture::on_reply(seq, "duplicate", None, guessed),
            Self::Foreign => "foreign".to_owned(),
        }
    }
}

/// Returns a probe at a point.
fn sent(
    point: usize,
    at_ns: Option<i64>,
    to: SocketAddr,
    payload: &[u8],
    comment: String,
) -> Captured {
    Captured {
        point,
        at_ns,
        remote: Some(to),
        local: None,
        session: 0,
        headers: Headers::default(),
        payload: payload.into(),
        comment,
    }
}

impl Machine for Session {
    type Event = Event;

    fn on_datagram(&mut self, _: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        let Arrival { read, from, ref datagram, .. } = *arrival;
        self.report.wall_steps.observe(read);
        self.notice_pause(read.mono_ns);
        // A timestamp outside the round trip is from a clock that stepped meanwhile.
        let kernel_ns = arrival.kernel.map(|at| at.mono_ns).filter(|ns| *ns <= read.mono_ns);
        // A reply that arrived in time counts as answered even if it is read late.
        self.expire(kernel_ns.unwrap_or(read.mono_ns));
        self.report.counters.received += 1;
        let found = self.judge(from, datagram);
        match found {
            Match::Reply(seq) | Match::Guess(seq) => {
                let sent = self.remembered(seq).map(|probe| probe.at);
                let sent = sent.filter(|sent| !stepped(*sent, read));
                let kernel_ns = kernel_ns.filter(|ns| sent.is_some_and(|sent| *ns >= sent.mono_ns));
                if kernel_ns.is_none() {
                    self.expire(read.mono_ns);
                }
                self.report.path.add_reply(arrival.ttl, arrival.tos);
                if let Some(local) = arrival.to {
                    self.see_source(read, Some(local.ip.to_canonical()));
                }
                let guessed = found == Match::Guess(seq);
                let received = self.reply(seq, read, kernel_ns, datagram, guessed);
                self.capture_arrival(arrival, || received.comment(seq, guessed));
            }
            Match::Corrupt => {
                self.report.counters.corrupt += 1;
                self.capture_arrival(arrival, || "corrupt".to_owned());
            }
            Match::Foreign | Match::Elsewhere => {
                self.report.counters.foreign += 1;
                self.report.path.troubles.make().add_foreign(from, found == Match::Elsewhere);
                self.capture_arrival(arrival, || "foreign".to_owned());
            }
        }
        None
    }

    fn on_icmp(&mut self, _: usize, error: &Icmp<'_>) {
        if error.router.is_none() {
            // The send itself fails, too.
            self.report.path.troubles.make().add_icmp(error);
            return;
        }
        // Anybody can send an error about another datagram.
        let seq = self.quoted(error.datagram);
        if !self.is_target(error.to) || seq.is_none() && !error.datagram.is_empty() {
            return;
        }
        self.report.path.troubles.make().add_icmp(error);
        let refused = error.is_port_unreachable();
        let verdict = if refused { Verdict::Refused } else { Verdict::Unreachable };
        let wait_out = self.config.wait_out;
        let Some(seq) = seq else { return };
        let Some(probe) = self.remembered(seq) else { return };
        if probe.verdict != Verdict::Pending {
            return;
        }
        probe.silence = verdict;
        if !wait_out {
            self.failed = true;
            self.decide(seq, verdict, None);
        }
    }

    fn on_departed(&mut self, _: usize, datagram: &[u8], kernel_ns: i64) {
        if let Some(seq) = self.message.number_of(datagram, self.report.counters.sent)
            && let Some(probe) = self.remembered(seq)
            && probe.rtt_ns.is_none()
        {
            probe.departed_ns = Some(kernel_ns);
        }
    }

    fn on_receive_drops(&mut self, _: usize, total: u64) {
        self.report.receive_drops = total;
    }

    fn on_time(&mut self, _: usize, now: Stamp, heard_ns: i64) {
        self.now = now;
        self.report.wall_steps.observe(now);
        self.notice_pause(now.mono_ns);
        if self.started.is_none() {
            let start = self.config.start.unwrap_or(now);
            self.started = Some(start);
            let first_ns = start.mono_ns.saturating_add(self.config.offset_ns);
            self.slots = Slots::new(self.config.schedule, first_ns).map(Box::new);
        }
        if std::mem::take(&mut self.failed) {
            let pause_ns = PAUSE_NS.min(self.config.timeout_ns);
            self.not_before_ns = now.mono_ns.saturating_add(pause_ns);
        }
        self.expire(heard_ns);
        self.on_slot(now);
        self.end(now.mono_ns);
    }

    fn deadline(&self, _: usize) -> Option<i64> {
        let undecided = self.probes.get(self.first_undecided());
        let timeout_ns =
            undecided.map(|probe| probe.timed_from_ns().saturating_add(self.config.timeout_ns));
        let slot_ns = match &self.slots {
            _ if self.closed => None,
            Some(slots) => Some(slots.next_ns()),
            None => (self.report.counters.pending == 0).then_some(self.not_before_ns),
        };
        let end_ns = match self.over_ns {
            Some(over_ns) => Some(over_ns.saturating_add(self.linger_ns())),
            None if self.closed => None,
            None => self.end_ns(),
        };
        [timeout_ns, slot_ns, end_ns].into_iter().flatten().min()
    }

    fn transmit(&mut self, _: usize) -> Option<Transmit<'_>> {
        let transmit = self.outgoing.take()?;
        if let Some(captured) = &mut self.captured {
            let Transmit { to, datagram, .. } = transmit;
            let comment = capture::on_probe(self.report.counters.sent);
            captured.push(sent(OUT, Some(self.now.wall_ns), to, datagram, comment));
        }
        Some(transmit)
    }

    fn captured(&mut self, _: usize) -> Option<&mut Vec<Captured>> {
        self.captured.as_mut()
    }

    fn on_blocked(&mut self, _: usize, datagram: &[u8]) {
        self.explain_silence(datagram, Verdict::SendFailed);
    }

    fn on_unblocked(
        &mut self,
        _: usize,
        now: Stamp,
        to: SocketAddr,
        datagram: &mut Vec<u8>,
    ) -> bool {
        let Some(seq) = self.message.number_of(datagram, self.report.counters.sent) else {
            return false;
        };
        let timeout_ns = self.config.timeout_ns;
        let Some(probe) = self.remembered(seq) else { return false };
        let in_time = now.mono_ns < probe.due_ns.saturating_add(timeout_ns);
        if probe.verdict != Verdict::Pending || !in_time {
            return false;
        }
        (probe.at, probe.silence) = (now, Verdict::Lost);
        self.message.write(seq, now.wall_ns, datagram);
        if let Some(captured) = &mut self.captured {
            let comment = capture::on_probe(seq);
            captured.push(sent(OUT, Some(now.wall_ns), to, datagram, comment));
        }
        true
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, datagram: &[u8], error: Option<i32>) {
        self.report.path.troubles.make().add_send_error(error);
        if error.is_some_and(means_no_address) {
            self.see_source(self.now, None);
        }
        // It still times out: a host without a route must not send as fast as sends fail.
        self.explain_silence(datagram, Verdict::SendFailed);
    }

    fn is_done(&self, _: usize) -> bool {
        self.done || self.closed && self.report.counters.pending == 0 && self.linger_ns() == 0
    }

    fn events(&mut self) -> &mut Events<Event> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests;
