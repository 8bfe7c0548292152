//! Hostile datagrams and arbitrary clocks: nothing overflows and counts stay consistent.

use super::*;

/// Numbers near the limits of integer types, and any others.
fn numbers() -> impl Strategy<Value = u64> {
    let edges = [8, 16, 31, 32, 53, 63].map(|bits| 1_u64 << bits);
    let near = (prop::sample::select(edges.to_vec()), -70..70_i64);
    prop_oneof![
        0..70_u64,
        near.prop_map(|(edge, off)| edge.saturating_add_signed(off)),
        u64::MAX - 70..=u64::MAX,
        any::<u64>(),
    ]
}

fn times() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (WALL_S - 50..WALL_S + 50).prop_map(|second| format!("{second}.5")),
        (1..10_i64, "[0-9]{9,18}(\\.[0-9]{0,12})?")
            .prop_map(|(first, rest)| format!("{first}{rest}")),
        "(16|19|22)[0-9]{2}-(01|12)-(01|31)[T ]23:59:(59|60)(\\.9{1,12})?(Z|[+-]99:99)?",
        "Mon Jan  1 00:00:00 (1678|1970|2261)",
        "[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}",
    ]
}

fn declarations() -> impl Strategy<Value = String> {
    let status = prop::sample::select(vec!["ok", "stalled", "busy", "bye"]);
    (
        status,
        prop::option::of(numbers()),
        prop::option::of(numbers()),
        "(;id=[ab])?(;b=[12])?(;x=[0-9]{1,12})?(;g=[0-9]{1,18})?",
    )
        .prop_map(|(status, interval, other, more)| {
            let interval = interval.map(|ms| format!(";i={ms}")).unwrap_or_default();
            let other = other.map(|ms| format!(";a={ms};u={ms}.999999999")).unwrap_or_default();
            format!("hb;s={status}{interval}{other}{more}")
        })
}

fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let text =
        (prop_oneof![Just("hb".to_owned()), declarations()], prop::option::of(numbers()), times());
    let text = text.prop_map(|(word, number, time)| {
        let number = number.map(|number| number.to_string()).unwrap_or_default();
        format!("{word} {number} {time}").into_bytes()
    });
    let packed = (any::<u32>(), any::<f64>())
        .prop_map(|(seq, time)| [&seq.to_le_bytes()[..], &time.to_le_bytes()].concat());
    prop_oneof![8 => text, 1 => packed, 1 => any::<Vec<u8>>()]
}

/// Clock readings that are mostly small and sometimes extreme.
fn stamps() -> impl Strategy<Value = Stamp> {
    let ns = || {
        prop_oneof![
            4 => 0..1000 * SECOND,
            1 => Just(i64::MIN),
            1 => Just(i64::MAX),
            1 => any::<i64>(),
        ]
    };
    (ns(), ns()).prop_map(|(mono_ns, wall_ns)| Stamp { mono_ns, wall_ns })
}

fn assert_sane(server: &mut Server, now: Stamp) {
    for peer in server.peers(now.mono_ns) {
        let numbers = &peer.sequence;
        assert!(numbers.expected().is_none_or(|expected| numbers.received() <= expected));
        assert!(peer.interval_ns.is_none_or(|ns| ns >= 1_000_000), "{:?}", peer.interval_ns);
        assert!(peer.timeout_ns >= 0 && peer.delay_ns.is_none_or(|ns| ns >= 0));
    }
    while let Some(Event { before, .. }) = server.events().pop() {
        assert!(before.expected.is_none_or(|expected| before.received <= expected));
    }
    assert_adds_up(server.counters());
}

proptest! {
    #[test]
    fn hostile_datagrams_never_overflow(
        kind in prop::sample::select(Kind::ALL.map(|(_, kind)| kind).to_vec()),
        old_beats in prop::sample::select(OldBeats::ALL.map(|(_, old_beats)| old_beats).to_vec()),
        (reply, by_host) in any::<(bool, bool)>(),
        zone_ns in -86_400 * SECOND..86_400 * SECOND,
        story in prop::collection::vec((stamps(), 1..4_u16, datagrams(), any::<bool>()), 1..60),
    ) {
        let detector = Detector::of(kind);
        let (every_beat, zone) = (true, Zone::new([(0, zone_ns)]));
        let config =
            ServerConfig { detector, old_beats, by_host, reply, zone, every_beat, ..fixed() };
        let mut server = Server::new(config);
        for (at, number, datagram, is_on_time) in story {
            arrive(&mut server, at, client(number), &datagram);
            if is_on_time {
                tick(&mut server, at);
            }
            assert_sane(&mut server, at);
        }
    }

    /// Intervals are learned from the sender's own times, which may be anything.
    #[test]
    fn a_learned_interval_is_no_longer_than_the_time_passed(
        story in prop::collection::vec((numbers(), times(), 0..2 * SECOND), 1..60),
        old_beats in prop::sample::select(OldBeats::ALL.map(|(_, old_beats)| old_beats).to_vec()),
    ) {
        let mut server = Driven::new(ServerConfig { old_beats, ..multiple() });
        let mut now_ns = 0;
        for (number, time, passed_ns) in story {
            now_ns += passed_ns;
            server.hear(now_ns, client(1), &format!("hb {number} {time}"));
            assert_sane(&mut server.0, stamp(now_ns));
            let interval_ns = server.peer(now_ns).interval_ns.unwrap_or_default();
            prop_assert!(interval_ns <= (now_ns + now_ns / 1000).max(SECOND / 10), "{}", interval_ns);
        }
    }
}

/// Each beat claims to have been sent two intervals after the one before, on a clock that wraps
/// from 2262 to 1678.
#[test]
fn send_times_cannot_stretch_the_interval_beyond_the_time_passed() {
    const YEAR: i64 = 31_556_952 * SECOND;
    let mut server = Driven::new(multiple());
    let (mut sent_ns, mut year) = (1_000_000_000 * SECOND, 2262);
    for k in 0..1000 {
        let now_ns = k * SECOND / 1000;
        // The first gaps are smaller than a clock step, so that an interval is learned.
        let known_ns = if k < 8 { None } else { server.peer(now_ns).interval_ns };
        let step_ns = known_ns.map_or(SECOND / 4, |ns| ns.saturating_mul(2));
        let text = if let Some(next_ns) = sent_ns.checked_add(step_ns) {
            sent_ns = next_ns;
            format!("hb {sent_ns}")
        } else {
            year = if year < 2261 { (year + step_ns / YEAR + 1).min(2261) } else { 1678 };
            format!("hb {year}-01-01T00:00:00Z")
        };
        server.hear(now_ns, client(1), &text);
        assert_sane(&mut server.0, stamp(now_ns));
        let interval_ns = server.peer(now_ns).interval_ns;
        assert!(interval_ns <= Some(now_ns.max(SECOND / 10)), "{interval_ns:?}");
    }
}
