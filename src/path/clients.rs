//! The clients: each has its own links and random choices.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::Random;
use crate::impair::{CopyPlan, Flags, Link, LinkDraw, LinkState};

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    /// The number of its packets that entered.
    pub(super) packets: u64,
    pub(super) uplink: Way,
    pub(super) downlink: Way,
}

/// One direction of a client's path.
#[derive(Debug)]
pub(super) struct Way {
    link: Arc<Link>,
    state: LinkState,
    random: Random,
}

impl Way {
    /// Draws the random decisions for a packet of `length` bytes.
    pub(super) fn draw(&mut self, length: usize) -> LinkDraw {
        self.link.draw(&mut self.state, length, &mut self.random)
    }

    /// Passes a copy that enters at `at_ns`: [`Link::carry`].
    pub(super) fn carry(
        &mut self,
        at_ns: i64,
        length: usize,
        copy: &CopyPlan,
        flags: &mut Flags,
    ) -> Option<i64> {
        self.link.carry(&mut self.state, at_ns, length, copy, flags)
    }
}

/// The clients in order of appearance.
///
/// A client's random choices derive from the seed, the direction, its IP address and the rank of
/// its port among those seen at that address, not from the port itself, which changes with each
/// run.
#[derive(Debug)]
pub(super) struct Clients {
    seed: u64,
    uplink: Arc<Link>,
    downlink: Arc<Link>,
    /// How many ports of each IP address have appeared.
    ports: HashMap<IpAddr, u32, foldhash::fast::RandomState>,
    entries: Vec<Client>,
}

impl Clients {
    /// Creates an empty table, whose clients have these links.
    pub(super) fn new(seed: u64, uplink: Link, downlink: Link) -> Self {
        let (uplink, downlink) = (Arc::new(uplink), Arc::new(downlink));
        Self { seed, uplink, downlink, ports: HashMap::default(), entries: Vec::new() }
    }

    /// Adds a client at `ip`. Returns its index.
    pub(super) fn add(&mut self, ip: IpAddr) -> u32 {
        let host = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let port = self.ports.entry(ip).or_insert(0);
        *port += 1;
        let port = u64::from(*port);
        self.insert(host, port)
    }

    /// Adds a client that stands for all that find no place in a full table. Returns its index.
    pub(super) fn add_crowd(&mut self) -> u32 {
        self.insert(0, u64::MAX)
    }

    /// Returns the client at `index`.
    pub(super) fn at(&mut self, index: u32) -> &mut Client {
        &mut self.entries[index as usize]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn insert(&mut self, host: u128, port: u64) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of an address")]
        let [high, low] = [(host >> 64) as u64, host as u64];
        let way = |way, link: &Arc<Link>| Way {
            link: Arc::clone(link),
            state: LinkState::default(),
            random: Random::stream(self.seed, &[way, high, low, port]),
        };
        let client =
            Client { packets: 0, uplink: way(0, &self.uplink), downlink: way(1, &self.downlink) };
        #[expect(clippy::cast_possible_truncation, reason = "tables of clients are bounded")]
        let index = self.entries.len() as u32;
        self.entries.push(client);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_choices_do_not_depend_on_other_hosts() {
        let clients = || Clients::new(7, Link::default(), Link::default());
        let draw = |clients: &mut Clients, ip: [u8; 4]| {
            let index = clients.add(ip.into());
            clients.at(index).uplink.random.below(u64::MAX)
        };
        let (one, other) = ([127, 0, 0, 1], [127, 0, 0, 9]);
        let mut alone = clients();
        let expected = [one; 2].map(|ip| draw(&mut alone, ip));
        let mut busy = clients();
        draw(&mut busy, other);
        let first = draw(&mut busy, one);
        draw(&mut busy, other);
        assert_eq!([first, draw(&mut busy, one)], expected);
        assert_ne!(expected[0], expected[1]);
        let both = busy.at(0);
        assert_ne!(both.uplink.random.below(u64::MAX), both.downlink.random.below(u64::MAX));
    }
}
