//! Clock steps, and hosts that were suspended.

use super::*;
use crate::wire::Template;

/// Returns a beat from a clock that is `ahead_s` ahead.
fn beat(declares: bool, seq: i64, second: i64, ahead_s: i64) -> String {
    let word = if declares { "hb;i=1000" } else { "hb" };
    format!("{word} {seq} {}.0", WALL_S + second + ahead_s)
}

#[test]
fn a_clock_step_while_learning_changes_no_verdict() {
    for step_s in [3600, -3600, 60, -60] {
        for step_at in 1..8 {
            let mut server = Driven::new(multiple());
            server.beats(0, 30, |second| {
                beat(false, second, second, if second < step_at { 0 } else { step_s })
            });
            let told = server.changes();
            let doubts = |change: &Change| {
                matches!(
                    change,
                    Change::Suspect { .. } | Change::Down { .. } | Change::Restarted { .. }
                )
            };
            assert!(!told.iter().any(doubts), "{step_s} at {step_at}: {told:?}");
            assert_eq!(server.peer(29 * SECOND).state, State::Up);
        }
    }
}

#[test]
fn a_suspended_host_may_correct_its_clock_later() {
    let mut server = Driven::new(multiple());
    server.beats(0, 10, |second| beat(true, second, second, 0));
    // After an hour's suspension a machine goes on with its old clock.
    let (stop, set_right) = (3600, 3700);
    server.beats(10 + stop, 90, |second| beat(true, second - stop, second, -stop));
    server.beats(set_right, 10, |second| beat(true, second - stop, second, 0));
    assert_eq!(server.peer((set_right + 9) * SECOND).state, State::Up, "{:?}", server.changes());
    assert!(server.peer((set_right + 9) * SECOND).delay_ns.unwrap() < SECOND);
}

#[test]
fn a_clock_that_stays_behind_counts_as_set_back_in_the_end() {
    let mut server = Driven::new(multiple());
    server.beats(0, 10, |second| beat(true, second, second, 0));
    server.beats(110, 400, |second| beat(true, second - 100, second, -100));
    assert_eq!(server.peer(509 * SECOND).state, State::Up, "{:?}", server.changes());
}

#[test]
fn a_clock_set_back_during_an_announced_silence_changes_no_verdict() {
    for step_s in [10, -10, 40, -40, 3600, -3600] {
        let mut server = Driven::new(multiple());
        server.beats(0, 10, |second| beat(true, second, second, 0));
        server.hear(
            10 * SECOND,
            client(1),
            &format!("hb;i=1000;s=busy;u=60000 10 {}.0", WALL_S + 10),
        );
        server.beats(60, 60, |second| beat(true, second - 49, second, step_s));
        let told = server.changes();
        assert!(
            !told.iter().any(|change| matches!(change, Change::Down { .. })),
            "{step_s}: {told:?}"
        );
        assert_eq!(server.peer(119 * SECOND).state, State::Up, "{step_s}");
    }
}

#[test]
fn a_first_pause_is_measured_from_the_first_datagram() {
    let mut server = Server::new(fixed());
    arrive(&mut server, at(1000), client(1), b"1");
    tick(&mut server, at(1030));
    let told: Vec<_> =
        std::iter::from_fn(|| server.events.pop()).map(|event| event.change).collect();
    assert_eq!(told[1..], [Change::Paused { for_ns: 30 * SECOND }]);
}

#[test]
fn a_clock_that_stands_still_changes_no_verdict() {
    for config in [fixed(), multiple()] {
        let mut server = Driven::new(config);
        for seq in 0..200 {
            server.hear(seq * SECOND / 3, client(1), &format!("hb {seq} {WALL_S}.0"));
        }
        assert_eq!(server.changes(), [Change::Up { seq: Some(0) }]);
    }
}

#[test]
fn a_change_to_summer_time_is_no_clock_step() {
    let summer_ns = (WALL_S + 10) * SECOND;
    let zone = Zone::new([(0, 3600 * SECOND), (summer_ns, 7200 * SECOND)]);
    let template = Template::parse("format", "hb {seq} {datetime}").unwrap();
    let mut server = Driven::new(ServerConfig { zone: zone.clone(), ..multiple() });
    server.beats(0, 20, |second| {
        let wall_ns = (WALL_S + second) * SECOND;
        let mut text = Vec::new();
        template.write(second.unsigned_abs(), wall_ns, zone.offset_ns(wall_ns), &mut text);
        String::from_utf8(text).unwrap()
    });
    assert_eq!(server.changes(), [Change::Up { seq: Some(0) }]);
    assert_eq!(server.peer(19 * SECOND).difference_ns, Some(0));
}
