//! The echo server's decisions and its log of them.

use std::net::SocketAddr;

use slab::Slab;

use crate::echo::clients::Clients;
use crate::echo::decision::{Decision, ReplyPlan};
use crate::echo::delay_line::{DelayLine, QueuedReply};
use crate::echo::fate::{Counters, Damage, Fate, Outcome, Reply, Truth};
use crate::echo::limiter::Limiter;
use crate::impair::{CopyPlan, Corruption, Flags, Link};
use crate::wire::MAX_DATAGRAM;
use crate::wire::shown;
use crate::{Arrival, Events, Local, Machine, Random, Stamp, Transmit};

/// The most clients with their own links.
pub const MAX_CLIENTS: usize = 1 << 14;

/// Source ports of services that answer any datagram: echo, daytime, qotd, chargen and time. Nobody
/// can be reached at port 0.
const LOOPING_PORTS: [u16; 6] = [0, 7, 13, 17, 19, 37];

/// The content of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transform {
    /// The request with its ASCII letters in upper case, as the lab's server answers.
    #[default]
    Upper,
    /// The request (RFC 862).
    Echo,
}

/// The settings of an echo server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Impairments on the way in.
    pub uplink: Link,
    /// Impairments on the way back.
    pub downlink: Link,
    /// The seed of all random choices; if `None`, the system chooses.
    pub seed: Option<u64>,
    /// The content of answers.
    pub transform: Transform,
    /// The longest payload; longer ones are cut.
    pub max_size: usize,
    /// The rate limit per source.
    pub limiter: Option<Limiter>,
    /// The capacity of the delay line in bytes.
    pub delay_line: usize,
    /// How many of the last fates to keep.
    pub keep: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            uplink: Link::default(),
            downlink: Link::default(),
            seed: None,
            transform: Transform::default(),
            max_size: MAX_DATAGRAM,
            limiter: None,
            delay_line: 64 << 20,
            keep: 0,
        }
    }
}

/// A fate with replies still to come.
#[derive(Debug)]
struct OpenFate {
    fate: Fate,
    outstanding: u8,
    /// The index of its client.
    client: u32,
}

/// The echo server as a state machine.
#[derive(Debug)]
pub struct Echo {
    config: Config,
    /// `None` if clients do not differ: no impairments and no kept fates.
    clients: Option<Clients>,
    counters: Counters,
    truth: Truth,
    /// One per thread. All packets of a client come to one thread, so its replies leave in order.
    lines: Vec<DelayLine>,
    /// The fates of the packets in the lines.
    waiting: Slab<OpenFate>,
    /// Whether packets wait in a line before they enter the downlink: the uplink may reorder them,
    /// and the downlink depends on their order.
    in_series: bool,
    /// Replies that left or failed to send.
    left: u64,
    fates: Events<Fate>,
    now: Stamp,
    /// The payload of the departing reply.
    departing: Box<[u8]>,
    /// Receive-queue drops per socket.
    receive_drops: Vec<u64>,
}

impl Echo {
    /// Creates a server for one thread.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::shared(config, 1)
    }

    /// Creates a server for several threads, which share the capacity of the delay line. All
    /// packets of a client must come to the same thread.
    #[must_use]
    pub fn shared(config: Config, threads: usize) -> Self {
        let plain = config.uplink == Link::default() && config.downlink == Link::default();
        let clients = (!plain || config.keep > 0).then(|| {
            let seed = config.seed.unwrap_or_else(|| Random::new(None).below(u64::MAX));
            Clients::new(seed, config.uplink.clone(), config.downlink.clone(), MAX_CLIENTS)
        });
        Self {
            clients,
            counters: Counters::default(),
            truth: Truth::default(),
            lines: (0..threads).map(|_| DelayLine::new(config.delay_line / threads)).collect(),
            waiting: Slab::new(),
            in_series: config.uplink.takes_time() && config.downlink.queues(),
            left: 0,
            fates: Events::log(config.keep),
            now: Stamp::default(),
            departing: Box::default(),
            receive_drops: vec![0; threads],
            config,
        }
    }

    /// Returns the packet counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the counts beyond [`counters`](Self::counters).
    #[must_use]
    pub fn truth(&self) -> Truth {
        let crowded = self.clients.as_ref().map_or(0, Clients::crowded);
        let Counters { received, replied, dropped, send_failed } = self.counters;
        let pending = received - replied - dropped - send_failed;
        let delayed = self.lines.iter().map(DelayLine::len).sum::<usize>() as u64;
        let receive_drops = self.receive_drops.iter().sum();
        Truth { pending, delayed, crowded, receive_drops, ..self.truth }
    }

    /// Returns the completed fates that are kept, oldest first.
    #[must_use]
    pub fn fates(&self) -> impl ExactSizeIterator<Item = &Fate> {
        self.fates.iter()
    }

    /// Drops a packet because an answer could start a loop.
    fn refuse(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]) {
        self.truth.unanswerable += 1;
        self.drop_unheard(at, from, datagram, Outcome::Unanswerable);
    }

    /// Decides about a packet. Returns the length of an immediate answer, written over the packet;
    /// delayed and duplicate answers are queued.
    fn decide(&mut self, thread: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        let (at, from, path) = (arrival.at(), arrival.from, (arrival.from, arrival.to));
        let (read_ns, datagram) = (arrival.read.wall_ns, &mut *arrival.datagram);
        if arrival.is_answer || LOOPING_PORTS.contains(&from.port()) {
            self.refuse(at, from, datagram);
            return None;
        }
        if let Some(limiter) = &mut self.config.limiter
            && !limiter.admits(from.ip(), at.mono_ns)
        {
            self.truth.limited += 1;
            self.drop_unheard(at, from, datagram, Outcome::Limited);
            return None;
        }
        self.counters.received += 1;
        let size = datagram.len();
        let payload = &mut datagram[..size.min(self.config.max_size)];
        let length = payload.len();
        let Some(clients) = &mut self.clients else {
            self.config.transform.apply(payload);
            self.counters.replied += 1;
            self.truth.replies += 1;
            return Some(length);
        };
        let index = clients.index_of(from);
        let client = clients.at(index);
        client.packets += 1;
        let number = client.packets;
        let decision = Decision::new(client, at.mono_ns, length, self.in_series);
        let mut fate = Fate {
            at,
            client: from,
            answer: Box::default(),
            size,
            number,
            outcome: Outcome::Lost,
            uplink: decision.uplink,
            downlink: decision.downlink,
            first: None,
            others: Vec::new(),
        };
        self.truth.uplink.count(fate.uplink);
        self.truth.downlink.count(fate.downlink);
        if self.fates.wanted() {
            fate.answer = shown(payload);
            self.config.transform.apply(&mut fate.answer);
        }
        match decision.copies() {
            [] => {
                self.complete(fate);
                None
            }
            // An immediate answer must not overtake a reply that is due.
            [copy]
                if copy.ahead.is_none()
                    && copy.at_ns <= at.mono_ns
                    && self.lines[thread].next_ns().is_none_or(|ns| ns > copy.at_ns) =>
            {
                let damage = self.config.transform.answer(payload, copy.flipped);
                let sent_ns = at.wall_ns.max(read_ns);
                fate.first = Some(self.reply(damage, sent_ns));
                fate.outcome = Outcome::Replied;
                self.counters.replied += 1;
                self.complete(fate);
                Some(length)
            }
            copies => {
                self.delay(thread, path, (fate, index), payload, copies);
                None
            }
        }
    }

    /// Removes the thread's next reply that is due.
    fn depart(&mut self, thread: usize) -> Option<QueuedReply> {
        loop {
            let (due_ns, delayed) = self.lines[thread].pop(self.now.mono_ns)?;
            if let Some(copy) = delayed.ahead {
                self.enter_downlink(thread, due_ns, delayed, &copy);
                continue;
            }
            let reply = self.reply(delayed.damage, self.now.wall_ns);
            // Each reply in the line has an entry here.
            let fate = &mut self.waiting.get_mut(delayed.fate)?.fate;
            if fate.first.is_none() {
                fate.first = Some(reply);
                fate.outcome = Outcome::Replied;
                self.counters.replied += 1;
            } else {
                fate.others.push(reply);
            }
            self.finish_copy(delayed.fate);
            return Some(delayed);
        }
    }

    /// Records the next reply to leave.
    fn reply(&mut self, damage: Damage, sent_ns: i64) -> Reply {
        self.left += 1;
        self.truth.replies += 1;
        Reply { number: self.left, sent_ns, damage }
    }

    /// Moves a copy that left the uplink at `at_ns` to the downlink.
    fn enter_downlink(&mut self, thread: usize, at_ns: i64, delayed: QueuedReply, copy: &CopyPlan) {
        let (Some(waiting), Some(clients)) =
            (self.waiting.get_mut(delayed.fate), &mut self.clients)
        else {
            return;
        };
        let link = &mut clients.at(waiting.client).downlink.link;
        let mut flags = Flags::default();
        let leaves_ns = link.carry(at_ns, delayed.payload.len(), copy, &mut flags);
        self.truth.downlink.count(flags.without(waiting.fate.downlink));
        waiting.fate.downlink.add(flags);
        match leaves_ns {
            Some(leaves_ns) => {
                self.lines[thread].push(leaves_ns, QueuedReply { ahead: None, ..delayed });
            }
            None => self.finish_copy(delayed.fate),
        }
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
        self.fates.push(fate);
    }

    /// Queues the copies of a packet, if there is room.
    fn delay(
        &mut self,
        thread: usize,
        (to, from): (SocketAddr, Option<Local>),
        (mut fate, client): (Fate, u32),
        payload: &[u8],
        copies: &[ReplyPlan],
    ) {
        let (index, mut outstanding) = (self.waiting.vacant_key(), 0);
        let line = &mut self.lines[thread];
        for copy in copies {
            if !line.has_room(payload.len()) {
                self.truth.delay_line_full += 1;
                fate.outcome = Outcome::DelayLineFull;
                continue;
            }
            let mut payload: Box<[u8]> = payload.into();
            let damage = self.config.transform.answer(&mut payload, copy.flipped);
            let ahead = copy.ahead;
            line.push(copy.at_ns, QueuedReply { to, from, payload, fate: index, damage, ahead });
            outstanding += 1;
        }
        if outstanding == 0 {
            self.complete(fate);
        } else {
            self.waiting.insert(OpenFate { fate, outstanding, client });
        }
    }

    fn drop_unheard(&mut self, at: Stamp, client: SocketAddr, datagram: &[u8], outcome: Outcome) {
        self.counters.received += 1;
        self.counters.dropped += 1;
        if self.fates.wanted() {
            let mut answer = shown(datagram);
            self.config.transform.apply(&mut answer);
            self.fates.push(Fate {
                at,
                client,
                answer,
                size: datagram.len(),
                number: 0,
                outcome,
                uplink: Flags::default(),
                downlink: Flags::default(),
                first: None,
                others: Vec::new(),
            });
        }
    }
}

impl Transform {
    fn apply(self, payload: &mut [u8]) {
        match self {
            Self::Upper => payload.make_ascii_uppercase(),
            Self::Echo => {}
        }
    }

    /// Turns a request into its answer, in place.
    fn answer(self, payload: &mut [u8], flipped: [Option<u32>; 2]) -> Damage {
        if flipped == [None, None] {
            self.apply(payload);
            return Damage::default();
        }
        let mut right = payload.to_vec();
        self.apply(&mut right);
        let [up, down] = flipped;
        up.inspect(|&bit| Corruption::flip(payload, bit));
        self.apply(payload);
        down.inspect(|&bit| Corruption::flip(payload, bit));
        Damage { flipped, corrupted: right != payload }
    }
}

impl Machine for Echo {
    type Event = Fate;

    fn on_datagram(&mut self, thread: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        self.decide(thread, arrival)
    }

    fn on_time(&mut self, _: usize, now: Stamp, _heard_ns: i64) {
        self.now = now;
    }

    fn deadline(&self, thread: usize) -> Option<i64> {
        self.lines[thread].next_ns()
    }

    fn transmit(&mut self, thread: usize) -> Option<Transmit<'_>> {
        let QueuedReply { to, from, payload, .. } = self.depart(thread)?;
        self.departing = payload;
        Some(Transmit { to, from, datagram: &self.departing })
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, _: &[u8], _: Option<i32>) {
        // The fate is complete by now and is not revised. If several replies to one packet fail,
        // each counts as a packet, but never more than were answered.
        self.truth.replies -= 1;
        let packets = self.counters.replied.min(1);
        self.counters.replied -= packets;
        self.counters.send_failed += packets;
    }

    fn on_receive_drops(&mut self, thread: usize, total: u64) {
        self.receive_drops[thread] = total;
    }

    fn events(&mut self) -> &mut Events<Fate> {
        &mut self.fates
    }
}
