//! TLVs (RFC 8972 section 4).

use std::ops::Range;

use crate::wire::stamp::field;
use crate::wire::stamp::time::Timestamp;
use crate::wire::{Key, TAG};

/// The length of a TLV's header: flags, type and length.
pub(super) const HEADER: usize = 4;

/// Flags of a TLV.
pub mod flag {
    /// The reflector does not know the type. A sender sets it.
    pub const UNRECOGNIZED: u8 = 0x80;
    /// The length is wrong, and the reflector stopped here.
    pub const MALFORMED: u8 = 0x40;
    /// The TLVs do not have the tag that their key demands.
    pub const INTEGRITY: u8 = 0x20;
}

/// The types of TLVs that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes that enlarge the packet (section 4.1).
    ExtraPadding = 1,
    /// Ports and addresses as the reflector sees them (section 4.2).
    Location = 2,
    /// The origin of the reflector's timestamps (section 4.3).
    TimestampInfo = 3,
    /// DSCP and ECN as the request arrived (section 4.4).
    ClassOfService = 4,
    /// Packet counts (section 4.5).
    DirectMeasurement = 5,
    /// The T3 of an earlier reply (section 4.7).
    FollowUp = 7,
    /// The tag of the sequence number and all TLVs before it (section 4.8).
    Hmac = 8,
}

impl Kind {
    pub(super) const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::ExtraPadding,
            2 => Self::Location,
            3 => Self::TimestampInfo,
            4 => Self::ClassOfService,
            5 => Self::DirectMeasurement,
            7 => Self::FollowUp,
            8 => Self::Hmac,
            _ => return None,
        })
    }

    /// Returns whether a value can have this length.
    fn fits(self, length: usize) -> bool {
        match self {
            Self::ExtraPadding => true,
            Self::Location => length >= 4,
            Self::TimestampInfo | Self::ClassOfService => length == 4,
            Self::DirectMeasurement => length == 12,
            Self::FollowUp => length == 16,
            Self::Hmac => length == TAG,
        }
    }
}

/// A TLV's place among the bytes behind a base packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) kind: u8,
    /// Ends with the bytes if the length is wrong.
    pub(super) value: Range<usize>,
    /// Whether the length is wrong: nothing behind this TLV can be read.
    pub(super) malformed: bool,
}

/// A walk over the TLVs behind a base packet. Padding ends it: fewer bytes than a header, or zeros
/// only. So does a malformed TLV, which it returns.
#[derive(Debug)]
pub(super) struct Walk {
    at: usize,
    /// The end of the last byte that is not 0.
    end: usize,
}

impl Walk {
    pub(super) fn new(tail: &[u8]) -> Self {
        Self { at: 0, end: tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) }
    }

    pub(super) fn next(&mut self, tail: &[u8]) -> Option<Place> {
        let [_, kind, high, low] = field(tail, self.at).filter(|_| self.at < self.end)?;
        let start = self.at;
        let first = start + HEADER;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let malformed =
            length > tail.len() - first || Kind::of(kind).is_some_and(|kind| !kind.fits(length));
        let last = (first + length).min(tail.len());
        self.at = if malformed { tail.len() } else { last };
        Some(Place { start, kind, value: first..last, malformed })
    }
}

/// A TLV of a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Any of [`flag`].
    pub flags: u8,
    /// The type.
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
}

/// The TLVs behind a base packet, in their order.
#[derive(Debug)]
pub struct Tlvs<'a> {
    tail: &'a [u8],
    walk: Walk,
}

impl<'a> Tlvs<'a> {
    /// Reads the bytes behind a base packet.
    #[must_use]
    pub fn new(tail: &'a [u8]) -> Self {
        Self { tail, walk: Walk::new(tail) }
    }

    /// Returns the TLVs of a reply to which its reflector gave an answer (RFC 8972 section 4):
    /// none if one has the integrity flag, and none from a malformed one on. With a `key`, none if
    /// their tag is missing or wrong.
    #[must_use]
    pub fn answered(tail: &'a [u8], seq: u32, key: Option<&Key>) -> Vec<Tlv<'a>> {
        let all: Vec<_> = Self::new(tail).collect();
        let intact = key.is_none_or(|key| is_tagged(tail, seq, key));
        if !intact || all.iter().any(|tlv| tlv.flags & flag::INTEGRITY != 0) {
            return Vec::new();
        }
        let whole = all.into_iter().take_while(|tlv| tlv.flags & flag::MALFORMED == 0);
        whole.filter(|tlv| tlv.flags & flag::UNRECOGNIZED == 0).collect()
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let Place { start, kind, value, malformed } = self.walk.next(self.tail)?;
        let malformed = if malformed { flag::MALFORMED } else { 0 };
        Some(Tlv { flags: self.tail[start] | malformed, kind, value: &self.tail[value] })
    }
}

impl Tlv<'_> {
    /// Returns the TLV of a request: its reflector has to clear the flag.
    #[must_use]
    pub fn request(kind: Kind, value: &[u8]) -> Tlv<'_> {
        Tlv { flags: flag::UNRECOGNIZED, kind: kind as u8, value }
    }

    /// Appends the TLV to a packet. A value longer than 65,535 bytes is cut.
    pub fn append(&self, packet: &mut Vec<u8>) {
        let length = u16::try_from(self.value.len()).unwrap_or(u16::MAX);
        packet.extend_from_slice(&[self.flags, self.kind]);
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&self.value[..length.into()]);
    }

    /// Appends the tag of all TLVs behind a base of `base` bytes to a packet.
    pub fn append_tag(packet: &mut Vec<u8>, base: usize, key: &Key) {
        let (Some(seq), Some(tail)) = (packet.get(..4), packet.get(base..)) else { return };
        let tag = key.tag([seq, tail]);
        Tlv::request(Kind::Hmac, &tag).append(packet);
    }
}

/// The place of the tag among TLVs.
#[derive(Debug, Default)]
pub(super) struct Tagged {
    /// The first tag.
    pub(super) tag: Option<Place>,
    /// Whether more than one padding follows the base.
    pub(super) needs_tag: bool,
    /// Whether something other than padding follows the tag.
    pub(super) misplaced: bool,
}

impl Tagged {
    /// Finds the tag among the TLVs behind a base packet.
    pub(super) fn find(tail: &[u8]) -> Self {
        let (mut found, mut count, mut walk) = (Self::default(), 0_usize, Walk::new(tail));
        while let Some(place) = walk.next(tail) {
            let padding = place.kind == Kind::ExtraPadding as u8;
            count += 1;
            found.needs_tag |= !padding || count > 1;
            if found.tag.is_some() {
                found.misplaced |= !padding;
            } else if place.kind == Kind::Hmac as u8 && !place.malformed {
                found.tag = Some(place);
            }
        }
        found
    }

    /// Returns whether the tag is in its place and right.
    pub(super) fn is_right(&self, tail: &[u8], seq: u32, key: &Key) -> bool {
        self.tag.as_ref().is_some_and(|Place { start, value, .. }| {
            let covered = [&seq.to_be_bytes()[..], &tail[..*start]];
            !self.misplaced && key.verifies(covered, &tail[value.clone()])
        })
    }
}

/// Returns whether the TLVs of a reply have the right tag or need none.
fn is_tagged(tail: &[u8], seq: u32, key: &Key) -> bool {
    let found = Tagged::find(tail);
    !found.needs_tag || found.is_right(tail, seq, key)
}

/// The value of a Timestamp Information TLV (RFC 8972 section 4.3).
///
/// Sources of synchronization: 1 NTP, 2 PTP, 3 SSU or BITS, 4 GNSS, 5 local. Methods: 1 hardware,
/// 2 software, 3 control plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimestampInfo {
    /// The synchronization source of T2.
    pub source_in: u8,
    /// The method of T2.
    pub method_in: u8,
    /// The synchronization source of T3.
    pub source_out: u8,
    /// The method of T3.
    pub method_out: u8,
}

impl TimestampInfo {
    /// Reads a value; `None` if its length is wrong.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let &[source_in, method_in, source_out, method_out] = value else { return None };
        Some(Self { source_in, method_in, source_out, method_out })
    }

    /// Returns the value.
    #[must_use]
    pub fn bytes(self) -> [u8; 4] {
        [self.source_in, self.method_in, self.source_out, self.method_out]
    }
}

/// The value of a Class of Service TLV (RFC 8972 section 4.4, erratum 8199).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassOfService {
    /// DSCP1: that of the reply, as the sender wants it; 6 bits.
    pub wanted: u8,
    /// DSCP2: that of the request on arrival; 6 bits.
    pub dscp: u8,
    /// The ECN bits of the request on arrival; 2 bits.
    pub ecn: u8,
    /// RP: 1 if the reflector did not use the DSCP wanted; 2 bits.
    pub refused: u8,
    /// Reserved bits, which a draft uses.
    pub reserved: u16,
}

impl ClassOfService {
    /// Reads a value; `None` if its length is wrong.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let &[a, b, c, d] = value else { return None };
        let reserved = u16::from_be_bytes([c, d]);
        Some(Self {
            wanted: a >> 2,
            dscp: (a & 3) << 4 | b >> 4,
            ecn: b >> 2 & 3,
            refused: b & 3,
            reserved,
        })
    }

    /// Returns the value; excess bits of its fields are cut.
    #[must_use]
    pub fn bytes(self) -> [u8; 4] {
        let [c, d] = self.reserved.to_be_bytes();
        let a = self.wanted << 2 | self.dscp >> 4 & 3;
        [a, self.dscp << 4 | (self.ecn & 3) << 2 | self.refused & 3, c, d]
    }
}

/// The value of a Direct Measurement TLV (RFC 8972 section 4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectMeasurement {
    /// Packets that the sender had sent, this one included.
    pub sender_sent: u32,
    /// Packets of the session that the reflector had received, this one included.
    pub received: u32,
    /// Replies that the reflector had sent before.
    pub sent: u32,
}

impl DirectMeasurement {
    /// Reads a value; `None` if its length is wrong.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let value: &[u8; 12] = value.try_into().ok()?;
        let number = |at| field(value, at).map(u32::from_be_bytes);
        Some(Self { sender_sent: number(0)?, received: number(4)?, sent: number(8)? })
    }

    /// Returns the value.
    #[must_use]
    pub fn bytes(self) -> [u8; 12] {
        let mut value = [0; 12];
        value[..4].copy_from_slice(&self.sender_sent.to_be_bytes());
        value[4..8].copy_from_slice(&self.received.to_be_bytes());
        value[8..].copy_from_slice(&self.sent.to_be_bytes());
        value
    }
}

/// The value of a Follow-Up Telemetry TLV (RFC 8972 section 4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowUp {
    /// The reflector's sequence number of an earlier reply.
    pub seq: u32,
    /// When that reply was sent.
    pub sent: Timestamp,
    /// The method of the timestamp, as in [`TimestampInfo`].
    pub method: u8,
}

impl FollowUp {
    /// Reads a value; `None` if its length is wrong.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let value: &[u8; 16] = value.try_into().ok()?;
        Some(Self {
            seq: field(value, 0).map(u32::from_be_bytes)?,
            sent: field(value, 4).map(u64::from_be_bytes).map(Timestamp)?,
            method: value[12],
        })
    }

    /// Returns the value.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        let mut value = [0; 16];
        value[..4].copy_from_slice(&self.seq.to_be_bytes());
        value[4..12].copy_from_slice(&self.sent.0.to_be_bytes());
        value[12] = self.method;
        value
    }
}
