//! Losses and silences that are this host's own, or that of the sender's: not the network's.

use super::*;

/// A beat of a sender whose host has refused to send `unsent` beats.
fn beat(seq: i64, unsent: i64, more: &str) -> String {
    format!("hb;i=1000;b=a;id=api;d={unsent}{more} {seq} {}.0", WALL_S + seq)
}

fn counts(server: &Driven) -> (u64, Option<u64>) {
    let numbers = server.peer(0).sequence;
    (numbers.received(), numbers.expected())
}

#[test]
fn beats_that_never_left_are_not_lost() {
    let mut server = Driven::new(multiple());
    // Numbers 3 to 5 were refused, before the server started and after; 9 and 10 were lost, 11
    // was refused; and so was the one before the goodbye.
    for (seq, unsent) in [(1, 7), (2, 7), (6, 10), (8, 11), (12, 12), (13, 12), (14, 20), (15, 20)]
    {
        server.hear(seq * SECOND, client(1), &beat(seq, unsent, ""));
    }
    server.hear(17 * SECOND, client(1), &beat(17, 21, ";s=bye"));
    let expected = [
        Change::Up { seq: Some(1) },
        Change::Suspect { silence_ns: 3 * SECOND },
        Change::Recovered { from: State::Suspect, for_ns: 4 * SECOND, seq: Some(6) },
        Change::Suspect { silence_ns: 3 * SECOND },
        Change::Recovered { from: State::Suspect, for_ns: 4 * SECOND, seq: Some(12) },
        Change::Lost { first: 9, last: 11, excused: 1 },
        Change::Stopped,
    ];
    assert_eq!(server.changes(), expected);
    assert_eq!(counts(&server), (8, Some(10)));
    // A new start counts from 0.
    for (second, seq, unsent) in [(20, 2, 1), (21, 3, 1), (23, 5, 2)] {
        let text = format!("hb;i=1000;b=b;id=api;d={unsent} {seq}");
        server.hear(second * SECOND, client(1), &text);
    }
    assert_eq!(server.changes().len(), 1, "it restarted");
    assert_eq!(counts(&server), (3, Some(3)));
}

#[test]
fn the_count_of_unsent_beats_may_be_anything() {
    let mut server = Driven::new(multiple());
    for (seq, unsent) in
        [(1, 0), (4, 999_999_999_999_999_999), (7, 0), (10, 999_999_999_999_999_999)]
    {
        server.hear(seq * SECOND, client(1), &beat(seq, unsent, ""));
    }
    assert_eq!(counts(&server), (4, Some(6)));
}

#[test]
fn a_suspended_server_books_its_own_pause() {
    // A beat or the end of the wait wakes it.
    for wakes in [true, false] {
        let mut server = Driven::new(multiple());
        for second in 0..10 {
            for number in 1..4 {
                server.hear(
                    second * SECOND,
                    client(number),
                    &format!("hb;i=1000;id={number} {second}"),
                );
            }
        }
        if wakes {
            tick(&mut server.0, at(40));
        }
        for second in 40..60 {
            for number in 1..3 {
                let text = format!("hb;i=1000;id={number} {second}");
                if second == 40 {
                    arrive(&mut server.0, at(40), client(number), text.as_bytes());
                } else {
                    server.hear(second * SECOND, client(number), &text);
                }
            }
            tick(&mut server.0, at(second));
        }
        let changes = server.events().into_iter().map(|event| (event.address.port(), event.change));
        let told: Vec<_> = changes.collect();
        let up = Change::Up { seq: Some(0) };
        assert_eq!(told[..3], [(1, up.clone()), (2, up.clone()), (3, up)]);
        assert!(matches!(told[3], (0, Change::Paused { .. })), "{told:?}");
        // The third client died meanwhile.
        assert!(told[4..].iter().all(|(number, _)| *number == 3), "{told:?}");
        assert!(matches!(told[4..], [(_, Change::Suspect { .. }), (_, Change::Down { .. })]));
        assert!(
            server
                .0
                .peers(0)
                .all(|peer| Some(peer.sequence.received()) == peer.sequence.expected())
        );
    }
}

#[test]
fn a_pause_is_one_event_whatever_waits_to_be_read() {
    const CLIENTS: i64 = 20;
    let text = |second| format!("hb;i=1000 {second}");
    // The seconds whose beats the receive buffer held, and the number of beats read together.
    for (held, together) in [(0, 1), (2, 1), (2, 30), (5, 1), (5, 7), (5, 100)] {
        let mut server = Driven::new(multiple());
        let beats = |from: i64, to: i64| {
            (from * CLIENTS..to * CLIENTS).map(|number| {
                let port = u16::try_from(1 + number % CLIENTS).unwrap();
                (number * SECOND / CLIENTS, client(port), text(number / CLIENTS))
            })
        };
        for (ns, from, text) in beats(0, 10) {
            server.hear(ns, from, &text);
        }
        let waiting: Vec<_> = beats(10, 10 + held).collect();
        let mut now = at(15);
        for batch in waiting.chunks(together) {
            for (ns, from, text) in batch {
                let mut payload = text.clone().into_bytes();
                let arrival = Arrival::new(now, *from, &mut payload);
                server.0.on_datagram(0, &mut Arrival { kernel: Some(stamp(*ns)), ..arrival });
            }
            server.0.on_time(0, now, batch[batch.len() - 1].0);
            now = stamp(now.mono_ns + SECOND / 1000);
        }
        tick(&mut server.0, now);
        for (ns, from, text) in beats(15, 25) {
            server.hear(ns.max(now.mono_ns), from, &text);
        }
        let changes = server.changes();
        let told = changes.iter().filter_map(|change| match change {
            Change::Paused { for_ns } => Some(*for_ns),
            Change::Suspect { .. } | Change::Down { .. } => Some(0),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        // It last ran when it heard the last beat.
        assert_eq!(told, [5 * SECOND + SECOND / CLIENTS], "{held} {together}");
    }
}

#[test]
fn a_pause_excuses_only_the_beats_due_in_it() {
    let mut server = Driven::new(multiple());
    server.beats(0, 10, |second| format!("hb;i=1000 {second}"));
    // Two beats had been lost before the server was paused.
    server.run_until(12 * SECOND - 1);
    arrive(&mut server.0, at(26), client(1), b"hb;i=1000 26");
    let lost =
        |change: &Change| matches!(change, Change::Lost { first: 10, last: 25, excused: 14..=15 });
    assert!(server.changes().iter().any(lost));
}

#[test]
fn an_expected_client_that_is_not_heard_is_missing() {
    let names = ["api", "db", "web"];
    let expect = names.iter().map(|name| name.as_bytes().into()).collect();
    let config = ServerConfig { expect, expect_within_ns: 10 * SECOND, ..multiple() };
    let mut server = Driven::new(config);
    assert_eq!(server.0.deadline(0), Some(i64::MIN), "its time begins with its first call");
    tick(&mut server.0, at(1));
    server.hear(5 * SECOND, client(1), "hb;i=1000;id=db 1");
    server.run_until(11 * SECOND);
    let missing: Vec<_> = server.0.missing().collect();
    assert_eq!(missing, [&b"api"[..], b"web"]);
    let told = server.events().into_iter().filter(|event| event.change == Change::Missing);
    let told: Vec<_> = told.map(|event| (event.name.unwrap(), event.at.mono_ns)).collect();
    assert_eq!(told, [(b"api"[..].into(), 11 * SECOND), (b"web"[..].into(), 11 * SECOND)]);
    server.hear(12 * SECOND, client(2), "hb;i=1000;id=web 1");
    assert_eq!(server.0.missing().collect::<Vec<_>>(), [b"api"]);
    server.run_until(100 * SECOND);
    assert!(!server.changes().contains(&Change::Missing));
}

#[test]
fn a_pause_does_not_count_as_the_silence_of_an_expected_client() {
    let expect = vec![b"api"[..].into()];
    let mut server =
        Driven::new(ServerConfig { expect, expect_within_ns: 10 * SECOND, ..multiple() });
    tick(&mut server.0, at(0));
    server.hear(0, client(1), "hb;i=1000;id=other 1");
    tick(&mut server.0, at(60));
    assert!(!server.changes().contains(&Change::Missing));
    server.run_until(70 * SECOND);
    assert!(server.changes().contains(&Change::Missing));
}
