//! A UDP socket that waits for datagrams until a deadline and can be interrupted from any thread.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Type};

use crate::net::clock::monotonic_ns;
use crate::net::now;
use crate::wire::MAX_DATAGRAM;
use crate::{Error, Result, Stamp};

const DATAGRAM: Token = Token(0);
const WAKE: Token = Token(1);

/// A bound UDP socket with its buffer.
#[derive(Debug)]
pub struct Socket {
    udp: UdpSocket,
    local: SocketAddr,
    /// Where a connected socket sends to; the system may have connected elsewhere than asked, as it
    /// does for 0.0.0.0.
    peer: Option<SocketAddr>,
    poll: Poll,
    ready: Events,
    waker: Waker,
    /// Whether a wake-up was seen that no wait has ended by yet.
    woken: bool,
    interrupter: Interrupter,
    buffer: Box<[u8]>,
}

/// Ends one wait of a socket, the present one or the next; may be used again and again.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Wakes the socket.
    pub fn wake(&self) {
        // Fails only where the system is out of memory; the socket then wakes when it would have.
        let _ = self.0.wake();
    }
}

/// Ends the waiting of a socket, now and for good.
#[derive(Clone, Debug)]
pub struct Interrupter {
    means: Means,
    interrupted: Arc<AtomicBool>,
}

/// How a socket that waits is reached.
#[derive(Clone, Debug)]
enum Means {
    Wake(Waker),
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    ShutDown(Arc<std::net::UdpSocket>),
}

/// What waiting came to.
#[derive(Debug)]
pub enum Received<'a> {
    /// A datagram.
    Datagram {
        /// When it was received.
        at: Stamp,
        /// Where it came from.
        from: SocketAddr,
        /// Its payload.
        datagram: &'a [u8],
    },
    /// News that nothing listens where an earlier datagram went.
    Refused,
    /// Nothing is left to receive, and the deadline has come or the waker was used.
    Nothing,
    /// The interrupter was used.
    Interrupted,
}

impl Interrupter {
    /// Interrupts the socket.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        match &self.means {
            Means::Wake(waker) => waker.wake(),
            #[cfg(all(target_os = "linux", not(feature = "portable")))]
            Means::ShutDown(socket) => {
                use nix::sys::socket::{Shutdown, shutdown};
                use std::os::fd::AsRawFd;
                // Wakes a blocked receive for good, though it answers ENOTCONN.
                let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
            }
        }
    }

    /// Whether it was used.
    pub(super) fn is_used(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// One that ends the blocking calls on `socket`.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(super) fn of_blocking(socket: Arc<std::net::UdpSocket>) -> Self {
        Self { means: Means::ShutDown(socket), interrupted: Arc::default() }
    }
}

impl Socket {
    /// Binds `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses: the port is in use, the right is missing, the
    /// address is not this host's.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        Self::new(address).map_err(Error::io("bind", address))
    }

    /// Binds any free port and connects it: only `peer` is heard, and its refusals are reported.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses: no route, the right is missing.
    pub fn connect(peer: SocketAddr) -> Result<Self> {
        let any = match peer {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let connected = || {
            let mut socket = Self::new(any)?;
            socket.udp.connect(peer)?;
            socket.local = socket.udp.local_addr()?;
            socket.peer = Some(socket.udp.peer_addr()?);
            Ok(socket)
        };
        connected().map_err(Error::io("connect to", peer))
    }

    /// Takes over a socket that is connected already.
    #[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
    pub(super) fn connected(udp: std::net::UdpSocket) -> io::Result<Self> {
        udp.set_nonblocking(true)?;
        let peer = udp.peer_addr()?;
        let mut socket = Self::of(UdpSocket::from_std(udp))?;
        socket.peer = Some(peer);
        Ok(socket)
    }

    fn new(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let udp = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // All interfaces, of IPv4, too, as is usual where nothing is said but on Windows.
            udp.set_only_v6(false)?;
        }
        udp.bind(&address.into())?;
        udp.set_nonblocking(true)?;
        Self::of(UdpSocket::from_std(udp.into()))
    }

    fn of(mut udp: UdpSocket) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut udp, DATAGRAM, Interest::READABLE)?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKE)?));
        Ok(Self {
            local: udp.local_addr()?,
            udp,
            peer: None,
            poll,
            ready: Events::with_capacity(2),
            interrupter: Interrupter {
                means: Means::Wake(waker.clone()),
                interrupted: Arc::default(),
            },
            waker,
            woken: false,
            // IPv6 allows 20 bytes more.
            buffer: vec![0; MAX_DATAGRAM + 20].into_boxed_slice(),
        })
    }

    /// The address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The address that the socket is connected to; its own where it is to none.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer.unwrap_or(self.local)
    }

    /// The means to end its waiting from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// The means to end one wait of it from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Sends a datagram; never blocks.
    ///
    /// # Errors
    /// The system's, `WouldBlock` where its send buffer is full.
    pub fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        match self.peer {
            Some(_) => self.udp.send(datagram)?,
            None => self.udp.send_to(datagram, to)?,
        };
        Ok(())
    }

    /// Waits for a datagram until `deadline`, in monotonic nanoseconds, or without end.
    pub fn receive(&mut self, deadline: Option<i64>) -> Received<'_> {
        loop {
            if self.interrupter.is_used() {
                return Received::Interrupted;
            }
            // What has come is taken before the clock is looked at: a late look loses nothing.
            match self.udp.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    let at = now();
                    return Received::Datagram { at, from, datagram: &self.buffer[..length] };
                }
                Err(error) if is_refusal(&error) => return Received::Refused,
                // Errors other than `WouldBlock` are news of an earlier send, too; they are spent.
                Err(error) if error.kind() != ErrorKind::WouldBlock => continue,
                Err(_) => {}
            }
            if mem::take(&mut self.woken) {
                return Received::Nothing;
            }
            let patience = match deadline {
                None => None,
                Some(deadline) => match u64::try_from(deadline.saturating_sub(monotonic_ns())) {
                    Ok(left @ 1..) => Some(Duration::from_nanos(left)),
                    _ => return Received::Nothing,
                },
            };
            // The only error is an interruption by a signal: look again.
            let _ = self.poll.poll(&mut self.ready, patience);
            self.woken = self.ready.iter().any(|event| event.token() == WAKE);
        }
    }
}

/// Whether an I/O error is the news that nothing listens at the other end (ICMP port unreachable).
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn loopback() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    #[test]
    fn a_datagram_of_any_length_passes_whole() {
        let mut receiver = Socket::bind(loopback()).unwrap();
        let sender = Socket::connect(receiver.local_address()).unwrap();
        for length in [0, 1, MAX_DATAGRAM] {
            sender.send(receiver.local_address(), &vec![7; length]).unwrap();
            let Received::Datagram { from, datagram, .. } = receiver.receive(None) else {
                panic!("no datagram");
            };
            assert_eq!((from, datagram.len()), (sender.local_address(), length));
        }
    }

    #[test]
    fn all_interfaces_of_ipv6_are_those_of_ipv4() {
        let mut receiver = Socket::bind((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        let port = receiver.local_address().port();
        let sender = Socket::connect((Ipv4Addr::LOCALHOST, port).into()).unwrap();
        sender.send(sender.peer_address(), b"4").unwrap();
        assert!(matches!(receiver.receive(None), Received::Datagram { datagram: b"4", .. }));
    }

    #[test]
    fn a_deadline_that_has_passed_ends_the_wait() {
        let mut socket = Socket::bind(loopback()).unwrap();
        assert!(matches!(socket.receive(Some(now().mono_ns)), Received::Nothing));
        assert!(matches!(socket.receive(Some(now().mono_ns + 1_000_000)), Received::Nothing));
    }

    #[test]
    fn an_interruption_ends_the_wait_for_good() {
        let mut socket = Socket::bind(loopback()).unwrap();
        let interrupter = socket.interrupter();
        let thread = thread::spawn(move || {
            let first = matches!(socket.receive(None), Received::Interrupted);
            first && matches!(socket.receive(None), Received::Interrupted)
        });
        interrupter.interrupt();
        assert!(thread.join().unwrap());
    }

    #[test]
    fn a_wake_up_ends_one_wait_after_what_has_come_is_taken() {
        let mut receiver = Socket::bind(loopback()).unwrap();
        let sender = Socket::connect(receiver.local_address()).unwrap();
        for _ in 0..2 {
            sender.send(receiver.local_address(), b"first").unwrap();
            receiver.waker().wake();
            assert!(matches!(receiver.receive(None), Received::Datagram { .. }));
            assert!(matches!(receiver.receive(None), Received::Nothing));
            let start = now().mono_ns;
            assert!(matches!(receiver.receive(Some(start + 1_000_000)), Received::Nothing));
            assert!(now().mono_ns >= start + 1_000_000, "it is used up");
        }
    }

    #[test]
    fn a_refusal_is_news() {
        // Connected to itself, it refuses all others, and nobody else can take its port.
        let nobody = UdpSocket::bind(loopback()).unwrap();
        let address = nobody.local_addr().unwrap();
        nobody.connect(address).unwrap();
        let mut socket = Socket::connect(address).unwrap();
        socket.send(address, b"anybody?").unwrap();
        assert!(matches!(socket.receive(None), Received::Refused));
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = Socket::bind(loopback()).unwrap();
        let error = Socket::bind(taken.local_address()).unwrap_err().to_string();
        assert_eq!(error, format!("cannot bind {}: Address already in use", taken.local));
    }
}
