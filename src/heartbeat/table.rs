//! The table of clients: an index from keys to places, and dense arrays of what is known.

use std::hash::BuildHasher;
use std::net::SocketAddr;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use crate::heartbeat::Estimate;
use crate::heartbeat::peer::{Extra, NONE, Record};

/// What tells clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Address(SocketAddr),
    Name(&'a [u8]),
}

/// All clients. Places move when one is removed.
#[derive(Debug)]
pub(super) struct Table {
    /// Seeded anew in each process, so that nobody can aim at one bucket.
    hasher: DefaultHashBuilder,
    index: HashTable<u32>,
    records: Vec<Record>,
    /// When each client's silence means something next; apart, because it is swept.
    deadlines: Vec<i64>,
    /// Empty where the detector needs none.
    estimates: Vec<Estimate>,
    extras: Slab<Extra>,
    by_host: bool,
}

impl Table {
    pub(super) fn new(by_host: bool) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            records: Vec::new(),
            deadlines: Vec::new(),
            estimates: Vec::new(),
            extras: Slab::new(),
            by_host,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The key of a beat: its sender's name, else where it came from.
    pub(super) fn key<'a>(&self, from: SocketAddr, name: Option<&'a [u8]>) -> Key<'a> {
        match name {
            Some(name) => Key::Name(name),
            None => Key::Address(self.simplify(from)),
        }
    }

    fn simplify(&self, from: SocketAddr) -> SocketAddr {
        SocketAddr::new(from.ip(), if self.by_host { 0 } else { from.port() })
    }

    /// Whether two addresses are one client's.
    pub(super) fn is_same(&self, one: SocketAddr, other: SocketAddr) -> bool {
        self.simplify(one) == self.simplify(other)
    }

    pub(super) fn hash(&self, key: &Key<'_>) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Where a client is; the first place looked at is the one that `touch` gave.
    pub(super) fn find(&self, hash: u64, key: &Key<'_>, touched: usize) -> Option<usize> {
        if touched < self.len() && self.key_of(touched) == *key {
            return Some(touched);
        }
        self.index.find(hash, |place| self.key_of(*place as usize) == *key).map(|at| *at as usize)
    }

    /// Brings near what a `find` of each of these will look at, and gives where they most likely are:
    /// loops of loads that do not depend on each other have the processor wait for all at once, not
    /// for one after the other.
    pub(super) fn touch(&self, hashes: impl Iterator<Item = u64>) -> Vec<u32> {
        let found = hashes.map(|hash| self.index.find(hash, |_| true).map_or(NONE, |place| *place));
        let places: Vec<u32> = found.collect();
        let loaded = places.iter().fold(0, |sum, place| {
            let record = self.records.get(*place as usize);
            // Its first and its last bytes lie in two lines of the cache.
            record.map_or(0, |record| record.arrived_ns ^ i64::from(record.v4().port())) ^ sum
        });
        let loaded = places.iter().fold(loaded, |sum, place| {
            self.deadlines.get(*place as usize).copied().unwrap_or_default() ^ sum
        });
        std::hint::black_box(loaded);
        places
    }

    fn key_of(&self, place: usize) -> Key<'_> {
        match self.extra(place).and_then(|extra| extra.name.as_deref()) {
            Some(name) => Key::Name(name),
            None => Key::Address(self.simplify(self.address(place))),
        }
    }

    /// Where the last beat of a client came from.
    pub(super) fn address(&self, place: usize) -> SocketAddr {
        let address = self.extra(place).and_then(|extra| extra.address);
        address.unwrap_or_else(|| self.records[place].v4())
    }

    /// Sets where the last beat of a client came from. Its key stays: it has a name, or only its
    /// port changed and it is known by its host.
    pub(super) fn set_address(&mut self, place: usize, address: SocketAddr) {
        if address.is_ipv4() {
            self.records[place].set_v4(address);
            if let Some(extra) = self.extra_mut(place) {
                extra.address = None;
            }
        } else {
            self.extra_or_new(place).address = Some(address);
        }
    }

    /// Adds a client; gives its place.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        address: SocketAddr,
        extra: Option<Extra>,
        mut record: Record,
        estimate: bool,
    ) -> usize {
        let place = self.records.len();
        // A sixty-fourth in reserve, not double: for large arrays the system moves no bytes.
        let reserve = place / 64 + 64;
        if self.records.capacity() == place {
            self.records.reserve_exact(reserve);
            self.deadlines.reserve_exact(reserve);
        }
        record.extra = extra.map_or(NONE, |extra| to_u32(self.extras.insert(extra)));
        self.records.push(record);
        self.deadlines.push(i64::MAX);
        if estimate {
            self.estimates.push(Estimate::default());
        }
        self.set_address(place, address);
        // A million places of the index are found again by the keys when it grows.
        let Self { index, .. } = self;
        let mut grown = std::mem::take(index);
        grown.insert_unique(hash, to_u32(place), |place| self.hash(&self.key_of(*place as usize)));
        self.index = grown;
        place
    }

    /// Removes a client; the last one takes its place.
    pub(super) fn remove(&mut self, place: usize) {
        let last = self.records.len() - 1;
        let (gone, moved) = (self.hash(&self.key_of(place)), self.hash(&self.key_of(last)));
        if let Ok(entry) = self.index.find_entry(gone, |at| *at as usize == place) {
            entry.remove();
        }
        if last != place
            && let Some(at) = self.index.find_mut(moved, |at| *at as usize == last)
        {
            *at = to_u32(place);
        }
        let record = self.records.swap_remove(place);
        self.deadlines.swap_remove(place);
        if !self.estimates.is_empty() {
            self.estimates.swap_remove(place);
        }
        if record.extra != NONE {
            self.extras.remove(record.extra as usize);
        }
    }

    pub(super) fn record(&self, place: usize) -> &Record {
        &self.records[place]
    }

    pub(super) fn record_mut(&mut self, place: usize) -> &mut Record {
        &mut self.records[place]
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn deadlines(&self) -> &[i64] {
        &self.deadlines
    }

    pub(super) fn deadline_mut(&mut self, place: usize) -> &mut i64 {
        &mut self.deadlines[place]
    }

    pub(super) fn estimate(&self, place: usize) -> Estimate {
        self.estimates.get(place).copied().unwrap_or_default()
    }

    pub(super) fn estimate_mut(&mut self, place: usize) -> Option<&mut Estimate> {
        self.estimates.get_mut(place)
    }

    pub(super) fn extra(&self, place: usize) -> Option<&Extra> {
        self.extras.get(self.records[place].extra as usize)
    }

    pub(super) fn extra_mut(&mut self, place: usize) -> Option<&mut Extra> {
        self.extras.get_mut(self.records[place].extra as usize)
    }

    pub(super) fn extra_or_new(&mut self, place: usize) -> &mut Extra {
        if self.records[place].extra == NONE {
            self.records[place].extra = to_u32(self.extras.insert(Extra::default()));
        }
        &mut self.extras[self.records[place].extra as usize]
    }
}

/// The table has at most as many places as 32 bits can name.
fn to_u32(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn address(kind: u8, port: u16) -> SocketAddr {
        let host = if kind == 0 { "127.0.0.1" } else { "::1" };
        SocketAddr::new(host.parse().unwrap(), port)
    }

    proptest! {
        /// Clients that come and go, against a plain map.
        #[test]
        fn whoever_is_in_it_is_found(
            steps in prop::collection::vec((0..3_u8, 0..20_u16, any::<bool>()), 0..300),
        ) {
            let mut table = Table::new(false);
            let mut model = BTreeMap::new();
            for (step, &(kind, number, add)) in steps.iter().enumerate() {
                let name = format!("name {number}");
                let name = (kind == 2).then_some(name.as_bytes());
                let from = address(kind, number);
                let key = table.key(from, name);
                let hash = table.hash(&key);
                let place = table.find(hash, &key, NONE as usize);
                prop_assert_eq!(place.is_some(), model.contains_key(&(kind, number)));
                match (place, add) {
                    (None, true) => {
                        let extra = name.map(|name| Extra { name: Some(name.into()), ..Extra::default() });
                        let arrived_ns = i64::try_from(step).unwrap();
                        let record = Record::new(None, arrived_ns);
                        table.insert(hash, from, extra, record, true);
                        model.insert((kind, number), arrived_ns);
                    }
                    (Some(place), false) => {
                        table.remove(place);
                        model.remove(&(kind, number));
                    }
                    (Some(place), true) => {
                        prop_assert_eq!(table.record(place).arrived_ns, model[&(kind, number)]);
                        prop_assert_eq!(table.address(place), from);
                    }
                    (None, false) => {}
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.extras.len(), model.keys().filter(|(kind, _)| *kind > 0).count());
            }
        }
    }

    #[test]
    fn a_million_take_less_than_100_bytes_each() {
        let mut table = Table::new(false);
        for client in 0..1_000_000_u32 {
            let from = SocketAddr::from((client.to_be_bytes(), 7));
            let hash = table.hash(&table.key(from, None));
            table.insert(hash, from, None, Record::new(Some(1), 0), false);
        }
        let arrays =
            table.records.capacity() * size_of::<Record>() + table.deadlines.capacity() * 8;
        let bytes = (arrays + table.index.allocation_size()) / table.len();
        assert!(bytes <= 100, "{bytes}");
    }
}
