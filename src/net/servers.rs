//! The servers of this process, lest one answers another for ever.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::net::Message;

/// The addresses of those that answer.
static SERVERS: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());

/// How often they have changed.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// A server's place among those of this process, until it is dropped.
#[derive(Debug)]
pub struct Registered(SocketAddr);

impl Registered {
    /// Tells the others of a server that is bound to `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let address = canonical(address);
        change(|servers| servers.push(address));
        Self(address)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        change(|servers| {
            if let Some(place) = servers.iter().position(|address| *address == self.0) {
                servers.swap_remove(place);
            }
        });
    }
}

fn servers() -> MutexGuard<'static, Vec<SocketAddr>> {
    SERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(change: impl FnOnce(&mut Vec<SocketAddr>)) {
    let mut servers = servers();
    change(&mut servers);
    CHANGES.fetch_add(1, Ordering::Release);
}

/// The servers as one thread knows them.
///
/// They are copied when they have changed and never locked while a thread is at work: a child by
/// `fork` has all locks as they were, and would wait for ever to tell of a server of its own.
#[derive(Debug, Default)]
pub struct Servers {
    known: Vec<SocketAddr>,
    changes: u64,
}

impl Servers {
    /// Looks whether any have come or gone.
    pub fn refresh(&mut self) {
        let changes = CHANGES.load(Ordering::Acquire);
        if self.changes != changes {
            self.known.clone_from(&servers());
            self.changes = changes;
        }
    }

    /// Whether an answer to a message would start a loop: it is an answer itself, or comes from one of
    /// them, oneself perhaps.
    #[must_use]
    pub fn sent(&self, message: &Message) -> bool {
        message.is_answer || self.has(message.from)
    }

    fn has(&self, from: SocketAddr) -> bool {
        self.known.iter().filter(|server| server.port() == from.port()).any(|server| {
            let from = canonical(from);
            server.ip() == from.ip() || (server.ip().is_unspecified() && is_local(from))
        })
    }
}

/// The address as others write it: an IPv6 socket names IPv4 hosts in a way of its own.
fn canonical(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(address.ip().to_canonical());
    address
}

/// Whether an address is this host's: then, and only then, can a socket be bound to it. That costs two
/// calls, and comes to pass only for a source that has the port of a server.
fn is_local(mut address: SocketAddr) -> bool {
    address.set_port(0);
    address.ip().is_loopback() || UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_server_is_known_by_any_address_of_this_host_while_it_is_there() {
        let mut servers = Servers::default();
        // Nobody else in this process has these ports.
        let one = Registered::new(address("127.0.0.1:1"));
        let all = [address("0.0.0.0:2"), address("[::]:3")].map(Registered::new);
        servers.refresh();
        for server in ["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "127.0.0.9:2", "[::ffff:127.0.0.9]:3"]
        {
            assert!(servers.has(address(server)), "{server}");
        }
        // An address for documents is nobody's (RFC 5737, RFC 3849).
        for other in ["127.0.0.9:1", "127.0.0.1:4", "198.51.100.7:2", "[2001:db8::7]:3"] {
            assert!(!servers.has(address(other)), "{other}");
        }
        // Who knows them keeps none from going: what is held here is no lock.
        drop((one, all));
        servers.refresh();
        for server in ["127.0.0.1:1", "127.0.0.9:2"] {
            assert!(!servers.has(address(server)), "{server}");
        }
    }
}
