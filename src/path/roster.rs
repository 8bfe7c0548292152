//! The table of a server's clients.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::Stamp;
use crate::impair::Link;
use crate::path::Paths;

/// The most clients with their own links.
const MAX_CLIENTS: usize = 1 << 14;

/// Clients by address and port, up to [`MAX_CLIENTS`]. Later ones share a path.
#[derive(Debug)]
pub(crate) struct Roster {
    by_address: HashMap<SocketAddr, u32, foldhash::fast::RandomState>,
    /// The path of clients beyond the full table.
    crowd: u32,
    last: Option<(SocketAddr, u32)>,
    crowded: u64,
}

impl Roster {
    /// Creates an empty table.
    pub(crate) fn new<R>(paths: &mut Paths<R>) -> Self {
        let crowd = paths.add_crowd();
        Self { by_address: HashMap::default(), crowd, last: None, crowded: 0 }
    }

    /// Returns the number of the client's path; it never changes.
    pub(crate) fn path_of<R>(&mut self, address: SocketAddr, paths: &mut Paths<R>) -> u32 {
        let path = match self.last {
            Some((last, path)) if last == address => path,
            _ => self.find(address, paths),
        };
        self.last = Some((address, path));
        path
    }

    /// Sets a link of one client or, if `None`, of all that have none of their own. Returns the
    /// number of clients whose link it is.
    pub(crate) fn set_link<R>(
        &mut self,
        paths: &mut Paths<R>,
        way: usize,
        link: &Link,
        client: Option<SocketAddr>,
        now: Stamp,
    ) -> usize {
        let Some(client) = client else {
            // That of clients beyond the full table is among them.
            return paths.set_link(way, link.clone(), None, now).saturating_sub(1);
        };
        let has_place =
            self.by_address.len() < MAX_CLIENTS || self.by_address.contains_key(&client);
        if !has_place {
            return 0;
        }
        let path = self.path_of(client, paths);
        paths.set_link(way, link.clone(), Some(path), now)
    }

    /// Returns how many packets came from clients beyond the full table; consecutive packets of one
    /// such client count once.
    pub(crate) fn crowded(&self) -> u64 {
        self.crowded
    }

    fn find<R>(&mut self, address: SocketAddr, paths: &mut Paths<R>) -> u32 {
        if let Some(path) = self.by_address.get(&address) {
            return *path;
        }
        if self.by_address.len() >= MAX_CLIENTS {
            self.crowded += 1;
            return self.crowd;
        }
        let path = paths.add_client(address.ip());
        self.by_address.insert(address, path);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{PathConfig, Route};

    #[test]
    fn a_flood_of_sources_does_not_grow_the_table() {
        let mut paths: Paths = Paths::new(PathConfig::default(), &[Route::Both]);
        let mut roster = Roster::new(&mut paths);
        let first = "127.0.0.1:1".parse().unwrap();
        let path = roster.path_of(first, &mut paths);
        for i in 0..100_000_u32 {
            roster.path_of(SocketAddr::from((i.to_be_bytes(), 9)), &mut paths);
        }
        assert_eq!((paths.clients(), roster.by_address.len()), (16_385, 16_384));
        assert_eq!(roster.crowded(), 100_000 - 16_383);
        assert_eq!(roster.path_of(first, &mut paths), path);
    }
}
