//! One ping session: what is sent when, and what becomes of each probe.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::events::shown;
use crate::impair::Random;
use crate::machine::Outgoing;
use crate::ping::kept::Row;
use crate::ping::message::{Claim, Message, Token};
use crate::ping::schedule::Slots;
use crate::ping::{Counters, Kept, Report, Schedule};
use crate::{Events, Machine, Stamp};

/// How many of the last probes a reply may still belong to, and more where more are pending.
const REMEMBERED: usize = 16_384;

/// How many may be pending; a slot that would make it more is missed.
const MAX_PENDING: usize = 1 << 20;

/// What a session is to do.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Where the probes go.
    pub target: SocketAddr,
    /// How many; without end where `None`.
    pub count: Option<u64>,
    /// For how long; without end where `None`.
    pub duration_ns: Option<i64>,
    /// When.
    pub schedule: Schedule,
    /// When it starts; when it first runs where `None`.
    pub start: Option<Stamp>,
    /// How long after that the first slot is.
    pub offset_ns: i64,
    /// How long a reply is waited for.
    pub timeout_ns: i64,
    /// The payload of a probe in bytes; the lab's message where that is longer.
    pub size: usize,
    /// How many of the last probes are kept as columns; all where `None`.
    pub keep: Option<usize>,
    /// How many decided probes are kept for a reader.
    pub events: usize,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
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
    /// The time to the kernel's receive stamp, where the reply came in time and has one.
    pub kernel_rtt_ns: Option<i64>,
    /// The payload of the reply, at most [`MAX_SHOWN`](crate::MAX_SHOWN) bytes of it.
    pub reply: Option<Box<[u8]>>,
}

/// A ping session as a state machine.
#[derive(Debug)]
pub struct Session {
    config: Config,
    message: Message,
    /// All but what is asked of its parts when it is looked at.
    report: Report,
    slots: Option<Slots>,
    started: Option<Stamp>,
    /// Whether the last probe is sent.
    closed: bool,
    /// The last probes, in order of their numbers.
    probes: VecDeque<Sent>,
    /// Probes up to this number are decided.
    settled: u64,
    outgoing: Outgoing,
    events: Events<Probe>,
}

/// What is remembered of a probe.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Stamp,
    departed_ns: Option<i64>,
    rtt_ns: Option<i64>,
    kernel_rtt_ns: Option<i64>,
    size: u16,
    verdict: Verdict,
    /// The verdict that it gets if no reply comes.
    silence: Verdict,
}

/// Where a reply was taken to belong.
enum Judged {
    Reply(u64),
    Corrupt,
    Foreign,
}

impl Session {
    /// A session that has sent nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            message: Message::new(config.size, &mut Random::new(None)),
            report: Report { kept: Kept::new(config.keep), ..Report::default() },
            slots: None,
            started: None,
            closed: false,
            probes: VecDeque::new(),
            settled: 0,
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            config,
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.missed = self.slots.as_ref().map_or(0, Slots::missed);
        if report.kept.wanted() {
            for (seq, probe) in (self.forgotten() + 1..).zip(&self.probes) {
                report.kept.push(self.row(seq, probe));
            }
        }
        report
    }

    /// How many of each so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.report.counters
    }

    /// Takes a datagram with the kernel's receive stamp, in monotonic nanoseconds.
    pub fn on_stamped(
        &mut self,
        at: Stamp,
        kernel_ns: Option<i64>,
        from: SocketAddr,
        datagram: &[u8],
    ) {
        self.report.wall_steps.observe(at);
        // What came in time and was read late came in time.
        self.settle(kernel_ns.unwrap_or(at.mono_ns));
        self.report.counters.received += 1;
        match self.judge(from, datagram) {
            Judged::Reply(seq) => self.reply(seq, at, kernel_ns, datagram),
            Judged::Corrupt => self.report.counters.corrupt += 1,
            Judged::Foreign => self.report.counters.foreign += 1,
        }
    }

    /// Takes the kernel's stamp of the departure of a probe, in monotonic nanoseconds.
    pub fn on_departed(&mut self, seq: u64, kernel_ns: i64) {
        if let Some(probe) = self.remembered(seq)
            && probe.rtt_ns.is_none()
        {
            probe.departed_ns = Some(kernel_ns);
        }
    }

    /// Sends what is due at `now`, though more may have arrived.
    pub fn on_slot(&mut self, now: Stamp) {
        if let Some(end_ns) = self.end_ns()
            && !self.closed
            && now.mono_ns >= end_ns
        {
            self.closed = true;
            if let Some(slots) = &mut self.slots
                && slots.take(end_ns - 1).is_some()
            {
                slots.miss();
            }
        }
        if !self.closed && self.started.is_some() {
            self.send_due(now);
        }
    }

    /// Takes the news that this very datagram was refused.
    pub fn on_probe_refused(&mut self, datagram: &[u8]) {
        self.explain_silence(datagram, Verdict::Refused);
    }

    /// Takes the news that this host could not send this very datagram.
    pub fn on_probe_failed(&mut self, datagram: &[u8]) {
        self.explain_silence(datagram, Verdict::SendFailed);
    }

    fn explain_silence(&mut self, datagram: &[u8], why: Verdict) {
        if let Claim::Echo(seq) = self.message.claim(datagram)
            && let Some(probe) = self.remembered(seq)
        {
            probe.silence = why;
        }
    }

    /// Takes the number of datagrams that the receive queue has dropped so far.
    pub fn on_local_drops(&mut self, drops: u64) {
        self.report.local_drops = drops;
    }

    /// Gives up the probes whose time was up at `now`.
    pub(super) fn expire(&mut self, now: Stamp) {
        self.settle(now.mono_ns);
    }

    /// What nobody else knows and each of its probes carries.
    pub(super) fn token(&self) -> Option<Token> {
        self.message.token()
    }

    fn judge(&mut self, from: SocketAddr, datagram: &[u8]) -> Judged {
        if !same_host_and_port(from, self.config.target) {
            return Judged::Foreign;
        }
        let (seq, echo) = match self.message.claim(datagram) {
            Claim::Echo(seq) => (seq, true),
            Claim::Answer(seq) => (seq, false),
            // It can only be taken for that of the one probe that waits.
            Claim::Unnumbered if self.report.counters.pending == 1 => (self.settled + 1, false),
            Claim::Damaged => return Judged::Corrupt,
            Claim::Unnumbered | Claim::Foreign => return Judged::Foreign,
        };
        match self.remembered(seq) {
            Some(&mut Sent { at, verdict, .. }) if verdict != Verdict::SendFailed => {
                if echo && !self.message.fits(datagram, seq, at.wall_ns) {
                    return Judged::Corrupt;
                }
                Judged::Reply(seq)
            }
            _ => Judged::Foreign,
        }
    }

    fn reply(&mut self, seq: u64, at: Stamp, kernel_ns: Option<i64>, datagram: &[u8]) {
        let Some(probe) = self.remembered(seq) else { return };
        if matches!(probe.verdict, Verdict::Answered | Verdict::Late) {
            self.report.counters.duplicates += 1;
            return;
        }
        let pending = probe.verdict == Verdict::Pending;
        let rtt_ns = at.mono_ns - probe.at.mono_ns;
        // A stamp outside of the round trip is that of a clock that stepped meanwhile.
        let since_ns = |ns: i64| ns - probe.at.mono_ns;
        let departed_ns = probe.departed_ns.map(since_ns).filter(|ns| *ns >= 0).unwrap_or(0);
        let kernel_rtt_ns = kernel_ns
            .map(since_ns)
            .filter(|ns| (departed_ns..=rtt_ns).contains(ns))
            .map(|ns| ns - departed_ns);
        (probe.rtt_ns, probe.kernel_rtt_ns) = (Some(rtt_ns), kernel_rtt_ns);
        self.report.reordering.add(seq);
        if pending {
            self.report.rtt.add(rtt_ns);
            self.report.variation.add_arrived(rtt_ns);
            if let Some(kernel_rtt_ns) = kernel_rtt_ns {
                self.report.kernel_rtt.add(kernel_rtt_ns);
                self.report.overhead.add(rtt_ns - kernel_rtt_ns);
            }
            self.decide(seq, Verdict::Answered, Some(datagram));
            self.settle(i64::MIN);
        } else {
            self.revise(seq);
        }
    }

    /// Gives a pending probe its verdict.
    fn decide(&mut self, seq: u64, verdict: Verdict, reply: Option<&[u8]>) {
        let Some(probe) = self.remembered(seq) else { return };
        probe.verdict = verdict;
        let Sent { at: sent, rtt_ns, kernel_rtt_ns, .. } = *probe;
        self.report.counters.pending -= 1;
        *self.report.counters.of(verdict) += 1;
        if self.events.wanted() {
            let reply = reply.map(shown);
            self.events.push(Probe { seq, sent, verdict, rtt_ns, kernel_rtt_ns, reply });
        }
    }

    /// Turns a probe given up into one answered late.
    fn revise(&mut self, seq: u64) {
        let Some(probe) = self.remembered(seq) else { return };
        let before = std::mem::replace(&mut probe.verdict, Verdict::Late);
        *self.report.counters.of(before) -= 1;
        self.report.counters.late += 1;
    }

    /// Gives up the probes whose time was up at `now_ns`, and takes those decided into account in
    /// the order that they were sent in.
    fn settle(&mut self, now_ns: i64) {
        let timeout_ns = self.config.timeout_ns;
        while let Some(&mut Sent { at, verdict, silence, .. }) = self.remembered(self.settled + 1) {
            if verdict == Verdict::Pending {
                if now_ns < at.mono_ns.saturating_add(timeout_ns) {
                    return;
                }
                self.decide(self.settled + 1, silence, None);
            }
            self.settled += 1;
            if let Some(&mut Sent { rtt_ns, verdict, .. }) = self.remembered(self.settled) {
                let answered = verdict == Verdict::Answered;
                self.report.loss_runs.add(!answered);
                self.report.variation.add_sent(rtt_ns.filter(|_| answered));
            }
        }
    }

    /// The number of the last probe that is no longer remembered.
    fn forgotten(&self) -> u64 {
        self.report.counters.sent - self.probes.len() as u64
    }

    fn remembered(&mut self, seq: u64) -> Option<&mut Sent> {
        let place = seq.checked_sub(self.forgotten() + 1)?;
        self.probes.get_mut(usize::try_from(place).ok()?)
    }

    fn row(&self, seq: u64, probe: &Sent) -> Row {
        let started = self.started.unwrap_or(probe.at);
        Row {
            seq,
            sent_ns: started.wall_ns + (probe.at.mono_ns - started.mono_ns),
            rtt_ns: probe.rtt_ns,
            kernel_rtt_ns: probe.kernel_rtt_ns,
            verdict: probe.verdict,
            size: probe.size,
        }
    }

    /// Sends the next probe where it is due.
    fn send_due(&mut self, now: Stamp) {
        let counters = &self.report.counters;
        let slot_ns = match &mut self.slots {
            Some(slots) => match slots.take(now.mono_ns) {
                Some(_) if self.probes.len() >= MAX_PENDING => return slots.miss(),
                Some(slot_ns) => slot_ns,
                None => return,
            },
            None if counters.pending > 0 => return,
            None => now.mono_ns,
        };
        if self.slots.is_some() {
            self.report.send_error.add(now.mono_ns - slot_ns);
        }
        self.send(now);
    }

    /// Sends the next probe.
    pub(super) fn send(&mut self, now: Stamp) {
        self.started.get_or_insert(now);
        while self.probes.len() >= REMEMBERED && self.forgotten() < self.settled {
            let seq = self.forgotten() + 1;
            let Some(probe) = self.probes.front() else { break };
            let row = self.row(seq, probe);
            self.report.kept.push(row);
            self.probes.pop_front();
        }
        let seq = self.report.counters.sent + 1;
        let (message, mut size) = (&self.message, 0);
        self.outgoing.put(self.config.target, |out| {
            message.write(seq, now.wall_ns, out);
            size = u16::try_from(out.len()).unwrap_or(u16::MAX);
        });
        self.probes.push_back(Sent {
            at: now,
            departed_ns: None,
            rtt_ns: None,
            kernel_rtt_ns: None,
            size,
            verdict: Verdict::Pending,
            silence: Verdict::Lost,
        });
        self.report.counters.sent = seq;
        self.report.counters.pending += 1;
        self.closed = self.config.count.is_some_and(|count| seq >= count);
    }

    /// When the sending ends.
    fn end_ns(&self) -> Option<i64> {
        Some(self.started?.mono_ns.saturating_add(self.config.duration_ns?))
    }
}

impl Machine for Session {
    type Event = Probe;

    fn on_datagram(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]) {
        self.on_stamped(at, None, from, datagram);
    }

    fn on_refused(&mut self) {
        // The longest waiting of those not known to be refused.
        let pending = self.probes.iter_mut().filter(|probe| probe.verdict == Verdict::Pending);
        if let Some(probe) = pending.into_iter().find(|probe| probe.silence == Verdict::Lost) {
            probe.silence = Verdict::Refused;
        }
    }

    fn on_time(&mut self, now: Stamp) {
        self.report.wall_steps.observe(now);
        if self.started.is_none() {
            let start = self.config.start.unwrap_or(now);
            self.started = Some(start);
            let first_ns = start.mono_ns.saturating_add(self.config.offset_ns);
            self.slots = Slots::new(self.config.schedule, first_ns);
        }
        self.settle(now.mono_ns);
        self.on_slot(now);
    }

    fn deadline(&self) -> Option<i64> {
        let timeout_ns = usize::try_from(self.settled - self.forgotten())
            .ok()
            .and_then(|place| self.probes.get(place))
            .map(|probe| probe.at.mono_ns.saturating_add(self.config.timeout_ns));
        let slot_ns = match &self.slots {
            _ if self.closed => None,
            Some(slots) => Some(slots.next_ns()),
            // Without a probe that waits, the next one is due at once.
            None => timeout_ns.is_none().then_some(i64::MIN),
        };
        let end_ns = if self.closed { None } else { self.end_ns() };
        [timeout_ns, slot_ns, end_ns].into_iter().flatten().min()
    }

    fn transmit(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.outgoing.take()
    }

    fn on_send_failed(&mut self) {
        // Its time runs all the same: a host without a route must not send as fast as it can fail.
        if let Some(probe) = self.probes.back_mut() {
            probe.silence = Verdict::SendFailed;
        }
    }

    fn is_done(&self) -> bool {
        self.closed && self.report.counters.pending == 0
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
        Session::new(config(count))
    }

    fn config(count: u64) -> Config {
        Config {
            target: target(),
            count: Some(count),
            duration_ns: None,
            schedule: Schedule::StopAndWait,
            start: None,
            offset_ns: 0,
            timeout_ns: 1000 * MS,
            size: 0,
            keep: None,
            events: 9,
        }
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

    #[test]
    fn replies_delay_no_send_and_a_missed_slot_is_skipped() {
        let schedule = Schedule::Periodic { interval_ns: 10 * MS };
        let mut session = Session::new(Config { schedule, ..config(4) });
        assert!(sent(&mut session, 0).is_some());
        assert_eq!((sent(&mut session, 9), session.deadline()), (None, Some(10 * MS)));
        assert!(sent(&mut session, 10).unwrap().starts_with("Ping 2 "));
        assert!(sent(&mut session, 43).unwrap().starts_with("Ping 3 "));
        session.on_datagram(at(44), target(), b"PING 1 x");
        session.on_datagram(at(45), target(), b"pong");
        assert!(sent(&mut session, 50).is_some());
        assert_eq!(session.deadline(), Some(1010 * MS));
        session.on_time(at(1050));
        let report = session.report();
        assert_eq!((report.missed, report.send_error.max_ns()), (2, Some(3 * MS)));
        let Counters { answered, lost, foreign, .. } = report.counters;
        assert_eq!((answered, lost, foreign), (1, 3, 1), "a reply without a number fits two");
        assert!(session.is_done());
    }

    #[test]
    fn a_duration_ends_the_sending() {
        let schedule = Schedule::Periodic { interval_ns: 10 * MS };
        let limits = Config { schedule, duration_ns: Some(25 * MS), count: None, ..config(1) };
        let mut session = Session::new(limits);
        let numbers: Vec<_> = (0..40).filter_map(|ms| sent(&mut session, ms)).collect();
        assert_eq!(numbers.len(), 3);
        assert_eq!((session.deadline(), session.is_done()), (Some(1000 * MS), false));
        session.on_time(at(1020));
        assert!(session.is_done());
    }

    #[test]
    fn what_came_in_time_and_was_read_late_came_in_time() {
        let mut session = session(1);
        sent(&mut session, 0);
        session.on_stamped(at(1500), Some(300 * MS), target(), b"PING 1 x");
        let report = session.report();
        assert_eq!((report.counters.answered, report.counters.late), (1, 0));
        assert_eq!(report.kernel_rtt.max_ns(), Some(300 * MS));
        assert_eq!(report.overhead.max_ns(), Some(1200 * MS));
    }

    #[test]
    fn a_stamp_that_a_step_of_the_clock_spoiled_is_not_used() {
        let mut session = session(1);
        sent(&mut session, 500);
        session.on_stamped(at(600), Some(100 * MS), target(), b"PING 1 x");
        let report = session.report();
        assert_eq!((report.rtt.max_ns(), report.kernel_rtt.count()), (Some(100 * MS), 0));
    }

    #[test]
    fn a_wrong_text_is_corrupt_and_answers_nothing() {
        let mut session = Session::new(Config { size: 100, ..config(1) });
        let mut echo = sent(&mut session, 0).unwrap().into_bytes();
        echo[90] ^= 1;
        session.on_datagram(at(1), target(), &echo);
        session.on_datagram(at(1), target(), &echo[..60]);
        session.on_datagram(at(1), target(), b"PING 1 1486420330.837133");
        let counters = session.report().counters;
        assert_eq!((counters.corrupt, counters.foreign, counters.pending), (2, 1, 1));
        echo[90] ^= 1;
        session.on_datagram(at(2), target(), &echo);
        assert_eq!(session.report().counters.answered, 1);
    }

    #[test]
    fn a_refused_probe_is_known_by_its_text() {
        let schedule = Schedule::Periodic { interval_ns: MS };
        let mut session = Session::new(Config { schedule, ..config(3) });
        let texts: Vec<_> = (0..3).filter_map(|ms| sent(&mut session, ms)).collect();
        session.on_probe_refused(texts[1].as_bytes());
        session.on_time(at(2000));
        let verdicts: Vec<_> = verdicts(&mut session).into_iter().map(|(_, v)| v).collect();
        assert_eq!(verdicts, [Verdict::Lost, Verdict::Refused, Verdict::Lost]);
    }

    #[test]
    fn columns_hold_what_is_kept() {
        let mut session = Session::new(Config { keep: Some(2), ..config(3) });
        for ms in [0, 10, 20] {
            let echo = sent(&mut session, ms).unwrap();
            session.on_datagram(at(ms + 3), target(), echo.as_bytes());
        }
        let columns = session.report().kept.columns();
        assert_eq!((columns.seq, columns.rtt_ns), (vec![2, 3], vec![3 * MS, 3 * MS]));
        assert_eq!(columns.sent_ns, [at(10).wall_ns, at(20).wall_ns]);
        assert_eq!((columns.verdict, columns.size), (vec![0, 0], vec![24, 24]));
    }

    #[test]
    fn memory_is_bounded_however_long_it_runs() {
        let schedule = Schedule::Periodic { interval_ns: MS };
        let limits = Config { schedule, count: None, keep: Some(0), ..config(1) };
        let mut session = Session::new(limits);
        for ms in 0..50_000 {
            session.on_time(at(ms));
        }
        assert_eq!((session.probes.len(), session.report().counters.lost), (REMEMBERED, 49_000));
    }

    #[derive(Clone, Debug)]
    enum Happens {
        Echo { ago: u64, changed: Option<prop::sample::Index>, kernel_ms: Option<i64> },
        Datagram { text: Vec<u8>, of_target: bool },
        Numbered { ago: u64, of_target: bool },
        Refused { ago: Option<u64> },
        SendFailed,
        WallStep(i64),
        Departed { ago: u64, before_ms: i64 },
        Slot,
        Time,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        let index = prop::option::weighted(0.2, any::<prop::sample::Index>());
        prop_oneof![
            8 => (0..8_u64, index, prop::option::of(-5..700_i64)).prop_map(
                |(ago, changed, kernel_ms)| Happens::Echo { ago, changed, kernel_ms }
            ),
            2 => (prop::collection::vec(any::<u8>(), 0..40), any::<bool>())
                .prop_map(|(text, of_target)| Happens::Datagram { text, of_target }),
            2 => (0..8_u64, any::<bool>())
                .prop_map(|(ago, of_target)| Happens::Numbered { ago, of_target }),
            1 => prop::option::of(0..8_u64).prop_map(|ago| Happens::Refused { ago }),
            1 => Just(Happens::SendFailed),
            1 => (-4_000_000..4_000_000_i64).prop_map(Happens::WallStep),
            2 => (0..8_u64, -5..300_i64)
                .prop_map(|(ago, before_ms)| Happens::Departed { ago, before_ms }),
            2 => Just(Happens::Slot),
            8 => Just(Happens::Time),
        ]
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        prop_oneof![
            Just(Schedule::StopAndWait),
            (1..500_i64).prop_map(|ms| Schedule::Periodic { interval_ns: ms * MS }),
            (1..500_i64, any::<u64>())
                .prop_map(|(ms, seed)| Schedule::Poisson { mean_ns: ms * MS, seed: Some(seed) }),
        ]
    }

    proptest! {
        #[test]
        fn numbers_add_up_at_every_moment(
            schedule in schedules(),
            size in prop::sample::select(vec![0_usize, 64, 200]),
            duration_ms in prop::option::of(1..30_000_i64),
            story in prop::collection::vec((0..300_i64, happens()), 0..200),
        ) {
            let duration_ns = duration_ms.map(|ms| ms * MS);
            let mut session =
                Session::new(Config { schedule, size, duration_ns, events: 1000, ..config(60) });
            let (mut ms, mut step_ms, mut texts) = (0, 0, Vec::<Vec<u8>>::new());
            for (passed, event) in story {
                ms += passed;
                let mut now = at(ms);
                now.wall_ns += step_ms * MS;
                let back = |ago: u64| texts.len().checked_sub(usize::try_from(ago).unwrap() + 1);
                let from = |of_target| {
                    if of_target { target() } else { "127.0.0.1:1".parse().unwrap() }
                };
                match event {
                    Happens::Echo { ago, changed, kernel_ms } => {
                        let Some(place) = back(ago) else { continue };
                        let mut text = texts[place].to_ascii_uppercase();
                        if let Some(index) = changed {
                            let place = index.index(text.len());
                            text[place] ^= 0x11;
                        }
                        let kernel_ns = kernel_ms.map(|before| (ms - before) * MS);
                        session.on_stamped(now, kernel_ns, target(), &text);
                    }
                    Happens::Datagram { text, of_target } => {
                        session.on_datagram(now, from(of_target), &text);
                    }
                    Happens::Numbered { ago, of_target } => {
                        let seq = session.report.counters.sent.saturating_sub(ago);
                        let text = format!("PONG {seq}");
                        session.on_datagram(now, from(of_target), text.as_bytes());
                    }
                    Happens::Refused { ago: None } => session.on_refused(),
                    Happens::Refused { ago: Some(ago) } => {
                        let Some(place) = back(ago) else { continue };
                        session.on_probe_refused(&texts[place]);
                    }
                    Happens::SendFailed => session.on_send_failed(),
                    Happens::WallStep(by_ms) => step_ms += by_ms,
                    Happens::Departed { ago, before_ms } => {
                        let seq = session.report.counters.sent.saturating_sub(ago);
                        session.on_departed(seq, (ms - before_ms) * MS);
                    }
                    Happens::Slot => session.on_slot(now),
                    Happens::Time => session.on_time(now),
                }
                while let Some((_, datagram)) = session.transmit() {
                    texts.push(datagram.to_vec());
                }
                let report = session.report();
                let c = report.counters;
                let decided = c.answered + c.late + c.lost + c.refused + c.send_failed;
                prop_assert_eq!(c.sent, decided + c.pending);
                prop_assert_eq!(c.sent, texts.len() as u64);
                let known = c.answered + c.late + c.duplicates + c.corrupt;
                prop_assert_eq!(c.received, known + c.foreign);
                prop_assert_eq!(c.answered, report.rtt.count());
                prop_assert_eq!(report.kernel_rtt.count(), report.overhead.count());
                // Monotonic time alone makes a round trip.
                prop_assert!(report.rtt.max_ns().is_none_or(|rtt_ns| rtt_ns <= ms * MS));
                prop_assert!(report.kernel_rtt.max_ns() <= report.rtt.max_ns());
                let runs = report.loss_runs;
                prop_assert_eq!(runs.bursts.total + runs.gaps.total, session.settled);
                prop_assert!(session.settled <= c.sent - c.pending);
                let columns = report.kept.columns();
                for verdict in [Verdict::Answered, Verdict::Late, Verdict::Pending] {
                    let rows = columns.verdict.iter().filter(|v| **v == verdict as u8);
                    prop_assert_eq!(rows.map(|_| 1).sum::<u64>(), *session.report.counters.of(verdict));
                }
            }
            // Each verdict is told once; what is told is not taken back.
            let told = std::iter::from_fn(|| session.events.pop()).map(|probe| probe.seq);
            let mut told: Vec<_> = told.collect();
            let number = told.len();
            told.sort_unstable();
            told.dedup();
            prop_assert_eq!(told.len(), number);
            let counters = session.report.counters;
            prop_assert_eq!(number as u64, counters.sent - counters.pending);
        }

        #[test]
        fn a_sum_of_reports_adds_up(
            one in 0..40_u64, other in 0..40_u64, answered in any::<u64>(),
        ) {
            let run = |count: u64| {
                let mut session = session(count.max(1));
                for n in 0..count {
                    let ms = i64::try_from(n).unwrap() * 2000;
                    let echo = sent(&mut session, ms).unwrap();
                    if answered >> n & 1 == 1 {
                        session.on_datagram(at(ms + 5), target(), echo.as_bytes());
                    }
                }
                session.report()
            };
            let (one, other) = (run(one), run(other));
            let mut sum = one.clone();
            sum += &other;
            let counters = sum.counters;
            prop_assert_eq!(counters.sent, one.counters.sent + other.counters.sent);
            prop_assert_eq!(sum.rtt.count(), counters.answered);
            prop_assert_eq!(sum.kept.columns().len() as u64, counters.sent);
            prop_assert_eq!(sum.rtt.max_ns(), one.rtt.max_ns().max(other.rtt.max_ns()));
        }
    }
}
