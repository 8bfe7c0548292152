//! A UDP socket that waits for datagrams until a deadline and can be interrupted from any thread.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mio::event::Event;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, SockRef, Type};

use crate::net::batch::Burst;
use crate::net::clock::monotonic_ns;
use crate::net::errors::ErrorQueue;
use crate::net::{Batch, DropGauge, Outbox, Port, Unsent, Wake, now};
use crate::wire::MAX_DATAGRAM;
use crate::{Error, Result};

/// The longest payload: IPv6 allows 20 bytes more than IPv4.
pub(super) const MAX_PAYLOAD: usize = MAX_DATAGRAM + 20;

/// The send buffer that is asked for.
const SEND_BUFFER: usize = 4 << 20;

/// How often a datagram is tried. A dead neighbour fails all datagrams that waited for it, hundreds
/// within a millisecond.
const MAX_TRIES: usize = 16;

/// Errors in a row that can belong to earlier sends.
const PASSING: u32 = 64;

/// The wait between two tries if a descriptor is broken.
pub(super) const BROKEN: Duration = Duration::from_millis(10);

/// Errors in a row. A socket whose descriptor somebody has closed fails without end.
#[derive(Debug, Default)]
pub(super) struct Failures(u32);

impl Failures {
    /// Counts one more. Returns whether the socket seems broken, and then takes its time.
    pub(super) fn last(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        let broken = self.0 > PASSING;
        if broken {
            thread::sleep(BROKEN);
        }
        broken
    }
}

pub(super) const DATAGRAM: Token = Token(0);
const WAKE: Token = Token(1);

/// A bound UDP socket with its buffer.
#[derive(Debug)]
pub struct Socket {
    pub(super) udp: UdpSocket,
    local: SocketAddr,
    pub(super) poll: Poll,
    ready: Events,
    waker: Waker,
    /// Whether a wakeup was seen that has not ended a wait yet.
    woken: bool,
    interrupter: Interrupter,
    /// Whether the poll watches for room in the send buffer.
    pub(super) watches_room: bool,
    pub(super) errors: ErrorQueue,
}

/// A handle that ends one wait of a socket, the current or the next. It can be reused.
#[derive(Clone, Debug)]
pub struct Waker(WakerMeans);

#[derive(Clone, Debug)]
enum WakerMeans {
    Poll(Arc<mio::Waker>),
    /// An empty datagram of the socket to itself.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    Datagram(Weak<std::net::UdpSocket>),
}

impl Waker {
    /// Wakes the socket.
    pub fn wake(&self) {
        match &self.0 {
            // Fails only if the system is out of memory; the socket then wakes at its deadline.
            WakerMeans::Poll(waker) => drop(waker.wake()),
            // Fails if a buffer is full; then the socket is not asleep.
            #[cfg(all(target_os = "linux", not(feature = "portable")))]
            WakerMeans::Datagram(socket) => {
                if let Some(socket) = socket.upgrade()
                    && let Ok(local) = socket.local_addr()
                {
                    let _ = socket.send_to(&[], reachable(local));
                }
            }
        }
    }

    /// Creates a waker for waits in a poll.
    pub(super) fn of_poll(waker: Arc<mio::Waker>) -> Self {
        Self(WakerMeans::Poll(waker))
    }

    /// Creates a waker for blocking calls on `socket`, which ignores empty ones of its own.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(super) fn of_blocking(socket: &Arc<std::net::UdpSocket>) -> Self {
        Self(WakerMeans::Datagram(Arc::downgrade(socket)))
    }
}

/// Returns an address of this host for a socket that is bound to `local`.
pub(super) fn reachable(mut local: SocketAddr) -> SocketAddr {
    if local.ip().is_unspecified() {
        let v4 = local.is_ipv4();
        local.set_ip(if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    local
}

/// A handle that ends all waits of a socket, current and future.
#[derive(Clone, Debug)]
pub struct Interrupter {
    means: Means,
    interrupted: Arc<AtomicBool>,
}

/// The way to reach a waiting socket.
#[derive(Clone, Debug)]
enum Means {
    Wake(Waker),
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    ShutDown(Arc<std::net::UdpSocket>),
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
                // Wakes a blocked receive, now and later, although it returns ENOTCONN.
                let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
            }
        }
    }

    /// Returns a gauge of the socket's drops.
    #[must_use]
    pub fn drop_gauge(&self) -> DropGauge {
        match &self.means {
            Means::Wake(_) => DropGauge::default(),
            #[cfg(all(target_os = "linux", not(feature = "portable")))]
            Means::ShutDown(socket) => DropGauge::of(socket),
        }
    }

    /// Returns whether the socket was interrupted.
    pub(super) fn is_used(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// Creates an interrupter for waits that `waker` ends.
    pub(super) fn of_poll(waker: Waker) -> Self {
        Self { means: Means::Wake(waker), interrupted: Arc::default() }
    }

    /// Creates an interrupter for blocking calls on `socket`.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(super) fn of_blocking(socket: Arc<std::net::UdpSocket>) -> Self {
        Self { means: Means::ShutDown(socket), interrupted: Arc::default() }
    }
}

impl Socket {
    /// Binds `address`; port 0 is any free one.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses: the port is in use, permission is missing, the address
    /// is not this host's.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let socket = Self::new(address).map_err(Error::io("bind", address))?;
        join_group(&SockRef::from(&socket.udp), address)?;
        Ok(socket)
    }

    fn new(address: SocketAddr) -> io::Result<Self> {
        Self::of(bind(address)?)
    }

    /// Wraps a bound socket.
    pub(super) fn of(udp: std::net::UdpSocket) -> io::Result<Self> {
        udp.set_nonblocking(true)?;
        let mut udp = UdpSocket::from_std(udp);
        let poll = Poll::new()?;
        poll.registry().register(&mut udp, DATAGRAM, Interest::READABLE)?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKE)?);
        let waker = Waker::of_poll(waker);
        Ok(Self {
            local: udp.local_addr()?,
            errors: ErrorQueue::new(&udp, udp.local_addr()?),
            udp,
            poll,
            ready: Events::with_capacity(2),
            interrupter: Interrupter::of_poll(waker.clone()),
            waker,
            woken: false,
            watches_room: false,
        })
    }

    /// Permits datagrams to broadcast addresses.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses.
    pub fn permit_broadcast(&self) -> Result<()> {
        self.udp.set_broadcast(true).map_err(Error::io("permit broadcast from", self.local))
    }

    /// Returns the address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Returns a handle that ends its waits from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Returns a handle that ends one wait from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        insist(&mut self.errors, || self.udp.send_to(datagram, to)).map(drop)
    }

    /// Binds a new socket to the address of the old one.
    fn rebind(&mut self) -> io::Result<()> {
        // The old one is closed first.
        let mut other = reachable(self.local);
        other.set_port(0);
        self.udp = UdpSocket::bind(other)?;
        let udp = bind(self.local)?;
        udp.set_nonblocking(true)?;
        self.udp = UdpSocket::from_std(udp);
        self.watches_room = false;
        self.poll.registry().register(&mut self.udp, DATAGRAM, Interest::READABLE)
    }

    /// Sets whether the poll watches for room in the send buffer.
    fn watch_room(&mut self, wanted: bool) {
        let interest =
            if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        if wanted != self.watches_room
            && self.poll.registry().reregister(&mut self.udp, DATAGRAM, interest).is_ok()
        {
            self.watches_room = wanted;
        }
    }
}

impl Port for Socket {
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake {
        self.watch_room(blocked);
        batch.clear();
        batch.memory.hold(MAX_PAYLOAD);
        let mut failures = Failures::default();
        loop {
            if self.interrupter.is_used() {
                return Wake::Interrupted;
            }
            if self.errors.find_icmp(&self.udp, batch) {
                return Wake::Icmp;
            }
            // Read arrivals before the clock, so that a late look loses nothing.
            match self.udp.recv_from(&mut batch.memory) {
                Ok((length, from)) => {
                    batch.bursts.push(Burst::single(now(), None, from, length));
                    return Wake::Datagrams;
                }
                // Other errors report an earlier send; each is reported once.
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    self.errors.on_error(&error);
                    if !failures.last() {
                        continue;
                    }
                }
                Err(_) => {}
            }
            if mem::take(&mut self.woken) {
                return Wake::Idle;
            }
            let patience = match deadline {
                None => None,
                Some(deadline) => match u64::try_from(deadline.saturating_sub(monotonic_ns())) {
                    Ok(left @ 1..) => Some(Duration::from_nanos(left)),
                    _ => return Wake::Idle,
                },
            };
            // The only error is a signal: look again.
            let _ = self.poll.poll(&mut self.ready, patience);
            self.woken = self.ready.iter().any(|event| event.token() == WAKE);
            if blocked && self.ready.iter().any(Event::is_writable) {
                return Wake::Writable;
            }
        }
    }

    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent)) {
        outbox.send_each(memory, |to, datagram| self.transmit(to, datagram), unsent);
    }

    fn refuse(&mut self, wanted: bool) {
        // Connected to itself, it refuses everybody else, and nobody else can get its port.
        let done = if wanted { self.udp.connect(reachable(self.local)) } else { self.rebind() };
        // If the system does not let us, the machine still drops all datagrams.
        drop(done);
    }
}

/// Binds a socket of the standard library.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let domain = Domain::for_address(address);
    let udp = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Accept IPv4, too: the default everywhere except on Windows.
        udp.set_only_v6(false)?;
    }
    // Packets for a dead neighbour hold the default buffer for seconds. Refused or capped, it works
    // all the same.
    let _ = udp.set_send_buffer_size(SEND_BUFFER);
    udp.bind(&address.into())?;
    Ok(udp.into())
}

/// Joins the multicast group that a socket is bound to, if it is bound to one: on the interface of
/// the address's scope or else of the route to the group.
pub(super) fn join_group(socket: &SockRef<'_>, address: SocketAddr) -> Result<()> {
    let joined = match address {
        SocketAddr::V4(group) if group.ip().is_multicast() => {
            socket.join_multicast_v4(group.ip(), &Ipv4Addr::UNSPECIFIED)
        }
        SocketAddr::V6(group) if group.ip().is_multicast() => {
            socket.join_multicast_v6(group.ip(), group.scope_id())
        }
        _ => Ok(()),
    };
    joined.map_err(Error::io("join the group of", address))
}

/// Returns the code of an error of a send; `None` if the send buffer was full.
pub(super) fn obstacle(error: &io::Error) -> Option<i32> {
    let blocked = error.kind() == ErrorKind::WouldBlock;
    error.raw_os_error().filter(|_| !blocked)
}

/// Sends, and tries again after an error: it may belong to an earlier datagram, and then the system
/// sent nothing.
pub(super) fn insist<T>(
    errors: &mut ErrorQueue,
    mut send: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut result = send();
    for _ in 1..MAX_TRIES {
        if let Err(error) = &result
            && obstacle(error).is_some()
        {
            errors.on_error(error);
            result = send();
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn send(socket: &mut Socket, to: SocketAddr, datagram: &[u8]) {
        let mut outbox = Outbox::default();
        outbox.push(to, None, 0..datagram.len());
        socket.send(&mut outbox, datagram, |unsent| panic!("{unsent:?}"));
    }

    fn wait(socket: &mut Socket, deadline: Option<i64>) -> Wake {
        socket.receive(&mut Batch::default(), deadline, false)
    }

    fn loopback() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    #[test]
    fn a_datagram_of_any_length_passes_whole() {
        let mut receiver = Socket::bind(loopback()).unwrap();
        let mut sender = Socket::bind(loopback()).unwrap();
        let mut batch = Batch::default();
        for length in [0, 1, MAX_DATAGRAM] {
            send(&mut sender, receiver.local_address(), &vec![7; length]);
            assert_eq!(receiver.receive(&mut batch, None, false), Wake::Datagrams);
            let arrivals: Vec<_> = batch.arrivals().collect();
            let [arrival] = &arrivals[..] else { panic!("{arrivals:?}") };
            assert_eq!((arrival.from, arrival.datagram.len()), (sender.local_address(), length));
        }
    }

    #[test]
    fn an_unspecified_ipv6_address_accepts_ipv4() {
        let mut receiver = Socket::bind((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        let port = receiver.local_address().port();
        let mut sender = Socket::bind(loopback()).unwrap();
        send(&mut sender, (Ipv4Addr::LOCALHOST, port).into(), b"4");
        let mut batch = Batch::default();
        assert_eq!(receiver.receive(&mut batch, None, false), Wake::Datagrams);
        assert_eq!(batch.memory()[..1], *b"4");
    }

    #[test]
    fn a_deadline_that_has_passed_ends_the_wait() {
        let mut socket = Socket::bind(loopback()).unwrap();
        assert!(wait(&mut socket, Some(now().mono_ns)) == Wake::Idle);
        assert!(wait(&mut socket, Some(now().mono_ns + 1_000_000)) == Wake::Idle);
    }

    #[test]
    fn an_interruption_ends_all_waits() {
        let mut socket = Socket::bind(loopback()).unwrap();
        let interrupter = socket.interrupter();
        let thread = thread::spawn(move || {
            let first = wait(&mut socket, None) == Wake::Interrupted;
            first && wait(&mut socket, None) == Wake::Interrupted
        });
        interrupter.interrupt();
        assert!(thread.join().unwrap());
    }

    #[test]
    fn a_wake_up_ends_one_wait_once_nothing_is_left_to_read() {
        let mut receiver = Socket::bind(loopback()).unwrap();
        let mut sender = Socket::bind(loopback()).unwrap();
        for _ in 0..2 {
            send(&mut sender, receiver.local_address(), b"first");
            receiver.waker().wake();
            assert!(wait(&mut receiver, None) == Wake::Datagrams);
            assert!(wait(&mut receiver, None) == Wake::Idle);
            let start = now().mono_ns;
            assert!(wait(&mut receiver, Some(start + 1_000_000)) == Wake::Idle);
            assert!(now().mono_ns >= start + 1_000_000, "it is used up");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn a_refusal_ends_the_wait() {
        // Connected to itself, it refuses everybody else, and nobody else can get its port.
        let nobody = UdpSocket::bind(loopback()).unwrap();
        let address = nobody.local_addr().unwrap();
        nobody.connect(address).unwrap();
        let mut socket = Socket::bind(loopback()).unwrap();
        send(&mut socket, address, b"anybody?");
        assert!(wait(&mut socket, None) == Wake::Icmp);
    }

    #[test]
    fn errors_of_earlier_datagrams_fail_no_later_one() {
        let mut socket = Socket::bind(loopback()).unwrap();
        let mut tries = 0;
        let sent = insist(&mut socket.errors, || {
            tries += 1;
            if tries < MAX_TRIES { Err(io::Error::from_raw_os_error(113)) } else { Ok(tries) }
        });
        assert_eq!(sent.unwrap(), MAX_TRIES);
        let failed = insist(&mut socket.errors, || Err::<(), _>(io::Error::from_raw_os_error(101)));
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(101));
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = Socket::bind(loopback()).unwrap();
        let error = Socket::bind(taken.local_address()).unwrap_err().to_string();
        assert_eq!(error, format!("cannot bind {}: Address already in use", taken.local));
    }
}
