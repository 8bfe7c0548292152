//! Many clients: mass silence, a stopped server, a full table.

use super::*;
use crate::Random;

#[test]
fn a_mass_silence_is_one_event_and_extends_timeouts() {
    let mut server = Driven::new(multiple());
    let beat = |server: &mut Driven, second: i64, numbers: std::ops::Range<u16>| {
        for number in numbers {
            let text = format!("hb;i=1000 {second} {}.0", WALL_S + second);
            server.hear(second * SECOND, client(number), &text);
        }
    };
    for second in 0..5 {
        beat(&mut server, second, 1..11);
    }
    // Half of them fall silent.
    for second in 5..13 {
        beat(&mut server, second, 1..6);
    }
    let told = server.changes();
    assert!(!told.iter().any(|change| matches!(change, Change::Down { .. })));
    let mass = told.iter().find_map(|change| match change {
        Change::MassSilence { silent, alive, listed } => Some((*silent, *alive, listed.len())),
        _ => None,
    });
    assert_eq!(mass, Some((5, 10, 5)));
    let mut server = Driven::new(multiple());
    for second in 0..5 {
        beat(&mut server, second, 1..11);
    }
    for second in 5..13 {
        beat(&mut server, second, 1..6);
    }
    for second in 13..20 {
        beat(&mut server, second, 1..9);
    }
    let downs: Vec<_> = server
        .events()
        .into_iter()
        .filter_map(|event| match event.change {
            Change::Down { cause, .. } => Some((event.address.port(), cause)),
            _ => None,
        })
        .collect();
    assert_eq!(downs, [(9, Cause::MassSilence), (10, Cause::MassSilence)]);
}

/// 10,000 clients with 1 % loss, and a server stopped for 30 s behind a socket that holds only part
/// of the beats; 50 clients die before the stop and 50 during it.
#[test]
fn a_stopped_server_marks_only_dead_clients_down() {
    const CLIENTS: u16 = 10_000;
    const HELD: usize = 20_000;
    let (stop, resume) = (20 * SECOND, 50 * SECOND);
    let mut random = Random::new(Some(1));
    let died = |number: u16| match number {
        0..50 => 19 * SECOND,
        50..100 => 35 * SECOND,
        _ => i64::MAX,
    };
    let mut server = Driven::new(multiple());
    let mut held = 0;
    for second in 0..65 {
        for number in 0..CLIENTS {
            // Each client has its own phase.
            let ns = second * SECOND + i64::from(number) * SECOND / i64::from(CLIENTS);
            if ns >= died(number) || random.chance(0.01) {
                continue;
            }
            let text = format!("hb;i=1000 {second} {}.{:09}", WALL_S + second, ns % SECOND);
            if (stop..resume).contains(&ns) {
                // Beats that fit into the socket are delivered when the server runs again.
                if held < HELD {
                    held += 1;
                    arrive(&mut server.0, stamp(ns), client(number), text.as_bytes());
                }
            } else {
                server.hear(ns, client(number), &text);
            }
        }
        if second == 49 {
            tick(&mut server.0, stamp(resume));
        }
    }
    let events = server.events();
    let paused =
        events.iter().filter(|event| matches!(event.change, Change::Paused { .. })).count();
    assert_eq!(paused, 1);
    let mut down: Vec<u16> = Vec::new();
    for event in events {
        if let Change::Down { .. } = event.change {
            assert!(event.at.mono_ns <= resume + 5 * SECOND + SECOND / 10, "marked down in time");
            down.push(event.address.port());
        }
    }
    down.sort_unstable();
    assert_eq!(down, (0..100).collect::<Vec<u16>>(), "exactly the dead clients");
}

#[test]
fn a_flood_of_newcomers_evicts_only_its_own() {
    let mut server = Driven::new(ServerConfig { max_peers: 100, ..multiple() });
    let known = |server: &mut Driven, second: i64| {
        for number in 1..50 {
            server.hear(second * SECOND, client(number), &format!("hb;i=1000 {second}"));
        }
    };
    for second in 0..30 {
        known(&mut server, second);
        for stranger in 0..1000_u32 {
            let number = u32::try_from(second).unwrap() * 1000 + stranger;
            let from = SocketAddr::from((number.to_be_bytes(), 1));
            arrive(&mut server.0, at(second), from, b"hb;i=1000 1");
        }
        assert!(server.0.peer_count() <= 100);
    }
    let received: Vec<_> = server
        .0
        .peers(0)
        .filter(|peer| peer.address.ip() == client(1).ip())
        .map(|peer| peer.sequence.received())
        .collect();
    assert_eq!(received, [30; 49]);
    assert!(server.0.counters().rejected > 28_000);
    assert_adds_up(server.0.counters());
}

#[test]
fn an_ended_client_makes_room() {
    let mut server = Driven::new(fixed());
    for number in 1..=4 {
        server.hear(0, client(number), "1");
    }
    assert_eq!((server.0.peer_count(), server.0.counters().rejected), (3, 1));
    server.hear(6 * SECOND, client(4), "1");
    assert_eq!((server.0.peer_count(), server.0.counters().rejected), (3, 1));
    assert!(server.0.peers(0).any(|peer| peer.address == client(4)));
    assert_eq!(server.0.removals(), 1);
    assert!(server.0.peers_from(1, 0).eq(server.0.peers(0).skip(1)));
    assert_adds_up(server.0.counters());
}

/// Sends one beat from each newcomer, all at `second`.
fn flood(server: &mut Driven, second: i64, numbers: std::ops::Range<u32>, text: &str) {
    for number in numbers {
        let from = SocketAddr::from(((0x0a00_0000 + number).to_be_bytes(), 1));
        server.run_until(second * SECOND);
        arrive(&mut server.0, at(second), from, text.as_bytes());
    }
}

#[test]
fn a_flood_makes_room_again_whatever_it_declared() {
    for text in ["hb 1", "hb;i=86400000 1", "hb;s=busy;u=99999999999 1", "hb;s=bye 1"] {
        let mut server = Driven::new(ServerConfig { max_peers: 100, ..multiple() });
        for second in 0..100 {
            server.hear(second * SECOND, client(1), &format!("hb;i=1000 {second}"));
            if second == 10 {
                flood(&mut server, second, 0..1000, text);
            }
        }
        server.hear(100 * SECOND, client(2), "hb;i=1000 1");
        server.hear(101 * SECOND, client(2), "hb;i=1000 2");
        let ports: Vec<_> = server.0.peers(0).map(|peer| peer.address.port()).collect();
        assert!(ports.contains(&2), "{text}");
        // A client that said goodbye makes room immediately.
        let rejected = if text.contains("bye") { 0 } else { 901 };
        assert_eq!(server.0.counters().rejected, rejected, "{text}");
        assert_adds_up(server.0.counters());
    }
}

/// 60 datagrams per 25 entries of the table, as in an attack that locked others out for five days.
#[test]
fn a_few_beats_do_not_hold_an_entry_for_as_long_as_they_say() {
    for claims in [
        ["hb;i=86400000 1", "hb;i=86400000 2"],
        ["hb;i=1000 1", "hb;i=86400000 2"],
        ["hb;i=1000 1", "hb;i=1000;s=busy;u=432000000 2"],
        ["hb;i=1000 1", "hb;i=1000;g=86400000 2"],
    ] {
        let mut server = Driven::new(ServerConfig { max_peers: 100, ..multiple() });
        for text in claims {
            flood(&mut server, 10, 0..100, text);
        }
        assert_eq!(server.0.counters().rejected, 0);
        server.run_until(71 * SECOND);
        for second in 71..75 {
            server.hear(second * SECOND, client(1), &format!("hb;i=1000 {second}"));
        }
        assert_eq!(server.0.counters().rejected, 0, "{claims:?}");
        assert!(server.0.peers(0).any(|peer| peer.address == client(1)));
        assert_adds_up(server.0.counters());
    }
}

#[test]
fn a_client_that_has_kept_a_long_interval_is_not_displaced() {
    const DAY: i64 = 86_400;
    let mut server = Driven::new(ServerConfig { max_peers: 100, ..multiple() });
    for day in 0..3 {
        for number in 1..=10 {
            server.hear(day * DAY * SECOND, client(number), &format!("hb;i=86400000 {day}"));
        }
    }
    flood(&mut server, 2 * DAY + DAY / 2, 0..1000, "hb;i=86400000 1");
    flood(&mut server, 3 * DAY, 1000..2000, "hb;i=86400000 1");
    let kept = server.0.peers(0).filter(|peer| peer.address.ip() == client(1).ip());
    assert_eq!(kept.count(), 10);
}

#[test]
fn silent_newcomers_neither_cause_nor_hide_a_mass_silence() {
    for text in ["hb;i=1000 1", "hb 1"] {
        let mut server = Driven::new(multiple());
        let beats = |server: &mut Driven,
                     seconds: std::ops::Range<i64>,
                     numbers: std::ops::Range<u16>| {
            for second in seconds {
                for number in numbers.clone() {
                    server.hear(second * SECOND, client(number), &format!("hb;i=1000 {second}"));
                }
            }
        };
        beats(&mut server, 0..10, 1..11);
        flood(&mut server, 10, 0..1000, text);
        // One client dies, and the flood falls silent at the same time.
        beats(&mut server, 10..100, 2..11);
        let known = |event: &Event| event.address.ip() == client(1).ip();
        let told = server.events();
        let down =
            told.iter().find(|event| known(event) && matches!(event.change, Change::Down { .. }));
        assert_eq!(down.map(|event| event.at), Some(at(14)), "{text}");
        let mass = |event: &Event| matches!(event.change, Change::MassSilence { .. });
        assert!(!told.iter().any(mass), "{text}");
        // All clients fall silent during a flood.
        beats(&mut server, 100..110, 1..11);
        flood(&mut server, 110, 1000..2000, "hb;i=86400000 1");
        server.run_until(118 * SECOND);
        let told = server.events();
        assert!(told.iter().any(mass), "{text}");
        assert!(
            !told.iter().any(|event| known(event) && matches!(event.change, Change::Down { .. }))
        );
        server.run_until(120 * SECOND);
        let down = server
            .events()
            .into_iter()
            .filter(|event| known(event) && matches!(event.change, Change::Down { .. }));
        assert_eq!(down.count(), 10, "all that stay silent");
    }
}

#[test]
fn a_draining_queue_does_not_prolong_a_mass_silence() {
    let mut server = Driven::new(multiple());
    let beats = |server: &mut Driven, second: i64, late: i64| {
        for number in 1..11 {
            let text = format!("hb;i=1000 {second} {}.0", WALL_S + second);
            server.hear((second + late) * SECOND, client(number), &text);
        }
    };
    for second in 0..10 {
        beats(&mut server, second, 0);
    }
    for second in 10..25 {
        beats(&mut server, second, 8);
    }
    server.run_until(60 * SECOND);
    let down: Vec<_> = server
        .events()
        .into_iter()
        .filter(|event| matches!(event.change, Change::Down { .. }))
        .map(|event| event.at)
        .collect();
    assert_eq!(down, [at(19); 10]);
}
