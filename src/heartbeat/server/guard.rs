//! Authentication of beats.

use super::{Answer, ReceivedBeat, Server, ServerCounters};
use crate::heartbeat::peer::Guard;
use crate::wire::signed::Signed;
use crate::wire::{Key, Unauthenticated};
use crate::{NS_PER_SECOND, Random, ReplayWindow};

/// The most that the send time of a client's first beat may differ from this host's time.
const FRESH_NS: u64 = 60 * NS_PER_SECOND.unsigned_abs();

/// A beat that counts.
pub(super) struct Authentic {
    /// The client that it is from; `None` for a new one.
    pub(super) found: Option<usize>,
    /// The authentication of a new client.
    pub(super) guard: Option<Box<Guard>>,
    pub(super) answer: Answer,
}

/// A beat that is refused.
pub(super) struct Refused {
    /// Its counter.
    pub(super) counter: fn(&mut ServerCounters) -> &mut u64,
    pub(super) answer: Answer,
}

const UNAUTHENTICATED: Refused =
    Refused { counter: |counters| &mut counters.unauthenticated, answer: Answer::None };
const UNKNOWN_KEY: Refused =
    Refused { counter: |counters| &mut counters.unknown_keys, answer: Answer::None };
const BAD_TAG: Refused =
    Refused { counter: |counters| &mut counters.bad_tags, answer: Answer::None };
const REPLAY: Refused = Refused { counter: |counters| &mut counters.replays, answer: Answer::None };

impl Server {
    /// Authenticates a beat under the name of the client `found`, if the server has keys. Nothing
    /// changes before the tag is right.
    pub(super) fn authenticate(
        &mut self,
        found: Option<usize>,
        received: &ReceivedBeat<'_>,
    ) -> Result<Authentic, Refused> {
        let replies = self.config.reply;
        let open = || {
            let answer = if replies { Answer::Plain } else { Answer::None };
            Ok(Authentic { found, guard: None, answer })
        };
        let Some(keys) = &self.config.keys else { return open() };
        let details = found.and_then(|index| self.table.details_mut(index));
        let known = details.and_then(|details| details.guard.as_deref_mut());
        let ReceivedBeat { at, datagram, word, beat, .. } = received;
        let parts = (Signed::in_word(datagram, *word), beat.name, beat.boot, beat.reading.seq);
        let (Some(signed), Some(name), Some(boot), Some(seq)) = parts else {
            let accepts = self.config.unauthenticated == Unauthenticated::Accept;
            return if accepts && known.is_none() { open() } else { Err(UNAUTHENTICATED) };
        };
        let (position, named) = keys.find(signed.id()).ok_or(UNKNOWN_KEY)?;
        // A nonce is 0 if the system has no random numbers, and then proves nothing.
        let is_live = |nonce| nonce != 0 && signed.nonce() == Some(nonce);
        let next_nonce = || if replies { random() } else { 0 };
        let answer = |key: &Key, nonce| {
            if replies { Answer::Signed(Box::new((key.clone(), nonce))) } else { Answer::None }
        };
        let old_boot = |key: &Key, nonce: u64| Refused {
            counter: |counters| &mut counters.old_boots,
            answer: answer(key, nonce),
        };
        let Some(guard) = known else {
            let key = named.of_client(name).filter(|key| signed.is_beat(key)).ok_or(BAD_TAG)?;
            let is_fresh = beat.reading.time.is_some_and(|time| {
                let zone_ns = self.config.zone.offset_ns(at.wall_ns);
                time.until_ns(at.wall_ns, zone_ns).unsigned_abs() <= FRESH_NS
            });
            if !is_fresh && !is_live(self.nonce) {
                return Err(old_boot(&key, self.nonce));
            }
            let numbers = ReplayWindow::default();
            let mut guard = Guard { position, key, boot, nonce: next_nonce(), numbers };
            guard.numbers.commit(seq);
            let answer = answer(&guard.key, guard.nonce);
            if let Some(index) = found {
                // Whoever had the name before did not prove it.
                self.remove(index);
            }
            return Ok(Authentic { found: None, guard: Some(Box::new(guard)), answer });
        };
        let other = if guard.position == position {
            None
        } else {
            Some(named.of_client(name).ok_or(BAD_TAG)?)
        };
        let key = other.as_ref().unwrap_or(&guard.key);
        if !signed.is_beat(key) {
            return Err(BAD_TAG);
        }
        if guard.boot == boot {
            // All goodbyes of one end have the same number.
            let is_end = beat.is_goodbye() && guard.numbers.is_highest(seq);
            if !is_end && !guard.numbers.is_new(seq) {
                return Err(REPLAY);
            }
        } else if boot > guard.boot || is_live(guard.nonce) {
            (guard.boot, guard.nonce, guard.numbers) =
                (boot, next_nonce(), ReplayWindow::default());
        } else {
            return Err(old_boot(key, guard.nonce));
        }
        guard.numbers.commit(seq);
        if let Some(key) = other {
            (guard.position, guard.key) = (position, key);
        }
        Ok(Authentic { found, guard: None, answer: answer(&guard.key, guard.nonce) })
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
