//! Failure detectors.

use udpulse::heartbeat::{Detector, Estimate, Gap, Kind};

use super::input::Input;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (_, kind) = *input.pick(&Kind::ALL);
    let Some(detector) = any(kind, &mut input) else { return };
    let mut estimate = Estimate::default();
    while !input.is_empty() {
        let gap = Gap {
            ns: input.natural(),
            steps: input.natural().unsigned_abs(),
            interval_ns: input.duration(),
        };
        detector.observe(&mut estimate, gap);
        let interval_ns = input.duration();
        let (suspect_ns, down_ns) = detector.timeouts_ns(&estimate, interval_ns);
        assert!((0..=down_ns).contains(&suspect_ns), "{suspect_ns} {down_ns}");
        let line = detector.line(&estimate, interval_ns);
        assert!(line.base_ns.is_finite() && line.unit_ns.is_finite() && line.unit_ns >= 0.0);
    }
}

/// Returns a detector of a kind, if the levels allow it.
pub(super) fn any(kind: Kind, input: &mut Input<'_>) -> Option<Detector> {
    match input.byte() % 4 {
        0 => Detector::new(kind, input.float(), input.float()).ok(),
        1 => Some(Detector::fixed(input.duration())),
        _ => Some(Detector::of(kind)),
    }
}
