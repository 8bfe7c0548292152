//! The clients: each has its own links and random choices.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use slab::Slab;

use crate::Random;
use crate::impair::{CopyPlan, Flags, Link, LinkDraw, LinkState, Passage};

/// The most IP addresses whose ports are counted; beyond it, all counts start again.
const MAX_HOSTS: usize = 1 << 16;

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    /// Its number among all clients.
    pub(super) serial: u64,
    /// The uplink and the downlink.
    pub(super) ways: [Way; 2],
}

impl Client {
    /// Returns whether packets wait before they enter the downlink: its decisions depend on their
    /// order and on the time.
    pub(super) fn in_series(&self) -> bool {
        self.ways[0].takes_time
    }
}

/// One direction of a client's path.
#[derive(Debug)]
pub(super) struct Way {
    /// The number of packets that it was to carry.
    pub(super) packets: u64,
    link: Arc<Link>,
    /// Whether the link is this client's only.
    is_own: bool,
    /// Whether a packet may leave later than it enters.
    takes_time: bool,
    /// Whether the link has no impairments.
    is_plain: bool,
    state: LinkState,
    random: Random,
}

impl Way {
    /// Replaces the link at `now_ns`: [`Link::replace`].
    pub(super) fn replace<'a>(
        &mut self,
        link: &Arc<Link>,
        is_own: bool,
        now_ns: i64,
        last_ns: i64,
        queue: impl Iterator<Item = &'a mut Passage>,
    ) {
        link.replace(&self.link, &mut self.state, now_ns, last_ns, queue);
        self.takes_time = link.takes_time();
        self.is_plain = **link == Link::default();
        self.link = Arc::clone(link);
        self.is_own |= is_own;
    }

    /// Returns whether decisions depend on the bytes of packets.
    pub(super) fn has_rules(&self) -> bool {
        !self.link.rules.is_empty()
    }

    /// Makes the decisions for a packet that comes at `at_ns`: [`Link::draw`].
    pub(super) fn draw(&mut self, at_ns: i64, payload: &[u8]) -> LinkDraw {
        if self.is_plain {
            return self.state.pass();
        }
        self.link.draw(&mut self.state, at_ns, payload, &mut self.random)
    }

    /// Passes a copy that enters at `at_ns`: [`Link::carry`]. During an outage it is `broken`.
    pub(super) fn carry(
        &mut self,
        at_ns: i64,
        length: usize,
        copy: &CopyPlan,
        flags: &mut Flags,
        broken: bool,
    ) -> Option<Passage> {
        if broken {
            flags.add(Flags::OUTAGE);
            return None;
        }
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
    /// The links of clients that have none of their own.
    links: [Arc<Link>; 2],
    /// The links of the next clients, which are their own.
    per_client: std::vec::IntoIter<[Link; 2]>,
    /// How many ports of each IP address have appeared.
    ports: HashMap<IpAddr, u32, foldhash::fast::RandomState>,
    entries: Slab<Client>,
    /// The number of clients so far.
    came: u64,
}

impl Clients {
    /// Creates an empty table, whose clients have these links; the first ones those of `per_client`.
    pub(super) fn new(seed: u64, links: [Link; 2], per_client: Vec<[Link; 2]>) -> Self {
        let (links, per_client) = (links.map(Arc::new), per_client.into_iter());
        let (ports, entries) = (HashMap::default(), Slab::new());
        Self { seed, links, per_client, ports, entries, came: 0 }
    }

    /// Returns the link of clients that have none of their own.
    pub(super) fn link(&self, way: usize) -> &Link {
        &self.links[way]
    }

    /// Sets the link of clients that have none of their own; of those present, [`Way::replace`]
    /// does.
    pub(super) fn set_link(&mut self, way: usize, link: &Arc<Link>) {
        self.links[way] = Arc::clone(link);
    }

    /// Returns the numbers of the clients with links in common with others.
    pub(super) fn with_shared(&self, way: usize) -> Vec<u32> {
        let shared = self.entries.iter().filter(|(_, client)| !client.ways[way].is_own);
        #[expect(clippy::cast_possible_truncation, reason = "tables of clients are bounded")]
        shared.map(|(index, _)| index as u32).collect()
    }

    /// Adds a client at `ip`. Returns its index.
    pub(super) fn add(&mut self, ip: IpAddr) -> u32 {
        let host = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        if self.ports.len() >= MAX_HOSTS && !self.ports.contains_key(&ip) {
            self.ports.clear();
        }
        let port = self.ports.entry(ip).or_insert(0);
        *port += 1;
        let port = u64::from(*port);
        let own = self.per_client.next();
        self.insert(host, port, own)
    }

    /// Adds a client that stands for all that find no place in a full table. Returns its index.
    pub(super) fn add_crowd(&mut self) -> u32 {
        self.insert(0, u64::MAX, None)
    }

    /// Removes the client at `index`, which another may get. Returns how many packets each of its
    /// links was to carry.
    pub(super) fn remove(&mut self, index: u32) -> [u64; 2] {
        let removed = self.entries.try_remove(index as usize);
        removed.map_or([0; 2], |client| client.ways.map(|way| way.packets))
    }

    /// Returns whether the client at `index` is still the one with this serial number.
    pub(super) fn is(&self, index: u32, serial: u64) -> bool {
        self.entries.get(index as usize).is_some_and(|client| client.serial == serial)
    }

    /// Returns the client at `index`.
    pub(super) fn at(&mut self, index: u32) -> &mut Client {
        &mut self.entries[index as usize]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn insert(&mut self, host: u128, port: u64, own: Option<[Link; 2]>) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of an address")]
        let [high, low] = [(host >> 64) as u64, host as u64];
        let is_own = own.is_some();
        let links = own.map_or_else(|| self.links.clone(), |links| links.map(Arc::new));
        let way = |way: u8| Way {
            packets: 0,
            link: Arc::clone(&links[usize::from(way)]),
            is_own,
            takes_time: links[usize::from(way)].takes_time(),
            is_plain: *links[usize::from(way)] == Link::default(),
            state: LinkState::default(),
            random: Random::stream(self.seed, &[way.into(), high, low, port]),
        };
        #[expect(clippy::cast_possible_truncation, reason = "tables of clients are bounded")]
        let index =
            self.entries.insert(Client { serial: self.came, ways: [way(0), way(1)] }) as u32;
        self.came += 1;
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_choices_do_not_depend_on_other_hosts() {
        let clients = || Clients::new(7, Default::default(), Vec::new());
        let draw = |clients: &mut Clients, ip: [u8; 4]| {
            let index = clients.add(ip.into());
            clients.at(index).ways[0].random.below(u64::MAX)
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
        let [uplink, downlink] = &mut busy.at(0).ways;
        assert_ne!(uplink.random.below(u64::MAX), downlink.random.below(u64::MAX));
    }
}
