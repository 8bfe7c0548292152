//! The probe socket of Linux: kernel timestamps, refused datagrams, deadlines to the nanosecond.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, send, setsockopt, sockopt,
};
use nix::sys::time::TimeVal;

use crate::net::batch::Burst;
use crate::net::clock::monotonic_ns;
use crate::net::errors::{ErrorQueue, News};
use crate::net::kernel_time::{monotonic, nanoseconds, timespec};
use crate::net::socket::{MAX_PAYLOAD, is_refusal};
use crate::net::{
    Batch, Interrupter, Outbox, Port, ProbeOptions, Timestamps, Unsent, Wake, now, probe,
};
use crate::time::NS_PER_SECOND;
use crate::{Error, Result, Stamp};

/// How long a precise wait spins after a send and before a deadline.
const SPIN_NS: i64 = 50_000;

/// Step by which one wakeup adapts the lead of the next.
const LEAD_STEP_NS: i64 = 500;

/// Resolution of a blocking receive, which ends at a kernel tick. A longer wait starts with one
/// because it costs one call instead of three, and ends with a poll.
const TICKS_NS: i64 = 20_000_000;

/// A connected UDP socket that sends probes and waits for replies.
#[derive(Debug)]
pub struct ProbeSocket {
    udp: Arc<UdpSocket>,
    local: SocketAddr,
    peer: SocketAddr,
    /// The peer if it has had no route so far; the next send tries to connect.
    unrouted: Option<SocketAddr>,
    interrupter: Interrupter,
    timestamps: Timestamps,
    precise: bool,
    /// The number of tries to send, and of those before the first that failed: whether that one got
    /// a number depends on the kernel, so the numbers of later departures mean nothing.
    tries: u32,
    numbered: u32,
    errors: ErrorQueue,
    /// How long before a deadline to end a sleep: the median wakeup delay. The rest is spun.
    lead_ns: i64,
    /// The socket's current receive timeout.
    patience_ns: i64,
    drops: u64,
    /// When the last datagram was sent.
    sent_ns: i64,
    /// A datagram held back until the error queue has been read.
    held: Option<Burst>,
    /// Whether the thread's timer slack is set; otherwise waits end up to 50 microseconds late.
    punctual: bool,
    control: Vec<u8>,
}

impl ProbeSocket {
    /// Opens a socket with `options` and connects it to `peer`, without a route at the first send
    /// that finds one.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses, for example if the source is not this host's.
    pub fn connect(peer: SocketAddr, options: &ProbeOptions) -> Result<Self> {
        Self::open(peer, options).map_err(Error::io("connect to", peer))
    }

    fn open(peer: SocketAddr, options: &ProbeOptions) -> io::Result<Self> {
        let udp = Arc::new(probe::connect(peer, options)?);
        // Each is used if the kernel has it; if not, its values stay absent.
        let _ = setsockopt(&udp, sockopt::RxqOvfl, &1);
        let errors = ErrorQueue::new(&udp, peer);
        if options.timestamps != Timestamps::User {
            let _ = setsockopt(&udp, sockopt::ReceiveTimestampns, &true);
        }
        if options.timestamps == Timestamps::Kernel {
            let flags = TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
                | TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE
                | TimestampingFlag::SOF_TIMESTAMPING_OPT_ID
                | TimestampingFlag::SOF_TIMESTAMPING_OPT_TSONLY;
            let _ = setsockopt(&udp, sockopt::Timestamping, &flags);
        }
        let connected = udp.peer_addr();
        Ok(Self {
            local: udp.local_addr()?,
            unrouted: connected.is_err().then_some(peer),
            // The system may have connected to another address than asked, as it does for 0.0.0.0.
            peer: connected.unwrap_or(peer),
            interrupter: Interrupter::of_blocking(Arc::clone(&udp)),
            udp,
            timestamps: options.timestamps,
            precise: options.precise,
            tries: 0,
            numbered: 0,
            errors,
            lead_ns: if options.precise { SPIN_NS } else { 0 },
            patience_ns: 0,
            drops: 0,
            sent_ns: i64::MIN,
            held: None,
            punctual: false,
            control: vec![0; 512],
        })
    }

    /// Returns the address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Returns the address that the socket is connected to.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    /// Returns a handle that ends its waits from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    fn transmit(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.tries = self.tries.saturating_add(1);
        if let Some(peer) = self.unrouted {
            self.udp.connect(peer)?;
            self.unrouted = None;
        }
        let fd = self.udp.as_raw_fd();
        let mut sent = send(fd, datagram, MsgFlags::MSG_DONTWAIT);
        // Read the error queue after an error: left there, entries take receive buffer from
        // replies.
        if sent.is_err() {
            self.errors.expect();
        }
        if sent.is_err_and(|errno| is_refusal(&errno.into())) {
            // The error belongs to an earlier datagram; the system sent nothing this time.
            self.tries = self.tries.saturating_add(1);
            sent = send(fd, datagram, MsgFlags::MSG_DONTWAIT);
        }
        if self.precise {
            self.sent_ns = monotonic_ns();
        }
        if sent.is_ok() && self.numbered.saturating_add(1) == self.tries {
            self.numbered = self.tries;
        }
        Ok(sent.map(drop)?)
    }

    /// Reads a datagram. Returns its length and the kernel's timestamp.
    fn read(&mut self, memory: &mut [u8], flags: MsgFlags) -> nix::Result<(usize, Option<i64>)> {
        let fd = self.udp.as_raw_fd();
        let mut slices = [IoSliceMut::new(memory)];
        let message = recvmsg::<()>(fd, &mut slices, Some(&mut self.control), flags)?;
        let mut wall_ns = None;
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(at) => wall_ns = Some(nanoseconds(at)),
                ControlMessageOwned::RxqOvfl(drops) => self.drops = drops.into(),
                _ => {}
            }
        }
        Ok((message.bytes, wall_ns))
    }

    /// Sets a receive timeout that ends a blocking receive before `left_ns` have passed. Returns
    /// whether the system accepted it.
    fn be_patient(&mut self, left_ns: i64) -> bool {
        // Round, so that repeated equal waits set the timeout only once.
        let patience_ns = (left_ns.min(NS_PER_SECOND) / TICKS_NS - 1) * TICKS_NS;
        if self.patience_ns != patience_ns {
            let limit =
                TimeVal::new(patience_ns / NS_PER_SECOND, patience_ns % NS_PER_SECOND / 1000);
            if setsockopt(&self.udp, sockopt::ReceiveTimeout, &limit).is_err() {
                return false;
            }
            self.patience_ns = patience_ns;
        }
        true
    }

    /// Waits up to `ns` from `mono_ns` for a datagram, an entry in the error queue or, if
    /// `blocked`, room in the send buffer. Returns whether there is room.
    fn sleep(&mut self, mono_ns: i64, ns: i64, blocked: bool) -> bool {
        let room = if blocked { PollFlags::POLLOUT } else { PollFlags::empty() };
        let mut polled = [PollFd::new(self.udp.as_fd(), PollFlags::POLLIN | room)];
        // The only error is a signal: look again.
        let woken = ppoll(&mut polled, Some(timespec(ns)), None);
        if woken == Ok(0) && !self.precise {
            // A running median of the wakeup delay.
            let late_ns = monotonic_ns() - mono_ns - ns;
            let step_ns = LEAD_STEP_NS * (late_ns - self.lead_ns).signum();
            self.lead_ns = (self.lead_ns + step_ns).clamp(0, SPIN_NS);
        }
        let [polled] = polled;
        let has = |flag| polled.revents().is_some_and(|events| events.contains(flag));
        if has(PollFlags::POLLERR) {
            self.errors.expect();
        }
        blocked && has(PollFlags::POLLOUT)
    }
}

impl Port for ProbeSocket {
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake {
        if !self.punctual {
            let _ = nix::sys::prctl::set_timerslack(1);
            self.punctual = true;
        }
        batch.clear();
        batch.memory.resize(MAX_PAYLOAD, 0);
        loop {
            if self.interrupter.is_used() {
                return Wake::Interrupted;
            }
            match self.errors.read(&self.udp, batch) {
                Some(News::Departed { id, wall_ns }) if id < self.numbered => {
                    let kernel_ns = monotonic(now(), wall_ns);
                    return Wake::Departed { index: id, kernel_ns };
                }
                Some(News::Icmp) => return Wake::Icmp,
                Some(News::Departed { .. } | News::Other) => continue,
                None => {}
            }
            if let Some(held) = self.held.take() {
                batch.bursts.push(held);
                return Wake::Datagrams;
            }
            // Read arrivals before checking the deadline, so that a late look loses nothing.
            let mono_ns = monotonic_ns();
            let left_ns = deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(mono_ns));
            let spins = left_ns <= self.lead_ns
                || (self.precise && mono_ns.saturating_sub(self.sent_ns) < SPIN_NS);
            let blocks = !spins && !blocked && left_ns >= 2 * TICKS_NS && self.be_patient(left_ns);
            let flags = if blocks { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
            match self.read(&mut batch.memory, flags) {
                Ok(_) if self.interrupter.is_used() => return Wake::Interrupted,
                // Anybody could have sent it.
                Ok(_) if self.unrouted.is_some() => {}
                Ok((length, wall_ns)) => {
                    let read = now();
                    let stamp = |wall_ns| Stamp { mono_ns: monotonic(read, wall_ns), wall_ns };
                    // The transmit timestamp is queued by now and is reported before the reply.
                    if self.timestamps == Timestamps::Kernel {
                        self.errors.expect();
                    }
                    self.held = Some(Burst::single(read, wall_ns.map(stamp), self.peer, length));
                }
                Err(Errno::EAGAIN) if blocks => {}
                Err(Errno::EAGAIN) if left_ns <= 0 => return Wake::Idle,
                Err(Errno::EAGAIN) if spins => std::hint::spin_loop(),
                Err(Errno::EAGAIN) => {
                    if self.sleep(mono_ns, left_ns - self.lead_ns, blocked) {
                        return Wake::Writable;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => self.errors.expect(),
            }
        }
    }

    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent)) {
        outbox.send_each(memory, |_, datagram| self.transmit(datagram), unsent);
    }

    fn receive_drops(&self) -> u64 {
        self.drops
    }
}
