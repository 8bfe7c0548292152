//! Intervals that change, whatever the detector.

use super::*;

/// A server for each kind of detector.
fn servers() -> impl Iterator<Item = (&'static str, Driven)> {
    Kind::ALL.into_iter().filter(|(_, kind)| *kind != Kind::Fixed).map(|(name, kind)| {
        (name, Driven::new(ServerConfig { detector: Detector::of(kind), ..multiple() }))
    })
}

fn doubts(server: &mut Driven) -> usize {
    let is_doubt = |change: &Change| matches!(change, Change::Suspect { .. } | Change::Down { .. });
    server.changes().iter().filter(|change| is_doubt(change)).count()
}

/// Sends `count` beats with numbers from `seq` on, each `gap_ns` after the one before. Returns the
/// time of the last.
fn beat_on(
    server: &mut Driven,
    (mut now_ns, seq, count): (i64, i64, i64),
    gap_ns: i64,
    word: &str,
) -> i64 {
    for seq in seq..seq + count {
        now_ns += gap_ns;
        let (second, ns) = (WALL_S + now_ns / SECOND, now_ns % SECOND);
        server.hear(now_ns, client(1), &format!("{word} {seq} {second}.{ns:09}"));
    }
    now_ns
}

#[test]
fn a_learned_interval_may_grow() {
    for (factor, count) in [(10, 12), (4, 150), (2, 150)] {
        for (name, mut server) in servers() {
            let now_ns = beat_on(&mut server, (0, 0, 100), SECOND / 10, "hb");
            assert_eq!(doubts(&mut server), 0);
            let now_ns = beat_on(&mut server, (now_ns, 100, count), factor * SECOND / 10, "hb");
            // A suspicion and a verdict in each of three gaps.
            let doubts = doubts(&mut server);
            assert!(doubts <= 6, "{name}: {doubts} of {count} at {factor}");
            let interval_ns = server.peer(now_ns).interval_ns.unwrap();
            let off_ns = (interval_ns - factor * SECOND / 10).abs();
            assert!(off_ns < SECOND / 100, "{name}: {interval_ns}");
        }
    }
}

#[test]
fn a_shorter_interval_is_learned_within_five_beats() {
    for (name, mut server) in servers() {
        let now_ns = beat_on(&mut server, (0, 0, 100), 10 * SECOND, "hb");
        let now_ns = beat_on(&mut server, (now_ns, 100, 5), SECOND, "hb");
        assert_eq!(doubts(&mut server), 0, "{name}");
        server.run_until(now_ns + 6 * SECOND);
        assert_eq!(server.peer(now_ns + 6 * SECOND).state, State::Down, "{name}");
    }
}

#[test]
fn a_declared_interval_may_change() {
    for (name, mut server) in servers() {
        let now_ns = beat_on(&mut server, (0, 0, 1000), SECOND / 10, "hb;i=100");
        let now_ns = beat_on(&mut server, (now_ns, 1000, 1), SECOND / 10, "hb;i=400");
        let now_ns = beat_on(&mut server, (now_ns, 1001, 150), 4 * SECOND / 10, "hb;i=400");
        assert_eq!(doubts(&mut server), 0, "{name}");
        // The first beat that declares a shorter interval is judged by it.
        let now_ns = beat_on(&mut server, (now_ns, 1151, 1), 4 * SECOND / 10, "hb;i=40");
        server.run_until(now_ns + SECOND / 4);
        assert_eq!(server.peer(now_ns + SECOND / 4).state, State::Down, "{name}");
    }
}

#[test]
fn a_client_that_does_not_keep_its_interval_exactly_is_alive() {
    for (name, mut server) in servers() {
        for gap_ns in [SECOND / 10, SECOND * 11 / 10, SECOND * 9 / 10, SECOND * 13 / 10] {
            let at_ns = server.0.peers(0).map(|peer| peer.last_received_ns).max();
            let now_ns = at_ns.unwrap_or(WALL_S * SECOND) - WALL_S * SECOND;
            let seq = server.0.peers(0).filter_map(|peer| peer.sequence.highest()).max();
            let seq = seq.map_or(0, |seq| i64::try_from(seq).unwrap() + 1);
            beat_on(&mut server, (now_ns, seq, 2000), gap_ns, "hb;i=1000");
        }
        assert_eq!(doubts(&mut server), 0, "{name}");
    }
}

#[test]
fn an_interval_of_weeks_is_kept_exactly() {
    let week_ns = 7 * 86_400 * SECOND + 1;
    let mut server = Driven::new(multiple());
    for k in 0..2 {
        server.hear(k * week_ns, client(1), &format!("hb;i=604800000.000001 {k}"));
    }
    assert_eq!(server.peer(0).interval_ns, Some(week_ns));
    server.run_until(6 * week_ns - 1);
    assert_eq!(server.peer(6 * week_ns - 1).state, State::Suspect);
    server.run_until(6 * week_ns);
    assert_eq!(server.peer(6 * week_ns).state, State::Down);
}

#[test]
fn an_interval_above_the_first_timeout_is_learned() {
    for (name, mut server) in servers() {
        let now_ns = beat_on(&mut server, (0, 0, 5), 100 * SECOND, "hb");
        server.changes();
        beat_on(&mut server, (now_ns, 5, 20), 100 * SECOND, "hb");
        assert_eq!(doubts(&mut server), 0, "{name}");
    }
}

#[test]
fn a_client_may_ask_for_a_timeout_within_bounds() {
    const HOUR: i64 = 3600 * SECOND;
    for (asks, suspect_ns, down_ns) in [
        ("i=1000;x=10", SECOND * 64 / 10, 10 * SECOND),
        ("i=1000;x=0.1", SECOND * 16 / 10, 2 * SECOND),
        ("i=1000;x=1000000000", SECOND * 604 / 10, 100 * SECOND),
        ("i=86400000;g=3600000", 24 * HOUR + HOUR * 6 / 10, 25 * HOUR),
        ("i=86400000;x=1;g=3600000", 24 * HOUR + HOUR * 6 / 10, 25 * HOUR),
        ("i=86400000;x=2;g=3600000", 24 * HOUR + 15 * HOUR, 49 * HOUR),
        ("i=86400000;g=999999999999", 24 * HOUR + 24 * HOUR * 6 / 10, 48 * HOUR),
    ] {
        let mut server = Driven::new(multiple());
        server.hear(0, client(1), &format!("hb;{asks} 1"));
        server.hear(1, client(1), &format!("hb;{asks} 2"));
        for (ns, state) in [(suspect_ns, State::Suspect), (down_ns, State::Down)] {
            // Deadlines are swept every 10 ms.
            server.run_until(ns - 1000);
            assert_ne!(server.peer(ns).state, state, "{asks}");
            server.run_until(ns + SECOND / 50);
            assert_eq!(server.peer(ns).state, state, "{asks}");
        }
    }
    for (name, mut server) in servers() {
        beat_on(&mut server, (0, 0, 10), SECOND, "hb;i=1000;x=20");
        assert_eq!(server.peer(0).timeout_ns, 20 * SECOND, "{name}");
    }
}

#[test]
fn a_timeout_below_the_declared_interval_is_reported_once() {
    let mut server = Driven::new(fixed());
    let now_ns = beat_on(&mut server, (0, 0, 20), 10 * SECOND, "hb;i=10000");
    let down = |cause, seconds| Change::Down { cause, silence_ns: seconds * SECOND };
    let back = Change::Recovered { from: State::Down, for_ns: 10 * SECOND, seq: Some(1) };
    let expected = [Change::Up { seq: Some(0) }, down(Cause::ShortTimeout, 5), back];
    assert_eq!(server.changes(), expected);
    server.run_until(now_ns + 50 * SECOND);
    assert_eq!(server.changes(), [down(Cause::Silence, 50)]);
    // Another interval is another matter.
    let now_ns = beat_on(&mut server, (now_ns + 50 * SECOND, 20, 5), SECOND, "hb;i=1000");
    server.run_until(now_ns + 5 * SECOND);
    assert_eq!(server.changes().pop(), Some(down(Cause::Silence, 5)));
}

#[test]
fn a_client_with_a_declared_interval_is_not_suspected_before_its_next_beat() {
    let detector = Detector::new(Kind::Fixed, 3.0, 20.0).unwrap();
    let mut server = Driven::new(ServerConfig { detector, ..multiple() });
    let now_ns = beat_on(&mut server, (0, 0, 20), 10 * SECOND, "hb;i=10000");
    assert_eq!(server.changes(), [Change::Up { seq: Some(0) }]);
    server.run_until(now_ns + 20 * SECOND);
    let down = Change::Down { cause: Cause::Silence, silence_ns: 20 * SECOND };
    assert_eq!(server.changes(), [down]);
    let now_ns = beat_on(&mut server, (now_ns + 30 * SECOND, 20, 5), SECOND, "hb;i=1000");
    server.run_until(now_ns + 3 * SECOND);
    assert_eq!(server.changes().pop(), Some(Change::Suspect { silence_ns: 3 * SECOND }));
}

#[test]
fn a_client_that_beats_far_too_often_is_reported_once() {
    let mut server = Driven::new(multiple());
    let hourly = "hb;i=3600000";
    let now_ns = beat_on(&mut server, (0, 0, 50), 60 * SECOND, hourly);
    let too_often = Change::TooOften { interval_ns: 3600 * SECOND, gap_ns: 60 * SECOND };
    assert_eq!(server.changes(), [Change::Up { seq: Some(0) }, too_often]);
    // As often as it declares, with twice as many, or from a queue.
    let now_ns = beat_on(&mut server, (now_ns, 50, 20), 1800 * SECOND, hourly);
    for seq in 70..90 {
        let sent = WALL_S + now_ns / SECOND + (seq - 69) * 3600;
        server.hear(now_ns + 20 * 3600 * SECOND, client(1), &format!("{hourly} {seq} {sent}.0"));
    }
    assert!(!server.changes().iter().any(|change| matches!(change, Change::TooOften { .. })));
}

/// A part of a client's life: the gap between beats in milliseconds, their number, how much the
/// gaps vary, whether they declare the interval, how many numbers each skips, and a status.
type Part = (i64, i64, i64, bool, u64, &'static str);

fn parts(shortest_ms: i64) -> impl Strategy<Value = Part> {
    let gap_ms = prop_oneof![shortest_ms..1000_i64, 1000..30_000_i64];
    let statuses = vec!["", "", "", ";s=stalled", ";s=busy;u=5000", ";s=ok;a=1"];
    (gap_ms, 1..40_i64, 0..10_i64, any::<bool>(), 0..3_u64, prop::sample::select(statuses))
}

proptest! {
    /// Whatever came before, a client that has beaten regularly for five beats is not down while
    /// it goes on.
    #[test]
    fn five_regular_beats_are_a_living_client(
        kind in prop::sample::select(Kind::ALL.map(|(_, kind)| kind).to_vec()),
        before in prop::collection::vec(parts(1), 0..6),
        (gap_ms, _, spread, declares, _, _) in parts(100),
        form in 0..5_u8,
    ) {
        // A fixed timeout does not depend on the client.
        let detector = if kind == Kind::Fixed { Detector::fixed(60 * SECOND) } else { Detector::of(kind) };
        let mut server = Driven::new(ServerConfig { detector, opaque: true, ..multiple() });
        let (mut now_ns, mut seq) = (0, 1);
        let mut says = false;
        let mut beat = |server: &mut Driven, (gap_ms, k, spread, declares, skip, status): Part| {
            // A gap that varies by up to a tenth, in a pattern.
            now_ns += gap_ms * 1_000_000 * (100 + spread * (k * 7 % 3 - 1)) / 100;
            seq += 1 + skip;
            // Once it has declared an interval, it goes on to.
            says |= declares || !status.is_empty();
            let word = if says { format!("hb;i={gap_ms}{status}") } else { "hb".into() };
            let (second, ns) = (WALL_S + now_ns / SECOND, now_ns % SECOND);
            let text = match form {
                0 => format!("{word} {seq} {second}.{ns:09}"),
                1 => format!("{word} {second}.{ns:09}"),
                2 => word,
                3 => format!("{word} load=3 seq={seq}"),
                _ => format!("{word} {seq}"),
            };
            server.hear(now_ns, client(1), &text);
            now_ns
        };
        for (gap_ms, count, spread, declares, skip, status) in before {
            for k in 0..count {
                // A stalled client goes on beating, a busy one is silent.
                let gap_ms = if k == 1 && status.contains("busy") { gap_ms + 5000 } else { gap_ms };
                beat(&mut server, (gap_ms, k, spread, declares, skip, status));
            }
        }
        for k in 0..5 {
            beat(&mut server, (gap_ms, k, spread, declares, 0, ""));
        }
        server.changes();
        for k in 5..40 {
            let now_ns = beat(&mut server, (gap_ms, k, spread, declares, 0, ""));
            let told = server.changes();
            let is_down = told.iter().any(|change| matches!(change, Change::Down { .. }));
            prop_assert!(!is_down, "{kind:?} {:?}", server.peer(now_ns));
        }
    }
}
