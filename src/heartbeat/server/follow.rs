//! Handling of beats from known clients: state, interval, delays.

use super::identity::newly_unsent;
use super::{GRACE_NS, OldBeats, ReceivedBeat, Server};
use crate::heartbeat::identity::{Rival, is_next};
use crate::heartbeat::peer::{RISE, STEP_NS};
use crate::heartbeat::sequence::{SendOrder, SeqClass};
use crate::heartbeat::{Cause, Change, Estimate, Gap, Sequence, State};
use crate::wire::beat::Status;
use crate::{NS_PER_SECOND, Stamp};

/// A beat this soon after one with the same number may be a copy made by the network.
pub(super) const COPY_NS: i64 = 100_000_000;
/// The same after a goodbye.
const COPY_OF_ENDED_NS: i64 = 10 * NS_PER_SECOND;

/// Longest time that a queue is assumed to hold beats.
const LONGEST_QUEUE_NS: i64 = 300 * NS_PER_SECOND;

impl Server {
    /// Handles a beat, on a fast path, if it only says that its sender goes on as declared; otherwise
    /// changes nothing. Returns whether it did.
    pub(super) fn keep_pace(&mut self, received: &ReceivedBeat<'_>) -> bool {
        let ReceivedBeat { at, from, hint, beat, difference_ns, .. } = received;
        let config = &self.config;
        let (Some(interval_ns), Some(difference_ns)) = (beat.interval_ns, *difference_ns) else {
            return false;
        };
        let (suspect_ns, _) = config.detector.timeouts_ns(&Estimate::default(), interval_ns);
        // Other timeouts depend on more than the interval.
        let is_simple = !config.detector.remembers()
            && suspect_ns > interval_ns
            && config.keys.is_none()
            && !config.reply
            && !config.every_beat
            && !beat.has_particulars();
        if !is_simple {
            return false;
        }
        let Some((record, details)) = self.table.quiet_mut(*hint, *from, beat) else {
            return false;
        };
        let claimed = details.as_ref().and_then(|details| details.claims_since_ns);
        if suspect_ns > GRACE_NS && claimed.is_none() {
            // The first claim that it may be silent for long is recorded.
            return false;
        }
        if record.keep_pace(&beat.reading, at.mono_ns, difference_ns, interval_ns).is_none() {
            return false;
        }
        if let Some(details) = details {
            details.beats = details.beats.saturating_add(1);
        }
        self.counters.received += 1;
        self.counters.beats += 1;
        let due_ns = at.mono_ns.saturating_add(suspect_ns);
        *self.table.deadline_mut(*hint as usize) = due_ns;
        self.arm(due_ns);
        true
    }

    /// Handles a beat of a known client. Returns whether it is reported as heard.
    pub(super) fn follow(&mut self, index: usize, received: &ReceivedBeat<'_>) -> bool {
        let ReceivedBeat { at, from, beat, difference_ns, .. } = received;
        let seq = beat.reading.seq;
        if beat.is_goodbye() {
            self.on_goodbye(index, received);
            return false;
        }
        let accepts_old = self.config.old_beats == OldBeats::Accept;
        let has_boot = beat.boot.is_some();
        let is_plain = self.table.is_plain(index, *from);
        if !is_plain && !has_boot && !accepts_old && self.meet_numbers(index, received) {
            return true;
        }
        let unheard = self.unheard(index, at.mono_ns);
        let returns_after_ns = self.returns_after(index, received);
        let is_elsewhere = !is_plain && self.table.address(index) != *from;
        let record = self.table.record_mut(index);
        let order = record.send_order(at.mono_ns, *difference_ns);
        let has_ended = record.state.is_said();
        let copy_ns = if has_ended { COPY_OF_ENDED_NS } else { COPY_NS };
        let is_soon = at.mono_ns.saturating_sub(record.last_received_ns) < copy_ns;
        let sequence = record.sequence;
        let steps = record.sequence.steps(seq);
        let class = record.sequence.observe(seq, order, self.config.old_beats);
        self.counters.count(class);
        if is_plain && class == SeqClass::Next && seq.is_some() {
            // Fast path: most beats are the next ones of clients without particulars.
            self.on_newest(index, received, steps);
            return true;
        }
        if class == SeqClass::Restart {
            self.begin_again(index, received, sequence);
            return true;
        }
        let is_stranger = is_elsewhere && !record.is_proven();
        let has_announced = has_ended || record.state == State::Busy;
        if seq.is_none() && order == SendOrder::Unknown && has_ended && is_soon && !accepts_old {
            // It may be a copy of a beat from before the goodbye.
            return false;
        }
        // A copy made by the network has the usual gap only to the beat before its original.
        let may_be_copy = seq.is_none() && order == SendOrder::Unknown && is_soon;
        let usual_ns = record.interval_ns().unwrap_or_default();
        let is_jump = matches!(class, SeqClass::AfterLoss { .. }) && !is_next(&sequence, seq);
        if is_jump && is_elsewhere && !has_boot && !accepts_old {
            self.keep_numbers(index, sequence, at.mono_ns);
        }
        match class {
            SeqClass::Next if may_be_copy && usual_ns > 2 * COPY_NS => {
                self.keep_alive(index, received);
            }
            SeqClass::Next | SeqClass::AfterLoss { .. } => self.on_newest(index, received, steps),
            SeqClass::Unnumbered => {
                self.count_beat(index, *at);
                self.keep_alive(index, received);
            }
            // A client may repeat its number: a later send time shows that this is not a copy.
            SeqClass::Duplicate if order == SendOrder::Later => self.on_newest(index, received, 1),
            // A client with a constant number is judged by arrivals alone.
            SeqClass::Duplicate
                if order == SendOrder::Unknown && sequence.is_constant() && !is_soon =>
            {
                self.on_newest(index, received, 1);
            }
            SeqClass::Duplicate | SeqClass::Stale if accepts_old && !is_soon => {
                self.on_newest(index, received, 1);
            }
            _ if accepts_old || order.may_be_newer() && !has_announced => {
                self.keep_alive(index, received);
            }
            _ => {}
        }
        let unsent = match class {
            SeqClass::Next | SeqClass::AfterLoss { .. } => self.unsent(index, received),
            _ => 0,
        };
        let is_old = match class {
            SeqClass::Stale | SeqClass::Late { .. } => order.may_be_newer() || is_stranger,
            SeqClass::Duplicate => order == SendOrder::Later && !is_soon && !sequence.is_constant(),
            _ => false,
        };
        if !has_boot && !accepts_old {
            if is_old {
                self.note_number(index, received);
            }
            let continues = class.continues(seq, order);
            self.note_turn(index, received, continues, returns_after_ns);
        }
        match class {
            SeqClass::AfterLoss { first, last } => {
                self.report_lost(index, *at, (first, last), unsent.saturating_add(unheard));
            }
            SeqClass::Late { seq } => {
                self.counters.late_beats += 1;
                self.report(index, *at, Change::LateBeat { seq });
            }
            _ => {}
        }
        match class {
            SeqClass::Late { .. } => false,
            SeqClass::Duplicate => accepts_old || order == SendOrder::Later,
            SeqClass::Stale => accepts_old,
            _ => true,
        }
    }

    /// Handles a beat with which the numbers begin again, those before being `sequence`.
    fn begin_again(&mut self, index: usize, received: &ReceivedBeat<'_>, sequence: Sequence) {
        let ReceivedBeat { at, beat, .. } = received;
        let before = self.snapshot_of(index, &sequence);
        if beat.boot.is_none() && self.config.old_beats == OldBeats::Ignore {
            self.keep_numbers(index, sequence, at.mono_ns);
        }
        self.update_address(index, received);
        let interval_ns = self.table.record(index).declared_ns();
        let next = Rival { interval_ns, ..Rival::new(received, Sequence::default()) };
        self.restart(index, &next, Cause::Sequence, before, *at);
        self.update_state(index, received, 0);
    }

    /// Returns how many more beats the client's own host has refused to send since the last beat.
    fn unsent(&mut self, index: usize, received: &ReceivedBeat<'_>) -> u64 {
        let told = received.beat.send_failed;
        let details = self.table.details_mut(index);
        details.map_or(0, |details| newly_unsent(&mut details.unsent, told))
    }

    /// Returns how many beats of the client were due since its last one while this host did not
    /// listen.
    fn unheard(&self, index: usize, at_ns: i64) -> u64 {
        let record = self.table.record(index);
        let (from_ns, to_ns) = self.away;
        let from_ns = from_ns.max(record.last_received_ns);
        let away_ns = to_ns.min(at_ns).saturating_sub(from_ns);
        if away_ns <= 0 {
            return 0;
        }
        let due = record.interval_ns().map_or(i64::MAX, |interval_ns| away_ns / interval_ns + 1);
        due.cast_unsigned()
    }

    /// Reports lost numbers, unless all of them are excused.
    fn report_lost(&mut self, index: usize, at: Stamp, (first, last): (u64, u64), excused: u64) {
        let missing = (last - first).saturating_add(1);
        let excused = excused.min(missing);
        self.table.record_mut(index).sequence.excuse(excused);
        if excused < missing {
            self.report(index, at, Change::Lost { first, last, excused });
        }
    }

    /// Handles a goodbye: marks the client stopped, once. It does not count as a beat.
    fn on_goodbye(&mut self, index: usize, received: &ReceivedBeat<'_>) {
        let ReceivedBeat { at, from, beat, difference_ns, .. } = received;
        if !self.is_authenticated(index) && !self.is_home(index, *from) {
            // It could be forged to silence an alarm.
            self.counters.unproven += 1;
            return;
        }
        self.counters.goodbyes += 1;
        let seq = beat.reading.seq;
        let record = self.table.record_mut(index);
        let has_ended = record.state.is_said();
        let order = record.send_order(at.mono_ns, *difference_ns);
        let is_newest = record.sequence.is_ahead(seq) || order.may_be_newer();
        if let Some(lost) = record.sequence.pass_goodbye(seq, has_ended) {
            let unsent = self.unsent(index, received);
            self.report_lost(index, *at, lost, unsent);
        }
        if !has_ended && (is_newest || self.config.old_beats == OldBeats::Accept) {
            self.keep_alive(index, received);
        }
    }

    /// Handles the newest beat, `steps` numbers after the one before.
    fn on_newest(&mut self, index: usize, received: &ReceivedBeat<'_>, steps: u64) {
        self.mark_proven(index);
        self.count_beat(index, received.at);
        let silence_ns =
            received.at.mono_ns.saturating_sub(self.table.record(index).last_received_ns);
        self.learn(index, received, steps);
        self.update_state(index, received, silence_ns);
    }

    /// Handles a sign of life that says nothing about the client's interval.
    pub(super) fn keep_alive(&mut self, index: usize, received: &ReceivedBeat<'_>) {
        let record = self.table.record_mut(index);
        let silence_ns = received.at.mono_ns.saturating_sub(record.last_received_ns);
        record.set_newest(received.at.mono_ns, received.difference_ns);
        self.mark_proven(index);
        self.update_address(index, received);
        self.update_state(index, received, silence_ns);
    }

    /// Updates the interval, the delays and the detector's estimate from the newest beat.
    fn learn(&mut self, index: usize, received: &ReceivedBeat<'_>, steps: u64) {
        let ReceivedBeat { at, difference_ns, beat, .. } = received;
        let has_learned = self.has_learned(index);
        let record = self.table.record_mut(index);
        // The gap after an announced silence says nothing about the interval, nor does the gap
        // before an announcement, which is sent out of turn. A gap after a suspicion is not a usual
        // one, but several may show that the interval has changed.
        let mut is_gap = !record.state.is_said()
            && record.state != State::Busy
            && beat.status != Some(Status::Busy);
        let is_usual = !matches!(record.state, State::Suspect | State::Down);
        let gap_ns = at.mono_ns.saturating_sub(record.last_received_ns);
        let known_ns = record.interval_ns().filter(|_| has_learned);
        let mut stepped = None;
        let mut sent_gap_ns = gap_ns;
        if let (Some(difference_ns), Some(newest_ns)) = (difference_ns, record.difference_ns()) {
            let more_ns = difference_ns.saturating_sub(newest_ns);
            sent_gap_ns = gap_ns.saturating_sub(more_ns);
            // If the beat was delayed in transit, the gap between send times is the usual one; if
            // the gap between arrivals is, the sender's clock jumped. After an announced silence,
            // neither is.
            let has_jumped = |known_ns: i64, jump_ns: i64| {
                let steps = i64::try_from(steps).unwrap_or(i64::MAX);
                let usual_ns = known_ns.saturating_mul(steps);
                let off = |gap_ns: i64| gap_ns.saturating_sub(usual_ns).saturating_abs();
                record.state == State::Busy
                    || off(sent_gap_ns) > off(gap_ns).saturating_add(jump_ns / 2)
            };
            let jump_ns = more_ns.saturating_abs();
            if sent_gap_ns.saturating_abs() <= record.rounding_ns() {
                // A clock that stands still carries no information.
                record.reset_least_difference();
                sent_gap_ns = gap_ns;
            } else if jump_ns <= STEP_NS {
                // Delays vary.
            } else if let Some(known_ns) = known_ns {
                if has_jumped(known_ns, jump_ns) {
                    // A clock that is set right undoes a jump that counted as delay.
                    let left_ns = record.delay_ns().unwrap_or_default().saturating_add(more_ns);
                    if more_ns > 0 || left_ns < (-STEP_NS).saturating_sub(jump_ns / RISE) {
                        record.step_clock(more_ns);
                    }
                    stepped = Some(more_ns.saturating_neg());
                    sent_gap_ns = gap_ns;
                }
            } else {
                is_gap = false;
            }
            record.raise_least_difference(gap_ns);
        }
        record.set_newest(at.mono_ns, *difference_ns);
        self.update_address(index, received);
        if let Some(by_ns) = stepped {
            self.report(index, *at, Change::ClockStepped { by_ns });
        }
        // A beat that comes much sooner than it was sent after the one before comes from a queue, or
        // the clock jumped: no interval is longer than the time that has passed.
        if is_gap && sent_gap_ns <= gap_ns.saturating_mul(2) {
            self.learn_gap(index, *at, (gap_ns, sent_gap_ns, steps), is_usual);
        }
    }

    /// Updates the interval and the detector's estimate from the gaps between two beats' arrivals
    /// and between their send times.
    fn learn_gap(
        &mut self,
        index: usize,
        at: Stamp,
        (gap_ns, sent_gap_ns, steps): (i64, i64, u64),
        is_usual: bool,
    ) {
        let record = self.table.record_mut(index);
        let is_first = record.interval_ns().is_none();
        let gap_or_sent_ns = if sent_gap_ns > 0 && !is_first { sent_gap_ns } else { gap_ns };
        let learns = !record.has_learned();
        let is_new = record.learn_interval(gap_or_sent_ns, steps);
        if learns && record.has_learned() {
            // Before the interval is known, clock steps cannot be detected.
            record.reset_least_difference();
        }
        let too_often = record.beats_too_often(gap_ns.max(sent_gap_ns), steps);
        let Some(interval_ns) = record.interval_ns() else { return };
        if let Some(estimate) = self.table.estimate_mut(index) {
            if is_new {
                *estimate = Estimate::default();
            } else if is_usual {
                self.config.detector.observe(estimate, Gap { ns: gap_ns, steps, interval_ns });
            }
        }
        if too_often {
            self.report(index, at, Change::TooOften { interval_ns, gap_ns });
        }
    }

    /// Applies the state that a beat declares and re-arms the deadline.
    pub(super) fn update_state(
        &mut self,
        index: usize,
        received: &ReceivedBeat<'_>,
        silence_ns: i64,
    ) {
        let beat = &received.beat;
        // Without a boot id, it could be forged.
        let is_own = beat.boot.is_some() || self.is_home(index, received.from);
        self.declare(index, beat, is_own);
        if beat.status.is_some() || beat.age_ns.is_some() || beat.failures.is_some() {
            self.table.details_or_default(index).declare(beat);
        }
        let has_learned = self.has_learned(index);
        let record = self.table.record_mut(index);
        let old = record.state;
        let new = match beat.status {
            Some(Status::Bye) => State::Stopped,
            Some(Status::Failed) => State::Failed,
            Some(Status::Busy) if is_own => State::Busy,
            Some(Status::Stalled) => State::Stalled,
            _ if !record.is_proven() => State::Unknown,
            _ if !has_learned => State::Learning,
            _ => State::Up,
        };
        let mut due_ns = self.due_ns(index, new, beat.busy_ns);
        if due_ns <= received.at.mono_ns {
            if !self.accept_clock_step(index, received) {
                if !old.is_end() {
                    // It need not keep what was declared before.
                    let latest_ns = received.at.mono_ns.saturating_add(self.timeouts_ns(index).0);
                    let deadline_ns = self.table.deadline_mut(index);
                    *deadline_ns = latest_ns.min(*deadline_ns);
                    self.arm(latest_ns);
                }
                return;
            }
            due_ns = self.due_ns(index, new, beat.busy_ns);
        }
        if let Some(details) = self.table.details_mut(index) {
            details.delayed_since_ns = None;
        }
        self.table.record_mut(index).hold(false);
        if new != old {
            self.change_state(index, received, silence_ns, (old, new));
        }
        *self.table.deadline_mut(index) = due_ns;
        self.arm(due_ns);
        let is_claim = new == State::Busy || self.table.record(index).is_declared();
        if is_claim && due_ns.saturating_sub(received.at.mono_ns) > GRACE_NS {
            let details = self.table.details_or_default(index);
            details.claims_since_ns.get_or_insert(received.at.mono_ns);
        }
    }

    /// Decides that the sender's clock was set back if delayed beats have come for longer than a
    /// queue takes to drain: twice the delay. Returns whether it did.
    fn accept_clock_step(&mut self, index: usize, received: &ReceivedBeat<'_>) -> bool {
        let at_ns = received.at.mono_ns;
        let since_ns = *self.table.details_or_default(index).delayed_since_ns.get_or_insert(at_ns);
        let record = self.table.record_mut(index);
        let delay_ns = record.delay_ns().unwrap_or_default();
        if at_ns.saturating_sub(since_ns) < delay_ns.min(LONGEST_QUEUE_NS).saturating_mul(2) {
            return false;
        }
        record.reset_least_difference();
        self.report(index, received.at, Change::ClockStepped { by_ns: delay_ns.saturating_neg() });
        true
    }

    /// Changes the state because of a beat, and reports the change.
    fn change_state(
        &mut self,
        index: usize,
        received: &ReceivedBeat<'_>,
        silence_ns: i64,
        (old, new): (State, State),
    ) {
        let ReceivedBeat { at, beat, .. } = received;
        let change = match new {
            State::Stopped => Some(Change::Stopped),
            State::Failed => Some(Change::Failed { error: beat.error.map(Into::into) }),
            State::Busy => Some(Change::Busy { for_ns: beat.busy_ns.unwrap_or_default() }),
            State::Stalled => {
                Some(Change::Stalled { age_ns: beat.age_ns, task: beat.task.map(Into::into) })
            }
            _ => match old {
                State::Unknown | State::Learning | State::Up => None,
                _ => {
                    let since_ns = self.table.details(index).map_or(0, |details| details.since_ns);
                    let for_ns = match old {
                        State::Suspect | State::Down => silence_ns,
                        _ => at.mono_ns.saturating_sub(since_ns),
                    };
                    Some(Change::Recovered { from: old, for_ns, seq: beat.reading.seq })
                }
            },
        };
        if new.is_said() || matches!(new, State::Busy | State::Stalled) {
            self.table.details_or_default(index).since_ns = at.mono_ns;
        }
        self.set_state(index, new);
        if let Some(change) = change {
            self.report(index, *at, change);
        }
    }
}
