//! The sessions of a stateful reflector.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use slab::Slab;

use crate::stamp::reflected::Outcome;
use crate::wire::stamp::{Counts, Departed, Request, Timestamp};
use crate::{NS_PER_SECOND, ReplayWindow, Stamp};

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

/// The requests of an authenticated session, so that each is answered once.
#[derive(Debug)]
struct Requests {
    /// The numbers since the sender's last start.
    numbers: ReplayWindow,
    /// T1 of the first request since then.
    first: Timestamp,
    /// The latest T1.
    latest: Timestamp,
}

impl Requests {
    fn new(request: &Request) -> Self {
        let mut numbers = ReplayWindow::default();
        numbers.commit(request.seq.into());
        Self { numbers, first: request.sent, latest: request.sent }
    }

    /// Records a request; returns whether it may be new.
    ///
    /// No recording is later than the latest T1. If the numbers of a later request came before, its
    /// sender has started again; an earlier one with a new number was overtaken.
    fn admit(&mut self, request: &Request) -> bool {
        let is_latest = request.sent.is_after(self.latest);
        if self.numbers.is_new(request.seq.into()) && !self.first.is_after(request.sent) {
            self.numbers.commit(request.seq.into());
        } else if is_latest {
            *self = Self::new(request);
        } else {
            return false;
        }
        if is_latest {
            self.latest = request.sent;
        }
        true
    }
}

/// A session and, if it is authenticated, its requests.
#[derive(Debug)]
struct Entry {
    session: Session,
    requests: Option<Box<Requests>>,
}

impl Entry {
    fn new(key: Key, heard: Stamp) -> Self {
        Self { session: Session::new(key, heard), requests: None }
    }
}

/// Sessions up to a capacity.
#[derive(Debug)]
pub(super) struct Sessions {
    capacity: usize,
    indices: HashMap<Key, usize, foldhash::fast::RandomState>,
    entries: Slab<Entry>,
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
    ///
    /// # Errors
    /// [`Outcome::Replayed`] if the packet is authenticated and came before.
    pub(super) fn receive(
        &mut self,
        key: Key,
        at: Stamp,
        request: &Request,
    ) -> Result<Option<usize>, Outcome> {
        let known = self.indices.get(&key).copied();
        let Some(index) = known.or_else(|| self.add(key, at)) else { return Ok(None) };
        let Some(entry) = self.entries.get_mut(index) else { return Ok(None) };
        if entry.session.is_idle(at.mono_ns) {
            *entry = Entry::new(key, at);
        }
        if let Some(requests) = &mut entry.requests {
            if !requests.admit(request) {
                return Err(Outcome::Replayed);
            }
        } else if key.authenticated {
            entry.requests = Some(Box::new(Requests::new(request)));
        }
        entry.session.heard = at;
        entry.session.received += 1;
        Ok(Some(index))
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Session> {
        self.entries.get_mut(index).map(|entry| &mut entry.session)
    }

    /// Returns the sessions that are not idle.
    pub(super) fn active(&self, now_ns: i64) -> impl Iterator<Item = &Session> {
        let sessions = self.entries.iter().map(|(_, entry)| &entry.session);
        sessions.filter(move |one| !one.is_idle(now_ns))
    }

    fn add(&mut self, key: Key, at: Stamp) -> Option<usize> {
        // Not for each packet of a flood.
        if self.entries.len() >= self.capacity
            && at.mono_ns.saturating_sub(self.swept_ns) >= NS_PER_SECOND
        {
            self.swept_ns = at.mono_ns;
            let entries = &mut self.entries;
            self.indices.retain(|_, index| {
                let keep = entries.get(*index).is_some_and(|one| !one.session.is_idle(at.mono_ns));
                if !keep {
                    entries.try_remove(*index);
                }
                keep
            });
        }
        (self.entries.len() < self.capacity).then(|| {
            let index = self.entries.insert(Entry::new(key, at));
            self.indices.insert(key, index);
            index
        })
    }
}
