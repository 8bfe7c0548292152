//! The fast path of the usual beat, compared with the path of all others.

use super::*;

/// Hears a beat on both paths, if the fast one takes it. Returns whether it does.
fn hear_on_both(server: &mut Server, at: Stamp, from: SocketAddr, text: &str) -> bool {
    let mut received = ReceivedBeat::new(at, from, text.as_bytes());
    server.parse(&mut received);
    received.hint = server.table.hint(received.hash);
    let index = received.hint as usize;
    let known = (index < server.table.len()).then(|| {
        let table = &server.table;
        (table.record(index).clone(), table.deadlines()[index], table.details(index).cloned())
    });
    let (counters, sweep_ns) = (server.counters, server.sweep_ns);
    let before = format!("{server:#?}");
    let is_fast = server.keep_pace(&received);
    let after = format!("{server:#?}");
    if let (true, Some((record, deadline_ns, details))) = (is_fast, known) {
        *server.table.record_mut(index) = record;
        *server.table.deadline_mut(index) = deadline_ns;
        if let Some(details) = details {
            *server.table.details_or_default(index) = details;
        }
        (server.counters, server.sweep_ns) = (counters, sweep_ns);
    }
    assert_eq!(format!("{server:#?}"), before, "{text}");
    server.handle(&mut received);
    if is_fast {
        assert_eq!(format!("{server:#?}"), after, "{text}");
    }
    is_fast
}

#[test]
fn the_fast_path_takes_the_usual_beat() {
    for numbers in [Numbers::Counting, Numbers::First] {
        for identity in ["", ";id=a", ";b=1", ";b=1;id=a"] {
            let mut server = Server::new(ServerConfig { numbers, ..multiple() });
            let mut hear = |second: i64, text: &str| {
                let text = format!("hb{identity}{text} {}.000000", WALL_S + second);
                hear_on_both(&mut server, at(second), client(1), &text)
            };
            let fast: Vec<_> =
                (0..5).map(|second| hear(second, &format!(";i=1000 {second}"))).collect();
            assert_eq!(fast, [false, false, true, true, true], "{identity}");
            let others = [
                ";i=1000;s=bye 5",
                ";i=2000 5",
                " 5",
                ";i=1000 4",
                ";i=1000;b=2 5",
                ";i=1000;id=b 5",
            ];
            for other in others {
                assert!(!hear(5, other), "{identity}{other}");
            }
        }
    }
}

/// A beat in the life of a client: the time since the last one in thousandths of the interval and
/// its variation in microseconds, the rise of the number, the delay in microseconds, the jump of the
/// sender's clock in milliseconds, whether the interval is declared, what else is, and whether a time
/// is sent, from the usual port.
type Step = (i64, i64, u64, i64, i64, bool, &'static str, bool, bool);

fn steps() -> impl Strategy<Value = Step> {
    let mostly = |usual: i64, others: &'static [i64]| prop_oneof![8 => Just(usual), 1 => prop::sample::select(others)];
    (
        mostly(1000, &[0, 100, 249, 250, 251, 500, 1999, 2000, 2001, 4000, 70_000]),
        prop_oneof![Just(0_i64), 0..50_000_i64],
        prop_oneof![8 => Just(1_u64), 1 => 0..5_u64, 1 => Just(u64::MAX / 2)],
        prop_oneof![Just(0_i64), 0..1000_i64, 0..3_000_000_i64],
        mostly(0, &[-3_600_000, -501, -500, -499, 499, 500, 501, 3_600_000]),
        prop::bool::weighted(0.95),
        prop_oneof![
            16 => Just(""),
            1 => prop::sample::select(&[
                ";i=1001", ";i=20000", ";i=9223372036854", ";s=ok", ";s=bye", ";s=busy;u=1000", ";x=2",
                ";g=1", ";b=1", ";b=2", ";d=1", ";f=0", ";a=1", ";id=a", ";id=b",
            ][..]),
        ],
        prop::bool::weighted(0.95),
        prop::bool::weighted(0.95),
    )
}

proptest! {
    #[test]
    fn both_paths_agree(
        steps in prop::collection::vec(steps(), 0..60),
        identity in prop::sample::select(&["", ";id=a", ";b=1", ";b=1;id=a"][..]),
        interval_ms in prop::sample::select(&[1000, 1000, 250, 25_000][..]),
        // The time that the sender's clock loses between two beats.
        slow_ms in prop::sample::select(&[0, 0, 0, 300][..]),
        kind in prop::sample::select(Kind::ALL.map(|(_, kind)| kind).to_vec()),
        suspect in prop_oneof![Just(3.0), 0.5..5.0],
        (by_host, numbered, every_beat) in (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1)),
        old_beats in prop::sample::select(OldBeats::ALL.map(|(_, old_beats)| old_beats).to_vec()),
    ) {
        let detector = Detector::new(kind, suspect, 5.0).unwrap();
        let config = ServerConfig { detector, old_beats, by_host, every_beat, ..multiple() };
        let mut server = Driven::new(config);
        let (mut now_ns, mut seq, mut clock_ns) = (0, 0_u64, 0);
        for (gap, vary_us, rise, delay_us, jump_ms, declares, more, is_timed, is_home) in steps {
            now_ns += gap * interval_ms * 1000 + vary_us * 1000;
            seq = seq.wrapping_add(rise);
            clock_ns += (jump_ms - slow_ms) * 1_000_000;
            let sent_ns = WALL_S * SECOND + now_ns + clock_ns - delay_us * 1000;
            let interval = if declares { format!(";i={interval_ms}") } else { String::new() };
            let label = if numbered { "seq=" } else { "" };
            let time = format!("{}.{:09}", sent_ns / SECOND, sent_ns % SECOND);
            let time = if is_timed { &time } else { "" };
            let text = format!("hb{identity}{interval}{more} {label}{seq} {time}");
            server.run_until(now_ns);
            hear_on_both(&mut server.0, stamp(now_ns), client(if is_home { 1 } else { 2 }), &text);
        }
    }
}
