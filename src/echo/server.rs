//! The echo server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::echo::replays::Replays;
use crate::echo::truth::Truth;
use crate::impair::{Corruption, Link};
use crate::path::{
    Changeable, Counters, Damage, Done, Event, Fate, Outcome, Packet, PathConfig, Paths, Queued,
    Roster, Route, Timeline,
};
use crate::wire::probe::{self, Claim, Direction};
use crate::wire::{Key, Keys, MAX_DATAGRAM, Shown, Unauthenticated};
use crate::{
    Arrival, Captured, Events, Headers, Limiter, Machine, Stamp, Transmit, answers_anything,
};

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
    /// The keys that authenticate probes and answers.
    pub keys: Option<Arc<Keys>>,
    /// The treatment of unauthenticated packets if there are keys.
    pub unauthenticated: Unauthenticated,
    /// The capacity of the delay line in bytes.
    pub delay_line: usize,
    /// How many of the last fates to keep.
    pub keep: usize,
    /// Changes of its paths.
    pub timeline: Timeline,
    /// Whether to capture packets at the points [`ROUND_TRIP`](crate::path::ROUND_TRIP).
    pub capture: bool,
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
            keys: None,
            unauthenticated: Unauthenticated::Refuse,
            delay_line: 64 << 20,
            keep: 0,
            timeline: Timeline::default(),
            capture: false,
        }
    }
}

/// The echo server as a state machine.
#[derive(Debug)]
pub struct Echo {
    transform: Transform,
    max_size: usize,
    limiter: Option<Limiter>,
    keys: Option<Arc<Keys>>,
    unauthenticated: Unauthenticated,
    replays: Replays,
    paths: Paths,
    /// `None` if clients do not differ: no impairments, no kept fates and no capture.
    roster: Option<Roster>,
    /// Packets that entered no path, by outcome.
    refused: [u64; Outcome::ALL.len()],
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
        let Config { uplink, downlink, seed, delay_line, keep, timeline, capture, .. } = config;
        let plain = uplink == Link::default()
            && downlink == Link::default()
            && keep == 0
            && timeline.steps.is_empty()
            && !capture;
        let per_client = Vec::new();
        let path_config =
            PathConfig { uplink, downlink, per_client, seed, delay_line, keep, timeline, capture };
        let mut paths = Paths::new(path_config, &vec![Route::Both; threads]);
        Self {
            transform: config.transform,
            max_size: config.max_size,
            limiter: config.limiter,
            keys: config.keys,
            unauthenticated: config.unauthenticated,
            replays: Replays::default(),
            roster: (!plain).then(|| Roster::new(&mut paths)),
            paths,
            refused: [0; Outcome::ALL.len()],
            now: Stamp::default(),
            departing: Box::default(),
            receive_drops: vec![0; threads],
        }
    }

    /// Returns the packet counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.paths.counters()
    }

    /// Returns the counts beyond [`counters`](Self::counters).
    #[must_use]
    pub fn truth(&self) -> Truth {
        let [uplink, downlink] = self.paths.impairments();
        let refused = |outcome: Outcome| self.refused[outcome as usize];
        Truth {
            uplink,
            downlink,
            replies: self.paths.sent(),
            pending: self.paths.pending(),
            delayed: self.paths.delayed(),
            unanswerable: refused(Outcome::Unanswerable),
            limited: refused(Outcome::Limited),
            unauthenticated: refused(Outcome::Unauthenticated),
            unknown_key: refused(Outcome::UnknownKey),
            bad_tag: refused(Outcome::BadTag),
            replayed: refused(Outcome::Replayed),
            delay_line_full: self.paths.delay_line_full(),
            crowded: self.roster.as_ref().map_or(0, Roster::crowded),
            receive_drops: self.receive_drops.iter().sum(),
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

    /// Returns the link, [`UPLINK`](crate::path::UPLINK) or [`DOWNLINK`](crate::path::DOWNLINK), of
    /// clients that have none of their own.
    #[must_use]
    pub fn link(&self, way: usize) -> &Link {
        self.paths.link(way)
    }

    /// Decides about a packet. Returns the length of an immediate answer, written over the packet;
    /// delayed and duplicate answers are queued.
    fn decide(&mut self, thread: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        let (at, from, length) =
            (arrival.at(), arrival.from, arrival.datagram.len().min(self.max_size));
        let transform = self.transform;
        if self.paths.is_step_due(at, true) {
            self.take_steps(at, true);
        }
        let admitted = self.admits(arrival).and_then(|()| match &self.keys {
            Some(keys) => {
                signature(keys, &mut self.replays, arrival.datagram, self.unauthenticated)
            }
            None => Ok(None),
        });
        let sign = |answer: &mut [u8]| {
            if let Ok(Some((key, end))) = admitted {
                probe::sign(answer, end, Direction::Reply, key);
            }
        };
        let path = match &mut self.roster {
            Some(roster) if admitted.is_ok() => roster.path_of(from, &mut self.paths),
            None if admitted.is_ok() => {
                let answer = &mut arrival.datagram[..length];
                transform.apply(answer);
                sign(answer);
                self.paths.bypass();
                return Some(length);
            }
            // It enters none.
            _ => 0,
        };
        let mut packet = Packet {
            at,
            read_ns: arrival.read.wall_ns,
            client: from,
            path,
            session: 0,
            local: arrival.to,
            received: Headers { ttl: arrival.ttl, tos: arrival.tos },
            headers: Headers::default(),
            is_reply: false,
            payload: arrival.datagram,
            length,
        };
        if let Err(outcome) = admitted {
            self.refused[outcome as usize] += 1;
            self.paths.refuse(thread, &packet, outcome, |payload| transform.shown(payload));
            return None;
        }
        let unimpaired = |payload: &[u8]| match &admitted {
            Ok(Some(_)) => {
                let mut answer = payload.to_vec();
                transform.answer(&mut answer, [None; 2], sign);
                Shown::of(&answer)
            }
            _ => transform.shown(payload),
        };
        let leaves = self.paths.enter(thread, &mut packet, unimpaired, |payload, flipped| {
            transform.answer(payload, flipped, sign)
        });
        leaves.then_some(length)
    }

    /// Returns why a packet must not enter a path, whatever its tag.
    fn admits(&mut self, arrival: &Arrival<'_>) -> Result<(), Outcome> {
        if arrival.is_answer || answers_anything(arrival.from) {
            return Err(Outcome::Unanswerable);
        }
        let limiter = self.limiter.as_mut();
        let at_ns = arrival.at().mono_ns;
        if limiter.is_some_and(|limiter| !limiter.admits(arrival.from.ip(), at_ns)) {
            return Err(Outcome::Limited);
        }
        Ok(())
    }
}

/// Returns the key of a probe and the end of its tag; `None` if it has none and that is allowed.
/// Records a probe with a right tag.
fn signature<'a>(
    keys: &'a Keys,
    replays: &mut Replays,
    probe: &[u8],
    unauthenticated: Unauthenticated,
) -> Result<Option<(&'a Key, usize)>, Outcome> {
    let Some(claim) = Claim::find(probe) else {
        return match unauthenticated {
            Unauthenticated::Refuse => Err(Outcome::Unauthenticated),
            Unauthenticated::Accept => Ok(None),
        };
    };
    let key = keys.find(claim.id).and_then(|(_, key)| key.master()).ok_or(Outcome::UnknownKey)?;
    if !probe::verifies(probe, claim.end, Direction::Probe, key) {
        return Err(Outcome::BadTag);
    }
    if replays.admit(&claim.probe) { Ok(Some((key, claim.end))) } else { Err(Outcome::Replayed) }
}

impl Transform {
    fn apply(self, payload: &mut [u8]) {
        match self {
            Self::Upper => payload.make_ascii_uppercase(),
            Self::Echo => {}
        }
    }

    /// Returns the answer to a request, cut for the log.
    fn shown(self, payload: &[u8]) -> Shown {
        let mut answer = Shown::of(payload);
        self.apply(&mut answer);
        answer
    }

    /// Turns a request into its answer, in place. The answer to a request damaged on the uplink is
    /// not signed, so that its tag is as wrong as its content.
    fn answer(
        self,
        payload: &mut [u8],
        flipped: [Option<u32>; 2],
        sign: impl Fn(&mut [u8]),
    ) -> Damage {
        if flipped == [None, None] {
            self.apply(payload);
            sign(payload);
            return Damage::default();
        }
        let mut right = payload.to_vec();
        self.apply(&mut right);
        sign(&mut right);
        let [up, down] = flipped;
        up.inspect(|&bit| Corruption::flip(payload, bit));
        self.apply(payload);
        if up.is_none() {
            sign(payload);
        }
        down.inspect(|&bit| Corruption::flip(payload, bit));
        Damage { flipped, corrupted: right != payload }
    }
}

impl Changeable for Echo {
    type Record = Infallible;

    fn paths(&mut self) -> &mut Paths {
        // Paths that change differ between clients.
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

impl Machine for Echo {
    type Event = Event;

    fn on_datagram(&mut self, thread: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        self.decide(thread, arrival)
    }

    fn on_time(&mut self, _: usize, now: Stamp, _heard_ns: i64) {
        self.now = now;
        if self.paths.is_step_due(now, false) {
            self.take_steps(now, false);
        }
    }

    fn deadline(&self, thread: usize) -> Option<i64> {
        // One thread does the steps.
        let step_ns = self.paths.step_ns().filter(|_| thread == 0);
        let now_ns = self.now.mono_ns;
        let ends = [self.paths.next_ns(thread, now_ns), self.paths.refusal_end(now_ns), step_ns];
        ends.into_iter().flatten().min()
    }

    fn refuses(&self, _: usize, now: Stamp) -> bool {
        self.paths.refuses(now.mono_ns)
    }

    fn transmit(&mut self, thread: usize) -> Option<Transmit<'_>> {
        let Queued { to, from, payload, .. } = self.paths.depart(thread, self.now)?;
        self.departing = payload;
        Some(Transmit { to, from, datagram: &self.departing })
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, _: &[u8], _: Option<i32>) {
        self.paths.on_send_failed();
    }

    fn on_receive_drops(&mut self, thread: usize, total: u64) {
        self.receive_drops[thread] = total;
    }

    fn captured(&mut self, _: usize) -> Option<&mut Vec<Captured>> {
        self.paths.captured()
    }

    fn events(&mut self) -> &mut Events<Event> {
        self.paths.log()
    }
}
