//! Captures in pcapng (draft-ietf-opsawg-pcapng): little-endian, times in nanoseconds.
//!
//! A capture is a [`header`], an [`interface`] for each point, packets and, at the end,
//! [`statistics`] of each point.

use std::net::SocketAddr;

use crate::wire::ip::write_headers;
use crate::{Headers, Point};

/// The types of blocks.
const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;

/// The number that shows the order of bytes.
const MAGIC: u32 = 0x1A2B_3C4D;

/// The link type of packets that begin with an IP header (`LINKTYPE_RAW`).
const RAW: u16 = 101;

/// The codes of options.
const END: u16 = 0;
const COMMENT: u16 = 1;
const FLAGS: u16 = 2;
const APPLICATION: u16 = 4;
const NAME: u16 = 2;
const DESCRIPTION: u16 = 3;
const RESOLUTION: u16 = 9;
const RECEIVED: u16 = 4;
const DROPPED: u16 = 5;

/// A packet at a point.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The number of the point.
    pub point: u32,
    /// When it was there, in nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// Its source.
    pub from: SocketAddr,
    /// Its destination.
    pub to: SocketAddr,
    /// The fields of its header, as far as they are known.
    pub headers: Headers,
    /// Its payload.
    pub payload: &'a [u8],
    /// Whether this host has sent it, not received.
    pub outbound: bool,
    /// The comment on it; possibly empty.
    pub comment: &'a str,
}

/// Appends the start of a capture by `application`.
pub fn header(out: &mut Vec<u8>, application: &str) {
    block(out, SECTION, |out| {
        out.extend(MAGIC.to_le_bytes());
        // Version 1.0, of a length that is not known yet.
        out.extend([1, 0, 0, 0]);
        out.extend(u64::MAX.to_le_bytes());
        option(out, APPLICATION, application.as_bytes());
        option(out, END, &[]);
    });
}

/// Appends a point as an interface, of whose packets the first `snaplen` bytes are kept; 0 for all.
pub fn interface(out: &mut Vec<u8>, point: &Point, snaplen: u32) {
    block(out, INTERFACE, |out| {
        out.extend(RAW.to_le_bytes());
        out.extend([0, 0]);
        out.extend(snaplen.to_le_bytes());
        option(out, NAME, point.name.as_bytes());
        option(out, DESCRIPTION, point.description.as_bytes());
        option(out, RESOLUTION, &[9]);
        option(out, END, &[]);
    });
}

/// Appends the first `snaplen` bytes of a packet, or all if it is 0, with headers made for it.
pub fn packet(out: &mut Vec<u8>, packet: &Packet<'_>, snaplen: u32) {
    let &Packet { point, at_ns, from, to, headers, payload, outbound, comment } = packet;
    block(out, PACKET, |out| {
        out.extend(point.to_le_bytes());
        time(out, at_ns);
        let lengths = out.len();
        out.extend([0; 8]);
        let start = out.len();
        write_headers(out, from, to, headers, payload);
        out.extend(payload);
        let original = length(out.len() - start);
        let captured = if snaplen == 0 { original } else { original.min(snaplen) };
        out.truncate(start + captured as usize);
        out[lengths..lengths + 4].copy_from_slice(&captured.to_le_bytes());
        out[lengths + 4..start].copy_from_slice(&original.to_le_bytes());
        pad(out, captured as usize);
        if !comment.is_empty() {
            option(out, COMMENT, comment.as_bytes());
        }
        option(out, FLAGS, &(1 + u32::from(outbound)).to_le_bytes());
        option(out, END, &[]);
    });
}

/// Appends how many packets were at a point, and how many of them the capture has not.
pub fn statistics(out: &mut Vec<u8>, point: u32, at_ns: i64, received: u64, dropped: u64) {
    block(out, STATISTICS, |out| {
        out.extend(point.to_le_bytes());
        time(out, at_ns);
        option(out, RECEIVED, &received.to_le_bytes());
        option(out, DROPPED, &dropped.to_le_bytes());
        option(out, END, &[]);
    });
}

/// Appends a block between its type and its lengths.
fn block(out: &mut Vec<u8>, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    write(out);
    let length = length(out.len() + 4 - start).to_le_bytes();
    out.extend(length);
    out[start + 4..start + 8].copy_from_slice(&length);
}

/// Appends a time, its high half first.
fn time(out: &mut Vec<u8>, at_ns: i64) {
    let ns = at_ns.max(0).unsigned_abs();
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a time")]
    let halves = [(ns >> 32) as u32, ns as u32];
    out.extend(halves.into_iter().flat_map(u32::to_le_bytes));
}

/// Appends an option.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(u16::MAX.into())];
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend(code.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(value);
    pad(out, value.len());
}

/// Appends zeros after `length` bytes, up to a multiple of four.
fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + length.next_multiple_of(4) - length, 0);
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POINT: Point = Point { name: "in", description: "all", outbound: false };

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn probe(payload: &[u8]) -> Packet<'_> {
        Packet {
            point: 2,
            at_ns: 0x0102_0304_0506_0708,
            from: "127.0.0.1:5000".parse().unwrap(),
            to: "127.0.0.2:12000".parse().unwrap(),
            headers: Headers { ttl: Some(7), tos: Some(0xB9) },
            payload,
            outbound: true,
            comment: "#1 lost",
        }
    }

    #[test]
    fn the_bytes_of_a_header() {
        #[rustfmt::skip]
        let expected = [
            0x0A, 0x0D, 0x0D, 0x0A, 44, 0, 0, 0,
            0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0,
            0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
            4, 0, 5, 0, b'u', b'd', b'p', b' ', b'1', 0, 0, 0,
            0, 0, 0, 0, 44, 0, 0, 0,
        ];
        assert_eq!(written(|out| header(out, "udp 1")), expected);
    }

    #[test]
    fn the_bytes_of_an_interface() {
        #[rustfmt::skip]
        let expected = [
            1, 0, 0, 0, 48, 0, 0, 0,
            101, 0, 0, 0, 48, 0, 0, 0,
            2, 0, 2, 0, b'i', b'n', 0, 0,
            3, 0, 3, 0, b'a', b'l', b'l', 0,
            9, 0, 1, 0, 9, 0, 0, 0,
            0, 0, 0, 0, 48, 0, 0, 0,
        ];
        assert_eq!(written(|out| interface(out, &POINT, 48)), expected);
    }

    #[test]
    fn the_bytes_of_a_packet() {
        #[rustfmt::skip]
        let expected = [
            6, 0, 0, 0, 88, 0, 0, 0,
            2, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5,
            31, 0, 0, 0, 31, 0, 0, 0,
            0x45, 0xB9, 0, 31, 0, 0, 0x40, 0, 7, 17, 0x75, 0x12, 127, 0, 0, 1, 127, 0, 0, 2,
            0x13, 0x88, 0x2E, 0xE0, 0, 11, 0xFB, 0x09, b'a', b'b', b'c', 0,
            1, 0, 7, 0, b'#', b'1', b' ', b'l', b'o', b's', b't', 0,
            2, 0, 4, 0, 2, 0, 0, 0,
            0, 0, 0, 0, 88, 0, 0, 0,
        ];
        assert_eq!(written(|out| packet(out, &probe(b"abc"), 0)), expected);
    }

    #[test]
    fn a_cut_packet_keeps_its_length_and_its_checksum() {
        let (whole, cut) =
            [0, 29].map(|snaplen| written(|out| packet(out, &probe(b"abc"), snaplen))).into();
        assert_eq!(cut[20..28], [29, 0, 0, 0, 31, 0, 0, 0]);
        assert_eq!((&cut[28..57], &cut[57..60]), (&whole[28..57], &[0; 3][..]));
    }

    #[test]
    fn the_bytes_of_statistics() {
        #[rustfmt::skip]
        let expected = [
            5, 0, 0, 0, 52, 0, 0, 0,
            1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0,
            4, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0,
            5, 0, 8, 0, 2, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 52, 0, 0, 0,
        ];
        assert_eq!(written(|out| statistics(out, 1, 9, 7, 2)), expected);
    }

    proptest! {
        #[test]
        fn blocks_are_whole_words_and_lead_to_the_next(
            payload in prop::collection::vec(any::<u8>(), 0..70),
            snaplen in 0..120_u32,
            comment in "[a-z ]{0,9}",
            name in "[a-z]{0,9}",
        ) {
            let out = written(|out| {
                header(out, &name);
                interface(out, &POINT, snaplen);
                packet(out, &Packet { comment: &comment, ..probe(&payload) }, snaplen);
                statistics(out, 0, -1, 1, 0);
            });
            let (mut rest, mut kinds) = (&out[..], Vec::new());
            let field = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
            while !rest.is_empty() {
                let length = field(&rest[4..]) as usize;
                prop_assert_eq!((length % 4, field(&rest[length - 4..]) as usize), (0, length));
                kinds.push(field(rest));
                rest = &rest[length..];
            }
            prop_assert_eq!(kinds, [SECTION, INTERFACE, PACKET, STATISTICS]);
        }
    }
}
