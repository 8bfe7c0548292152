//! Instructions per datagram in the protocols, without sockets: figures that two commits can be
//! compared by, whatever else the machine does.
//!
//! `cargo bench --no-default-features --bench instructions`. Needs valgrind, whose callgrind counts
//! the instructions of this program with and without the datagrams.

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::cast_precision_loss, reason = "numbers for people")]

use std::error::Error;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use udpulse::echo::{Config as EchoConfig, Echo};
use udpulse::heartbeat::{Detector, Kind, Numbers, OldBeats, Server, ServerConfig};
use udpulse::impair::{Link, Loss};
use udpulse::ping::{Config, Fill, Protocol, Schedule, Session, Sweep, SweepConfig};
use udpulse::stamp::{Reflector, ReflectorConfig};
use udpulse::wire::signed::Signer;
use udpulse::wire::{Beat, Keys, Unauthenticated};
use udpulse::{Arrival, Machine, NS_PER_SECOND, Stamp, Target, Zone};

const DATAGRAMS: u32 = 65_536;
/// The datagrams of one call.
const BATCH: usize = 64;
const CLIENTS: u32 = 1024;
const SIZE: usize = 64;

/// Handles this many datagrams, or only prepares for [`DATAGRAMS`].
type Part = fn(u32);

const PARTS: [(&str, Part); 10] = [
    ("echo", |count| echo(EchoConfig::default(), count)),
    ("echo with the lab's loss", |count| echo(lossy(0), count)),
    ("echo with loss and log", |count| echo(lossy(100_000), count)),
    ("test packet of STAMP", reflect),
    ("beat of the lab", |count| beats(Beat::default(), None, count)),
    ("beat with an interval", |count| beats(declared(), None, count)),
    ("beat with a name and a boot", |count| beats(named(), None, count)),
    // Valgrind has no SHA instructions: most of it is SHA-256 in software.
    ("the same, signed", |count| beats(named(), keys(), count)),
    ("probe and reply of a session", probes),
    ("probe and reply of a sweep", sweep),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [part, count] = &arguments[..] {
        let (_, part) = PARTS[part.parse::<usize>()?];
        part(count.parse()?);
        return Ok(());
    }
    println!("instructions per datagram");
    for (number, (name, _)) in PARTS.iter().enumerate() {
        let Some(idle) = instructions(number, 0)? else {
            println!("valgrind is not installed");
            break;
        };
        let busy = instructions(number, DATAGRAMS)?.unwrap_or(idle);
        let each = busy.saturating_sub(idle) as f64 / f64::from(DATAGRAMS);
        println!("{name:<30}{each:>7.0}");
    }
    Ok(())
}

/// Returns how many instructions this program takes for one part; `None` without valgrind.
fn instructions(part: usize, count: u32) -> Result<Option<u64>, Box<dyn Error>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(std::env::current_exe()?).args([part.to_string(), count.to_string()]);
    let Ok(output) = valgrind.output() else { return Ok(None) };
    let text = String::from_utf8(output.stderr)?;
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.ok_or("callgrind printed no number")?;
    Ok(Some(number.trim().parse()?))
}

fn at(ns: i64) -> Stamp {
    Stamp { mono_ns: ns, wall_ns: 1_760_000_000 * NS_PER_SECOND + ns }
}

fn client(number: u32) -> SocketAddr {
    (Ipv4Addr::from(0x7f01_0000 + number), 5000).into()
}

fn lossy(keep: usize) -> EchoConfig {
    let uplink = Link { loss: Loss::Lab, ..Link::default() };
    EchoConfig { uplink, seed: Some(1), keep, ..EchoConfig::default() }
}

/// Answers datagrams of 64 clients in turns.
fn echo(config: EchoConfig, count: u32) {
    let mut echo = Echo::new(config);
    let mut memory = [b'a'; SIZE * BATCH];
    let mut answers = 0;
    for batch in 0..count as usize / BATCH {
        let now = at(i64::try_from(batch).unwrap_or_default() * 1000);
        let datagrams = (0..).zip(memory.chunks_exact_mut(SIZE));
        let arrivals = datagrams.map(|(from, datagram)| Arrival::new(now, client(from), datagram));
        echo.on_datagrams(0, arrivals, |_, _| answers += 1);
        echo.on_time(0, now, now.mono_ns);
    }
    black_box(answers);
}

/// Reflects test packets of 64 senders in turns.
fn reflect(count: u32) {
    let mut reflector = Reflector::new(ReflectorConfig::default(), ([127, 0, 0, 1], 862).into());
    let mut memory = [0; 44 * BATCH];
    let mut replies = 0;
    for batch in 0..count as usize / BATCH {
        let now = at(i64::try_from(batch).unwrap_or_default() * 1000);
        let datagrams = (0..).zip(memory.chunks_exact_mut(44));
        let arrivals = datagrams.map(|(from, datagram)| Arrival::new(now, client(from), datagram));
        reflector.on_datagrams(0, arrivals, |_, _| {});
        reflector.on_time(0, now, now.mono_ns);
        while reflector.transmit(0).is_some() {
            replies += 1;
        }
    }
    black_box(replies);
}

fn declared() -> Beat<'static> {
    Beat { interval_ns: Some(NS_PER_SECOND), ..Beat::default() }
}

fn named() -> Beat<'static> {
    Beat { name: Some(b"sensor-1234"), boot: Some(0x018f_3a2c_0d1e), ..declared() }
}

fn keys() -> Option<Arc<Keys>> {
    Keys::parse("2026a 000102030405060708090a0b0c0d0e0f").ok().map(Arc::new)
}

fn server(keys: Option<Arc<Keys>>) -> Server {
    Server::new(ServerConfig {
        detector: Detector::of(Kind::Multiple),
        old_beats: OldBeats::Ignore,
        by_host: false,
        numbers: Numbers::Counting,
        opaque: false,
        reply: false,
        keys,
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

/// Follows clients that beat once a second and are known already.
fn beats(beat: Beat<'_>, keys: Option<Arc<Keys>>, count: u32) {
    const KNOWN: u32 = 16;
    let mut text = Vec::new();
    let mut received = Vec::new();
    for number in 0..KNOWN * CLIENTS + DATAGRAMS {
        let ns = i64::from(number) * NS_PER_SECOND / i64::from(CLIENTS);
        let name = format!("sensor-{}", 1000 + number % CLIENTS);
        let signer = keys.as_ref().and_then(|keys| Signer::new(keys, name.as_bytes()));
        let beat = Beat { name: beat.name.map(|_| name.as_bytes()), ..beat };
        let (seq, wall_ns) = (u64::from(number / CLIENTS), at(ns).wall_ns);
        match signer {
            Some(signer) => signer.write(&beat, 0, seq, wall_ns, &mut text),
            None => beat.write(seq, wall_ns, &mut text),
        }
        // Each is delayed by up to half a millisecond.
        let delay_ns = i64::from(number.wrapping_mul(2_654_435_761) >> 13);
        received.push((at(ns + delay_ns), client(number % CLIENTS), text.clone()));
    }
    received.truncate((KNOWN * CLIENTS + count) as usize);
    let mut server = server(keys);
    for batch in received.chunks_mut(BATCH) {
        let now = batch[0].0;
        let arrivals = batch.iter_mut();
        let arrivals = arrivals.map(|(at, from, text)| Arrival::new(*at, *from, text));
        server.on_datagrams(0, arrivals, |_, _| {});
        server.on_time(0, now, now.mono_ns);
    }
    black_box(server.counters());
}

/// Sends probes whose replies arrive before the next.
fn probes(count: u32) {
    const INTERVAL_NS: i64 = 50_000;
    let target = client(0);
    let mut session = Session::new(Config {
        target,
        count: None,
        duration_ns: None,
        schedule: Schedule::Periodic { interval_ns: INTERVAL_NS },
        start: Some(at(0)),
        offset_ns: 0,
        timeout_ns: NS_PER_SECOND,
        wait_out: false,
        protocol: Protocol::Echo,
        size: SIZE,
        fill: Fill::default(),
        key: None,
        keep: Some(10_000),
        outage_after: None,
        revisions: false,
        linger_ns: None,
        events: 0,
        capture: false,
    });
    let mut reply = Vec::new();
    for probe in 0..i64::from(count) {
        let ns = probe * INTERVAL_NS;
        session.on_time(0, at(ns), ns);
        reply.clear();
        if let Some(probe) = session.transmit(0) {
            reply.extend_from_slice(probe.datagram);
        }
        session.on_datagram(0, &mut Arrival::new(at(ns + 20_000), target, &mut reply));
        session.on_time(0, at(ns + 20_000), ns + 20_000);
    }
    black_box(session.counters());
}

/// Sends two probes each to many targets, whose replies arrive in batches.
fn sweep(count: u32) {
    let targets = (0..DATAGRAMS / 2).map(|number| {
        let address = client(number);
        (address.ip().to_string(), address.port(), Target::from(address))
    });
    let mut sweep = Sweep::new(
        SweepConfig {
            targets: targets.collect(),
            dual: false,
            count: 2,
            rounds: Some(1),
            rate: 1e6,
            timeout_ns: NS_PER_SECOND,
            size: SIZE,
            key: None,
            flows: 1,
            keep: None,
            probes: false,
            events: 0,
        },
        1,
    );
    let (mut senders, mut memory) = (Vec::new(), Vec::new());
    let (mut ns, mut sent) = (0, 0);
    while sent < count {
        sweep.on_time(0, at(ns), ns);
        senders.clear();
        memory.clear();
        while let Some(probe) = sweep.transmit(0) {
            senders.push(probe.to);
            memory.extend_from_slice(probe.datagram);
            sent += 1;
        }
        ns += 64_000;
        let replies = senders.iter().zip(memory.chunks_exact_mut(SIZE));
        let arrivals = replies.map(|(from, reply)| Arrival::new(at(ns), *from, reply));
        sweep.on_datagrams(0, arrivals, |_, _| {});
    }
    black_box(sweep.is_done(0));
}
