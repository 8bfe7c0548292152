//! The decision about a packet on both links.

use crate::impair::{CopyPlan, Flags};
use crate::path::clients::Client;

/// A planned copy: the bits flipped on each link and its departure time. If the downlink is still
/// to be decided, `ahead` holds its random part and `at_ns` is the time of entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) at_ns: i64,
    pub(super) flipped: [Option<u32>; 2],
    pub(super) ahead: Option<CopyPlan>,
}

/// The decision about a packet on both links.
pub(super) struct Decision {
    copies: [Plan; 4],
    count: usize,
    pub(super) uplink: Flags,
    pub(super) downlink: Flags,
}

impl Decision {
    /// Draws all random decisions. If `in_series`, the passage of the downlink is decided later.
    pub(super) fn new(client: &mut Client, at_ns: i64, length: usize, in_series: bool) -> Self {
        let Client { uplink, downlink, .. } = client;
        let up = uplink.draw(length);
        let mut decision =
            Self { copies: Default::default(), count: 0, uplink: up.flags, downlink: Flags(0) };
        for copy in up.copies.iter().flatten() {
            // Draw even if the uplink's queue turns out full: that depends on time, and draws must
            // not.
            let down = downlink.draw(length);
            let Some(at_ns) = uplink.carry(at_ns, length, copy, &mut decision.uplink) else {
                continue;
            };
            decision.downlink.add(down.flags);
            for back in down.copies.iter().flatten() {
                let flipped = [copy.flipped, back.flipped];
                if in_series {
                    decision.push(Plan { at_ns, flipped, ahead: Some(*back) });
                } else if let Some(at_ns) =
                    downlink.carry(at_ns, length, back, &mut decision.downlink)
                {
                    decision.push(Plan { at_ns, flipped, ahead: None });
                }
            }
        }
        decision
    }

    fn push(&mut self, copy: Plan) {
        self.copies[self.count] = copy;
        self.count += 1;
    }

    pub(super) fn copies(&self) -> &[Plan] {
        &self.copies[..self.count]
    }
}
