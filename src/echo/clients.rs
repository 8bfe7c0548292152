//! The table of clients: each has its own links and random choices.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::Random;
use crate::impair::Link;

type Index<K> = HashMap<K, u32, foldhash::fast::RandomState>;

/// A client of the server.
#[derive(Debug)]
pub(super) struct Client {
    /// The number of packets received.
    pub(super) packets: u64,
    pub(super) uplink: Way,
    pub(super) downlink: Way,
}

/// One direction of a client's path.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) link: Link,
    pub(super) random: Random,
}

/// The clients in order of appearance, up to a capacity. Later ones share entry 0.
///
/// A client is an address and a port. Its random choices derive from the seed, the direction, its
/// IP address and the rank of its port among those seen at that address, not from the port itself,
/// which changes with each run.
#[derive(Debug)]
pub(super) struct Clients {
    seed: u64,
    uplink: Link,
    downlink: Link,
    capacity: usize,
    by_address: Index<SocketAddr>,
    /// How many ports of each IP address have appeared.
    ports: Index<IpAddr>,
    entries: Vec<Client>,
    last: Option<(SocketAddr, u32)>,
    crowded: u64,
}

impl Clients {
    /// Creates an empty table for `capacity` clients, whose links are copies of these.
    pub(super) fn new(seed: u64, uplink: Link, downlink: Link, capacity: usize) -> Self {
        let mut clients = Self {
            seed,
            uplink,
            downlink,
            capacity,
            by_address: Index::default(),
            ports: Index::default(),
            entries: Vec::new(),
            last: None,
            crowded: 0,
        };
        clients.add(0, u64::MAX);
        clients
    }

    /// Returns the index of the client at `address`; it never changes.
    pub(super) fn index_of(&mut self, address: SocketAddr) -> u32 {
        let index = match self.last {
            Some((last, index)) if last == address => index,
            _ => self.find(address),
        };
        self.last = Some((address, index));
        index
    }

    /// Returns the client at `index`.
    pub(super) fn at(&mut self, index: u32) -> &mut Client {
        &mut self.entries[index as usize]
    }

    /// Returns how many packets came from clients beyond the full table; consecutive packets of one
    /// such client count once.
    pub(super) fn crowded(&self) -> u64 {
        self.crowded
    }

    fn find(&mut self, address: SocketAddr) -> u32 {
        if let Some(index) = self.by_address.get(&address) {
            return *index;
        }
        if self.entries.len() > self.capacity {
            self.crowded += 1;
            return 0;
        }
        let host = match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let port = self.ports.entry(address.ip()).or_insert(0);
        *port += 1;
        let port = u64::from(*port);
        let index = self.add(host, port);
        self.by_address.insert(address, index);
        index
    }

    fn add(&mut self, host: u128, port: u64) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of an address")]
        let [high, low] = [(host >> 64) as u64, host as u64];
        let way = |way, link: &Link| Way {
            link: link.clone(),
            random: Random::stream(self.seed, &[way, high, low, port]),
        };
        let client =
            Client { packets: 0, uplink: way(0, &self.uplink), downlink: way(1, &self.downlink) };
        #[expect(clippy::cast_possible_truncation, reason = "the capacity is small")]
        let index = self.entries.len() as u32;
        self.entries.push(client);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(capacity: usize) -> Clients {
        Clients::new(7, Link::default(), Link::default(), capacity)
    }

    fn get<'a>(clients: &'a mut Clients, address: &str) -> &'a mut Client {
        let index = clients.index_of(address.parse().unwrap());
        clients.at(index)
    }

    fn draw(clients: &mut Clients, address: &str) -> u64 {
        get(clients, address).uplink.random.below(u64::MAX)
    }

    #[test]
    fn a_clients_choices_do_not_depend_on_its_port_or_on_other_hosts() {
        let mut alone = clients(10);
        let expected = ["127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"].map(|a| draw(&mut alone, a));
        let mut busy = clients(10);
        draw(&mut busy, "127.0.0.9:1");
        let first = draw(&mut busy, "127.0.0.1:700");
        draw(&mut busy, "127.0.0.1:800");
        draw(&mut busy, "127.0.0.9:2");
        assert_eq!([first, draw(&mut busy, "127.0.0.1:700")], expected[..2]);
        assert_ne!(expected[0], expected[2]);
        let both = get(&mut alone, "127.0.0.1:3");
        assert_ne!(both.uplink.random.below(u64::MAX), both.downlink.random.below(u64::MAX));
    }

    #[test]
    fn a_flood_of_sources_does_not_grow_the_table() {
        let mut clients = clients(100);
        draw(&mut clients, "127.0.0.1:1");
        for i in 0..100_000_u32 {
            clients.index_of(SocketAddr::from((i.to_be_bytes(), 9)));
        }
        assert_eq!((clients.entries.len(), clients.by_address.len()), (101, 100));
        assert_eq!((clients.ports.len(), clients.crowded()), (100, 100_000 - 99));
        get(&mut clients, "127.0.0.1:1").packets = 5;
        assert_eq!(clients.entries[1].packets, 5);
    }
}
