//! The interface between protocols and their drivers.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::{Captured, Events, Stamp};

/// A state machine that readers observe while it works.
pub trait Observed: Send + 'static {
    /// An event for a reader.
    type Event: Clone + Send;

    /// Returns the queue of unread events.
    fn unread(&mut self) -> &mut Events<Self::Event>;

    /// Sets the total of datagrams that the full receive queue of a socket has dropped.
    fn count_drops(&mut self, socket: usize, total: u64);
}

impl<M: Machine> Observed for M {
    type Event = <M as Machine>::Event;

    fn unread(&mut self) -> &mut Events<Self::Event> {
        self.events()
    }

    fn count_drops(&mut self, socket: usize, total: u64) {
        self.on_receive_drops(socket, total);
    }
}

/// A protocol without sockets or clocks: time and datagrams in, datagrams and events out.
///
/// A machine may serve several sockets, numbered from 0; `socket` says which one a call is about.
/// After each wait the driver hands over the arrivals, calls [`on_time`](Self::on_time), and sends
/// the datagrams of [`transmit`](Self::transmit). It then waits until [`deadline`](Self::deadline).
pub trait Machine: Send + 'static {
    /// An event for a reader.
    type Event: Clone + Send;

    /// Handles a datagram. Returns the length of an immediate answer, written over the datagram.
    fn on_datagram(&mut self, socket: usize, arrival: &mut Arrival<'_>) -> Option<usize>;

    /// Handles datagrams in order of arrival and passes each one that was answered, with the
    /// answer's length, to `answer`.
    fn on_datagrams<'a>(
        &mut self,
        socket: usize,
        arrivals: impl Iterator<Item = Arrival<'a>>,
        answer: impl FnMut(&Arrival<'a>, usize),
    ) {
        one_by_one(self, socket, arrivals, answer);
    }

    /// Performs the work that is due at `now`. Every datagram that arrived before `heard_ns`
    /// (monotonic) was handed over, so silence counts up to then; `heard_ns` equals `now` if
    /// nothing is left to read.
    fn on_time(&mut self, socket: usize, now: Stamp, heard_ns: i64);

    /// Returns when `on_time` has work again, in monotonic nanoseconds.
    fn deadline(&self, socket: usize) -> Option<i64>;

    /// Returns the next datagram to send.
    fn transmit(&mut self, socket: usize) -> Option<Transmit<'_>>;

    /// Handles a datagram that found the send buffer full and now waits in the driver's backlog.
    fn on_blocked(&mut self, _socket: usize, _datagram: &[u8]) {}

    /// Renews the times in a datagram that is about to leave the backlog. Returns whether it is
    /// still worth sending.
    fn on_unblocked(
        &mut self,
        _socket: usize,
        _now: Stamp,
        _to: SocketAddr,
        _datagram: &mut Vec<u8>,
    ) -> bool {
        true
    }

    /// Handles a datagram that this host could not send to `to`, with the system's error code;
    /// `None` if the send buffer stayed full.
    fn on_send_failed(
        &mut self,
        socket: usize,
        to: SocketAddr,
        datagram: &[u8],
        error: Option<i32>,
    );

    /// Handles an ICMP error.
    fn on_icmp(&mut self, _socket: usize, _error: &Icmp<'_>) {}

    /// Handles the kernel's transmit timestamp of a datagram, in monotonic nanoseconds.
    fn on_departed(&mut self, _socket: usize, _datagram: &[u8], _kernel_ns: i64) {}

    /// Sets the total of datagrams that the socket's full receive queue has dropped.
    fn on_receive_drops(&mut self, _socket: usize, _total: u64) {}

    /// Returns the numbers of the servers whose names must be looked up now.
    fn lookups(&mut self, _now: Stamp) -> Vec<usize> {
        Vec::new()
    }

    /// Handles the result of a lookup: the addresses of a server or the resolver's reason.
    fn on_resolved(&mut self, _server: usize, _now: Stamp, _found: Result<&[SocketAddr], &str>) {}

    /// The owner is shutting down: queues a farewell. Returns the delay until the next call, or
    /// `None` if nothing is left to say.
    fn farewell(&mut self, _now: Stamp) -> Option<Duration> {
        None
    }

    /// Returns how long arrivals may wait to be read together.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns whether the system must refuse datagrams for a socket.
    fn refuses(&self, _socket: usize, _now: Stamp) -> bool {
        false
    }

    /// Returns whether the machine has finished with a socket.
    fn is_done(&self, _socket: usize) -> bool {
        false
    }

    /// Returns the packets that were captured, if there is a capture; the caller removes them.
    fn captured(&mut self, _socket: usize) -> Option<&mut Vec<Captured>> {
        None
    }

    /// Returns the queue of unread events.
    fn events(&mut self) -> &mut Events<Self::Event>;
}

/// Hands over datagrams one at a time.
pub(crate) fn one_by_one<'a, M: Machine + ?Sized>(
    machine: &mut M,
    socket: usize,
    arrivals: impl Iterator<Item = Arrival<'a>>,
    mut answer: impl FnMut(&Arrival<'a>, usize),
) {
    for mut arrival in arrivals {
        if let Some(length) = machine.on_datagram(socket, &mut arrival) {
            answer(&arrival, length);
        }
    }
}

/// A received datagram.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// When the program read it.
    pub read: Stamp,
    /// The kernel's receive timestamp.
    pub kernel: Option<Stamp>,
    /// The source address.
    pub from: SocketAddr,
    /// The destination address, if the socket has several and the platform reports it.
    pub to: Option<Local>,
    /// The IPv4 time to live or IPv6 hop limit on arrival, if the platform reports it.
    pub ttl: Option<u8>,
    /// The IPv4 type of service or IPv6 traffic class, if the platform reports it.
    pub tos: Option<u8>,
    /// Set if it is a server's answer: an answer to it could start a loop.
    pub is_answer: bool,
    /// Set if it was sent to a broadcast or multicast address, as far as the platform reports it.
    pub to_group: bool,
    /// The payload.
    pub datagram: &'a mut [u8],
    /// The start of the payload in the receive buffer.
    pub(crate) offset: usize,
}

impl<'a> Arrival<'a> {
    /// Creates an arrival that was read immediately.
    pub fn new(at: Stamp, from: SocketAddr, datagram: &'a mut [u8]) -> Self {
        Self {
            read: at,
            kernel: None,
            from,
            to: None,
            ttl: None,
            tos: None,
            is_answer: false,
            to_group: false,
            datagram,
            offset: 0,
        }
    }

    /// Returns the range of an immediate answer of this length in the receive buffer.
    #[must_use]
    pub fn answer(&self, length: usize) -> Range<usize> {
        self.offset..self.offset + length
    }

    /// Returns the best known time of arrival.
    #[must_use]
    pub fn at(&self) -> Stamp {
        self.kernel.unwrap_or(self.read)
    }
}

/// An ICMP error about a datagram that was sent (RFC 792, RFC 4443).
///
/// No address in it is IPv4-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp<'a> {
    /// The type of the message, of the version of ICMP that belongs to the family of `to`.
    pub kind: u8,
    /// The code of the message.
    pub code: u8,
    /// The sender of the message; `None` if it is this host, which knows a path MTU that the
    /// datagram exceeds.
    pub router: Option<IpAddr>,
    /// The destination of the datagram. If the error is this host's, the port may be 0.
    pub to: SocketAddr,
    /// The path MTU in bytes, if the datagram was too big.
    pub mtu: Option<u32>,
    /// The start of the datagram, as long as the message quotes it; possibly empty.
    pub datagram: &'a [u8],
}

impl Icmp<'_> {
    /// Returns whether nothing listens on the port.
    #[must_use]
    pub fn is_port_unreachable(&self) -> bool {
        (self.kind, self.code) == if self.to.is_ipv4() { (3, 3) } else { (1, 4) }
    }
}

/// Fields of a datagram's IP header; `None` if they are unknown or the system's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The IPv4 time to live or IPv6 hop limit.
    pub ttl: Option<u8>,
    /// The IPv4 type of service or IPv6 traffic class.
    pub tos: Option<u8>,
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// The destination.
    pub to: SocketAddr,
    /// The source address; the system's choice if `None`.
    pub from: Option<Local>,
    /// The payload.
    pub datagram: &'a [u8],
}

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local {
    /// The address.
    pub ip: IpAddr,
    /// The interface of a link-local IPv6 address; otherwise 0.
    pub interface: u32,
}

/// A machine's one datagram to send, in a reused buffer.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    to: Option<SocketAddr>,
    datagram: Vec<u8>,
}

impl Outgoing {
    /// Queues a datagram for `to`; `write` fills the reused buffer.
    pub(crate) fn put(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.datagram);
        self.to = Some(to);
    }

    /// Returns the payload written last.
    #[cfg(test)]
    pub(crate) fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// Returns the queued datagram, once.
    pub(crate) fn take(&mut self) -> Option<Transmit<'_>> {
        let to = self.to.take()?;
        Some(Transmit { to, from: None, datagram: &self.datagram })
    }
}

/// Helpers that drive machines by hand.
#[cfg(test)]
pub(crate) mod by_hand {
    use super::{Arrival, Icmp, Machine};
    use crate::Stamp;
    use std::net::SocketAddr;

    /// Hands over a datagram. Returns the immediate answer.
    pub(crate) fn arrive(
        machine: &mut impl Machine,
        at: Stamp,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Option<Vec<u8>> {
        let mut payload = datagram.to_vec();
        let length = machine.on_datagram(0, &mut Arrival::new(at, from, &mut payload))?;
        payload.truncate(length);
        Some(payload)
    }

    /// Returns the error of a host that has nothing on the port of `to`, about `datagram`.
    pub(crate) fn port_unreachable(to: SocketAddr, datagram: &[u8]) -> Icmp<'_> {
        Icmp { kind: 3, code: 3, router: Some(to.ip()), to, mtu: None, datagram }
    }

    /// Sets the time to `now`, with nothing left to read.
    pub(crate) fn tick(machine: &mut impl Machine, now: Stamp) {
        machine.on_time(0, now, now.mono_ns);
    }

    /// Returns the next datagram to send.
    pub(crate) fn transmit(machine: &mut impl Machine) -> Option<(SocketAddr, &[u8])> {
        machine.transmit(0).map(|transmit| (transmit.to, transmit.datagram))
    }
}
