//! The exchange of other platforms: sockets that mio watches. They know neither headers nor drops.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::net::batch::Burst;
use crate::net::clock::monotonic_ns;
use crate::net::errors::ErrorQueue;
use crate::net::exchange::End;
use crate::net::socket::{BROKEN, MAX_PAYLOAD, bind, insist, reachable};
use crate::net::{Batch, Interrupter, Outbox, Wake, Waker, now};
use crate::{Error, Headers, Local, Result};

/// The tokens of the waker and of the bound socket; connected sockets have their numbers.
const WAKE: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);

/// A bound socket and sockets that are connected to one peer, watched together.
#[derive(Debug)]
pub struct Exchange {
    poll: Poll,
    events: Events,
    waker: Waker,
    interrupter: Interrupter,
    local: SocketAddr,
    listener: Watched,
    peer: SocketAddr,
    lines: HashMap<u32, Watched>,
    /// Sockets that may have more to read.
    unread: Vec<End>,
    outbox: Outbox,
}

#[derive(Debug)]
struct Watched {
    udp: UdpSocket,
    errors: ErrorQueue,
}

impl Exchange {
    /// Binds a socket to `address`; port 0 is any free one.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses.
    pub fn bind(address: SocketAddr, peer: SocketAddr) -> Result<Self> {
        Self::new(address, peer).map_err(Error::io("bind", address))
    }

    fn new(address: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::of_poll(Arc::new(mio::Waker::new(poll.registry(), WAKE)?));
        let listener = watch(&poll, bind(address)?, LISTENER)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(256),
            interrupter: Interrupter::of_poll(waker.clone()),
            waker,
            local: listener.udp.local_addr()?,
            listener,
            peer: reachable(peer),
            lines: HashMap::new(),
            unread: Vec::new(),
            outbox: Outbox::ungrouped(),
        })
    }

    /// Permits this process as many sockets as `lines` need, or as the system lets it have.
    pub fn permit(_lines: usize) {}

    /// Returns the address of the bound socket.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Returns the local address of a connected socket, if it is open.
    #[must_use]
    pub fn line_address(&self, line: u32) -> Option<SocketAddr> {
        self.lines.get(&line)?.udp.local_addr().ok()
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

    /// Waits until sockets may have something or until `deadline` (monotonic nanoseconds), and puts
    /// them in `ready`. Returns false if the interrupter was used.
    pub fn wait(&mut self, deadline: Option<i64>, ready: &mut Vec<End>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_sub(monotonic_ns()).max(0));
        let left = left.map(|left| Duration::from_nanos(left.unsigned_abs()));
        let timeout = if self.unread.is_empty() { left } else { Some(Duration::ZERO) };
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != ErrorKind::Interrupted
        {
            thread::sleep(BROKEN);
        }
        for event in &self.events {
            let end = match event.token() {
                WAKE => continue,
                LISTENER => End::Listener,
                Token(line) => End::Line(u32::try_from(line).unwrap_or(u32::MAX)),
            };
            if !self.unread.contains(&end) {
                self.unread.push(end);
            }
        }
        ready.clone_from(&self.unread);
        !self.interrupter.is_used()
    }

    /// Receives datagrams of a socket, or an ICMP error, without waiting.
    pub fn receive(&mut self, end: End, batch: &mut Batch) -> Wake {
        batch.clear();
        batch.memory.hold(MAX_PAYLOAD);
        let wake = match end {
            End::Listener => receive(&mut self.listener, batch),
            End::Line(line) => self.lines.get_mut(&line).and_then(|line| receive(line, batch)),
        };
        if wake.is_none() {
            self.unread.retain(|other| *other != end);
        }
        if end != End::Listener {
            // Until it was connected, anybody could send to it.
            batch.keep_from(self.peer);
        }
        wake.unwrap_or(Wake::Idle)
    }

    /// Opens the connected socket `line`, unless it is open.
    ///
    /// # Errors
    /// The system's error if it has no socket or no port.
    pub fn open(&mut self, line: u32) -> io::Result<()> {
        if !self.lines.contains_key(&line) {
            let v4 = self.peer.is_ipv4();
            let any = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let udp = bind(SocketAddr::new(any, 0))?;
            udp.connect(self.peer)?;
            let socket = watch(&self.poll, udp, Token(line as usize))?;
            self.lines.insert(line, socket);
        }
        Ok(())
    }

    /// Replaces a connected socket, if it is open, by one with another port. Returns what its receive
    /// queue has dropped: 0, since it does not tell.
    pub fn rebind(&mut self, line: u32) -> u64 {
        // The old socket keeps its port until the new one has another.
        let old = self.lines.remove(&line);
        if old.is_some() {
            // If this fails, the next datagram tries again.
            let _ = self.open(line);
        }
        0
    }

    /// Closes a connected socket. Returns what its receive queue has dropped.
    pub fn close(&mut self, line: u32) -> u64 {
        self.lines.remove(&line);
        0
    }

    /// Closes all connected sockets. Returns what their receive queues have dropped.
    pub fn close_all(&mut self) -> u64 {
        self.lines.clear();
        0
    }

    /// Sets whether the system refuses datagrams for the bound socket.
    pub fn refuse(&mut self, wanted: bool) {
        // If the system does not let us, the relay still drops all datagrams.
        let _ = if wanted {
            // Connected to itself, it refuses everybody else, and nobody else can get its port.
            self.listener.udp.connect(reachable(self.local))
        } else {
            self.listen_again()
        };
    }

    fn listen_again(&mut self) -> io::Result<()> {
        let mut other = reachable(self.local);
        other.set_port(0);
        // The old socket is closed first.
        self.listener.udp = UdpSocket::bind(other)?;
        self.listener = watch(&self.poll, bind(self.local)?, LISTENER)?;
        Ok(())
    }

    /// Queues a datagram for [`flush`](Self::flush): for the bound socket to send to `to` or, if `None`,
    /// for a connected one.
    pub fn push(&mut self, to: Option<SocketAddr>, from: Option<Local>, at: Range<usize>) {
        self.outbox.push(to.unwrap_or(self.peer), from, at);
    }

    /// Sends the queued datagrams, whose bytes are in `memory`, from one socket. Calls `unsent` for
    /// each that did not leave, with the system's error code.
    pub fn flush(
        &mut self,
        end: End,
        _headers: Headers,
        memory: &[u8],
        mut unsent: impl FnMut(Option<i32>),
    ) {
        let outbox = &mut self.outbox;
        match end {
            End::Listener => {
                let Watched { udp, errors } = &mut self.listener;
                let send =
                    |to, datagram: &[u8]| insist(errors, || udp.send_to(datagram, to)).map(drop);
                outbox.send_each(memory, send, |one| unsent(one.error));
            }
            End::Line(line) => match self.lines.get_mut(&line) {
                Some(Watched { udp, errors }) => {
                    let send = |_, datagram: &[u8]| insist(errors, || udp.send(datagram)).map(drop);
                    outbox.send_each(memory, send, |one| unsent(one.error));
                }
                None => outbox.drain(|one| unsent(one.error)),
            },
        }
    }
}

fn watch(poll: &Poll, udp: std::net::UdpSocket, token: Token) -> io::Result<Watched> {
    udp.set_nonblocking(true)?;
    let mut udp = UdpSocket::from_std(udp);
    poll.registry().register(&mut udp, token, Interest::READABLE)?;
    Ok(Watched { errors: ErrorQueue::new(&udp, udp.local_addr()?), udp })
}

/// Receives one datagram or an ICMP error, if there is one.
fn receive(socket: &mut Watched, batch: &mut Batch) -> Option<Wake> {
    let Watched { udp, errors } = socket;
    if errors.find_icmp(udp, batch) {
        return Some(Wake::Icmp);
    }
    match udp.recv_from(&mut batch.memory) {
        Ok((length, from)) => {
            batch.bursts.push(Burst::single(now(), None, from, length));
            Some(Wake::Datagrams)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => {
            errors.on_error(&error);
            Some(if errors.find_icmp(udp, batch) { Wake::Icmp } else { Wake::Idle })
        }
    }
}
