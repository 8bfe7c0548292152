//! The heartbeat detectors on the traces of `benches/detectors.rs`.

#![expect(clippy::cast_precision_loss, reason = "shares")]

#[path = "../benches/detectors/trace.rs"]
mod trace;

use udpulse::heartbeat::{Detector, Kind};

use trace::{FLEET, HEAD, LAN, NETWORKS, Profile, Trace, TraceRow};

#[test]
fn a_trace_file_is_read() {
    let text = format!("{HEAD}100\n# a comment\n\n1 50 70\n3 250 275\n");
    let beats = vec![
        TraceRow { seq: 1, sent_ns: 50, arrived_ns: 70 },
        TraceRow { seq: 3, sent_ns: 250, arrived_ns: 275 },
    ];
    assert_eq!(Trace::parse(&text), Ok(Trace { interval_ns: 100, beats }));
}

#[test]
fn an_error_in_a_trace_file_names_the_line() {
    for text in [String::new(), format!("{HEAD}0\n")] {
        assert!(Trace::parse(&text).unwrap_err().starts_with("line 1 "));
    }
    let text = format!("{HEAD}5\n1 2 3\n\n4 5\n");
    assert_eq!(Trace::parse(&text).unwrap_err(), "line 4 is not `seq sent_ns arrived_ns`");
}

#[test]
fn profiles_have_their_nominal_loss() {
    let loss = |profile: &Profile| 1.0 - profile.trace(100_000, 3).beats.len() as f64 / 1e5;
    assert!((0.018..0.022).contains(&loss(&NETWORKS[4])), "E");
    assert!((0.001..0.01).contains(&loss(&NETWORKS[0])), "A");
    assert_eq!(LAN.trace(100, 5), LAN.trace(100, 5));
    let stalls = NETWORKS[3].trace(100_000, 1);
    let gap_ns = stalls.beats.windows(2).map(|two| two[1].arrived_ns - two[0].arrived_ns).max();
    assert!(gap_ns > Some(600_000_000));
}

/// The default levels make few mistakes on any trace; the benchmark shows the same with more beats.
#[test]
fn the_defaults_suit_the_whole_fleet_at_five_intervals() {
    let kind = Kind::Multiple;
    let (_, down) = kind.default_levels();
    for (profile, seed) in FLEET.iter().zip(1..) {
        let trace = profile.trace(200_000, seed);
        let judgements = trace.replay(&Detector::of(kind));
        let mut mistakes = 0;
        for judgement in &judgements {
            let timeout_ns = judgement.line.timeout_ns(down);
            assert!(timeout_ns <= 5 * trace.interval_ns && judgement.delay_ns >= 0);
            mistakes += i32::from(judgement.gap_ns > timeout_ns);
        }
        let share = f64::from(mistakes) / judgements.len() as f64;
        assert!(share <= 1e-4, "{}: {mistakes}", profile.name);
    }
}
