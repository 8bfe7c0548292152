//! `Probe`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::ping::{Row, Verdict};
use crate::python::args::Word;
use crate::python::value::value;
use crate::{nanoseconds, ping, seconds};

value! {
    /// A probe that was decided.
    Probe in "udpulse" {
        *,
        /// Its number in its flow, from 1.
        seq: u64,
        /// What became of it: "answered" in time, "lost" (no reply in time), "refused" (no reply,
        /// and ICMP said that nothing listens on the port or that the host cannot be reached) or
        /// "send_failed" (this host could not send it). "late" and "pending" are verdicts that only
        /// later reports and earlier ones give it.
        verdict: Word<Verdict>,
        /// The round-trip time in seconds (RFC 2681), from a clock that never steps; None without
        /// a reply in time.
        rtt: Option<f64> = None,
        /// The payload of the reply, at most 1024 bytes of it; None without one in time.
        reply: Option<Vec<u8>> = None,
        /// When it was sent, in seconds since the Unix epoch.
        sent_at: f64,
        /// The round-trip time by the kernel's stamps, in seconds: without the time that this host
        /// took to wake the program. None without such a stamp.
        kernel_rtt: Option<f64> = None,
        /// Which of the session's flows it went through, from 0.
        flow: u64 = 0,
    }
}

impl From<(usize, ping::Probe)> for Probe {
    fn from((flow, probe): (usize, ping::Probe)) -> Self {
        Self {
            seq: probe.seq,
            verdict: Word(probe.verdict),
            rtt: probe.rtt_ns.map(seconds),
            reply: probe.reply.map(Vec::from),
            sent_at: seconds(probe.sent_at.wall_ns),
            kernel_rtt: probe.kernel_rtt_ns.map(seconds),
            flow: flow as u64,
        }
    }
}

impl Probe {
    /// Returns the flow and the row of a log that the probe fills, with a payload of `size` bytes.
    pub(super) fn row(&self, size: u16) -> PyResult<(u8, Row)> {
        let wrong = |what: &str| {
            let verdict = self.verdict.word().unwrap_or_default();
            let text = format!("probe {} of flow {} ('{verdict}') {what}", self.seq, self.flow);
            PyValueError::new_err(text)
        };
        let flow = u8::try_from(self.flow).map_err(|_| wrong("must have a flow of 0 to 255"))?;
        let verdict = self.verdict.0;
        let replied = matches!(verdict, Verdict::Answered | Verdict::Late);
        let duration = |time: Option<f64>| time.map(|time| nanoseconds(time).filter(|ns| *ns >= 0));
        let (rtt_ns, kernel_rtt_ns) = match (duration(self.rtt), duration(self.kernel_rtt)) {
            (None, _) if replied => return Err(wrong("must have an rtt")),
            (Some(_), _) | (_, Some(_)) if !replied => return Err(wrong("must have no rtt")),
            (Some(None), _) | (_, Some(None)) => {
                return Err(wrong("must have an rtt of 0 to 9.2e9 seconds"));
            }
            (rtt_ns, kernel_rtt_ns) => (rtt_ns.flatten(), kernel_rtt_ns.flatten()),
        };
        let sent_ns = nanoseconds(self.sent_at);
        let sent_ns = sent_ns.ok_or_else(|| wrong("must have a sent_at that is a Unix time"))?;
        Ok((flow, Row { seq: self.seq, sent_ns, rtt_ns, kernel_rtt_ns, verdict, size }))
    }
}
