//! The echo server, its links and its delay line.

use std::sync::Arc;

use udpulse::Limiter;
use udpulse::echo::{Config, Echo, Transform, Truth};
use udpulse::path::{Counters, Fate, MAX_DONE, Outcome};
use udpulse::wire::{Keys, Unauthenticated};

use super::input::Input;
use super::link;
use super::world::{Datagram, World};

const KEEP: usize = 20;

/// The least bytes of a delay line that a packet takes.
pub(super) const LEAST: u64 = 100;

pub(super) fn run(data: &[u8]) {
    assert!(play(data) == play(data), "the same input ends otherwise");
}

/// Returns all that left, the fates and the counts.
fn play(data: &[u8]) -> (Vec<Datagram>, Vec<Fate>, Counters, Truth) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let (threads, max_size, delay_line) = (1 + input.below(2), config.max_size, config.delay_line);
    let mut world = World::new(Echo::shared(config, threads), threads, input);
    while world.step(link::change) {
        let (Counters { received, replied, dropped, send_failed }, truth) =
            (world.machine.counters(), world.machine.truth());
        assert_eq!(received, world.counts.received);
        assert_eq!(received, replied + dropped + send_failed + truth.pending);
        assert_eq!(truth.replies, world.counts.sent - world.counts.failed);
        assert!(truth.pending <= truth.delayed);
        assert!(truth.delayed * LEAST <= delay_line as u64);
        let longest = world.counts.longest.min(max_size);
        assert!(world.output.iter().all(|one| one.payload.len() <= longest));
        assert!(world.machine.fates().count() <= MAX_DONE);
        world.machine.fates().for_each(check);
    }
    let fates = world.machine.fates().cloned().collect();
    (world.output, fates, world.machine.counters(), world.machine.truth())
}

fn config(input: &mut Input<'_>) -> Config {
    let keys = "2026a 000102030405060708090a0b0c0d0e0f";
    Config {
        uplink: link::any(input),
        downlink: link::any(input),
        seed: Some(input.uint()),
        transform: *input.pick(&[Transform::Upper, Transform::Echo]),
        max_size: usize::from(input.byte()) + 1,
        limiter: input.maybe(|input| Limiter::new(input.float()).ok()).flatten(),
        keys: input.maybe(|_| Arc::new(Keys::parse(keys).expect("a file of keys"))),
        unauthenticated: *input.pick(&[Unauthenticated::Refuse, Unauthenticated::Accept]),
        delay_line: 1 << (10 + input.below(8)),
        keep: *input.pick(&[KEEP, 1, 0]),
        timeline: link::timeline(input),
        capture: input.flag(),
    }
}

/// Checks a fate that is complete.
pub(super) fn check(fate: &Fate) {
    assert!(fate.replies().count() <= 4);
    assert!(fate.first.is_some() || fate.others.is_empty());
    let left = matches!(fate.outcome, Outcome::Replied | Outcome::Relayed | Outcome::Refused);
    assert_eq!(left, fate.first.is_some(), "{fate:?}");
    assert!(fate.replies().is_sorted_by_key(|reply| reply.number));
}
