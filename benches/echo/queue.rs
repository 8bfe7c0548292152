//! Servers with a full queue, in one thread: neither wakeups nor another core affect the numbers.

use std::error::Error;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, sendmsg,
};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use udpulse::Machine;
use udpulse::echo::{Config, Echo};
use udpulse::impair::{Link, Loss};
use udpulse::net::{Batch, BatchSocket, MAX_BATCH, Options, Outbox, Port, Servers, Wake, now};

const QUEUE: usize = 256;
const LENGTH: usize = 64;
const ROUNDS: usize = 1000;

/// A server, and its nanoseconds per datagram in each round.
struct Peer {
    name: &'static str,
    address: SocketAddr,
    serve: Box<dyn FnMut(usize)>,
    ns: Vec<i64>,
}

impl Peer {
    fn new(name: &'static str, address: SocketAddr, serve: impl FnMut(usize) + 'static) -> Self {
        Self { name, address, serve: Box::new(serve), ns: Vec::new() }
    }
}

/// Runs all loads. Prints the CPU time per datagram received, and the ratios to the first peer.
pub(crate) fn compare() -> Result<(), Box<dyn Error>> {
    for clients in [1, 8, QUEUE] {
        let mut peers = peers()?;
        if clients == 1 {
            peers.push(least_for_one()?);
        }
        peers.push(least_for_many()?);
        run(&format!("{clients} plain clients"), peers, clients, 1)?;
    }
    // Only a socket with a long queue can hold that many bytes.
    let peers = peers()?.into_iter().filter(|peer| peer.name != "naive").collect();
    run("1 client with GSO and GRO", peers, 1, 60)
}

fn peers() -> Result<Vec<Peer>, Box<dyn Error>> {
    let lab = Link { loss: Loss::Lab, ..Link::default() };
    let lab = Config { uplink: lab, seed: Some(1), ..Config::default() };
    let log = Config { keep: 10_000, ..lab.clone() };
    Ok(vec![
        naive()?,
        ours("udpulse", Config::default(), false)?,
        ours("with the lab's loss", lab.clone(), false)?,
        ours("with loss and stamps", lab, true)?,
        ours("with loss and log", log, true)?,
    ])
}

/// Fills the queues in turn, with `segments` datagrams per message.
fn run(
    name: &str,
    mut peers: Vec<Peer>,
    clients: usize,
    segments: usize,
) -> Result<(), Box<dyn Error>> {
    let options = Options { offload: segments > 1, ..Options::default() };
    let any = "127.0.0.1:0".parse()?;
    let sockets: Result<Vec<_>, _> =
        (0..clients).map(|_| BatchSocket::bind(any, options)).collect();
    let mut sockets = sockets?;
    let memory = vec![b'a'; segments * LENGTH];
    let (mut batch, mut outbox) = (Batch::default(), Outbox::default());
    let messages = if segments > 1 { QUEUE / 4 } else { QUEUE };
    let datagrams = messages * segments;
    for _ in 0..ROUNDS {
        for peer in &mut peers {
            for message in 0..messages {
                for i in 0..segments {
                    outbox.push(peer.address, None, i * LENGTH..(i + 1) * LENGTH);
                }
                let socket = &mut sockets[message % clients];
                socket.send(&mut outbox, &memory, |_| panic!("the queue has room"));
            }
            let start = cpu_ns()?;
            (peer.serve)(datagrams);
            peer.ns.push((cpu_ns()? - start) / i64::try_from(datagrams)?);
            for socket in &mut sockets {
                while socket.receive(&mut batch, Some(i64::MIN), false) == Wake::Datagrams {}
            }
        }
    }
    let mut out = io::stdout();
    writeln!(out, "{name}")?;
    let first = median(&mut peers[0].ns);
    for peer in &mut peers {
        let ns = median(&mut peer.ns);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let ratio = ns as f64 / first as f64;
        writeln!(out, "  {:<22}{ns:>6} ns {ratio:>7.3}", peer.name)?;
    }
    Ok(())
}

/// The obvious server.
fn naive() -> io::Result<Peer> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut buffer = [0; 2048];
    Ok(Peer::new("naive", socket.local_addr()?, move |datagrams| {
        for _ in 0..datagrams {
            let (length, client) = socket.recv_from(&mut buffer).expect("the queue is full");
            buffer[..length].make_ascii_uppercase();
            socket.send_to(&buffer[..length], client).expect("loopback has room");
        }
    }))
}

fn ours(name: &'static str, config: Config, kernel_stamps: bool) -> udpulse::Result<Peer> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options { offload: true, kernel_stamps, answers: true, ..Options::default() };
    let mut socket = BatchSocket::bind(any, options)?;
    let (mut batch, mut outbox) = (Batch::default(), Outbox::default());
    let (mut echo, mut servers) = (Echo::new(config), Servers::default());
    Ok(Peer::new(name, socket.local_address(), move |datagrams| {
        let mut done = 0;
        while done < datagrams {
            assert_eq!(socket.receive(&mut batch, None, false), Wake::Datagrams);
            servers.mark(&mut batch);
            let arrivals = batch.arrivals().inspect(|_| done += 1);
            echo.on_datagrams(0, arrivals, |arrival, length| {
                outbox.push(arrival.from, arrival.to, arrival.answer(length));
            });
            echo.on_time(0, now(), i64::MIN);
            socket.send(&mut outbox, batch.memory(), |_| panic!("a loopback address takes all"));
        }
    }))
}

/// One call receives a batch and one call per 64 datagrams sends it back; nothing else is done, not
/// even telling senders apart. Serves one client with one length.
fn least_for_one() -> io::Result<Peer> {
    least("one call each way", |socket, headers, memory| {
        let mut slots: Vec<_> = memory.chunks_mut(LENGTH).map(|s| [IoSliceMut::new(s)]).collect();
        let received =
            recvmmsg(socket.as_raw_fd(), headers, &mut slots, MsgFlags::MSG_WAITFORONE, None)?;
        let clients: Vec<_> = received.filter_map(|message| message.address).collect();
        for (i, part) in memory[..clients.len() * LENGTH].chunks(64 * LENGTH).enumerate() {
            sendmsg(
                socket.as_raw_fd(),
                &[IoSlice::new(part)],
                &[ControlMessage::UdpGsoSegments(&64)],
                MsgFlags::empty(),
                Some(&clients[64 * i]),
            )?;
        }
        Ok(clients.len())
    })
}

/// One call receives a batch and one call sends each datagram back.
fn least_for_many() -> io::Result<Peer> {
    let mut replies = MultiHeaders::<SockaddrIn>::preallocate(MAX_BATCH, None);
    least("recvmmsg, sendmmsg", move |socket, headers, memory| {
        let mut slots: Vec<_> = memory.chunks_mut(LENGTH).map(|s| [IoSliceMut::new(s)]).collect();
        let received =
            recvmmsg(socket.as_raw_fd(), headers, &mut slots, MsgFlags::MSG_WAITFORONE, None)?;
        let clients: Vec<_> = received.map(|message| message.address).collect();
        let parts: Vec<_> = memory.chunks(LENGTH).map(|part| [IoSlice::new(part)]).collect();
        let parts = &parts[..clients.len()];
        let none = MsgFlags::empty();
        sendmmsg(socket.as_raw_fd(), &mut replies, parts, &clients, [], none).map(Iterator::count)
    })
}

type Headers = MultiHeaders<SockaddrIn>;

fn least(
    name: &'static str,
    mut turn: impl FnMut(&UdpSocket, &mut Headers, &mut [u8]) -> nix::Result<usize> + 'static,
) -> io::Result<Peer> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut headers = MultiHeaders::preallocate(MAX_BATCH, None);
    let mut memory = vec![0; MAX_BATCH * LENGTH];
    Ok(Peer::new(name, socket.local_addr()?, move |datagrams| {
        let mut done = 0;
        while done < datagrams {
            done += turn(&socket, &mut headers, &mut memory).expect("the queue is full");
        }
    }))
}

fn cpu_ns() -> nix::Result<i64> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(|time| time.num_nanoseconds())
}

fn median(values: &mut [i64]) -> i64 {
    values.sort_unstable();
    values[values.len() / 2]
}
