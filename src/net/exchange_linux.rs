//! The exchange of Linux: batch sockets that epoll watches.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::prctl::set_timerslack;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::net::clock::monotonic_ns;
use crate::net::exchange::End;
use crate::net::kernel_time::timespec;
use crate::net::mmsg::Messages;
use crate::net::socket::{BROKEN, reachable};
use crate::net::{Batch, BatchSocket, Interrupter, Options, Outbox, Port, Wake, Waker};
use crate::{Error, Headers, Local, Result};

/// Nanoseconds in a millisecond.
const MS: i64 = 1_000_000;

/// The most sockets that one wait reports.
const MAX_READY: usize = 256;

/// The options of all sockets: with headers and ICMP errors.
const OPTIONS: Options = Options {
    kernel_stamps: true,
    offload: true,
    shared: false,
    answers: false,
    probes: true,
    reflects: false,
    longest: None,
    send_buffer: 0,
};

/// The number of the listener among watched sockets.
const LISTENER: u64 = u64::MAX;

/// A bound socket and sockets that are connected to one peer, watched together.
#[derive(Debug)]
pub struct Exchange {
    epoll: Epoll,
    listener: BatchSocket,
    peer: SocketAddr,
    /// The connected sockets by number.
    lines: Vec<Option<BatchSocket>>,
    to_peer: Outbox,
    to_others: Outbox,
    /// The headers that the connected sockets share.
    messages: Messages,
    punctual: bool,
}

impl Exchange {
    /// Binds a socket to `address`; port 0 is any free one.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses.
    pub fn bind(address: SocketAddr, peer: SocketAddr) -> Result<Self> {
        let listener = BatchSocket::bind(address, OPTIONS)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .and_then(|epoll| epoll.add(&listener, readable(LISTENER)).map(|()| epoll))
            .map_err(|errno| Error::io("watch", address)(errno.into()))?;
        // A host that gets a group in one piece returns one ICMP error for it.
        let (to_peer, to_others) = (Outbox::ungrouped(), Outbox::default());
        let (lines, messages) = (Vec::new(), Messages::default());
        let (peer, punctual) = (reachable(peer), false);
        Ok(Self { epoll, listener, peer, lines, to_peer, to_others, messages, punctual })
    }

    /// Permits this process as many sockets as `lines` need, or as the system lets it have.
    pub fn permit(lines: usize) {
        let wanted = u64::try_from(lines).unwrap_or(u64::MAX).saturating_add(1024);
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
            && soft < wanted
        {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
        }
    }

    /// Returns the address of the bound socket.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.listener.local_address()
    }

    /// Returns the local address of a connected socket, if it is open.
    #[must_use]
    pub fn line_address(&self, line: u32) -> Option<SocketAddr> {
        self.lines.get(line as usize)?.as_ref().map(BatchSocket::local_address)
    }

    /// Returns a handle that ends its waits from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.listener.interrupter()
    }

    /// Returns a handle that ends one wait from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.listener.waker()
    }

    /// Waits until sockets may have something or until `deadline` (monotonic nanoseconds), and puts
    /// them in `ready`. Returns false if the interrupter was used.
    pub fn wait(&mut self, deadline: Option<i64>, ready: &mut Vec<End>) -> bool {
        ready.clear();
        let mut events = [EpollEvent::empty(); MAX_READY];
        let left = deadline.map(|deadline| deadline.saturating_sub(monotonic_ns()).max(0));
        let timeout = match left {
            None => EpollTimeout::NONE,
            // It counts milliseconds; the next wait does the rest.
            Some(left) if left >= MS => {
                EpollTimeout::try_from(left / MS).unwrap_or(EpollTimeout::MAX)
            }
            Some(left) => {
                if left > 0 {
                    self.be_punctual();
                    let mut watched = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
                    // The only error is a signal.
                    let _ = ppoll(&mut watched, Some(timespec(left)), None);
                }
                EpollTimeout::ZERO
            }
        };
        let count = self.epoll.wait(&mut events, timeout).unwrap_or_else(|errno| {
            if errno != Errno::EINTR {
                thread::sleep(BROKEN);
            }
            0
        });
        for event in &events[..count] {
            let end = match u32::try_from(event.data()) {
                Ok(line) => End::Line(line),
                Err(_) => End::Listener,
            };
            if event.events().contains(EpollFlags::EPOLLERR)
                && let Some(socket) = self.socket(end)
            {
                socket.expect_errors();
            }
            ready.push(end);
        }
        !self.listener.is_interrupted()
    }

    /// Sets the timer slack of the thread, once; otherwise waits end up to 50 microseconds late.
    fn be_punctual(&mut self) {
        if !self.punctual {
            let _ = set_timerslack(1);
            self.punctual = true;
        }
    }

    /// Receives datagrams of a socket, or an ICMP error, without waiting.
    pub fn receive(&mut self, end: End, batch: &mut Batch) -> Wake {
        batch.clear();
        let line = match end {
            End::Listener => return self.listener.receive(batch, Some(i64::MIN), false),
            End::Line(line) => self.lines.get_mut(line as usize).and_then(Option::as_mut),
        };
        let Some(socket) = line else { return Wake::Idle };
        socket.swap_messages(&mut self.messages);
        let wake = socket.receive(batch, Some(i64::MIN), false);
        socket.swap_messages(&mut self.messages);
        // Until it was connected, anybody could send to it.
        batch.keep_from(self.peer);
        wake
    }

    /// Opens the connected socket `line`, unless it is open.
    ///
    /// # Errors
    /// The system's error if it has no socket or no port.
    pub fn open(&mut self, line: u32) -> io::Result<()> {
        let index = line as usize;
        if self.lines.len() <= index {
            self.lines.resize_with(index + 1, || None);
        }
        if self.lines[index].is_none() {
            let socket = BatchSocket::connect(self.peer, OPTIONS)?;
            self.epoll.add(&socket, readable(line.into()))?;
            self.lines[index] = Some(socket);
        }
        Ok(())
    }

    /// Replaces a connected socket, if it is open, by one with another port. Returns what its receive
    /// queue has dropped.
    pub fn rebind(&mut self, line: u32) -> u64 {
        // The old socket keeps its port until the new one has another.
        let old = self.lines.get_mut(line as usize).and_then(Option::take);
        if old.is_some() {
            // If this fails, the next datagram tries again.
            let _ = self.open(line);
        }
        drops(old.as_ref())
    }

    /// Closes a connected socket. Returns what its receive queue has dropped.
    pub fn close(&mut self, line: u32) -> u64 {
        // The kernel stops watching it.
        drops(self.lines.get_mut(line as usize).and_then(Option::take).as_ref())
    }

    /// Closes all connected sockets. Returns what their receive queues have dropped.
    pub fn close_all(&mut self) -> u64 {
        self.lines.drain(..).map(|socket| drops(socket.as_ref())).sum()
    }

    /// Sets whether the system refuses datagrams for the bound socket.
    pub fn refuse(&mut self, wanted: bool) {
        self.listener.refuse(wanted);
    }

    /// Queues a datagram for [`flush`](Self::flush): for the bound socket to send to `to` or, if `None`,
    /// for a connected one.
    pub fn push(&mut self, to: Option<SocketAddr>, from: Option<Local>, at: Range<usize>) {
        match to {
            Some(to) => self.to_others.push(to, from, at),
            None => self.to_peer.push(self.peer, from, at),
        }
    }

    /// Sends the queued datagrams, whose bytes are in `memory`, from one socket. Calls `unsent` for each
    /// that did not leave, with the system's error code.
    pub fn flush(
        &mut self,
        end: End,
        headers: Headers,
        memory: &[u8],
        mut unsent: impl FnMut(Option<i32>),
    ) {
        let line = match end {
            End::Listener => {
                self.listener.set_headers(headers);
                self.listener.send(&mut self.to_others, memory, |one| unsent(one.error));
                return;
            }
            End::Line(line) => self.lines.get_mut(line as usize).and_then(Option::as_mut),
        };
        let Some(socket) = line else {
            self.to_peer.drain(|one| unsent(one.error));
            return;
        };
        socket.set_headers(headers);
        socket.swap_messages(&mut self.messages);
        socket.send(&mut self.to_peer, memory, |one| unsent(one.error));
        socket.swap_messages(&mut self.messages);
    }

    fn socket(&mut self, end: End) -> Option<&mut BatchSocket> {
        match end {
            End::Listener => Some(&mut self.listener),
            End::Line(line) => self.lines.get_mut(line as usize)?.as_mut(),
        }
    }
}

fn readable(number: u64) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, number)
}

/// Returns what the receive queue of a socket has dropped.
fn drops(socket: Option<&BatchSocket>) -> u64 {
    socket.and_then(|socket| socket.interrupter().drop_gauge().read()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_line_hears_only_its_peer_even_before_it_is_connected() {
        let [peer, stranger] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let any = "127.0.0.1:0".parse().unwrap();
        let mut exchange = Exchange::bind(any, peer.local_addr().unwrap()).unwrap();
        // What a line is for a moment.
        let line = BatchSocket::bind(any, OPTIONS).unwrap();
        for (socket, text) in [(&stranger, b"forged"), (&peer, b"answer"), (&stranger, b"forged")] {
            socket.send_to(text, line.local_address()).unwrap();
        }
        exchange.lines.push(Some(line));
        let (mut batch, mut heard) = (Batch::default(), Vec::new());
        while exchange.receive(End::Line(0), &mut batch) == Wake::Datagrams {
            heard.extend(batch.arrivals().map(|arrival| arrival.datagram.to_vec()));
        }
        assert_eq!(heard, [b"answer"]);
    }
}
