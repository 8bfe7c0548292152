//! Several senders under one key: restarts, conflicts, forged beats, clients that move.

use std::net::SocketAddr;

use super::follow::COPY_NS;
use super::{GRACE_NS, OldBeats, ReceivedBeat, Server};
use crate::Stamp;
use crate::heartbeat::identity::{Moves, Rival, conflict, is_next, remember};
use crate::heartbeat::peer::Details;
use crate::heartbeat::sequence::{SendOrder, SeqClass};
use crate::heartbeat::{Cause, Change, Estimate, Sequence, Snapshot, State};

/// Updates the number of beats that a sender's own host refused. Returns how many are new.
pub(super) fn newly_unsent(known: &mut u64, told: Option<u64>) -> u64 {
    let told = told.unwrap_or(*known);
    told.saturating_sub(std::mem::replace(known, told))
}

/// A rival is alive for this many times its interval after its last beat.
const PATIENCE: i64 = 5;
/// Intervals of silence after which another host's boot is followed, if the detector has no
/// suspects.
const SILENT: i64 = 3;

impl Rival {
    /// Creates a sender from its first beat, which is not counted yet.
    pub(super) fn new(received: &ReceivedBeat<'_>, sequence: Sequence) -> Self {
        let ReceivedBeat { at, from, beat, difference_ns, .. } = received;
        Self {
            boot: beat.boot,
            address: *from,
            sequence,
            last_ns: at.mono_ns,
            difference_ns: *difference_ns,
            interval_ns: None,
            asked: None,
            unsent: beat.send_failed.unwrap_or_default(),
            until_ns: i64::MIN,
            beats: 0,
            lead: 0,
            opposed: 0,
            was_followed: false,
            told: false,
        }
    }
}

impl Server {
    /// Returns whether a beat is from a boot other than the one that is followed under its key.
    pub(super) fn is_other_boot(&self, index: usize, received: &ReceivedBeat<'_>) -> bool {
        let known = self.table.details(index).and_then(|details| details.boot);
        known != received.beat.boot
    }

    /// Handles a beat of another boot. Returns whether it is reported as heard.
    pub(super) fn meet_boot(&mut self, index: usize, received: &ReceivedBeat<'_>) -> bool {
        let ReceivedBeat { at, from, beat, .. } = received;
        let details = self.table.details_or_default(index);
        let is_proven = details.is_proven();
        let rivals = &mut details.rivals;
        let position = rivals.iter().position(|rival| rival.boot == beat.boot);
        let known = position.map(|position| &mut rivals[position]);
        if beat.is_goodbye() {
            // Only from its own address can a sender say goodbye.
            if let Some(rival) = known.filter(|rival| rival.address == *from) {
                (rival.beats, rival.lead, rival.until_ns) = (0, 0, i64::MIN);
                self.counters.goodbyes += 1;
            } else {
                self.counters.unproven += 1;
            }
            return false;
        }
        let accepts_old = self.config.old_beats == OldBeats::Accept;
        if beat.boot.is_none() && is_proven && !accepts_old {
            self.counters.unproven += 1;
            return false;
        }
        let class = known.map_or(SeqClass::Next, |rival| {
            let is_soon = at.mono_ns.saturating_sub(rival.last_ns) < COPY_NS;
            let mut sequence = rival.sequence;
            let seq = sequence.believe(&beat.reading);
            match sequence.observe(seq, SendOrder::Unknown, OldBeats::Ignore) {
                SeqClass::Next if seq.is_none() && is_soon => SeqClass::Duplicate,
                // A boot does not begin again.
                SeqClass::Restart => SeqClass::Stale,
                class => {
                    if let SeqClass::AfterLoss { first, last } = class {
                        let unsent = newly_unsent(&mut rival.unsent, beat.send_failed);
                        sequence.excuse(unsent.min(last - first + 1));
                    }
                    rival.sequence = sequence;
                    class
                }
            }
        });
        self.counters.count(class);
        if !matches!(class, SeqClass::Duplicate | SeqClass::Stale) {
            let position = position
                .unwrap_or_else(|| self.add_rival(index, received, Sequence::of(&beat.reading)));
            self.challenge(index, position, received);
            return true;
        }
        if accepts_old {
            self.keep_alive(index, received);
        }
        accepts_old
    }

    /// Handles a beat whose number continues those of another sender, not those of the followed
    /// one. Returns whether it does.
    pub(super) fn meet_numbers(&mut self, index: usize, received: &ReceivedBeat<'_>) -> bool {
        let ReceivedBeat { at, beat, .. } = received;
        let seq = beat.reading.seq;
        let follows = is_next(&self.table.record(index).sequence, seq);
        let Some(details) = self.table.details_mut(index) else { return false };
        let is_other = |rival: &Rival| {
            let is_known = rival.told || rival.was_followed && at.mono_ns < rival.until_ns;
            is_known && rival.boot == details.boot && is_next(&rival.sequence, seq)
        };
        let Some(position) = details.rivals.iter().position(is_other).filter(|_| !follows) else {
            return false;
        };
        let sequence = &mut details.rivals[position].sequence;
        sequence.observe(seq, SendOrder::Unknown, OldBeats::Ignore);
        self.counters.beats += 1;
        self.challenge(index, position, received);
        true
    }

    /// Notes an old number in a beat that is not old, or from an address other than that of a client
    /// heard once: if such numbers count up, they are those of a second sender.
    pub(super) fn note_number(&mut self, index: usize, received: &ReceivedBeat<'_>) {
        let seq = received.beat.reading.seq;
        let details = self.table.details_or_default(index);
        let is_noted = |rival: &Rival| rival.boot == details.boot && !rival.was_followed;
        let position = if let Some(position) = details.rivals.iter().position(is_noted) {
            let rival = &mut details.rivals[position];
            if rival.sequence.ahead(seq) == Some(1) {
                rival.sequence.observe(seq, SendOrder::Unknown, OldBeats::Ignore);
            } else if rival.told {
                return;
            } else {
                (rival.sequence, rival.beats, rival.opposed) = (Sequence::new(seq), 0, 0);
            }
            position
        } else {
            self.add_rival(index, received, Sequence::new(seq))
        };
        if self.table.record(index).is_proven() {
            self.hear_rival(index, position, received);
            self.tell_conflict(index, received.at);
        } else {
            self.challenge(index, position, received);
        }
    }

    /// Remembers the numbers of a client that have begun again or jumped: the new ones may be those
    /// of another sender.
    pub(super) fn keep_numbers(&mut self, index: usize, sequence: Sequence, now_ns: i64) {
        let rival = self.followed(index, sequence);
        let rivals = &mut self.table.details_or_default(index).rivals;
        rivals.retain(|other| other.boot != rival.boot);
        remember(rivals, rival, now_ns);
    }

    fn add_rival(
        &mut self,
        index: usize,
        received: &ReceivedBeat<'_>,
        sequence: Sequence,
    ) -> usize {
        let rivals = &mut self.table.details_or_default(index).rivals;
        remember(rivals, Rival::new(received, sequence), received.at.mono_ns);
        rivals.len() - 1
    }

    /// Returns the followed sender as a rival, as it is remembered once another one is followed.
    fn followed(&self, index: usize, sequence: Sequence) -> Rival {
        let (record, details) = (self.table.record(index), self.table.details(index));
        let until_ns = if record.state.is_end() {
            i64::MIN
        } else {
            record.last_received_ns.saturating_add(self.timeouts_ns(index).1)
        };
        Rival {
            boot: details.and_then(|details| details.boot),
            address: self.table.address(index),
            sequence,
            last_ns: record.last_received_ns,
            difference_ns: record.difference_ns(),
            interval_ns: record.declared_ns(),
            asked: details.and_then(|details| details.asked),
            unsent: details.map_or(0, |details| details.unsent),
            until_ns,
            beats: 0,
            lead: 0,
            opposed: 0,
            was_followed: true,
            told: false,
        }
    }

    fn hear_rival(&mut self, index: usize, position: usize, received: &ReceivedBeat<'_>) {
        let ReceivedBeat { at, from, beat, difference_ns, .. } = received;
        let down_ns = self.timeouts_ns(index).1;
        let asked = self.asked(beat);
        let rival = &mut self.table.details_or_default(index).rivals[position];
        // A declared interval counts as far as it is kept.
        let gap_ns = at.mono_ns.saturating_sub(rival.last_ns);
        let kept_ns = gap_ns.min(beat.interval_ns.unwrap_or(gap_ns));
        let patience_ns = kept_ns.saturating_mul(PATIENCE).max(down_ns);
        rival.until_ns = at.mono_ns.saturating_add(patience_ns);
        (rival.interval_ns, rival.asked) = (beat.interval_ns, asked);
        (rival.last_ns, rival.difference_ns, rival.address) = (at.mono_ns, *difference_ns, *from);
        rival.beats = rival.beats.saturating_add(1);
        rival.lead = rival.lead.saturating_add(1);
    }

    /// Handles a new beat of a rival, which may replace the followed sender.
    fn challenge(&mut self, index: usize, position: usize, received: &ReceivedBeat<'_>) {
        self.tell_too_often(index, position, received.at);
        self.hear_rival(index, position, received);
        if self.is_authenticated(index) || self.prevails(index, position) {
            self.succeed(index, position, received.at);
            let is_proven = self.table.details(index).is_some_and(Details::is_proven);
            if is_proven || self.config.old_beats == OldBeats::Accept {
                self.update_state(index, received, 0);
            }
            return;
        }
        if self.config.old_beats == OldBeats::Accept {
            self.keep_alive(index, received);
        }
        self.tell_conflict(index, received.at);
    }

    /// Reports a job that sends one beat per boot, far more often than it declares.
    fn tell_too_often(&mut self, index: usize, position: usize, at: Stamp) {
        let details = self.table.details_or_default(index);
        let is_lone = !details.is_proven() && details.rivals[position].beats == 0;
        let others = details.rivals.iter().enumerate().filter(|(other, _)| *other != position);
        let last_ns = others.map(|(_, rival)| rival.last_ns).max().unwrap_or(i64::MIN);
        let record = self.table.record_mut(index);
        let gap_ns = at.mono_ns.saturating_sub(record.last_received_ns.max(last_ns));
        if is_lone && record.beats_too_often(gap_ns, 1) {
            let interval_ns = record.interval_ns().unwrap_or_default();
            self.report(index, at, Change::TooOften { interval_ns, gap_ns });
        }
    }

    /// Decides whether a rival that was just heard is followed from now on. One datagram is enough
    /// only if the followed sender has ended, or is a job that sends one beat per boot.
    fn prevails(&mut self, index: usize, position: usize) -> bool {
        let here = self.table.address(index);
        let record = self.table.record(index);
        let (state, last_ns, interval_ns) =
            (record.state, record.last_received_ns, record.interval_ns());
        let has_suspects = self.config.detector.doubts();
        let details = self.table.details_or_default(index);
        let rival = &details.rivals[position];
        let silence_ns = rival.last_ns.saturating_sub(last_ns);
        let lasted = |intervals: i64| {
            interval_ns.is_some_and(|ns| silence_ns >= ns.saturating_mul(intervals))
        };
        let is_new = !rival.was_followed;
        let is_near = rival.address.ip() == here.ip() || !details.is_proven();
        let is_silent =
            state == State::Suspect || state.is_end() || !has_suspects && lasted(SILENT);
        let sends_one =
            !details.is_proven() && silence_ns >= interval_ns.unwrap_or(i64::MAX) / 4 * 3;
        is_new && (state.is_end() || sends_one || self.config.old_beats == OldBeats::Accept)
            || is_silent && rival.is_proven()
            || (rival.told || !is_new || is_near) && rival.leads()
    }

    /// Follows a rival instead of the current sender. Until a second beat proves it, it cannot
    /// prolong the timeout, whatever it declares, unless the boot before declared the same.
    fn succeed(&mut self, index: usize, position: usize, at: Stamp) {
        let before = self.snapshot(index);
        let current = self.followed(index, self.table.record(index).sequence);
        self.mark_proven(index);
        let known_ns = self.table.record(index).interval_ns();
        let (_, down_ns) = self.timeouts_ns(index);
        let details = self.table.details_or_default(index);
        let mut next = details.rivals.swap_remove(position);
        for rival in &mut details.rivals {
            (rival.lead, rival.opposed) = (0, 0);
        }
        let claim = (next.interval_ns, next.asked);
        let repeats = claim.0.is_some() && details.claim == claim;
        let is_believed = next.is_proven() || repeats;
        details.claim = claim;
        if !is_believed {
            next.interval_ns = next.interval_ns.zip(known_ns).map(|(new, old)| new.min(old));
            next.asked = current.asked;
        }
        let cause = if next.boot == current.boot { Cause::Sequence } else { Cause::Boot };
        let outlasts_timeout = details.outlasts_timeout && next.interval_ns == known_ns;
        details.restart(&next);
        details.outlasts_timeout = outlasts_timeout;
        remember(&mut details.rivals, current, at.mono_ns);
        self.table.record_mut(index).sequence = next.sequence;
        self.restart(index, &next, cause, before, at);
        if !is_believed {
            let deadline_ns = self.table.deadline_mut(index);
            *deadline_ns = (*deadline_ns).min(next.last_ns.saturating_add(down_ns));
            self.arm(next.last_ns.saturating_add(down_ns));
        }
    }

    /// Resets a client that restarted, and reports the restart.
    pub(super) fn restart(
        &mut self,
        index: usize,
        next: &Rival,
        cause: Cause,
        before: Snapshot,
        at: Stamp,
    ) {
        let record = self.table.record_mut(index);
        record.restart();
        record.set_newest(next.last_ns, next.difference_ns);
        if let Some(interval_ns) = next.interval_ns {
            record.declare_interval(interval_ns);
        }
        let (is_proven, seq) = (record.is_proven(), record.sequence.first());
        if let Some(estimate) = self.table.estimate_mut(index) {
            *estimate = Estimate::default();
        }
        self.table.set_address(index, next.address);
        let state = match (is_proven, self.has_learned(index)) {
            (false, _) => State::Unknown,
            (true, false) => State::Learning,
            (true, true) => State::Up,
        };
        self.set_state(index, state);
        let due_ns = self.due_ns(index, state, None);
        *self.table.deadline_mut(index) = due_ns;
        self.arm(due_ns);
        self.report_with(index, at, before, Change::Restarted { cause, seq });
    }

    /// Follows the rival that was heard last instead of a client that is about to be marked down.
    /// Returns whether there is one alive.
    pub(super) fn has_successor(&mut self, index: usize, now: Stamp) -> bool {
        let Some(details) = self.table.details(index) else { return false };
        let alive = details.rivals.iter().enumerate();
        let alive = alive.filter(|(_, rival)| rival.is_alive(now.mono_ns));
        let Some((position, _)) = alive.max_by_key(|(_, rival)| rival.last_ns) else {
            return false;
        };
        self.succeed(index, position, now);
        true
    }

    /// Counts a new beat of the followed sender.
    pub(super) fn count_beat(&mut self, index: usize, at: Stamp) {
        let Some(details) = self.table.details_mut(index) else { return };
        details.beats = details.beats.saturating_add(1);
        if !details.rivals.is_empty() {
            details.rivals.iter_mut().for_each(Rival::oppose);
            self.tell_conflict(index, at);
        }
    }

    fn tell_conflict(&mut self, index: usize, at: Stamp) {
        let mut here = self.table.address(index);
        let details = self.table.details_or_default(index);
        let rivals = conflict(&mut details.rivals, at.mono_ns);
        let Some(last) = rivals.iter().max_by_key(|rival| rival.last_ns) else { return };
        if let (None, Some(moves)) = (last.boot, &details.moves)
            && last.address == here
        {
            // This beat is one of the rival's.
            here = moves.other();
        }
        let boots = std::iter::once(details.boot).chain(rivals.iter().map(|rival| rival.boot));
        let boots = boots.flatten().collect();
        let mut addresses = vec![here];
        for rival in rivals {
            // Without boot ids, addresses are all that is known of them.
            if rival.boot.is_some() || !addresses.contains(&rival.address) {
                addresses.push(rival.address);
            }
        }
        self.report(index, at, Change::Conflict { boots, addresses: addresses.into() });
    }

    /// Returns whether an address is a client's own: it has beaten from there more than once, or
    /// from nowhere else.
    pub(super) fn is_home(&self, index: usize, from: SocketAddr) -> bool {
        if self.table.is_plain(index, from) {
            return true;
        }
        let here = self.table.address(index);
        let moves = self.table.details(index).and_then(|details| details.moves.as_ref());
        moves.map_or(self.table.simplify(here) == self.table.simplify(from), |moves| {
            moves.is_home(here, from)
        })
    }

    /// Records the address of the newest beat, and reports a move.
    pub(super) fn update_address(&mut self, index: usize, received: &ReceivedBeat<'_>) {
        let ReceivedBeat { at, from, .. } = received;
        if self.table.is_plain(index, *from) {
            return;
        }
        let old = self.table.address(index);
        if old != *from {
            self.table.set_address(index, *from);
        } else if self.table.details(index).is_none_or(|details| details.moves.is_none()) {
            return;
        }
        let steady_ns = self.timeouts_ns(index).1.max(GRACE_NS);
        let (by_host, last_ns) = (self.table.by_host, self.table.record(index).last_received_ns);
        let moves = &mut self.table.details_or_default(index).moves;
        let moves = moves.get_or_insert_with(|| Box::new(Moves::new(old, last_ns, by_host)));
        if let Some(from) = moves.hear(old, *from, at.mono_ns, steady_ns) {
            self.report(index, *at, Change::Moved { from });
        }
    }

    /// Returns the time since a beat from the other one of a client's two addresses, if `received`
    /// comes from there.
    pub(super) fn returns_after(&self, index: usize, received: &ReceivedBeat<'_>) -> Option<i64> {
        let ReceivedBeat { at, from, .. } = received;
        let moves = self.table.details(index)?.moves.as_ref()?;
        let last_ns = moves.returns(*from).filter(|_| self.table.address(index) != *from)?;
        Some(at.mono_ns.saturating_sub(last_ns))
    }

    /// Notes whether a beat continues the numbers. If the beats of two addresses in turn do not,
    /// there are two senders.
    pub(super) fn note_turn(
        &mut self,
        index: usize,
        received: &ReceivedBeat<'_>,
        continues: bool,
        silence_ns: Option<i64>,
    ) {
        let ReceivedBeat { at, from, .. } = received;
        if self.table.details(index).is_none_or(|details| details.moves.is_none()) {
            return;
        }
        let patience_ns = self.timeouts_ns(index).1;
        let details = self.table.details_or_default(index);
        let is_known = |rival: &Rival| rival.told && rival.is_alive(at.mono_ns);
        let Some(moves) = details.moves.as_mut() else { return };
        // Numbers tell more.
        if let Some(other) = moves.take_turn(continues, silence_ns, patience_ns)
            && !details.rivals.iter().any(is_known)
        {
            let change = Change::Conflict { boots: [].into(), addresses: [*from, other].into() };
            self.report(index, *at, change);
        }
    }
}
