//! The probe socket of Linux: kernel timestamps, ICMP errors, deadlines to the nanosecond.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, TimestampingFlag, recvmsg, sendmsg, sendto,
    setsockopt, sockopt,
};
use nix::sys::time::TimeVal;
use socket2::SockRef;

use crate::net::batch::Burst;
use crate::net::clock::monotonic_ns;
use crate::net::errors::{ErrorQueue, News};
use crate::net::kernel_time::{monotonic, nanoseconds, timespec};
use crate::net::messages::{Source, add_header, address, show_headers};
use crate::net::socket::{Failures, MAX_PAYLOAD, insist, obstacle};
use crate::net::{
    Batch, Family, Interrupter, Outbox, Port, ProbeOptions, Timestamps, Unsent, Wake, now, probe,
};
use crate::time::NS_PER_SECOND;
use crate::{Error, Local, Result, Stamp};

/// How long a precise wait spins after a send and before a deadline.
const SPIN_NS: i64 = 50_000;

/// A wait that is not precise spins for at most one part in this many: at 20,000 probes per second
/// a lead of 50 microseconds would take the whole core.
const SPUN_PART: i64 = 8;

/// Step by which one wakeup adapts the lead of the next.
const LEAD_STEP_NS: i64 = 500;

/// Resolution of a blocking receive, which ends at a kernel tick. A longer wait starts with one
/// because it costs one call instead of three, and ends with a poll.
const TICKS_NS: i64 = 20_000_000;

/// A UDP socket that sends probes and waits for replies.
#[derive(Debug)]
pub struct ProbeSocket {
    udp: Arc<UdpSocket>,
    local: SocketAddr,
    /// The address to send from, if one was asked for, and options to bind it again. It is named in
    /// each call, because the system goes on to send from a bound IPv6 address that this host has
    /// lost.
    source: Option<(Source, ProbeOptions)>,
    /// The interface to send through, if one was asked for.
    interface: Option<String>,
    interrupter: Interrupter,
    timestamps: Timestamps,
    precise: bool,
    errors: ErrorQueue,
    /// How long before a deadline to end a sleep: the median wakeup delay. The rest is spun.
    lead_ns: i64,
    /// The socket's current receive timeout.
    patience_ns: i64,
    /// When the last datagram was sent.
    sent_ns: i64,
    /// A datagram held back until the error queue has been read.
    held: Option<Burst>,
    /// Whether the thread's timer slack is set; otherwise waits end up to 50 microseconds late.
    punctual: bool,
    control: Vec<u8>,
}

impl ProbeSocket {
    /// Opens a socket with `options`.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses, for example if the source is not this host's.
    pub fn bind(family: Family, options: &ProbeOptions) -> Result<Self> {
        let udp = Arc::new(probe::open(family, options)?);
        let local = udp.local_addr().map_err(Error::io("open", "a socket"))?;
        // Each is used if the kernel has it; if not, its values stay absent.
        show_headers(&udp, local);
        if options.timestamps != Timestamps::User {
            let _ = setsockopt(&udp, sockopt::ReceiveTimestampns, &true);
        }
        if options.timestamps == Timestamps::Kernel {
            let flags = TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
                | TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE;
            let _ = setsockopt(&udp, sockopt::Timestamping, &flags);
        }
        Ok(Self {
            local,
            source: source(local, options.interface.clone()),
            interface: options.interface.clone(),
            errors: ErrorQueue::new(&udp, local),
            interrupter: Interrupter::of_blocking(Arc::clone(&udp)),
            udp,
            timestamps: options.timestamps,
            precise: options.precise,
            lead_ns: if options.precise { SPIN_NS } else { 0 },
            patience_ns: 0,
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

    /// Returns a handle that ends its waits from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let (fd, to) = (self.udp.as_raw_fd(), SockaddrStorage::from(to));
        let flags = MsgFlags::MSG_DONTWAIT;
        let mut attempt = || {
            insist(&mut self.errors, || match &self.source {
                None => Ok(sendto(fd, datagram, &to, flags)?),
                Some((source, _)) => {
                    let slices = [IoSlice::new(datagram)];
                    Ok(sendmsg(fd, &slices, &[source.control()], flags, Some(&to))?)
                }
            })
        };
        let mut sent = attempt();
        if let Some(interface) = &self.interface
            && sent.as_ref().is_err_and(|error| obstacle(error).is_some())
        {
            // The system knows an interface by a number, which another of the same name does not
            // have. Without CAP_NET_RAW it refuses to bind again.
            match probe::bind_device(&SockRef::from(&*self.udp), interface) {
                Ok(()) => sent = attempt(),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                Err(error) => sent = Err(error),
            }
        }
        if self.precise {
            self.sent_ns = monotonic_ns();
        }
        match sent {
            // What Linux says of a source address that is gone, depending on its version.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidInput | ErrorKind::NetworkUnreachable
                ) && self.source_is_gone() =>
            {
                Err(Errno::EADDRNOTAVAIL.into())
            }
            sent => sent.map(drop),
        }
    }

    /// Returns whether this host has lost the address to send from.
    fn source_is_gone(&self) -> bool {
        let Some((_, options)) = &self.source else { return false };
        let again = probe::open(self.local.into(), options);
        matches!(again, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AddrNotAvailable)
    }

    /// Reads a datagram.
    fn read(&mut self, memory: &mut [u8], flags: MsgFlags) -> nix::Result<Option<Burst>> {
        let fd = self.udp.as_raw_fd();
        let mut slices = [IoSliceMut::new(memory)];
        let control = Some(&mut self.control[..]);
        let message = recvmsg::<SockaddrStorage>(fd, &mut slices, control, flags)?;
        let read = now();
        let Some(from) = message.address.as_ref().and_then(address) else { return Ok(None) };
        let mut burst = Burst::single(read, None, from, message.bytes);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(at) => {
                    let wall_ns = nanoseconds(at);
                    burst.kernel = Some(Stamp { mono_ns: monotonic(read, wall_ns), wall_ns });
                }
                header => add_header(&mut burst, &header),
            }
        }
        Ok(Some(burst))
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

    /// Returns how long before the end of a wait of this length to end a sleep.
    fn lead_ns(&self, wait_ns: i64) -> i64 {
        if self.precise { self.lead_ns } else { self.lead_ns.min(wait_ns / SPUN_PART) }
    }

    /// Waits up to `ns` from `mono_ns` for a datagram, an entry in the error queue or, if
    /// `blocked`, room in the send buffer. Returns whether there is anything, and whether there is
    /// room.
    fn sleep(&mut self, mono_ns: i64, ns: i64, blocked: bool) -> (bool, bool) {
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
        (woken.is_ok_and(|ready| ready > 0), blocked && has(PollFlags::POLLOUT))
    }
}

impl Port for ProbeSocket {
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake {
        if !self.punctual {
            let _ = nix::sys::prctl::set_timerslack(1);
            self.punctual = true;
        }
        batch.clear();
        batch.memory.hold(MAX_PAYLOAD);
        let (mut lead_ns, mut ready) = (None, false);
        let mut failures = Failures::default();
        loop {
            if self.interrupter.is_used() {
                return Wake::Interrupted;
            }
            match self.errors.read(&self.udp, batch) {
                Some(News::Departed { wall_ns }) => {
                    let kernel_ns = monotonic(now(), wall_ns);
                    return Wake::Departed { kernel_ns };
                }
                Some(News::Icmp) => return Wake::Icmp,
                Some(News::Other) => continue,
                None => {}
            }
            if let Some(held) = self.held.take() {
                batch.bursts.push(held);
                return Wake::Datagrams;
            }
            // Read arrivals before checking the deadline, so that a late look loses nothing.
            let mono_ns = monotonic_ns();
            let left_ns = deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(mono_ns));
            let lead_ns = *lead_ns.get_or_insert_with(|| self.lead_ns(left_ns));
            let spins = left_ns <= lead_ns
                || (self.precise && mono_ns.saturating_sub(self.sent_ns) < SPIN_NS);
            let blocks = !spins && !blocked && left_ns >= 2 * TICKS_NS && self.be_patient(left_ns);
            if !ready && !spins && !blocks {
                // Usually there is nothing to read before a wait.
                let (found, has_room) = self.sleep(mono_ns, left_ns - lead_ns, blocked);
                if has_room {
                    return Wake::Writable;
                }
                ready = found;
                continue;
            }
            ready = false;
            let flags = if blocks { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
            match self.read(&mut batch.memory, flags) {
                Ok(_) if self.interrupter.is_used() => return Wake::Interrupted,
                Ok(Some(burst)) => {
                    // The transmit timestamp is queued by now and is reported before the reply.
                    if self.timestamps == Timestamps::Kernel {
                        self.errors.expect();
                    }
                    self.held = Some(burst);
                }
                Err(Errno::EAGAIN) if left_ns <= 0 => return Wake::Idle,
                Err(Errno::EAGAIN) if spins => std::hint::spin_loop(),
                Ok(None) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => {
                    self.errors.expect();
                    failures.last();
                }
            }
        }
    }

    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent)) {
        outbox.send_each(memory, |to, datagram| self.transmit(to, datagram), unsent);
    }
}

/// Returns the address that a socket was bound to, and options to bind another; `None` if it was
/// bound to all.
fn source(local: SocketAddr, interface: Option<String>) -> Option<(Source, ProbeOptions)> {
    let mut address = local;
    address.set_port(0);
    let scope = match local {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(local) => local.scope_id(),
    };
    let source = Source::new(Local { ip: local.ip(), interface: scope });
    let options = ProbeOptions { source: Some(address), interface, ..ProbeOptions::default() };
    (!local.ip().is_unspecified()).then_some((source, options))
}
