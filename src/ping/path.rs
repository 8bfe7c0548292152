//! The path of a session as its packets and errors show it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;

use crate::packed::{Packed, Reader};
use crate::ping::{Blank, Rare};
use crate::{Icmp, Stamp};

/// The most distinct ICMP errors with routers.
const MAX_REASONS: usize = 64;

/// The most distinct ICMP errors, those without routers included.
const MAX_ALL_REASONS: usize = 128;

/// The most distinct sources of foreign datagrams.
const MAX_SOURCES: usize = 16;

/// The most distinct codes of failed sends.
const MAX_SEND_ERRORS: usize = 32;

/// How many of the last changes of address are kept.
const MAX_CHANGES: usize = 100;

/// An ICMP error: type, code and the router that sent it, `None` for those beyond the bound.
pub type Reason = (u8, u8, Option<IpAddr>);

/// Returns the words for an ICMP error (RFC 792, RFC 1812 section 5.2.7, RFC 4443).
#[must_use]
pub fn describe(reason: Reason) -> String {
    let (kind, code, router) = reason;
    let v6 = router.is_some_and(|router| router.is_ipv6());
    let words = match (v6, kind, code) {
        (false, 3, 0 | 6) | (true, 1, 0) => "network unreachable",
        (false, 3, 1 | 7) | (true, 1, 3) => "host unreachable",
        (false, 3, 3) | (true, 1, 4) => "port unreachable",
        (false, 3, 4) | (true, 2, _) => "packet too big",
        (false, 3, 9 | 10 | 13) | (true, 1, 1) => "prohibited",
        (false, 11, 0) | (true, 3, 0) => "time to live exceeded",
        _ => return with_router(format!("ICMP type {kind} code {code}"), router),
    };
    with_router(words.to_owned(), router)
}

fn with_router(words: String, router: Option<IpAddr>) -> String {
    match router {
        Some(router) => format!("{words} from {router}"),
        None => words,
    }
}

/// What a session learned about its path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    /// The TTLs (hop limits) of replies.
    pub reply_ttl: Option<HeaderField>,
    /// The type-of-service octets (traffic classes) of replies.
    pub reply_tos: Option<HeaderField>,
    /// Errors, foreign datagrams and changes.
    pub troubles: Rare<Troubles>,
}

/// The errors and foreign datagrams of a session, and the changes of its addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Troubles {
    /// ICMP errors about probes.
    pub reasons: BTreeMap<Reason, u64>,
    /// Error codes of the operating system for probes that it could not send; 0 if the send buffer
    /// stayed full.
    pub send_errors: BTreeMap<i32, u64>,
    /// Sources of foreign datagrams; those beyond the bound are only counted as foreign.
    pub foreign_sources: BTreeMap<SocketAddr, u64>,
    /// Those of them that sent replies: from another address than the probes went to.
    pub elsewhere: BTreeMap<SocketAddr, u64>,
    /// The smallest path MTU that was reported, in bytes of IP packet.
    pub mtu: Option<u32>,
    /// Changes of the host's own address and of the target's.
    pub changes: Changes,
}

impl Blank for Troubles {
    fn blank() -> &'static Self {
        const {
            &Self {
                reasons: BTreeMap::new(),
                send_errors: BTreeMap::new(),
                foreign_sources: BTreeMap::new(),
                elsewhere: BTreeMap::new(),
                mtu: None,
                changes: Changes { count: 0, last: VecDeque::new() },
            }
        }
    }
}

impl Troubles {
    /// Adds an ICMP error.
    pub(super) fn add_icmp(&mut self, error: &Icmp<'_>) {
        if error.router.is_some() {
            let reason = (error.kind, error.code, error.router);
            let fits = self.reasons.contains_key(&reason) || self.reasons.len() < MAX_REASONS;
            let reason = if fits { reason } else { (error.kind, error.code, None) };
            add_bounded(&mut self.reasons, reason, 1, MAX_ALL_REASONS);
        }
        self.mtu = self.mtu.into_iter().chain(error.mtu).min();
    }

    /// Adds a send that failed.
    pub(super) fn add_send_error(&mut self, code: Option<i32>) {
        add_bounded(&mut self.send_errors, code.unwrap_or(0), 1, MAX_SEND_ERRORS);
    }

    /// Adds a foreign datagram, which may be a reply to a probe.
    pub(super) fn add_foreign(&mut self, from: SocketAddr, is_reply: bool) {
        if is_reply {
            add_bounded(&mut self.elsewhere, from, 1, MAX_SOURCES);
        }
        add_bounded(&mut self.foreign_sources, from, 1, MAX_SOURCES);
    }
}

impl Path {
    /// Adds the header of a reply.
    pub(super) fn add_reply(&mut self, ttl: Option<u8>, tos: Option<u8>) {
        for (field, value) in [(&mut self.reply_ttl, ttl), (&mut self.reply_tos, tos)] {
            if let Some(value) = value {
                field.get_or_insert_with(|| HeaderField::new(value)).add(value);
            }
        }
    }

    /// Ends a snapshot: drops the state that only a running session needs.
    pub(super) fn end(&mut self) {
        [&mut self.reply_ttl, &mut self.reply_tos].into_iter().flatten().for_each(HeaderField::end);
    }
}

/// Returns whether a failed send means that the host had no address or no route.
pub(super) fn means_no_address(code: i32) -> bool {
    matches!(
        io::Error::from_raw_os_error(code).kind(),
        ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::InvalidInput
    )
}

/// Adds to an entry, or a new one if there is room.
fn add_bounded<K: Ord>(map: &mut BTreeMap<K, u64>, key: K, count: u64, room: usize) {
    if map.contains_key(&key) || map.len() < room {
        let sum = map.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// Adds all entries of `other` like [`add_bounded`].
fn add_all<K: Copy + Ord>(map: &mut BTreeMap<K, u64>, other: &BTreeMap<K, u64>, room: usize) {
    for (key, count) in other {
        add_bounded(map, *key, *count, room);
    }
}

/// The values of a header field of one octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// The smallest.
    pub min: u8,
    /// The largest.
    pub max: u8,
    /// How often it differed from the one before.
    pub changes: u64,
    last: Option<u8>,
}

impl HeaderField {
    pub(super) fn new(value: u8) -> Self {
        Self { min: value, max: value, changes: 0, last: None }
    }

    pub(super) fn add(&mut self, value: u8) {
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
        self.changes += u64::from(self.last.is_some_and(|last| last != value));
        self.last = Some(value);
    }

    /// Ends a snapshot: drops the last value.
    pub(super) fn end(&mut self) {
        self.last = None;
    }

    /// Adds the values of another session.
    pub(super) fn merge(mine: &mut Option<Self>, theirs: Option<Self>) {
        let Some(theirs) = theirs else { return };
        let sum = mine.get_or_insert(Self { changes: 0, ..theirs });
        (sum.min, sum.max) = (sum.min.min(theirs.min), sum.max.max(theirs.max));
        sum.changes = sum.changes.saturating_add(theirs.changes);
    }
}

/// Changes of address, the last of them in full.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// All of them.
    pub count: u64,
    /// The last ones, oldest first.
    pub last: VecDeque<Change>,
}

/// A change of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was noticed, in nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// Whose address.
    pub of: End,
    /// The address before; `None` if the host had none that reaches the target.
    pub before: Option<IpAddr>,
    /// The address after.
    pub after: Option<IpAddr>,
}

/// An end of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// This host.
    Source,
    /// The server.
    Target,
}

impl End {
    /// All of them by name, in the order of their stored numbers.
    pub const ALL: [(&str, Self); 2] = [("source", Self::Source), ("target", Self::Target)];
}

/// This host's address on the path, as far as replies and failed sends show it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Source {
    #[default]
    Unknown,
    Known(Option<IpAddr>),
}

impl Source {
    /// Sets this host's address on the path: `None` if a send failed for want of one. Returns the
    /// change, if it is one.
    pub(super) fn set(&mut self, at: Stamp, after: Option<IpAddr>) -> Option<Change> {
        let before = std::mem::replace(self, Self::Known(after));
        match before {
            Self::Known(before) if before != after => {
                Some(Change { at_ns: at.wall_ns, of: End::Source, before, after })
            }
            _ => None,
        }
    }
}

impl Changes {
    /// Adds a change of the target's address.
    pub(super) fn add_target(&mut self, at: Stamp, before: Option<IpAddr>, after: IpAddr) {
        let after = Some(after);
        self.push(Change { at_ns: at.wall_ns, of: End::Target, before, after });
    }

    pub(super) fn push(&mut self, change: Change) {
        self.count += 1;
        self.last.push_back(change);
        self.trim();
    }

    fn trim(&mut self) {
        while self.last.len() > MAX_CHANGES {
            self.last.pop_front();
        }
    }
}

impl AddAssign<&Self> for Path {
    fn add_assign(&mut self, other: &Self) {
        HeaderField::merge(&mut self.reply_ttl, other.reply_ttl);
        HeaderField::merge(&mut self.reply_tos, other.reply_tos);
        self.troubles += &other.troubles;
    }
}

impl AddAssign<&Self> for Troubles {
    fn add_assign(&mut self, other: &Self) {
        add_all(&mut self.reasons, &other.reasons, MAX_ALL_REASONS);
        add_all(&mut self.send_errors, &other.send_errors, MAX_SEND_ERRORS);
        add_all(&mut self.foreign_sources, &other.foreign_sources, MAX_SOURCES);
        add_all(&mut self.elsewhere, &other.elsewhere, MAX_SOURCES);
        self.mtu = self.mtu.into_iter().chain(other.mtu).min();
        self.changes.count = self.changes.count.saturating_add(other.changes.count);
        self.changes.last.extend(&other.changes.last);
        self.changes.last.make_contiguous().sort_by_key(|change| change.at_ns);
        self.changes.trim();
    }
}

impl Packed for Path {
    fn pack(&self, out: &mut Vec<u8>) {
        let Troubles { reasons, send_errors, foreign_sources, elsewhere, mtu, changes } =
            &*self.troubles;
        reasons.pack(out);
        send_errors.pack(out);
        foreign_sources.pack(out);
        elsewhere.pack(out);
        mtu.map(i64::from).pack(out);
        self.reply_ttl.pack(out);
        self.reply_tos.pack(out);
        changes.count.pack(out);
        changes.last.iter().copied().collect::<Vec<_>>().pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let mut troubles = Troubles {
            reasons: from.read()?,
            send_errors: from.read()?,
            foreign_sources: from.read()?,
            elsewhere: from.read()?,
            mtu: from.read::<Option<i64>>()?.map(u32::try_from).transpose().ok()?,
            changes: Changes::default(),
        };
        let (reply_ttl, reply_tos) = (from.read()?, from.read()?);
        let (count, last) = (from.read()?, from.read::<Vec<_>>()?);
        troubles.changes = Changes { count, last: last.into() };
        let sound = troubles.changes.last.len() as u64 <= count;
        sound.then(|| Self { reply_ttl, reply_tos, troubles: troubles.into() })
    }
}

impl Packed for HeaderField {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend([self.min, self.max]);
        self.changes.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let field =
            Self { min: from.byte()?, max: from.byte()?, changes: from.read()?, last: None };
        (field.min <= field.max).then_some(field)
    }
}

impl Packed for Change {
    fn pack(&self, out: &mut Vec<u8>) {
        self.at_ns.pack(out);
        out.push(self.of as u8);
        self.before.pack(out);
        self.after.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let at_ns = from.read()?;
        let (_, of) = *End::ALL.get(usize::from(from.byte()?))?;
        Some(Self { at_ns, of, before: from.read()?, after: from.read()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{pack, unpack};
    use proptest::prelude::*;

    fn at(second: i64) -> Stamp {
        Stamp { mono_ns: 0, wall_ns: second }
    }

    fn router(number: u32) -> Icmp<'static> {
        let to = "198.18.0.1:7".parse().unwrap();
        let router = Some(IpAddr::from(number.to_be_bytes()));
        Icmp { kind: 3, code: 1, router, to, mtu: None, datagram: &[] }
    }

    #[test]
    fn an_address_that_goes_and_comes_back_has_changed_twice() {
        let address = Some(IpAddr::from([198, 18, 0, 1]));
        let mut source = Source::default();
        let seen = [(0, None), (1, address), (2, address), (4, None)];
        let changes = seen.into_iter().filter_map(|(second, seen)| source.set(at(second), seen));
        let changes: Vec<_> = changes.map(|c| (c.at_ns, c.before, c.after)).collect();
        assert_eq!(changes, [(1, None, address), (4, address, None)]);
    }

    #[test]
    fn failed_sends_are_counted_by_code() {
        let mut troubles = Troubles::default();
        for code in [Some(22), None, Some(22)] {
            troubles.add_send_error(code);
        }
        assert_eq!(troubles.send_errors, BTreeMap::from([(0, 1), (22, 2)]));
        let lost = [Some(22), Some(1), None].map(|code| code.is_some_and(means_no_address));
        assert_eq!(lost, [cfg!(unix), false, false], "EINVAL");
    }

    #[test]
    fn tables_are_bounded() {
        let mut path = Troubles::default();
        for number in 0..1000 {
            path.add_icmp(&router(number));
            path.add_foreign(SocketAddr::new(IpAddr::from(number.to_be_bytes()), 7), true);
            path.changes.add_target(at(number.into()), None, IpAddr::from(number.to_be_bytes()));
        }
        assert_eq!(path.reasons.values().sum::<u64>(), 1000, "the rest has no router");
        assert_eq!(path.reasons[&(3, 1, None)], 1000 - 64);
        assert_eq!((path.foreign_sources.len(), path.elsewhere.len()), (16, 16));
        assert_eq!((path.changes.count, path.changes.last.len()), (1000, 100));
    }

    #[test]
    fn errors_have_words() {
        let (v4, v6) = (Some([198, 18, 0, 1].into()), "2001:db8::1".parse().ok());
        for (reason, words) in [
            ((3, 3, v4), "port unreachable from 198.18.0.1"),
            ((1, 4, v6), "port unreachable from 2001:db8::1"),
            ((3, 0, v6), "time to live exceeded from 2001:db8::1"),
            ((12, 0, v4), "ICMP type 12 code 0 from 198.18.0.1"),
            ((3, 1, None), "host unreachable"),
        ] {
            assert_eq!(describe(reason), words);
        }
    }

    #[test]
    fn the_smallest_mtu_is_kept() {
        let mut path = Troubles::default();
        for mtu in [None, Some(1400), Some(1300), Some(1450), None] {
            path.add_icmp(&Icmp { mtu, router: None, ..router(1) });
        }
        assert_eq!((path.mtu, path.reasons.len()), (Some(1300), 0), "no router reported it");
    }

    #[test]
    fn a_header_field_that_changes_is_noticed() {
        let mut path = Path::default();
        for ttl in [Some(63), Some(63), None, Some(62), Some(63)] {
            path.add_reply(ttl, None);
        }
        path.end();
        let ttl = path.reply_ttl.unwrap();
        assert_eq!((ttl.min, ttl.max, ttl.changes, path.reply_tos), (62, 63, 2, None));
    }

    proptest! {
        #[test]
        fn a_path_survives_packing(numbers in prop::collection::vec(0..200_u32, 0..200)) {
            let mut path = Path::default();
            for number in numbers {
                let troubles = path.troubles.make();
                troubles.add_icmp(&Icmp { mtu: Some(number), ..router(number) });
                troubles.add_send_error((number % 7 > 0).then_some(22));
                let address = IpAddr::from(number.to_be_bytes());
                troubles.changes.add_target(at(number.into()), None, address);
                path.add_reply(Some(number.to_le_bytes()[0]), Some(0));
            }
            path.end();
            prop_assert_eq!(unpack::<Path>(&pack(&path)), Some(path.clone()));
            let mut double = path.clone();
            double += &path;
            prop_assert_eq!(
                double.troubles.reasons.values().sum::<u64>(),
                2 * path.troubles.reasons.values().sum::<u64>()
            );
        }
    }
}
