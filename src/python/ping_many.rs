//! `ping_many`.

use pyo3::prelude::*;

use crate::Error;
use crate::driver::sweep;
use crate::ping::{MIN_TOKEN_SIZE, Sweep, SweepConfig};
use crate::python::args::{self, Integer, Seconds};
use crate::python::error::failed;
use crate::python::ping_report::PingReport;
use crate::python::wait::{resolve_all, wait};
use crate::wire::MAX_DATAGRAM;

/// How many targets one sweep may have.
const MAX_TARGETS: usize = 1 << 20;

/// Ping many UDP echo servers from one socket and one thread; return a PingReport for each, in
/// their order.
///
/// targets: up to 1,048,576 (host, port) pairs, IPv4 and IPv6 as they come.
/// count: how many probes to each, at least 1. The targets take turns.
/// rate: how many probes per second in all; what a pause of this host held up for more than 10 ms
///     goes out later, not in a burst.
/// timeout: how long each reply is waited for, in seconds.
/// size: the payload of a probe in bytes, 64 to 65507.
///
/// A reply is known by the token of its target's session, also where it comes from another address
/// than the one asked. Refusals are counted as losses, for an unconnected socket is not told of
/// them. Above 2000 probes per second they go out, and their replies are taken, several at once
/// every half a millisecond: `rtt` has that wait in it, `kernel_rtt` (Linux) has not.
/// Blocks until the last probe is decided; Ctrl-C ends it at once.
///
/// Raises TypeError for what is no pair, ValueError for an argument out of range, OSError where the
/// system refuses the socket and socket.gaierror where a host has no address.
#[pyfunction]
#[pyo3(
    signature = (
        targets, *, count = Integer::new(3), rate = 1000.0, timeout = Seconds(1.0), size = Integer::new(64),
    ),
    text_signature = "(targets, *, count=3, rate=1000.0, timeout=1.0, size=64)",
)]
#[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
pub(super) fn ping_many(
    py: Python<'_>,
    targets: Bound<'_, PyAny>,
    count: Integer,
    rate: f64,
    timeout: Seconds,
    size: Integer,
) -> PyResult<Vec<PingReport>> {
    let endpoints = args::pairs("targets", &targets, MAX_TARGETS)?;
    if !(rate.is_finite() && rate > 0.0) {
        return Err(Error::number("rate", rate, "a number per second above 0").into());
    }
    let config = SweepConfig {
        targets: Vec::new(),
        count: count.within("count", 1..=u64::from(u32::MAX))?,
        rate,
        timeout_ns: args::duration_ns("timeout", timeout)?,
        size: size.within("size", MIN_TOKEN_SIZE as u64..=MAX_DATAGRAM as u64)?,
    };
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    let targets = resolve_all(py, &endpoints)?;
    let worker = sweep::start(SweepConfig { targets, ..config })?;
    wait(py, |slice| worker.wait(slice).then_some(()))?;
    if worker.has_failed() {
        return Err(failed("ping_many"));
    }
    let reports = py.detach(|| worker.look(Sweep::take_reports));
    Ok(reports.into_iter().flatten().map(PingReport::new).collect())
}
