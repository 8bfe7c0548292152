//! `recvmmsg` and `sendmmsg` with headers that are made once, and a socket option that nix lacks.
//!
//! nix cannot use headers twice: `recvmmsg` leaves the lengths of addresses and control messages in
//! them, and nix does not reset those. An echo server with 256 clients and a full queue takes 1.33 of
//! a naive server's time with headers that are made for each call, and 1.18 with these.
//!
//! The tests of the batch socket pass under Rust's address sanitizer: `.ci/run sanitizer`.

#![expect(unsafe_code, reason = "message headers lead to other buffers")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    reason = "the types of lengths and flags depend on the C library; the values are small"
)]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::{fmt, iter, mem, ptr};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::socket::{ControlMessageOwned, MsgFlags};

use crate::Local;
use crate::net::MAX_BATCH;
use crate::net::messages::Source;
use crate::net::outbox::{Group, Outbox};

/// Room for all control messages of an arrival: a timestamp, a segment length, and for
/// both versions of IP a destination, a TTL and a type of service.
const CONTROLS: usize = 256;

/// Pieces of a group are copied into one if they have no more bytes than this on average: a piece
/// costs the kernel as much as 400 bytes cost a copy.
const SMALL: usize = 256;

/// Headers of a batch and the buffers that they lead to.
#[derive(Debug)]
pub(super) struct Messages {
    headers: Box<[libc::mmsghdr]>,
    names: Box<[Name]>,
    controls: Box<[Controls]>,
    slices: Vec<libc::iovec>,
    /// Copies of small pieces, those of a group in a row.
    packed: Vec<u8>,
    received: usize,
}

// SAFETY: no pointer in it is followed before the same call has set it.
unsafe impl Send for Messages {}

impl Default for Messages {
    fn default() -> Self {
        Self::new(MAX_BATCH)
    }
}

impl Messages {
    /// Creates headers for a batch of `count` messages.
    pub(super) fn new(count: usize) -> Self {
        // SAFETY: headers consist of integers and raw pointers, which may be zero.
        let header: libc::mmsghdr = unsafe { mem::zeroed() };
        Self {
            headers: vec![header; count].into(),
            names: vec![Name::default(); count].into(),
            controls: vec![Controls([0; CONTROLS]); count].into(),
            slices: Vec::with_capacity(count),
            packed: Vec::new(),
            received: 0,
        }
    }

    /// Receives a message into each of the slots, or fewer.
    pub(super) fn receive<'a>(
        &mut self,
        socket: &impl AsRawFd,
        slots: impl Iterator<Item = &'a mut [u8]>,
        flags: MsgFlags,
    ) -> nix::Result<()> {
        self.received = 0;
        self.slices.clear();
        for (slot, header) in iter::zip(slots, &mut self.headers) {
            self.slices
                .push(libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() });
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_namelen = size_of::<Name>() as _;
            header.msg_hdr.msg_controllen = CONTROLS as _;
        }
        let (fd, count, flags) = (socket.as_raw_fd(), self.slices.len(), flags.bits());
        let headers = self.link(count);
        // SAFETY: the first `count` headers are linked. The lengths in them are those of the slots,
        // which are borrowed, and of the names and control buffers.
        let received = unsafe {
            if count == 1 {
                // Cheaper than a batch of one, which this flag is about.
                let flags = flags & !MsgFlags::MSG_WAITFORONE.bits();
                let length = libc::recvmsg(fd, &raw mut (*headers).msg_hdr, flags);
                (*headers).msg_len = length as _;
                if length < 0 { -1 } else { 1 }
            } else {
                libc::recvmmsg(fd, headers, count as _, flags as _, ptr::null_mut())
            }
        };
        self.received = Errno::result(received)? as usize;
        Ok(())
    }

    /// Returns the messages that were received.
    pub(super) fn received(&self) -> impl Iterator<Item = Message<'_>> {
        iter::zip(&self.headers, &self.names)
            .take(self.received)
            .map(|(header, name)| Message { header, name })
    }

    /// Sends groups of an outbox whose bytes are in `memory`, as many as one call takes. Returns how
    /// many left.
    pub(super) fn send(
        &mut self,
        socket: &impl AsRawFd,
        outbox: &Outbox,
        groups: &[Group],
        memory: &[u8],
    ) -> nix::Result<usize> {
        self.start();
        let is_packed = |group: &Group| group.pieces > 1 && group.bytes <= SMALL * group.pieces;
        let packed = groups.iter().filter(|group| is_packed(group));
        self.packed.clear();
        // It must not move: slices lead to it.
        self.packed.reserve(packed.map(|group| group.bytes).sum());
        for (index, group) in groups.iter().take(MAX_BATCH).enumerate() {
            let segment = u16::try_from(group.segment).ok().filter(|_| group.count > 1);
            self.address(index, group.to, group.from, segment);
            let (before, start) = (self.slices.len(), self.packed.len());
            let pieces = outbox.pieces_of(group).map(|piece| &memory[piece]);
            if is_packed(group) {
                pieces.for_each(|piece| self.packed.extend_from_slice(piece));
                self.slices.push(slice(&self.packed[start..]));
            } else {
                self.slices.extend(pieces.map(slice));
            }
            self.headers[index].msg_hdr.msg_iovlen = (self.slices.len() - before) as _;
        }
        self.transmit(socket, groups.len().min(MAX_BATCH))
    }

    /// Sends one datagram.
    pub(super) fn send_one(
        &mut self,
        socket: &impl AsRawFd,
        to: SocketAddr,
        from: Option<Local>,
        datagram: &[u8],
    ) -> nix::Result<()> {
        self.start();
        self.address(0, to, from, None);
        self.slices.push(slice(datagram));
        self.headers[0].msg_hdr.msg_iovlen = 1;
        self.transmit(socket, 1).map(drop)
    }

    /// Prepares for messages without slices.
    fn start(&mut self) {
        self.received = 0;
        self.slices.clear();
    }

    /// Sets the destination, source and segment length of a message.
    fn address(&mut self, index: usize, to: SocketAddr, from: Option<Local>, segment: Option<u16>) {
        let (header, control) = (&mut self.headers[index].msg_hdr, &mut self.controls[index]);
        (self.names[index], header.msg_namelen) = Name::new(to);
        header.msg_controllen = 0;
        match from.map(Source::new) {
            Some(Source::V4(info)) => {
                control.add(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(Source::V6(info)) => {
                control.add(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        if let Some(segment) = segment {
            control.add(header, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
    }

    /// Sends the first `count` messages. Returns how many left.
    fn transmit(&mut self, socket: &impl AsRawFd, count: usize) -> nix::Result<usize> {
        let (fd, headers) = (socket.as_raw_fd(), self.link(count));
        let flags = MsgFlags::MSG_DONTWAIT.bits();
        // SAFETY: the first `count` headers are linked, and have lengths. The slices lead to bytes
        // that the callers borrow; the kernel does not write to them.
        let sent = unsafe {
            match (count, &self.slices[..]) {
                // Cheaper than a batch of one.
                (1, [slice]) if (*headers).msg_hdr.msg_controllen == 0 => {
                    let libc::msghdr { msg_name, msg_namelen, .. } = (*headers).msg_hdr;
                    let libc::iovec { iov_base, iov_len } = *slice;
                    let sent =
                        libc::sendto(fd, iov_base, iov_len, flags, msg_name.cast(), msg_namelen);
                    if sent < 0 { -1 } else { 1 }
                }
                _ => libc::sendmmsg(fd, headers, count as _, flags as _),
            }
        };
        Errno::result(sent).map(|sent| sent as usize)
    }

    /// Points the first `count` headers to their buffers and, in order, to as many slices as each
    /// says. Returns the first header.
    fn link(&mut self, count: usize) -> *mut libc::mmsghdr {
        let mut slice = self.slices.as_mut_ptr();
        let buffers = iter::zip(&mut self.names, &mut self.controls);
        for (header, (name, control)) in iter::zip(&mut self.headers[..count], buffers) {
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_control = ptr::from_mut(control).cast();
            header.msg_iov = slice;
            slice = slice.wrapping_add(header.msg_iovlen as usize);
        }
        self.headers.as_mut_ptr()
    }
}

/// Returns how many datagrams the socket's full receive queue has dropped.
pub(super) fn drops(socket: &impl AsRawFd) -> Option<u32> {
    // Of the option's numbers, linux/sock_diag.h calls this one `SK_MEMINFO_DROPS`.
    const DROPS: usize = 8;
    let mut numbers = [0_u32; DROPS + 1];
    let mut size = size_of_val(&numbers) as libc::socklen_t;
    let (fd, start) = (socket.as_raw_fd(), numbers.as_mut_ptr().cast());
    // SAFETY: the kernel writes no more than `size` bytes, and any are valid for integers.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, start, &raw mut size) };
    Errno::result(result).ok().map(|_| numbers[DROPS])
}

fn slice(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// A received message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    header: &'a libc::mmsghdr,
    name: &'a Name,
}

impl Message<'_> {
    /// Returns the length of its payload.
    pub(super) fn length(&self) -> usize {
        self.header.msg_len as usize
    }

    /// Writes its source to `to`, if it has one; a message of a socket that was shut down has none.
    ///
    /// An address that is returned would be written in small parts and then copied in large ones, for
    /// which a processor has to wait.
    pub(super) fn read_source(&self, to: &mut SocketAddr) -> bool {
        self.header.msg_hdr.msg_namelen > 0 && self.name.read(to)
    }

    /// Returns its control messages, as far as they are known.
    pub(super) fn controls(&self) -> impl Iterator<Item = ControlMessageOwned> {
        let header = &raw const self.header.msg_hdr;
        // SAFETY: the header leads to the control buffer, which is borrowed with it, and has the
        // length that the kernel has written.
        let first = unsafe { libc::CMSG_FIRSTHDR(header) };
        let next = move |before: &*mut libc::cmsghdr| {
            // SAFETY: as above.
            let next = unsafe { libc::CMSG_NXTHDR(header, *before) };
            (!next.is_null()).then_some(next)
        };
        iter::successors((!first.is_null()).then_some(first), next)
            // SAFETY: as above. The buffer has room for all messages, so none is cut.
            .filter_map(|at| unsafe { control(at) })
    }
}

/// Reads a control message, if it is known.
///
/// # Safety
/// `at` leads to a whole message that the kernel wrote.
unsafe fn control(at: *const libc::cmsghdr) -> Option<ControlMessageOwned> {
    // SAFETY: the header says what follows it; any bytes are valid for each of the types.
    unsafe {
        let data = libc::CMSG_DATA(at);
        let number = || data.cast::<c_int>().read_unaligned();
        Some(match ((*at).cmsg_level, (*at).cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                let time = data.cast::<libc::timespec>().read_unaligned();
                ControlMessageOwned::ScmTimestampns(time.into())
            }
            (libc::SOL_UDP, libc::UDP_GRO) => ControlMessageOwned::UdpGroSegments(number()),
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => ControlMessageOwned::Ipv4PacketInfo(
                data.cast::<libc::in_pktinfo>().read_unaligned(),
            ),
            (libc::IPPROTO_IP, libc::IP_TTL) => ControlMessageOwned::Ipv4Ttl(number()),
            (libc::IPPROTO_IP, libc::IP_TOS) => ControlMessageOwned::Ipv4Tos(data.read()),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                ControlMessageOwned::Ipv6PacketInfo(info)
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                ControlMessageOwned::Ipv6HopLimit(number())
            }
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => ControlMessageOwned::Ipv6TClass(number()),
            _ => return None,
        })
    }
}

/// A buffer for control messages.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Controls([u8; CONTROLS]);

impl Controls {
    /// Appends a control message.
    fn add<T: Copy>(&mut self, header: &mut libc::msghdr, level: c_int, kind: c_int, value: T) {
        let start = header.msg_controllen as usize;
        // SAFETY: these only compute.
        let [offset, length, space] = unsafe {
            let size = size_of::<T>() as _;
            [libc::CMSG_LEN(0), libc::CMSG_LEN(size), libc::CMSG_SPACE(size)]
        }
        .map(|number| number as usize);
        // SAFETY: integers may be zero.
        let mut head: libc::cmsghdr = unsafe { mem::zeroed() };
        head.cmsg_len = length as _;
        head.cmsg_level = level;
        head.cmsg_type = kind;
        let buffer = self.0[start..start + space].as_mut_ptr();
        // SAFETY: the space has room for both, which never overlap.
        unsafe {
            buffer.cast::<libc::cmsghdr>().write_unaligned(head);
            buffer.add(offset).cast::<T>().write_unaligned(value);
        }
        header.msg_controllen = (start + space) as _;
    }
}

/// A socket address.
#[derive(Clone, Copy)]
#[repr(C)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Name {
    /// Converts an address. Returns its length, too.
    fn new(address: SocketAddr) -> (Self, libc::socklen_t) {
        match address {
            SocketAddr::V4(address) => {
                let v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as _,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                (Self { v4 }, size_of_val(&v4) as _)
            }
            SocketAddr::V6(address) => {
                let v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as _,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                (Self { v6 }, size_of_val(&v6) as _)
            }
        }
    }

    /// Writes the address to `to`, if it is one of IP.
    fn read(&self, to: &mut SocketAddr) -> bool {
        // SAFETY: all bytes are initialized, and any are valid.
        let (family, v4, v6) = unsafe { (self.family, &self.v4, &self.v6) };
        match c_int::from(family) {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                *to = SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)));
            }
            libc::AF_INET6 => {
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                let (flow, scope) = (v6.sin6_flowinfo, v6.sin6_scope_id);
                *to = SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope));
            }
            _ => return false,
        }
        true
    }
}

impl Default for Name {
    fn default() -> Self {
        // SAFETY: any bytes are valid.
        unsafe { mem::zeroed() }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut address = SocketAddr::from(([0; 4], 0));
        let known = self.read(&mut address);
        known.then_some(address).fmt(out)
    }
}
