//! The cost of a heartbeat to the server, against only receiving it and against a Python server.
//!
//! `cargo bench --no-default-features --bench ingest`. One thread fills a socket's queue from as
//! many loopback addresses as there are clients, then empties it; only the emptying is timed. The
//! variants take turns. The Python peer is a process of its own under full load that measures its
//! own CPU time.

#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::print_stdout, reason = "it prints tables")]
#![expect(clippy::cast_precision_loss, reason = "numbers for people")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Instant;

use udpulse::heartbeat::{Detector, Kind, Numbers, OldBeats, Server, ServerConfig};
use udpulse::net::{Batch, BatchSocket, Options, Outbox, Port, Wake, now};
use udpulse::wire::Unauthenticated;
use udpulse::{Arrival, Local, Machine, NS_PER_SECOND, Stamp, Zone};

const QUEUE: u32 = 256;
const ROUNDS: u32 = 5;
const BEATS: u32 = 200_000;
/// The number of beats of each client in the initial table.
const FILLED: u32 = 2;
const PYTHON_CLIENTS: u32 = 100_000;

const PYTHON: &str = r#"
import socket, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
server.bind(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
clients, count = {}, 200_000
server.recvfrom(2048)
start = time.process_time_ns()
for _ in range(count):
    data, address = server.recvfrom(2048)
    _, seq, sent = data.split()
    seen = clients.get(address)
    if seen is None:
        seen = clients[address] = [0, 0, 0.0]
    if int(seq) > seen[0] + 1:
        seen[1] += int(seq) - seen[0] - 1
    seen[0] = int(seq)
    seen[2] = time.time() - float(sent)
print((time.process_time_ns() - start) / count, flush=True)
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut python = Vec::new();
    for _ in 0..3 {
        python.push(with_python()?);
    }
    println!(
        "ns per beat, median of {ROUNDS} interleaved rounds; ratios to receiving alone and to Python"
    );
    println!(
        "{:>10}{:>10}{:>10}{:>8}{:>10}{:>8}",
        "clients", "receive", "server", "ratio", "Python", "ratio"
    );
    for clients in [1000, 100_000, 1_000_000] {
        let mut rig = Rig::new()?;
        let mut server = server();
        rig.fill_table(&mut server, clients);
        let (mut idle, mut heard) = (Turns::new(clients), Turns::new(clients));
        let (mut floors, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            floors.push(rig.round(&mut idle, |_| {}));
            ours.push(rig.round(&mut heard, |batch| hear(&mut server, batch)));
        }
        let (floor, ours, theirs) = (median(&mut floors), median(&mut ours), median(&mut python));
        let ratios = (ours / floor, ours / theirs);
        println!(
            "{clients:>10}{floor:>10.0}{ours:>10.0}{:>7.2}x{theirs:>10.0}{:>7.3}x",
            ratios.0, ratios.1
        );
        if clients == 1_000_000 {
            sweeps(&mut server);
        }
    }
    Ok(())
}

fn server() -> Server {
    Server::new(ServerConfig {
        detector: Detector::of(Kind::Multiple),
        old_beats: OldBeats::Ignore,
        by_host: false,
        numbers: Numbers::Counting,
        opaque: false,
        reply: false,
        keys: None,
        unauthenticated: Unauthenticated::Refuse,
        max_multiplier: 100,
        max_grace_ns: 86_400 * NS_PER_SECOND,
        expect: Vec::new(),
        expect_within_ns: 0,
        max_peers: 2_000_000,
        zone: Zone::default(),
        every_beat: false,
        events: 1024,
    })
}

fn hear(server: &mut Server, batch: &mut Batch) {
    server.on_datagrams(0, batch.arrivals(), |_, _| {});
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn address(client: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0000 + client)
}

/// Returns a client's beat. Each of `clients` beats a little less often than it declares, as all take
/// more than a microsecond per beat.
fn beat(clients: u32, seq: u32, wall_ns: i64) -> String {
    let (seconds, micros) = (wall_ns / NS_PER_SECOND, wall_ns % NS_PER_SECOND / 1000);
    format!("Heartbeat;i={} {seq} {seconds}.{micros:06}", clients / 1000)
}

/// The order of beats: steps that visit all clients in an order that no cache can predict.
struct Turns {
    clients: u32,
    client: u32,
    sent: u32,
}

impl Turns {
    fn new(clients: u32) -> Self {
        Self { clients, client: 0, sent: 0 }
    }

    /// Returns the next client and the number of its beat; numbers have no gaps.
    fn next(&mut self) -> (u32, u32) {
        self.client = (self.client + 382_853) % self.clients;
        self.sent += 1;
        (self.client, FILLED + (self.sent - 1) / self.clients)
    }
}

/// A socket whose queue is filled from many addresses by the thread that empties it.
struct Rig {
    receiver: BatchSocket,
    sender: BatchSocket,
    outbox: Outbox,
    batch: Batch,
}

impl Rig {
    fn new() -> Result<Self, Box<dyn Error>> {
        let options = Options { kernel_stamps: true, ..Options::default() };
        Ok(Self {
            receiver: BatchSocket::bind((Ipv4Addr::LOCALHOST, 0).into(), options)?,
            sender: BatchSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), Options::default())?,
            outbox: Outbox::default(),
            batch: Batch::default(),
        })
    }

    /// Registers each client, bypassing the kernel.
    fn fill_table(&self, server: &mut Server, clients: u32) {
        let port = self.sender.local_address().port();
        for seq in 0..FILLED {
            for client in 0..clients {
                let at = now();
                let text = beat(clients, seq, at.wall_ns);
                let from = (address(client), port).into();
                server.on_datagram(0, &mut Arrival::new(at, from, &mut text.into_bytes()));
            }
        }
        assert_eq!(server.peer_count(), clients as usize);
    }

    /// Sends and processes `BEATS` beats. Returns the nanoseconds to process one.
    fn round(&mut self, turns: &mut Turns, mut take: impl FnMut(&mut Batch)) -> f64 {
        let (mut spent, mut taken) = (0, 0_u64);
        for _ in 0..BEATS / QUEUE {
            self.fill_queue(turns);
            let start = Instant::now();
            // The deadline has passed, so this returns once the queue is empty.
            while self.receiver.receive(&mut self.batch, Some(0), false) == Wake::Datagrams {
                take(&mut self.batch);
                taken += self.batch.len() as u64;
            }
            spent += start.elapsed().as_nanos();
        }
        spent as f64 / taken as f64
    }

    fn fill_queue(&mut self, turns: &mut Turns) {
        let mut memory = Vec::new();
        for _ in 0..QUEUE {
            let (client, seq) = turns.next();
            let start = memory.len();
            let text = beat(turns.clients, seq, now().wall_ns);
            memory.extend_from_slice(text.as_bytes());
            let from = Local { ip: IpAddr::V4(address(client)), interface: 0 };
            self.outbox.push(self.receiver.local_address(), Some(from), start..memory.len());
        }
        self.sender.send(&mut self.outbox, &memory, |_| panic!("a beat could not be sent"));
    }
}

/// Prints how long a check of all deadlines takes.
fn sweeps(server: &mut Server) {
    let mut times = Vec::new();
    for _ in 0..21 {
        let wall_ns = now().wall_ns;
        let Some(deadline_ns) = server.deadline(0) else { return };
        let start = Instant::now();
        server.on_time(0, Stamp { mono_ns: deadline_ns, wall_ns }, deadline_ns);
        times.push(start.elapsed().as_nanos() as f64);
    }
    println!("a look at all deadlines of a million clients: {:.2} ms", median(&mut times) / 1e6);
}

/// Returns the CPU time per beat of a plain Python server, in nanoseconds.
fn with_python() -> Result<f64, Box<dyn Error>> {
    let mut peer = Command::new("python3").args(["-c", PYTHON]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(peer.stdout.take().ok_or("no stdout")?).lines();
    let port: u16 = lines.next().ok_or("no port")??.parse()?;
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut sender = BatchSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), Options::default())?;
    let (mut outbox, mut memory) = (Outbox::default(), Vec::new());
    let seconds = now().wall_ns / NS_PER_SECOND;
    let mut beat = 0;
    while peer.try_wait()?.is_none() {
        memory.clear();
        for _ in 0..64 {
            beat += 1;
            let start = memory.len();
            let text = format!("Heartbeat;i=10000 {} {seconds}.123456", beat / PYTHON_CLIENTS);
            memory.extend_from_slice(text.as_bytes());
            let from = Local { ip: IpAddr::V4(address(beat % PYTHON_CLIENTS)), interface: 0 };
            outbox.push(to, Some(from), start..memory.len());
        }
        sender.send(&mut outbox, &memory, |_| {});
    }
    Ok(lines.next().ok_or("no time")??.parse()?)
}
