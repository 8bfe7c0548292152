//! Beats and their declarations.

use udpulse::wire::Beat;
use udpulse::wire::beat::{is_error, is_name, is_task};

pub(super) fn run(data: &[u8]) {
    let beat = Beat::read(data);
    assert!(beat.name.is_none_or(is_name) && beat.task.is_none_or(is_task));
    assert!(beat.error.is_none_or(is_error));
    assert!(beat.interval_ns.is_none_or(|ns| ns > 0) && beat.age_ns.is_none_or(|ns| ns >= 0));
    assert!(!beat.overlong || beat.name.is_none());
    // What was read is written so that it is read again.
    let seq = beat.reading.seq.unwrap_or_default() % 1_000_000_000;
    let mut written = Vec::new();
    beat.write(seq, 1_760_000_000_123_456_000, &mut written);
    let again = Beat::read(&written);
    let expected = Beat { overlong: false, reading: again.reading, ..beat };
    assert_eq!(again, expected);
    assert_eq!(again.reading.seq, Some(seq));
}
