//! IPv4 addresses on sockets of both families (RFC 4291 section 2.5.5.2).

use std::net::SocketAddr;

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
}
