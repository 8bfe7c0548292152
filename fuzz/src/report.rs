//! Stored reports.

use udpulse::packed::{pack, unpack};
use udpulse::ping::{Counters, Report};

pub(super) fn run(data: &[u8]) {
    let Some(report) = unpack::<Report>(data) else { return };
    check(&report);
    let mut sum = report.clone();
    sum += &report;
    sum += &Report::default();
    check_numbers(&sum);
}

/// Checks the numbers of a report and that it can be stored.
pub(super) fn check(report: &Report) {
    check_numbers(report);
    let stored = pack(report);
    let again: Report = unpack(&stored).expect("what was stored is sound");
    assert!(again == *report, "{again:?} is not {report:?}");
}

fn check_numbers(report: &Report) {
    assert_adds_up(&report.counters);
    let columns = report.columns();
    assert_eq!(columns.seq.len() as u64 + report.rows_dropped(), report.counters.sent);
    if let Some((low, high)) = report.loss_interval() {
        assert!((0.0..=high).contains(&low) && high <= 1.0, "{low} {high}");
    }
    for distribution in [&report.rtt, &report.kernel_rtt, &report.overhead, &report.schedule_error]
    {
        let bounds = distribution.min_ns().zip(distribution.max_ns());
        assert_eq!(bounds.is_some(), distribution.count() > 0);
        for percent in [0.0, 50.0, 99.9, 100.0] {
            let value = distribution.percentile_ns(percent);
            let Some(value) = value else { continue };
            assert!(bounds.is_some_and(|(low, high)| (low..=high).contains(&value)), "{value}");
            let _ = distribution.percentile_interval_ns(percent);
        }
        let _ = (distribution.mean_ns(), distribution.stddev_ns());
    }
    let _ = (report.pdv_p95_ns(), report.counters.loss(), report.reordering.ratio());
    let _ = (report.variation.ipdv_abs_mean_ns(), report.variation.rfc3550_jitter_ns());
}

/// Asserts both identities.
pub(super) fn assert_adds_up(counters: &Counters) {
    let Counters { sent, answered, guessed, late, lost, refused, unreachable, .. } = *counters;
    let Counters { send_failed, pending, received, duplicates, corrupt, foreign, .. } = *counters;
    assert_eq!(sent, answered + late + lost + refused + unreachable + send_failed + pending);
    assert_eq!(received, answered + late + duplicates + corrupt + foreign);
    assert!(guessed <= answered);
}
