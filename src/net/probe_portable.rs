//! The probe socket of platforms that offer only sockets and clocks.
//!
//! It is connected, because only then do they report that nothing listens on a port.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};

use mio::Interest;

use crate::net::errors::ErrorQueue;
use crate::net::socket::{DATAGRAM, insist};
use crate::net::{
    Batch, Family, Interrupter, Outbox, Port, ProbeOptions, Socket, Unsent, Wake, probe,
};
use crate::{Error, Result};

/// After this many probes without a reply, and again after as many, the socket looks whether this
/// host still has the address that it sends from.
const UNHEARD: u64 = 4;

/// A UDP socket that sends probes and waits for replies.
///
/// A connected socket keeps its route and its source address. If the destination changes, or this
/// host loses the network or the address, the next send replaces it by another, from another port
/// unless the options name one.
#[derive(Debug)]
pub struct ProbeSocket {
    socket: Socket,
    options: ProbeOptions,
    /// The destination that the socket is connected to.
    peer: Option<SocketAddr>,
    /// Whether a connection was tried: the next one needs another socket.
    used: bool,
    /// How many datagrams were sent since the last one arrived.
    unheard: u64,
}

impl ProbeSocket {
    /// Opens a socket with `options`, if the platform supports them.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses, for example if the source is not this host's.
    pub fn bind(family: Family, options: &ProbeOptions) -> Result<Self> {
        let udp = probe::open(family, options)?;
        let socket = Socket::of(udp).map_err(Error::io("open", "a socket"))?;
        Ok(Self { socket, options: options.clone(), peer: None, used: false, unheard: 0 })
    }

    /// Returns the address that the socket was bound to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.socket.local_address()
    }

    /// Returns a handle that ends its waits from another thread.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.socket.interrupter()
    }

    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        if self.peer == Some(to) && !self.has_lost_its_address() {
            match self.send_connected(datagram) {
                Err(error) if is_cut_off(&error) => {}
                sent => return sent,
            }
        }
        self.connect(to)?;
        self.send_connected(datagram)
    }

    fn send_connected(&mut self, datagram: &[u8]) -> io::Result<()> {
        let Socket { udp, errors, .. } = &mut self.socket;
        insist(errors, || udp.send(datagram))?;
        self.unheard += 1;
        Ok(())
    }

    /// Connects a socket that never was to `to`.
    fn connect(&mut self, to: SocketAddr) -> io::Result<()> {
        self.peer = None;
        if self.used {
            let family = Family::from(self.local_address());
            // The old socket must be gone for the new one to get the same port: a third one takes
            // its place for that time, or until a later send if the new one cannot be opened.
            self.replace(UdpSocket::bind((family.unspecified(), 0))?)?;
            self.replace(self.open(self.options.source)?)?;
        }
        self.used = true;
        self.socket.udp.connect(to)?;
        (self.peer, self.unheard) = (Some(to), 0);
        Ok(())
    }

    /// Closes the socket and uses another.
    fn replace(&mut self, udp: UdpSocket) -> io::Result<()> {
        udp.set_nonblocking(true)?;
        let mut udp = mio::net::UdpSocket::from_std(udp);
        let Socket { poll, errors, watches_room, udp: present, .. } = &mut self.socket;
        poll.registry().register(&mut udp, DATAGRAM, Interest::READABLE)?;
        (*present, *errors, *watches_room) = (udp, ErrorQueue::default(), false);
        Ok(())
    }

    /// Opens another socket that is bound to `source`.
    fn open(&self, source: Option<SocketAddr>) -> io::Result<UdpSocket> {
        let options = ProbeOptions { source, ..self.options.clone() };
        probe::open(self.local_address().into(), &options).map_err(|error| match error {
            Error::Io { source, .. } => source,
            other => io::Error::other(other),
        })
    }

    /// Returns whether this host has lost the address that the socket sends from. Some systems go
    /// on to send from it. It is looked up only if nothing arrives.
    fn has_lost_its_address(&self) -> bool {
        if self.unheard == 0 || !self.unheard.is_multiple_of(UNHEARD) {
            return false;
        }
        let Ok(mut local) = self.socket.udp.local_addr() else { return false };
        local.set_port(0);
        self.open(Some(local)).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
    }
}

impl Port for ProbeSocket {
    fn receive(&mut self, batch: &mut Batch, deadline: Option<i64>, blocked: bool) -> Wake {
        let wake = self.socket.receive(batch, deadline, blocked);
        if matches!(wake, Wake::Datagrams | Wake::Icmp) {
            self.unheard = 0;
        }
        wake
    }

    fn send(&mut self, outbox: &mut Outbox, memory: &[u8], unsent: impl FnMut(Unsent)) {
        outbox.send_each(memory, |to, datagram| self.transmit(to, datagram), unsent);
    }
}

/// Returns whether a send failed because the network or the source address is gone.
fn is_cut_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::now;

    fn send(client: &mut ProbeSocket, to: SocketAddr) {
        let mut outbox = Outbox::default();
        outbox.push(to, None, 0..4);
        client.send(&mut outbox, b"Ping", |unsent| panic!("{unsent:?}"));
    }

    #[test]
    fn another_destination_gets_probes_from_the_same_fixed_port() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let servers = [UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap()];
            // Another test may get the port of the closed socket.
            let mut client = (0..9)
                .find_map(|_| {
                    let source = UdpSocket::bind(any).unwrap().local_addr().unwrap();
                    let options = ProbeOptions { source: Some(source), ..ProbeOptions::default() };
                    ProbeSocket::bind(source.into(), &options).ok()
                })
                .unwrap();
            let mut batch = Batch::default();
            for server in [&servers[0], &servers[1], &servers[0]] {
                let address = server.local_addr().unwrap();
                send(&mut client, address);
                let (_, from) = server.recv_from(&mut [0; 9]).unwrap();
                assert_eq!(from, client.local_address());
                server.send_to(b"PING", from).unwrap();
                assert_eq!(client.receive(&mut batch, None, false), Wake::Datagrams);
                assert_eq!(batch.arrivals().next().unwrap().from, address);
            }
        }
    }

    #[test]
    fn a_failed_connection_does_not_hinder_the_next() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = ProbeSocket::bind(Family::V4, &ProbeOptions::default()).unwrap();
        let mut outbox = Outbox::default();
        // An IPv4 socket cannot connect to an IPv6 address.
        outbox.push("[::1]:7".parse().unwrap(), None, 0..4);
        let mut failures = 0;
        client.send(&mut outbox, b"Ping", |unsent| failures += i32::from(unsent.error.is_some()));
        assert_eq!(failures, 1);
        let (deadline, mut batch) = (now().mono_ns, Batch::default());
        assert_eq!(client.receive(&mut batch, Some(deadline), false), Wake::Idle);
        send(&mut client, server.local_addr().unwrap());
        assert_eq!(server.recv_from(&mut [0; 9]).unwrap().0, 4);
    }

    #[test]
    fn an_interrupter_reaches_every_later_socket() {
        let servers =
            ["127.0.0.1:0"; 2].map(|any| UdpSocket::bind(any).unwrap().local_addr().unwrap());
        let mut client = ProbeSocket::bind(Family::V4, &ProbeOptions::default()).unwrap();
        let interrupter = client.interrupter();
        for server in servers {
            send(&mut client, server);
        }
        interrupter.interrupt();
        assert_eq!(client.receive(&mut Batch::default(), None, false), Wake::Interrupted);
    }
}
