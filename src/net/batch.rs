//! The datagrams of one receive call.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::net::memory::Memory;
use crate::{Arrival, Icmp, Local, Stamp};

/// The most bursts in a batch.
pub const MAX_BATCH: usize = 256;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Datagrams arrived; they are in the batch.
    Datagrams,
    /// The kernel stamped the departure of a datagram: [`Batch::departed`].
    Departed {
        /// Monotonic nanoseconds.
        kernel_ns: i64,
    },
    /// An ICMP error: [`Batch::icmp`].
    Icmp,
    /// The send buffer has room again.
    Writable,
    /// Nothing is left to read, and the deadline has come or the waker was used.
    Idle,
    /// The interrupter was used.
    Interrupted,
}

/// The options of a [`BatchSocket`](crate::net::BatchSocket).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent socket options")]
pub struct Options {
    /// Ask the kernel to stamp arrivals, if it can.
    pub kernel_stamps: bool,
    /// Receive and send runs of one peer's datagrams in one piece (GRO, GSO).
    pub offload: bool,
    /// Share the address among several sockets; the kernel spreads the senders over them.
    pub shared: bool,
    /// The socket sends answers: from the address that was asked ([`Arrival::to`]), and marked so
    /// that another such socket does not answer them ([`Arrival::is_answer`]).
    pub answers: bool,
    /// The socket reflects test packets: from the address that was asked, with 255 hops. Report the
    /// destination, TTL and type of service of arrivals, if the platform can.
    pub reflects: bool,
    /// The socket sends probes: report ICMP errors, and the destination, TTL and type of service of
    /// replies, if the platform can.
    pub probes: bool,
    /// The longest payload that matters: longer ones are cut, but never to this length, which
    /// saves memory. If `None`, all are received whole.
    pub longest: Option<usize>,
    /// The send buffer to ask for, in bytes as the kernel counts them, if that is more than usual.
    pub send_buffer: usize,
}

/// Datagrams of one sender that arrived in one piece; usually one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    /// When the program read them.
    pub(super) read: Stamp,
    /// The kernel's receive timestamp.
    pub(super) kernel: Option<Stamp>,
    pub(super) from: SocketAddr,
    pub(super) to: Option<Local>,
    pub(super) ttl: Option<u8>,
    pub(super) tos: Option<u8>,
    /// Set if they are a server's replies: one of this process, or another by their TTL (sampled: 1
    /// receive in 64).
    pub(super) is_answer: bool,
    /// Set if their destination is a broadcast or multicast address; only with its report.
    pub(super) to_group: bool,
    /// The start of the payloads in the batch's memory.
    pub(super) start: usize,
    pub(super) length: usize,
    /// The length of each datagram but the last, which may be shorter.
    pub(super) segment: usize,
}

impl Burst {
    /// Creates a burst of one datagram at the start of a batch's memory.
    pub(super) fn single(
        read: Stamp,
        kernel: Option<Stamp>,
        from: SocketAddr,
        length: usize,
    ) -> Self {
        Self {
            read,
            kernel,
            from,
            to: None,
            ttl: None,
            tos: None,
            is_answer: false,
            to_group: false,
            start: 0,
            length,
            segment: length,
        }
    }

    /// Returns the number of its datagrams.
    pub(super) fn count(&self) -> usize {
        // Usually it is one, maybe empty; a division takes longer than the rest.
        if self.length <= self.segment { 1 } else { self.length.div_ceil(self.segment) }
    }

    /// Returns the ranges of its datagrams in the batch's memory, in the order of sending.
    fn datagrams(self) -> impl Iterator<Item = Range<usize>> {
        let Self { start, length, segment, .. } = self;
        (0..self.count())
            .map(move |i| start + i * segment..start + (i * segment + segment).min(length))
    }
}

/// An ICMP error; the datagram that it quotes is in the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct IcmpError {
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) router: Option<IpAddr>,
    pub(super) to: SocketAddr,
    pub(super) mtu: Option<u32>,
    /// The length of the quoted datagram.
    pub(super) length: usize,
}

/// The datagrams of one receive call, in reused memory.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) memory: Memory,
    /// Ordered by `start`.
    pub(super) bursts: Vec<Burst>,
    /// A buffer for a datagram of ours: one that an ICMP error quotes, or one that departed.
    pub(super) quoted: Vec<u8>,
    pub(super) icmp: Option<IcmpError>,
    pub(super) departed: Range<usize>,
}

impl Batch {
    /// Returns the bytes of the datagrams.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// Returns the ICMP error.
    #[must_use]
    pub fn icmp(&self) -> Option<Icmp<'_>> {
        let IcmpError { kind, code, router, to, mtu, length } = self.icmp?;
        Some(Icmp { kind, code, router, to, mtu, datagram: &self.quoted[..length] })
    }

    /// Returns the datagram that departed.
    #[must_use]
    pub fn departed(&self) -> &[u8] {
        &self.quoted[self.departed.clone()]
    }

    /// Removes the datagrams and the ICMP error.
    pub(super) fn clear(&mut self) {
        self.bursts.clear();
        self.icmp = None;
    }

    /// Removes datagrams of others than `peer`.
    pub(super) fn keep_from(&mut self, peer: SocketAddr) {
        // The scope of an IPv6 address is not always given.
        let place = |address: SocketAddr| (address.ip(), address.port());
        self.bursts.retain(|burst| place(burst.from) == place(peer));
    }

    /// Returns the number of bursts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bursts.len()
    }

    /// Returns whether nothing arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bursts.is_empty()
    }

    /// Returns when the program read the last datagram.
    #[must_use]
    pub fn read(&self) -> Option<Stamp> {
        self.bursts.last().map(|burst| burst.read)
    }

    /// Returns the kernel's receive timestamp of the last datagram: everything that arrived earlier
    /// has been read.
    #[must_use]
    pub fn heard_ns(&self) -> Option<i64> {
        let last = self.bursts.last()?;
        last.kernel.map(|kernel| kernel.mono_ns.min(last.read.mono_ns))
    }

    /// Returns each datagram.
    pub fn arrivals(&mut self) -> impl Iterator<Item = Arrival<'_>> {
        let Self { memory, bursts, .. } = self;
        let (mut rest, mut passed) = (&mut **memory, 0);
        bursts.iter().flat_map(|burst| burst.datagrams().map(move |at| (burst, at))).map(
            move |(burst, at)| {
                let skipped = std::mem::take(&mut rest).split_at_mut(at.start - passed).1;
                let (datagram, after) = skipped.split_at_mut(at.len());
                (rest, passed) = (after, at.end);
                let Burst { read, kernel, from, to, ttl, tos, is_answer, to_group, .. } = *burst;
                let offset = at.start;
                Arrival { read, kernel, from, to, ttl, tos, is_answer, to_group, datagram, offset }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(length: usize, segment: usize) -> Vec<Range<usize>> {
        let from = "127.0.0.1:1".parse().unwrap();
        let single = Burst::single(Stamp::default(), None, from, length);
        Burst { start: 10, segment, ..single }.datagrams().collect()
    }

    #[test]
    fn a_burst_is_cut_into_its_datagrams() {
        assert_eq!(ranges(7, 3), [10..13, 13..16, 16..17]);
        assert_eq!(ranges(6, 3), [10..13, 13..16]);
        assert_eq!(ranges(6, 6), [10..16; 1]);
        assert_eq!(ranges(0, 0), [10..10; 1]);
    }

    #[test]
    fn each_arrival_has_its_own_bytes() {
        let from = "127.0.0.1:1".parse().unwrap();
        let single = Burst::single(Stamp::default(), None, from, 5);
        let bursts = vec![
            Burst { start: 1, segment: 2, ..single },
            Burst { start: 8, length: 0, segment: 0, ..single },
            Burst { start: 8, length: 2, segment: 2, ..single },
        ];
        let memory = Memory::Heap(b"-abcde--fg-".to_vec());
        let mut batch = Batch { memory, bursts, ..Batch::default() };
        let payloads: Vec<_> =
            batch.arrivals().map(|arrival| (arrival.offset, &*arrival.datagram)).collect();
        let expected: [(usize, &[u8]); 5] =
            [(1, b"ab"), (3, b"cd"), (5, b"e"), (8, b""), (8, b"fg")];
        assert_eq!(payloads, expected);
    }
}
