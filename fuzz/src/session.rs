//! The ping client: a session with an echo server or a Session-Reflector.

use std::collections::BTreeSet;
use std::sync::Arc;

use udpulse::ping::{Config, Event, Fill, Protocol, Report, Schedule, Session, Verdict};
use udpulse::stamp::{Reflector, ReflectorConfig};
use udpulse::wire::stamp::{ErrorEstimate, Format};
use udpulse::wire::{Key, probe};
use udpulse::{Arrival, Machine, Stamp};

use super::input::Input;
use super::report::{assert_adds_up, check};
use super::world::{World, any_address};

/// More than a run has.
const EVENTS: usize = 1 << 16;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let (key, keep) = (config.key.clone().map(|signer| signer.1.clone()), config.keep);
    let is_stamp = config.protocol != Protocol::Echo;
    let mut world = World::new(Session::new(config), 1, input);
    if is_stamp {
        world.set_reply(reflect(key));
    } else if let Some(key) = key {
        world.set_reply(move |_, reply| sign(&key, reply));
    }
    let mut before = [0; Verdict::ALL.len()];
    while world.step(|_, _, _| {}) {
        let counters = world.machine.counters();
        assert_adds_up(&counters);
        assert_eq!(counters.received, world.counts.received);
        assert_eq!(counters.sent, world.counts.sent);
        let settled = world.machine.report().settled;
        assert!(settled.iter().zip(before).all(|(now, before)| *now >= before));
        before = settled;
    }
    let report: Report = world.machine.report();
    check(&report);
    assert!(keep.is_none_or(|keep| report.columns().seq.len() <= keep));
    // Nothing is decided twice.
    let mut decided = BTreeSet::new();
    for event in world.events() {
        if let Event::Probe(probe) = event {
            assert!(decided.insert(probe.seq), "{probe:?}");
        }
    }
    assert_eq!(decided.len() as u64, report.counters.sent - report.counters.pending);
}

fn config(input: &mut Input<'_>) -> Config {
    let key = Key::new(&[7; 32]).expect("a key");
    Config {
        target: any_address(input),
        count: input.maybe(|input| input.byte().into()).filter(|count| *count > 0),
        duration_ns: input.maybe(Input::duration),
        schedule: match input.byte() % 3 {
            0 => Schedule::StopAndWait,
            1 => Schedule::Periodic { interval_ns: interval(input) },
            _ => Schedule::Poisson { mean_ns: interval(input), seed: Some(input.uint()) },
        },
        start: input.maybe(|input| Stamp { mono_ns: input.natural(), wall_ns: input.int() }),
        offset_ns: input.natural(),
        timeout_ns: input.duration(),
        wait_out: input.flag(),
        protocol: if input.flag() { Protocol::Echo } else { stamp(input) },
        size: *input.pick(&[64, 0, 44, 112, 136, 200]),
        fill: if input.flag() { Fill::default() } else { Fill::Random },
        key: input.maybe(|_| Arc::new(("2026a".to_owned(), key))),
        keep: input.maybe(|input| input.byte().into()),
        outage_after: input.maybe(|input| u64::from(input.byte()) + 1),
        revisions: input.flag(),
        linger_ns: input.maybe(Input::natural),
        events: EVENTS,
        capture: input.flag(),
    }
}

/// Returns an interval that Python accepts: of a millisecond at least.
fn interval(input: &mut Input<'_>) -> i64 {
    input.natural().max(1_000_000)
}

fn stamp(input: &mut Input<'_>) -> Protocol {
    let format = *input.pick(&[Format::Ntp, Format::Ptp]);
    let error = ErrorEstimate::new(input.flag(), format, input.uint());
    Protocol::Stamp { ssid: input.byte().into(), format, error }
}

/// Signs the reply to a signed probe.
fn sign(key: &Key, reply: &mut [u8]) {
    let claim = probe::Claim::find(reply).map(|claim| claim.end);
    if let Some(end) = claim {
        probe::sign(reply, end, probe::Direction::Reply, key);
    }
}

/// Replies like a reflector with this key.
fn reflect(key: Option<Key>) -> impl FnMut(Stamp, &mut Vec<u8>) {
    let config = ReflectorConfig { keys: key.into_iter().collect(), ..ReflectorConfig::default() };
    let mut reflector = Reflector::new(config, ([127, 0, 0, 1], 862).into());
    move |at, packet| {
        reflector.on_time(0, at, at.mono_ns);
        let from = ([127, 0, 0, 1], 5000).into();
        reflector.on_datagram(0, &mut Arrival::new(at, from, packet));
        if let Some(reply) = reflector.transmit(0) {
            packet.clear();
            packet.extend_from_slice(reply.datagram);
        }
    }
}
