//! Addresses and control messages of the Linux kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, SockaddrLike, SockaddrStorage, setsockopt,
    sockopt,
};

use crate::Local;
use crate::net::batch::Burst;

/// Converts a socket address. A message of a socket that was shut down has none.
pub(super) fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|v4| (*v4).into()),
        AddressFamily::Inet6 => address.as_sockaddr_in6().map(|v6| (*v6).into()),
        _ => None,
    }
}

/// Makes the kernel report the destination, TTL and type of service of arrivals, as far as it can.
pub(super) fn show_headers(socket: &impl AsFd, local: SocketAddr) {
    // An IPv6 socket gets IPv4 packets, too; their destination is mapped.
    let _ = setsockopt(socket, sockopt::Ipv4RecvTtl, &true);
    let _ = setsockopt(socket, sockopt::IpRecvTos, &true);
    if local.is_ipv4() {
        let _ = setsockopt(socket, sockopt::Ipv4PacketInfo, &true);
    } else {
        let _ = setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true);
        let _ = setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true);
        let _ = setsockopt(socket, sockopt::Ipv6RecvTClass, &true);
    }
}

/// Adds the destination, TTL or type of service to a burst.
pub(super) fn add_header(burst: &mut Burst, control: &ControlMessageOwned) {
    match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            burst.to = Some(local_v4(info));
            // The address to answer from is that of the packet unless that is a group's.
            burst.to_group = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            burst.to = local_v6(info);
            burst.to_group = burst.to.is_none();
        }
        ControlMessageOwned::Ipv4Ttl(left) | ControlMessageOwned::Ipv6HopLimit(left) => {
            burst.ttl = u8::try_from(*left).ok();
        }
        ControlMessageOwned::Ipv4Tos(tos) => burst.tos = Some(*tos),
        ControlMessageOwned::Ipv6TClass(class) => burst.tos = u8::try_from(*class).ok(),
        _ => {}
    }
}

/// Converts the destination of an IPv4 packet to the address to answer from.
fn local_v4(info: &libc::in_pktinfo) -> Local {
    let ip = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
    Local { ip: ip.into(), interface: 0 }
}

/// Converts the destination of an IPv6 packet to the address to answer from, if it can be one.
fn local_v6(info: &libc::in6_pktinfo) -> Option<Local> {
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
}
