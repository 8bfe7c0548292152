//! Judgement of silence: deadlines and verdicts, corrected for pauses of the server itself.

use super::{HERE, OldBeats, Server, ended};
use crate::heartbeat::event::MAX_LISTED;
use crate::heartbeat::peer::STEP_NS;
use crate::heartbeat::{Cause, Change, Snapshot, State};
use crate::{NS_PER_SECOND, PAUSE_NS, Stamp};

/// Minimum time between sweeps of the deadlines, and its increase per client. A sweep takes a
/// nanosecond or two per client, so that this stays at a few hundredths of a core; a million
/// clients are swept every 50 ms.
const SWEEP_NS: i64 = 10_000_000;
const SWEEP_PER_CLIENT_NS: i64 = 50;
/// Maximum time between sweeps, so that the server notices when it was paused.
const WATCH_NS: i64 = NS_PER_SECOND;
/// A mass silence needs this many silent clients, and this fraction of those alive.
const MANY: usize = 5;
const OF_ALIVE: (usize, usize) = (3, 10);

impl Server {
    /// Returns when the client becomes suspect or down if no other beat comes.
    pub(super) fn due_ns(&self, index: usize, state: State, busy_ns: Option<i64>) -> i64 {
        let (suspect_ns, down_ns) = self.timeouts_ns(index);
        let record = self.table.record(index);
        match state {
            State::Stopped | State::Failed => i64::MAX,
            State::Busy => {
                let until_ns = record.last_received_ns.saturating_add(busy_ns.unwrap_or_default());
                until_ns.saturating_add(down_ns)
            }
            _ => {
                let due_ns = record.last_received_ns.saturating_add(suspect_ns);
                due_ns.saturating_sub(self.excess_delay_ns(index, suspect_ns))
            }
        }
    }

    /// Returns the last beat's transit time beyond the suspect timeout. It counts from when the
    /// beat was due: a draining queue keeps no client alive, unless old beats are accepted.
    fn excess_delay_ns(&self, index: usize, suspect_ns: i64) -> i64 {
        match self.config.old_beats {
            OldBeats::Ignore => self.table.record(index).excess_delay_ns(suspect_ns),
            OldBeats::Accept => 0,
        }
    }

    /// Schedules a sweep no later than `deadline_ns`.
    pub(super) fn arm(&mut self, deadline_ns: i64) {
        if deadline_ns < i64::MAX {
            let sweep_ns = self.sweep_ns.unwrap_or(deadline_ns);
            self.sweep_ns = Some(sweep_ns.min(deadline_ns));
        }
    }

    /// Reports steps of this host's clock and pauses of this process. Both are judged by this host's
    /// own clock, so that a pause is one event, whatever waits to be read after it.
    pub(super) fn observe_self(&mut self, now: Stamp) {
        let offset_ns = now.wall_ns.saturating_sub(now.mono_ns);
        if let Some((_, known_ns)) = &mut self.offsets_ns {
            let by_ns = offset_ns.saturating_sub(*known_ns);
            *known_ns = offset_ns;
            if by_ns.saturating_abs() > STEP_NS {
                self.report_own(now, Change::ClockStepped { by_ns });
            }
        }
        let stopped_ns = self.ran_ns;
        self.ran_ns = now.mono_ns;
        // A sweep may be overdue because datagrams from before it wait to be read.
        let due_ns = self.sweep_ns.unwrap_or(i64::MAX).max(stopped_ns);
        if now.mono_ns > due_ns.saturating_add(PAUSE_NS) {
            let for_ns = now.mono_ns.saturating_sub(stopped_ns);
            self.report_own(now, Change::Paused { for_ns });
        }
    }

    /// Extends all deadlines by the time until `heard_ns` in which nothing can have been heard.
    pub(super) fn excuse_silence(&mut self, heard_ns: i64) {
        let stopped_ns = self.heard_ns;
        self.heard_ns = heard_ns;
        if self.sweep_ns.is_none_or(|asked_ns| heard_ns <= asked_ns.saturating_add(PAUSE_NS)) {
            return;
        }
        self.extend_away(stopped_ns, heard_ns);
        if self.missing_ns < i64::MAX {
            let for_ns = heard_ns.saturating_sub(stopped_ns);
            self.missing_ns = self.missing_ns.saturating_add(for_ns);
        }
        for index in 0..self.table.len() {
            // The pause does not count as the client's silence.
            let since_ns = self.table.record(index).last_received_ns.max(stopped_ns);
            let unwatched_ns = heard_ns.saturating_sub(since_ns);
            let deadline = self.table.deadline_mut(index);
            *deadline = deadline.saturating_add(unwatched_ns.max(0));
        }
    }

    /// Notes that this process did not run in time to read a datagram: others may not have been
    /// received.
    pub(super) fn notice_pause(&mut self, read_ns: i64) {
        let asked_ns = self.sweep_ns.unwrap_or(i64::MAX);
        if read_ns > asked_ns.saturating_add(PAUSE_NS) {
            self.extend_away(self.heard_ns, read_ns);
        }
    }

    fn extend_away(&mut self, from_ns: i64, to_ns: i64) {
        if self.away.1 < from_ns {
            self.away.0 = from_ns;
        }
        self.away.1 = self.away.1.max(to_ns);
    }

    /// Reports the expected clients that have not been heard in time.
    pub(super) fn report_missing(&mut self, now: Stamp) {
        if self.missing_ns == i64::MIN {
            self.missing_ns = now.mono_ns.saturating_add(self.config.expect_within_ns);
        }
        if now.mono_ns >= self.missing_ns {
            self.missing_ns = i64::MAX;
            for name in self.missing.clone() {
                self.push_event(HERE, Some(name), now, Snapshot::default(), Change::Missing);
            }
        }
    }

    /// Judges the clients whose deadlines have passed.
    pub(super) fn sweep(&mut self, now: Stamp) {
        let mut due = Vec::new();
        for (index, deadline_ns) in self.table.deadlines().iter().enumerate() {
            if *deadline_ns <= now.mono_ns {
                due.push((self.table.record(index).last_received_ns, index));
            }
        }
        due.sort_unstable();
        let (suspects, silent): (Vec<_>, Vec<_>) =
            due.into_iter().map(|(_, index)| index).partition(|index| self.is_first_doubt(*index));
        for index in suspects {
            self.suspect(index, now);
        }
        self.expire(&silent, now);
        let next_ns = self.table.deadlines().iter().copied().min().unwrap_or(i64::MAX);
        self.sweep_ns = (next_ns < i64::MAX).then(|| {
            let clients = i64::try_from(self.table.len()).unwrap_or(i64::MAX);
            let pause_ns = clients.saturating_mul(SWEEP_PER_CLIENT_NS).clamp(SWEEP_NS, WATCH_NS);
            let soon_ns = now.mono_ns.saturating_add(pause_ns);
            next_ns.clamp(soon_ns, now.mono_ns.saturating_add(WATCH_NS))
        });
    }

    /// Returns whether an expired deadline means suspect, not yet down.
    fn is_first_doubt(&self, index: usize) -> bool {
        let (suspect_ns, down_ns) = self.timeouts_ns(index);
        let doubted = matches!(self.table.record(index).state, State::Suspect | State::Busy);
        suspect_ns < down_ns && !doubted
    }

    fn suspect(&mut self, index: usize, now: Stamp) {
        let (suspect_ns, down_ns) = self.timeouts_ns(index);
        let deadline = self.table.deadline_mut(index);
        *deadline = deadline.saturating_add(down_ns.saturating_sub(suspect_ns));
        let silence_ns = now.mono_ns.saturating_sub(self.table.record(index).last_received_ns);
        self.set_state(index, State::Suspect);
        self.report(index, now, Change::Suspect { silence_ns });
    }

    /// Marks timed-out clients down, unless many time out together: then reports a mass silence and
    /// grants one more timeout. Clients heard only once do not count. Needs a detector that
    /// suspects first, because without suspects a mass silence is seen too late.
    fn expire(&mut self, silent: &[usize], now: Stamp) {
        let is_other = |index: &usize| {
            let record = self.table.record(*index);
            record.is_proven() && record.state != State::Suspect
        };
        let others = silent.iter().copied().filter(is_other);
        let proven = &self.counts[1];
        let many = proven[State::Suspect as usize] + others.clone().count();
        let alive = proven.iter().sum::<usize>() - ended(proven);
        let mass = self.config.detector.doubts()
            && many >= MANY
            && many * OF_ALIVE.1 >= alive * OF_ALIVE.0;
        let began = mass && !self.mass && !silent.is_empty();
        self.mass = mass && (self.mass || began);
        if began {
            let all = self.table.records().iter().enumerate();
            let suspects =
                all.filter(|(_, record)| record.is_proven() && record.state == State::Suspect);
            let indices = suspects.map(|(index, _)| index).chain(others).take(MAX_LISTED);
            let listed = indices.map(|index| self.table.address(index)).collect();
            let change = Change::MassSilence { silent: many, alive, listed };
            self.report_own(now, change);
        }
        for &index in silent {
            let (_, down_ns) = self.timeouts_ns(index);
            let record = self.table.record_mut(index);
            let held = record.is_held();
            if mass && !held && record.is_proven() {
                record.hold(true);
                if record.state != State::Suspect {
                    self.suspect(index, now);
                }
                let deadline = self.table.deadline_mut(index);
                *deadline = now.mono_ns.saturating_add(down_ns);
            } else {
                self.mark_down(index, now, held);
            }
        }
    }

    fn mark_down(&mut self, index: usize, now: Stamp, held: bool) {
        if self.has_successor(index, now) {
            return;
        }
        let (suspect_ns, _) = self.timeouts_ns(index);
        let record = self.table.record(index);
        let silence_ns = now.mono_ns.saturating_sub(record.last_received_ns);
        let cause = match record.state {
            _ if held => Cause::MassSilence,
            State::Busy => Cause::BusyOver,
            _ if self.excess_delay_ns(index, suspect_ns) > 0 => Cause::OldBeats,
            _ if self.timeout_is_short(index) => Cause::ShortTimeout,
            _ => Cause::Silence,
        };
        *self.table.deadline_mut(index) = i64::MAX;
        self.set_state(index, State::Down);
        self.report(index, now, Change::Down { cause, silence_ns });
        if cause == Cause::ShortTimeout {
            self.table.details_or_default(index).outlasts_timeout = true;
        }
    }
}
