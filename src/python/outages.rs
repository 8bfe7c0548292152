//! `Outage`, `OutageStarted` and `OutageEnded`; `Pause`.

use pyo3::prelude::*;

use crate::python::probe::{Probe, Revised};
use crate::python::value::value;
use crate::{ping, seconds};

value! {
    /// A run of consecutive probes of a flow without an answer in time, of at least `outage_after`
    /// probes (3 unless given).
    Outage in "udpulse.reports" {
        *,
        /// The send time of the first of them, in seconds since the Unix epoch.
        start: f64,
        /// The send time of the next answered probe, in seconds since the Unix epoch; None if the
        /// outage lasted until the report.
        end: Option<f64> = None,
        /// The number of probes without an answer in time.
        lost: u64,
    }
}

impl From<&ping::Outage> for Outage {
    fn from(outage: &ping::Outage) -> Self {
        let ping::Outage { start_ns, end_ns, lost } = *outage;
        Self { start: seconds(start_ns), end: end_ns.map(seconds), lost }
    }
}

value! {
    /// A pause of this process: it was stopped, suspended or starved although it had work.
    Pause in "udpulse.reports" {
        *,
        /// The time at which the first probe or reply was due that had to wait, in seconds since the
        /// Unix epoch.
        start: f64,
        /// The time at which the last one that had to wait was handled, in seconds since the Unix
        /// epoch.
        end: f64,
    }
}

impl From<&ping::Pause> for Pause {
    fn from(pause: &ping::Pause) -> Self {
        Self { start: seconds(pause.start_ns), end: seconds(pause.end_ns) }
    }
}

value! {
    /// The beginning of an outage: `outage_after` consecutive probes had no answer in time.
    OutageStarted in "udpulse.events" {
        *,
        /// The send time of the first of them, in seconds since the Unix epoch.
        start: f64,
        /// The number of probes without an answer so far.
        lost: u64,
        /// The number of their flow in the session, from 0.
        flow: u64 = 0,
    }
}

value! {
    /// The end of an outage: a probe was answered in time.
    OutageEnded in "udpulse.events" {
        *,
        /// The send time of the first probe without an answer, in seconds since the Unix epoch.
        start: f64,
        /// The send time of the answered probe, in seconds since the Unix epoch.
        end: f64,
        /// The number of probes without an answer.
        lost: u64,
        /// The number of their flow in the session, from 0.
        flow: u64 = 0,
    }
}

/// An event of a `PingClient`.
#[derive(IntoPyObject)]
pub(super) enum PingEvent {
    Probe(Probe),
    Revised(Revised),
    OutageStarted(OutageStarted),
    OutageEnded(OutageEnded),
}

impl From<(usize, ping::Event)> for PingEvent {
    fn from((flow, event): (usize, ping::Event)) -> Self {
        let outage = match event {
            ping::Event::Probe(probe) => return Self::Probe((flow, probe).into()),
            ping::Event::Revised(probe) => {
                return Self::Revised(Revised { probe: (flow, probe).into() });
            }
            ping::Event::Outage(outage) => outage,
        };
        let (start, lost, flow) = (seconds(outage.start_ns), outage.lost, flow as u64);
        match outage.end_ns {
            None => Self::OutageStarted(OutageStarted { start, lost, flow }),
            Some(end_ns) => {
                Self::OutageEnded(OutageEnded { start, end: seconds(end_ns), lost, flow })
            }
        }
    }
}
