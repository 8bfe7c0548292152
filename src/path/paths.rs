//! The paths of all clients, and the log of their decisions.

use std::net::{IpAddr, SocketAddr};

use slab::Slab;

use crate::impair::{CopyPlan, Flags, Link};
use crate::path::clients::Clients;
use crate::path::decision::{Decision, Plan};
use crate::path::delay_line::{DelayLine, Queued};
use crate::path::fate::{Counters, Damage, Fate, LinkCounters, Outcome, Reply};
use crate::{Events, Local, Random, Stamp};

/// The settings of paths.
#[derive(Debug, Default)]
pub(crate) struct PathConfig {
    pub(crate) uplink: Link,
    pub(crate) downlink: Link,
    /// The seed of all random choices; if `None`, the system chooses.
    pub(crate) seed: Option<u64>,
    /// The capacity of the delay line in bytes.
    pub(crate) delay_line: usize,
    /// How many of the last fates to keep.
    pub(crate) keep: usize,
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
    /// The source of its replies.
    pub(crate) from: Option<Local>,
    /// The length as received.
    pub(crate) size: usize,
    pub(crate) payload: &'a mut [u8],
}

/// A fate with copies still to leave.
#[derive(Debug)]
struct OpenFate {
    fate: Fate,
    outstanding: u8,
    /// The number of its client's path.
    path: u32,
}

/// The paths of all clients.
#[derive(Debug)]
pub(crate) struct Paths {
    clients: Clients,
    counters: Counters,
    uplink: LinkCounters,
    downlink: LinkCounters,
    delay_line_full: u64,
    /// Copies that left and did not fail to send.
    sent: u64,
    /// Copies that left.
    left: u64,
    /// One per thread. All packets of a client come to one thread, so they leave in order.
    lines: Vec<DelayLine>,
    /// The fates of the packets in the lines.
    waiting: Slab<OpenFate>,
    /// Whether packets wait in a line before they enter the downlink: the uplink may reorder them,
    /// and the downlink depends on their order.
    in_series: bool,
    fates: Events<Fate>,
}

impl Paths {
    /// Creates paths for the packets of several threads, which share the capacity of the delay
    /// line. All packets of a client must come to the same thread.
    pub(crate) fn new(config: PathConfig, threads: usize) -> Self {
        let PathConfig { uplink, downlink, seed, delay_line, keep } = config;
        let seed = seed.unwrap_or_else(|| Random::new(None).below(u64::MAX));
        Self {
            in_series: uplink.takes_time() && downlink.queues(),
            clients: Clients::new(seed, uplink, downlink),
            counters: Counters::default(),
            uplink: LinkCounters::default(),
            downlink: LinkCounters::default(),
            delay_line_full: 0,
            sent: 0,
            left: 0,
            lines: (0..threads).map(|_| DelayLine::new(delay_line / threads)).collect(),
            waiting: Slab::new(),
            fates: Events::log(keep),
        }
    }

    /// Adds a client at `ip`. Returns the number of its path.
    pub(crate) fn add_client(&mut self, ip: IpAddr) -> u32 {
        self.clients.add(ip)
    }

    /// Adds a path for all clients that find no place in a full table. Returns its number.
    pub(crate) fn add_crowd(&mut self) -> u32 {
        self.clients.add_crowd()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the impairments on the uplink and on the downlink.
    pub(crate) fn impairments(&self) -> [LinkCounters; 2] {
        [self.uplink, self.downlink]
    }

    /// Returns the number of copies dropped because the delay line was full.
    pub(crate) fn delay_line_full(&self) -> u64 {
        self.delay_line_full
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

    /// Returns the log of completed fates.
    pub(crate) fn fates(&self) -> &Events<Fate> {
        &self.fates
    }

    pub(crate) fn fates_mut(&mut self) -> &mut Events<Fate> {
        &mut self.fates
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
        at: Stamp,
        client: SocketAddr,
        size: usize,
        outcome: Outcome,
        answer: impl FnOnce() -> Box<[u8]>,
    ) {
        self.counters.received += 1;
        self.counters.dropped += 1;
        if self.fates.wanted() {
            self.fates.push(Fate {
                at,
                client,
                answer: answer(),
                size,
                number: 0,
                outcome,
                uplink: Flags::default(),
                downlink: Flags::default(),
                first: None,
                others: Vec::new(),
            });
        }
    }

    /// Decides about a packet. Returns whether it leaves immediately, changed in place; delayed and
    /// duplicate copies are queued.
    ///
    /// `answer` returns the unimpaired answer to a payload, cut for the log. `change` applies flipped
    /// bits and everything else that happens to a payload.
    pub(crate) fn enter(
        &mut self,
        thread: usize,
        packet: &mut Packet<'_>,
        answer: impl FnOnce(&[u8]) -> Box<[u8]>,
        change: impl Fn(&mut [u8], [Option<u32>; 2]) -> Damage,
    ) -> bool {
        self.counters.received += 1;
        let Packet { at, path, ref payload, .. } = *packet;
        let client = self.clients.at(path);
        client.packets += 1;
        let number = client.packets;
        let decision = Decision::new(client, at.mono_ns, payload.len(), self.in_series);
        let mut fate = Fate {
            at,
            client: packet.client,
            answer: Box::default(),
            size: packet.size,
            number,
            outcome: Outcome::Lost,
            uplink: decision.uplink,
            downlink: decision.downlink,
            first: None,
            others: Vec::new(),
        };
        self.uplink.count(fate.uplink);
        self.downlink.count(fate.downlink);
        if self.fates.wanted() {
            fate.answer = answer(payload);
        }
        match decision.copies() {
            [] => {
                self.complete(fate);
                false
            }
            // A packet that leaves immediately must not overtake one that is due.
            [copy]
                if copy.ahead.is_none()
                    && copy.at_ns <= at.mono_ns
                    && self.lines[thread].next_ns().is_none_or(|ns| ns > copy.at_ns) =>
            {
                let damage = change(packet.payload, copy.flipped);
                fate.first = Some(self.reply(damage, at.wall_ns.max(packet.read_ns)));
                fate.outcome = Outcome::Replied;
                self.counters.replied += 1;
                self.complete(fate);
                true
            }
            copies => {
                self.delay(thread, packet, fate, copies, change);
                false
            }
        }
    }

    /// Returns when the thread's next packet is due.
    pub(crate) fn next_ns(&self, thread: usize) -> Option<i64> {
        self.lines[thread].next_ns()
    }

    /// Removes the thread's next packet that is due.
    pub(crate) fn depart(&mut self, thread: usize, now: Stamp) -> Option<Queued> {
        loop {
            let (due_ns, queued) = self.lines[thread].pop(now.mono_ns)?;
            if let Some(copy) = queued.ahead {
                self.enter_downlink(thread, due_ns, queued, &copy);
                continue;
            }
            let reply = self.reply(queued.damage, now.wall_ns);
            // Each packet in the line has an entry here.
            let fate = &mut self.waiting.get_mut(queued.fate)?.fate;
            if fate.first.is_none() {
                fate.first = Some(reply);
                fate.outcome = Outcome::Replied;
                self.counters.replied += 1;
            } else {
                fate.others.push(reply);
            }
            self.finish_copy(queued.fate);
            return Some(queued);
        }
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

    /// Records the next copy to leave.
    fn reply(&mut self, damage: Damage, sent_ns: i64) -> Reply {
        self.left += 1;
        self.sent += 1;
        Reply { number: self.left, sent_ns, damage }
    }

    /// Moves a copy that left the uplink at `at_ns` to the downlink.
    fn enter_downlink(&mut self, thread: usize, at_ns: i64, queued: Queued, copy: &CopyPlan) {
        let Some(waiting) = self.waiting.get_mut(queued.fate) else { return };
        let way = &mut self.clients.at(waiting.path).downlink;
        let mut flags = Flags::default();
        let leaves_ns = way.carry(at_ns, queued.payload.len(), copy, &mut flags);
        self.downlink.count(flags.without(waiting.fate.downlink));
        waiting.fate.downlink.add(flags);
        match leaves_ns {
            Some(leaves_ns) => {
                self.lines[thread].push(leaves_ns, Queued { ahead: None, ..queued });
            }
            None => self.finish_copy(queued.fate),
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
        packet: &Packet<'_>,
        mut fate: Fate,
        copies: &[Plan],
        change: impl Fn(&mut [u8], [Option<u32>; 2]) -> Damage,
    ) {
        let &Packet { client: to, from, path, ref payload, .. } = packet;
        let (index, mut outstanding) = (self.waiting.vacant_key(), 0);
        let line = &mut self.lines[thread];
        for copy in copies {
            if !line.has_room(payload.len()) {
                self.delay_line_full += 1;
                fate.outcome = Outcome::DelayLineFull;
                continue;
            }
            let mut payload: Box<[u8]> = payload[..].into();
            let damage = change(&mut payload, copy.flipped);
            let ahead = copy.ahead;
            line.push(copy.at_ns, Queued { to, from, payload, fate: index, damage, ahead });
            outstanding += 1;
        }
        if outstanding == 0 {
            self.complete(fate);
        } else {
            self.waiting.insert(OpenFate { fate, outstanding, path });
        }
    }

    #[cfg(test)]
    pub(crate) fn clients(&self) -> usize {
        self.clients.len()
    }
}
