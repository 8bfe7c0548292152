//! What a ping session knows so far.

use crate::stats::Rtt;

/// Counts that add up at every moment: `sent = answered + late + lost + refused + send_failed +
/// pending` over probes and `received = answered + late + duplicates + foreign` over datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Probes handed to the system.
    pub sent: u64,
    /// Probes answered within the timeout.
    pub answered: u64,
    /// Probes answered after it.
    pub late: u64,
    /// Probes not answered, and no reason known.
    pub lost: u64,
    /// Probes not answered because nothing listened at the other end.
    pub refused: u64,
    /// Probes that this host could not send.
    pub send_failed: u64,
    /// Probes whose time is not up.
    pub pending: u64,
    /// Datagrams that came in.
    pub received: u64,
    /// Replies to a probe that had one already (RFC 5560).
    pub duplicates: u64,
    /// Datagrams that are no reply to any probe remembered.
    pub foreign: u64,
}

impl Counters {
    /// The share of the probes decided that had no answer in time, 0 to 1. The loss is that of the
    /// round trip (RFC 6673); a packet that comes after the timeout is lost (RFC 2680 section 2.4).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn loss(&self) -> Option<f64> {
        let decided = self.sent - self.pending;
        (decided > 0).then(|| (decided - self.answered) as f64 / decided as f64)
    }
}

/// A consistent view of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many of each.
    pub counters: Counters,
    /// The round-trip times of the probes answered in time.
    pub rtt: Rtt,
}
