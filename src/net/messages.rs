//! Addresses and control messages of the Linux kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{AddressFamily, ControlMessage, SockaddrLike, SockaddrStorage};

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

/// A source address as the kernel expects it.
#[derive(Debug)]
pub(super) enum Source {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source {
    /// Converts an address of this host.
    pub(super) fn new(local: Local) -> Self {
        match local.ip {
            IpAddr::V4(ip) => {
                let address = libc::in_addr { s_addr: u32::from(ip).to_be() };
                let nowhere = libc::in_addr { s_addr: 0 };
                Self::V4(libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: address,
                    ipi_addr: nowhere,
                })
            }
            IpAddr::V6(ip) => Self::V6(libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: local.interface,
            }),
        }
    }

    /// Returns the control message that sets the source of a datagram.
    pub(super) fn control(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }

    /// Returns the size of the control message.
    pub(super) fn space(&self) -> usize {
        match self {
            Self::V4(_) => cmsg_space!(libc::in_pktinfo).len(),
            Self::V6(_) => cmsg_space!(libc::in6_pktinfo).len(),
        }
    }
}
