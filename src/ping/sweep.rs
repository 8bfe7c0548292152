//! Many targets at one common rate, with a session for each.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use foldhash::HashMap;

use crate::ping::message::{Token, token_of};
use crate::ping::{Config, MIN_TOKEN_SIZE, Report, Schedule, Session};
use crate::time::NS_PER_SECOND;
use crate::{Arrival, Events, Machine, Random, Stamp, Transmit};

/// The most probes that may leave in a row once all replies are read.
const BURST: u32 = 64;

/// How long replies wait to be read together.
const GATHER: Duration = Duration::from_micros(500);

/// The most delay that is caught up with: after a longer pause of this host the schedule shifts
/// instead of sending a burst.
const MAX_BEHIND_NS: i64 = 10_000_000;

/// The settings of a sweep.
#[derive(Clone, Debug)]
pub struct SweepConfig {
    /// The destinations.
    pub targets: Vec<SocketAddr>,
    /// The number of probes to each.
    pub count: u64,
    /// The number of probes per second, over all targets.
    pub rate: f64,
    /// How long to wait for a reply.
    pub timeout_ns: i64,
    /// The payload of a probe in bytes, at least [`MIN_TOKEN_SIZE`].
    pub size: usize,
}

/// Many targets, spread over sockets, at one common rate.
#[derive(Debug)]
pub struct Sweep {
    shares: Vec<Share>,
    rate: f64,
    events: Events<()>,
}

/// The targets of one socket: a session for each, matched by token, because a host may answer from
/// another address than it was asked at.
#[derive(Debug)]
struct Share {
    targets: Vec<SocketAddr>,
    sessions: Vec<Session>,
    of_token: HashMap<Token, usize>,
    turns: Turns,
    timeout_ns: i64,
    total: u64,
    sent: u64,
    started_ns: Option<i64>,
    /// Sends in order (time, session), as long as a reply may be in time.
    waiting: VecDeque<(i64, usize)>,
    /// How many probes may leave before more replies are read.
    burst: u32,
    now: Stamp,
    foreign: u64,
}

/// The place of a socket in the schedule of all.
#[derive(Debug)]
struct Turns {
    socket: usize,
    sockets: usize,
    /// The number of targets of all sockets.
    targets: usize,
    /// Probes per second over all sockets.
    rate: f64,
}

impl Turns {
    /// Returns when the socket, which has `targets` targets, sends the probe after `sent`, from the
    /// start of the sweep.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "casts saturate"
    )]
    fn since_ns(&self, sent: u64, targets: usize) -> i64 {
        let (round, turn) = (sent / targets as u64, sent % targets as u64);
        let before = round as f64 * self.targets as f64;
        let number = before + (turn as f64 * self.sockets as f64 + self.socket as f64);
        (number / self.rate * NS_PER_SECOND as f64) as i64
    }
}

impl Sweep {
    /// Creates a sweep that has sent nothing, over `sockets` sockets that take turns.
    #[must_use]
    pub fn new(config: &SweepConfig, sockets: usize) -> Self {
        let share = |socket: usize| {
            let targets = config.targets.iter().copied().skip(socket).step_by(sockets).collect();
            let all = config.targets.len();
            let turns = Turns { socket, sockets, targets: all, rate: config.rate };
            Share::new(&SweepConfig { targets, ..config.clone() }, turns)
        };
        let shares = (0..sockets).map(share).collect();
        Self { shares, rate: config.rate, events: Events::new(0) }
    }

    /// Ends the sweep. Returns the report of each target, in their order.
    pub fn take_reports(&mut self) -> Vec<Report> {
        let mut of_socket: Vec<_> =
            self.shares.iter_mut().map(|share| share.take_reports().into_iter()).collect();
        let mut reports = Vec::new();
        for socket in (0..of_socket.len()).cycle() {
            match of_socket[socket].next() {
                Some(report) => reports.push(report),
                None => break,
            }
        }
        reports
    }

    /// Returns the number of datagrams that match no session.
    #[must_use]
    pub fn foreign(&self) -> u64 {
        self.shares.iter().map(|share| share.foreign).sum()
    }
}

impl Share {
    fn new(config: &SweepConfig, turns: Turns) -> Self {
        let session = |(&target, secret)| {
            let config = Config {
                target,
                count: Some(config.count),
                duration_ns: None,
                schedule: Schedule::StopAndWait,
                start: None,
                offset_ns: 0,
                timeout_ns: config.timeout_ns,
                size: config.size.max(MIN_TOKEN_SIZE),
                keep: None,
                events: 0,
            };
            Session::with_secret(config, secret)
        };
        let secrets = Random::secrets(config.targets.len());
        let sessions: Vec<_> = config.targets.iter().zip(secrets).map(session).collect();
        let tokens = sessions.iter().map(Session::token).zip(0..);
        Self {
            of_token: tokens.filter_map(|(token, index)| Some((token?, index))).collect(),
            total: config.count.saturating_mul(sessions.len() as u64),
            targets: config.targets.clone(),
            sessions,
            turns,
            timeout_ns: config.timeout_ns,
            sent: 0,
            started_ns: None,
            waiting: VecDeque::new(),
            burst: 0,
            now: Stamp::default(),
            foreign: 0,
        }
    }

    fn take_reports(&mut self) -> Vec<Report> {
        self.total = self.sent;
        self.waiting.clear();
        self.of_token.clear();
        std::mem::take(&mut self.sessions).into_iter().map(Session::into_report).collect()
    }

    /// Returns when the next probe is due.
    fn due_ns(&self) -> Option<i64> {
        (self.sent < self.total).then(|| {
            let since_ns = || self.turns.since_ns(self.sent, self.targets.len());
            self.started_ns.map_or(i64::MIN, |at| at.saturating_add(since_ns()))
        })
    }

    /// Returns the session whose token a datagram carries.
    fn index_of(&self, datagram: &[u8]) -> Option<usize> {
        self.of_token.get(&token_of(datagram)?).copied()
    }

    fn session_of(&mut self, probe: &[u8]) -> Option<&mut Session> {
        let index = self.index_of(probe)?;
        self.sessions.get_mut(index)
    }

    /// Sets the time; shifts the schedule if it is too far behind.
    fn come_to(&mut self, now: Stamp) {
        self.now = now;
        if let (Some(started_ns), Some(due_ns)) = (self.started_ns, self.due_ns()) {
            let behind_ns = now.mono_ns.saturating_sub(due_ns);
            self.started_ns = Some(started_ns + behind_ns.saturating_sub(MAX_BEHIND_NS).max(0));
        }
    }

    /// Expires overdue probes and drops entries that were answered.
    fn expire(&mut self, now_ns: i64) {
        while let Some((sent_ns, index)) = self.waiting.front().copied()
            && now_ns >= sent_ns.saturating_add(self.timeout_ns)
        {
            self.sessions[index].expire(now_ns);
            self.waiting.pop_front();
        }
        while let Some((_, index)) = self.waiting.front()
            && self.sessions[*index].counters().pending == 0
        {
            self.waiting.pop_front();
        }
    }
}

impl Share {
    fn on_datagram(&mut self, arrival: &mut Arrival<'_>) {
        self.come_to(arrival.read);
        // One in, one out: read replies before provoking many more.
        self.burst = (self.burst + 1).min(BURST);
        match self.index_of(arrival.datagram) {
            Some(index) => {
                arrival.from = self.targets[index];
                self.sessions[index].on_datagram(0, arrival);
            }
            None => self.foreign += 1,
        }
    }

    fn on_time(&mut self, now: Stamp, heard_ns: i64) {
        self.started_ns.get_or_insert(now.mono_ns);
        self.come_to(now);
        if heard_ns >= now.mono_ns {
            self.burst = BURST;
        }
        self.expire(heard_ns);
    }

    fn deadline(&self) -> Option<i64> {
        let timeout_ns = self.waiting.front().map(|(ns, _)| ns.saturating_add(self.timeout_ns));
        [self.due_ns(), timeout_ns].into_iter().flatten().min()
    }

    fn transmit(&mut self) -> Option<Transmit<'_>> {
        let started = self.started_ns.is_some();
        if !started || self.burst == 0 || self.due_ns().is_none_or(|ns| self.now.mono_ns < ns) {
            return None;
        }
        self.burst -= 1;
        let index = usize::try_from(self.sent % self.sessions.len() as u64).ok()?;
        self.sent += 1;
        self.waiting.push_back((self.now.mono_ns, index));
        let session = &mut self.sessions[index];
        session.send(self.now);
        session.transmit(0)
    }

    fn on_unblocked(&mut self, now: Stamp, probe: &mut Vec<u8>) -> bool {
        let Some(index) = self.index_of(probe) else { return false };
        let leaves = self.sessions[index].on_unblocked(0, now, probe);
        if leaves {
            self.waiting.push_back((now.mono_ns, index));
        }
        leaves
    }

    fn is_done(&self) -> bool {
        self.sent >= self.total && self.waiting.is_empty()
    }
}

impl Machine for Sweep {
    type Event = ();

    fn on_datagram(&mut self, socket: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        self.shares[socket].on_datagram(arrival);
        None
    }

    fn on_time(&mut self, socket: usize, now: Stamp, heard_ns: i64) {
        self.shares[socket].on_time(now, heard_ns);
    }

    fn deadline(&self, socket: usize) -> Option<i64> {
        self.shares[socket].deadline()
    }

    fn transmit(&mut self, socket: usize) -> Option<Transmit<'_>> {
        self.shares[socket].transmit()
    }

    fn on_blocked(&mut self, socket: usize, probe: &[u8]) {
        if let Some(session) = self.shares[socket].session_of(probe) {
            session.on_blocked(0, probe);
        }
    }

    fn on_unblocked(&mut self, socket: usize, now: Stamp, probe: &mut Vec<u8>) -> bool {
        self.shares[socket].on_unblocked(now, probe)
    }

    fn on_send_failed(&mut self, socket: usize, probe: &[u8], error: Option<i32>) {
        if let Some(session) = self.shares[socket].session_of(probe) {
            session.on_send_failed(0, probe, error);
        }
    }

    fn patience(&self) -> Duration {
        // Gather only if several probes are due in that time.
        if self.rate * GATHER.as_secs_f64() > 1.0 { GATHER } else { Duration::ZERO }
    }

    fn is_done(&self, socket: usize) -> bool {
        self.shares[socket].is_done()
    }

    fn events(&mut self) -> &mut Events<()> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::by_hand::{arrive, tick, transmit};

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Stamp {
        Stamp { mono_ns: ms * MS, wall_ns: 1_486_420_330_837_133_000 + ms * MS }
    }

    fn config(targets: usize, rate: f64) -> SweepConfig {
        let target = |n| SocketAddr::from(([127, 0, 1, u8::try_from(n).unwrap()], 7));
        let targets = (0..targets).map(target).collect();
        SweepConfig { targets, count: 2, rate, timeout_ns: 100 * MS, size: 0 }
    }

    fn sweep(targets: usize, rate: f64) -> Sweep {
        Sweep::new(&config(targets, rate), 1)
    }

    fn sent(sweep: &mut Sweep, ms: i64) -> Vec<(SocketAddr, Vec<u8>)> {
        tick(sweep, at(ms));
        let mut all = Vec::new();
        while let Some((to, datagram)) = transmit(sweep) {
            all.push((to, datagram.to_vec()));
        }
        all
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
        assert!(sweep.take_reports().iter().all(|report| report.counters.lost == 2));
    }

    #[test]
    fn the_due_time_saturates() {
        let mut sweep = sweep(1, 1e-12);
        assert_eq!(sent(&mut sweep, 0).len(), 1);
        assert!(sent(&mut sweep, 5).is_empty());
        assert_eq!(sweep.shares[0].due_ns(), Some(i64::MAX));
    }

    #[test]
    fn sockets_take_turns_at_one_rate() {
        let mut sweep = Sweep::new(&config(5, 1000.0), 3);
        let mut hosts = Vec::new();
        for ms in 0..12 {
            for socket in 0..3 {
                sweep.on_time(socket, at(ms), ms * MS);
                while let Some(probe) = sweep.transmit(socket) {
                    hosts.push((ms, probe.to.ip().to_string()));
                    if probe.to.ip().to_string() == "127.0.1.3" {
                        let mut echo = probe.datagram.to_vec();
                        let from = probe.to;
                        sweep.on_datagram(socket, &mut Arrival::new(at(ms), from, &mut echo));
                    }
                }
            }
        }
        let first: Vec<_> = (0..5).map(|host| (host, format!("127.0.1.{host}"))).collect();
        assert_eq!(hosts[..5], first);
        assert_eq!(hosts.len(), 10);
        let counts: Vec<_> =
            sweep.take_reports().iter().map(|report| report.counters.answered).collect();
        assert_eq!(counts, [0, 0, 0, 2, 0]);
    }

    #[test]
    fn any_number_of_targets_takes_turns_over_any_number_of_sockets() {
        for targets in [1, 2, 4, 5] {
            let mut sweep = Sweep::new(&config(targets, 1000.0), 3);
            let mut sends = Vec::new();
            for ms in 0..12 {
                for socket in 0..3 {
                    sweep.on_time(socket, at(ms), ms * MS);
                    while let Some(probe) = sweep.transmit(socket) {
                        sends.push((ms, probe.to.ip().to_string()));
                    }
                }
            }
            let turns = (0..targets).cycle().take(2 * targets);
            let expected: Vec<_> =
                (0..).zip(turns.map(|target| format!("127.0.1.{target}"))).collect();
            assert_eq!(sends, expected);
        }
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
        assert!(sweep.take_reports().iter().all(|report| report.counters.answered == 2));
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
        assert_eq!(sweep.take_reports()[0].counters.lost, 2);
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
    fn a_reply_is_matched_by_its_token_from_any_address() {
        let mut sweep = sweep(3, 1e9);
        assert_eq!(sent(&mut sweep, 0).len(), 1);
        let probes = sent(&mut sweep, 1);
        let elsewhere = "192.0.2.1:9".parse().unwrap();
        let (_, mut echo) = probes[0].clone();
        arrive(&mut sweep, at(5), elsewhere, &echo);
        arrive(&mut sweep, at(6), elsewhere, &echo);
        arrive(&mut sweep, at(6), elsewhere, b"PING 1 1486420330.837133");
        echo[62] ^= 1;
        arrive(&mut sweep, at(7), elsewhere, &echo);
        let counters: Vec<_> = sweep.take_reports().iter().map(|report| report.counters).collect();
        assert_eq!((counters[1].answered, counters[1].duplicates), (1, 1));
        assert_eq!((counters[1].corrupt, sweep.foreign()), (1, 1));
        assert_eq!(
            (counters[0].received, counters[2].received),
            (0, 0),
            "sessions are independent"
        );
    }
}
