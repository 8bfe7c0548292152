//! The numbers of authentic probes, so that each is answered once.

use std::mem;

use hashbrown::HashMap;

use crate::ReplayWindow;
use crate::wire::probe::Identity;

/// The most sessions of a generation.
const MAX_SESSIONS: usize = 1 << 13;

/// The windows of the sessions that were heard last, by their tokens.
///
/// A full generation becomes the old one, and the sessions of the one before are forgotten: each of
/// their probes could be answered once more.
#[derive(Debug, Default)]
pub(super) struct Replays {
    recent: HashMap<[u8; 16], Box<ReplayWindow>>,
    old: HashMap<[u8; 16], Box<ReplayWindow>>,
}

impl Replays {
    /// Records an authentic probe; returns whether it is new.
    pub(super) fn admit(&mut self, probe: &Identity) -> bool {
        let Identity { token, seq } = *probe;
        if self.recent.len() >= MAX_SESSIONS && !self.recent.contains_key(&token) {
            self.old = mem::take(&mut self.recent);
        }
        let old = &mut self.old;
        let window =
            self.recent.entry(token).or_insert_with(|| old.remove(&token).unwrap_or_default());
        let is_new = window.is_new(seq);
        if is_new {
            window.commit(seq);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> [u8; 16] {
        (number as u128).to_be_bytes()
    }

    #[test]
    fn each_probe_is_new_once() {
        let mut replays = Replays::default();
        for seq in [1, 3, 2, 2000] {
            for session in [1, 2] {
                let probe = Identity { token: token(session), seq };
                assert!(replays.admit(&probe) && !replays.admit(&probe), "{seq}");
            }
        }
        let old = Identity { token: token(1), seq: 4 };
        assert!(!replays.admit(&old), "too old to tell");
    }

    #[test]
    fn sessions_that_are_heard_stay_and_others_are_bounded() {
        let mut replays = Replays::default();
        let first = Identity { token: token(0), seq: 7 };
        assert!(replays.admit(&first));
        for session in 1..5 * MAX_SESSIONS {
            assert!(replays.admit(&Identity { token: token(session), seq: 1 }));
            if session % (MAX_SESSIONS / 2) == 0 {
                assert!(!replays.admit(&first), "{session}");
            }
        }
        assert!(replays.recent.len() + replays.old.len() <= 2 * MAX_SESSIONS);
        assert!(replays.admit(&Identity { token: token(1), seq: 1 }), "forgotten");
    }
}
