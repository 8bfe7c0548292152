//! The paths of all clients, and the log of their decisions.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use slab::Slab;

use crate::impair::{CopyPlan, Flags, Link, Passage};
use crate::path::capture::{self, Place};
use crate::path::clients::Clients;
use crate::path::decision::{Decision, Plan};
use crate::path::delay_line::{self, DelayLine, Entry, Queued};
use crate::path::fate::{Counters, Damage, Fate, LinkCounters, Outcome, Reply};
use crate::path::outage::{Outage, OutageMode};
use crate::path::timeline::{Agenda, Done, Due, MAX_DONE, Step, Timeline};
use crate::path::{Action, DOWNLINK, Ended, Event, Reason, Route};
use crate::wire::Shown;
use crate::{Captured, Events, Headers, Local, Random, Stamp};

/// How many of the last fates a refusal may be about.
const RECENT: usize = 1024;

/// The settings of paths.
#[derive(Debug, Default)]
pub(crate) struct PathConfig {
    pub(crate) uplink: Link,
    pub(crate) downlink: Link,
    /// Both links of the first clients, in order of appearance.
    pub(crate) per_client: Vec<[Link; 2]>,
    /// The seed of all random choices; if `None`, the system chooses.
    pub(crate) seed: Option<u64>,
    /// The capacity of the delay line in bytes.
    pub(crate) delay_line: usize,
    /// How many of the last fates to keep.
    pub(crate) keep: usize,
    pub(crate) timeline: Timeline,
    /// Whether to capture packets.
    pub(crate) capture: bool,
}

/// A packet that enters the path of its client.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    /// When it arrived.
    pub(crate) at: Stamp,
    /// When it was read (wall clock).
    pub(crate) read_ns: i64,
    pub(crate) client: SocketAddr,
    /// The number of the client's path.
    pub(crate) path: u32,
    /// The number of the client's session, for the owner of the paths.
    pub(crate) session: u32,
    /// The address of this host that the client knows, if there are several.
    pub(crate) local: Option<Local>,
    /// The headers with which it came.
    pub(crate) received: Headers,
    /// The headers of the datagrams that leave.
    pub(crate) headers: Headers,
    /// Whether the owner made it in reply to a packet that came.
    pub(crate) is_reply: bool,
    /// The payload as received.
    pub(crate) payload: &'a mut [u8],
    /// How many bytes of it enter.
    pub(crate) length: usize,
}

impl Packet<'_> {
    /// Returns the fate of the packet, which is lost so far.
    fn fate(&self, route: Route, number: u64, answer: Shown) -> Fate {
        Fate {
            at: self.at,
            client: self.client,
            route,
            answer,
            size: self.payload.len(),
            number,
            outcome: Outcome::Lost,
            uplink: Flags::default(),
            downlink: Flags::default(),
            rules: [None; 2],
            first: None,
            others: Vec::new(),
        }
    }

    /// Returns the packet at a point of its route.
    fn captured(&self, route: Route, place: Place, at_ns: i64, comment: String) -> Captured {
        let &Self { client, local, session, received, headers, ref payload, length, .. } = self;
        let is_in = place == Place::Start;
        Captured {
            point: route.point(place),
            at_ns: Some(at_ns),
            remote: (!route.meets_upstream(place)).then_some(client),
            local,
            session,
            headers: if is_in { received } else { headers },
            payload: payload[..if is_in { payload.len() } else { length }].into(),
            comment,
        }
    }
}

impl Queued {
    /// Returns the copy at a point of its route.
    fn captured(&self, route: Route, place: Place, at_ns: i64, comment: String) -> Captured {
        Captured {
            point: route.point(place),
            at_ns: Some(at_ns),
            remote: (!route.meets_upstream(place)).then_some(self.to),
            local: self.from,
            session: self.session,
            headers: self.headers,
            payload: self.payload.clone(),
            comment,
        }
    }
}

/// A fate with copies still to leave.
#[derive(Debug)]
struct OpenFate {
    fate: Fate,
    outstanding: u8,
    /// The number of its client's path, and the client's serial number.
    path: u32,
    serial: u64,
}

impl OpenFate {
    /// Returns the link that a copy is in.
    fn way_of(&self, copy: &Queued) -> usize {
        let ways = self.fate.route.ways();
        if copy.ahead.is_some() { *ways.start() } else { *ways.end() }
    }
}

/// Returns the copies in the queue of a link by path, each list with the time at which the last
/// copy in order arrives that has left the queue.
fn queues<'a>(
    entries: Vec<&'a mut Entry>,
    waiting: &Slab<OpenFate>,
    clients: &Clients,
    way: usize,
    now_ns: i64,
) -> HashMap<u32, (i64, Vec<&'a mut Entry>)> {
    let mut queues = HashMap::new();
    for entry in entries {
        let Some(fate) = waiting.get(entry.packet.fate) else { continue };
        if fate.way_of(&entry.packet) != way || !clients.is(fate.path, fate.serial) {
            continue;
        }
        let (last_ns, queue) = queues.entry(fate.path).or_insert((i64::MIN, Vec::new()));
        let Passage { sent_ns, held, out_ns, .. } = entry.packet.passage;
        if sent_ns > now_ns {
            queue.push(entry);
        } else if !held {
            *last_ns = out_ns.max(*last_ns);
        }
    }
    queues
}

/// The paths of all clients.
#[derive(Debug)]
pub struct Paths<R = Infallible> {
    clients: Clients,
    counters: Counters,
    /// How many of the received packets the owner made in reply to others.
    replies: u64,
    impairments: [LinkCounters; 2],
    delay_line_full: u64,
    /// Copies whose client's path was removed.
    expired: u64,
    /// Copies that left and did not fail to send.
    sent: u64,
    /// Copies that left.
    left: u64,
    /// The routes of the packets in each line.
    routes: Box<[Route]>,
    lines: Vec<DelayLine>,
    /// The fates of the packets in the lines.
    waiting: Slab<OpenFate>,
    /// The last outages of the uplink and of the downlink.
    outages: [Option<Outage>; 2],
    /// The number of outages so far.
    broken: u64,
    agenda: Agenda,
    /// Whether fates are kept, and whether steps are logged among them.
    keeps: bool,
    logs_steps: bool,
    log: Events<Event<R>>,
    /// Packets at points; `None` if there is no capture.
    captured: Option<Vec<Captured>>,
}

impl<R> Paths<R> {
    /// Creates paths with a delay line for each of `routes`, which share its capacity. All packets
    /// of a client on one route must be in the same line.
    pub(crate) fn new(config: PathConfig, routes: &[Route]) -> Self {
        let PathConfig { uplink, downlink, per_client, seed, delay_line, keep, .. } = config;
        let Timeline { steps, start_ns, logged } = config.timeline;
        let seed = seed.unwrap_or_else(|| Random::new(None).below(u64::MAX));
        let capacity = delay_line / routes.len();
        Self {
            clients: Clients::new(seed, [uplink, downlink], per_client),
            counters: Counters::default(),
            replies: 0,
            impairments: [LinkCounters::default(); 2],
            delay_line_full: 0,
            expired: 0,
            sent: 0,
            left: 0,
            lines: routes.iter().map(|_| DelayLine::new(capacity)).collect(),
            routes: routes.into(),
            waiting: Slab::new(),
            outages: [None; 2],
            broken: 0,
            agenda: Agenda::new(steps, start_ns),
            keeps: keep > 0,
            logs_steps: logged,
            log: Events::log(if logged { keep.max(MAX_DONE) } else { keep }),
            captured: config.capture.then(Vec::new),
        }
    }

    /// Adds a client at `ip`. Returns the number of its path.
    pub(crate) fn add_client(&mut self, ip: IpAddr) -> u32 {
        self.clients.add(ip)
    }

    /// Removes the path of a client whose session ended; whatever is in it never leaves.
    pub(crate) fn end_client(&mut self, path: u32, client: SocketAddr, reason: Reason, at: Stamp) {
        let packets = self.clients.remove(path);
        if self.keeps {
            self.log.push(Event::Ended(Ended { at, client, reason, packets }));
        }
    }

    /// Adds a path for all clients that find no place in a full table. Returns its number.
    pub(crate) fn add_crowd(&mut self) -> u32 {
        self.clients.add_crowd()
    }

    /// Returns the link of clients that have none of their own.
    pub(crate) fn link(&self, way: usize) -> &Link {
        self.clients.link(way)
    }

    /// Sets a link of the client with the path `path`, or of all that have none of their own.
    ///
    /// Packets inside keep their delay; those in the queue of a rate limit leave at the new rate,
    /// from its head. Returns the number of clients whose link it is.
    pub(crate) fn set_link(
        &mut self,
        way: usize,
        link: Link,
        path: Option<u32>,
        now: Stamp,
    ) -> usize {
        let (link, is_own) = (Arc::new(link), path.is_some());
        let Self { clients, lines, waiting, .. } = self;
        if path.is_none() {
            clients.set_link(way, &link);
        }
        let changed = path.map_or_else(|| clients.with_shared(way), |path| vec![path]);
        let count = changed.len();
        delay_line::change(lines, |entries| {
            let mut queues = queues(entries, waiting, clients, way, now.mono_ns);
            for path in changed {
                let (last_ns, mut queue) = queues.remove(&path).unwrap_or((i64::MIN, Vec::new()));
                queue.sort_unstable_by_key(|entry| (entry.packet.passage.sent_ns, entry.number));
                let passages = queue.iter_mut().map(|entry| &mut entry.packet.passage);
                clients.at(path).ways[way].replace(&link, is_own, now.mono_ns, last_ns, passages);
                for entry in queue {
                    entry.due_ns = entry.packet.passage.out_ns;
                }
            }
        });
        count
    }

    /// Starts an outage of these links, which ends at `end_ns` unless it is ended before. It
    /// replaces one that has not ended. Returns its number.
    pub(crate) fn start_outage(
        &mut self,
        ways: [bool; 2],
        mode: OutageMode,
        now: Stamp,
        end_ns: i64,
    ) -> u64 {
        self.broken += 1;
        let outage = Outage { mode, start_ns: now.mono_ns, end_ns, number: self.broken };
        for (broken, slot) in ways.into_iter().zip(&mut self.outages) {
            if broken {
                *slot = Some(outage);
            }
        }
        self.broken
    }

    /// Ends an outage that has not ended.
    pub(crate) fn end_outage(&mut self, number: u64, now: Stamp) {
        for outage in self.outages.iter_mut().flatten().filter(|outage| outage.number == number) {
            outage.end_ns = outage.end_ns.min(now.mono_ns);
        }
    }

    /// Returns whether the system must refuse packets at `at_ns`.
    pub(crate) fn refuses(&self, at_ns: i64) -> bool {
        self.outages.iter().flatten().any(|outage| outage.refuses(at_ns))
    }

    /// Returns when an outage ends during which the system refuses packets at `now_ns`.
    pub(crate) fn refusal_end(&self, now_ns: i64) -> Option<i64> {
        let refusing = self.outages.iter().flatten().filter(|outage| outage.refuses(now_ns));
        refusing.map(|outage| outage.end_ns).max()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the impairments on the uplink and on the downlink.
    pub(crate) fn impairments(&self) -> [LinkCounters; 2] {
        self.impairments
    }

    /// Returns the number of copies dropped because the delay line was full.
    pub(crate) fn delay_line_full(&self) -> u64 {
        self.delay_line_full
    }

    /// Returns the number of copies dropped because their client's path was removed.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    /// Returns the number of copies sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of packets whose copies are all delayed.
    pub(crate) fn pending(&self) -> u64 {
        let Counters { received, replied, dropped, send_failed } = self.counters;
        received - replied - dropped - send_failed
    }

    /// Returns the number of delayed copies.
    pub(crate) fn delayed(&self) -> u64 {
        self.lines.iter().map(DelayLine::len).sum::<usize>() as u64
    }

    /// Returns the completed fates that are kept, oldest first.
    pub(crate) fn fates(&self) -> impl Iterator<Item = &Fate> {
        self.log.iter().filter_map(|event| match event {
            Event::Fate(fate) => Some(fate),
            Event::Step(_) | Event::Ended(_) | Event::Record(_) => None,
        })
    }

    /// Returns the records of the owner that are kept, oldest first.
    pub(crate) fn records(&self) -> impl Iterator<Item = &R> {
        self.log.iter().filter_map(|event| match event {
            Event::Record(record) => Some(record),
            Event::Fate(_) | Event::Step(_) | Event::Ended(_) => None,
        })
    }

    pub(crate) fn log(&mut self) -> &mut Events<Event<R>> {
        &mut self.log
    }

    /// Returns the number of packets that came.
    fn came(&self) -> u64 {
        self.counters.received - self.replies
    }

    /// Adds a step. Returns its index; `None` if too many wait.
    pub(crate) fn add_step(&mut self, step: Step, now: Stamp) -> Option<usize> {
        self.agenda.add(step, now.mono_ns, self.came())
    }

    /// Returns whether a step is due at `at`; if a packet `arrives`, also before its decision.
    pub(crate) fn is_step_due(&self, at: Stamp, arrives: bool) -> bool {
        self.agenda.is_due(at.mono_ns, self.came() + u64::from(arrives))
    }

    /// Returns when the next step is due by time.
    pub(crate) fn step_ns(&self) -> Option<i64> {
        self.agenda.next_ns()
    }

    /// Removes the next step that is due at `at`, for the owner to do and to
    /// [`finish`](Self::finish_step); if a packet `arrives`, also one before its decision.
    pub(crate) fn next_step(&mut self, at: Stamp, arrives: bool) -> Option<Due> {
        loop {
            let due = self.agenda.next(at, self.came(), arrives)?;
            if !matches!(due.action, Action::Loop) {
                return Some(due);
            }
            self.finish_step(&due, None);
            self.agenda.begin_again(&due, at.mono_ns);
        }
    }

    /// Records a step that was done; it changed `clients`.
    pub(crate) fn finish_step(&mut self, due: &Due, clients: Option<usize>) {
        let done = self.agenda.record(due, clients);
        if self.logs_steps {
            self.log.push(Event::Step(done));
        }
    }

    /// Returns the last steps that were done, oldest first.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Done> {
        self.agenda.done()
    }

    /// Returns the packets that were captured, if there is a capture.
    pub(crate) fn captured(&mut self) -> Option<&mut Vec<Captured>> {
        self.captured.as_mut()
    }

    /// Counts a packet that takes no path and is answered immediately.
    pub(crate) fn bypass(&mut self) {
        self.counters.received += 1;
        self.counters.replied += 1;
        self.sent += 1;
    }

    /// Records a packet that is dropped before it enters a path; `answer` is that of its fate.
    pub(crate) fn refuse(
        &mut self,
        line: usize,
        packet: &Packet<'_>,
        outcome: Outcome,
        answer: impl FnOnce(&[u8]) -> Shown,
    ) {
        self.counters.received += 1;
        let answer = if self.keeps { answer(packet.payload) } else { Shown::default() };
        let fate = Fate { outcome, ..packet.fate(self.routes[line], 0, answer) };
        self.capture_arrival(packet, &fate, true);
        self.complete(fate);
    }

    /// Decides about a packet. Returns whether it leaves immediately, changed in place; delayed and
    /// duplicate copies are queued.
    ///
    /// `answer` returns the unimpaired answer to a payload, cut for the log. `change` applies flipped
    /// bits and everything else that happens to a payload.
    pub(crate) fn enter(
        &mut self,
        line: usize,
        packet: &mut Packet<'_>,
        answer: impl FnOnce(&[u8]) -> Shown,
        change: impl Fn(&mut [u8], [Option<u32>; 2]) -> Damage,
    ) -> bool {
        self.counters.received += 1;
        self.replies += u64::from(packet.is_reply);
        let Packet { at, path, length, .. } = *packet;
        let (route, client) = (self.routes[line], self.clients.at(path));
        let way = &mut client.ways[route.first()];
        way.packets += 1;
        let number = way.packets;
        let is_out =
            |way: usize, ns| self.outages[way].as_ref().is_some_and(|outage| outage.drops(ns));
        let payload: &[u8] = &packet.payload[..length];
        let answer_to = |flipped| {
            let mut answer = payload.to_vec();
            change(&mut answer, [flipped, None]);
            answer
        };
        let decision = Decision::new(client, route, at.mono_ns, payload, answer_to, is_out);
        let answer = if self.keeps { answer(payload) } else { Shown::default() };
        let mut fate = packet.fate(route, number, answer);
        [fate.uplink, fate.downlink] = decision.flags;
        fate.rules = decision.rules;
        for (counters, flags) in self.impairments.iter_mut().zip(decision.flags) {
            counters.count(flags);
        }
        match decision.copies() {
            [] => {
                self.capture_arrival(packet, &fate, true);
                self.complete(fate);
                false
            }
            // A packet that leaves immediately must not overtake one that is due.
            [Some(copy)]
                if copy.ahead.is_none()
                    && copy.passage.out_ns <= at.mono_ns
                    && self.next_ns(line, at.mono_ns).is_none_or(|ns| ns > copy.passage.out_ns)
                    && self.held_until(line, at.mono_ns).is_none() =>
            {
                self.capture_arrival(packet, &fate, false);
                let damage = change(&mut packet.payload[..length], copy.flipped);
                let sent_ns = at.wall_ns.max(packet.read_ns);
                fate.first = Some(self.reply(damage, sent_ns));
                fate.outcome = route.outcome();
                if let Some(captured) = &mut self.captured {
                    let comment = capture::on_departure(&fate);
                    captured.push(packet.captured(route, Place::End, sent_ns, comment));
                }
                self.counters.replied += 1;
                self.complete(fate);
                true
            }
            copies => {
                self.delay(line, packet, fate, copies, change);
                false
            }
        }
    }

    /// Returns when the next packet of a line leaves that has not by `now_ns`.
    pub(crate) fn next_ns(&self, line: usize, now_ns: i64) -> Option<i64> {
        let due_ns = self.lines[line].next_ns()?;
        let leaves_ns = self.held_until(line, due_ns).unwrap_or(due_ns);
        // An outage holds one that is overdue, too.
        let held_ns = self.held_until(line, now_ns).filter(|_| leaves_ns <= now_ns);
        Some(held_ns.unwrap_or(leaves_ns))
    }

    /// Removes the next packet of a line that leaves at `now`.
    pub(crate) fn depart(&mut self, line: usize, now: Stamp) -> Option<Queued> {
        if self.held_until(line, now.mono_ns).is_some() {
            return None;
        }
        loop {
            let mut queued = self.lines[line].pop(now.mono_ns)?;
            // Each packet in the line has an entry here.
            let waiting = self.waiting.get_mut(queued.fate)?;
            if !self.clients.is(waiting.path, waiting.serial) {
                if waiting.fate.first.is_none() {
                    waiting.fate.outcome = Outcome::Expired;
                }
                self.expired += 1;
                if let Some(captured) = &mut self.captured {
                    let Fate { route, number, .. } = waiting.fate;
                    let comment = capture::on_end(number, Outcome::Expired);
                    captured.push(queued.captured(route, Place::Within, now.wall_ns, comment));
                }
                self.finish_copy(queued.fate);
                continue;
            }
            if let Some(copy) = queued.ahead.take() {
                let at_ns = queued.passage.out_ns;
                match self.enter_downlink(at_ns, now.wall_ns, &queued, &copy) {
                    None => {
                        self.finish_copy(queued.fate);
                        continue;
                    }
                    // Whatever leaves immediately is still the first to leave.
                    Some(passage) if passage.out_ns > at_ns => {
                        self.lines[line].push(Queued { passage, ..queued });
                        continue;
                    }
                    Some(_) => {}
                }
            }
            let reply = self.reply(queued.damage, now.wall_ns);
            let fate = &mut self.waiting.get_mut(queued.fate)?.fate;
            if fate.first.is_none() {
                fate.first = Some(reply);
                fate.outcome = fate.route.outcome();
                self.counters.replied += 1;
            } else {
                fate.others.push(reply);
            }
            if let Some(captured) = &mut self.captured {
                let comment = capture::on_departure(fate);
                captured.push(queued.captured(fate.route, Place::End, now.wall_ns, comment));
            }
            self.finish_copy(queued.fate);
            return Some(queued);
        }
    }

    /// Returns until when an outage holds packets of a line that would leave at `at_ns`.
    pub(crate) fn held_until(&self, line: usize, at_ns: i64) -> Option<i64> {
        let outages = &self.outages[self.routes[line].ways()];
        outages.iter().flatten().filter_map(|outage| outage.holds_until(at_ns)).max()
    }

    /// Handles a packet that left and could not be sent.
    ///
    /// Its fate is complete by now and is not revised. If several copies of a packet fail, each
    /// counts as a packet, but never more than left.
    pub(crate) fn on_send_failed(&mut self) {
        self.sent -= 1;
        let packets = self.counters.replied.min(1);
        self.counters.replied -= packets;
        self.counters.send_failed += packets;
    }

    /// Handles a refusal of a packet that left `client`'s uplink and began with `quoted`: revises its
    /// fate, the newest that fits, if it is kept.
    pub(crate) fn on_refused(&mut self, client: SocketAddr, local: Option<Local>, quoted: &[u8]) {
        let packets = self.counters.replied.min(1);
        self.counters.replied -= packets;
        self.counters.dropped += packets;
        let fits = |fate: &&mut Fate| {
            fate.client == client
                && (fate.route, fate.outcome) == (Route::Up, Outcome::Relayed)
                && fate.answer.iter().zip(quoted).all(|(ours, theirs)| ours == theirs)
        };
        let mut recent = self.log.recent_mut(RECENT).filter_map(|event| match event {
            Event::Fate(fate) => Some(fate),
            Event::Step(_) | Event::Ended(_) | Event::Record(_) => None,
        });
        let fate = recent.find(fits);
        if let Some(captured) = &mut self.captured {
            let number = fate.as_ref().map_or(0, |fate| fate.number);
            captured.push(Captured {
                point: Route::Up.point(Place::Within),
                at_ns: None,
                remote: Some(client),
                local,
                session: 0,
                headers: Headers::default(),
                payload: quoted.into(),
                comment: capture::on_end(number, Outcome::Refused),
            });
        }
        if let Some(fate) = fate {
            fate.outcome = Outcome::Refused;
        }
    }

    /// Records the next copy to leave.
    fn reply(&mut self, damage: Damage, sent_ns: i64) -> Reply {
        self.left += 1;
        self.sent += 1;
        Reply { number: self.left, sent_ns, damage }
    }

    /// Captures a packet that came in, with the decision about it.
    fn capture_arrival(&mut self, packet: &Packet<'_>, fate: &Fate, is_dropped: bool) {
        if let Some(captured) = &mut self.captured {
            let comment = capture::on_arrival(fate, is_dropped);
            captured.push(packet.captured(fate.route, Place::Start, fate.at.wall_ns, comment));
        }
    }

    /// Decides about the downlink of a copy that left the uplink at `at_ns` and is seen at
    /// `now_ns` (wall clock).
    fn enter_downlink(
        &mut self,
        at_ns: i64,
        now_ns: i64,
        queued: &Queued,
        copy: &CopyPlan,
    ) -> Option<Passage> {
        let waiting = self.waiting.get_mut(queued.fate)?;
        let way = &mut self.clients.at(waiting.path).ways[DOWNLINK];
        let broken = self.outages[DOWNLINK].as_ref().is_some_and(|outage| outage.drops(at_ns));
        let mut flags = Flags::default();
        let passage = way.carry(at_ns, queued.payload.len(), copy, &mut flags, broken);
        self.impairments[DOWNLINK].count(flags.without(waiting.fate.downlink));
        waiting.fate.downlink.add(flags);
        if passage.is_none()
            && let Some(captured) = &mut self.captured
        {
            let Fate { route, number, .. } = waiting.fate;
            let comment = capture::on_drop(number, flags);
            captured.push(queued.captured(route, Place::Within, now_ns, comment));
        }
        passage
    }

    /// Completes the fate at `index` if this was its last copy.
    fn finish_copy(&mut self, index: usize) {
        let Some(waiting) = self.waiting.get_mut(index) else { return };
        waiting.outstanding -= 1;
        if waiting.outstanding == 0 {
            let OpenFate { fate, .. } = self.waiting.remove(index);
            self.complete(fate);
        }
    }

    fn complete(&mut self, fate: Fate) {
        self.counters.dropped += u64::from(fate.dropped());
        if self.keeps {
            self.log.push(Event::Fate(fate));
        }
    }

    /// Queues the copies of a packet, if there is room.
    fn delay(
        &mut self,
        line: usize,
        packet: &Packet<'_>,
        mut fate: Fate,
        copies: &[Option<Plan>],
        change: impl Fn(&mut [u8], [Option<u32>; 2]) -> Damage,
    ) {
        let &Packet { client: to, local: from, headers, path, session, length, .. } = packet;
        let payload = &packet.payload[..length];
        let (index, mut outstanding) = (self.waiting.vacant_key(), 0);
        let serial = self.clients.at(path).serial;
        let line = &mut self.lines[line];
        for copy in copies.iter().flatten() {
            if !line.has_room(length) {
                self.delay_line_full += 1;
                fate.outcome = Outcome::DelayLineFull;
                continue;
            }
            let mut payload: Box<[u8]> = payload.into();
            let damage = change(&mut payload, copy.flipped);
            let Plan { passage, ahead, .. } = *copy;
            let fate = index;
            line.push(Queued { to, from, headers, payload, session, fate, damage, ahead, passage });
            outstanding += 1;
        }
        self.capture_arrival(packet, &fate, outstanding == 0);
        if outstanding == 0 {
            self.complete(fate);
        } else {
            self.waiting.insert(OpenFate { fate, outstanding, path, serial });
        }
    }

    #[cfg(test)]
    pub(crate) fn clients(&self) -> usize {
        self.clients.len()
    }
}
