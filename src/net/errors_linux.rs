//! The error queue of a Linux socket: ICMP errors and transmit timestamps.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, setsockopt,
    sockopt,
};

use crate::net::Batch;
use crate::net::batch::IcmpError;
use crate::net::kernel_time::nanoseconds;
use crate::net::messages::address;
use crate::net::socket::MAX_PAYLOAD;

/// The length of a UDP header, and the most of all other headers.
const HEADER: usize = 8;
const MAX_HEADERS: usize = 200;

/// The reader of a socket's error queue.
#[derive(Debug)]
pub(super) struct ErrorQueue {
    control: Vec<u8>,
    /// The socket's port.
    port: u16,
    /// Whether it may hold something.
    expected: bool,
}

/// An entry of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// The kernel stamped the departure of a datagram, which is in the batch.
    Departed { wall_ns: i64 },
    /// An ICMP error, in the batch.
    Icmp,
    /// Anything else.
    Other,
}

impl ErrorQueue {
    /// Enables the queue of a socket that is bound to `local`.
    pub(super) fn new(socket: &impl AsFd, local: SocketAddr) -> Self {
        // If this fails, nothing is queued. An IPv6 socket can send to IPv4 addresses, too.
        let _ = setsockopt(socket, sockopt::Ipv4RecvErr, &true);
        if local.is_ipv6() {
            let _ = setsockopt(socket, sockopt::Ipv6RecvErr, &true);
        }
        Self { control: vec![0; 512], port: local.port(), expected: false }
    }

    /// Makes the next [`read`](Self::read) look: the kernel may have queued something.
    pub(super) fn expect(&mut self) {
        self.expected = true;
    }

    /// Handles an error of a call: it may be about an earlier datagram, and then it is queued.
    pub(super) fn on_error(&mut self, _: &io::Error) {
        self.expect();
    }

    /// Reads up to the next ICMP error. Returns whether there is one, in the batch.
    pub(super) fn find_icmp(&mut self, socket: &impl AsRawFd, batch: &mut Batch) -> bool {
        while let Some(news) = self.read(socket, batch) {
            if matches!(news, News::Icmp) {
                return true;
            }
        }
        false
    }

    /// Reads the oldest entry.
    pub(super) fn read(&mut self, socket: &impl AsRawFd, batch: &mut Batch) -> Option<News> {
        let news = self.expected.then(|| self.read_now(socket, batch)).flatten();
        self.expected = news.is_some();
        news
    }

    fn read_now(&mut self, socket: &impl AsRawFd, batch: &mut Batch) -> Option<News> {
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        batch.quoted.resize(MAX_PAYLOAD, 0);
        let mut slices = [IoSliceMut::new(&mut batch.quoted)];
        let control = Some(&mut self.control[..]);
        let fd = socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut slices, control, flags).ok()?;
        let (mut wall_ns, mut found) = (None, None);
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::ScmTimestampsns(at) => wall_ns = Some(nanoseconds(at.system)),
                ControlMessageOwned::Ipv4RecvErr(error, from) => {
                    let from = from.map(SockaddrIn::from).map(SocketAddr::from);
                    found = Some((error, from.map(|from| from.ip())));
                }
                ControlMessageOwned::Ipv6RecvErr(error, from) => {
                    let from = from.map(SockaddrIn6::from).map(SocketAddr::from);
                    found = Some((error, from.map(|from| from.ip())));
                }
                _ => {}
            }
        }
        let Some((error, from)) = found else { return Some(News::Other) };
        if error.ee_origin == libc::SO_EE_ORIGIN_TIMESTAMPING {
            let length = message.bytes;
            let start = payload(&batch.quoted[..length], self.port);
            batch.departed = start.unwrap_or(length)..length;
            return Some(wall_ns.map_or(News::Other, |wall_ns| News::Departed { wall_ns }));
        }
        let to = message.address.as_ref().and_then(address);
        batch.icmp = to.and_then(|to| icmp(&error, from, to, message.bytes));
        Some(if batch.icmp.is_some() { News::Icmp } else { News::Other })
    }
}

/// Returns the start of the payload in a packet that departed from `port`, or in its first fragment.
///
/// The kernel returns the packet with the headers of all layers. The UDP header is the first place
/// with the port and the length of the rest; in a fragment, with a greater length.
fn payload(packet: &[u8], port: u16) -> Option<usize> {
    let length = |at: usize| match packet.get(at..at + HEADER) {
        Some(&[high, low, _, _, much, little, ..]) if [high, low] == port.to_be_bytes() => {
            Some(usize::from(u16::from_be_bytes([much, little])))
        }
        _ => None,
    };
    let mut whole = (0..MAX_HEADERS).step_by(2);
    let mut cut = whole.clone();
    whole
        .find(|at| length(*at).is_some_and(|length| length == packet.len() - at))
        .or_else(|| cut.find(|at| length(*at).is_some_and(|length| length > packet.len() - at)))
        .map(|at| at + HEADER)
}

/// Converts an entry to an ICMP error, if it is one or says that a datagram exceeds the path MTU.
fn icmp(
    error: &libc::sock_extended_err,
    from: Option<IpAddr>,
    to: SocketAddr,
    length: usize,
) -> Option<IcmpError> {
    let to = SocketAddr::new(to.ip().to_canonical(), to.port());
    let too_big = if to.is_ipv4() { (3, 4) } else { (2, 0) };
    let is_too_big = error.ee_errno == libc::EMSGSIZE.cast_unsigned();
    // An old router does not know the MTU and reports 0 (RFC 1191 section 5).
    let mtu = Some(error.ee_info).filter(|mtu| is_too_big && *mtu > 0);
    let (kind, code, router) = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => {
            (error.ee_type, error.ee_code, from.map(|from| from.to_canonical()))
        }
        libc::SO_EE_ORIGIN_LOCAL if is_too_big => (too_big.0, too_big.1, None),
        _ => return None,
    };
    Some(IcmpError { kind, code, router, to, mtu, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_looks_like_the_port_is_not_the_header() {
        let mut packet = vec![0; 14]; // Ethernet
        packet.extend([0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0]);
        packet.extend([192, 168, 0, 1, 192, 168, 0, 2]);
        packet.extend([192, 168, 0, 7, 0, 12, 0, 0]);
        packet.extend(b"Ping");
        let port = u16::from_be_bytes([192, 168]);
        assert_eq!((payload(&packet, port), payload(&packet, 7)), (Some(42), None));
        // The first fragment of a longer datagram.
        packet[34..40].copy_from_slice(&[0x12, 0x34, 0, 7, 0, 200]);
        assert_eq!(payload(&packet, 0x1234), Some(42));
    }

    #[test]
    fn an_unknown_mtu_is_not_reported() {
        let too_big = |mtu| libc::sock_extended_err {
            ee_errno: libc::EMSGSIZE.cast_unsigned(),
            ee_origin: libc::SO_EE_ORIGIN_ICMP,
            ee_type: 3,
            ee_code: 4,
            ee_pad: 0,
            ee_info: mtu,
            ee_data: 0,
        };
        let mtu = |error| icmp(&error, None, "192.0.2.1:7".parse().unwrap(), 0).unwrap().mtu;
        assert_eq!((mtu(too_big(0)), mtu(too_big(1300))), (None, Some(1300)));
        assert_eq!(mtu(libc::sock_extended_err { ee_errno: 0, ..too_big(1300) }), None);
    }
}
