//! Timelines: changes of paths at planned times or packets.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::Stamp;
use crate::impair::Link;
use crate::path::{OutageMode, Paths};

/// The most steps that wait.
pub const MAX_STEPS: usize = 1000;

/// How many of the last steps that were done are kept.
pub const MAX_DONE: usize = 1000;

/// Changes of paths, planned before they start.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// The steps, in any order.
    pub steps: Vec<Step>,
    /// The moment from which their times count, in monotonic nanoseconds.
    pub start_ns: i64,
    /// Whether steps that were done are logged among the fates.
    pub logged: bool,
}

/// A change of paths and its moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When it is done.
    pub when: When,
    /// The change.
    pub action: Action,
}

/// The moment of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So long after the start, in nanoseconds.
    Time(i64),
    /// Before the decision about the packet with this number among all that come, from 1.
    Packet(u64),
}

/// A change of paths.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Replaces the uplink, the downlink or both, of one client or, if `None`, of all that have
    /// none of their own.
    Set {
        /// The new links.
        links: Box<[Option<Link>; 2]>,
        /// The address of the client.
        client: Option<SocketAddr>,
    },
    /// Starts an outage.
    Outage {
        /// Whether it is one of the uplink and of the downlink.
        ways: [bool; 2],
        /// Its effect.
        mode: OutageMode,
        /// Its length in nanoseconds; `None` until another replaces it.
        duration_ns: Option<i64>,
    },
    /// Replaces the port at the upstream of one client or, if `None`, of all.
    Rebind {
        /// The address of the client.
        client: Option<SocketAddr>,
    },
    /// Begins the timeline again: times and packets count from here.
    Loop,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// See [`Action::Set`].
    Set,
    /// See [`Action::Outage`].
    Outage,
    /// See [`Action::Rebind`].
    Rebind,
    /// See [`Action::Loop`].
    Loop,
}

impl Kind {
    /// All of them by name.
    pub const ALL: [(&str, Self); 4] = [
        ("set", Self::Set),
        ("outage", Self::Outage),
        ("rebind", Self::Rebind),
        ("loop", Self::Loop),
    ];
}

impl Action {
    /// Returns its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Set { .. } => Kind::Set,
            Self::Outage { .. } => Kind::Outage,
            Self::Rebind { .. } => Kind::Rebind,
            Self::Loop => Kind::Loop,
        }
    }
}

/// A step that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its number among all that were done, from 1.
    pub number: u64,
    /// Its place in the timeline, from 0; steps that were added follow in order of addition.
    pub index: usize,
    /// How often the timeline had begun again.
    pub round: u64,
    /// The kind of the change.
    pub kind: Kind,
    /// The moment from which it holds.
    pub at: Stamp,
    /// The number of packets that came before.
    pub received: u64,
    /// The number of clients that it changed; `None` for an outage and a loop.
    pub clients: Option<usize>,
}

/// A step that is due.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) action: Action,
    /// The moment from which it holds.
    pub(crate) at: Stamp,
    pub(super) index: usize,
    /// The number of packets that came before.
    pub(super) received: u64,
}

/// An owner of paths that can change.
pub trait Changeable {
    /// A record of the owner among the events of the paths.
    type Record;

    /// Returns the paths, for a change.
    fn paths(&mut self) -> &mut Paths<Self::Record>;

    /// Sets a link of one client or, if `None`, of all that have none of their own. Returns the
    /// number of clients whose link it is.
    ///
    /// Packets inside keep their delay; those in the queue of a rate limit leave at the new rate,
    /// from its head.
    fn set_link(
        &mut self,
        way: usize,
        link: &Link,
        client: Option<SocketAddr>,
        now: Stamp,
    ) -> usize;

    /// Replaces the port at the upstream of one client or, if `None`, of all. Returns how many.
    fn rebind(&mut self, _client: Option<SocketAddr>) -> usize {
        0
    }

    /// Starts an outage of the uplink, of the downlink or of both, which ends at `end_ns` unless it
    /// is ended before. It replaces one that has not ended. Returns its number.
    fn start_outage(&mut self, ways: [bool; 2], mode: OutageMode, now: Stamp, end_ns: i64) -> u64 {
        self.paths().start_outage(ways, mode, now, end_ns)
    }

    /// Ends an outage, if it has not ended.
    fn end_outage(&mut self, number: u64, now: Stamp) {
        self.paths().end_outage(number, now);
    }

    /// Adds a step, which is taken now if its moment has passed. Returns its index; `None` if too
    /// many wait.
    fn add_step(&mut self, step: Step, now: Stamp) -> Option<usize> {
        let index = self.paths().add_step(step, now);
        self.take_steps(now, false);
        index
    }

    /// Makes the changes that are due at `at`; if a packet `arrives`, also those before its decision.
    fn take_steps(&mut self, at: Stamp, arrives: bool) {
        while let Some(due) = self.paths().next_step(at, arrives) {
            let clients = match &due.action {
                Action::Set { links, client } => {
                    let given = links.iter().enumerate();
                    let set = given.filter_map(|(way, link)| Some((way, link.as_ref()?)));
                    set.map(|(way, link)| self.set_link(way, link, *client, due.at)).max()
                }
                Action::Outage { ways, mode, duration_ns } => {
                    let end_ns = duration_ns.map(|ns| due.at.mono_ns.saturating_add(ns));
                    self.start_outage(*ways, *mode, due.at, end_ns.unwrap_or(i64::MAX));
                    None
                }
                Action::Rebind { client } => Some(self.rebind(*client)),
                Action::Loop => None,
            };
            self.paths().finish_step(&due, clients);
        }
    }
}

/// The steps that wait and the last ones that were done.
#[derive(Debug)]
pub(super) struct Agenda {
    steps: Vec<Step>,
    /// The moment from which the times of steps count that are added.
    start_ns: i64,
    /// The moment from which the times of this round count.
    round_ns: i64,
    /// The number of packets before this round.
    round_packet: u64,
    round: u64,
    /// The number of steps that were added.
    added: usize,
    /// Steps by time and steps by packet, each in order.
    by_time: VecDeque<(i64, usize, Action)>,
    by_packet: VecDeque<(u64, usize, Action)>,
    number: u64,
    done: VecDeque<Done>,
}

impl Agenda {
    pub(super) fn new(steps: Vec<Step>, start_ns: i64) -> Self {
        let mut agenda = Self {
            steps,
            start_ns,
            round_ns: start_ns,
            round_packet: 0,
            round: 0,
            added: 0,
            by_time: VecDeque::new(),
            by_packet: VecDeque::new(),
            number: 0,
            done: VecDeque::new(),
        };
        agenda.plan();
        agenda
    }

    /// Returns whether a step is due at `now_ns`, or before the packet number `packet`.
    pub(super) fn is_due(&self, now_ns: i64, packet: u64) -> bool {
        self.by_time.front().is_some_and(|(due_ns, ..)| *due_ns <= now_ns)
            || self.by_packet.front().is_some_and(|(due, ..)| *due <= packet)
    }

    /// Returns when the next step is due by time.
    pub(super) fn next_ns(&self) -> Option<i64> {
        self.by_time.front().map(|(due_ns, ..)| *due_ns)
    }

    /// Adds a step, which is due now if its moment has passed, after `received` packets. Returns
    /// its index; `None` if too many wait.
    pub(super) fn add(&mut self, step: Step, now_ns: i64, received: u64) -> Option<usize> {
        if self.by_time.len() + self.by_packet.len() >= MAX_STEPS {
            return None;
        }
        let index = self.steps.len() + self.added;
        self.added += 1;
        match step.when {
            When::Packet(packet) if packet > received => {
                insert(&mut self.by_packet, packet, index, step.action);
            }
            When::Packet(_) => insert(&mut self.by_time, now_ns, index, step.action),
            When::Time(ns) => {
                let due_ns = self.start_ns.saturating_add(ns).max(now_ns);
                insert(&mut self.by_time, due_ns, index, step.action);
            }
        }
        Some(index)
    }

    /// Removes the next step that is due at `at`, by time first. `received` packets came before;
    /// if another `arrives`, steps before that are due, too.
    pub(super) fn next(&mut self, at: Stamp, received: u64, arrives: bool) -> Option<Due> {
        let has_come = |due_ns: &i64| *due_ns <= at.mono_ns;
        if self.by_time.front().is_some_and(|(due_ns, ..)| has_come(due_ns)) {
            let (due_ns, index, action) = self.by_time.pop_front()?;
            let wall_ns = at.wall_ns.saturating_sub(at.mono_ns.saturating_sub(due_ns));
            return Some(Due { action, at: Stamp { mono_ns: due_ns, wall_ns }, index, received });
        }
        let packet = received + u64::from(arrives);
        if self.by_packet.front().is_some_and(|(due, ..)| *due <= packet) {
            let (_, index, action) = self.by_packet.pop_front()?;
            return Some(Due { action, at, index, received });
        }
        None
    }

    /// Begins the timeline again at a step that is done at `now`. Rounds that would have ended by
    /// then are left out.
    pub(super) fn begin_again(&mut self, due: &Due, now_ns: i64) {
        let own = self.steps.len();
        self.by_time.retain(|(_, index, _)| *index >= own);
        self.by_packet.retain(|(_, index, _)| *index >= own);
        self.round = self.round.saturating_add(1);
        self.round_packet = due.received;
        self.round_ns = due.at.mono_ns;
        if let Some(When::Time(period_ns)) = self.steps.get(due.index).map(|step| step.when) {
            let late_ns = now_ns.saturating_sub(self.round_ns).max(0);
            let period_ns = period_ns.max(1);
            let missed = late_ns / period_ns;
            self.round_ns = self.round_ns.saturating_add(missed.saturating_mul(period_ns));
            self.round = self.round.saturating_add(missed.unsigned_abs());
        }
        self.plan();
    }

    /// Records a step that was done. Returns the record.
    pub(super) fn record(&mut self, due: &Due, clients: Option<usize>) -> Done {
        self.number += 1;
        let done = Done {
            number: self.number,
            index: due.index,
            round: self.round,
            kind: due.action.kind(),
            at: due.at,
            received: due.received,
            clients,
        };
        if self.done.len() == MAX_DONE {
            self.done.pop_front();
        }
        self.done.push_back(done.clone());
        done
    }

    /// Returns the last steps that were done, oldest first.
    pub(super) fn done(&self) -> impl Iterator<Item = &Done> {
        self.done.iter()
    }

    /// Plans the steps of a round.
    fn plan(&mut self) {
        // A round takes time or has a packet, or it would begin again forever.
        for (index, Step { when, action }) in self.steps.iter().enumerate() {
            let action = action.clone();
            match when {
                When::Time(ns) => {
                    let least = i64::from(action.kind() == Kind::Loop);
                    let due_ns = self.round_ns.saturating_add(least.max(*ns));
                    insert(&mut self.by_time, due_ns, index, action);
                }
                When::Packet(packet) => {
                    let least = 1 + u64::from(action.kind() == Kind::Loop);
                    let packet = self.round_packet.saturating_add(least.max(*packet));
                    insert(&mut self.by_packet, packet, index, action);
                }
            }
        }
    }
}

/// Inserts a step behind those that are due before it or together with it.
fn insert<T: Ord>(steps: &mut VecDeque<(T, usize, Action)>, due: T, index: usize, action: Action) {
    let place = steps.partition_point(|(other, ..)| *other <= due);
    steps.insert(place, (due, index, action));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(mono_ns: i64) -> Stamp {
        Stamp { mono_ns, wall_ns: mono_ns + 7 }
    }

    fn step(when: When) -> Step {
        Step { when, action: Action::Rebind { client: None } }
    }

    fn repeat(when: When) -> Step {
        Step { when, action: Action::Loop }
    }

    /// Returns the index and the moment of each step that is due, those of a loop included.
    fn due(agenda: &mut Agenda, now_ns: i64, received: u64, arrives: bool) -> Vec<(usize, i64)> {
        let mut all = Vec::new();
        while let Some(due) = agenda.next(stamp(now_ns), received, arrives) {
            all.push((due.index, due.at.mono_ns));
            agenda.record(&due, None);
            if matches!(due.action, Action::Loop) {
                agenda.begin_again(&due, now_ns);
            }
        }
        all
    }

    #[test]
    fn steps_are_due_by_time_and_before_their_packets() {
        let steps = [When::Packet(3), When::Time(50), When::Packet(1), When::Time(20)];
        let mut agenda = Agenda::new(steps.map(step).to_vec(), 100);
        assert_eq!(agenda.next_ns(), Some(120));
        assert_eq!(due(&mut agenda, 119, 0, false), []);
        assert!(agenda.is_due(119, 1) && !agenda.is_due(119, 0));
        assert_eq!(due(&mut agenda, 130, 0, true), [(3, 120), (2, 130)]);
        assert_eq!(due(&mut agenda, 140, 1, true), []);
        assert_eq!(due(&mut agenda, 150, 2, true), [(1, 150), (0, 150)]);
        let done: Vec<_> = agenda.done().map(|done| (done.number, done.at.wall_ns)).collect();
        assert_eq!(done, [(1, 127), (2, 137), (3, 157), (4, 157)]);
        assert_eq!(agenda.next_ns(), None);
    }

    #[test]
    fn a_step_whose_moment_has_passed_is_due_now() {
        let mut agenda = Agenda::new(vec![step(When::Time(0))], 100);
        assert_eq!(due(&mut agenda, 100, 0, false), [(0, 100)]);
        let mut add = |when| agenda.add(step(when), 500, 9);
        let added =
            [When::Time(0), When::Packet(9), When::Packet(10), When::Time(401)].map(&mut add);
        assert_eq!(added, [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(due(&mut agenda, 500, 9, false), [(1, 500), (2, 500)]);
        assert_eq!(due(&mut agenda, 501, 9, true), [(4, 501), (3, 501)]);
    }

    #[test]
    fn a_loop_counts_from_its_own_moment() {
        let steps = vec![step(When::Packet(1)), step(When::Packet(2)), repeat(When::Packet(4))];
        let mut agenda = Agenda::new(steps, 0);
        let packets: Vec<Vec<_>> = (0..7)
            .map(|received| due(&mut agenda, 0, received, true).iter().map(|due| due.0).collect())
            .collect();
        // The fourth packet is the first of the next round.
        let expected: [&[usize]; 7] = [&[0], &[1], &[], &[2, 0], &[1], &[], &[2, 0]];
        assert_eq!(packets, expected);
        assert_eq!(agenda.done().last().map(|done| done.round), Some(2));
    }

    #[test]
    fn rounds_that_were_missed_are_left_out() {
        let steps = vec![step(When::Time(0)), step(When::Time(6)), repeat(When::Time(10))];
        let mut agenda = Agenda::new(steps, 100);
        assert_eq!(due(&mut agenda, 107, 0, false), [(0, 100), (1, 106)]);
        assert_eq!(due(&mut agenda, 110, 0, false), [(2, 110), (0, 110)]);
        assert_eq!(agenda.add(step(When::Time(9_999)), 111, 0), Some(3));
        // As if this process had been suspended.
        assert_eq!(due(&mut agenda, 1_017, 0, false), [(1, 116), (2, 120), (0, 1_010), (1, 1_016)]);
        assert_eq!(agenda.done().last().map(|done| done.round), Some(91));
        assert_eq!(agenda.next_ns(), Some(1_020));
    }

    #[test]
    fn a_loop_without_a_period_still_ends() {
        for when in [When::Time(0), When::Time(-5), When::Packet(0), When::Packet(1)] {
            let mut agenda = Agenda::new(vec![repeat(when)], 0);
            assert!(due(&mut agenda, 9, 0, true).len() < 9, "{when:?}");
        }
    }

    #[test]
    fn what_waits_and_what_was_done_is_bounded() {
        let mut agenda = Agenda::new(Vec::new(), 0);
        let add = |agenda: &mut Agenda| agenda.add(step(When::Packet(9)), 0, 0).is_some();
        assert_eq!((0..2000).filter(|_| add(&mut agenda)).count(), 1000);
        assert_eq!(due(&mut agenda, 0, 9, false).len(), 1000);
        assert!(add(&mut agenda));
        assert_eq!(due(&mut agenda, 0, 9, false).len(), 1);
        let numbers: Vec<_> = agenda.done().map(|done| done.number).collect();
        assert_eq!(numbers, (2..=1001).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn each_step_is_taken_once_in_order(
            times in prop::collection::vec(0..1_000_i64, 0..40),
            calls in prop::collection::vec(0..100_i64, 1..60),
        ) {
            let steps = times.iter().map(|ns| step(When::Time(*ns))).collect();
            let (mut agenda, mut now_ns, mut taken) = (Agenda::new(steps, 0), 0, Vec::new());
            for gap_ns in calls {
                now_ns += gap_ns;
                taken.extend(due(&mut agenda, now_ns, 0, false));
                prop_assert!(agenda.next_ns().is_none_or(|ns| ns > now_ns));
            }
            let mut expected: Vec<_> =
                times.into_iter().enumerate().filter(|(_, ns)| *ns <= now_ns).collect();
            expected.sort_by_key(|(_, ns)| *ns);
            prop_assert_eq!(taken, expected);
        }
    }
}
