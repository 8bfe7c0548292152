//! The decision about a packet.

use crate::impair::{CopyPlan, Flags, Passage};
use crate::path::clients::Client;
use crate::path::{DOWNLINK, Route, UPLINK};

/// A planned copy: its passage of the last link that it entered, and the bits flipped on each link.
/// If it enters the downlink later, `ahead` holds its random part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) passage: Passage,
    pub(super) flipped: [Option<u32>; 2],
    pub(super) ahead: Option<CopyPlan>,
}

/// The decision about a packet on the links of its route.
pub(super) struct Decision {
    copies: [Option<Plan>; 4],
    count: usize,
    /// Its impairments on the uplink and on the downlink.
    pub(super) flags: [Flags; 2],
    /// The rules that acted on it there.
    pub(super) rules: [Option<u8>; 2],
}

impl Decision {
    /// Makes all decisions about a packet that arrives at `at_ns`. If the uplink takes time, the
    /// passage of the downlink is decided later. `answer` returns the packet that enters the downlink
    /// if the uplink flips a bit.
    pub(super) fn new(
        client: &mut Client,
        route: Route,
        at_ns: i64,
        payload: &[u8],
        answer: impl Fn(Option<u32>) -> Vec<u8>,
        is_out: impl Fn(usize, i64) -> bool,
    ) -> Self {
        let mut decision =
            Self { copies: [None; 4], count: 0, flags: [Flags::default(); 2], rules: [None; 2] };
        match route {
            Route::Both => decision.round_trip(client, at_ns, payload, answer, is_out),
            Route::Up => decision.one_way(client, UPLINK, at_ns, payload, is_out),
            Route::Down => decision.one_way(client, DOWNLINK, at_ns, payload, is_out),
        }
        decision
    }

    fn one_way(
        &mut self,
        client: &mut Client,
        number: usize,
        at_ns: i64,
        payload: &[u8],
        is_out: impl Fn(usize, i64) -> bool,
    ) {
        let (way, flags) = (&mut client.ways[number], &mut self.flags[number]);
        let drawn = way.draw(at_ns, payload);
        flags.add(drawn.flags);
        self.rules[number] = drawn.rule;
        for copy in drawn.copies.iter().flatten() {
            let mut flipped = [None; 2];
            flipped[number] = copy.flipped;
            let broken = is_out(number, at_ns);
            if let Some(passage) = way.carry(at_ns, payload.len(), copy, flags, broken) {
                self.copies[self.count] = Some(Plan { passage, flipped, ahead: None });
                self.count += 1;
            }
        }
    }

    fn round_trip(
        &mut self,
        client: &mut Client,
        at_ns: i64,
        payload: &[u8],
        answer: impl Fn(Option<u32>) -> Vec<u8>,
        is_out: impl Fn(usize, i64) -> bool,
    ) {
        let (in_series, length) = (client.in_series(), payload.len());
        let [uplink, downlink] = &mut client.ways;
        let [up_flags, down_flags] = &mut self.flags;
        let up = uplink.draw(at_ns, payload);
        up_flags.add(up.flags);
        let mut down_rule = None;
        for copy in up.copies.iter().flatten() {
            // Draw even if the uplink's queue turns out full: that depends on time, and draws must
            // not.
            let changed = downlink.has_rules().then(|| answer(copy.flipped));
            let down = downlink.draw(at_ns, changed.as_deref().unwrap_or(payload));
            let broken = is_out(UPLINK, at_ns);
            let Some(passage) = uplink.carry(at_ns, length, copy, up_flags, broken) else {
                continue;
            };
            down_flags.add(down.flags);
            down_rule = down_rule.or(down.rule);
            for back in down.copies.iter().flatten() {
                let flipped = [copy.flipped, back.flipped];
                let plan = if in_series {
                    Some(Plan { passage, flipped, ahead: Some(*back) })
                } else {
                    let broken = is_out(DOWNLINK, at_ns);
                    let passage = downlink.carry(at_ns, length, back, down_flags, broken);
                    passage.map(|passage| Plan { passage, flipped, ahead: None })
                };
                if plan.is_some() {
                    self.copies[self.count] = plan;
                    self.count += 1;
                }
            }
        }
        self.rules = [up.rule, down_rule];
    }

    /// Returns the copies that leave, each of them there.
    pub(super) fn copies(&self) -> &[Option<Plan>] {
        &self.copies[..self.count]
    }
}
