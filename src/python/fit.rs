//! The numeric half of `udpulse.fit`.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::stats::fit::{Curve, Estimate, Model, Packet, Spread, Trace, fit_delay, fit_loss};

/// Send times and delays in nanoseconds and whether a packet was lost.
type Record<'py> =
    (PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, bool>, PyReadonlyArray1<'py, f64>);

type Triple = (f64, f64, f64);

fn triple(estimate: Estimate) -> Triple {
    let Estimate { value, interval: (low, high) } = estimate;
    (value, low, high)
}

fn points(curve: &Curve) -> Vec<(u64, f64, f64, f64, f64)> {
    let point =
        |point: &Spread| (point.at, point.measured, point.expected, point.range.0, point.range.1);
    curve.0.iter().map(point).collect()
}

fn name(model: Model) -> Option<&'static str> {
    Model::ALL.iter().find(|(_, each)| *each == model).map(|(name, _)| *name)
}

/// Fits models to records without holes, each three arrays: send times in nanoseconds, whether the
/// packet was lost, and its delay in nanoseconds, NaN if unknown.
#[pyfunction(name = "_fit")]
#[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
pub(super) fn fit<'py>(
    py: Python<'py>,
    records: Vec<Record<'py>>,
    simulations: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let packets = |(sent, lost, delay): &Record<'py>| {
        let times = sent.as_array().to_vec().into_iter().zip(lost.as_array().to_vec());
        let rows = times.zip(delay.as_array().to_vec());
        let packet = |((sent_ns, lost), delay_ns): ((i64, bool), f64)| Packet {
            sent_ns,
            lost,
            delay_ns: Some(delay_ns).filter(|ns| !lost && !ns.is_nan()),
        };
        rows.map(packet).collect::<Vec<_>>()
    };
    let records: Vec<_> = records.iter().map(packets).collect();
    let (trace, loss, check, bad_delay, delay) = py.detach(|| {
        let mut trace = Trace::new(records);
        let loss = fit_loss(&trace);
        let check = (simulations > 0).then(|| loss.check(&trace, simulations, seed));
        let bad_delay = loss.take_bad_delay(&mut trace);
        let delay = fit_delay(&trace);
        (trace, loss, check, bad_delay, delay)
    });
    let dict = PyDict::new(py);
    dict.set_item("packets", trace.packets)?;
    dict.set_item("lost", trace.lost)?;
    dict.set_item("bursts", trace.bursts)?;
    dict.set_item("spacing", trace.spacing)?;
    dict.set_item("regular", trace.regular)?;
    dict.set_item("holes", trace.holes)?;
    dict.set_item("model", name(loss.model))?;
    dict.set_item("loss", triple(loss.loss))?;
    dict.set_item("losses", loss.losses.map(triple))?;
    dict.set_item("changes", loss.changes.map(triple))?;
    dict.set_item("bad_delay", bad_delay.map(triple))?;
    dict.set_item("durations", loss.durations.map(|pair| pair.map(triple)))?;
    let bic = PyDict::new(py);
    for (model, value) in &loss.bic {
        bic.set_item(name(*model), value)?;
    }
    dict.set_item("bic", bic)?;
    let check = check.map(|check| {
        let curves = [&check.bursts, &check.gaps, &check.variance].map(points);
        (check.p_value, check.stationary, curves)
    });
    dict.set_item("check", check)?;
    let delay = delay.map(|delay| {
        let correlation = delay.correlation.map(triple);
        (delay.table, delay.count, correlation, triple(delay.median), delay.reordered)
    });
    dict.set_item("delay", delay)?;
    Ok(dict)
}
