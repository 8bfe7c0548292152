//! The servers of this process, lest one answers another for ever.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The addresses of those that answer.
static SERVERS: RwLock<Vec<SocketAddr>> = RwLock::new(Vec::new());

/// A server's place among those of this process, until it is dropped.
#[derive(Debug)]
pub struct Registered(SocketAddr);

impl Registered {
    /// Tells the others of a server that is bound to `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let address = canonical(address);
        SERVERS.write().unwrap_or_else(PoisonError::into_inner).push(address);
        Self(address)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut servers = SERVERS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = servers.iter().position(|address| *address == self.0) {
            servers.swap_remove(place);
        }
    }
}

/// The servers that there are while one looks at them.
#[derive(Debug)]
pub struct Servers(RwLockReadGuard<'static, Vec<SocketAddr>>);

impl Servers {
    /// A look at them, to be held for a moment: none can come or go meanwhile.
    #[must_use]
    pub fn look() -> Self {
        Self(SERVERS.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether an answer to `from` would go to one of them, oneself perhaps.
    #[must_use]
    pub fn has(&self, from: SocketAddr) -> bool {
        self.0.iter().filter(|server| server.port() == from.port()).any(|server| {
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
        // Nobody else in this process has these ports.
        let one = Registered::new(address("127.0.0.1:1"));
        let all = [address("0.0.0.0:2"), address("[::]:3")].map(Registered::new);
        for server in ["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "127.0.0.9:2", "[::ffff:127.0.0.9]:3"]
        {
            assert!(Servers::look().has(address(server)), "{server}");
        }
        // An address for documents is nobody's (RFC 5737, RFC 3849).
        for other in ["127.0.0.9:1", "127.0.0.1:4", "198.51.100.7:2", "[2001:db8::7]:3"] {
            assert!(!Servers::look().has(address(other)), "{other}");
        }
        drop((one, all));
        for server in ["127.0.0.1:1", "127.0.0.9:2"] {
            assert!(!Servers::look().has(address(server)), "{server}");
        }
    }
}
