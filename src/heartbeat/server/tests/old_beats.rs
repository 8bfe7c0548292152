//! `OldBeats::Accept`: every beat is a sign of life, whatever its number or time.

use super::*;

fn accepting(config: &ServerConfig) -> Driven {
    Driven::new(ServerConfig { old_beats: OldBeats::Accept, every_beat: true, ..config.clone() })
}

/// Returns the events after `Up` as short words, without steps of the client's clock.
fn story(server: &mut Driven) -> Vec<String> {
    let word = |change| match change {
        Change::Heard { seq, .. } => format!("heard {}", seq.unwrap_or_default()),
        Change::LateBeat { seq } => format!("late {seq}"),
        Change::Lost { first, last, .. } => format!("lost {first}-{last}"),
        Change::Restarted { seq, .. } => format!("again {}", seq.unwrap_or_default()),
        Change::Down { .. } => "down".into(),
        Change::Recovered { .. } => "back".into(),
        change => format!("{change:?}"),
    };
    let told = server.changes().into_iter().skip(1);
    told.filter(|change| !matches!(change, Change::ClockStepped { .. })).map(word).collect()
}

#[test]
fn falling_numbers_are_beats_and_only_0_or_1_is_a_restart() {
    for (numbers, expected) in [
        ("5 4 6", "heard 5, heard 4, heard 6"),
        ("3 5 4 6", "heard 3, lost 4-4, heard 5, late 4, heard 6"),
        ("5 4 5 6", "heard 5, heard 4, heard 5, heard 6"),
        ("500 10 11 501", "heard 500, heard 10, heard 11, heard 501"),
        ("7 7 7", "heard 7, heard 7, heard 7"),
        ("5 7 1 2", "heard 5, lost 6-6, heard 7, again 1, heard 1, heard 2"),
        ("5 0 2", "heard 5, again 0, heard 0, lost 1-1, heard 2"),
    ] {
        let mut server = accepting(&fixed());
        for (second, number) in (0..).zip(numbers.split(' ')) {
            server.hear(second * SECOND, client(1), number);
        }
        assert_eq!(story(&mut server).join(", "), expected, "{numbers}");
        assert_adds_up(server.0.counters());
    }
}

#[test]
fn every_beat_moves_the_deadline() {
    // Beats every four seconds, with a timeout of five.
    type Text = fn(i64) -> String;
    let texts: [(&str, Text); 6] = [
        ("the same text", |_| format!("Heartbeat 7 {WALL_S}.0")),
        ("the same number", |k| format!("7 {}.0", WALL_S + 4 * k)),
        ("a time that stands still", |k| format!("{k} {WALL_S}.0")),
        ("a time that falls", |k| format!("{k} {}.0", WALL_S - 100 * k)),
        ("a number that falls", |k| format!("{} {}.0", 500 - k, WALL_S + 4 * k)),
        ("a time alone that falls", |k| format!("hb {}.0", WALL_S - 100 * k)),
    ];
    for (what, text) in texts {
        let mut server = accepting(&fixed());
        for k in 0..20 {
            server.hear(4 * k * SECOND, client(1), &text(k));
        }
        let heard = story(&mut server);
        assert_eq!(heard.len(), 20, "{what}: {heard:?}");
        assert!(heard.iter().all(|event| event.starts_with("heard")), "{what}: {heard:?}");
        server.run_until((76 + 5) * SECOND);
        assert_eq!(story_end(&mut server), Some(Cause::Silence), "{what}");
    }
}

fn story_end(server: &mut Driven) -> Option<Cause> {
    match server.changes().pop()? {
        Change::Down { cause, .. } => Some(cause),
        _ => None,
    }
}

#[test]
fn an_interval_is_learned_from_beats_that_do_not_count() {
    let mut server = accepting(&ServerConfig { numbers: Numbers::First, ..multiple() });
    server.beats(0, 10, |_| "hb 7".into());
    server.hear(9 * SECOND + SECOND / 100, client(1), "hb 7");
    let peer = server.peer(10 * SECOND);
    assert_eq!((peer.state, peer.interval_ns), (State::Up, Some(SECOND)));
    assert_eq!(peer.sequence.received(), 1);
}

#[test]
fn any_beat_brings_a_client_back() {
    let mut server = accepting(&fixed());
    server.beats(0, 3, plain);
    server.run_until(20 * SECOND);
    server.hear(20 * SECOND, client(1), &plain(1));
    assert_eq!(story(&mut server)[3..], ["down", "back", "heard 1"]);
}
