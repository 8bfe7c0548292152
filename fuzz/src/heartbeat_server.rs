//! The heartbeat server, with any clocks, detectors and keys.

use std::sync::Arc;

use udpulse::heartbeat::{
    Detector, Event, Kind, Numbers, OldBeats, Server, ServerConfig, ServerCounters,
};
use udpulse::wire::beat::Status;
use udpulse::wire::signed::{Signed, Signer};
use udpulse::wire::{Beat, Keys, Unauthenticated};

use super::detector;
use super::heartbeat_client::zone;
use super::input::Input;
use super::world::{World, any_address, damage};

const EVENTS: usize = 200;
const NAMES: [&str; 2] = ["api", "web"];
const KEYS: &str = "2026a 000102030405060708090a0b0c0d0e0f\nb 0f0e0d0c0b0a09080706050403020100 api";

pub(super) fn run(data: &[u8]) {
    let (events, counters, is_keyed) = play(data);
    // Nonces are random, and so is what becomes of damaged ones.
    if !is_keyed {
        assert!((events, counters, false) == play(data), "the same input ends otherwise");
    }
}

/// Returns the last events, the counts, and whether the server has keys.
fn play(data: &[u8]) -> (Vec<Event>, ServerCounters, bool) {
    let mut input = Input::new(data);
    let keys = Arc::new(Keys::parse(KEYS).expect("a file of keys"));
    let config = config(&mut input, &keys);
    let (max_peers, is_keyed) = (config.max_peers, config.keys.is_some());
    let signers = NAMES.map(|name| Signer::new(&keys, name.as_bytes()));
    let mut world = World::new(Server::new(config), 1, input);
    while world.step(|_, _, _| {}) {
        if world.input.flag() {
            hear(&mut world, &signers);
        }
        let counters = world.machine.counters();
        assert_eq!(counters.received, world.counts.received);
        assert_adds_up(counters);
        assert_eq!(counters.replied, world.counts.sent - world.counts.failed);
        assert_eq!(counters.send_failed, world.counts.failed);
        assert!(world.machine.peer_count() <= max_peers);
        for peer in world.machine.peers(world.now.mono_ns) {
            assert!(peer.timeout_ns >= 0 && peer.interval_ns.is_none_or(|ns| ns > 0));
            let expected = peer.sequence.expected();
            assert!(expected.is_none_or(|expected| expected >= peer.sequence.received()));
        }
        assert!(world.output.iter().all(|one| Some(one.payload.len()) == one.request));
    }
    let events = world.events();
    assert!(events.len() <= EVENTS);
    (events, world.machine.counters(), is_keyed)
}

fn config(input: &mut Input<'_>, keys: &Arc<Keys>) -> ServerConfig {
    let (_, kind) = *input.pick(&Kind::ALL);
    ServerConfig {
        detector: detector::any(kind, input).unwrap_or(Detector::of(kind)),
        old_beats: input.pick(&OldBeats::ALL).1,
        by_host: input.flag(),
        numbers: input.pick(&Numbers::ALL).1,
        opaque: input.flag(),
        reply: input.flag(),
        keys: input.maybe(|_| Arc::clone(keys)),
        unauthenticated: *input.pick(&[Unauthenticated::Refuse, Unauthenticated::Accept]),
        max_multiplier: input.byte().into(),
        max_grace_ns: input.natural(),
        expect: input.list(2, |input| input.pick(&NAMES).as_bytes().into()),
        expect_within_ns: input.natural(),
        max_peers: 1 + input.below(6),
        zone: zone(input),
        every_beat: input.flag(),
        events: EVENTS,
    }
}

/// Hears a beat, whole or damaged.
fn hear(world: &mut World<'_, Server>, signers: &[Option<Signer>; 2]) {
    // Servers repeat the nonce of their last answer.
    let answer = world.output.last().and_then(|answer| Signed::read(&answer.payload)?.nonce());
    let input = &mut world.input;
    let (who, signs) = (input.below(2), input.flag());
    let beat = Beat {
        interval_ns: input.maybe(Input::duration),
        boot: input.maybe(|input| input.below(4) as u64),
        name: Some(NAMES[who].as_bytes()).filter(|_| signs || input.flag()),
        status: input.maybe(|input| input.pick(&Status::ALL).1),
        age_ns: input.maybe(Input::natural),
        task: input.maybe(|_| &b"task"[..]),
        failures: input.maybe(|input| input.natural().unsigned_abs()),
        send_failed: input.maybe(|input| input.natural().unsigned_abs()),
        busy_ns: input.maybe(Input::natural),
        down_millionths: input.maybe(Input::duration),
        grace_ns: input.maybe(Input::natural),
        ..Beat::default()
    };
    let seq = if input.flag() { input.byte().into() } else { input.natural().unsigned_abs() };
    // The other clock differs by little or by anything.
    let sent_ns = match input.byte() % 4 {
        0 => input.int(),
        1 => world.now.wall_ns.saturating_add(input.natural()),
        _ => world.now.wall_ns.saturating_sub(input.natural()),
    };
    let mut text = Vec::new();
    match &signers[who] {
        Some(signer) if signs => {
            let nonce = if input.flag() { 0 } else { answer.unwrap_or_default() };
            signer.write(&beat, nonce, seq, sent_ns, &mut text);
        }
        _ => beat.write(seq, sent_ns, &mut text),
    }
    if input.below(8) == 7 {
        damage(input, &mut text);
    }
    let from = any_address(input);
    world.receive(0, from, text);
    world.rest();
}

/// Each datagram is counted once.
fn assert_adds_up(counters: ServerCounters) {
    let ServerCounters { beats, goodbyes, duplicates, stale, unproven, .. } = counters;
    let ServerCounters { ignored, rejected, unauthenticated, unknown_keys, .. } = counters;
    let ServerCounters { bad_tags, replays, old_boots, late_beats, .. } = counters;
    let heard = beats + goodbyes + duplicates + stale + unproven + ignored + rejected;
    let refused = unauthenticated + unknown_keys + bad_tags + replays + old_boots;
    assert_eq!(counters.received, heard + refused);
    assert!(late_beats <= beats);
}
