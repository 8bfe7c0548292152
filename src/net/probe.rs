//! The options of probe sockets, on every platform.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Type};

use crate::net::socket::unless_no_route;

/// The kernel timestamps to ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// None.
    User,
    /// Of arrivals.
    #[default]
    Receive,
    /// Of arrivals and departures.
    Kernel,
}

/// The options of a probe socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeOptions {
    /// The address and port to send from; the system's choice if unspecified.
    pub source: Option<SocketAddr>,
    /// The IPv4 time to live or IPv6 hop limit.
    pub ttl: Option<u32>,
    /// The differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: Option<u32>,
    /// Forbid fragmentation, here and by routers.
    pub dont_fragment: bool,
    /// The kernel timestamps to ask for.
    pub timestamps: Timestamps,
    /// Spin for the last microseconds before a deadline and the first after a send.
    pub precise: bool,
}

/// Opens a socket with `options` and connects it to `peer`, unless there is no route.
pub(super) fn connect(peer: SocketAddr, options: &ProbeOptions) -> io::Result<UdpSocket> {
    let any = match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = socket2::Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    let source = match options.source {
        Some(source) if source.ip().is_unspecified() => SocketAddr::new(any.ip(), source.port()),
        source => source.unwrap_or(any),
    };
    socket.bind(&source.into())?;
    mark(&socket, peer, options)?;
    unless_no_route(socket.connect(&peer.into()))?;
    Ok(socket.into())
}

fn mark(socket: &socket2::Socket, peer: SocketAddr, options: &ProbeOptions) -> io::Result<()> {
    if let Some(ttl) = options.ttl {
        match peer {
            SocketAddr::V4(_) => socket.set_ttl_v4(ttl)?,
            SocketAddr::V6(_) => socket.set_unicast_hops_v6(ttl)?,
        }
    }
    if let Some(dscp) = options.dscp {
        // The two bits below the DSCP are for congestion notification.
        match peer {
            SocketAddr::V4(_) => socket.set_tos_v4(dscp << 2)?,
            #[cfg(unix)]
            SocketAddr::V6(_) => socket.set_tclass_v6(dscp << 2)?,
            #[cfg(not(unix))]
            SocketAddr::V6(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
    }
    if options.dont_fragment {
        keep_whole(socket, peer)?;
    }
    Ok(())
}

/// Forbids fragmentation: the system refuses datagrams above the known path MTU (RFC 1191).
#[cfg(target_os = "linux")]
fn keep_whole(socket: &socket2::Socket, peer: SocketAddr) -> io::Result<()> {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    match peer {
        SocketAddr::V4(_) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO)?,
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn keep_whole(_: &socket2::Socket, _: SocketAddr) -> io::Result<()> {
    let reason = "dont_fragment is not supported on this platform";
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use socket2::SockRef;

    use super::*;
    use crate::net::{Batch, Outbox, Port, ProbeSocket, Wake, now};

    fn pair(options: &ProbeOptions) -> (UdpSocket, ProbeSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = ProbeSocket::connect(server.local_addr().unwrap(), options).unwrap();
        (server, client)
    }

    fn send(client: &mut ProbeSocket, datagram: &[u8]) {
        let mut outbox = Outbox::default();
        outbox.push(client.peer_address(), None, 0..datagram.len());
        client.send(&mut outbox, datagram, |unsent| panic!("{unsent:?}"));
    }

    fn wait(client: &mut ProbeSocket, deadline: Option<i64>) -> Wake {
        client.receive(&mut Batch::default(), deadline, false)
    }

    fn echo(server: &UdpSocket) {
        let mut buffer = [0; 100];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], from).unwrap();
    }

    #[test]
    fn every_kind_of_wait_returns_a_reply_with_its_stamps() {
        for timestamps in [Timestamps::User, Timestamps::Receive, Timestamps::Kernel] {
            for (precise, wait_ns) in [(false, None), (false, Some(5_000_000_000)), (true, None)] {
                let (server, mut client) =
                    pair(&ProbeOptions { timestamps, precise, ..ProbeOptions::default() });
                let before = now();
                send(&mut client, b"Ping");
                echo(&server);
                let deadline = wait_ns.map(|ns: i64| before.mono_ns + ns);
                let (mut batch, mut departed) = (Batch::default(), None);
                loop {
                    match client.receive(&mut batch, deadline, false) {
                        Wake::Datagrams => break,
                        Wake::Departed { index: 0, kernel_ns } => departed = Some(kernel_ns),
                        other => panic!("{other:?}"),
                    }
                }
                let arrival = batch.arrivals().next().unwrap();
                assert_eq!(arrival.datagram, b"Ping");
                // A kernel may provide no timestamps, but never a wrong one.
                let kernel = arrival.kernel.map(|kernel| kernel.mono_ns);
                let round = before.mono_ns..=arrival.read.mono_ns;
                assert!(kernel.is_none_or(|ns| round.contains(&ns)), "{kernel:?} {round:?}");
                assert!(departed.is_none_or(|ns| round.contains(&ns)), "{departed:?} {round:?}");
                assert!(kernel.is_none() || timestamps != Timestamps::User);
                assert!(departed.is_none() || timestamps == Timestamps::Kernel);
            }
        }
    }

    #[test]
    fn no_departure_is_matched_after_a_failed_send() {
        let timestamps = Timestamps::Kernel;
        let (server, mut client) = pair(&ProbeOptions { timestamps, ..ProbeOptions::default() });
        let too_long = vec![0; 1 << 16];
        let mut outbox = Outbox::default();
        outbox.push(client.peer_address(), None, 0..too_long.len());
        let mut failures = 0;
        client.send(&mut outbox, &too_long, |_| failures += 1);
        assert_eq!(failures, 1);
        send(&mut client, b"Ping");
        echo(&server);
        assert_eq!(wait(&mut client, None), Wake::Datagrams);
    }

    #[test]
    fn a_wait_never_ends_before_its_deadline() {
        for precise in [false, true] {
            let options = ProbeOptions { precise, ..ProbeOptions::default() };
            let (_server, mut client) = pair(&options);
            // Many short waits, since a socket may learn how early to wake.
            for ns in [-1, 0, 20_000, 3_000_000, 60_000_000].into_iter().chain([200_000; 200]) {
                let deadline = now().mono_ns + ns;
                assert_eq!(wait(&mut client, Some(deadline)), Wake::Idle);
                assert!(now().mono_ns >= deadline);
            }
        }
    }

    #[test]
    fn an_interruption_ends_every_kind_of_wait() {
        for (precise, wait_ns) in [(false, None), (true, None), (false, Some(30_000_000_i64))] {
            let options = ProbeOptions { precise, ..ProbeOptions::default() };
            let (_server, mut client) = pair(&options);
            let interrupter = client.interrupter();
            let thread = thread::spawn(move || {
                let mut wait = || {
                    let deadline = wait_ns.map(|ns| now().mono_ns + ns);
                    matches!(wait(&mut client, deadline), Wake::Interrupted | Wake::Idle)
                };
                wait() && wait()
            });
            interrupter.interrupt();
            assert!(thread.join().unwrap());
        }
    }

    #[test]
    fn room_in_the_send_buffer_ends_a_wait() {
        for precise in [false, true] {
            let options = ProbeOptions { precise, ..ProbeOptions::default() };
            let (_server, mut client) = pair(&options);
            assert_eq!(client.receive(&mut Batch::default(), None, true), Wake::Writable);
        }
    }

    #[test]
    fn a_refusal_is_reported_and_the_next_datagram_goes_out() {
        // Connected to itself, it refuses everybody else, and nobody else can get its port.
        let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap();
        nobody.connect(address).unwrap();
        let mut client = ProbeSocket::connect(address, &ProbeOptions::default()).unwrap();
        let mut batch = Batch::default();
        for text in [b"one", b"two"] {
            send(&mut client, text);
            assert_eq!(client.receive(&mut batch, None, false), Wake::Icmp);
            assert!(batch.icmp().is_some_and(|error| error.datagram == text));
        }
    }

    #[test]
    fn an_unspecified_source_takes_the_peers_family() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(address).unwrap();
            for any in ["0.0.0.0:0", "[::]:0"] {
                let options = ProbeOptions { source: any.parse().ok(), ..ProbeOptions::default() };
                let socket = connect(server.local_addr().unwrap(), &options).unwrap();
                assert_eq!(socket.local_addr().unwrap().ip(), server.local_addr().unwrap().ip());
            }
        }
    }

    #[test]
    fn options_reach_the_socket() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(address).unwrap();
            let peer = server.local_addr().unwrap();
            let (ttl, dscp) = (Some(7), cfg!(unix).then_some(46));
            // Another test may get the port of the closed socket.
            let (source, socket) = (0..9)
                .find_map(|_| {
                    let source = UdpSocket::bind(address).unwrap().local_addr().unwrap();
                    let options =
                        ProbeOptions { source: Some(source), ttl, dscp, ..ProbeOptions::default() };
                    Some((source, connect(peer, &options).ok()?))
                })
                .unwrap();
            assert_eq!(socket.local_addr().unwrap(), source);
            let socket = SockRef::from(&socket);
            if peer.is_ipv4() {
                assert_eq!((socket.ttl_v4().unwrap(), socket.tos_v4().unwrap()), (7, 46 << 2));
            } else {
                assert_eq!(socket.unicast_hops_v6().unwrap(), 7);
            }
        }
    }
}
