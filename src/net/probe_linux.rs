//! Probes with all that Linux gives: the kernel's own stamps, the datagrams that were refused,
//! deadlines to the nanosecond.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeVal;

use crate::net::clock::monotonic_ns;
use crate::net::kernel_time::{monotonic, nanoseconds, timespec};
use crate::net::{Arrival, Interrupter, ProbeOptions, Timestamps, is_refusal, now, probe};
use crate::time::NS_PER_SECOND;
use crate::wire::MAX_DATAGRAM;
use crate::{Error, Result, Stamp};

/// How long a precise wait spins, after a sending and before a deadline.
const SPIN_NS: i64 = 50_000;

/// How far one late awakening moves the lead of the next.
const LEAD_STEP_NS: i64 = 500;

/// A blocking receive ends at a tick of the kernel. A longer wait begins with one, for it costs one
/// call instead of three, and ends with a poll.
const TICKS_NS: i64 = 20_000_000;

/// A connected UDP socket that sends probes and waits for replies.
#[derive(Debug)]
pub struct ProbeSocket {
    udp: Arc<UdpSocket>,
    local: SocketAddr,
    peer: SocketAddr,
    interrupter: Interrupter,
    timestamps: Timestamps,
    precise: bool,
    /// Whether the error queue may hold something.
    news: bool,
    /// How long before a deadline a sleep is to end: so late is every other, and the rest is spun.
    lead_ns: i64,
    /// What a blocking receive waits for at most.
    patience_ns: i64,
    drops: u64,
    /// When a datagram was sent last.
    sent_ns: i64,
    /// A datagram that is held back until the error queue is read: its stamps and its length.
    held: Option<(Stamp, Option<i64>, usize)>,
    buffer: Box<[u8]>,
    /// Room for what comes from the error queue.
    refused: Box<[u8]>,
    control: Vec<u8>,
}

/// What the error queue held.
enum News {
    Departed { id: u32, wall_ns: i64 },
    Refused(usize),
    Other,
}

impl ProbeSocket {
    /// Opens a socket as the options say and connects it to `peer`.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses: no route, the source is not this host's.
    pub fn connect(peer: SocketAddr, options: &ProbeOptions) -> Result<Self> {
        Self::open(peer, options).map_err(Error::io("connect to", peer))
    }

    fn open(peer: SocketAddr, options: &ProbeOptions) -> io::Result<Self> {
        let udp = Arc::new(probe::connect(peer, options)?);
        // Each is used where the kernel has it; what does not come is not reported.
        let _ = setsockopt(&udp, sockopt::RxqOvfl, &1);
        let _ = match peer {
            SocketAddr::V4(_) => setsockopt(&udp, sockopt::Ipv4RecvErr, &true),
            SocketAddr::V6(_) => setsockopt(&udp, sockopt::Ipv6RecvErr, &true),
        };
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
        Ok(Self {
            local: udp.local_addr()?,
            // The system may have connected elsewhere than asked, as it does for 0.0.0.0.
            peer: udp.peer_addr()?,
            interrupter: Interrupter::of_blocking(Arc::clone(&udp)),
            udp,
            timestamps: options.timestamps,
            precise: options.precise,
            news: false,
            lead_ns: if options.precise { SPIN_NS } else { 0 },
            patience_ns: 0,
            drops: 0,
            sent_ns: i64::MIN,
            held: None,
            // IPv6 allows 20 bytes more.
            buffer: vec![0; MAX_DATAGRAM + 20].into_boxed_slice(),
            refused: vec![0; MAX_DATAGRAM + 20].into_boxed_slice(),
            control: vec![0; 512],
        })
    }

    /// The address that the socket is bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The address that the socket is connected to.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    /// The means to end its waiting from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Prepares the thread that is going to use the socket: it wakes when asked to, not within the
    /// 50 us after that Linux allows itself otherwise.
    pub fn settle_in(&self) {
        let _ = nix::sys::prctl::set_timerslack(1);
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let mut sent = self.udp.send(datagram);
        // An error may have more to tell; unread it takes room that replies need.
        self.news |= sent.is_err();
        if sent.as_ref().is_err_and(is_refusal) {
            // The error belongs to an earlier datagram; the system sent nothing this time.
            sent = self.udp.send(datagram);
        }
        if self.precise {
            self.sent_ns = monotonic_ns();
        }
        sent.map(drop)
    }

    /// How many datagrams its full receive queue has dropped.
    #[must_use]
    pub fn drops(&self) -> u64 {
        self.drops
    }

    /// Waits for a reply until `deadline`, in monotonic nanoseconds, or without end.
    pub fn receive(&mut self, deadline: Option<i64>) -> Arrival<'_> {
        loop {
            if self.interrupter.is_used() {
                return Arrival::Interrupted;
            }
            if self.news {
                match self.take_news() {
                    Some(News::Departed { id, wall_ns }) => {
                        let kernel_ns = monotonic(now(), wall_ns);
                        return Arrival::Departed { id, kernel_ns };
                    }
                    Some(News::Refused(length)) => {
                        return Arrival::Refused(Some(&self.refused[..length]));
                    }
                    Some(News::Other) => {}
                    None => self.news = false,
                }
                continue;
            }
            if let Some((at, kernel_ns, length)) = self.held.take() {
                return Arrival::Datagram { at, kernel_ns, datagram: &self.buffer[..length] };
            }
            // What has come is taken before the deadline is looked at: a late look loses nothing.
            let mono_ns = monotonic_ns();
            let left_ns = deadline.map_or(i64::MAX, |deadline| deadline.saturating_sub(mono_ns));
            let spins = left_ns <= self.lead_ns
                || (self.precise && mono_ns.saturating_sub(self.sent_ns) < SPIN_NS);
            let blocks = !spins && left_ns >= 2 * TICKS_NS && self.be_patient(left_ns);
            match self.take(if blocks { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT }) {
                Ok(_) if self.interrupter.is_used() => return Arrival::Interrupted,
                Ok((length, wall_ns)) => {
                    let at = now();
                    let kernel_ns = wall_ns.map(|wall_ns| monotonic(at, wall_ns));
                    // The stamp of the departure is there by now, and belongs before the reply.
                    self.news = self.timestamps == Timestamps::Kernel;
                    self.held = Some((at, kernel_ns, length));
                }
                Err(Errno::EAGAIN) if blocks => {}
                Err(Errno::EAGAIN) if left_ns <= 0 => return Arrival::Nothing,
                Err(Errno::EAGAIN) if spins => std::hint::spin_loop(),
                Err(Errno::EAGAIN) => self.sleep(mono_ns, left_ns - self.lead_ns),
                Err(Errno::EINTR) => {}
                Err(_) => self.news = true,
            }
        }
    }

    /// Takes a datagram: its length and the kernel's stamp.
    fn take(&mut self, flags: MsgFlags) -> nix::Result<(usize, Option<i64>)> {
        let fd = self.udp.as_raw_fd();
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
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

    /// Takes what the error queue holds.
    fn take_news(&mut self) -> Option<News> {
        // Where an error comes from, as Linux numbers it.
        const ICMP: u8 = 2;
        const ICMP6: u8 = 3;
        const DEPARTURE: u8 = 4;
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let fd = self.udp.as_raw_fd();
        let mut slices = [IoSliceMut::new(&mut self.refused)];
        let message = recvmsg::<()>(fd, &mut slices, Some(&mut self.control), flags).ok()?;
        let (mut wall_ns, mut id, mut refused) = (None, None, false);
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::ScmTimestampsns(at) => wall_ns = Some(nanoseconds(at.system)),
                ControlMessageOwned::Ipv4RecvErr(error, _)
                | ControlMessageOwned::Ipv6RecvErr(error, _) => match error.ee_origin {
                    DEPARTURE => id = Some(error.ee_data),
                    ICMP | ICMP6 => refused = is_unreachable(error.ee_errno),
                    _ => {}
                },
                _ => {}
            }
        }
        Some(match (id, wall_ns) {
            (Some(id), Some(wall_ns)) => News::Departed { id, wall_ns },
            _ if refused => News::Refused(message.bytes),
            _ => News::Other,
        })
    }

    /// Limits a blocking receive to a wait that ends before `left_ns` have passed; tells whether
    /// the system agreed.
    fn be_patient(&mut self, left_ns: i64) -> bool {
        // Rounded, so that the same timeout again and again sets the limit once.
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

    /// Waits for a datagram or news for so long from `mono_ns` on.
    fn sleep(&mut self, mono_ns: i64, ns: i64) {
        let mut polled = [PollFd::new(self.udp.as_fd(), PollFlags::POLLIN)];
        // The only error is an interruption by a signal: look again.
        let woken = ppoll(&mut polled, Some(timespec(ns)), None);
        if woken == Ok(0) && !self.precise {
            // A running median of how late it is.
            let late_ns = monotonic_ns() - mono_ns - ns;
            let step_ns = LEAD_STEP_NS * (late_ns - self.lead_ns).signum();
            self.lead_ns = (self.lead_ns + step_ns).clamp(0, SPIN_NS);
        }
        let [polled] = polled;
        self.news |= polled.revents().is_some_and(|events| events.contains(PollFlags::POLLERR));
    }
}

/// Whether ICMP says that the datagram did not get there.
fn is_unreachable(errno: u32) -> bool {
    let errno = i32::try_from(errno).map(Errno::from_raw);
    matches!(errno, Ok(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH))
}
