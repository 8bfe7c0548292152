//! Several boots under one name, and stragglers of those that ended.

use super::*;

/// A beat of boot `boot` of `api` at `second`.
fn boot(boot: char, seq: i64, second: i64, more: &str) -> String {
    format!("hb;i=1000;b={boot};id=api{more} {seq} {}.0", WALL_S + second)
}

#[test]
fn a_restart_between_two_beats_is_seen_at_the_second() {
    let mut server = Driven::new(multiple());
    server.beats(0, 3, |second| boot('a', second, second, ""));
    for (second, seq) in [(3, 1), (4, 2)] {
        assert_eq!(server.peer(0).boot, Some(10), "one datagram takes over nobody");
        server.hear(second * SECOND, client(2), &boot('b', seq, second, ""));
    }
    // The last beat of the previous boot was overtaken, and so were its goodbyes.
    for (seq, more) in [(3, ""), (4, ";s=bye"), (4, ";s=bye"), (3, ""), (1, "")] {
        server.hear(4 * SECOND, client(1), &boot('a', seq, 4, more));
    }
    server.run_until(7 * SECOND);
    server.hear(7 * SECOND, client(1), &boot('a', 3, 3, ""));
    server.run_until(9 * SECOND);
    server.hear(10 * SECOND, client(1), &boot('a', 4, 3, ";s=bye"));
    let expected = [
        Change::Up { seq: Some(0) },
        Change::Restarted { cause: Cause::Boot, seq: Some(1) },
        Change::Suspect { silence_ns: 3 * SECOND },
        Change::Down { cause: Cause::Silence, silence_ns: 5 * SECOND },
    ];
    assert_eq!(server.changes(), expected);
    let peer = server.peer(10 * SECOND);
    assert_eq!((peer.boot, peer.address, peer.sequence.received()), (Some(11), client(2), 2));
    assert_adds_up(server.0.counters());
}

#[test]
fn the_surviving_boot_of_a_conflict_is_followed() {
    let mut server = Driven::new(multiple());
    server.beats(0, 3, |second| boot('a', second, second, ""));
    let both = |server: &mut Driven, second: i64| {
        server.hear(second * SECOND, client(2), &boot('b', second - 2, second, ""));
        server.hear(second * SECOND, client(1), &boot('a', second, second, ""));
    };
    (3..10).for_each(|second| both(&mut server, second));
    assert_eq!(server.0.counters().stale, 0, "both are alive");
    // The first boot dies.
    for second in 10..20 {
        server.hear(second * SECOND, client(2), &boot('b', second - 2, second, ""));
    }
    // It comes back, and says goodbye.
    (20..30).for_each(|second| both(&mut server, second));
    server.hear(30 * SECOND, client(1), &boot('a', 30, 30, ";s=bye"));
    server.hear(30 * SECOND, client(2), &boot('b', 28, 30, ";s=bye"));
    server.hear(31 * SECOND, client(1), &boot('a', 31, 31, ""));
    let expected = [
        Change::Up { seq: Some(0) },
        conflict(&[(10, 1), (11, 2)]),
        Change::Suspect { silence_ns: 3 * SECOND },
        Change::Restarted { cause: Cause::Boot, seq: Some(1) },
        conflict(&[(11, 2), (10, 1)]),
        Change::Stopped,
    ];
    assert_eq!(server.changes(), expected);
    assert_adds_up(server.0.counters());
}

#[test]
fn a_late_copy_does_not_undo_a_goodbye() {
    for texts in [["hb;i=1000 4", "hb;i=1000;s=bye 4"], ["hb;i=1000", "hb;i=1000;s=bye"]] {
        let mut server = Driven::new(multiple());
        server.beats(0, 3, |_| texts[0].into());
        server.beats(3, 1, |_| texts[1].into());
        server.hear(4 * SECOND, client(1), texts[0]);
        assert_eq!(
            server.changes(),
            [Change::Up { seq: server.peer(0).sequence.highest() }, Change::Stopped]
        );
        assert_eq!(server.peer(4 * SECOND).state, State::Stopped);
        // A client that goes on beating is back.
        server.beats(5, 15, |_| texts[0].into());
        assert_eq!(server.peer(19 * SECOND).state, State::Up);
        assert_adds_up(server.0.counters());
    }
}

#[test]
fn a_goodbye_stops_its_client_once_and_is_not_a_beat() {
    for old_beats in [OldBeats::Ignore, OldBeats::Accept] {
        let mut server = Driven::new(ServerConfig { old_beats, ..multiple() });
        server.beats(0, 3, |second| format!("hb;i=1000 {second}"));
        // Beat 3 is lost. Some programs send all goodbyes with one number, others with several.
        for seq in [4, 4, 5, 6] {
            server.hear(3 * SECOND, client(1), &format!("hb;s=bye {seq}"));
        }
        let numbers = server.peer(0).sequence;
        assert_eq!((numbers.received(), numbers.expected()), (3, Some(4)));
        server.hear(9 * SECOND, client(1), "hb;i=1000 7");
        let told = server.events();
        let counts: Vec<_> = told.iter().map(|event| event.before.received).collect();
        assert_eq!(counts, [1, 3, 3, 4]);
        let changes: Vec<_> = told.into_iter().map(|event| event.change).collect();
        let expected = [
            Change::Up { seq: Some(0) },
            Change::Lost { first: 3, last: 3, excused: 0 },
            Change::Stopped,
            Change::Recovered { from: State::Stopped, for_ns: 6 * SECOND, seq: Some(7) },
        ];
        assert_eq!(changes, expected);
        assert_eq!((server.0.counters().beats, server.0.counters().goodbyes), (4, 4));
        assert_adds_up(server.0.counters());
    }
}

#[test]
fn an_old_goodbye_is_ignored_unless_old_beats_are_accepted() {
    for (old_beats, state) in [(OldBeats::Ignore, State::Up), (OldBeats::Accept, State::Stopped)] {
        let mut server = Driven::new(ServerConfig { old_beats, ..multiple() });
        server.beats(0, 5, declared);
        server.hear(5 * SECOND, client(1), &format!("hb;b=a;id=api;s=bye 3 {}.0", WALL_S + 3));
        assert_eq!(server.peer(5 * SECOND).state, state);
    }
}

#[test]
fn a_goodbye_of_an_unknown_client_is_not_a_beat() {
    let mut server = Driven::new(fixed());
    server.hear(0, client(1), "hb;s=bye 7");
    let numbers = server.peer(0).sequence;
    assert_eq!((numbers.received(), numbers.expected()), (0, None));
    assert_eq!(server.changes(), [Change::Up { seq: Some(7) }, Change::Stopped]);
    server.hear(1, client(1), "hb 8");
    assert_eq!((server.0.counters().beats, server.0.counters().goodbyes), (1, 1));
}

#[test]
fn by_host_a_goodbye_may_come_from_another_port() {
    let mut server = Driven::new(ServerConfig { by_host: true, ..fixed() });
    for (port, text) in [(1, "hb 1"), (2, "hb 2"), (3, "hb;s=bye 3")] {
        server.hear(0, client(port), text);
    }
    assert_eq!(server.peer(0).state, State::Stopped);
}
