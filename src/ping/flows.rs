//! One session spread over several source ports, since routers choose among equal-cost paths by
//! port.

use std::net::SocketAddr;

use crate::ping::{
    Config, Counters, Event, Probe, Report, Schedule, Session, Snapshot, Tally, Verdict, Ways,
};
use crate::{Arrival, Captured, Events, Icmp, Machine, Stamp, Target, Transmit};

/// A session for each flow, all on one clock; their slots take turns.
#[derive(Debug)]
pub struct Flows {
    target: Target,
    sessions: Vec<Session>,
    events: Events<(usize, Event)>,
    start: Stamp,
}

impl Flows {
    /// Spreads a session with `target` over `flows` flows that start at `start`.
    #[must_use]
    pub fn new(target: Target, config: &Config, flows: u32, start: Stamp) -> Self {
        let session =
            |flow| Session::new(Config { start: Some(start), ..share(config, flows, flow) });
        let sessions = (0..flows).map(session).collect();
        Self { target, sessions, events: Events::new(config.events), start }
    }

    /// Returns a snapshot of each flow; `ended` if the session was stopped.
    #[must_use]
    pub fn snapshots(&self, ended: bool) -> Vec<Snapshot> {
        let unresolved = self.target.unresolved().map(str::to_owned);
        let snapshot = |(flow, session): (u8, &Session)| {
            let mut snapshot = session.snapshot(flow, ended);
            snapshot.report.unresolved.clone_from(&unresolved);
            snapshot
        };
        (0..).zip(&self.sessions).map(snapshot).collect()
    }

    /// Returns when the session started.
    #[must_use]
    pub fn start(&self) -> Stamp {
        self.start
    }

    /// Returns the probes that are not decided yet, each with its flow.
    pub fn undecided(&self) -> impl Iterator<Item = (usize, Probe)> {
        let flows = self.sessions.iter().enumerate();
        flows.flat_map(|(flow, session)| session.undecided().map(move |probe| (flow, probe)))
    }

    /// Returns the target's current address.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.target.address()
    }

    /// Returns the sum of all flows' counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut total = Counters::default();
        self.sessions.iter().for_each(|session| total += &session.counters());
        total
    }

    /// Returns the numbers of all flows for a monitoring system; `ended` if the session was stopped.
    #[must_use]
    pub fn tally(&self, ended: bool) -> Tally {
        let mut total = Tally::default();
        let tallies: Vec<_> = self.sessions.iter().map(|session| session.tally(ended)).collect();
        for tally in &tallies {
            total += tally;
        }
        // All flows see the same process, so a pause counts once.
        let paused = tallies.iter().map(|tally| tally.paused_ns);
        total.paused_ns = paused.max().unwrap_or_default();
        total
    }

    /// Returns the numbers of both directions for a monitoring system; `ended` if the session was
    /// stopped.
    pub fn ways(&mut self, ended: bool) -> Ways {
        let mut total = Ways::default();
        for session in &mut self.sessions {
            total += &session.ways(ended);
        }
        total
    }

    /// Returns the sum of all flows' reports.
    #[must_use]
    pub fn total(reports: &[Report]) -> Report {
        let mut total = reports.first().cloned().unwrap_or_default();
        for report in reports.iter().skip(1) {
            total += report;
        }
        // All flows see the same clock, process and addresses, so a step, a pause or a change counts
        // once.
        let changes = reports.iter().map(|report| &report.path.troubles.changes);
        if let Some(most) = changes.max_by_key(|changes| changes.count)
            && most.count > 0
        {
            total.path.troubles.make().changes = most.clone();
        }
        let directions: Vec<_> =
            reports.iter().map(|report| report.directions.as_deref()).collect();
        if let Some(total) = &mut total.directions {
            total.merge_clocks(&directions);
        }
        total.wall_steps = reports.iter().map(|report| report.wall_steps).max().unwrap_or_default();
        let pauses = reports.iter().map(|report| &report.pauses);
        let most = pauses.max_by_key(|pauses| (pauses.count, pauses.total_ns));
        total.pauses = most.cloned().unwrap_or_default();
        total
    }
}

/// Each flow has its own socket.
impl Machine for Flows {
    type Event = (usize, Event);

    fn on_datagram(&mut self, flow: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        self.sessions[flow].on_datagram(0, arrival)
    }

    fn on_time(&mut self, flow: usize, now: Stamp, heard_ns: i64) {
        let session = &mut self.sessions[flow];
        session.on_time(0, now, heard_ns);
        while let Some(event) = session.events().pop() {
            self.events.push((flow, event));
        }
        match session.take_last_verdict() {
            Some(Verdict::Answered) => self.target.on_answer(),
            Some(_) => self.target.on_silence(),
            None => {}
        }
    }

    fn deadline(&self, flow: usize) -> Option<i64> {
        let lookup_ns = if flow == 0 { self.target.deadline() } else { None };
        self.sessions[flow].deadline(0).into_iter().chain(lookup_ns).min()
    }

    fn lookups(&mut self, now: Stamp) -> Vec<usize> {
        if self.target.is_due(now.mono_ns) { vec![0] } else { Vec::new() }
    }

    fn on_resolved(&mut self, _: usize, now: Stamp, found: Result<&[SocketAddr], &str>) {
        if self.target.on_resolved(now.mono_ns, found)
            && let Some(address) = self.target.address()
        {
            self.sessions.iter_mut().for_each(|session| session.redirect(address, now));
        }
    }

    fn transmit(&mut self, flow: usize) -> Option<Transmit<'_>> {
        self.sessions[flow].transmit(0)
    }

    fn on_blocked(&mut self, flow: usize, datagram: &[u8]) {
        self.sessions[flow].on_blocked(0, datagram);
    }

    fn on_unblocked(
        &mut self,
        flow: usize,
        now: Stamp,
        to: SocketAddr,
        datagram: &mut Vec<u8>,
    ) -> bool {
        self.sessions[flow].on_unblocked(0, now, to, datagram)
    }

    fn on_send_failed(&mut self, flow: usize, to: SocketAddr, datagram: &[u8], error: Option<i32>) {
        self.sessions[flow].on_send_failed(0, to, datagram, error);
    }

    fn on_icmp(&mut self, flow: usize, error: &Icmp<'_>) {
        self.sessions[flow].on_icmp(0, error);
    }

    fn on_departed(&mut self, flow: usize, datagram: &[u8], kernel_ns: i64) {
        self.sessions[flow].on_departed(0, datagram, kernel_ns);
    }

    fn on_receive_drops(&mut self, flow: usize, total: u64) {
        self.sessions[flow].on_receive_drops(0, total);
    }

    fn captured(&mut self, flow: usize) -> Option<&mut Vec<Captured>> {
        self.sessions[flow].captured(0)
    }

    fn is_done(&self, flow: usize) -> bool {
        self.sessions[flow].is_done(0)
    }

    fn events(&mut self) -> &mut Events<(usize, Event)> {
        &mut self.events
    }
}

/// Returns one flow's share of the probes of a session.
pub(super) fn count_of(count: u64, flows: u32, flow: u32) -> u64 {
    (count + u64::from(flows - 1 - flow)) / u64::from(flows)
}

/// Returns one flow's share of a session.
pub(super) fn share(config: &Config, flows: u32, flow: u32) -> Config {
    let (all, this) = (i64::from(flows), i64::from(flow));
    let (schedule, offset_ns) = match config.schedule {
        Schedule::StopAndWait => (config.schedule, 0),
        Schedule::Periodic { interval_ns } => (
            Schedule::Periodic { interval_ns: interval_ns.saturating_mul(all) },
            interval_ns.saturating_mul(this),
        ),
        // A sum of Poisson processes is a Poisson process.
        Schedule::Poisson { mean_ns, seed } => (
            Schedule::Poisson {
                mean_ns: mean_ns.saturating_mul(all),
                seed: seed.map(|seed| seed.wrapping_add(u64::from(flow))),
            },
            mean_ns.saturating_mul(this),
        ),
    };
    let count = config.count.map(|count| count_of(count, flows, flow));
    let keep = config.keep.map(|keep| keep.div_ceil(flows as usize));
    Config { count, schedule, offset_ns, keep, ..config.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ping::{Fill, Protocol};

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Stamp {
        Stamp { mono_ns: ms * MS, wall_ns: ms * MS }
    }

    fn config(schedule: Schedule, count: Option<u64>) -> Config {
        Config {
            target: "127.0.0.1:12000".parse().unwrap(),
            count,
            duration_ns: None,
            schedule,
            start: None,
            offset_ns: 0,
            timeout_ns: 10 * MS,
            wait_out: false,
            protocol: Protocol::Echo,
            size: 0,
            fill: Fill::default(),
            key: None,
            keep: None,
            outage_after: None,
            revisions: false,
            linger_ns: Some(0),
            events: 9,
            capture: false,
        }
    }

    fn flows(config: &Config, flows: u32, start: Stamp) -> Flows {
        Flows::new(config.target.into(), config, flows, start)
    }

    fn total(flows: &Flows) -> Report {
        let reports = flows.snapshots(false).into_iter().map(Report::from);
        Flows::total(&reports.collect::<Vec<_>>())
    }

    #[test]
    fn the_slots_of_a_grid_take_turns() {
        let every = Schedule::Periodic { interval_ns: MS };
        let mut flows = flows(&config(every, Some(8)), 3, at(5));
        let mut turns = Vec::new();
        for ms in 5..30 {
            for flow in 0..3 {
                flows.on_time(flow, at(ms), ms * MS);
                turns.extend(flows.transmit(flow).map(|_| (ms, flow)));
            }
        }
        let expected: Vec<_> = (5..13).zip([0, 1, 2].into_iter().cycle()).collect();
        assert_eq!(turns, expected);
        assert!((0..3).all(|flow| flows.is_done(flow)));
        assert_eq!(total(&flows).counters.lost, 8);
    }

    #[test]
    fn flows_of_poisson_probes_differ_and_keep_their_mean() {
        let poisson = Schedule::Poisson { mean_ns: MS, seed: Some(1) };
        let shares: Vec<_> =
            (0..2).map(|flow| share(&config(poisson, None), 2, flow).schedule).collect();
        assert_eq!(shares[0], Schedule::Poisson { mean_ns: 2 * MS, seed: Some(1) });
        assert_eq!(shares[1], Schedule::Poisson { mean_ns: 2 * MS, seed: Some(2) });
    }

    #[test]
    fn a_clock_step_seen_by_all_flows_counts_once() {
        let mut flows = flows(&config(Schedule::StopAndWait, Some(9)), 2, at(0));
        for ms in [0, 1, 2] {
            let stepped = Stamp { mono_ns: ms * MS, wall_ns: ms.min(1) * 1000 * MS };
            (0..2).for_each(|flow| flows.on_time(flow, stepped, ms * MS));
        }
        assert_eq!(total(&flows).wall_steps.count, 1);
    }

    proptest! {
        #[test]
        fn each_probe_has_one_flow(count in 1..1000_u64, flows in 1..64_u32) {
            let all = config(Schedule::StopAndWait, Some(count));
            let counts: Vec<_> =
                (0..flows).filter_map(|flow| share(&all, flows, flow).count).collect();
            prop_assert_eq!(counts.iter().sum::<u64>(), count);
            prop_assert!(counts[0] - counts[counts.len() - 1] <= 1);
        }
    }
}
