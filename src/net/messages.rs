//! Addresses and control messages of the Linux kernel.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage};

use crate::Local;

/// Converts a socket address. A message of a socket that was shut down has none.
pub(super) fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|v4| (*v4).into()),
        AddressFamily::Inet6 => address.as_sockaddr_in6().map(|v6| (*v6).into()),
        _ => None,
    }
}

/// Converts the destination of an IPv4 packet to the address to answer from.
pub(super) fn local_v4(info: &libc::in_pktinfo) -> Local {
    let ip = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
    Local { ip: ip.into(), interface: 0 }
}

/// Converts the destination of an IPv6 packet to the address to answer from, if it can be one.
pub(super) fn local_v6(info: &libc::in6_pktinfo) -> Option<Local> {
    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    let interface = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
    // A multicast address cannot be a source.
    (!ip.is_multicast()).then_some(Local { ip: ip.into(), interface })
}
