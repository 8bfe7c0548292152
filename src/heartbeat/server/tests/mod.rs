mod boots;
mod clocks;
mod fleet;
mod identity;
mod intervals;
mod keys;
mod numbers;
mod old_beats;
mod own;
mod pace;
mod strangers;

use super::*;
use crate::heartbeat::{Cause, Kind};
use crate::machine::by_hand::{arrive, tick};
use proptest::prelude::*;

const SECOND: i64 = NS_PER_SECOND;
const WALL_S: i64 = 1_486_420_000;

fn fixed() -> ServerConfig {
    ServerConfig {
        detector: Detector::fixed(5 * SECOND),
        old_beats: OldBeats::Ignore,
        by_host: false,
        numbers: Numbers::First,
        opaque: false,
        reply: false,
        keys: None,
        unauthenticated: Unauthenticated::Refuse,
        max_multiplier: 100,
        max_grace_ns: 86_400 * NS_PER_SECOND,
        expect: Vec::new(),
        expect_within_ns: 60 * NS_PER_SECOND,
        max_peers: 3,
        zone: Zone::default(),
        every_beat: false,
        events: 100_000,
    }
}

fn multiple() -> ServerConfig {
    let detector = Detector::of(Kind::Multiple);
    ServerConfig { detector, numbers: Numbers::Counting, max_peers: 100_000, ..fixed() }
}

fn client(number: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], number))
}

fn stamp(ns: i64) -> Stamp {
    Stamp { mono_ns: ns, wall_ns: WALL_S * SECOND + ns }
}

fn at(second: i64) -> Stamp {
    stamp(second * SECOND)
}

/// A server that is called at each of its deadlines, as by the driver.
struct Driven(Server);

impl Driven {
    fn new(config: ServerConfig) -> Self {
        Self(Server::new(config))
    }

    fn run_until(&mut self, ns: i64) {
        while let Some(deadline_ns) = self.0.deadline(0).filter(|deadline| *deadline <= ns) {
            tick(&mut self.0, stamp(deadline_ns));
        }
        tick(&mut self.0, stamp(ns));
    }

    fn hear(&mut self, ns: i64, from: SocketAddr, text: &str) {
        self.run_until(ns);
        arrive(&mut self.0, stamp(ns), from, text.as_bytes());
    }

    /// Sends one beat of client 1 per second, from `from` on, with the text that `text` returns.
    fn beats(&mut self, from: i64, seconds: i64, text: impl Fn(i64) -> String) {
        for second in from..from + seconds {
            self.hear(second * SECOND, client(1), &text(second));
        }
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.0.events.pop()).collect()
    }

    fn changes(&mut self) -> Vec<Change> {
        self.events().into_iter().map(|event| event.change).collect()
    }

    fn peer(&self, ns: i64) -> Peer {
        self.0.peers(ns).next().unwrap()
    }
}

/// Returns a beat with a declared interval of a second, sent at `second`.
fn declared(second: i64) -> String {
    format!("Heartbeat;i=1000;b=a;id=api {second} {}.000000", WALL_S + second)
}

fn plain(second: i64) -> String {
    format!("Heartbeat {second} {}.000000", WALL_S + second)
}

/// Returns the conflict between boots, each with the number of its address.
fn conflict(members: &[(u64, u16)]) -> Change {
    let (boots, addresses) = members
        .iter()
        .map(|&(boot, number)| (boot, client(number)))
        .unzip::<_, _, Vec<_>, Vec<_>>();
    Change::Conflict { boots: boots.into(), addresses: addresses.into() }
}

fn assert_adds_up(counters: ServerCounters) {
    let ServerCounters { beats, goodbyes, duplicates, stale, unproven, ignored, rejected, .. } =
        counters;
    let ServerCounters { unauthenticated, unknown_keys, bad_tags, replays, old_boots, .. } =
        counters;
    let refused = unauthenticated + unknown_keys + bad_tags + replays + old_boots;
    let sum = beats + goodbyes + duplicates + stale + unproven + ignored + rejected + refused;
    assert_eq!(counters.received, sum);
}

#[test]
fn the_lab_scenario() {
    let mut server = Driven::new(fixed());
    for (second, text) in [(1, "1"), (2, "2"), (4, "4"), (5, "3"), (6, "4")] {
        server.hear(second * SECOND, client(1), text);
    }
    server.run_until(11 * SECOND - 1);
    let expected = [
        Change::Up { seq: Some(1) },
        Change::Lost { first: 3, last: 3, excused: 0 },
        Change::LateBeat { seq: 3 },
    ];
    assert_eq!(server.changes(), expected);
    server.run_until(11 * SECOND);
    let down = server.events().pop().unwrap();
    let before = Snapshot { seq: Some(4), received: 4, expected: Some(4), timeout_ns: 5 * SECOND };
    assert_eq!(down.before, before);
    assert_eq!(down.change, Change::Down { cause: Cause::Silence, silence_ns: 5 * SECOND });
    assert_eq!(server.0.deadline(0), None);
    server.hear(20 * SECOND, client(1), "7");
    server.hear(21 * SECOND, client(1), "1");
    let expected = [
        Change::Recovered { from: State::Down, for_ns: 14 * SECOND, seq: Some(7) },
        Change::Lost { first: 5, last: 6, excused: 0 },
        Change::Restarted { cause: Cause::Sequence, seq: Some(1) },
    ];
    assert_eq!(server.changes(), expected);
    assert_adds_up(server.0.counters());
}

#[test]
fn the_difference_includes_the_clock_offset() {
    let mut server = Driven::new(ServerConfig { every_beat: true, ..fixed() });
    server.hear(0, client(1), "Heartbeat 7 1486420000.5");
    let payload = Box::from(b"Heartbeat 7 1486420000.5".as_slice());
    let difference_ns = Some(-SECOND / 2);
    let heard = Change::Heard { seq: Some(7), difference_ns, payload };
    assert_eq!(server.changes().pop(), Some(heard));
}

#[test]
fn beats_without_numbers_keep_a_client_alive() {
    let mut server = Driven::new(fixed());
    for second in [0, 4, 8] {
        server.hear(second * SECOND, client(1), "Heartbeat 1486420000.5");
    }
    server.run_until(13 * SECOND);
    let down = server.events().pop().unwrap();
    assert_eq!((down.before.seq, down.before.received, down.before.expected), (None, 3, None));
    // All carry the time of the first, which means nothing before an interval is known.
    assert_eq!(down.change, Change::Down { cause: Cause::Silence, silence_ns: 5 * SECOND });
}

#[test]
fn a_greeting_is_a_sign_of_life_and_does_not_count() {
    for config in [fixed(), multiple()] {
        let mut server = Driven::new(ServerConfig { every_beat: true, ..config });
        let greeting = |second| format!("connected at {}.0", WALL_S + second);
        server.hear(0, client(1), &greeting(0));
        for second in [1, 2, 3, 7] {
            server.hear(second * SECOND, client(1), &plain(second));
        }
        // By then the last number is 5 s old, but the greeting is not.
        server.hear(11 * SECOND, client(1), &greeting(11));
        server.run_until(14 * SECOND);
        let told = server.events();
        let heard = told.iter().filter(|event| matches!(event.change, Change::Heard { .. }));
        assert_eq!(heard.count(), 6);
        assert!(!told.iter().any(|event| matches!(event.change, Change::Down { .. })));
        let numbers = server.peer(0).sequence;
        assert_eq!((numbers.received(), numbers.expected()), (4, Some(7)));
        assert_adds_up(server.0.counters());
    }
}

#[test]
fn a_client_that_repeats_its_number_is_alive() {
    let timed = |second: i64| format!("pi4 {}.000000", WALL_S + second);
    for (config, timed_beats) in [(fixed(), false), (fixed(), true), (multiple(), true)] {
        let numbers = Numbers::First;
        let mut server = Driven::new(ServerConfig { every_beat: true, numbers, ..config });
        server.beats(0, 20, |second| if timed_beats { timed(second) } else { "pi4".into() });
        let told = server.changes();
        let heard = told.iter().filter(|change| matches!(change, Change::Heard { .. })).count();
        // Without a time, it may be a copy made by the network.
        assert_eq!(heard, if timed_beats { 20 } else { 1 });
        assert_eq!(told.len(), heard + 1, "only Up besides: {told:?}");
        assert_eq!(server.0.counters().duplicates, 19);
        assert_eq!(server.0.counts[0], [0; State::ALL.len()]);
    }
    let mut server = Driven::new(multiple());
    server.beats(0, 20, timed);
    let peer = server.peer(19 * SECOND);
    assert_eq!((peer.state, peer.interval_ns), (State::Up, Some(SECOND)));
    // Such beats, draining from a queue, bring no client back.
    server.run_until(30 * SECOND);
    server.hear(30 * SECOND, client(1), &timed(18));
    assert_eq!(server.peer(30 * SECOND).state, State::Down);
}

#[test]
fn an_interval_is_learned_from_arrivals_of_a_constant_text() {
    let mut server = Driven::new(multiple());
    for second in 0..10 {
        server.hear(second * SECOND, client(1), "pi4");
        // A copy made by the network.
        server.hear(second * SECOND + SECOND / 100, client(1), "pi4");
    }
    let peer = server.peer(9 * SECOND);
    assert_eq!(peer.state, State::Up);
    assert!((peer.interval_ns.unwrap() - SECOND).abs() <= SECOND / 50, "{:?}", peer.interval_ns);
    server.run_until(15 * SECOND);
    assert_eq!(server.peer(15 * SECOND).state, State::Down);
}

#[test]
fn only_a_beat_with_an_old_time_is_not_a_sign_of_life() {
    let mut server = Driven::new(ServerConfig { every_beat: true, ..fixed() });
    for (second, text) in [(0, "1 1486420000.0"), (1, "5 1486420001.0")] {
        server.hear(second * SECOND, client(1), text);
    }
    for (second, text) in [(3, "3 1486420000.5"), (5, "5 1486420001.0")] {
        server.hear(second * SECOND, client(1), text);
    }
    server.run_until(6 * SECOND);
    let down = Change::Down { cause: Cause::Silence, silence_ns: 5 * SECOND };
    assert_eq!(server.changes().pop(), Some(down));
    // Without a time it may be a recent one, so it is a sign of life and reported as late.
    server.hear(20 * SECOND, client(1), "4");
    let back = Change::Recovered { from: State::Down, for_ns: 19 * SECOND, seq: Some(4) };
    assert_eq!(server.changes(), [back, Change::LateBeat { seq: 4 }]);
}

#[test]
fn a_possible_copy_does_not_undo_a_goodbye() {
    let mut server = Driven::new(multiple());
    for text in ["hb;i=1000 1", "hb;i=1000 3", "hb;s=bye 4", "hb;i=1000 2", "hb;i=1000 3"] {
        server.hear(0, client(1), text);
    }
    assert_eq!(server.peer(0).state, State::Stopped);
}

#[test]
fn a_board_whose_clock_is_set_back_restarts() {
    let mut server = Driven::new(fixed());
    server.beats(0, 3, |second| format!("{} {}.0", second + 5, WALL_S + second));
    // Number 4 was overtaken by the first beat received.
    server.hear(3 * SECOND, client(1), &format!("4 {}.0", WALL_S - 1));
    server.hear(4 * SECOND, client(1), "1 1000000005.0");
    let restarted = Change::Restarted { cause: Cause::Sequence, seq: Some(1) };
    assert_eq!(server.changes(), [Change::Up { seq: Some(5) }, restarted]);
    assert_eq!(server.0.counters().stale, 1);
    server.hear(8 * SECOND, client(1), "2 1000000009.0");
    server.run_until(12 * SECOND);
    assert_eq!(server.peer(12 * SECOND).state, State::Up, "its new times are accepted");
}

#[test]
fn a_datagram_that_is_not_a_heartbeat_is_ignored() {
    let mut server = Driven::new(ServerConfig { every_beat: true, ..fixed() });
    for junk in ["", "hello", "\u{fffd}"] {
        server.hear(0, client(1), junk);
    }
    assert_eq!((server.0.counters().ignored, server.0.peer_count()), (3, 0));
    assert!(server.changes().iter().all(|s| matches!(s, Change::Ignored { .. })));
}

#[test]
fn by_host_a_new_socket_is_the_same_client() {
    let mut server = Driven::new(ServerConfig { by_host: true, ..fixed() });
    for seq in 1..=3_u16 {
        server.hear(0, client(seq), &seq.to_string());
    }
    let peer = server.peer(0);
    assert_eq!((server.0.peer_count(), peer.sequence.received(), peer.address), (1, 3, client(3)));
}

#[test]
fn answers_are_optional_and_upper_case() {
    let mut server = Server::new(ServerConfig { reply: true, ..fixed() });
    let answer = arrive(&mut server, at(0), client(1), b"beat 1");
    assert_eq!(answer.as_deref(), Some(b"BEAT 1".as_slice()));
    server.on_send_failed(0, client(1), b"BEAT 1", None);
    assert_eq!(arrive(&mut server, at(0), client(1), b"junk"), None);
    assert_eq!((server.counters().replied, server.counters().send_failed), (0, 1));
}

#[test]
fn a_declared_interval_decides_from_the_second_beat_on() {
    let mut server = Driven::new(multiple());
    server.beats(0, 1, declared);
    assert_eq!(server.peer(0).state, State::Unknown);
    server.beats(1, 3, declared);
    let states = [(3, State::Up), (5, State::Overdue), (6, State::Suspect), (8, State::Down)];
    for (second, state) in states {
        server.run_until(second * SECOND);
        assert_eq!(server.peer(second * SECOND).state, state, "at {second} s");
    }
    assert_eq!(server.peer(0).timeout_ns, 5 * SECOND);
    let expected = [
        Change::Up { seq: Some(0) },
        Change::Suspect { silence_ns: 3 * SECOND },
        Change::Down { cause: Cause::Silence, silence_ns: 5 * SECOND },
    ];
    assert_eq!(server.changes(), expected);
}

#[test]
fn an_interval_that_is_not_declared_is_learned() {
    let mut server = Driven::new(multiple());
    server.beats(0, 4, plain);
    assert_eq!(server.peer(3 * SECOND).state, State::Learning);
    server.beats(6, 2, plain);
    assert_eq!(server.peer(7 * SECOND).state, State::Up);
    assert_eq!(server.peer(0).interval_ns, Some(SECOND), "a lost beat does not double it");
    server.run_until(12 * SECOND);
    assert_eq!(server.peer(12 * SECOND).state, State::Down);
}

#[test]
fn goodbye_busy_and_stalled_are_states_of_their_own() {
    let mut server = Driven::new(multiple());
    let says = |status: &'static str| {
        move |second: i64| format!("hb;i=1000;id=x;{status} {second} {}.000000", WALL_S + second)
    };
    server.beats(0, 3, says("s=ok;a=5"));
    server.beats(3, 2, says("s=stalled;a=7200"));
    assert_eq!(server.peer(4 * SECOND).state, State::Stalled);
    assert_eq!(server.peer(4 * SECOND).progress_age_ns, Some(7_200_000_000));
    server.beats(5, 1, says("s=busy;u=60000"));
    server.run_until(60 * SECOND);
    assert_eq!(server.peer(60 * SECOND).state, State::Busy);
    server.beats(60, 1, says("s=ok"));
    server.beats(61, 3, says("s=bye"));
    server.run_until(1000 * SECOND);
    assert_eq!(server.peer(0).state, State::Stopped);
    server.beats(1000, 1, says("s=ok"));
    let expected = [
        Change::Up { seq: Some(0) },
        Change::Stalled { age_ns: Some(7_200_000_000), task: None },
        Change::Busy { for_ns: 60 * SECOND },
        Change::Recovered { from: State::Busy, for_ns: 55 * SECOND, seq: Some(60) },
        Change::Lost { first: 6, last: 59, excused: 0 },
        Change::Stopped,
        Change::Recovered { from: State::Stopped, for_ns: 939 * SECOND, seq: Some(1000) },
        Change::Lost { first: 64, last: 999, excused: 0 },
    ];
    assert_eq!(server.changes(), expected);
}

#[test]
fn a_failure_and_the_state_of_the_application_are_told() {
    let mut server = Driven::new(multiple());
    let says = |what: &'static str| {
        move |second: i64| format!("hb;i=1000;id=x;{what} {second} {}.000000", WALL_S + second)
    };
    server.beats(0, 3, says("a=5;t=poll;f=2"));
    server.beats(3, 1, says("s=stalled;a=7200;t=write;f=3"));
    let peer = server.0.named(b"x", 3 * SECOND).unwrap();
    assert_eq!((peer.task.as_deref(), peer.failures), (Some(&b"write"[..]), Some(3)));
    assert_eq!(server.0.named(b"y", 0), None);
    server.beats(4, 3, says("s=failed;e=OSError"));
    server.run_until(1000 * SECOND);
    let peer = server.peer(1000 * SECOND);
    assert_eq!((peer.state, peer.error.as_deref()), (State::Failed, Some(&b"OSError"[..])));
    assert_eq!(peer.failures, Some(3));
    server.beats(1000, 1, says("s=ok"));
    let expected = [
        Change::Up { seq: Some(0) },
        Change::Stalled { age_ns: Some(7_200_000_000), task: Some(b"write"[..].into()) },
        Change::Failed { error: Some(b"OSError"[..].into()) },
        Change::Recovered { from: State::Failed, for_ns: 996 * SECOND, seq: Some(1000) },
        Change::Lost { first: 7, last: 999, excused: 0 },
    ];
    assert_eq!(server.changes(), expected);
    assert_adds_up(server.0.counters());
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_ipv4() {
    let mut server = Driven::new(multiple());
    server.hear(0, "[::ffff:127.0.0.1]:1".parse().unwrap(), "hb 1");
    server.hear(1, client(1), "hb 2");
    assert_eq!((server.0.peer_count(), server.peer(1).address), (1, client(1)));
}

#[test]
fn an_overlong_name_is_counted_and_not_a_name() {
    let mut server = Driven::new(multiple());
    server.hear(0, client(1), &format!("hb;id={} 1", "x".repeat(255)));
    server.hear(0, client(2), &format!("hb;id={} 1", "x".repeat(256)));
    let named: Vec<_> = server.0.peers(0).map(|peer| peer.name.is_some()).collect();
    assert_eq!((named, server.0.counters().overlong_names), (vec![true, false], 1));
}

#[test]
fn an_announced_silence_ends() {
    let mut server = Driven::new(multiple());
    server.beats(0, 3, declared);
    server.hear(3 * SECOND, client(1), "hb;i=1000;b=a;id=api;s=busy;u=10000 3 1486420003.0");
    server.run_until(18 * SECOND);
    let down = Change::Down { cause: Cause::BusyOver, silence_ns: 15 * SECOND };
    assert_eq!(server.changes().pop(), Some(down));
}

#[test]
fn a_stranger_cannot_say_goodbye_for_another() {
    let mut server = Driven::new(multiple());
    server.beats(0, 3, declared);
    server.hear(3 * SECOND, client(2), "hb;b=a;id=api;s=bye 3 1486420003.0");
    server.hear(3 * SECOND, client(1), "hb;b=b;id=api;s=bye 3 1486420003.0");
    assert_eq!(server.peer(0).state, State::Up);
    assert_eq!(server.0.counters().unproven, 2);
    assert_adds_up(server.0.counters());
}

#[test]
fn a_name_may_move() {
    let mut server = Driven::new(multiple());
    server.beats(0, 3, declared);
    server.hear(3 * SECOND, client(2), &declared(3));
    assert_eq!(server.changes().pop(), Some(Change::Moved { from: client(1) }));
    assert_eq!((server.0.peer_count(), server.peer(0).address), (1, client(2)));
}

#[test]
fn beats_that_drain_from_a_queue_keep_nobody_alive() {
    let mut server = Driven::new(multiple());
    server.beats(0, 10, declared);
    // The sender died at 30 s; its last 20 beats take 15 s each and arrive one per second.
    for second in 10..30 {
        server.hear((second + 15) * SECOND, client(1), &declared(second));
    }
    let down =
        server.events().into_iter().find(|event| matches!(event.change, Change::Down { .. }));
    assert_eq!(down.unwrap().at, at(14));
    assert_eq!(server.peer(45 * SECOND).state, State::Down, "no beat brought it back");
    assert_eq!(server.peer(0).sequence.received(), 30, "all of them were received");
}

#[test]
fn clock_steps_are_reported_and_change_no_verdict() {
    for step_s in [3600, -3600] {
        let mut server = Driven::new(multiple());
        server.beats(0, 5, declared);
        server.beats(5, 5, |second| {
            format!("hb;i=1000;b=a;id=api {second} {}.000000", WALL_S + second + step_s)
        });
        let by_ns = step_s * SECOND;
        assert_eq!(server.changes(), [Change::Up { seq: Some(0) }, Change::ClockStepped { by_ns }]);
        assert_eq!(server.peer(9 * SECOND).delay_ns, Some(0));
    }
    for step_s in [3600, -3600] {
        let mut server = Driven::new(multiple());
        server.beats(0, 5, declared);
        let stepped = |second| Stamp { wall_ns: (WALL_S + second + step_s) * SECOND, ..at(second) };
        for second in 5..10 {
            tick(&mut server.0, stepped(second));
            arrive(&mut server.0, stepped(second), client(1), declared(second).as_bytes());
        }
        let by_ns = step_s * SECOND;
        assert_eq!(server.changes(), [Change::Up { seq: Some(0) }, Change::ClockStepped { by_ns }]);
        assert_eq!(server.peer(9 * SECOND).delay_ns, Some(0));
    }
}

#[test]
fn the_delay_is_relative_to_the_fastest_beat() {
    let mut server = Driven::new(multiple());
    server.beats(0, 3, declared);
    server.hear(3 * SECOND + SECOND / 4, client(1), &declared(3));
    let peer = server.peer(4 * SECOND);
    // Exact to 24 bits, like the stored delay.
    assert!((peer.difference_ns.unwrap() - SECOND / 4).abs() < 16);
    // In a second and a quarter the least difference may rise by 305 us.
    assert!((SECOND / 4 - 306_000..SECOND / 4).contains(&peer.delay_ns.unwrap()));
}

proptest! {
    #[test]
    fn counts_add_up_for_any_datagrams(
        story in prop::collection::vec(
            (0..3_i64, 1..6_u16, "(hb(;i=[0-9]{2,4})?(;id=[ab])?(;b=[12])?(;s=(ok|bye|busy|stalled))? )?[0-9a]{0,2}( 14864[0-9]{5}.5)?"),
            0..200,
        ),
        kind in prop::sample::select(Kind::ALL.map(|(_, kind)| kind).to_vec()),
    ) {
        let config = ServerConfig { detector: Detector::of(kind), ..fixed() };
        let mut server = Driven::new(config);
        let mut second = 0;
        for (passed, port, text) in story {
            second += passed;
            server.hear(second * SECOND, client(port), &text);
            assert_adds_up(server.0.counters());
            let mut counts = [[0; State::ALL.len()]; 2];
            for record in server.0.table.records() {
                counts[usize::from(record.is_proven())][record.state as usize] += 1;
            }
            prop_assert_eq!(counts, server.0.counts);
            prop_assert!(server.0.peer_count() <= 3);
        }
    }
}
