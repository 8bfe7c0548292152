//! A reflector's treatment of TLVs (RFC 8972 section 4).

use std::net::{IpAddr, SocketAddr};

use crate::wire::Key;
use crate::wire::stamp::field;
use crate::wire::stamp::time::Timestamp;
use crate::wire::stamp::tlv::{
    ClassOfService, DirectMeasurement, FollowUp, HEADER, Kind, Place, Tagged, TimestampInfo, Walk,
    flag,
};

/// The flags that a reflector sets or clears.
const OURS: u8 = flag::UNRECOGNIZED | flag::MALFORMED | flag::INTEGRITY;

/// The facts about a request and its reply for which TLVs ask.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The sequence number of the request.
    pub sender_seq: u32,
    /// The sequence number of the reply.
    pub seq: u32,
    /// The source of the request.
    pub from: SocketAddr,
    /// The address to which it was sent, if known, and the port.
    pub to: (Option<IpAddr>, u16),
    /// The type of service with which it arrived; 0 if unknown.
    pub tos: u8,
    /// The type of service with which the reply leaves.
    pub reply_tos: u8,
    /// The origin of T2 and T3.
    pub timestamps: TimestampInfo,
    /// The session's counts; `None` without a session.
    pub counts: Option<Counts>,
}

/// Counts of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests received, this one included.
    pub received: u32,
    /// Replies sent before.
    pub sent: u32,
    /// The last reply.
    pub last: Option<Departed>,
}

/// A reply that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Its sequence number.
    pub seq: u32,
    /// Its T3.
    pub sent: Timestamp,
}

/// Turns the TLVs behind a request into those of its reply, in place: sets their flags, answers
/// those it knows, and tags them with the key of `keys` with which the request's are tagged.
///
/// If `must_tag`, which authenticated packets must, TLVs without a right tag stay unanswered and get
/// the integrity flag; otherwise only those with a wrong one. Padding stays as it is.
pub fn reflect(tail: &mut [u8], keys: &[Key], must_tag: bool, facts: &Facts) {
    let found = Tagged::find(tail);
    let key = keys.iter().find(|key| found.is_right(tail, facts.sender_seq, key));
    let failed = key.is_none() && (found.tag.is_some() || must_tag && found.needs_tag);
    let tag_start = found.tag.as_ref().map_or(usize::MAX, |tag| tag.start);
    let mut walk = Walk::new(tail);
    while let Some(place) = walk.next(tail) {
        let kind = Kind::of(place.kind);
        let misplaced = failed && place.start > tag_start && kind != Some(Kind::ExtraPadding);
        let mut flags = tail[place.start] & !OURS;
        flags |= if place.malformed || misplaced { flag::MALFORMED } else { 0 };
        flags |= if failed { flag::INTEGRITY } else { 0 };
        let value = &mut tail[place.value.clone()];
        let recognized = match kind {
            None => false,
            Some(Kind::FollowUp) if place.malformed && !failed => {
                // Erratum 8339.
                value.iter_mut().take(12).for_each(|byte| *byte = 0);
                true
            }
            Some(_) if place.malformed || failed => true,
            Some(kind) => answer(kind, value, facts),
        };
        flags |= if recognized { 0 } else { flag::UNRECOGNIZED };
        tail[place.start] = flags;
    }
    if let (Some(key), Some(Place { start, value, .. })) = (key, found.tag) {
        let tag = key.tag([&facts.seq.to_be_bytes(), &tail[..start]]);
        tail[value].copy_from_slice(&tag);
    }
}

/// Writes the answer over a value of the right length. Returns whether there is one.
fn answer(kind: Kind, value: &mut [u8], facts: &Facts) -> bool {
    match kind {
        Kind::ExtraPadding | Kind::Hmac => {}
        Kind::Location => locate(value, facts),
        Kind::TimestampInfo => value.copy_from_slice(&facts.timestamps.bytes()),
        Kind::ClassOfService => {
            let Some(asked) = ClassOfService::read(value) else { return false };
            let answer = ClassOfService {
                dscp: facts.tos >> 2,
                ecn: facts.tos & 3,
                refused: u8::from(asked.wanted != facts.reply_tos >> 2),
                ..asked
            };
            value.copy_from_slice(&answer.bytes());
        }
        Kind::DirectMeasurement => {
            let asked = DirectMeasurement::read(value);
            let Some((asked, counts)) = asked.zip(facts.counts) else { return false };
            let Counts { received, sent, .. } = counts;
            value.copy_from_slice(&DirectMeasurement { received, sent, ..asked }.bytes());
        }
        Kind::FollowUp => {
            let last = facts.counts.and_then(|counts| counts.last);
            let Departed { seq, sent } = last.unwrap_or(Departed { seq: 0, sent: Timestamp(0) });
            let method = facts.timestamps.method_out;
            value.copy_from_slice(&FollowUp { seq, sent, method }.bytes());
        }
    }
    true
}

/// Answers a Location TLV (section 4.2): ports, and sub-TLVs for addresses. A UDP socket sees no
/// MAC address: the answer to a question for it is an empty EUI-64.
fn locate(value: &mut [u8], facts: &Facts) {
    let Facts { from, to: (to, port), .. } = *facts;
    let (ports, mut rest) = value.split_at_mut(4);
    ports[..2].copy_from_slice(&port.to_be_bytes());
    ports[2..].copy_from_slice(&from.port().to_be_bytes());
    let source = from.ip().to_canonical();
    let target = to.map(|ip| ip.to_canonical());
    while let Some([flags, kind, high, low]) = field(rest, 0) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let needed = match kind {
            1 => Some(8),
            4 | 7 => Some(16),
            _ => None,
        };
        let (header, behind) = rest.split_at_mut(HEADER);
        header[0] = flags & !OURS;
        if length > behind.len() || needed.is_some_and(|needed| needed != length) {
            header[0] |= flag::MALFORMED;
            return;
        }
        let (value, next) = behind.split_at_mut(length);
        rest = next;
        if needed.is_none() {
            header[0] |= flag::UNRECOGNIZED;
            continue;
        }
        value.fill(0);
        let v4 = if kind == 7 { source } else { target.unwrap_or(source) }.is_ipv4();
        header[1] = match kind {
            1 => 3,
            kind => kind + if v4 { 1 } else { 2 },
        };
        match if kind == 7 { Some(source) } else { target.filter(|_| kind == 4) } {
            Some(IpAddr::V4(ip)) => value[..4].copy_from_slice(&ip.octets()),
            Some(IpAddr::V6(ip)) => value.copy_from_slice(&ip.octets()),
            None => {}
        }
    }
}
