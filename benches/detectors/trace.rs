//! Heartbeat traces: recorded ones, and seeded ones of typical networks.
//!
//! A trace is a text file with one line per beat that arrived, in order of arrival:
//!
//! ```text
//! # udpulse heartbeat trace, interval_ns=100000000
//! 1 1760000000000000000 1760000000000300000
//! 2 1760000000100000000 1760000000100310000
//! ```
//!
//! The columns are the number, the time of sending and the time of arrival, in nanoseconds; each of
//! the two clocks may have any origin.

use udpulse::Random;
use udpulse::heartbeat::{Detector, Estimate, Gap, Line};

/// A beat that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceRow {
    /// Its number.
    pub(crate) seq: u64,
    /// When it was sent, on the sender's clock.
    pub(crate) sent_ns: i64,
    /// When it arrived, on the receiver's.
    pub(crate) arrived_ns: i64,
}

/// The beats of one client that arrived, and its declared interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// The interval.
    pub(crate) interval_ns: i64,
    /// The beats in order of arrival.
    pub(crate) beats: Vec<TraceRow>,
}

pub(crate) const HEAD: &str = "# udpulse heartbeat trace, interval_ns=";

impl Trace {
    /// Parses a trace file; errors name the line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate();
        let head = lines.next().and_then(|(_, line)| line.strip_prefix(HEAD)?.trim().parse().ok());
        let interval_ns = head.filter(|ns| *ns > 0).ok_or(format!("line 1 is not `{HEAD}N`"))?;
        let beats = lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(at, line)| {
                let mut words = line.split_ascii_whitespace();
                let beat = (|| {
                    Some(TraceRow {
                        seq: words.next()?.parse().ok()?,
                        sent_ns: words.next()?.parse().ok()?,
                        arrived_ns: words.next()?.parse().ok()?,
                    })
                })();
                beat.ok_or(format!("line {} is not `seq sent_ns arrived_ns`", at + 1))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { interval_ns, beats })
    }

    /// Replays the trace through a detector. As in the server, only beats with a new highest number
    /// count.
    pub(crate) fn replay(&self, detector: &Detector) -> Vec<Judgement> {
        let mut estimate = Estimate::default();
        let mut judged = Vec::with_capacity(self.beats.len());
        let mut beats = self.beats.iter();
        let Some(mut last) = beats.next() else { return judged };
        let offset_ns =
            self.beats.iter().map(|beat| beat.arrived_ns - beat.sent_ns).min().unwrap_or(0);
        for beat in beats.filter(|beat| beat.seq > 0) {
            if beat.seq <= last.seq {
                continue;
            }
            let gap_ns = beat.arrived_ns - last.arrived_ns;
            let delay_ns = last.arrived_ns - last.sent_ns - offset_ns;
            let line = detector.line(&estimate, self.interval_ns);
            judged.push(Judgement { line, gap_ns, delay_ns });
            let steps = beat.seq - last.seq;
            detector
                .observe(&mut estimate, Gap { ns: gap_ns, steps, interval_ns: self.interval_ns });
            last = beat;
        }
        judged
    }
}

/// A detector's judgement of one beat, and the gap that followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    /// The detector's timeouts.
    pub(crate) line: Line,
    /// The time to the next beat with a new highest number.
    pub(crate) gap_ns: i64,
    /// The transit time beyond the shortest in the trace: a crash right after the beat is detected
    /// that much later.
    pub(crate) delay_ns: i64,
}

/// A kind of network and sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    /// Its name.
    pub(crate) name: &'static str,
    /// The interval between beats.
    pub(crate) interval_ms: f64,
    /// The shortest delay.
    pub(crate) delay_ms: f64,
    /// The mean of the exponential part of the delay.
    pub(crate) wobble_ms: f64,
    /// The probability that a beat is delayed by up to `spike_ms` more.
    pub(crate) spikes: f64,
    /// The longest such delay.
    pub(crate) spike_ms: f64,
    /// The probability of an independent loss.
    pub(crate) loss: f64,
    /// The probability that a burst of losses begins.
    pub(crate) bursts: f64,
    /// The mean length, less one, of short bursts; at most 25 beats.
    pub(crate) burst: f64,
    /// The probability that a burst is long: lognormal (5.55, 0.65), 26 to 1093 beats.
    pub(crate) long: f64,
    /// Bursts start in one tenth of the time only, ten times as often.
    pub(crate) clustered: bool,
    /// The mean time between stalls of the sender; 0 for none.
    pub(crate) stall_every_s: f64,
    /// The mean length of stalls.
    pub(crate) stall_ms: f64,
    /// The increase of the delay in every other period of 5 minutes.
    pub(crate) shift_ms: f64,
}

/// A local network.
pub(crate) const LAN: Profile = Profile {
    name: "lan 100 ms",
    interval_ms: 100.0,
    delay_ms: 0.2,
    wobble_ms: 0.1,
    spikes: 0.0,
    spike_ms: 0.0,
    loss: 1e-4,
    bursts: 0.0,
    burst: 0.0,
    long: 0.0,
    clustered: false,
    stall_every_s: 0.0,
    stall_ms: 0.0,
    shift_ms: 0.0,
};

const WAN: Profile = Profile {
    name: "wan 100 ms",
    delay_ms: 135.0,
    wobble_ms: 3.0,
    loss: 0.0,
    bursts: 1.39e-4,
    burst: 4.0,
    ..LAN
};

const WIFI: Profile = Profile {
    name: "wifi 100 ms",
    delay_ms: 2.0,
    wobble_ms: 8.0,
    spikes: 0.01,
    spike_ms: 150.0,
    loss: 0.01,
    bursts: 1e-3,
    burst: 0.7,
    ..LAN
};

/// The six networks of the comparison: A after the published statistics of the EPFL-JAIST trace of
/// 2004 (0.4 % loss in 814 bursts, the longest 1093 beats), B the same with its bursts in clusters,
/// C Wi-Fi, D a sender that stalls, E independent loss, F a delay that shifts.
pub(crate) const NETWORKS: [Profile; 6] = [
    Profile { name: "A wan", burst: 9.0, long: 0.06, ..WAN },
    Profile { name: "B clustered", burst: 9.0, long: 0.06, clustered: true, ..WAN },
    Profile { name: "C wifi", ..WIFI },
    Profile { name: "D stalls", stall_every_s: 300.0, stall_ms: 400.0, ..LAN },
    Profile { name: "E loss 2 %", loss: 0.02, ..LAN },
    Profile {
        name: "F shifts",
        loss: 0.005,
        wobble_ms: 3.0,
        delay_ms: 40.0,
        shift_ms: 200.0,
        ..LAN
    },
];

/// The clients that one configuration must suit.
pub(crate) const FLEET: [Profile; 7] = [
    LAN,
    Profile { name: "lan 1 s", interval_ms: 1000.0, ..LAN },
    Profile { name: "lan + stalls", stall_every_s: 200.0, stall_ms: 200.0, ..LAN },
    WAN,
    WIFI,
    Profile { name: "wifi 1 s", interval_ms: 1000.0, ..WIFI },
    Profile { name: "iot 10 s", interval_ms: 10_000.0, loss: 0.02, spike_ms: 3000.0, ..WIFI },
];

impl Profile {
    /// Generates the trace of `beats` beats.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds to nanoseconds, none negative"
    )]
    pub(crate) fn trace(&self, beats: u64, seed: u64) -> Trace {
        let ns = |ms: f64| (ms * 1e6) as i64;
        let mut draw = Draw(Random::new(Some(seed)));
        let mut passed = Vec::new();
        let mut lost = 0_u64;
        let mut free_ms = 0.0_f64;
        let mut next_stall_ms = draw.exponential(self.stall_every_s * 1000.0);
        let mut wobble_ms = 0.0;
        for seq in 0..beats {
            let due_ms = seq as f64 * self.interval_ms;
            while self.stall_ms > 0.0 && next_stall_ms < due_ms {
                free_ms = next_stall_ms + draw.exponential(self.stall_ms);
                next_stall_ms = free_ms + draw.exponential(self.stall_every_s * 1000.0);
            }
            // A sender that resumes after a stall sends only the last beat that was due.
            if free_ms >= due_ms + self.interval_ms {
                continue;
            }
            let sent_ms = due_ms.max(free_ms);
            if lost == 0 && draw.0.chance(self.burst_chance(due_ms)) {
                lost = self.burst_length(&mut draw);
            }
            let alone = draw.0.chance(self.loss);
            // Delays of neighbouring beats are correlated.
            wobble_ms = 0.7 * wobble_ms + 0.3 * draw.exponential(self.wobble_ms);
            let spike_ms =
                if draw.0.chance(self.spikes) { draw.0.unit() * self.spike_ms } else { 0.0 };
            let shifted = (due_ms / 300_000.0) as u64 % 2 == 1;
            let delay_ms =
                self.delay_ms + wobble_ms + spike_ms + if shifted { self.shift_ms } else { 0.0 };
            if lost > 0 || alone {
                lost = lost.saturating_sub(1);
                continue;
            }
            passed.push(TraceRow {
                seq: seq + 1,
                sent_ns: ns(sent_ms),
                arrived_ns: ns(sent_ms + delay_ms),
            });
        }
        passed.sort_by_key(|beat| beat.arrived_ns);
        Trace { interval_ns: ns(self.interval_ms), beats: passed }
    }

    fn burst_chance(&self, due_ms: f64) -> f64 {
        let tenth = (due_ms / (self.interval_ms * 1000.0)).fract() < 0.1;
        match (self.clustered, tenth) {
            (false, _) => self.bursts,
            (true, true) => 10.0 * self.bursts,
            (true, false) => 0.0,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are cut to a range"
    )]
    fn burst_length(&self, draw: &mut Draw) -> u64 {
        if draw.0.chance(self.long) {
            draw.normal().mul_add(0.65, 5.55).exp().clamp(26.0, 1093.0) as u64
        } else {
            (1.0 + draw.exponential(self.burst)).min(25.0) as u64
        }
    }
}

/// Draws from distributions.
struct Draw(Random);

impl Draw {
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.unit()).ln()
    }

    /// Uses the method of Box and Muller.
    fn normal(&mut self) -> f64 {
        (2.0 * self.exponential(1.0)).sqrt() * (std::f64::consts::TAU * self.0.unit()).cos()
    }
}
