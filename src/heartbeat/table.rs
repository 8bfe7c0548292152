//! The table of clients: a hash table from keys to indices, and dense arrays of records.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::SocketAddr;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use crate::heartbeat::Estimate;
use crate::heartbeat::peer::{Details, NONE, Record};
use crate::wire::Beat;

/// Identity of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Address(SocketAddr),
    Boot(u64),
    Name(&'a [u8]),
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            // One word instead of four.
            Self::Address(SocketAddr::V4(v4)) => {
                state.write_u64(u64::from(v4.ip().to_bits()) << 16 | u64::from(v4.port()));
            }
            Self::Address(address) => address.hash(state),
            Self::Boot(boot) => boot.hash(state),
            Self::Name(name) => name.hash(state),
        }
    }
}

/// All clients. Removing one moves the last one to its index.
#[derive(Debug)]
pub(super) struct Table {
    /// Seeded per process, so that nobody can aim at one bucket.
    hasher: DefaultHashBuilder,
    by_key: HashTable<u32>,
    records: Vec<Record>,
    /// Next deadline of each client, in an array of its own because it is swept.
    deadlines: Vec<i64>,
    /// Empty if the detector needs none.
    estimates: Vec<Estimate>,
    details: Slab<Details>,
    pub(super) by_host: bool,
}

impl Table {
    pub(super) fn new(by_host: bool) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            by_key: HashTable::new(),
            records: Vec::new(),
            deadlines: Vec::new(),
            estimates: Vec::new(),
            details: Slab::new(),
            by_host,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns the key of a beat: its sender's name, or else its boot id, or else its source
    /// address; with `by_host` the name or the host.
    pub(super) fn key<'a>(
        &self,
        from: SocketAddr,
        name: Option<&'a [u8]>,
        boot: Option<u64>,
    ) -> Key<'a> {
        match (name, boot) {
            (Some(name), _) => Key::Name(name),
            (None, Some(boot)) if !self.by_host => Key::Boot(boot),
            _ => Key::Address(self.simplify(from)),
        }
    }

    /// Returns the part of an address that identifies a client.
    pub(super) fn simplify(&self, from: SocketAddr) -> SocketAddr {
        SocketAddr::new(from.ip(), if self.by_host { 0 } else { from.port() })
    }

    pub(super) fn hash(&self, key: &Key<'_>) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Returns the index of a client; tries `hint` first.
    pub(super) fn find(&self, hash: u64, key: &Key<'_>, hint: u32) -> Option<usize> {
        if self.has_key(hint, key) {
            return Some(hint as usize);
        }
        self.by_key.find(hash, |index| self.has_key(*index, key)).map(|index| *index as usize)
    }

    fn has_key(&self, index: u32, key: &Key<'_>) -> bool {
        let index = index as usize;
        let Some(record) = self.records.get(index) else { return false };
        match key {
            // Fast path: most clients are known by nothing but an IPv4 address.
            Key::Address(SocketAddr::V4(address)) if record.details == NONE && !self.by_host => {
                record.v4() == *address
            }
            _ => self.key_of(index) == *key,
        }
    }

    /// Returns the probable index of the client with this hash.
    pub(super) fn hint(&self, hash: u64) -> u32 {
        self.by_key.find(hash, |_| true).copied().unwrap_or(NONE)
    }

    /// Loads the memory that the next steps with these clients will read. The loads of a loop do not
    /// depend on each other, so that the processor waits for all of them together.
    pub(super) fn prefetch(&self, hints: impl Iterator<Item = u32> + Clone) {
        let loaded = hints.clone().fold(0, |sum, index| {
            let record = self.records.get(index as usize);
            // A record spans two cache lines: touch its first and its last bytes.
            record.map_or(0, |record| record.last_received_ns ^ i64::from(record.v4().port())) ^ sum
        });
        let loaded = hints.clone().fold(loaded, |sum, index| {
            self.deadlines.get(index as usize).copied().unwrap_or_default() ^ sum
        });
        let details = hints.filter_map(|index| {
            let record = self.records.get(index as usize)?;
            self.details.get(record.details as usize)
        });
        let loaded = details.fold(loaded, |sum, details| details.touch() ^ sum);
        std::hint::black_box(loaded);
    }

    fn key_of(&self, index: usize) -> Key<'_> {
        let details = self.details(index);
        let name = details.and_then(|details| details.name.as_deref());
        self.key(self.address(index), name, details.and_then(|details| details.boot))
    }

    /// Returns the source address of a client's last beat.
    pub(super) fn address(&self, index: usize) -> SocketAddr {
        let address = self.details(index).and_then(|details| details.address);
        address.unwrap_or_else(|| self.records[index].v4().into())
    }

    /// Returns whether nothing is known of a client but its record, and `from` is its address.
    pub(super) fn is_plain(&self, index: usize, from: SocketAddr) -> bool {
        let record = &self.records[index];
        record.details == NONE && from == SocketAddr::V4(record.v4())
    }

    /// Returns the record and the details of the sender of a beat if it probably is the one at
    /// `index`, has not moved, and [its details are quiet](Details::is_quiet).
    #[inline]
    pub(super) fn quiet_mut(
        &mut self,
        index: u32,
        from: SocketAddr,
        beat: &Beat<'_>,
    ) -> Option<(&mut Record, Option<&mut Details>)> {
        let record = self.records.get_mut(index as usize)?;
        if from != SocketAddr::V4(record.v4()) {
            return None;
        }
        if record.details == NONE {
            return (beat.name.is_none() && beat.boot.is_none()).then_some((record, None));
        }
        let details = self.details.get_mut(record.details as usize)?;
        let is_sender = details.name.as_deref() == beat.name && details.boot == beat.boot;
        (is_sender && details.is_quiet()).then_some((record, Some(details)))
    }

    /// Sets the source address of a client's last beat. The key stays valid: the client has a name
    /// or a boot id, or it is known by its host and only the port changed.
    pub(super) fn set_address(&mut self, index: usize, address: SocketAddr) {
        if let SocketAddr::V4(address) = address {
            self.records[index].set_v4(address);
            if let Some(details) = self.details_mut(index) {
                details.address = None;
            }
        } else {
            self.details_or_default(index).address = Some(address);
        }
    }

    /// Adds a client and returns its index.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        address: SocketAddr,
        details: Option<Details>,
        mut record: Record,
        estimate: bool,
    ) -> usize {
        let index = self.records.len();
        // Grow by a sixty-fourth, not double: the system moves large arrays without copying them.
        let reserve = index / 64 + 64;
        if self.records.capacity() == index {
            self.records.reserve_exact(reserve);
            self.deadlines.reserve_exact(reserve);
        }
        record.details = details.map_or(NONE, |details| to_u32(self.details.insert(details)));
        self.records.push(record);
        self.deadlines.push(i64::MAX);
        if estimate {
            self.estimates.push(Estimate::default());
        }
        self.set_address(index, address);
        // Take the hash table out, because it hashes all keys again when it grows.
        let mut grown = std::mem::take(&mut self.by_key);
        grown.insert_unique(hash, to_u32(index), |index| self.hash(&self.key_of(*index as usize)));
        self.by_key = grown;
        index
    }

    /// Removes a client; the last one takes its index.
    pub(super) fn remove(&mut self, index: usize) {
        let last = self.records.len() - 1;
        let (gone, moved) = (self.hash(&self.key_of(index)), self.hash(&self.key_of(last)));
        if let Ok(entry) = self.by_key.find_entry(gone, |at| *at as usize == index) {
            entry.remove();
        }
        if last != index
            && let Some(at) = self.by_key.find_mut(moved, |at| *at as usize == last)
        {
            *at = to_u32(index);
        }
        let record = self.records.swap_remove(index);
        self.deadlines.swap_remove(index);
        if !self.estimates.is_empty() {
            self.estimates.swap_remove(index);
        }
        if record.details != NONE {
            self.details.remove(record.details as usize);
        }
    }

    pub(super) fn record(&self, index: usize) -> &Record {
        &self.records[index]
    }

    pub(super) fn record_mut(&mut self, index: usize) -> &mut Record {
        &mut self.records[index]
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn deadlines(&self) -> &[i64] {
        &self.deadlines
    }

    pub(super) fn deadline_mut(&mut self, index: usize) -> &mut i64 {
        &mut self.deadlines[index]
    }

    pub(super) fn estimate(&self, index: usize) -> Estimate {
        self.estimates.get(index).copied().unwrap_or_default()
    }

    pub(super) fn estimate_mut(&mut self, index: usize) -> Option<&mut Estimate> {
        self.estimates.get_mut(index)
    }

    pub(super) fn details(&self, index: usize) -> Option<&Details> {
        match self.records[index].details {
            NONE => None,
            details => self.details.get(details as usize),
        }
    }

    pub(super) fn details_mut(&mut self, index: usize) -> Option<&mut Details> {
        match self.records[index].details {
            NONE => None,
            details => self.details.get_mut(details as usize),
        }
    }

    pub(super) fn details_or_default(&mut self, index: usize) -> &mut Details {
        if self.records[index].details == NONE {
            self.records[index].details = to_u32(self.details.insert(Details::default()));
        }
        &mut self.details[self.records[index].details as usize]
    }
}

/// Converts an index; the table has fewer clients than 32 bits can count.
fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Sequence;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn address(kind: u8, port: u16) -> SocketAddr {
        let host = if kind == 0 { "127.0.0.1" } else { "::1" };
        SocketAddr::new(host.parse().unwrap(), port)
    }

    proptest! {
        /// Random insertions and removals, compared with a plain map.
        #[test]
        fn it_matches_a_map(
            steps in prop::collection::vec((0..3_u8, 0..20_u16, any::<bool>()), 0..300),
        ) {
            let mut table = Table::new(false);
            let mut model = BTreeMap::new();
            for (step, &(kind, number, add)) in steps.iter().enumerate() {
                let name = format!("name {number}");
                let name = (kind == 2).then_some(name.as_bytes());
                let from = address(kind, number);
                let key = table.key(from, name, None);
                let hash = table.hash(&key);
                let index = table.find(hash, &key, NONE);
                prop_assert_eq!(index.is_some(), model.contains_key(&(kind, number)));
                match (index, add) {
                    (None, true) => {
                        let details = name.map(|name| Details { name: Some(name.into()), ..Details::default() });
                        let last_received_ns = i64::try_from(step).unwrap();
                        let record = Record::new(Sequence::new(None), last_received_ns);
                        table.insert(hash, from, details, record, true);
                        model.insert((kind, number), last_received_ns);
                    }
                    (Some(index), false) => {
                        table.remove(index);
                        model.remove(&(kind, number));
                    }
                    (Some(index), true) => {
                        prop_assert_eq!(table.record(index).last_received_ns, model[&(kind, number)]);
                        prop_assert_eq!(table.address(index), from);
                    }
                    (None, false) => {}
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.details.len(), model.keys().filter(|(kind, _)| *kind > 0).count());
            }
        }
    }

    #[test]
    fn clients_take_less_than_100_bytes_each() {
        let mut table = Table::new(false);
        // An eighth of a million fills an eighth of the places.
        for client in 0..125_000_u32 {
            let from = SocketAddr::from((client.to_be_bytes(), 7));
            let hash = table.hash(&table.key(from, None, None));
            table.insert(hash, from, None, Record::new(Sequence::new(Some(1)), 0), false);
        }
        let arrays =
            table.records.capacity() * size_of::<Record>() + table.deadlines.capacity() * 8;
        let bytes = (arrays + table.by_key.allocation_size()) / table.len();
        assert!(bytes <= 100, "{bytes}");
    }
}
