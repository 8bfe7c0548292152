//! One ping session, stop and wait: the next probe goes out when the last was answered or its time
//! is up.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::events::shown;
use crate::machine::Outgoing;
use crate::ping::{Counters, Report};
use crate::stats::Rtt;
use crate::wire::{self, Template};
use crate::{Events, Machine, Stamp};

/// How many of the last probes a reply may still belong to.
const REMEMBERED: usize = 4096;

/// What a session is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the probes go.
    pub target: SocketAddr,
    /// How many; without end where `None`.
    pub count: Option<u64>,
    /// How long a reply is waited for.
    pub timeout_ns: i64,
    /// How many decided probes are kept for a reader.
    pub events: usize,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A reply came in time.
    Answered,
    /// A reply came after the timeout.
    Late,
    /// No reply came.
    Lost,
    /// Its time is not up.
    Pending,
    /// No reply came, and the host said that nothing listens on the port.
    Refused,
    /// This host could not send it.
    SendFailed,
}

/// A probe that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was sent.
    pub sent: Stamp,
    /// What became of it.
    pub verdict: Verdict,
    /// The time to the reply, where it came in time.
    pub rtt_ns: Option<i64>,
    /// The payload of the reply, at most [`MAX_SHOWN`](crate::MAX_SHOWN) bytes of it.
    pub reply: Option<Box<[u8]>>,
}

/// A ping session as a state machine.
#[derive(Debug)]
pub struct Session {
    config: Config,
    message: Template,
    counters: Counters,
    rtt: Rtt,
    /// The last probes, in order of their numbers.
    probes: VecDeque<(Stamp, Verdict)>,
    /// The verdict that the probe now waiting gets if no reply comes.
    silence: Verdict,
    outgoing: Outgoing,
    events: Events<Probe>,
}

impl Session {
    /// A session that has sent nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            message: Template::ping(),
            counters: Counters::default(),
            rtt: Rtt::default(),
            probes: VecDeque::new(),
            silence: Verdict::Lost,
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            config,
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn report(&self) -> Report {
        Report { counters: self.counters, rtt: self.rtt }
    }

    /// The number of the probe that waits for its reply, and when its time is up.
    fn waiting(&self) -> Option<(u64, i64)> {
        let (sent, verdict) = self.probes.back()?;
        (*verdict == Verdict::Pending)
            .then(|| (self.counters.sent, sent.mono_ns.saturating_add(self.config.timeout_ns)))
    }

    /// Gives the waiting probe up where its time was up before `now`.
    fn expire(&mut self, now: Stamp) {
        if let Some((seq, deadline)) = self.waiting()
            && now.mono_ns >= deadline
        {
            self.decide(seq, self.silence, None, None);
        }
    }

    /// Decides a pending probe.
    fn decide(&mut self, seq: u64, verdict: Verdict, rtt_ns: Option<i64>, reply: Option<&[u8]>) {
        self.counters.pending -= 1;
        *self.counters.of(verdict) += 1;
        let Some(probe) = self.remembered(seq) else { return };
        probe.1 = verdict;
        let sent = probe.0;
        if self.events.wanted() {
            let reply = reply.map(shown);
            self.events.push(Probe { seq, sent, verdict, rtt_ns, reply });
        }
    }

    fn remembered(&mut self, seq: u64) -> Option<&mut (Stamp, Verdict)> {
        let age = usize::try_from(self.counters.sent.checked_sub(seq)?).ok()?;
        let place = self.probes.len().checked_sub(age + 1)?;
        self.probes.get_mut(place)
    }

    fn send(&mut self, now: Stamp) {
        if self.probes.len() == REMEMBERED {
            self.probes.pop_front();
        }
        self.probes.push_back((now, Verdict::Pending));
        self.counters.sent += 1;
        self.counters.pending += 1;
        self.silence = Verdict::Lost;
        let seq = self.counters.sent;
        self.outgoing.put(self.config.target, |out| self.message.write(seq, now.wall_ns, out));
    }
}

impl Machine for Session {
    type Event = Probe;

    fn on_datagram(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]) {
        self.expire(at);
        self.counters.received += 1;
        let waiting = self.waiting().map(|(seq, _)| seq);
        // A reply without a number can only be taken for that of the probe now waiting.
        let seq = wire::read(datagram).seq.or(waiting);
        let of_target = same_host_and_port(from, self.config.target);
        let probe = seq.filter(|_| of_target).and_then(|seq| Some((seq, *self.remembered(seq)?)));
        match probe {
            Some((seq, (sent, Verdict::Pending))) => {
                let rtt_ns = at.mono_ns - sent.mono_ns;
                self.rtt.add(rtt_ns);
                self.decide(seq, Verdict::Answered, Some(rtt_ns), Some(datagram));
            }
            Some((seq, (sent, silence @ (Verdict::Lost | Verdict::Refused)))) => {
                *self.counters.of(silence) -= 1;
                self.counters.late += 1;
                if let Some(probe) = self.remembered(seq) {
                    *probe = (sent, Verdict::Late);
                }
            }
            Some((_, (_, Verdict::Answered | Verdict::Late))) => self.counters.duplicates += 1,
            Some((_, (_, Verdict::SendFailed))) | None => self.counters.foreign += 1,
        }
    }

    fn on_refused(&mut self) {
        self.silence = Verdict::Refused;
    }

    fn on_time(&mut self, now: Stamp) {
        self.expire(now);
        if self.waiting().is_none() && !self.is_done() {
            self.send(now);
        }
    }

    fn deadline(&self) -> Option<i64> {
        // Without a probe that waits, the next one is due at once.
        Some(self.waiting().map_or(i64::MIN, |(_, deadline)| deadline))
    }

    fn transmit(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.outgoing.take()
    }

    fn on_send_failed(&mut self) {
        // Its time runs all the same: a host without a route must not send as fast as it can fail.
        self.silence = Verdict::SendFailed;
    }

    fn is_done(&self) -> bool {
        self.waiting().is_none() && self.config.count.is_some_and(|n| self.counters.sent >= n)
    }

    fn events(&mut self) -> &mut Events<Probe> {
        &mut self.events
    }
}

impl Counters {
    fn of(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Answered => &mut self.answered,
            Verdict::Late => &mut self.late,
            Verdict::Lost => &mut self.lost,
            Verdict::Pending => &mut self.pending,
            Verdict::Refused => &mut self.refused,
            Verdict::SendFailed => &mut self.send_failed,
        }
    }
}

/// Whether two addresses are of one socket; the scope and flow of an IPv6 address do not count.
fn same_host_and_port(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn target() -> SocketAddr {
        "127.0.0.1:12000".parse().unwrap()
    }

    fn session(count: u64) -> Session {
        let config =
            Config { target: target(), count: Some(count), timeout_ns: 1000 * MS, events: 9 };
        Session::new(config)
    }

    fn at(ms: i64) -> Stamp {
        Stamp { mono_ns: ms * MS, wall_ns: 1_486_420_330_837_133_000 + ms * MS }
    }

    fn sent(session: &mut Session, ms: i64) -> Option<String> {
        session.on_time(at(ms));
        session.transmit().map(|(_, datagram)| String::from_utf8(datagram.to_vec()).unwrap())
    }

    fn verdicts(session: &mut Session) -> Vec<(u64, Verdict)> {
        std::iter::from_fn(|| session.events.pop())
            .map(|probe| (probe.seq, probe.verdict))
            .collect()
    }

    #[test]
    fn the_next_probe_waits_for_the_reply_or_the_timeout() {
        let mut session = session(3);
        assert_eq!(sent(&mut session, 0).unwrap(), "Ping 1 1486420330.837133");
        assert_eq!(sent(&mut session, 1), None);
        session.on_datagram(at(2), target(), b"PING 1 1486420330.837133");
        assert_eq!(sent(&mut session, 2).unwrap(), "Ping 2 1486420330.839133");
        assert_eq!(session.deadline(), Some(1002 * MS));
        assert_eq!(sent(&mut session, 1001), None);
        assert!(sent(&mut session, 1002).unwrap().starts_with("Ping 3 "));
        session.on_datagram(at(1003), target(), b"pong");
        assert!(session.is_done() && sent(&mut session, 1003).is_none());
        let rtt = session.report().rtt;
        assert_eq!((rtt.min_ns(), rtt.max_ns()), (Some(MS), Some(2 * MS)));
        let expected = [(1, Verdict::Answered), (2, Verdict::Lost), (3, Verdict::Answered)];
        assert_eq!(verdicts(&mut session), expected);
    }

    #[test]
    fn a_late_reply_belongs_to_its_own_probe() {
        let mut session = session(2);
        sent(&mut session, 0);
        sent(&mut session, 1000);
        session.on_datagram(at(1500), target(), b"PING 1 x");
        let counters = session.report().counters;
        assert_eq!((counters.late, counters.pending, counters.answered), (1, 1, 0));
        session.on_datagram(at(1600), target(), b"PING 2 x");
        assert_eq!(session.report().rtt.max_ns(), Some(600 * MS));
        assert_eq!(session.report().counters.loss(), Some(0.5));
    }

    #[test]
    fn duplicates_and_strangers_answer_nothing() {
        let mut session = session(2);
        sent(&mut session, 0);
        session.on_datagram(at(1), target(), b"PING 1 x");
        sent(&mut session, 1);
        session.on_datagram(at(2), target(), b"PING 1 x");
        session.on_datagram(at(3), "127.0.0.1:1".parse().unwrap(), b"PING 2 x");
        session.on_datagram(at(4), target(), b"PING 7 x");
        let counters = session.report().counters;
        assert_eq!((counters.duplicates, counters.foreign, counters.pending), (1, 2, 1));
        assert_eq!(session.deadline(), Some(1001 * MS), "strangers do not lengthen the wait");
    }

    #[test]
    fn refused_and_unsent_probes_take_their_time() {
        let mut session = session(2);
        sent(&mut session, 0);
        session.on_refused();
        assert_eq!(session.deadline(), Some(1000 * MS));
        sent(&mut session, 1000);
        session.on_send_failed();
        assert_eq!(sent(&mut session, 2000), None);
        assert_eq!(verdicts(&mut session), [(1, Verdict::Refused), (2, Verdict::SendFailed)]);
        assert!(session.is_done());
    }

    #[derive(Clone, Debug)]
    enum Happens {
        Datagram { ago: u64, of_target: bool, numbered: bool },
        Refused,
        SendFailed,
        Time,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            4 => (0..6_u64, any::<bool>(), any::<bool>()).prop_map(|(ago, of_target, numbered)| {
                Happens::Datagram { ago, of_target, numbered }
            }),
            1 => Just(Happens::Refused),
            1 => Just(Happens::SendFailed),
            4 => Just(Happens::Time),
        ]
    }

    proptest! {
        #[test]
        fn numbers_add_up_at_every_moment(
            story in prop::collection::vec((0..700_i64, happens()), 0..200),
        ) {
            let mut session = session(60);
            let mut ms = 0;
            for (passed, event) in story {
                ms += passed;
                match event {
                    Happens::Datagram { ago, of_target, numbered } => {
                        let seq = session.counters.sent.saturating_sub(ago);
                        let text = if numbered { format!("PING {seq} x") } else { "pong".into() };
                        let from = if of_target { target() } else { "127.0.0.1:1".parse().unwrap() };
                        session.on_datagram(at(ms), from, text.as_bytes());
                    }
                    Happens::Refused => session.on_refused(),
                    Happens::SendFailed => session.on_send_failed(),
                    Happens::Time => session.on_time(at(ms)),
                }
                let c = session.report().counters;
                let decided = c.answered + c.late + c.lost + c.refused + c.send_failed;
                prop_assert_eq!(c.sent, decided + c.pending);
                prop_assert_eq!(c.received, c.answered + c.late + c.duplicates + c.foreign);
                prop_assert_eq!(c.answered, session.rtt.count());
                prop_assert!(c.pending <= 1);
            }
        }
    }
}
