//! The sessions of a stateful reflector.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use slab::Slab;

use crate::wire::stamp::{Counts, Departed};
use crate::{NS_PER_SECOND, Stamp};

/// The most sessions, unless fewer are asked for.
pub const MAX_SESSIONS: usize = 1 << 14;

/// Silence after which a session has ended.
const IDLE_NS: i64 = 300 * NS_PER_SECOND;

/// The identity of a session. The local port is that of the reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) client: SocketAddr,
    pub(super) to: Option<IpAddr>,
    pub(super) ssid: u16,
    /// Nobody without a key is in a session of one who has it.
    pub(super) authenticated: bool,
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The source of its packets.
    pub client: SocketAddr,
    /// The session identifier that the sender chose; 0 without one.
    pub ssid: u16,
    /// Packets received.
    pub received: u64,
    /// Replies sent; the next one has this number.
    pub replied: u64,
    /// When it was heard last.
    pub heard: Stamp,
    pub(super) last: Option<Departed>,
}

impl Session {
    fn new(key: Key, heard: Stamp) -> Self {
        let Key { client, ssid, .. } = key;
        Self { client, ssid, received: 0, replied: 0, heard, last: None }
    }

    fn is_idle(&self, now_ns: i64) -> bool {
        now_ns.saturating_sub(self.heard.mono_ns) > IDLE_NS
    }

    /// Returns its counts as they go on the wire.
    #[expect(clippy::cast_possible_truncation, reason = "counts on the wire wrap")]
    pub(super) fn counts(&self) -> Counts {
        Counts { received: self.received as u32, sent: self.replied as u32, last: self.last }
    }
}

/// Sessions up to a capacity.
#[derive(Debug)]
pub(super) struct Sessions {
    capacity: usize,
    indices: HashMap<Key, usize, foldhash::fast::RandomState>,
    entries: Slab<Session>,
    /// When idle sessions were last removed.
    swept_ns: i64,
}

impl Sessions {
    pub(super) fn new(capacity: usize) -> Self {
        let (indices, entries) = (HashMap::default(), Slab::new());
        Self { capacity, indices, entries, swept_ns: i64::MIN }
    }

    /// Counts a packet. Returns the index of its session, which begins again if it was idle; `None`
    /// if there is no room for a new one.
    pub(super) fn receive(&mut self, key: Key, at: Stamp) -> Option<usize> {
        let index = match self.indices.get(&key) {
            Some(index) => *index,
            None => self.add(key, at)?,
        };
        let session = self.entries.get_mut(index)?;
        if session.is_idle(at.mono_ns) {
            *session = Session::new(key, at);
        }
        session.heard = at;
        session.received += 1;
        Some(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Session> {
        self.entries.get_mut(index)
    }

    /// Returns the sessions that are not idle.
    pub(super) fn active(&self, now_ns: i64) -> impl Iterator<Item = &Session> {
        self.entries.iter().map(|(_, session)| session).filter(move |one| !one.is_idle(now_ns))
    }

    fn add(&mut self, key: Key, at: Stamp) -> Option<usize> {
        // Not for each packet of a flood.
        if self.entries.len() >= self.capacity
            && at.mono_ns.saturating_sub(self.swept_ns) >= NS_PER_SECOND
        {
            self.swept_ns = at.mono_ns;
            let entries = &mut self.entries;
            self.indices.retain(|_, index| {
                let keep = entries.get(*index).is_some_and(|one| !one.is_idle(at.mono_ns));
                if !keep {
                    entries.try_remove(*index);
                }
                keep
            });
        }
        (self.entries.len() < self.capacity).then(|| {
            let index = self.entries.insert(Session::new(key, at));
            self.indices.insert(key, index);
            index
        })
    }
}
