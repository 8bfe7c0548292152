//! The batch socket of Linux: `recvmmsg` and `sendmmsg`, with GRO, GSO and control messages.

use std::hint;
use std::io::{self, ErrorKind};
use std::mem::take;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl::set_timerslack;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind,
    getsockopt, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use rustix::net::connect_unspec;
use socket2::SockRef;

use crate::net::batch::Burst;
use crate::net::clock::monotonic_ns;
use crate::net::errors::ErrorQueue;
use crate::net::kernel_time::{monotonic, nanoseconds, timespec};
use crate::net::memory::Memory;
use crate::net::messages::{add_header, show_headers};
use crate::net::mmsg::Messages;
use crate::net::outbox::Group;
use crate::net::socket::{Failures, insist, join_group, obstacle, reachable};
use crate::net::{Batch, Interrupter, MAX_BATCH, Options, Outbox, Port, Unsent, Wake, Waker, now};
use crate::time::NS_PER_SECOND;
use crate::{Error, Headers, Result, Stamp};

/// Room for the longest message.
const LONGEST: usize = 65_536;

/// Keeps slots from falling on the same cache lines.
const PADDING: usize = 192;

/// Size of the receive and send buffers: packets for dead neighbours hold a send buffer for
/// seconds.
const BUFFER: usize = 4 << 20;

/// The TTL of answers; systems start with 64, 128 or 255.
const ANSWER_HOPS: u8 = 200;

/// The TTL of test packets (RFC 5357 section 4.2.1), so that a reader can count their hops.
const TEST_HOPS: u8 = 255;

/// Check TTLs in one of this many successful receives.
const WATCH_EVERY: u8 = 64;

/// After an answer, check the TTL of each datagram for so long: servers that duplicate send each
/// other more answers than a check now and then finds.
const ALARM_NS: i64 = 60_000_000_000;

/// Looks before a sleep, at the most. After as many sleeps in a row, only one of as many is worth
/// that.
const LOOKS: u32 = 16;

/// After a call that received as many datagrams, one look is worth its time; after more, none.
const MANY: usize = 64;

/// The memory for datagrams grows to 16 MB in a burst. It shrinks if it is larger than `SPARE` and
/// more than `SPARED` calls in a row need less than a quarter of it, or after `SILENCE_S` seconds
/// without a datagram: of several sockets that share an address, most may be idle after a burst.
const SPARE: usize = 1 << 20;
const SPARED: u32 = 1024;
const SILENCE_S: i64 = 5;

/// Single datagrams received in a row before a call asks for more.
const PROBE: u32 = 4;

/// A bound UDP socket that receives and sends many datagrams per call, if the platform can.
#[derive(Debug)]
pub struct BatchSocket {
    udp: Arc<UdpSocket>,
    local: SocketAddr,
    /// The last kernel timestamp, or the opening of the socket.
    heard_ns: i64,
    interrupter: Interrupter,
    errors: Option<ErrorQueue>,
    /// Whether to check TTLs for answers of other servers.
    watch: Option<Watch>,
    /// The room for a message.
    slot: usize,
    /// The number of messages that the next call asks for.
    depth: usize,
    alone: u32,
    /// The number of datagrams in the last call that received some.
    received: usize,
    /// Calls in a row that needed little of the memory.
    spared: u32,
    /// Whether an empty datagram of its own came, which only wakes it.
    woken: bool,
    messages: Messages,
    /// The headers of datagrams that it sends.
    headers: Headers,
    /// Sleeps in a row.
    slept: u32,
    /// Whether the thread's timer slack is set; otherwise waits end up to 50 microseconds late.
    punctual: bool,
}

/// Which receives check TTLs for answers of other servers: one in [`WATCH_EVERY`], and after an
/// answer each.
#[derive(Debug, Default)]
struct Watch {
    /// Receives since the last check.
    unwatched: u8,
    /// When an answer last came, on the monotonic clock.
    answered_ns: Option<i64>,
    /// Whether the kernel reports TTLs.
    on: bool,
}

impl BatchSocket {
    /// Whether several sockets can share an address.
    pub const CAN_SHARE: bool = true;

    /// The TTL of answers, if it is known.
    pub const ANSWER_TTL: Option<u8> = Some(ANSWER_HOPS);

    /// Binds `address`; port 0 is any free one.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses, or cannot do what `options` ask for.
    pub fn bind(address: SocketAddr, options: Options) -> Result<Self> {
        Self::open(address, options)
            .map_err(|errno| Error::io("bind", address)(errno.into()))
            .and_then(|udp| {
                join_group(&SockRef::from(&udp), address)?;
                Self::of(udp, Messages::default(), options).map_err(Error::io("bind", address))
            })
    }

    fn of(udp: UdpSocket, messages: Messages, options: Options) -> io::Result<Self> {
        let (local, udp) = (udp.local_addr()?, Arc::new(udp));
        Ok(Self {
            interrupter: Interrupter::of_blocking(Arc::clone(&udp)),
            errors: options.probes.then(|| ErrorQueue::new(&udp, local)),
            udp,
            local,
            heard_ns: monotonic_ns(),
            watch: options.answers.then(Watch::default),
            slot: options.longest.map_or(LONGEST, |longest| longest.min(LONGEST)) + PADDING,
            depth: 1,
            alone: 0,
            received: 0,
            spared: 0,
            woken: false,
            messages,
            headers: Headers::default(),
            slept: 0,
            punctual: false,
        })
    }

    /// Opens a socket that exchanges datagrams with `peer` only.
    ///
    /// # Errors
    /// The system's error if it has no socket, no port or no route.
    pub(super) fn connect(peer: SocketAddr, options: Options) -> io::Result<Self> {
        let any: IpAddr = if peer.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let udp = Self::open((any, 0).into(), options)?;
        udp.connect(peer)?;
        // One of thousands: it borrows headers.
        Self::of(udp, Messages::new(0), options)
    }

    fn open(address: SocketAddr, options: Options) -> nix::Result<UdpSocket> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let fd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        if options.shared {
            setsockopt(&fd, sockopt::ReusePort, &true)?;
        }
        let all = address.ip().is_unspecified();
        if all && address.is_ipv6() {
            setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
        }
        if options.answers {
            // An IPv6 socket can have IPv4 clients.
            setsockopt(&fd, sockopt::Ipv4Ttl, &ANSWER_HOPS.into())?;
            if address.is_ipv6() {
                setsockopt(&fd, sockopt::Ipv6Ttl, &ANSWER_HOPS.into())?;
            }
            match address {
                SocketAddr::V4(_) if all => setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) if all => setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?,
                _ => {}
            }
        }
        if options.reflects {
            setsockopt(&fd, sockopt::Ipv4Ttl, &TEST_HOPS.into())?;
            if address.is_ipv6() {
                setsockopt(&fd, sockopt::Ipv6Ttl, &TEST_HOPS.into())?;
            }
        }
        if options.probes || options.reflects {
            show_headers(&fd, address);
        }
        // The socket works without these; they only make it faster, smaller or better informed.
        let _ = setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(SILENCE_S, 0));
        if setsockopt(&fd, sockopt::RcvBufForce, &BUFFER).is_err() {
            let _ = setsockopt(&fd, sockopt::RcvBuf, &BUFFER);
        }
        // The kernel doubles this size, for its bookkeeping.
        let send_buffer = BUFFER.max(options.send_buffer.div_ceil(2));
        if setsockopt(&fd, sockopt::SndBufForce, &send_buffer).is_err() {
            let _ = setsockopt(&fd, sockopt::SndBuf, &send_buffer);
        }
        if options.kernel_stamps {
            let _ = setsockopt(&fd, sockopt::ReceiveTimestampns, &true);
        }
        if options.offload {
            let _ = setsockopt(&fd, sockopt::UdpGroSegment, &true);
        }
        bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
        Ok(UdpSocket::from(fd))
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
        Waker::of_blocking(&self.udp)
    }

    /// Returns the size of the send buffer in bytes, the kernel's bookkeeping included.
    #[must_use]
    pub fn send_buffer(&self) -> usize {
        getsockopt(&self.udp, sockopt::SndBuf).unwrap_or(BUFFER)
    }

    /// Makes the next receive look for ICMP errors.
    pub(super) fn expect_errors(&mut self) {
        if let Some(errors) = &mut self.errors {
            errors.expect();
        }
    }

    /// Exchanges its headers for others.
    pub(super) fn swap_messages(&mut self, other: &mut Messages) {
        std::mem::swap(&mut self.messages, other);
    }

    /// Returns whether the interrupter was used.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupter.is_used()
    }

    /// Sets the headers of datagrams that are sent from now on.
    pub(super) fn set_headers(&mut self, headers: Headers) {
        if self.headers == headers {
            return;
        }
        self.headers = headers;
        let ttl = headers.ttl.map_or(-1, i32::from);
        let tos = headers.tos.map_or(0, i32::from);
        // An IPv6 socket can send IPv4 packets, too. A header that the system refuses is its own.
        let _ = setsockopt(&self.udp, sockopt::Ipv4Ttl, &ttl);
        let _ = setsockopt(&self.udp, sockopt::Ipv4Tos, &tos);
        if self.local.is_ipv6() {
            let _ = setsockopt(&self.udp, sockopt::Ipv6Ttl, &ttl);
            let _ = setsockopt(&self.udp, sockopt::Ipv6TClass, &tos);
        }
    }

    /// Receives like [`receive_now`](Self::receive_now) and checks TTLs if it is their turn, which
    /// costs too much to do every time.
    fn receive_watchfully(&mut self, batch: &mut Batch, patience: MsgFlags) -> nix::Result<()> {
        if let Some(watch) = &mut self.watch
            && watch.on != watch.is_due()
        {
            watch.on = !watch.on;
            // If this fails, a reply loop is not detected; nothing else depends on it.
            let _ = setsockopt(&self.udp, sockopt::Ipv4RecvTtl, &watch.on);
            if self.local.is_ipv6() {
                let _ = setsockopt(&self.udp, sockopt::Ipv6RecvHopLimit, &watch.on);
            }
        }
        self.receive_awake(batch, patience)?;
        // A timed wait makes two calls; count only successes, or the check could always fall on the
        // empty one.
        if let Some(watch) = &mut self.watch {
            watch.count(&batch.bursts);
        }
        Ok(())
    }

    /// Receives like [`receive_now`](Self::receive_now), but looks a few times before it sleeps:
    /// together they take less than a sleep and a wakeup, which busy clients save by sending soon.
    /// The more datagrams come together, the less a sleep costs for each, and the larger a batch it
    /// gathers: so the fewer looks.
    fn receive_awake(&mut self, batch: &mut Batch, patience: MsgFlags) -> nix::Result<()> {
        let sleeps = patience != MsgFlags::MSG_DONTWAIT;
        if sleeps && (self.slept < LOOKS || self.slept.is_multiple_of(LOOKS)) {
            let looks = (MANY / self.received.max(1)).min(LOOKS as usize);
            for _ in 0..looks {
                let received = self.receive_now(batch, MsgFlags::MSG_DONTWAIT);
                if received != Err(Errno::EAGAIN) {
                    self.slept = 0;
                    return received;
                }
                hint::spin_loop();
            }
        }
        self.slept = self.slept.wrapping_add(sleeps.into());
        self.receive_now(batch, patience)
    }

    /// Receives up to `depth` messages and adapts the depth.
    fn receive_now(&mut self, batch: &mut Batch, patience: MsgFlags) -> nix::Result<()> {
        let Batch { memory, bursts, .. } = batch;
        bursts.clear();
        let needed = self.depth * self.slot;
        let is_spare = memory.len() > SPARE.max(4 * needed);
        self.spared = if is_spare { self.spared.saturating_add(1) } else { 0 };
        if memory.len() < needed || self.spared > SPARED {
            // The system clears this memory when it is used, not now.
            match Memory::mapped(needed) {
                Some(other) => *memory = other,
                None if memory.len() < self.slot => return Err(Errno::ENOMEM),
                None => self.depth = self.depth.min(memory.len() / self.slot),
            }
            bursts.reserve(self.depth);
        }
        let slots = memory.chunks_exact_mut(self.slot).take(self.depth);
        self.messages.receive(&self.udp, slots, patience)?;
        let (now, own) = (now(), reachable(self.local));
        for (slot, message) in self.messages.received().enumerate() {
            let length = message.length();
            // Build it in place: it is large.
            bursts.push(Burst::single(now, None, own, length));
            let Some(burst) = bursts.last_mut() else { continue };
            let has_source = message.read_source(&mut burst.from);
            if !has_source || (length == 0 && burst.from == own) {
                self.woken |= has_source;
                bursts.pop();
                continue;
            }
            burst.start = slot * self.slot;
            for control in message.controls() {
                match control {
                    ControlMessageOwned::ScmTimestampns(wall) => {
                        let kernel = arrival(nanoseconds(wall), now, self.heard_ns);
                        self.heard_ns = kernel.mono_ns;
                        burst.kernel = Some(kernel);
                    }
                    ControlMessageOwned::UdpGroSegments(segment) => {
                        burst.segment = usize::try_from(segment).unwrap_or(length);
                    }
                    header => add_header(burst, &header),
                }
            }
            burst.is_answer = burst.ttl.is_some_and(is_answer);
        }
        self.adapt(bursts.len());
        self.received = bursts.iter().map(Burst::count).sum();
        Ok(())
    }

    /// Raises the depth if a call filled it; otherwise lowers it to the number received.
    fn adapt(&mut self, received: usize) {
        if received < self.depth {
            self.depth = received.next_power_of_two();
            self.alone = 0;
        } else if self.depth > 1 || self.alone == PROBE {
            self.depth = (4 * self.depth).min(MAX_BATCH);
        } else {
            self.alone += 1;
        }
    }

    /// Nothing came for long: makes the next call ask for one datagram and give memory back.
    fn rest(&mut self) {
        (self.depth, self.spared) = (1, SPARED);
    }

    /// Sends one datagram.
    fn send_one(&mut self, group: &Group, datagram: &[u8]) -> io::Result<()> {
        let Self { udp, messages, errors, .. } = self;
        let mut send = || Ok(messages.send_one(udp, group.to, group.from, datagram)?);
        match errors {
            Some(errors) => insist(errors, send),
            None => send(),
        }
    }
}

impl AsFd for BatchSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.udp.as_fd()
    }
}

impl Port for BatchSocket {
    const STAMPS: bool = true;

    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake {
        let waits_in_call = deadline.is_none() && !blocked;
        let patience =
            if waits_in_call { MsgFlags::MSG_WAITFORONE } else { MsgFlags::MSG_DONTWAIT };
        let mut failures = Failures::default();
        loop {
            batch.clear();
            if let Some(errors) = &mut self.errors
                && errors.find_icmp(&self.udp, batch)
            {
                return Wake::Icmp;
            }
            let received = self.receive_watchfully(batch, patience);
            if self.interrupter.is_used() {
                return Wake::Interrupted;
            }
            match received {
                Ok(()) if !batch.is_empty() => return Wake::Datagrams,
                Ok(()) if take(&mut self.woken) => return Wake::Idle,
                Err(Errno::EAGAIN) if waits_in_call => self.rest(),
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                // The error belongs to an earlier send.
                Err(_) => {
                    self.expect_errors();
                    failures.last();
                }
            }
            if waits_in_call {
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_sub(monotonic_ns()));
            if left.is_some_and(|left| left <= 0) {
                return Wake::Idle;
            }
            if !self.punctual {
                let _ = set_timerslack(1);
                self.punctual = true;
            }
            let room = if blocked { PollFlags::POLLOUT } else { PollFlags::empty() };
            let mut ready = [PollFd::new(self.udp.as_fd(), PollFlags::POLLIN | room)];
            let longest = SILENCE_S * NS_PER_SECOND;
            let sleep = left.map_or(longest, |left| left.min(longest));
            // The only error is a signal: look again.
            let silent = ppoll(&mut ready, Some(timespec(sleep)), None) == Ok(0);
            let events = ready[0].revents().unwrap_or(PollFlags::empty());
            if events.contains(PollFlags::POLLERR) {
                self.expect_errors();
            }
            if events.contains(PollFlags::POLLOUT) {
                return Wake::Writable;
            }
            if silent && sleep == longest {
                self.rest();
            }
        }
    }

    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], mut unsent: impl FnMut(Unsent)) {
        let (mut refused, mut blocked) = (false, false);
        let mut left = outbox.groups();
        while let [group, ..] = left {
            let run = left.len().min(MAX_BATCH);
            // Nothing may overtake a blocked datagram to its destination.
            let sent = if blocked {
                Err(Errno::EAGAIN)
            } else {
                self.messages.send(&self.udp, outbox, &left[..run], memory)
            };
            left = &left[sent.unwrap_or(0)..];
            if sent != Ok(run) {
                // After a part of the run the system does not say why it stopped.
                self.expect_errors();
            }
            match sent {
                Ok(1..) | Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => {
                    // The kernel refuses the first group, or the error belongs to an earlier
                    // datagram.
                    let mut passed = false;
                    for at in outbox.datagrams_of(group) {
                        let alone = if blocked {
                            Err(ErrorKind::WouldBlock.into())
                        } else {
                            self.send_one(group, &memory[at.clone()])
                        };
                        match alone {
                            Ok(()) => passed = true,
                            Err(error) => {
                                let error = obstacle(&error);
                                blocked |= error.is_none();
                                unsent(Unsent { to: group.to, from: group.from, at, error });
                            }
                        }
                    }
                    // EIO means no checksum offload, so every group fails; a small path MTU fails
                    // only long ones.
                    refused |= passed && sent == Err(Errno::EIO);
                    left = &left[1..];
                }
            }
        }
        outbox.clear();
        if refused {
            outbox.stop_grouping();
        }
    }

    fn outbox(&self) -> Outbox {
        // A host that gets a group in one piece returns one ICMP error for it.
        if self.errors.is_some() { Outbox::ungrouped() } else { Outbox::default() }
    }

    fn refuse(&mut self, wanted: bool) {
        // If the system does not let us, the machine still drops all datagrams.
        if wanted {
            // Connected to itself, it refuses everybody else, and nobody else can get its port.
            let _ = self.udp.connect(reachable(self.local));
        } else if connect_unspec(&self.udp).is_ok() {
            // The socket loses its port unless it was bound to that by number.
            let _ = bind(self.udp.as_raw_fd(), &SockaddrStorage::from(self.local));
        }
    }
}

impl Watch {
    /// Returns whether the next receive must check.
    fn is_due(&self) -> bool {
        self.answered_ns.is_some() || self.unwatched == WATCH_EVERY - 1
    }

    /// Counts a receive.
    fn count(&mut self, bursts: &[Burst]) {
        self.unwatched = (self.unwatched + 1) % WATCH_EVERY;
        if self.on
            && let Some(last) = bursts.last()
        {
            let read_ns = last.read.mono_ns;
            if bursts.iter().any(|burst| burst.is_answer) {
                self.answered_ns = Some(read_ns);
            }
            self.answered_ns = self.answered_ns.filter(|at| read_ns - at < ALARM_NS);
        }
    }
}

/// Returns whether a datagram with this TTL is an answer: it took fewer than 32 of its hops.
fn is_answer(hops_left: u8) -> bool {
    (ANSWER_HOPS - 31..=ANSWER_HOPS).contains(&hops_left)
}

/// Converts the kernel's wall-clock timestamp to both clocks. Two readings of both clocks may differ,
/// and the wall clock may have been set: the result lies between the arrival before, at `heard_ns`,
/// and `now`.
fn arrival(wall_ns: i64, now: Stamp, heard_ns: i64) -> Stamp {
    let mono_ns = monotonic(now, wall_ns).max(heard_ns).min(now.mono_ns);
    Stamp { mono_ns, wall_ns }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_depth_follows_the_queue() {
        let mut socket =
            BatchSocket::bind("127.0.0.1:0".parse().unwrap(), Options::default()).unwrap();
        for _ in 0..=PROBE {
            assert_eq!(socket.depth, 1);
            socket.adapt(1);
        }
        assert_eq!(socket.depth, 4);
        for _ in 0..20 {
            socket.adapt(socket.depth);
        }
        assert_eq!(socket.depth, MAX_BATCH);
        socket.adapt(5);
        assert_eq!(socket.depth, 8);
        socket.adapt(1);
        assert_eq!(socket.depth, 1);
    }

    #[test]
    fn memory_grows_with_a_burst_and_goes_back() {
        let mut socket =
            BatchSocket::bind("127.0.0.1:0".parse().unwrap(), Options::default()).unwrap();
        let mut batch = Batch::default();
        let slot = LONGEST + PADDING;
        for (depth, times, slots) in
            [(1, 1, 1), (16, 1, 16), (MAX_BATCH, 1, MAX_BATCH), (1, SPARED, MAX_BATCH), (1, 1, 1)]
        {
            socket.depth = depth;
            for _ in 0..times {
                assert_eq!(socket.receive(&mut batch, Some(0), false), Wake::Idle);
            }
            assert_eq!(batch.memory().len(), slots * slot);
        }
    }

    #[test]
    fn memory_goes_back_in_silence() {
        let mut socket =
            BatchSocket::bind("127.0.0.1:0".parse().unwrap(), Options::default()).unwrap();
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 1000)).unwrap();
        let mut batch = Batch::default();
        socket.depth = MAX_BATCH;
        assert_eq!(socket.receive(&mut batch, Some(0), false), Wake::Idle);
        // Far fewer calls than those after which it would go back in any case.
        let goes_back = (0..8).any(|_| {
            let waker = socket.waker();
            let wake = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                waker.wake();
            });
            assert_eq!(socket.receive(&mut batch, None, false), Wake::Idle);
            wake.join().unwrap();
            batch.memory().len() == LONGEST + PADDING
        });
        assert!(goes_back);
    }

    #[test]
    fn answers_are_recognized_by_their_ttl() {
        assert!([200, 199, 169].into_iter().all(is_answer));
        assert!([0, 32, 64, 128, 168, 201, 255].into_iter().all(|hops| !is_answer(hops)));
    }

    #[test]
    fn each_datagram_is_checked_for_a_minute_after_an_answer() {
        let mut watch = Watch { on: true, ..Watch::default() };
        let mut is_due_after = |at, is_answer| {
            let read = Stamp { mono_ns: at, wall_ns: 0 };
            let from = "127.0.0.1:9".parse().unwrap();
            watch.count(&[Burst { is_answer, ..Burst::single(read, None, from, 1) }]);
            watch.is_due()
        };
        assert!(!is_due_after(0, false));
        assert!(is_due_after(10, true));
        assert!(is_due_after(10 + ALARM_NS - 1, false));
        assert!(!is_due_after(10 + ALARM_NS, false));
    }

    #[test]
    fn kernel_stamps_lie_between_the_last_one_and_now() {
        let now = Stamp { mono_ns: 9_000, wall_ns: 59_000 };
        let mono_ns = |wall| arrival(wall, now, 1_000).mono_ns;
        assert_eq!([mono_ns(58_000), mono_ns(0), mono_ns(99_000)], [8_000, 1_000, 9_000]);
        // Between the two clocks of this reading the thread was stopped.
        let later = Stamp { mono_ns: 9_500, wall_ns: 60_500 };
        assert_eq!(arrival(58_100, later, mono_ns(58_000)).mono_ns, 8_000);
    }
}
