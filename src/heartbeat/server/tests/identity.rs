//! Who is who: replicas under one name, clients that move, and forged beats.

use super::*;

/// A host other than that of the clients by number.
fn elsewhere(number: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], number))
}

/// A beat of `api` with an interval of a second.
fn beat(boot: &str, seq: i64, second: i64) -> String {
    format!("hb;i=1000;b={boot};id=api {seq} {}.0", WALL_S + second)
}

/// Returns how many events of each kind there are, without `Up`.
fn tally(server: &mut Driven) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for change in server.changes() {
        let text = format!("{change:?}");
        let kind = text.split(' ').next().unwrap_or_default().to_owned();
        *counts.entry(kind).or_default() += 1;
    }
    counts.remove("Up");
    counts.into_iter().collect()
}

#[test]
fn several_replicas_are_one_conflict() {
    for hosts in [[client(1), client(2), client(3)], [client(1), elsewhere(2), elsewhere(3)]] {
        let mut server = Driven::new(multiple());
        for second in 0..60 {
            for (boot, from) in ["a", "b", "c"].into_iter().zip(hosts) {
                // Each has its own phase, and a few beats are lost.
                if (second * 7 + i64::from(from.port())) % 13 > 0 {
                    let ns = second * SECOND + i64::from(from.port()) * SECOND / 4;
                    server.hear(ns, from, &beat(boot, second, second));
                }
            }
        }
        let told = server.changes();
        let conflicts: Vec<_> =
            told.iter().filter(|change| matches!(change, Change::Conflict { .. })).collect();
        let [Change::Conflict { boots, addresses }] = conflicts[..] else { panic!("{told:?}") };
        let mut sorted = boots.to_vec();
        sorted.sort_unstable();
        assert_eq!((sorted, addresses.len()), (vec![10, 11, 12], 3));
        let restarts = |change: &&Change| matches!(change, Change::Restarted { .. });
        assert!(told.iter().filter(restarts).count() <= 1, "{told:?}");
        let peer = server.peer(60 * SECOND);
        assert_eq!((server.0.peer_count(), peer.state), (1, State::Up));
        assert_eq!(server.0.counters().stale, 0, "all of them are alive");
    }
}

#[test]
fn a_third_replica_is_one_more_conflict() {
    let mut server = Driven::new(multiple());
    for second in 0..30 {
        for (boot, number, from) in [("a", 1, 0), ("b", 2, 5), ("c", 3, 15)] {
            if second >= from {
                let ns = second * SECOND + i64::from(number);
                server.hear(ns, client(number), &beat(boot, second, second));
            }
        }
    }
    let expected = [
        Change::Up { seq: Some(0) },
        conflict(&[(10, 1), (11, 2)]),
        conflict(&[(10, 1), (11, 2), (12, 3)]),
    ];
    assert_eq!(server.changes(), expected);
}

#[test]
fn a_replica_that_beats_more_often_does_not_alternate_with_another() {
    let mut server = Driven::new(multiple());
    for tick in 0..600 {
        let second = tick / 10;
        server.hear(tick * SECOND / 10, client(1), &format!("hb;i=100;b=a;id=api {tick}"));
        if tick % 10 == 5 {
            server.hear(tick * SECOND / 10 + 1, client(2), &beat("b", second, second));
        }
    }
    assert_eq!(tally(&mut server), [("Conflict".into(), 1)]);
}

#[test]
fn an_address_that_changes_with_each_beat_is_one_client() {
    for word in ["hb;i=1000;b=a1", "hb;i=1000;b=a1;id=api"] {
        let mut server = Driven::new(multiple());
        for second in 0..100_i64 {
            let from = elsewhere(1000 + u16::try_from(second).unwrap());
            server.hear(second * SECOND, from, &format!("{word} {second}"));
        }
        assert_eq!((server.0.peer_count(), tally(&mut server)), (1, vec![("Moved".into(), 1)]));
        assert_eq!(server.peer(99 * SECOND).address, elsewhere(1099));
        // Where it stays in the end is told, too.
        for second in 100..200 {
            server.hear(second * SECOND, elsewhere(1099), &format!("{word} {second}"));
        }
        assert_eq!(server.changes(), [Change::Moved { from: elsewhere(1001) }]);
    }
}

#[test]
fn a_client_with_two_paths_moves_once_and_may_say_goodbye_on_both() {
    for last in [client(1), elsewhere(2)] {
        let mut server = Driven::new(multiple());
        for second in 0..100 {
            let from = if second * 7 % 5 < 3 { client(1) } else { elsewhere(2) };
            server.hear(second * SECOND, from, &beat("a", second, second));
        }
        assert_eq!(tally(&mut server), [("Moved".into(), 1)]);
        server.hear(100 * SECOND, last, "hb;b=a;id=api;s=bye 100");
        assert_eq!(server.peer(0).state, State::Stopped);
    }
}

#[test]
fn two_senders_behind_one_address_are_a_conflict() {
    // The numbers of the second, and whether beats carry times.
    for (first, timed) in
        [(4900, false), (4900, true), (1, false), (1, true), (30, true), (10, true)]
    {
        let mut server = Driven::new(ServerConfig { by_host: true, ..multiple() });
        let beat = |server: &mut Driven, number: u16, seq: i64, ns: i64| {
            let time = if timed {
                format!("{}.{:09}", WALL_S + ns / SECOND, ns % SECOND)
            } else {
                String::new()
            };
            server.hear(ns, client(number), &format!("hb {seq} {time}"));
        };
        for second in 0..50 {
            beat(&mut server, 1, second, second * SECOND);
            if second >= 10 {
                beat(&mut server, 2, first + second - 10, second * SECOND + SECOND / 2);
            }
        }
        let told = server.changes();
        let count = |kind: &str| {
            told.iter().filter(|change| format!("{change:?}").starts_with(kind)).count()
        };
        assert_eq!(count("Conflict"), 1, "{first} {timed}: {told:?}");
        assert!(count("Lost") <= 1 && count("Restarted") <= 1, "{first} {timed}: {told:?}");
        assert_eq!(count("Suspect") + count("Down"), 0, "{first} {timed}: {told:?}");
        assert_adds_up(server.0.counters());
    }
}

/// Returns the addresses of the conflicts, each list sorted.
fn conflicts(server: &mut Driven) -> Vec<Vec<SocketAddr>> {
    let addresses = |change| match change {
        Change::Conflict { addresses, .. } => Some(addresses),
        _ => None,
    };
    let told = server.changes().into_iter().filter_map(addresses);
    told.map(|addresses| {
        let mut addresses = addresses.into_vec();
        addresses.sort_unstable();
        addresses
    })
    .collect()
}

#[test]
fn senders_that_nothing_but_their_addresses_distinguish_are_a_conflict() {
    const TIME: &str = " {s}.{ns}";
    for (word, time) in [("hb ", TIME), ("", TIME), ("", ""), ("hb;i=1000;id=api ", TIME)] {
        for (first, second) in [(30, 4900), (7, 12), (5, 5), (900, 2), (1, 40), (40, 1), (1, 1)] {
            let mut server = Driven::new(ServerConfig { by_host: true, ..multiple() });
            for k in 0..50 {
                for (number, from, ns) in [(1, first, 0), (2, second, SECOND / 3)] {
                    let ns = k * SECOND + ns;
                    let time = time.replace("{s}", &(WALL_S + ns / SECOND).to_string());
                    let time = time.replace("{ns}", &format!("{:09}", ns % SECOND));
                    server.hear(ns, client(number), &format!("{word}{}{time}", from + k));
                }
            }
            let expected = [[client(1), client(2)]];
            assert_eq!(conflicts(&mut server), expected, "{word}{first}{time} {second}");
            assert_eq!(server.peer(50 * SECOND).state, State::Up);
            assert_adds_up(server.0.counters());
        }
    }
    // Three under one name, on several hosts.
    for text in ["hb;i=1000;id=api", "hb;i=1000;id=api {k}", "hb;i=1000;id=api {k} {s}.0{n}"] {
        for numbers in [[0, 0, 0], [10, 500, 9000]] {
            let mut server = Driven::new(multiple());
            for k in 0..50 {
                for (n, number) in (1..4).zip(numbers) {
                    let text = text.replace("{k}", &(number + k).to_string());
                    let text = text.replace("{s}", &(WALL_S + k).to_string());
                    let from = SocketAddr::from(([10, 0, 0, n], 9));
                    let ns = k * SECOND + i64::from(n) * SECOND / 10;
                    server.hear(ns, from, &text.replace("{n}", &n.to_string()));
                }
            }
            let told = conflicts(&mut server);
            // Equal numbers without a time may be copies.
            let is_blind = numbers[0] == numbers[1] && text.ends_with("{k}");
            assert_eq!(told.len(), usize::from(!is_blind), "{text} {numbers:?}");
            assert!(told.iter().all(|addresses| addresses[0] < addresses[1]), "{told:?}");
        }
    }
}

#[test]
fn one_sender_with_several_sockets_is_no_conflict() {
    type Text = fn(i64) -> String;
    let texts: [Text; 5] = [
        |k| format!("hb {} {}.0", k + 1, WALL_S + k),
        |k| format!("{}", k + 1),
        |k| format!("jobs {} {}.5", 2 + k * k % 7, WALL_S + k),
        |_| "hb;i=1000;id=backup".into(),
        |k| format!("hb {}.0", WALL_S + k),
    ];
    for text in texts {
        // A new socket for each beat.
        let mut server = Driven::new(ServerConfig { by_host: true, ..multiple() });
        for k in 0..300 {
            server.hear(k * SECOND, client(1000 + u16::try_from(k).unwrap()), &text(k));
        }
        let told = server.changes();
        let is_usual = |change: &Change| matches!(change, Change::Up { .. } | Change::Lost { .. });
        assert!(told.iter().all(is_usual), "{}: {told:?}", text(0));
        assert_eq!((server.0.peer_count(), server.peer(300 * SECOND).state), (1, State::Up));
        // Another one now and then.
        let mut server = Driven::new(ServerConfig { by_host: true, ..multiple() });
        (0..300).for_each(|k| {
            server.hear(k * SECOND, client(u16::try_from(k / 10 % 2).unwrap()), &text(k));
        });
        assert!(conflicts(&mut server).is_empty() || !text(1).contains("1 "), "{}", text(0));
    }
    // Two paths, one of them slower, in turn and both for each beat.
    for paths in [1, 2] {
        let mut server = Driven::new(multiple());
        for k in 0..300_i64 {
            for path in 0..paths {
                let is_second = (k + path) % 2 == 1;
                let seq = if is_second { (k - 3).max(0) } else { k };
                let from = if is_second { client(1) } else { elsewhere(2) };
                let text = format!("hb;i=1000;id=api {seq} {}.0", WALL_S + seq);
                server.hear(k * SECOND + path, from, &text);
            }
        }
        assert_eq!(conflicts(&mut server).len(), 0);
    }
}

#[test]
fn reordered_and_repeated_numbers_are_not_two_senders() {
    type Number = fn(i64) -> i64;
    let orders: [(&str, Number); 4] = [
        ("pairs", |k| k ^ 1),
        ("blocks", |k| k ^ 7),
        ("copies", |k| k / 2),
        ("far copies", |k| if k % 2 == 0 { k / 2 } else { (k / 2 - 3).max(0) }),
    ];
    for (what, number) in orders {
        let mut server = Driven::new(multiple());
        for k in 0..400 {
            server.hear(k * SECOND / 4, client(1), &format!("hb;i=1000 {}", 100 + number(k)));
        }
        let told = server.changes();
        let wrong =
            |change: &Change| matches!(change, Change::Conflict { .. } | Change::Restarted { .. });
        assert!(what == "far copies" || !told.iter().any(wrong), "{what}: {told:?}");
    }
}

#[test]
fn one_forged_boot_hides_no_death() {
    const ANNOUNCEMENTS: [&str; 5] =
        ["", ";i=31536000000", ";s=busy;u=31536000000", ";s=bye", ";s=stalled;i=31536000000"];
    for from in [client(1), client(9), elsewhere(9)] {
        for more in ANNOUNCEMENTS {
            // Before the death, between it and the suspicion, while suspected, and after all.
            for ms in [9_200, 10_500, 12_500, 13_500, 20_000] {
                let mut server = Driven::new(multiple());
                server.beats(0, 11, |second| beat("a", second, second));
                let mut server = if ms < 10_000 { Driven::new(multiple()) } else { server };
                if ms < 10_000 {
                    server.beats(0, 10, |second| beat("a", second, second));
                }
                server.hear(ms * SECOND / 1000, from, &format!("hb;b=f;id=api{more} 1"));
                if ms < 10_000 {
                    server.beats(10, 1, |second| beat("a", second, second));
                }
                server.run_until(27 * SECOND);
                let peer = server.peer(27 * SECOND);
                assert_eq!(peer.state, State::Down, "{from} {more} {ms}: {peer:?}");
                let told = server.events();
                let down = told.iter().find(|event| matches!(event.change, Change::Down { .. }));
                assert_eq!(down.map(|event| event.at), Some(at(15)), "{from} {more} {ms}");
                assert_adds_up(server.0.counters());
            }
        }
    }
}

#[test]
fn one_forged_beat_hides_no_death_of_a_client_without_a_boot_id() {
    const YEAR: &str = "31536000000";
    let forged = [
        "hb;i=YEAR;id=api 11",
        "hb;i=YEAR;id=api 1",
        "hb;i=YEAR;id=api 99999",
        "hb;i=YEAR;id=api",
        "hb;i=1000;s=busy;u=YEAR;id=api 11",
        "hb;i=1000;x=100;g=YEAR;id=api 11",
        "hb;i=YEAR;s=bye;id=api 11",
        "hb;i=YEAR;b=f;id=api 11",
        "hb;s=failed;b=f;id=api 11",
    ];
    for text in forged {
        for (from, number) in [(client(9), " {k}"), (elsewhere(9), " {k}"), (elsewhere(9), "")] {
            for before in [false, true] {
                let mut server = Driven::new(multiple());
                let text = format!("{} {}.0", text.replace("YEAR", YEAR), WALL_S + 10);
                if before {
                    server.hear(0, from, &text);
                }
                server.beats(1, 9, |second| {
                    let number = number.replace("{k}", &second.to_string());
                    format!("hb;i=1000;id=api{number} {}.0", WALL_S + second)
                });
                if !before {
                    server.hear(9 * SECOND + SECOND / 2, from, &text);
                }
                server.run_until(15 * SECOND);
                let state = server.peer(15 * SECOND).state;
                assert_eq!(state, State::Down, "{text} {from} {number} {before}");
                assert_adds_up(server.0.counters());
            }
        }
    }
}

#[test]
fn the_living_client_wins_over_a_forged_boot() {
    for from in [client(1), client(9), elsewhere(9)] {
        for more in [";i=31536000000", ";s=busy;u=31536000000;i=1", ";s=bye"] {
            let mut server = Driven::new(multiple());
            server.beats(0, 10, |second| beat("a", second, second));
            // Even two of them do not last.
            for seq in 1..3 {
                server.hear(9 * SECOND + seq, from, &format!("hb;b=f;id=api{more} {seq}"));
            }
            server.beats(10, 10, |second| beat("a", second, second));
            let peer = server.peer(19 * SECOND);
            assert_eq!((peer.boot, peer.state), (Some(10), State::Up), "{from} {more}");
            assert_eq!((peer.interval_ns, peer.address), (Some(SECOND), client(1)));
            assert_eq!(server.0.counters().stale, 0);
            assert!(!server.changes().iter().any(|change| matches!(change, Change::Down { .. })));
        }
    }
}

#[test]
fn a_boot_of_another_host_is_followed_once_the_known_one_is_silent() {
    for config in [multiple(), fixed()] {
        let mut server = Driven::new(config);
        server.beats(0, 5, |second| beat("a", second, second));
        for second in 5..20 {
            server.hear(second * SECOND, elsewhere(2), &beat("b", second - 4, second));
            assert_eq!(server.peer(0).boot, Some(if second < 7 { 10 } else { 11 }), "{second}");
        }
        let told = server.changes();
        assert!(!told.iter().any(|change| matches!(change, Change::Down { .. })), "{told:?}");
        let peer = server.peer(0);
        assert_eq!((peer.sequence.received(), peer.sequence.expected()), (15, Some(15)));
    }
}

#[test]
fn a_beat_without_a_boot_id_is_not_believed_of_a_client_that_has_one() {
    let mut server = Driven::new(multiple());
    server.beats(0, 5, |second| beat("a", second, second));
    for second in 5..30 {
        server.hear(second * SECOND, client(1), &format!("hb;i=1000;id=api {second}"));
    }
    assert_eq!(server.peer(29 * SECOND).state, State::Down);
    assert_eq!((server.0.counters().unproven, server.peer(0).sequence.received()), (25, 5));
}

#[test]
fn a_goodbye_counts_only_from_an_address_that_is_proven() {
    for (word, heard, state) in [
        ("hb;i=1000;b=a;id=api", 0, State::Up),
        ("hb;i=1000;b=a;id=api", 1, State::Up),
        ("hb;i=1000;b=a;id=api", 2, State::Failed),
        ("hb;i=1000;id=api", 1, State::Up),
        ("hb;i=1000;b=a", 1, State::Up),
    ] {
        let mut server = Driven::new(multiple());
        server.beats(0, 5, |second| format!("{word} {second}"));
        for second in 5..5 + heard {
            server.hear(second * SECOND, elsewhere(9), &format!("{word} {second}"));
        }
        server.hear(6 * SECOND, elsewhere(9), &format!("{word};s=failed;e=OSError 7"));
        assert_eq!(server.peer(0).state, state, "{word} {heard}");
        assert_eq!(server.0.counters().unproven, u64::from(state == State::Up));
        server.hear(7 * SECOND, client(1), &format!("{word};s=bye 8"));
        assert!(server.peer(6 * SECOND).state.is_end(), "the old address stays its own");
    }
    // The only beat of a client is enough, and so is that of a new start.
    let mut server = Driven::new(multiple());
    for (second, boot) in [(0, "a"), (60, "b"), (120, "c")] {
        server.hear(second * SECOND, client(1), &beat(boot, 1, second));
        server.hear(second * SECOND, client(1), &format!("hb;b={boot};id=api;s=bye 2"));
        assert_eq!(server.peer(second * SECOND).state, State::Stopped);
    }
}

#[test]
fn a_job_that_sends_one_beat_per_boot_is_alive_and_missed() {
    const HOUR: i64 = 3600;
    let mut server = Driven::new(multiple());
    let run = |server: &mut Driven, k: i64, hours: i64, interval: i64| {
        let from = elsewhere(u16::try_from(k).unwrap());
        let text = format!("hb;i={};b={k:x};id=job 1", interval * HOUR * 1000);
        server.hear(hours * HOUR * SECOND, from, &text);
        assert_eq!(server.peer(hours * HOUR * SECOND).boot, Some(k.cast_unsigned()));
    };
    (1..20).for_each(|k| run(&mut server, k, k, 1));
    // From now on it runs every other hour: the second run that says so is believed.
    (20..23).for_each(|k| run(&mut server, k, 20 + 2 * (k - 20), 2));
    let told = server.changes();
    assert!(!told.iter().any(|change| matches!(change, Change::Suspect { .. })), "{told:?}");
    assert_eq!(server.peer(0).interval_ns, Some(2 * HOUR * SECOND));
    server.run_until(34 * HOUR * SECOND);
    assert_eq!(server.peer(0).state, State::Down);
}

#[test]
fn a_job_that_runs_far_too_often_is_reported() {
    let mut server = Driven::new(multiple());
    for k in 0..1000 {
        let text = format!("hb;i=86400000;b={:x};id=job 1", k + 1);
        server.hear(k * 60 * SECOND, elsewhere(u16::try_from(k).unwrap()), &text);
    }
    let too_often = Change::TooOften { interval_ns: 86_400 * SECOND, gap_ns: 60 * SECOND };
    assert_eq!(server.changes(), [Change::Up { seq: Some(1) }, too_often]);
}

#[test]
fn rivals_are_bounded() {
    let mut server = Driven::new(multiple());
    for second in 0..20 {
        for boot in 1..200_u16 {
            server.hear(second * SECOND, client(boot), &beat(&format!("{boot:x}"), second, second));
        }
    }
    let rivals = server.0.table.details(0).unwrap().rivals.len();
    assert_eq!((server.0.peer_count(), rivals), (1, 8));
    let expected = server.changes().iter().filter(|c| matches!(c, Change::Conflict { .. })).count();
    assert!(expected <= 2);
    assert_adds_up(server.0.counters());
}

/// What strangers, copies and replicas may send before: the host, the boot, the number, more
/// declarations, and the time passed in ms.
type Noise = (bool, u16, char, u8, &'static str, i64);

fn noise() -> impl Strategy<Value = Noise> {
    let more =
        vec!["", ";i=1000", ";i=31536000000", ";s=busy;u=60000", ";s=bye", ";s=failed", ";i=1"];
    (
        any::<bool>(),
        1..4_u16,
        prop::sample::select(vec!['a', 'b', 'c', 'd', '-']),
        0..9_u8,
        prop::sample::select(more),
        0..3000_i64,
    )
}

proptest! {
    /// Whatever came before, a client that has beaten regularly for five beats is not down while
    /// it goes on.
    #[test]
    fn five_regular_beats_of_a_boot_are_a_living_client(
        before in prop::collection::vec(noise(), 0..60),
        meanwhile in prop::collection::vec(noise(), 0..30),
        named: bool,
        by_host: bool,
    ) {
        let mut server = Driven::new(ServerConfig { by_host, ..multiple() });
        let id = if named { ";id=api" } else { "" };
        let mut now_ns = 0;
        let send = |server: &mut Driven, now_ns: i64, (far, number, boot, seq, more, _): Noise| {
            let from = if far { elsewhere(number) } else { client(number) };
            let boot = if boot == '-' { String::new() } else { format!(";b={boot}") };
            server.hear(now_ns, from, &format!("hb{boot}{id}{more} {seq}"));
        };
        for part in before {
            now_ns += part.5 * SECOND / 1000;
            send(&mut server, now_ns, part);
        }
        let mut meanwhile = meanwhile.into_iter();
        for k in 0..40 {
            now_ns += SECOND;
            server.hear(now_ns, client(7), &format!("hb;i=1000;b=77{id} {k}"));
            if k == 5 {
                server.changes();
            }
            if let Some(part) = meanwhile.next() {
                send(&mut server, now_ns + SECOND / 2, part);
            }
            let told = server.events();
            let is_down = |event: &Event| {
                matches!(event.change, Change::Down { .. })
                    && (named || by_host && event.address.ip() == client(7).ip() || event.address == client(7))
            };
            prop_assert!(k <= 5 || !told.iter().any(is_down), "{} {:?}", k, told);
        }
        assert_adds_up(server.0.counters());
    }
}
