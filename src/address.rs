//! Addresses: IPv4 on sockets of both families (RFC 4291 section 2.5.5.2), prefixes, and sources that
//! must not be answered.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Source ports of services that answer any datagram: echo, daytime, qotd, chargen and time. Nobody
/// can be reached at port 0.
const LOOPING_PORTS: [u16; 6] = [0, 7, 13, 17, 19, 37];

/// Returns whether a source is a service that answers any datagram, so that an answer to it would
/// start a loop.
#[must_use]
pub(crate) fn answers_anything(source: SocketAddr) -> bool {
    LOOPING_PORTS.contains(&source.port())
}

/// Returns `address` for an IPv6 socket: IPv4 is mapped.
#[must_use]
pub fn on_ipv6(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        SocketAddr::V6(_) => address,
    }
}

/// Returns an IPv4-mapped address as the IPv4 address that it stands for.
#[must_use]
pub(crate) fn canonical(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(v6) = address {
        address.set_ip(v6.ip().to_canonical());
    }
    address
}

/// A block of addresses, such as `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

impl Prefix {
    /// Returns whether the block contains an address; an IPv4-mapped one counts as IPv4.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.network.is_ipv4() && masked(ip, self.length) == self.network
    }
}

impl FromStr for Prefix {
    type Err = ();

    /// Reads an address, with the length of the prefix behind a slash unless it is one host. Bits
    /// behind the prefix are cleared.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, length) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let ip = host.parse().map_err(drop)?;
        let bits = if IpAddr::is_ipv4(&ip) { 32 } else { 128 };
        let length = length.map_or(Ok(bits), str::parse).map_err(drop)?;
        (length <= bits).then_some(Self { network: masked(ip, length), length }).ok_or(())
    }
}

impl Display for Prefix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// Clears all bits behind the first `length`.
fn masked(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    #[test]
    fn ipv4_is_mapped_and_a_scope_is_kept() {
        let v4 = "192.0.2.1:7".parse().unwrap();
        assert_eq!(on_ipv6(v4), "[::ffff:192.0.2.1]:7".parse().unwrap());
        assert_eq!(canonical(on_ipv6(v4)), v4);
        let link_local = SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 3).into();
        assert_eq!(on_ipv6(link_local), link_local);
        assert_eq!(canonical(link_local), link_local);
    }

    #[test]
    fn a_prefix_contains_its_addresses_only() {
        let contains = |prefix: &str, ip: &str| {
            prefix.parse::<Prefix>().unwrap().contains(ip.parse().unwrap())
        };
        for (prefix, inside, outside) in [
            ("192.0.2.77/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "192.0.2.7"),
            ("2001:db8::/33", "2001:db8:7fff::9", "2001:db8:8000::"),
            ("::1", "::1", "::2"),
        ] {
            assert!(contains(prefix, inside), "{prefix} {inside}");
            assert!(!contains(prefix, outside), "{prefix} {outside}");
        }
        assert_eq!("192.0.2.77/24".parse::<Prefix>().unwrap().to_string(), "192.0.2.0/24");
        for wrong in ["", "host", "192.0.2.0/33", "::/129", "192.0.2.0/-1", "192.0.2.0/", "/8"] {
            assert_eq!(wrong.parse::<Prefix>(), Err(()), "{wrong}");
        }
    }
}
