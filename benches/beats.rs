//! The cost of keys to both sides of a heartbeat, beside the same beats without them, and of a flood
//! of wrong tags.
//!
//! `cargo bench --no-default-features --bench beats`. No sockets: the machines only. The variants take
//! turns.

#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::error::Error;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use udpulse::heartbeat::{Detector, Kind, Numbers, OldBeats, Server, ServerConfig};
use udpulse::wire::signed::Signer;
use udpulse::wire::{Beat, Keys, Unauthenticated};
use udpulse::{Arrival, Machine, NS_PER_SECOND, Stamp, Zone};

const CLIENTS: u32 = 1000;
const BEATS: u32 = 50;
const ROUNDS: usize = 15;
const WALL_NS: i64 = 1_760_000_000 * NS_PER_SECOND;

/// A client, which signs its beats or does not.
struct Client {
    name: String,
    signer: Option<Signer>,
}

impl Client {
    fn all(keys: Option<&Keys>, names: &str) -> Vec<Self> {
        let client = |number| {
            let name = format!("{names}-{number}");
            let signer = keys.and_then(|keys| Signer::new(keys, name.as_bytes()));
            Self { name, signer }
        };
        (0..CLIENTS).map(client).collect()
    }

    fn write(&self, seq: u32, out: &mut Vec<u8>) {
        let beat = Beat {
            interval_ns: Some(NS_PER_SECOND),
            boot: Some(0x018f_3a2c_0d1e),
            name: Some(self.name.as_bytes()),
            ..Beat::default()
        };
        let wall_ns = WALL_NS + i64::from(seq) * NS_PER_SECOND;
        match &self.signer {
            Some(signer) => signer.write(&beat, 0, seq.into(), wall_ns, out),
            None => beat.write(seq.into(), wall_ns, out),
        }
    }
}

fn server(keys: Option<&Arc<Keys>>) -> Server {
    Server::new(ServerConfig {
        detector: Detector::of(Kind::Multiple),
        old_beats: OldBeats::Ignore,
        by_host: false,
        numbers: Numbers::Counting,
        opaque: false,
        reply: false,
        keys: keys.cloned(),
        unauthenticated: Unauthenticated::Refuse,
        max_multiplier: 100,
        max_grace_ns: NS_PER_SECOND,
        expect: Vec::new(),
        expect_within_ns: 0,
        max_peers: 100_000,
        zone: Zone::default(),
        every_beat: false,
        events: 0,
    })
}

/// Writes all beats, and returns them with the time for each in nanoseconds.
fn write(clients: &[Client]) -> (Vec<Vec<u8>>, f64) {
    let mut beats: Vec<_> = (0..CLIENTS * BEATS).map(|_| Vec::with_capacity(256)).collect();
    let ns = least(&mut beats, |seq, number, beat| clients[number as usize].write(seq, beat));
    (beats, ns)
}

/// Hands all beats to a server, and returns the time for each in nanoseconds.
fn hear(server: &mut Server, beats: &mut [Vec<u8>]) -> f64 {
    least(beats, |seq, number, beat| {
        let mono_ns = i64::from(seq) * NS_PER_SECOND + i64::from(number);
        let at = Stamp { mono_ns, wall_ns: WALL_NS + mono_ns };
        let from = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), 7));
        server.on_datagram(0, &mut Arrival::new(at, from, beat));
    })
}

/// Does something with each beat of each client, and returns the time for one in nanoseconds: that of
/// the fastest turn of all clients, which other work disturbs least.
fn least(beats: &mut [Vec<u8>], mut handle: impl FnMut(u32, u32, &mut Vec<u8>)) -> f64 {
    let mut least = f64::INFINITY;
    for (seq, beats) in (0..).zip(beats.chunks_mut(CLIENTS as usize)) {
        let started = Instant::now();
        for (number, beat) in (0..).zip(beats) {
            handle(seq, number, beat);
        }
        least = least.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(CLIENTS));
    }
    least
}

fn main() -> Result<(), Box<dyn Error>> {
    let parse = |text| Keys::parse(text).map(Arc::new).map_err(|(reason, _)| reason);
    let keys = parse("a 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
    let wrong = parse("a 1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100")?;
    let [plain, signed, forged, strangers] = [
        Client::all(None, "sensor"),
        Client::all(Some(&keys), "sensor"),
        Client::all(Some(&wrong), "sensor"),
        Client::all(Some(&wrong), "stranger"),
    ];
    let mut least = [f64::INFINITY; 6];
    for _ in 0..ROUNDS {
        let (mut open, wrote_open) = write(&plain);
        let (mut closed, wrote_closed) = write(&signed);
        let (mut known, mut unknown) = (write(&forged).0, write(&strangers).0);
        let (mut without, mut with) = (server(None), server(Some(&keys)));
        let heard_open = hear(&mut without, &mut open);
        let heard_closed = hear(&mut with, &mut closed);
        let floods = [hear(&mut with, &mut known), hear(&mut with, &mut unknown)];
        let counters = black_box(with.counters());
        let all = u64::from(CLIENTS * BEATS);
        if (counters.beats, counters.bad_tags) != (all, 2 * all) {
            return Err(format!("not all beats counted: {counters:?}").into());
        }
        let row = [wrote_open, wrote_closed, heard_open, heard_closed, floods[0], floods[1]];
        least.iter_mut().zip(row).for_each(|(least, value)| *least = least.min(value));
    }
    println!("ns per beat, least of {ROUNDS} rounds in turns");
    println!("{:<28}{:>10}{:>10}{:>10}", "", "open", "signed", "added");
    let [wrote_open, wrote_closed, heard_open, heard_closed, known, unknown] = least;
    for (side, without, with) in
        [("client", wrote_open, wrote_closed), ("server", heard_open, heard_closed)]
    {
        println!("{side:<28}{without:>10.0}{with:>10.0}{:>10.0}", with - without);
    }
    for (flood, ns) in [("wrong tag, known name", known), ("wrong tag, unknown name", unknown)] {
        println!("{flood:<28}{:>10}{ns:>10.0}", "");
    }
    Ok(())
}
