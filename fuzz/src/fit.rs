//! Models of recorded traces.

use udpulse::stats::fit::{Packet, Trace, fit_delay, fit_loss};

use super::input::Input;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let records = input.list(3, |input| {
        let regular_ns = input.maybe(Input::natural);
        let mut sent_ns = input.int();
        input.list(60, |input| {
            sent_ns = sent_ns.saturating_add(regular_ns.unwrap_or_else(|| input.natural()));
            let lost = input.flag();
            let delay_ns = if lost { None } else { input.maybe(|input| float(input.natural())) };
            Packet { sent_ns, lost, delay_ns }
        })
    });
    let count: usize = records.iter().map(Vec::len).sum();
    let mut trace = Trace::new(records);
    assert_eq!(trace.packets, count as u64);
    assert!(trace.bursts <= trace.lost && trace.lost <= trace.packets);
    let fit = fit_loss(&trace);
    let is_share = |share: f64| (0.0..=1.0).contains(&share);
    if trace.packets > 0 {
        assert!(is_share(fit.loss.value), "{}", fit.loss.value);
        assert!(fit.losses.iter().all(|loss| is_share(loss.value)), "{:?}", fit.losses);
    }
    let _ = fit.check(&trace, 2, 7);
    let _ = fit.take_bad_delay(&mut trace);
    if let Some(fit) = fit_delay(&trace) {
        assert!(fit.table.is_sorted() && fit.table.iter().all(|ns| ns.is_finite()));
    }
}

#[expect(clippy::cast_precision_loss, reason = "any number will do")]
fn float(ns: i64) -> f64 {
    ns as f64
}
