//! Many clients at their normal pace: the server thread's share of a core, and its delay in
//! detecting dead clients.
//!
//! `cargo bench --no-default-features --bench fleet`, on Linux. The clients beat every 10 s over
//! loopback, each from its own address: a million make 100,000 beats per second. Meanwhile a
//! thousand that declared intervals of 0.5 to 3.5 s have died. The lateness of a verdict is its
//! silence minus its timeout.

#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::cast_precision_loss, reason = "numbers for people")]

use std::error::Error;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use udpulse::driver;
use udpulse::heartbeat::{Change, Detector, Kind, Numbers, OldBeats, Server, ServerConfig};
use udpulse::net::{BatchSocket, Options, Outbox, Port, now};
use udpulse::wire::Unauthenticated;
use udpulse::{Arrival, Local, Machine, NS_PER_SECOND, Stamp, Zone};

const DEAD: u32 = 1000;
const RUN: Duration = Duration::from_secs(20);
/// The time between batches of beats.
const PACE: Duration = Duration::from_micros(200);
const PACES_PER_INTERVAL: u32 = 50_000;

fn main() -> Result<(), Box<dyn Error>> {
    println!("lateness of verdicts in ms; of {DEAD} that died");
    println!(
        "{:>9}{:>10}{:>8}{:>8}{:>14}{:>6}{:>8}{:>6}{:>6}",
        "clients", "beats/s", "cores", "drops", "other events", "down", "median", "99 %", "most"
    );
    for clients in [100_000, 1_000_000] {
        run(clients)?;
    }
    Ok(())
}

fn run(clients: u32) -> Result<(), Box<dyn Error>> {
    let config = ServerConfig {
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
        events: 65_536,
    };
    let server = driver::heartbeat::start((Ipv4Addr::LOCALHOST, 0).into(), config)?;
    let mut sender = BatchSocket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), Options::default())?;
    let port = sender.local_address().port();
    let filled = server.look(|server| fill(server, clients, port)).ok_or("it is elsewhere")?;

    let (before_ns, start) = (thread_ns()?, Instant::now());
    let sent = beat_on(&mut sender, server.address(), clients, start);
    let (spent_ns, passed) = (thread_ns()? - before_ns, start.elapsed());

    let rate = f64::from(sent) / passed.as_secs_f64();
    let cores = spent_ns as f64 / passed.as_nanos() as f64;
    print!("{clients:>9}{rate:>10.0}{cores:>8.3}");
    server.look(|server| report(server, clients, filled));
    Ok(())
}

/// Registers all clients with two beats each, bypassing the kernel. Returns how many of the events
/// about that were dropped.
fn fill(server: &mut Server, clients: u32, port: u16) -> u64 {
    for seq in 0..2 {
        for client in 0..clients + DEAD {
            let dead = client.saturating_sub(clients);
            let interval_ms = if client < clients { 10_000 } else { 500 + dead * 3000 / DEAD };
            let at = now();
            let mut text = beat(interval_ms, seq, at);
            let from = (address(client), port).into();
            server.on_datagram(0, &mut Arrival::new(at, from, &mut text));
        }
    }
    while server.events().pop().is_some() {}
    server.events().dropped()
}

fn beat(interval_ms: u32, seq: u32, at: Stamp) -> Vec<u8> {
    let (seconds, us) = (at.wall_ns / NS_PER_SECOND, at.wall_ns % NS_PER_SECOND / 1000);
    format!("Heartbeat;i={interval_ms} {seq} {seconds}.{us:06}").into_bytes()
}

fn address(client: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0000 + client)
}

/// Sends the beats of all clients in turn, with rising numbers. Returns how many.
fn beat_on(sender: &mut BatchSocket, to: SocketAddr, clients: u32, start: Instant) -> u32 {
    let (mut outbox, mut memory) = (Outbox::default(), Vec::new());
    let (mut sent, mut due) = (0, start);
    while start.elapsed() < RUN {
        memory.clear();
        let wall = now();
        for _ in 0..clients / PACES_PER_INTERVAL {
            let at = memory.len();
            let (client, seq) = (sent % clients, 2 + sent / clients);
            memory.extend(beat(10_000, seq, wall));
            let from = Local { ip: IpAddr::V4(address(client)), interface: 0 };
            outbox.push(to, Some(from), at..memory.len());
            sent += 1;
        }
        sender.send(&mut outbox, &memory, |_| panic!("a beat could not be sent"));
        due += PACE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    sent
}

/// Returns the CPU time of the server's thread so far.
fn thread_ns() -> Result<u64, Box<dyn Error>> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == "udpulse" {
            let spent = fs::read_to_string(task.join("schedstat"))?;
            return Ok(spent.split_whitespace().next().ok_or("no time")?.parse()?);
        }
    }
    Err("no thread of the server".into())
}

fn report(server: &mut Server, clients: u32, filled: u64) {
    let (mut late_ns, mut others) = (Vec::new(), server.events().dropped() - filled);
    let first_dead = IpAddr::V4(address(clients));
    while let Some(event) = server.events().pop() {
        match event.change {
            Change::Suspect { .. } if event.address.ip() >= first_dead => {}
            Change::Down { silence_ns, .. } if event.address.ip() >= first_dead => {
                late_ns.push(silence_ns - event.before.timeout_ns);
            }
            _ => others += 1,
        }
    }
    late_ns.sort_unstable();
    let drops = server.counters().receive_drops;
    print!("{drops:>8}{others:>14}{:>6}", late_ns.len());
    for (part, width) in [(50, 8), (99, 6), (100, 6)] {
        let late_ns = late_ns.get(late_ns.len().saturating_sub(1) * part / 100);
        print!("{:>width$.0}", late_ns.map_or(f64::NAN, |late_ns| *late_ns as f64 / 1e6));
    }
    println!();
}
