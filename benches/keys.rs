//! The cost of keys to each side of an exchange, without sockets.
//!
//! `cargo bench --no-default-features --bench keys`. A server gets requests; a client and a server
//! exchange probes. The runs with and without keys take turns. The client's
//! cost is that of the exchange less that of the server.

#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::print_stdout, reason = "it prints tables")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use udpulse::echo::{Config as EchoConfig, Echo, Transform};
use udpulse::ping::{Config, Fill, Protocol, Schedule, Session, Signer};
use udpulse::stamp::{Reflector, ReflectorConfig};
use udpulse::wire::stamp::{ErrorEstimate, Format};
use udpulse::wire::{Key, Keys};
use udpulse::{Arrival, Machine, NS_PER_SECOND, Stamp};

const ROUNDS: usize = 9;
const EXCHANGES: u32 = 50_000;
const INTERVAL_NS: i64 = 50_000;
/// The server takes a request and sends a reply, and so does the client in reverse.
const DATAGRAMS: f64 = 2.0;

fn main() {
    let secret = "00".repeat(32);
    let keys = Keys::parse(&format!("2026a {secret}")).ok().map(Arc::new);
    let key = Key::new(&[0; 32]).ok();
    println!("ns, least of {ROUNDS} rounds; keys per datagram: a half of the difference");
    println!("{:<12}{:>8}{:>10}{:>11}{:>14}", "", "bytes", "open", "with keys", "per datagram");
    for (name, protocol, sizes) in
        [("ping", Protocol::Echo, [107, 1000]), ("STAMP", stamp(), [112, 1000])]
    {
        for size in sizes {
            let signer = key.clone().map(|key| Arc::new(("2026a".to_owned(), key)));
            let measure = |signer: Option<&Signer>| {
                let keys = keys.as_ref().filter(|_| signer.is_some());
                match protocol {
                    Protocol::Echo => costs(|| echo(keys), protocol, size, signer),
                    Protocol::Stamp { .. } => {
                        let key = key.as_ref().filter(|_| signer.is_some());
                        costs(|| reflector(key), protocol, size, signer)
                    }
                }
            };
            let mut least = [[f64::INFINITY; 2]; 2];
            for _ in 0..ROUNDS {
                for (least, signer) in least.iter_mut().zip([None, signer.as_ref()]) {
                    let costs = measure(signer);
                    least.iter_mut().zip(costs).for_each(|(least, cost)| *least = least.min(cost));
                }
            }
            let [open, keyed] = least;
            for (side, (open, keyed)) in ["server", "client"].iter().zip(open.iter().zip(keyed)) {
                let more = (keyed - open) / DATAGRAMS;
                let side = format!("{name} {side}");
                println!("{side:<12}{size:>8}{open:>10.0}{keyed:>11.0}{more:>14.0}");
            }
        }
    }
}

fn stamp() -> Protocol {
    Protocol::Stamp { ssid: 7, format: Format::Ntp, error: ErrorEstimate(1) }
}

fn at(ns: i64) -> Stamp {
    Stamp { mono_ns: ns, wall_ns: 1_795_669_799 * NS_PER_SECOND + ns }
}

fn echo(keys: Option<&Arc<Keys>>) -> Echo {
    let (transform, keys) = (Transform::Echo, keys.cloned());
    Echo::new(EchoConfig { transform, keys, ..EchoConfig::default() })
}

fn reflector(key: Option<&Key>) -> Reflector {
    let keys = key.cloned().into_iter().collect();
    let config = ReflectorConfig { keys, ..ReflectorConfig::default() };
    Reflector::new(config, ([127, 0, 0, 1], 862).into())
}

fn session(protocol: Protocol, size: usize, key: Option<&Signer>) -> Session {
    Session::new(Config {
        target: ([127, 0, 0, 1], 862).into(),
        count: None,
        duration_ns: None,
        schedule: Schedule::Periodic { interval_ns: INTERVAL_NS },
        start: Some(at(0)),
        offset_ns: 0,
        timeout_ns: NS_PER_SECOND,
        wait_out: false,
        protocol,
        size,
        fill: Fill::default(),
        key: key.cloned(),
        keep: Some(0),
        outage_after: None,
        revisions: false,
        linger_ns: None,
        events: 0,
        capture: false,
    })
}

/// Returns the cost of an exchange to the server and to the client.
fn costs<M: Machine>(
    server: impl Fn() -> M,
    protocol: Protocol,
    size: usize,
    key: Option<&Signer>,
) -> [f64; 2] {
    let mut buffer = Vec::new();
    let mut client = session(protocol, size, key);
    let mut request = |number| {
        client.on_time(0, at(number * INTERVAL_NS), number * INTERVAL_NS);
        client.transmit(0).map(|probe| probe.datagram.to_vec()).unwrap_or_default()
    };
    let requests: Vec<_> = (0..i64::from(EXCHANGES)).map(&mut request).collect();
    let (mut requests, mut answering) = (requests.iter(), server());
    let one_side_ns = timed(|ns| {
        buffer.clear();
        requests.next().iter().for_each(|request| buffer.extend_from_slice(request));
        answer(&mut answering, ns, &mut buffer);
    });
    let (mut client, mut answering) = (session(protocol, size, key), server());
    let both_sides_ns = timed(|ns| {
        client.on_time(0, at(ns), ns);
        buffer.clear();
        if let Some(probe) = client.transmit(0) {
            buffer.extend_from_slice(probe.datagram);
        }
        answer(&mut answering, ns + 10_000, &mut buffer);
        let now = at(ns + 20_000);
        client.on_datagram(0, &mut Arrival::new(now, ([127, 0, 0, 1], 862).into(), &mut buffer));
        client.on_time(0, now, now.mono_ns);
    });
    assert_eq!(client.counters().answered, u64::from(EXCHANGES), "{protocol:?} {size}");
    [one_side_ns, both_sides_ns - one_side_ns]
}

/// Replaces a request by its answer.
fn answer(server: &mut impl Machine, ns: i64, datagram: &mut Vec<u8>) {
    let now = at(ns);
    let client = ([127, 0, 0, 1], 5000).into();
    if server.on_datagram(0, &mut Arrival::new(now, client, datagram)).is_some() {
        return;
    }
    server.on_time(0, now, ns);
    if let Some(reply) = server.transmit(0) {
        datagram.clear();
        datagram.extend_from_slice(reply.datagram);
    }
}

/// Returns the nanoseconds that an exchange takes.
fn timed(mut exchange: impl FnMut(i64)) -> f64 {
    let start = Instant::now();
    for number in 0..i64::from(EXCHANGES) {
        exchange(black_box(number * INTERVAL_NS));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(EXCHANGES)
}
