//! One direction of a path: impairments in a fixed order.

use crate::Random;
use crate::impair::{Corruption, Delay, Loss, LossState, Rate, Reordering};

/// The impairments of one direction, in the order in which they apply; by default none.
///
/// Copies of a duplicated packet are impaired independently. Random decisions, including delay and
/// hold time, are drawn in packet order; rate and order depend on earlier packets and are decided
/// when a packet enters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// Packet loss.
    pub loss: Loss,
    /// The probability that a packet arrives twice.
    pub duplication: f64,
    /// Bit errors.
    pub corruption: Corruption,
    /// The rate limit.
    pub rate: Option<Rate>,
    /// The delay.
    pub delay: Delay,
    /// Whether a packet waits for earlier ones even if its own delay is over.
    pub keep_order: bool,
    /// Deliberate reordering, regardless of `keep_order`.
    pub reordering: Reordering,
}

/// The running state of one client's [`Link`].
#[derive(Clone, Copy, Debug)]
pub struct LinkState {
    loss: LossState,
    /// When the rate limit has sent everything that it accepted.
    busy_until_ns: i64,
    /// When the last packet in order arrives.
    last_ns: i64,
}

impl Default for LinkState {
    fn default() -> Self {
        Self { loss: LossState::default(), busy_until_ns: i64::MIN, last_ns: i64::MIN }
    }
}

/// Everything that happened to a packet, or to any of its copies, on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// Lost.
    pub const LOST: Self = Self(1);
    /// Duplicated.
    pub const DUPLICATED: Self = Self(2);
    /// A bit was flipped.
    pub const CORRUPTED: Self = Self(4);
    /// Held back so that others overtake it.
    pub const HELD: Self = Self(8);
    /// Dropped because the rate limit's queue was full.
    pub const QUEUE_FULL: Self = Self(16);
    /// All flags by name, from the lowest bit.
    pub const ALL: [(&str, Self); 5] = [
        ("lost", Self::LOST),
        ("duplicated", Self::DUPLICATED),
        ("corrupted", Self::CORRUPTED),
        ("held", Self::HELD),
        ("queue_full", Self::QUEUE_FULL),
    ];

    /// Adds the flags of `other`.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Returns the flags that `other` lacks.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether it has all flags of `other`.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The random decisions for a packet on one link, independent of when it enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkDraw {
    /// The copies; none if the packet is lost.
    pub copies: [Option<CopyPlan>; 2],
    /// Whether the packet is lost or duplicated.
    pub flags: Flags,
}

/// The random decisions for one copy of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyPlan {
    /// The bit to flip.
    pub flipped: Option<u32>,
    delay_ns: i64,
    held_ns: Option<i64>,
}

impl Link {
    /// Draws the random decisions for a packet of `length` bytes.
    ///
    /// They depend on earlier packets, but not on when any of them enters the link.
    pub fn draw(&self, state: &mut LinkState, length: usize, random: &mut Random) -> LinkDraw {
        let mut drawn = LinkDraw::default();
        if self.loss.loses(&mut state.loss, random) {
            drawn.flags.add(Flags::LOST);
            return drawn;
        }
        let twice = self.duplication > 0.0 && random.chance(self.duplication);
        if twice {
            drawn.flags.add(Flags::DUPLICATED);
        }
        for copy in &mut drawn.copies[..=usize::from(twice)] {
            *copy = Some(CopyPlan {
                flipped: self.corruption.bit(length, random),
                delay_ns: self.delay.draw_ns(random),
                held_ns: self.reordering.holds(random),
            });
        }
        drawn
    }

    /// Passes a copy of `length` bytes that enters at `at_ns`; calls are in order of entry. Returns
    /// when it leaves, or `None` if the queue is full.
    pub fn carry(
        &self,
        state: &mut LinkState,
        at_ns: i64,
        length: usize,
        copy: &CopyPlan,
        flags: &mut Flags,
    ) -> Option<i64> {
        let sent_ns = match &self.rate {
            None => Some(at_ns),
            Some(rate) => rate.leaves(&mut state.busy_until_ns, at_ns, length),
        };
        let Some(sent_ns) = sent_ns else {
            flags.add(Flags::QUEUE_FULL);
            return None;
        };
        if copy.flipped.is_some() {
            flags.add(Flags::CORRUPTED);
        }
        let mut out_ns = sent_ns.saturating_add(copy.delay_ns);
        if let Some(held_ns) = copy.held_ns {
            flags.add(Flags::HELD);
            out_ns = out_ns.saturating_add(held_ns);
        } else if self.keep_order {
            out_ns = out_ns.max(state.last_ns);
            state.last_ns = out_ns;
        }
        Some(out_ns)
    }

    /// Returns whether a packet may leave later than it enters.
    #[must_use]
    pub fn takes_time(&self) -> bool {
        self.rate.is_some() || self.delay != Delay::None || self.reordering != Reordering::default()
    }

    /// Returns whether departure times depend on earlier packets.
    #[must_use]
    pub fn queues(&self) -> bool {
        self.rate.is_some() || self.keep_order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::assert_share;

    const N: u32 = 20_000;

    /// Returns when the copies of packets that enter one per microsecond leave, and their flags.
    #[expect(clippy::needless_pass_by_value, reason = "links are made in place")]
    fn arrivals(link: Link) -> Vec<(Vec<i64>, Flags)> {
        let (mut state, mut random) = (LinkState::default(), Random::new(Some(5)));
        let mut pass = |at_ns| {
            let LinkDraw { copies, mut flags } = link.draw(&mut state, 100, &mut random);
            let copies = copies.iter().flatten();
            let carry = |copy| link.carry(&mut state, at_ns, 100, copy, &mut flags);
            let out = copies.filter_map(carry).collect();
            (out, flags)
        };
        (0..N).map(|i| pass(i64::from(i) * 1000)).collect()
    }

    #[test]
    fn a_link_without_impairments_does_nothing() {
        for (i, arrival) in arrivals(Link::default()).into_iter().enumerate() {
            assert_eq!(arrival, (vec![i64::try_from(i).unwrap() * 1000], Flags::default()));
        }
    }

    #[test]
    fn a_loss_drops_all_copies_and_the_rest_is_duplicated_at_its_rate() {
        let loss = Loss::Bernoulli(0.25);
        let passages = arrivals(Link { loss, duplication: 0.1, ..Link::default() });
        let count = |copies: usize| passages.iter().filter(|(out, _)| out.len() == copies).count();
        let [none, _, two] = [0, 1, 2].map(|copies| u32::try_from(count(copies)).unwrap());
        assert_share(none, N, 0.25);
        assert_share(two, N - none, 0.1);
    }

    #[test]
    fn order_is_kept_or_broken_on_request() {
        let delay = Delay::Exponential(50_000.0);
        let times = |link| arrivals(link).into_iter().map(|(out, _)| out[0]).collect::<Vec<_>>();
        assert!(!times(Link { delay: delay.clone(), ..Link::default() }).is_sorted());
        let kept = Link { delay: delay.clone(), keep_order: true, ..Link::default() };
        assert!(times(kept.clone()).is_sorted());
        let reordering = Reordering::new(0.01, 1_000_000).unwrap();
        assert!(!times(Link { reordering, ..kept }).is_sorted());
    }

    #[test]
    fn a_full_queue_loses() {
        let rate = Some(Rate::new(512_000_000, 1280).unwrap());
        // 128 bytes take 2 microseconds and one packet enters each: half are lost in the long run.
        let passages = arrivals(Link { rate, ..Link::default() });
        let lost = passages.iter().filter(|(_, flags)| flags.has(Flags::QUEUE_FULL)).count();
        assert_eq!(lost, passages.iter().filter(|(out, _)| out.is_empty()).count());
        assert!((9_980..=10_000).contains(&lost), "{lost}");
    }
}
