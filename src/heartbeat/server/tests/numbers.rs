//! Which numbers are sequence numbers, and beats without any.

use super::*;

/// Sends each text one second after the one before, and returns the changes after the first.
fn tell(config: ServerConfig, texts: impl IntoIterator<Item = String>) -> (Driven, Vec<Change>) {
    let mut server = Driven::new(config);
    for (second, text) in (0..).zip(texts) {
        server.hear(second * SECOND, client(1), &text);
    }
    let told = server.changes();
    (server, told)
}

fn load(second: i64) -> i64 {
    [3, 1, 4, 1, 5, 9, 2, 6][usize::try_from(second % 8).unwrap()]
}

#[test]
fn a_host_name_a_load_or_an_uptime_is_not_a_sequence() {
    type Text = fn(i64) -> String;
    let texts: [Text; 8] = [
        |_| "web-03 alive".into(),
        |k| format!("pi4 {}.5", WALL_S + k),
        |k| format!("node 3 {}.5", WALL_S + k),
        |k| format!("web load {}", load(k)),
        |k| format!("jobs {} {}.5", 2 + load(k), WALL_S + k),
        |k| format!("up {}", 4711 + k),
        |k| format!("{}", 4711 + 10 * k),
        |k| format!(r#"{{"host": "pi4", "load": {k}, "uptime": {}}}"#, 4711 + k),
    ];
    for text in texts {
        let (mut server, told) = tell(multiple(), (0..40).map(text));
        assert_eq!(told.len(), 1, "{}: {told:?}", text(0));
        let peer = server.peer(39 * SECOND);
        assert_eq!((peer.state, peer.sequence.expected()), (State::Up, None), "{}", text(0));
        assert_eq!(peer.sequence.received(), 40, "{}", text(0));
        assert_adds_up(server.0.counters());
        server.run_until(50 * SECOND);
        assert_eq!(server.peer(50 * SECOND).state, State::Down, "{}", text(0));
    }
}

#[test]
fn labels_and_the_forms_of_the_lab_are_believed_at_the_first_beat() {
    type Text = fn(i64) -> String;
    let texts: [Text; 8] = [
        |k| format!("{k} {}.5", WALL_S + k),
        |k| format!("Heartbeat {k} {}.5", WALL_S + k),
        |k| format!("PING {k} {}500", WALL_S + k),
        |k| format!("Packet: {k} | Timestamp: {}.5 ", WALL_S + k),
        |k| format!("{}.5,{k}", WALL_S + k),
        |k| format!("web-03 load 2 seq {k}"),
        |k| format!(r#"{{"host": "pi4", "seq": {k}, "time": {}.5}}"#, WALL_S + k),
        |k| format!("host=pi4 load=2 n={k}"),
    ];
    for text in texts {
        let (_, told) = tell(multiple(), [7, 10].map(text));
        let expected =
            [Change::Up { seq: Some(7) }, Change::Lost { first: 8, last: 9, excused: 0 }];
        assert_eq!(told, expected, "{}", text(0));
    }
}

#[test]
fn a_bare_number_is_believed_once_it_has_counted_up() {
    let (server, told) = tell(multiple(), [5, 6, 8, 9, 10, 11, 13].map(|k| k.to_string()));
    assert_eq!(told, [Change::Up { seq: None }, Change::Lost { first: 12, last: 12, excused: 0 }]);
    let numbers = server.peer(0).sequence;
    assert_eq!((numbers.received(), numbers.expected()), (7, Some(9)));
}

#[test]
fn by_the_labs_rule_the_first_number_is_believed_immediately() {
    let (server, told) = tell(fixed(), ["pi4 17", "pi6 18", "load=8 seq=19"].map(String::from));
    let lost = |number| Change::Lost { first: number, last: number, excused: 0 };
    assert_eq!(told, [Change::Up { seq: Some(4) }, lost(5), lost(7)]);
    assert_eq!(server.peer(0).sequence.highest(), Some(8));
}

#[test]
fn counters_that_wrap_neither_restart_nor_lose() {
    for bits in [8, 16, 32] {
        let span = 1_i64 << bits;
        let first = span - 5;
        let text = |k: i64| format!("hb {} {}.0", (first + k) % span, WALL_S + k);
        let (server, told) = tell(multiple(), (0..600).filter(|k| k % 10 != 7).map(text));
        let is_lost = |change: &Change| matches!(change, Change::Lost { .. });
        assert!(told[1..].iter().all(is_lost), "{bits}: {told:?}");
        let numbers = server.peer(0).sequence;
        assert_eq!((numbers.received(), numbers.expected()), (540, Some(600)), "{bits}");
    }
}

#[test]
fn a_late_beat_of_a_wrapped_counter_has_the_number_that_was_lost() {
    let (_, told) = tell(multiple(), [254, 255, 0, 1, 3, 2, 4].map(|n| format!("seq {n}")));
    let lost = Change::Lost { first: 258, last: 258, excused: 0 };
    assert_eq!(told, [Change::Up { seq: Some(254) }, lost, Change::LateBeat { seq: 258 }]);
}

#[test]
fn a_wrapped_counter_passes_the_end_of_the_run_before() {
    // The counter wraps during an outage, so that it seems to begin again, and wraps once more.
    let heard = (0..800).filter(|k| !(230..280).contains(k));
    let mut server = Driven::new(multiple());
    for k in heard {
        server.hear(k * SECOND, client(1), &format!("hb {} {}.0", k % 256, WALL_S + k));
    }
    let told = server.changes();
    let again = told.iter().filter(|change| matches!(change, Change::Restarted { .. }));
    assert_eq!(again.count(), 1, "{told:?}");
    let numbers = server.peer(0).sequence;
    assert_eq!((numbers.received(), numbers.expected()), (519, Some(519)));
}

#[test]
fn opaque_beats_are_a_client_without_loss() {
    let texts: [&[u8]; 4] = [b"alive", b"", b"\x00\xff\x17", b"\x9f"];
    for text in texts {
        for opaque in [true, false] {
            let mut server = Driven::new(ServerConfig { opaque, ..multiple() });
            for second in 0..10 {
                server.run_until(second * SECOND);
                arrive(&mut server.0, at(second), client(1), text);
            }
            let counters = server.0.counters();
            assert_adds_up(counters);
            if !opaque {
                assert_eq!((server.0.peer_count(), counters.ignored), (0, 10));
                continue;
            }
            let peer = server.peer(9 * SECOND);
            assert_eq!((peer.state, peer.interval_ns), (State::Up, Some(SECOND)));
            assert_eq!((peer.sequence.received(), peer.sequence.expected()), (10, None));
            server.run_until(20 * SECOND);
            let down = Change::Down { cause: Cause::Silence, silence_ns: 5 * SECOND };
            assert_eq!(server.changes().pop(), Some(down));
        }
    }
}
