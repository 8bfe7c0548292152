//! The table of the server's clients.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::path::Paths;

/// Clients by address and port, up to a capacity. Later ones share a path.
#[derive(Debug)]
pub(super) struct Roster {
    capacity: usize,
    by_address: HashMap<SocketAddr, u32, foldhash::fast::RandomState>,
    /// The path of clients beyond the full table.
    crowd: u32,
    last: Option<(SocketAddr, u32)>,
    crowded: u64,
}

impl Roster {
    /// Creates an empty table for `capacity` clients.
    pub(super) fn new(capacity: usize, paths: &mut Paths) -> Self {
        let crowd = paths.add_crowd();
        Self { capacity, by_address: HashMap::default(), crowd, last: None, crowded: 0 }
    }

    /// Returns the number of the client's path; it never changes.
    pub(super) fn path_of(&mut self, address: SocketAddr, paths: &mut Paths) -> u32 {
        let path = match self.last {
            Some((last, path)) if last == address => path,
            _ => self.find(address, paths),
        };
        self.last = Some((address, path));
        path
    }

    /// Returns the number of the client's path, unless it has none of its own.
    pub(super) fn own_path_of(&mut self, address: SocketAddr, paths: &mut Paths) -> Option<u32> {
        let is_new = !self.by_address.contains_key(&address);
        let is_full = self.by_address.len() >= self.capacity;
        (!is_new || !is_full).then(|| self.path_of(address, paths))
    }

    /// Returns how many packets came from clients beyond the full table; consecutive packets of one
    /// such client count once.
    pub(super) fn crowded(&self) -> u64 {
        self.crowded
    }

    fn find(&mut self, address: SocketAddr, paths: &mut Paths) -> u32 {
        if let Some(path) = self.by_address.get(&address) {
            return *path;
        }
        if self.by_address.len() >= self.capacity {
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
        let mut paths = Paths::new(PathConfig::default(), &[Route::Both]);
        let mut roster = Roster::new(100, &mut paths);
        let first = "127.0.0.1:1".parse().unwrap();
        let path = roster.path_of(first, &mut paths);
        for i in 0..100_000_u32 {
            roster.path_of(SocketAddr::from((i.to_be_bytes(), 9)), &mut paths);
        }
        assert_eq!((paths.clients(), roster.by_address.len()), (101, 100));
        assert_eq!(roster.crowded(), 100_000 - 99);
        assert_eq!(roster.path_of(first, &mut paths), path);
    }
}
