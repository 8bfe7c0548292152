//! The table of sessions, from the longest idle to the last active.

use std::collections::HashMap;
use std::net::SocketAddr;

use slab::Slab;

use crate::Local;

/// A client is an address and a port, and the address of ours that it sends to.
type Key = (SocketAddr, Option<Local>);

/// A client's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: Key,
    /// The number of its path.
    pub(super) path: u32,
    /// When either side was last active.
    pub(super) active_ns: i64,
    ended: bool,
    idler: Option<usize>,
    busier: Option<usize>,
}

/// Sessions by key and in order of activity.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    entries: Slab<Session>,
    index: HashMap<Key, usize, foldhash::fast::RandomState>,
    idlest: Option<usize>,
    busiest: Option<usize>,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, key: Key) -> Option<usize> {
        self.index.get(&key).copied()
    }

    pub(super) fn get(&mut self, session: usize) -> Option<&mut Session> {
        self.entries.get_mut(session).filter(|session| !session.ended)
    }

    /// Returns the numbers of a client's sessions or, if `None`, of all.
    pub(super) fn of(&self, client: Option<SocketAddr>) -> impl Iterator<Item = usize> {
        let is_one_of = move |key: &Key| client.is_none_or(|client| key.0 == client);
        self.index.iter().filter(move |(key, _)| is_one_of(key)).map(|(_, number)| *number)
    }

    /// Returns the sessions, the longest idle first.
    pub(super) fn by_activity(&self) -> impl Iterator<Item = &Session> {
        let next = |session: &&Session| session.busier;
        let of = |number: usize| self.entries.get(number);
        std::iter::successors(self.idlest.and_then(of), move |session| next(session).and_then(of))
    }

    /// Adds a session; the last active. Returns its number.
    pub(super) fn add(&mut self, key: Key, path: u32, active_ns: i64) -> usize {
        let (idler, busier) = (None, None);
        let ended = false;
        let session = Session { key, path, active_ns, ended, idler, busier };
        let number = self.entries.insert(session);
        self.index.insert(key, number);
        self.append(number);
        number
    }

    /// Makes a session the last active.
    pub(super) fn touch(&mut self, number: usize, active_ns: i64) {
        let Some(session) = self.get(number) else { return };
        session.active_ns = session.active_ns.max(active_ns);
        if self.busiest != Some(number) {
            self.unlink(number);
            self.append(number);
        }
    }

    /// Returns the longest idle session and when it was last active.
    pub(super) fn idlest(&self) -> Option<(usize, i64)> {
        let number = self.idlest?;
        self.entries.get(number).map(|session| (number, session.active_ns))
    }

    /// Removes a session; its number is not free until [`forget`](Self::forget). Returns its client
    /// and the number of its path.
    pub(super) fn remove(&mut self, number: usize) -> Option<(SocketAddr, u32)> {
        let session = self.get(number)?;
        session.ended = true;
        let (key, path) = (session.key, session.path);
        self.index.remove(&key);
        self.unlink(number);
        Some((key.0, path))
    }

    /// Frees the number of a session that was removed.
    pub(super) fn forget(&mut self, number: usize) {
        self.entries.try_remove(number);
    }

    fn unlink(&mut self, number: usize) {
        let Some(session) = self.entries.get(number) else { return };
        let (idler, busier) = (session.idler, session.busier);
        match idler.and_then(|idler| self.entries.get_mut(idler)) {
            Some(idler) => idler.busier = busier,
            None => self.idlest = busier,
        }
        match busier.and_then(|busier| self.entries.get_mut(busier)) {
            Some(busier) => busier.idler = idler,
            None => self.busiest = idler,
        }
    }

    fn append(&mut self, number: usize) {
        let former = self.busiest.replace(number);
        if let Some(session) = self.entries.get_mut(number) {
            (session.idler, session.busier) = (former, None);
        }
        match former.and_then(|former| self.entries.get_mut(former)) {
            Some(former) => former.busier = Some(number),
            None => self.idlest = Some(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sessions_are_in_order_of_activity(
            steps in prop::collection::vec((0..3_u8, 0..6_u16), 0..200),
        ) {
            let (mut sessions, mut expected) = (Sessions::default(), Vec::<u16>::new());
            for (now, (what, port)) in (0..).zip(steps) {
                let key = (SocketAddr::from(([127, 0, 0, 1], port)), None);
                let found = sessions.find(key);
                prop_assert_eq!(found.is_some(), expected.contains(&port));
                match (what, found) {
                    (0, Some(number)) => {
                        expected.retain(|other| *other != port);
                        prop_assert_eq!(sessions.remove(number), Some((key.0, port.into())));
                        prop_assert_eq!(sessions.remove(number), None);
                        sessions.forget(number);
                    }
                    (_, Some(number)) => {
                        expected.retain(|other| *other != port);
                        expected.push(port);
                        sessions.touch(number, now);
                    }
                    (_, None) => {
                        expected.push(port);
                        sessions.add(key, port.into(), now);
                    }
                }
                let idlest = sessions.idlest().map(|(number, _)| sessions.entries[number].key.0.port());
                prop_assert_eq!(idlest, expected.first().copied());
                prop_assert_eq!(sessions.len(), expected.len());
            }
            while let Some((number, _)) = sessions.idlest() {
                let path = sessions.remove(number).map(|(_, path)| path);
                prop_assert_eq!(path, Some(expected.remove(0).into()));
            }
            prop_assert_eq!((sessions.busiest, expected.len()), (None, 0));
        }
    }
}
