//! The options of probe sockets, on every platform.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Type};

use crate::net::Family;
use crate::{Error, Result};

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
    /// The network interface or VRF to send and receive through; any if `None`.
    pub interface: Option<String>,
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

/// Opens and binds a socket with `options`.
pub(super) fn open(family: Family, options: &ProbeOptions) -> Result<UdpSocket> {
    let any = SocketAddr::new(family.unspecified(), 0);
    let source = match options.source {
        Some(source) if source.ip().is_unspecified() => SocketAddr::new(any.ip(), source.port()),
        source => source.unwrap_or(any),
    };
    let failed = || Error::io("bind", source);
    let domain = Domain::for_address(any);
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(failed())?;
    if let Some(interface) = &options.interface {
        bind_device(&socket, interface).map_err(Error::io("use interface", interface))?;
    }
    socket.bind(&source.into()).map_err(failed())?;
    mark(&socket, family, options).map_err(failed())?;
    Ok(socket.into())
}

fn mark(socket: &socket2::Socket, family: Family, options: &ProbeOptions) -> io::Result<()> {
    if let Some(ttl) = options.ttl {
        match family {
            Family::V4 => socket.set_ttl_v4(ttl)?,
            Family::V6 => socket.set_unicast_hops_v6(ttl)?,
        }
    }
    if let Some(dscp) = options.dscp {
        // The two bits below the DSCP are for congestion notification.
        match family {
            Family::V4 => socket.set_tos_v4(dscp << 2)?,
            #[cfg(unix)]
            Family::V6 => socket.set_tclass_v6(dscp << 2)?,
            #[cfg(not(unix))]
            Family::V6 => return Err(io::ErrorKind::Unsupported.into()),
        }
    }
    if options.dont_fragment {
        keep_whole(socket, family)?;
    }
    Ok(())
}

/// Forbids fragmentation: the system refuses datagrams above the known path MTU (RFC 1191).
#[cfg(target_os = "linux")]
fn keep_whole(socket: &socket2::Socket, family: Family) -> io::Result<()> {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    match family {
        Family::V4 => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO)?,
        Family::V6 => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO)?,
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn keep_whole(_: &socket2::Socket, _: Family) -> io::Result<()> {
    let reason = "dont_fragment is not supported on this platform";
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
}

/// Sends and receives only through a network interface or VRF.
#[cfg(target_os = "linux")]
pub(super) fn bind_device(socket: &socket2::Socket, name: &str) -> io::Result<()> {
    socket.bind_device(Some(name.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind_device(_: &socket2::Socket, _: &str) -> io::Result<()> {
    let reason = "interface is not supported on this platform";
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use socket2::SockRef;

    use super::*;
    use crate::net::{Batch, Outbox, Port, ProbeSocket, Wake, now};

    /// Whether an ICMP error shows its datagram.
    const QUOTES: bool = cfg!(all(target_os = "linux", not(feature = "portable")));

    fn pair(options: &ProbeOptions) -> (UdpSocket, ProbeSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        (server, ProbeSocket::bind(Family::V4, options).unwrap())
    }

    fn send(client: &mut ProbeSocket, server: &UdpSocket, datagram: &[u8]) {
        let mut outbox = Outbox::default();
        outbox.push(server.local_addr().unwrap(), None, 0..datagram.len());
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
                send(&mut client, &server, b"Ping");
                echo(&server);
                let deadline = wait_ns.map(|ns: i64| before.mono_ns + ns);
                let (mut batch, mut departed) = (Batch::default(), None);
                loop {
                    match client.receive(&mut batch, deadline, false) {
                        Wake::Datagrams => break,
                        Wake::Departed { kernel_ns } => {
                            assert_eq!(batch.departed(), b"Ping");
                            departed = Some(kernel_ns);
                        }
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
    fn departures_are_matched_after_a_failed_send() {
        let timestamps = Timestamps::Kernel;
        let (server, mut client) = pair(&ProbeOptions { timestamps, ..ProbeOptions::default() });
        let too_long = vec![0; 1 << 16];
        let mut outbox = Outbox::default();
        outbox.push(server.local_addr().unwrap(), None, 0..too_long.len());
        let mut failures = 0;
        client.send(&mut outbox, &too_long, |_| failures += 1);
        assert_eq!(failures, 1);
        send(&mut client, &server, b"Ping");
        echo(&server);
        let mut batch = Batch::default();
        while client.receive(&mut batch, None, false) != Wake::Datagrams {
            assert!(batch.icmp().is_some() || batch.departed() == b"Ping");
        }
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
        for (host, kind) in [("127.0.0.1:0", (3, 3)), ("[::1]:0", (1, 4))] {
            // Connected to itself, it refuses everybody else, and nobody else can get its port.
            let nobody = UdpSocket::bind(host).unwrap();
            let address = nobody.local_addr().unwrap();
            nobody.connect(address).unwrap();
            let options = ProbeOptions::default();
            let mut client = ProbeSocket::bind(Family::from(address), &options).unwrap();
            let mut batch = Batch::default();
            // The second send finds the error of the first.
            send(&mut client, &nobody, b"one");
            send(&mut client, &nobody, b"two");
            for text in [b"one", b"two"] {
                assert_eq!(client.receive(&mut batch, None, false), Wake::Icmp);
                let error = batch.icmp().unwrap();
                assert_eq!((error.kind, error.code), kind);
                assert_eq!((error.router, error.to), (Some(address.ip()), address));
                let quote = if QUOTES { &text[..] } else { b"" };
                assert_eq!((error.mtu, error.datagram), (None, quote));
                assert!(error.is_port_unreachable());
            }
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn a_reply_shows_its_destination_and_its_marks() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(host).unwrap();
            let address = server.local_addr().unwrap();
            let mut client =
                ProbeSocket::bind(Family::from(address), &ProbeOptions::default()).unwrap();
            let marked = SockRef::from(&server);
            if address.is_ipv4() {
                marked.set_ttl_v4(77).unwrap();
                marked.set_tos_v4(0x28).unwrap();
            } else {
                marked.set_unicast_hops_v6(77).unwrap();
                marked.set_tclass_v6(0x28).unwrap();
            }
            send(&mut client, &server, b"Ping");
            echo(&server);
            let mut batch = Batch::default();
            assert_eq!(client.receive(&mut batch, None, false), Wake::Datagrams);
            let arrival = batch.arrivals().next().unwrap();
            assert_eq!((arrival.ttl, arrival.tos), (Some(77), Some(0x28)));
            let local = crate::Local { ip: address.ip(), interface: 0 };
            assert_eq!((arrival.from, arrival.to), (address, Some(local)));
        }
    }

    #[test]
    fn an_unknown_interface_is_named() {
        let interface = Some("no-such-device".to_owned());
        let options = ProbeOptions { interface, ..ProbeOptions::default() };
        let error = ProbeSocket::bind(Family::V4, &options).unwrap_err().to_string();
        assert!(error.starts_with("cannot use interface no-such-device: "), "{error}");
    }

    #[test]
    fn an_unspecified_source_takes_the_targets_family() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(address).unwrap();
            for any in ["0.0.0.0:0", "[::]:0"] {
                let options = ProbeOptions { source: any.parse().ok(), ..ProbeOptions::default() };
                let family = Family::from(server.local_addr().unwrap());
                let socket = open(family, &options).unwrap();
                assert_eq!(socket.local_addr().unwrap().ip(), family.unspecified());
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
                    Some((source, open(Family::from(peer), &options).ok()?))
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
