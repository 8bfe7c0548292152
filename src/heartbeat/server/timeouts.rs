//! The timeout of each client: the detector's, or the one that the client asks for.

use super::{GRACE_NS, Server};
use crate::NS_PER_SECOND;
use crate::heartbeat::detector::Asked;
use crate::heartbeat::{Detector, Estimate, Kind};
use crate::wire::Beat;

/// Least multiplier that a client may ask for without a grace: no beat arrives exactly on time.
const LEAST_MULTIPLIER: f64 = 2.0;

impl Server {
    /// Records the interval and the timeout that a beat declares. From an address that is not the
    /// client's own, only if the beat before declared the same.
    pub(super) fn declare(&mut self, index: usize, beat: &Beat<'_>, is_own: bool) {
        let asked = self.asked(beat);
        if !is_own {
            let claim = (beat.interval_ns, asked);
            if std::mem::replace(&mut self.table.details_or_default(index).claim, claim) != claim {
                return;
            }
        }
        if let Some(interval_ns) = beat.interval_ns
            && self.table.record_mut(index).declare_interval(interval_ns)
        {
            if let Some(estimate) = self.table.estimate_mut(index) {
                *estimate = Estimate::default();
            }
            if let Some(details) = self.table.details_mut(index) {
                details.outlasts_timeout = false;
            }
        }
        if asked.is_some() {
            self.table.details_or_default(index).asked = asked;
        } else if beat.interval_ns.is_some()
            && let Some(details) = self.table.details_mut(index)
        {
            details.asked = None;
        }
    }

    /// Returns the timeout that a beat asks for, if any, within the server's bounds.
    #[expect(clippy::cast_precision_loss, reason = "millionths of a small number")]
    pub(super) fn asked(&self, beat: &Beat<'_>) -> Option<Asked> {
        if beat.down_millionths.is_none() && beat.grace_ns.is_none() {
            return None;
        }
        let multiplier = beat.down_millionths.map_or(1.0, |millionths| millionths as f64 / 1e6);
        let least = if beat.grace_ns.is_some() { 1.0 } else { LEAST_MULTIPLIER };
        let most = f64::from(self.config.max_multiplier).max(least);
        let grace_ns = beat.grace_ns.unwrap_or_default().clamp(0, self.config.max_grace_ns);
        Some(Asked { multiplier: multiplier.clamp(least, most), grace_ns })
    }

    /// Returns the timeouts for suspect and down.
    pub(super) fn timeouts_ns(&self, index: usize) -> (i64, i64) {
        if !self.has_learned(index) {
            return (GRACE_NS, GRACE_NS);
        }
        let interval_ns = self.table.record(index).interval_ns().unwrap_or(NS_PER_SECOND);
        let details = self.table.details(index);
        let detector = &self.config.detector;
        if detector.kind() == Kind::Fixed {
            return match details {
                // Its beats would come too late for that timeout, each one.
                Some(details) if details.outlasts_timeout => {
                    let default = Detector::of(Kind::Multiple);
                    let (_, down_ns) = default.timeouts_ns(&Estimate::default(), interval_ns);
                    (down_ns, down_ns)
                }
                _ => {
                    let (suspect_ns, down_ns) =
                        detector.timeouts_ns(&Estimate::default(), interval_ns);
                    // A client that declares so long an interval would be suspected at each beat.
                    let is_longer = self.table.record(index).declared_ns() >= Some(suspect_ns);
                    (if is_longer { down_ns } else { suspect_ns }, down_ns)
                }
            };
        }
        match details.and_then(|details| details.asked) {
            Some(asked) => detector.asked_timeouts_ns(asked, interval_ns),
            None => detector.timeouts_ns(&self.table.estimate(index), interval_ns),
        }
    }

    /// Returns whether the client declared an interval that is not below its timeout. Silence then
    /// does not show that it has ended.
    pub(super) fn timeout_is_short(&self, index: usize) -> bool {
        let record = self.table.record(index);
        let (_, down_ns) = self.timeouts_ns(index);
        let is_fixed = self.config.detector.kind() == Kind::Fixed;
        is_fixed && record.is_declared() && record.interval_ns() >= Some(down_ns)
    }

    pub(super) fn has_learned(&self, index: usize) -> bool {
        self.config.detector.kind() == Kind::Fixed || self.table.record(index).has_learned()
    }
}
