//! Registry of this process's echo servers, used to break reply loops.

use std::net::{SocketAddr, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::canonical;
use crate::net::Batch;

/// The servers of one process.
///
/// A forked child has a list of its own: a thread of the parent may have held the lock on this one,
/// and nobody in the child would release it.
#[derive(Debug)]
struct Registry {
    /// The process that owns the list; 0 before the first use.
    process: AtomicU32,
    servers: Mutex<Vec<SocketAddr>>,
    /// Number of changes to the list.
    changes: AtomicU64,
    child: OnceLock<Box<Self>>,
}

static FIRST: Registry = Registry::new(0);

impl Registry {
    const fn new(process: u32) -> Self {
        Self {
            process: AtomicU32::new(process),
            servers: Mutex::new(Vec::new()),
            changes: AtomicU64::new(0),
            child: OnceLock::new(),
        }
    }

    /// Returns the list of this process.
    fn current() -> &'static Self {
        Self::of(process::id())
    }

    fn of(process: u32) -> &'static Self {
        let _ = FIRST.process.compare_exchange(0, process, Ordering::AcqRel, Ordering::Acquire);
        let mut registry = &FIRST;
        while registry.process.load(Ordering::Acquire) != process {
            registry = registry.child.get_or_init(|| Box::new(Self::new(process)));
        }
        registry
    }

    fn servers(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<SocketAddr>)) {
        let mut servers = self.servers();
        change(&mut servers);
        self.changes.fetch_add(1, Ordering::Release);
    }
}

/// A server's entry in the list of this process; removes it when dropped.
#[derive(Debug)]
pub struct Registered {
    registry: &'static Registry,
    address: SocketAddr,
}

impl Registered {
    /// Adds a server that is bound to `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let (registry, address) = (Registry::current(), canonical(address));
        registry.change(|servers| servers.push(address));
        Self { registry, address }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.change(|servers| {
            if let Some(index) = servers.iter().position(|address| *address == self.address) {
                servers.swap_remove(index);
            }
        });
    }
}

/// A thread's snapshot of the registry.
///
/// Copied when the list changes, so that no thread holds the lock while it works.
#[derive(Debug)]
pub struct Servers {
    registry: &'static Registry,
    known: Vec<SocketAddr>,
    changes: u64,
}

impl Default for Servers {
    fn default() -> Self {
        Self { registry: Registry::current(), known: Vec::new(), changes: 0 }
    }
}

impl Servers {
    /// Marks the datagrams of these servers in a batch as answers.
    pub fn mark(&mut self, batch: &mut Batch) {
        self.refresh();
        for burst in &mut batch.bursts {
            burst.is_answer |= self.include(burst.from);
        }
    }

    /// Updates the snapshot if the list has changed.
    fn refresh(&mut self) {
        let changes = self.registry.changes.load(Ordering::Acquire);
        if self.changes != changes {
            self.known.clone_from(&self.registry.servers());
            self.changes = changes;
        }
    }

    /// Returns whether `from` is a server of this process, this one included: an answer to it would
    /// start a loop.
    fn include(&self, from: SocketAddr) -> bool {
        self.known.iter().filter(|server| server.port() == from.port()).any(|server| {
            let from = canonical(from);
            server.ip() == from.ip() || (server.ip().is_unspecified() && is_local(from))
        })
    }
}

/// Returns whether the address is this host's: only then can a socket be bound to it. Costs two
/// system calls, but runs only for a source port that a server has.
fn is_local(mut address: SocketAddr) -> bool {
    address.set_port(0);
    address.ip().is_loopback() || UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stamp;
    use crate::net::batch::Burst;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn datagrams_of_a_server_are_marked() {
        let _server = Registered::new(address("127.0.0.1:5"));
        let from = |port| Burst::single(Stamp::default(), None, ([127, 0, 0, 1], port).into(), 0);
        let mut batch = Batch { bursts: vec![from(5), from(6)], ..Batch::default() };
        Servers::default().mark(&mut batch);
        let marks: Vec<_> = batch.arrivals().map(|arrival| arrival.is_answer).collect();
        assert_eq!(marks, [true, false]);
    }

    #[test]
    fn a_registered_server_is_found_by_any_local_address() {
        let mut servers = Servers::default();
        // Nobody else in this process has these ports.
        let one = Registered::new(address("127.0.0.1:1"));
        let all = [address("0.0.0.0:2"), address("[::]:3")].map(Registered::new);
        servers.refresh();
        for server in ["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "127.0.0.9:2", "[::ffff:127.0.0.9]:3"]
        {
            assert!(servers.include(address(server)), "{server}");
        }
        // Documentation addresses belong to nobody (RFC 5737, RFC 3849).
        for other in ["127.0.0.9:1", "127.0.0.1:4", "198.51.100.7:2", "[2001:db8::7]:3"] {
            assert!(!servers.include(address(other)), "{other}");
        }
        // A child does not wait for its parent's lock.
        let locked = Registry::current().servers();
        let child = Registry::of(process::id() + 1);
        child.change(Vec::clear);
        assert!(std::ptr::eq(child, Registry::of(process::id() + 1)));
        drop(locked);
        // Holding a snapshot must not block deregistration.
        drop((one, all));
        servers.refresh();
        for server in ["127.0.0.1:1", "127.0.0.9:2"] {
            assert!(!servers.include(address(server)), "{server}");
        }
    }
}
