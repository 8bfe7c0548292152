//! The outcomes of packets in order.

/// A packet of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet {
    /// When it was sent.
    pub sent_ns: i64,
    /// Whether it was lost.
    pub lost: bool,
    /// How long it took, in nanoseconds; `None` if it was lost.
    pub delay_ns: Option<f64>,
}

/// Consecutive packets with the same outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) lost: bool,
    pub(super) count: u64,
}

/// Adds packets with the same outcome.
pub(super) fn lengthen(runs: &mut Vec<Run>, lost: bool, by: u64) {
    match runs.last_mut() {
        _ if by == 0 => (),
        Some(run) if run.lost == lost => run.count += by,
        _ => runs.push(Run { lost, count: by }),
    }
}

/// A record without holes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Segment {
    pub(super) packets: Vec<Packet>,
    pub(super) runs: Vec<Run>,
}

impl Segment {
    pub(super) fn new(packets: Vec<Packet>) -> Self {
        let mut runs = Vec::new();
        for Packet { lost, .. } in &packets {
            lengthen(&mut runs, *lost, 1);
        }
        Self { packets, runs }
    }

    /// Returns the time between each packet and the one before, in seconds.
    pub(super) fn steps(&self) -> impl Iterator<Item = f64> {
        self.packets.windows(2).map(|pair| step(&pair[0], &pair[1]))
    }
}

/// Returns whether a packet overtakes another.
fn overtakes(packets: &[Packet]) -> bool {
    let mut latest = f64::NEG_INFINITY;
    packets.iter().any(|packet| {
        let Some(delay_ns) = packet.delay_ns else { return false };
        #[expect(clippy::cast_precision_loss, reason = "times since the start")]
        let arrived = packet.sent_ns.saturating_sub(packets[0].sent_ns) as f64 + delay_ns;
        let overtakes = arrived < latest;
        latest = latest.max(arrived);
        overtakes
    })
}

/// Returns a count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 packets")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "time between packets")]
fn step(before: &Packet, after: &Packet) -> f64 {
    after.sent_ns.saturating_sub(before.sent_ns) as f64 / 1e9
}

/// A record of packets.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub(super) segments: Vec<Segment>,
    /// The typical time between packets, in seconds; 0 if there are no two.
    pub spacing: f64,
    /// Whether packets are that far apart; it is split into segments where they are not.
    pub regular: bool,
    /// The number of places at which a regular record was split.
    pub holes: u64,
    /// The number of packets.
    pub packets: u64,
    /// The number of lost packets.
    pub lost: u64,
    /// The number of runs of losses.
    pub bursts: u64,
    /// Whether a packet overtook another.
    pub reordered: bool,
}

impl Trace {
    /// Creates the trace of records without holes, each in order of sending.
    ///
    /// If at least nine of ten packets come within half and one and a half times the median time
    /// after the one before, the record is regular; it is split at all other places.
    #[must_use]
    pub fn new(records: Vec<Vec<Packet>>) -> Self {
        let mut segments: Vec<_> = records.into_iter().map(Segment::new).collect();
        segments.retain(|segment| !segment.packets.is_empty());
        let mut steps: Vec<_> = segments.iter().flat_map(Segment::steps).collect();
        let middle = steps.len() / 2;
        let median = if steps.is_empty() {
            0.0
        } else {
            *steps.select_nth_unstable_by(middle, f64::total_cmp).1
        };
        let fits = |step: f64| (0.5 * median..=1.5 * median).contains(&step);
        let (mut near, mut sum) = (0_u64, 0.0);
        for step in steps.iter().copied().filter(|step| fits(*step)) {
            near += 1;
            sum += step;
        }
        let regular = median > 0.0 && 10 * near >= 9 * steps.len() as u64;
        let mut trace = Self {
            segments,
            spacing: if regular { sum / float(near) } else { median },
            regular,
            holes: 0,
            packets: 0,
            lost: 0,
            bursts: 0,
            reordered: false,
        };
        if regular {
            trace.holes = steps.len() as u64 - near;
            if trace.holes > 0 {
                let split = |segment: Segment| {
                    let parts = segment.packets.chunk_by(|a, b| fits(step(a, b)));
                    parts.map(|part| Segment::new(part.to_vec())).collect::<Vec<_>>()
                };
                trace.segments = trace.segments.into_iter().flat_map(split).collect();
            }
        }
        trace.reordered = trace.segments.iter().any(|segment| overtakes(&segment.packets));
        for segment in &trace.segments {
            trace.packets += segment.packets.len() as u64;
            for run in segment.runs.iter().filter(|run| run.lost) {
                trace.bursts += 1;
                trace.lost += run.count;
            }
        }
        trace
    }

    /// Returns the share of lost packets; NaN without packets.
    pub(super) fn share(&self) -> f64 {
        float(self.lost) / float(self.packets)
    }

    /// Returns how often a packet with an outcome follows one with another: first from not lost,
    /// then from lost.
    pub(super) fn transitions(&self) -> [[f64; 2]; 2] {
        let mut counts = [[0.0; 2]; 2];
        for segment in &self.segments {
            for (index, run) in segment.runs.iter().enumerate() {
                let lost = usize::from(run.lost);
                counts[lost][lost] += float(run.count - 1);
                counts[1 - lost][lost] += f64::from(u8::from(index > 0));
            }
        }
        counts
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns packets that are `apart_ns`.
    pub(crate) fn every(apart_ns: i64, lost: impl IntoIterator<Item = bool>) -> Vec<Packet> {
        let packet = |(number, lost)| Packet { sent_ns: number * apart_ns, lost, delay_ns: None };
        (0..).zip(lost).map(packet).collect()
    }

    #[test]
    fn a_pause_splits_a_regular_record() {
        let mut packets = every(10, [true, false, true, true].repeat(10));
        packets.iter_mut().skip(20).for_each(|packet| packet.sent_ns += 100);
        let trace = Trace::new(vec![packets]);
        assert!(trace.regular && (trace.spacing - 1e-8).abs() < 1e-12);
        assert_eq!((trace.holes, trace.segments.len()), (1, 2));
        assert_eq!((trace.packets, trace.lost, trace.bursts), (40, 30, 12));
        // The loss at the end of the first half and that at its start are not neighbours.
        assert_eq!(trace.transitions(), [[0.0, 10.0], [10.0, 18.0]]);
    }

    #[test]
    fn a_record_without_a_rhythm_stays_whole() {
        let mut packets = every(10, [false; 40]);
        packets.iter_mut().skip(20).for_each(|packet| packet.sent_ns *= 100);
        let trace = Trace::new(vec![packets]);
        assert!(!trace.regular);
        assert_eq!((trace.holes, trace.segments.len()), (0, 1));
    }

    #[test]
    fn an_empty_record_has_no_spacing() {
        let trace = Trace::new(vec![Vec::new(), every(1, [true])]);
        assert_eq!((trace.packets, trace.spacing, trace.regular), (1, 0.0, false));
    }
}
