//! Base packets.

use crate::wire::stamp::field;
use crate::wire::stamp::time::{ErrorEstimate, Timestamp};

/// The longest base packet.
const MAX_BASE: usize = 112;

/// Seconds between T2 and T3 up to which a packet counts as a reply.
const MAX_RESIDENCE: u32 = 10;

/// The layout of base packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Unauthenticated, 44 bytes. The shortest request of TWAMP has 14, and some replies have 38.
    #[default]
    Open,
    /// Authenticated, 112 bytes.
    Authenticated,
}

/// The offsets of a layout's fields.
struct Layout {
    sent: usize,
    error: usize,
    ssid: usize,
    received: usize,
    sender_seq: usize,
    sender_sent: usize,
    sender_error: usize,
    ttl: usize,
}

const OPEN: Layout = Layout {
    sent: 4,
    error: 12,
    ssid: 14,
    received: 16,
    sender_seq: 24,
    sender_sent: 28,
    sender_error: 36,
    ttl: 40,
};

const AUTHENTICATED: Layout = Layout {
    sent: 16,
    error: 24,
    ssid: 26,
    received: 32,
    sender_seq: 48,
    sender_sent: 64,
    sender_error: 72,
    ttl: 80,
};

impl Mode {
    /// Returns the length of a base packet; TLVs follow it.
    #[must_use]
    pub const fn base(self) -> usize {
        match self {
            Self::Open => 44,
            Self::Authenticated => MAX_BASE,
        }
    }

    /// Returns the length of the shortest request.
    #[must_use]
    pub const fn shortest(self) -> usize {
        match self {
            Self::Open => 14,
            Self::Authenticated => MAX_BASE,
        }
    }

    const fn layout(self) -> &'static Layout {
        match self {
            Self::Open => &OPEN,
            Self::Authenticated => &AUTHENTICATED,
        }
    }

    /// Returns the start of a packet if it has at least the length of the layout's shortest.
    fn whole(self, packet: &[u8], shortest: usize) -> Option<&[u8]> {
        let needed = if self == Self::Authenticated { MAX_BASE } else { shortest };
        (packet.len() >= needed).then_some(packet)
    }
}

/// A base packet of a Session-Sender (RFC 8762 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The sequence number.
    pub seq: u32,
    /// T1.
    pub sent: Timestamp,
    /// The error estimate of T1.
    pub error: ErrorEstimate,
    /// The session identifier of STAMP (RFC 8972 section 3), which TWAMP fills with anything; 0 if
    /// the packet is too short for one.
    pub ssid: u16,
}

impl Request {
    /// Reads the start of a packet; `None` if it is too short.
    #[must_use]
    pub fn read(mode: Mode, packet: &[u8]) -> Option<Self> {
        let (layout, packet) = (mode.layout(), mode.whole(packet, mode.shortest())?);
        Some(Self {
            seq: number(packet, 0)?,
            sent: timestamp(packet, layout.sent)?,
            error: estimate(packet, layout.error)?,
            ssid: field(packet, layout.ssid).map_or(0, u16::from_be_bytes),
        })
    }

    /// Writes the base over the start of a packet, as far as it fits; zeroes its other fields.
    pub fn write(self, mode: Mode, packet: &mut [u8]) {
        let layout = mode.layout();
        let mut base = [0; MAX_BASE];
        put(&mut base, 0, &self.seq.to_be_bytes());
        put(&mut base, layout.sent, &self.sent.0.to_be_bytes());
        put(&mut base, layout.error, &self.error.0.to_be_bytes());
        put(&mut base, layout.ssid, &self.ssid.to_be_bytes());
        write(mode, &base, packet);
    }
}

/// A base packet of a Session-Reflector (RFC 8762 section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The sequence number: a stateful reflector's own, or the request's.
    pub seq: u32,
    /// T3.
    pub sent: Timestamp,
    /// The error estimate of T2 and T3.
    pub error: ErrorEstimate,
    /// The session identifier of the request.
    pub ssid: u16,
    /// T2.
    pub received: Timestamp,
    /// The sequence number of the request.
    pub sender_seq: u32,
    /// T1, as the request had it.
    pub sender_sent: Timestamp,
    /// The error estimate of T1.
    pub sender_error: ErrorEstimate,
    /// The TTL or hop limit with which the request arrived, if the reflector reports it.
    pub ttl: Option<u8>,
}

impl Reply {
    /// Reads the start of a packet; `None` if it is too short.
    #[must_use]
    pub fn read(mode: Mode, packet: &[u8]) -> Option<Self> {
        let layout = mode.layout();
        let packet = mode.whole(packet, layout.sender_error + 2)?;
        Some(Self {
            seq: number(packet, 0)?,
            sent: timestamp(packet, layout.sent)?,
            error: estimate(packet, layout.error)?,
            ssid: field(packet, layout.ssid).map(u16::from_be_bytes)?,
            received: timestamp(packet, layout.received)?,
            sender_seq: number(packet, layout.sender_seq)?,
            sender_sent: timestamp(packet, layout.sender_sent)?,
            sender_error: estimate(packet, layout.sender_error)?,
            ttl: packet.get(layout.ttl).copied().filter(|ttl| *ttl > 0),
        })
    }

    /// Writes the base over the start of a packet, as far as it fits; zeroes its other fields.
    pub fn write(self, mode: Mode, packet: &mut [u8]) {
        let layout = mode.layout();
        let mut base = [0; MAX_BASE];
        put(&mut base, 0, &self.seq.to_be_bytes());
        put(&mut base, layout.sent, &self.sent.0.to_be_bytes());
        put(&mut base, layout.error, &self.error.0.to_be_bytes());
        put(&mut base, layout.ssid, &self.ssid.to_be_bytes());
        put(&mut base, layout.received, &self.received.0.to_be_bytes());
        put(&mut base, layout.sender_seq, &self.sender_seq.to_be_bytes());
        put(&mut base, layout.sender_sent, &self.sender_sent.0.to_be_bytes());
        put(&mut base, layout.sender_error, &self.sender_error.0.to_be_bytes());
        put(&mut base, layout.ttl, &[self.ttl.unwrap_or(0)]);
        write(mode, &base, packet);
    }
}

/// Writes the time of sending: T1 of a request, T3 of a reply.
pub fn set_sent(mode: Mode, packet: &mut [u8], sent: Timestamp) {
    let at = mode.layout().sent;
    if let Some(field) = packet.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = sent.0.to_be_bytes();
    }
}

/// Returns the number that tells sessions of one sender apart: the SSID of a request of STAMP,
/// otherwise 0.
///
/// A sender of TWAMP puts random padding there. One of STAMP has at least 44 bytes and zeroes the
/// rest of the base.
#[must_use]
pub fn selector(mode: Mode, packet: &[u8]) -> u16 {
    let layout = mode.layout();
    let is_stamp = mode == Mode::Authenticated
        || packet
            .get(layout.received..mode.base())
            .is_some_and(|rest| rest.iter().all(|b| *b == 0));
    field(packet, layout.ssid).filter(|_| is_stamp).map_or(0, u16::from_be_bytes)
}

/// Returns whether a packet has the authenticated layout, whatever its tag: zeros stand in the
/// place in which an open one has its time.
#[must_use]
pub fn is_authenticated(packet: &[u8]) -> bool {
    packet.len() >= MAX_BASE && packet[OPEN.sent..AUTHENTICATED.sent].iter().all(|b| *b == 0)
}

/// Returns whether a packet is a reply, an answer to which could start a loop: its T2 is set and, if
/// the packet is not authenticated, within ten seconds of its T3.
///
/// A request of STAMP has zeros there. The random padding of one of TWAMP, which is never
/// authenticated, matches with a probability of 5e-9.
#[must_use]
pub fn is_reflected(mode: Mode, packet: &[u8]) -> bool {
    let layout = mode.layout();
    let both = timestamp(packet, layout.received).zip(timestamp(packet, layout.sent));
    both.is_some_and(|(received, sent)| {
        let (received_s, sent_s) = (received.seconds(), sent.seconds());
        let apart = received_s.wrapping_sub(sent_s).cast_signed().unsigned_abs();
        received.0 != 0 && (mode == Mode::Authenticated || apart <= MAX_RESIDENCE)
    })
}

/// Copies the base over the start of a packet, as far as it fits.
fn write(mode: Mode, base: &[u8; MAX_BASE], packet: &mut [u8]) {
    let length = packet.len().min(mode.base());
    packet[..length].copy_from_slice(&base[..length]);
}

fn put(base: &mut [u8; MAX_BASE], at: usize, bytes: &[u8]) {
    base[at..at + bytes.len()].copy_from_slice(bytes);
}

fn number(packet: &[u8], at: usize) -> Option<u32> {
    field(packet, at).map(u32::from_be_bytes)
}

fn timestamp(packet: &[u8], at: usize) -> Option<Timestamp> {
    field(packet, at).map(|bytes| Timestamp(u64::from_be_bytes(bytes)))
}

fn estimate(packet: &[u8], at: usize) -> Option<ErrorEstimate> {
    field(packet, at).map(|bytes| ErrorEstimate(u16::from_be_bytes(bytes)))
}
