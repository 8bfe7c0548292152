//! The Session-Reflector, its links and its delay lines.

use udpulse::path::{Fate, MAX_DONE};
use udpulse::stamp::{Counters, Reflector, ReflectorConfig, Truth};
use udpulse::wire::stamp::Format;
use udpulse::wire::{Key, Unauthenticated};
use udpulse::{Arrival, Limiter, Machine, Prefix, Stamp};

use super::echo::{LEAST, check};
use super::input::Input;
use super::link;
use super::world::{Datagram, World};

const KEEP: usize = 20;

pub(super) fn run(data: &[u8]) {
    assert!(play(data) == play(data), "the same input ends otherwise");
}

/// Returns all that left, the fates and the counts.
fn play(data: &[u8]) -> (Vec<Datagram>, Vec<Fate>, Counters, Truth) {
    let mut input = Input::new(data);
    let threads = 1 + input.below(2);
    // Without links, each packet is counted as it comes.
    let mut plain = input.flag();
    let config = if plain { ReflectorConfig::default() } else { with_links(&mut input) };
    let config = settings(&mut input, config);
    let (keys, max_sessions) = (config.keys.clone(), config.max_sessions);
    let longest = |request: usize| {
        if config.twamp_light && request >= 14 { request.max(44) } else { request }
    };
    let (delay_line, local) = (config.delay_line, ([127, 0, 0, 1], 862).into());
    let mut world = World::new(Reflector::shared(config.clone(), local, threads), threads, input);
    while world.step(|reflector, input, now| {
        plain = false;
        link::change(reflector, input, now);
    }) {
        let (counters, truth) = (world.machine.counters(), world.machine.truth());
        let longest = longest(world.counts.longest);
        assert!(world.output.iter().all(|one| one.payload.len() <= longest));
        assert!(world.machine.sessions(world.now.mono_ns).len() <= max_sessions);
        assert!(truth.pending <= truth.delayed);
        assert!(truth.delayed * LEAST <= (2 * threads * delay_line) as u64);
        assert!(
            world.machine.fates().count() <= MAX_DONE
                && world.machine.records().count() <= MAX_DONE
        );
        world.machine.fates().for_each(check);
        if plain {
            assert_eq!(counters.received(), world.counts.received);
            assert_eq!(counters.send_failed, world.counts.failed);
        }
    }
    if plain {
        world.output.iter().for_each(|reply| assert_ends(&keys, &reply.payload));
    }
    let fates = world.machine.fates().cloned().collect();
    (world.output, fates, world.machine.counters(), world.machine.truth())
}

/// Another reflector answers no reply, unless that was on its way for so long that it does not look
/// like one, and no reply to that.
fn assert_ends(keys: &[Key], reply: &[u8]) {
    let keys = keys.to_vec();
    let config = ReflectorConfig { keys, twamp_light: true, ..ReflectorConfig::default() };
    let mut other = Reflector::new(config, ([127, 0, 0, 1], 862).into());
    let mut answer = |request: &[u8]| {
        let (at, from) = (Stamp { mono_ns: 0, wall_ns: 1 }, ([127, 0, 0, 2], 5000).into());
        other.on_time(0, at, 0);
        other.on_datagram(0, &mut Arrival::new(at, from, &mut request.to_vec()));
        other.transmit(0).map(|reply| reply.datagram.to_vec())
    };
    let second = answer(reply);
    assert!(second.is_none_or(|second| answer(&second).is_none()));
}

fn with_links(input: &mut Input<'_>) -> ReflectorConfig {
    ReflectorConfig {
        uplink: link::any(input),
        downlink: link::any(input),
        per_client: input.list(2, |input| [link::any(input), link::any(input)]),
        timeline: link::timeline(input),
        delay_line: 1 << (10 + input.below(8)),
        ..ReflectorConfig::default()
    }
}

fn settings(input: &mut Input<'_>, config: ReflectorConfig) -> ReflectorConfig {
    let prefixes: [Prefix; 2] = ["127.0.0.0/30", "::1"].map(|text| text.parse().expect("a prefix"));
    ReflectorConfig {
        stateful: input.flag(),
        twamp_light: input.flag(),
        keys: input.list(2, |input| Key::new(&[input.byte(); 32]).expect("a key")),
        unauthenticated: *input.pick(&[Unauthenticated::Refuse, Unauthenticated::Accept]),
        allowed: input.list(1, |input| *input.pick(&prefixes)),
        limiter: input.maybe(|input| Limiter::new(input.float()).ok()).flatten(),
        max_sessions: 1 + input.below(4),
        format: *input.pick(&[Format::Ntp, Format::Ptp]),
        synchronized: input.flag(),
        error_ns: input.uint(),
        seed: Some(input.uint()),
        keep: *input.pick(&[KEEP, 1, 0]),
        ..config
    }
}
