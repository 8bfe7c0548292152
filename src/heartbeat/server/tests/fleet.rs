//! Many clients at once: mass silence, a stopped observer, a full table.

use super::*;
use crate::impair::Random;

#[test]
fn many_silent_at_once_are_one_event_and_held() {
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
    // Half of them fall silent; then all come back but two.
    for second in 5..13 {
        beat(&mut server, second, 1..6);
    }
    let told = server.signals();
    assert!(!told.iter().any(|signal| matches!(signal, Signal::Down { .. })));
    let mass = told.iter().find_map(|signal| match signal {
        Signal::MassSilence { silent, alive, listed } => Some((*silent, *alive, listed.len())),
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
        .filter_map(|event| match event.signal {
            Signal::Down { cause, .. } => Some((event.address.port(), cause)),
            _ => None,
        })
        .collect();
    assert_eq!(downs, [(9, Cause::MassSilence), (10, Cause::MassSilence)]);
}

/// The promise of the honest observer: 10,000 clients, the server stopped for 30 s with a socket
/// that holds only a part of what came, 1 % loss, and 50 that die before, 50 during the stop.
#[test]
fn a_stopped_server_takes_nobody_for_down_who_is_alive() {
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
            // Each has a phase of its own.
            let ns = second * SECOND + i64::from(number) * SECOND / i64::from(CLIENTS);
            if ns >= died(number) || random.chance(0.01) {
                continue;
            }
            let text = format!("hb;i=1000 {second} {}.{:09}", WALL_S + second, ns % SECOND);
            if (stop..resume).contains(&ns) {
                // What the socket can hold is handed over when the server runs again.
                if held < HELD {
                    held += 1;
                    server.0.on_datagram(stamp(ns), client(number), text.as_bytes());
                }
            } else {
                server.hear(ns, client(number), &text);
            }
        }
        if second == 49 {
            server.0.on_time(stamp(resume));
        }
    }
    let events = server.events();
    let paused =
        events.iter().filter(|event| matches!(event.signal, Signal::Paused { .. })).count();
    assert_eq!(paused, 1);
    let mut down: Vec<u16> = Vec::new();
    for event in events {
        if let Signal::Down { .. } = event.signal {
            assert!(event.at.mono_ns <= resume + 5 * SECOND + SECOND / 10, "found in time");
            down.push(event.address.port());
        }
    }
    down.sort_unstable();
    assert_eq!(down, (0..100).collect::<Vec<u16>>(), "all that died and nobody else");
}

#[test]
fn a_flood_of_newcomers_takes_only_each_others_places() {
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
            server.0.on_datagram(at(second), from, b"hb;i=1000 1");
        }
        assert!(server.0.len() <= 100);
    }
    let received: Vec<_> = server
        .0
        .peers(0)
        .filter(|peer| peer.address.ip() == client(1).ip())
        .map(|peer| peer.sequence.received())
        .collect();
    assert_eq!(received, [30; 49]);
    assert!(server.0.counters().refused > 28_000);
    assert_adds_up(server.0.counters());
}

#[test]
fn who_ended_makes_room() {
    let mut server = Driven::new(fixed());
    for number in 1..=4 {
        server.hear(0, client(number), "1");
    }
    assert_eq!((server.0.len(), server.0.counters().refused), (3, 1));
    server.hear(6 * SECOND, client(4), "1");
    assert_eq!((server.0.len(), server.0.counters().refused), (3, 1));
    assert!(server.0.peers(0).any(|peer| peer.address == client(4)));
    assert_adds_up(server.0.counters());
}
