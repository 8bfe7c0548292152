//! The headers of a datagram that a socket has delivered without them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Headers;

/// The time to live of a datagram whose own is unknown.
const TTL: u8 = 64;

/// The number of UDP among IP's protocols.
const UDP: u8 = 17;

/// The length of a UDP header.
const UDP_HEADER: usize = 8;

/// Appends the IP and UDP headers of a datagram, with their checksums (RFC 791, RFC 8200, RFC 768).
///
/// They are those of IPv4 unless an address is one of IPv6. The identification is 0, as of a datagram
/// that is not fragmented (RFC 6864 section 4.1).
pub(super) fn write_headers(
    out: &mut Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    headers: Headers,
    payload: &[u8],
) {
    let (ttl, tos) = (headers.ttl.unwrap_or(TTL), headers.tos.unwrap_or(0));
    let udp_length = word(payload.len() + UDP_HEADER);
    let start = out.len();
    let addresses = match versions(from.ip(), to.ip()) {
        Ok((from, to)) => {
            let length = word(payload.len() + UDP_HEADER + 20).to_be_bytes();
            out.extend([0x45, tos, length[0], length[1], 0, 0, 0x40, 0, ttl, UDP, 0, 0]);
            out.extend(from.octets());
            out.extend(to.octets());
            let checksum = complement(sum(&out[start..])).to_be_bytes();
            out[start + 10..start + 12].copy_from_slice(&checksum);
            start + 12
        }
        Err((from, to)) => {
            let length = udp_length.to_be_bytes();
            out.extend([0x60 | tos >> 4, tos << 4, 0, 0, length[0], length[1], UDP, ttl]);
            out.extend(from.octets());
            out.extend(to.octets());
            start + 8
        }
    };
    let pseudo = sum(&out[addresses..]) + u64::from(UDP) + u64::from(udp_length);
    let udp = out.len();
    for field in [from.port(), to.port(), udp_length] {
        out.extend(field.to_be_bytes());
    }
    // An IPv6 datagram has a checksum, and 0 stands for none.
    let checksum = match complement(pseudo + sum(&out[udp..]) + sum(payload)) {
        0 => u16::MAX,
        checksum => checksum,
    };
    out.extend(checksum.to_be_bytes());
}

/// Returns both addresses in one version of IP, the first pair that of version 4.
fn versions(from: IpAddr, to: IpAddr) -> Result<(Ipv4Addr, Ipv4Addr), (Ipv6Addr, Ipv6Addr)> {
    let any = |ip: Ipv6Addr| ip.is_unspecified();
    let on_ipv6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    match (from.to_canonical(), to.to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ok((from, to)),
        (IpAddr::V4(from), IpAddr::V6(to)) if any(to) => Ok((from, Ipv4Addr::UNSPECIFIED)),
        (IpAddr::V6(from), IpAddr::V4(to)) if any(from) => Ok((Ipv4Addr::UNSPECIFIED, to)),
        (from, to) => Err((on_ipv6(from), on_ipv6(to))),
    }
}

/// Returns a length as a field of a header has it.
fn word(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Returns the sum of the 16-bit words; an odd byte is the high one of a word (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let odd = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
    words.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u64>() + odd
}

/// Returns the one's complement of a sum of 16-bit words.
fn complement(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is folded")]
    let sum = sum as u16;
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let fields = Headers { ttl: Some(7), tos: Some(0xB9) };
        write_headers(&mut out, from, to, fields, payload);
        out
    }

    #[test]
    fn headers_of_ipv4() {
        let expected = [
            0x45, 0xB9, 0, 31, 0, 0, 0x40, 0, 7, 17, 0x75, 0x12, 127, 0, 0, 1, 127, 0, 0,
            2, //
            0x13, 0x88, 0x2E, 0xE0, 0, 11, 0xFB, 0x09,
        ];
        assert_eq!(headers("127.0.0.1:5000", "127.0.0.2:12000", b"abc"), expected);
        assert_eq!(headers("[::ffff:127.0.0.1]:5000", "127.0.0.2:12000", b"abc"), expected);
    }

    #[test]
    fn headers_of_ipv6() {
        let found = headers("[::1]:5000", "[fe80::2%3]:12000", b"abc");
        assert_eq!(found[..8], [0x6B, 0x90, 0, 0, 0, 11, 17, 7]);
        assert_eq!((found[23], found[24], found[39]), (1, 0xFE, 2));
        assert_eq!(found.len(), 48);
    }

    #[test]
    fn an_unknown_address_has_the_version_of_the_other() {
        for (from, to) in [("[::]:1", "192.0.2.1:2"), ("192.0.2.1:1", "[::]:2")] {
            assert_eq!(headers(from, to, b"")[0], 0x45);
        }
        let mapped = headers("192.0.2.1:1", "[::1]:2", b"");
        assert_eq!((mapped[0], &mapped[18..24]), (0x6B, &[0xFF, 0xFF, 192, 0, 2, 1][..]));
    }

    proptest! {
        #[test]
        fn checksums_are_right(
            from in any::<(bool, [u8; 16], u16)>(),
            to in any::<([u8; 16], u16)>(),
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let (v4, source, port) = from;
            let ip = |bytes: [u8; 16]| {
                let [a, b, c, d, ..] = bytes;
                if v4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(bytes) }
            };
            let (from, to) = (SocketAddr::new(ip(source), port), SocketAddr::new(ip(to.0), to.1));
            let mut out = Vec::new();
            write_headers(&mut out, from, to, Headers::default(), &payload);
            let (header, addresses) = if out[0] >> 4 == 4 { (20, 12) } else { (40, 8) };
            if header == 20 {
                prop_assert_eq!(complement(sum(&out[..20])), 0);
            }
            prop_assert_ne!(&out[header + 6..], [0, 0]);
            let length = u64::from(word(payload.len() + 8));
            out.extend(&payload);
            // All parts with the checksum add up to -0.
            let total = sum(&out[addresses..header]) + 17 + length + sum(&out[header..]);
            prop_assert_eq!(complement(total), 0);
        }
    }
}
