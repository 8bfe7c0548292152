//! Authentication of beats.

use super::{ReceivedBeat, Server};
use crate::heartbeat::peer::Guard;
use crate::wire::Unauthenticated;
use crate::wire::signed::Signed;
use crate::{NS_PER_SECOND, Random, ReplayWindow};

/// The most that the send time of a client's first beat may differ from this host's time.
const FRESH_NS: u64 = 60 * NS_PER_SECOND.unsigned_abs();

/// A beat was refused, and counted.
pub(super) struct Refused;

impl Server {
    /// Authenticates a beat under the name of the client `found`, if the server has keys. Returns the
    /// client that it is from; `None` for a new one.
    ///
    /// Nothing changes before the tag is right. Sets `answer` if the beat is to be answered, and
    /// `new_guard` if it is a client's first.
    pub(super) fn authenticate(
        &mut self,
        found: Option<usize>,
        received: &ReceivedBeat<'_>,
    ) -> Result<Option<usize>, Refused> {
        let Some(keys) = &self.config.keys else { return Ok(found) };
        let counters = &mut self.counters;
        let details = found.and_then(|index| self.table.details_mut(index));
        let guard = details.and_then(|details| details.guard.as_deref_mut());
        let ReceivedBeat { at, datagram, beat, .. } = received;
        let parts = (Signed::read(datagram), beat.name, beat.boot, beat.reading.seq);
        let (Some(signed), Some(name), Some(boot), Some(seq)) = parts else {
            if guard.is_none() && self.config.unauthenticated == Unauthenticated::Accept {
                return Ok(found);
            }
            counters.unauthenticated += 1;
            return Err(Refused);
        };
        let Some((position, named)) = keys.find(signed.id()) else {
            counters.unknown_keys += 1;
            return Err(Refused);
        };
        let key = match &guard {
            Some(guard) if guard.position == position => Some(guard.key.clone()),
            _ => named.of_client(name),
        };
        let Some(key) = key.filter(|key| signed.is_beat(key)) else {
            counters.bad_tags += 1;
            return Err(Refused);
        };
        let nonce = guard.as_ref().map_or(self.nonce, |guard| guard.nonce);
        // A nonce is 0 if the system has no random numbers, and then proves nothing.
        let is_live = nonce != 0 && signed.nonce() == Some(nonce);
        let is_later = match &guard {
            Some(guard) => boot > guard.boot,
            None => beat.reading.time.is_some_and(|time| {
                let zone_ns = self.config.zone.offset_ns(at.wall_ns);
                time.until_ns(at.wall_ns, zone_ns).unsigned_abs() <= FRESH_NS
            }),
        };
        let replies = self.config.reply;
        let next_nonce = match guard {
            Some(guard) if guard.boot == boot => {
                // All goodbyes of one end have the same number.
                let is_end = beat.is_goodbye() && guard.numbers.is_highest(seq);
                if !is_end && !guard.numbers.is_new(seq) {
                    counters.replays += 1;
                    return Err(Refused);
                }
                guard.numbers.commit(seq);
                if guard.position != position {
                    (guard.position, guard.key) = (position, key.clone());
                }
                nonce
            }
            guard if is_later || is_live => {
                let nonce = if replies { random() } else { 0 };
                let mut numbers = ReplayWindow::default();
                numbers.commit(seq);
                let new = Guard { position, key: key.clone(), boot, nonce, numbers };
                match guard {
                    Some(guard) => *guard = new,
                    None => self.new_guard = Some(Box::new(new)),
                }
                nonce
            }
            _ => {
                counters.old_boots += 1;
                self.answer = replies.then(|| Box::new((key, nonce)));
                return Err(Refused);
            }
        };
        self.answer = replies.then(|| Box::new((key, next_nonce)));
        if self.new_guard.is_some()
            && let Some(index) = found
        {
            // Whoever had the name before did not prove it.
            self.remove(index);
            return Ok(None);
        }
        Ok(found)
    }

    /// Returns whether a client is authenticated, and so all its beats are.
    pub(super) fn is_authenticated(&self, index: usize) -> bool {
        self.table.details(index).is_some_and(|details| details.guard.is_some())
    }
}

/// Returns an unpredictable number; 0 if the system has none.
pub(super) fn random() -> u64 {
    Random::secrets(1).first().copied().unwrap_or_default()
}
