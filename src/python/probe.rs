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
        /// The verdict: "answered" in time, "lost" (no reply in time), "refused" (an ICMP port
        /// unreachable), "unreachable" (another ICMP error) or "send_failed" (this host could not
        /// send it). Only a report's columns also use "pending" (not decided yet) and "late" (a
        /// reply arrived after the timeout).
        verdict: Word<Verdict>,
        /// The round-trip time, in seconds (RFC 2681), by a clock that never steps; None without a
        /// reply in time.
        rtt: Option<f64> = None,
        /// The payload of the reply, cut to 1024 bytes; None without a reply in time.
        reply: Option<Vec<u8>> = None,
        /// The send time, in seconds since the Unix epoch.
        sent_at: f64,
        /// The round-trip time by the kernel's timestamps, in seconds: without this host's delay in
        /// waking the program. None without such a timestamp.
        kernel_rtt: Option<f64> = None,
        /// The number of its flow in the session, from 0.
        flow: u64 = 0,
        /// Whether the reply has no number, so that it was attributed to the only pending probe: it
        /// may be the late reply to an earlier one.
        guessed: bool = False,
    }
}

value! {
    /// A reply to a probe that was decided as lost, refused or unreachable: its verdict is now
    /// "late" or, after an ICMP error, "answered".
    Revised in "udpulse.events" {
        *,
        /// The Probe with its new verdict and its rtt, also if it is late.
        probe: Probe,
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
            guessed: probe.guessed,
        }
    }
}

impl Probe {
    /// Returns the probe's flow and log row, with a payload of `size` bytes.
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
        if self.guessed && verdict != Verdict::Answered {
            return Err(wrong("must not be guessed"));
        }
        let sent_ns = nanoseconds(self.sent_at);
        let sent_ns = sent_ns.ok_or_else(|| wrong("must have a sent_at that is a Unix time"))?;
        Ok((flow, Row { seq: self.seq, sent_ns, rtt_ns, kernel_rtt_ns, verdict, size }))
    }
}
