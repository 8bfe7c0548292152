//! Who else beats under a client's key, and from which addresses the client itself does.

use std::net::SocketAddr;

use crate::heartbeat::Sequence;
use crate::heartbeat::detector::Asked;

/// Maximum number of rivals remembered per client.
pub(super) const MAX_RIVALS: usize = 8;

/// Another sender under a client's key: one with another boot id or, if the client declares none,
/// one with numbers of its own. It may be a restarted client, a second process, or forged.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    pub(super) boot: Option<u64>,
    pub(super) address: SocketAddr,
    pub(super) sequence: Sequence,
    /// Arrival of its last new beat, and the difference of receive and send time.
    pub(super) last_ns: i64,
    pub(super) difference_ns: Option<i64>,
    /// The interval it declares.
    pub(super) interval_ns: Option<i64>,
    /// The timeout it asks for.
    pub(super) asked: Option<Asked>,
    /// Beats that its own host refused to send.
    pub(super) unsent: u64,
    /// When it counts as silent; 0 once it has said goodbye.
    pub(super) until_ns: i64,
    /// Its new beats, or those since it was replaced.
    pub(super) beats: u8,
    /// Its new beats since the last new one of the followed boot.
    pub(super) lead: u8,
    /// New beats of the followed boot since its own first.
    pub(super) opposed: u8,
    /// Whether it was followed before.
    pub(super) was_followed: bool,
    /// Whether it was reported as part of a conflict.
    pub(super) told: bool,
}

/// New beats that make an unproven boot a proven one.
const PROOF: u8 = 2;
/// New beats in a row with which a reported rival is followed: the other has fallen silent,
/// whatever timeout it declares.
const LONG_LEAD: u8 = 5;
/// New beats of the followed boot that decide whether a lone beat of another was all of it.
const DECIDED: u8 = 4;
/// The same if other rivals are always undecided.
const PATIENCE: u8 = 8;
/// Beats in turn that distinguish two senders from one whose packets are reordered, if only numbers
/// do.
const ENTWINED: u8 = 4;
/// The same if only addresses do.
const TURNS: u8 = 8;
/// Maximum distance between successive numbers of one sender among those of two.
const NEAR: u64 = 8;

impl Rival {
    /// Records a new beat of the followed boot.
    pub(super) fn oppose(&mut self) {
        self.lead = 0;
        self.opposed = self.opposed.saturating_add(u8::from(self.beats > 0));
    }

    pub(super) fn is_proven(&self) -> bool {
        self.beats >= PROOF
    }

    pub(super) fn is_alive(&self, now_ns: i64) -> bool {
        self.is_proven() && now_ns < self.until_ns
    }

    /// Returns whether it has outlasted the followed boot.
    pub(super) fn leads(&self) -> bool {
        self.lead >= if self.told { LONG_LEAD } else { PROOF }
    }
}

/// Returns whether `seq` comes soon after the highest number.
pub(super) fn is_next(sequence: &Sequence, seq: Option<u64>) -> bool {
    sequence.ahead(seq).is_some_and(|ahead| ahead <= NEAR)
}

/// Returns the rivals whose conflict with the followed boot is to be reported, all that are alive,
/// or none. Waits until each newcomer has shown whether it lives, so that one event names them all.
pub(super) fn conflict(rivals: &mut [Rival], now_ns: i64) -> Vec<Rival> {
    let is_open = |rival: &Rival| {
        let needed = if rival.boot.is_some() { PROOF } else { ENTWINED };
        !rival.told && rival.is_alive(now_ns) && rival.beats.min(rival.opposed) >= needed
    };
    let is_undecided =
        |rival: &Rival| rival.boot.is_some() && rival.beats == 1 && rival.opposed < DECIDED;
    let waits = rivals.iter().any(is_undecided);
    let begins = |rival: &Rival| is_open(rival) && (!waits || rival.opposed >= PATIENCE);
    if !rivals.iter().any(begins) {
        return Vec::new();
    }
    let alive = rivals.iter_mut().filter(|rival| is_open(rival) || rival.told);
    let alive = alive.filter(|rival| rival.is_alive(now_ns)).map(|rival| {
        rival.told = true;
        rival.clone()
    });
    alive.collect()
}

/// Remembers a rival; if there are too many, forgets the one that matters least.
pub(super) fn remember(rivals: &mut Vec<Rival>, rival: Rival, now_ns: i64) {
    if rivals.len() == MAX_RIVALS {
        let rank = |rival: &Rival| (rival.is_alive(now_ns), rival.was_followed, rival.last_ns);
        let least = rivals.iter().enumerate().min_by_key(|(_, rival)| rank(rival));
        if let Some((index, _)) = least {
            rivals.swap_remove(index);
        }
    }
    rivals.reserve_exact(1);
    rivals.push(rival);
}

/// The addresses of a client that has more than one.
#[derive(Clone, Debug)]
pub(super) struct Moves {
    /// Whether a client is known by its host, so that only another host is a move.
    by_host: bool,
    /// Beats from the current address in a row or, of two that take turns, in all.
    beats: u8,
    /// The other address, and its beats.
    other: (SocketAddr, u8),
    /// The address that the last event had.
    told: SocketAddr,
    changed_ns: i64,
    /// When the current address and the other one were last heard.
    last_ns: (i64, i64),
    /// Whether a beat since the last turn did not continue the numbers.
    is_odd: bool,
    /// How often one of the two was heard in turn with such beats of others.
    turns: u8,
}

impl Moves {
    /// Starts with a client that has always been at `home`, and was last heard at `last_ns`.
    pub(super) fn new(home: SocketAddr, last_ns: i64, by_host: bool) -> Self {
        Self {
            by_host,
            beats: PROOF,
            other: (home, PROOF),
            told: home,
            changed_ns: i64::MIN,
            last_ns: (last_ns, last_ns),
            is_odd: false,
            turns: 0,
        }
    }

    fn is_same(&self, one: SocketAddr, other: SocketAddr) -> bool {
        one == other || self.by_host && one.ip() == other.ip()
    }

    /// Records a beat from `to`, the last being from `from`. Returns the address that the client
    /// moved away from, if that is to be reported: not again before it has stayed for `steady_ns`.
    pub(super) fn hear(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        now_ns: i64,
        steady_ns: i64,
    ) -> Option<SocketAddr> {
        let was_steady = now_ns.saturating_sub(self.changed_ns) > steady_ns;
        if from != to {
            let here = (from, self.beats);
            let back = self.other.0 == to;
            self.beats = if back { self.other.1 } else { 0 };
            // An address that is not proven displaces no proven one.
            if back || here.1 >= self.other.1 {
                self.other = here;
                self.last_ns.1 = self.last_ns.0;
            }
            if !self.is_same(from, to) {
                self.changed_ns = now_ns;
            }
        }
        self.last_ns.0 = now_ns;
        self.beats = self.beats.saturating_add(1);
        let is_told = !was_steady || self.is_same(self.told, to);
        (!is_told).then(|| std::mem::replace(&mut self.told, to))
    }

    /// Returns when the other address was last heard, if it is `from`.
    pub(super) fn returns(&self, from: SocketAddr) -> Option<i64> {
        (self.other.0 == from).then_some(self.last_ns.1)
    }

    /// Records whether a beat continues the numbers and, if it comes from the other address, the
    /// time since that was last heard. Returns the address heard before if these are now two
    /// senders in turn, not one with two sockets.
    pub(super) fn take_turn(
        &mut self,
        continues: bool,
        silence_ns: Option<i64>,
        patience_ns: i64,
    ) -> Option<SocketAddr> {
        self.is_odd |= !continues;
        let silence_ns = silence_ns.filter(|_| self.is_odd)?;
        self.is_odd = false;
        let turns = if silence_ns > patience_ns { 0 } else { self.turns };
        self.turns = turns.saturating_add(1);
        (self.turns == TURNS).then_some(self.other.0)
    }

    /// Returns the address that is not the current one.
    pub(super) fn other(&self) -> SocketAddr {
        self.other.0
    }

    /// Returns whether the client is at home at an address, the current one being `here`: it has
    /// beaten from there more than once.
    pub(super) fn is_home(&self, here: SocketAddr, address: SocketAddr) -> bool {
        let known = [(here, self.beats), self.other];
        known.iter().any(|(known, beats)| self.is_same(*known, address) && *beats >= PROOF)
    }
}
