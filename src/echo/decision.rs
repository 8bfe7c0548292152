//! What becomes of a packet on both ways.

use crate::echo::clients::Client;
use crate::impair::{CopyPlan, Flags};

/// A copy of a packet: what was flipped on each way, and when it leaves; where what is `ahead` of it
/// on the way back is not decided yet, when it comes to that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplyPlan {
    pub(super) at_ns: i64,
    pub(super) flipped: [Option<u32>; 2],
    pub(super) ahead: Option<CopyPlan>,
}

/// What becomes of a packet on both ways.
pub(super) struct Decision {
    copies: [ReplyPlan; 4],
    count: usize,
    pub(super) uplink: Flags,
    pub(super) downlink: Flags,
}

impl Decision {
    /// Draws all that chance decides. The way back of what is `in_series` is decided no further.
    pub(super) fn new(client: &mut Client, at_ns: i64, length: usize, in_series: bool) -> Self {
        let Client { uplink, downlink, .. } = client;
        let up = uplink.link.draw(length, &mut uplink.random);
        let mut decision =
            Self { copies: Default::default(), count: 0, uplink: up.flags, downlink: Flags(0) };
        for copy in up.copies.iter().flatten() {
            // LinkDraw for what finds a queue full, too: whether it does depends on time.
            let down = downlink.link.draw(length, &mut downlink.random);
            let Some(at_ns) = uplink.link.carry(at_ns, length, copy, &mut decision.uplink) else {
                continue;
            };
            decision.downlink.add(down.flags);
            for back in down.copies.iter().flatten() {
                let flipped = [copy.flipped, back.flipped];
                if in_series {
                    decision.push(ReplyPlan { at_ns, flipped, ahead: Some(*back) });
                } else if let Some(at_ns) =
                    downlink.link.carry(at_ns, length, back, &mut decision.downlink)
                {
                    decision.push(ReplyPlan { at_ns, flipped, ahead: None });
                }
            }
        }
        decision
    }

    fn push(&mut self, copy: ReplyPlan) {
        self.copies[self.count] = copy;
        self.count += 1;
    }

    pub(super) fn copies(&self) -> &[ReplyPlan] {
        &self.copies[..self.count]
    }
}
