//! One direction of a path: impairments in a fixed order.

use crate::Random;
use crate::impair::rate::HEADERS;
use crate::impair::rule::{Matches, Rule};
use crate::impair::trace_rate::TraceState;
use crate::impair::{Corruption, Delay, DelayState, Loss, LossState, Rate, Reordering, TraceRate};

/// The impairments of one direction, in the order in which they apply; by default none.
///
/// Copies of a duplicated packet are impaired independently. Random decisions, including delay and
/// hold time, are drawn in packet order; rate and order depend on earlier packets and are decided
/// when a packet enters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// Rules about single packets, at most [`Rule::MAX`]: the first that is due acts.
    pub rules: Vec<Rule>,
    /// Packet loss.
    pub loss: Loss,
    /// The most losses in a row; the next packet passes.
    pub max_burst: Option<u32>,
    /// The probability that a packet arrives twice.
    pub duplication: f64,
    /// Bit errors.
    pub corruption: Corruption,
    /// The longest packet that passes, in bytes with 28 of headers.
    pub mtu: Option<u32>,
    /// The rate limit.
    pub rate: Option<Rate>,
    /// A recorded rate.
    pub trace: Option<TraceRate>,
    /// The delay.
    pub delay: Delay,
    /// Whether a packet waits for earlier ones even if its own delay is over.
    pub keep_order: bool,
    /// Deliberate reordering, regardless of `keep_order`.
    pub reordering: Reordering,
}

/// The running state of one client's [`Link`].
#[derive(Clone, Debug)]
pub struct LinkState {
    matches: Matches,
    loss: LossState,
    /// The number of losses in a row.
    burst: u32,
    delay: DelayState,
    trace: TraceState,
    /// When the rate limit has sent everything that it accepted.
    busy_until_ns: i64,
    /// When the last packet in order arrives.
    last_ns: i64,
}

impl Default for LinkState {
    fn default() -> Self {
        Self {
            matches: Matches::default(),
            loss: LossState::default(),
            burst: 0,
            delay: DelayState::default(),
            trace: TraceState::default(),
            busy_until_ns: i64::MIN,
            last_ns: i64::MIN,
        }
    }
}

impl LinkState {
    /// Returns what a link without impairments draws.
    pub(crate) fn pass(&mut self) -> LinkDraw {
        self.burst = 0;
        LinkDraw { copies: [Some(CopyPlan::default()), None], ..LinkDraw::default() }
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
    /// Entered during an outage.
    pub const OUTAGE: Self = Self(32);
    /// Longer than the MTU.
    pub const TOO_BIG: Self = Self(64);
    /// All flags by name, from the lowest bit.
    pub const ALL: [(&str, Self); 7] = [
        ("lost", Self::LOST),
        ("duplicated", Self::DUPLICATED),
        ("corrupted", Self::CORRUPTED),
        ("held", Self::HELD),
        ("queue_full", Self::QUEUE_FULL),
        ("outage", Self::OUTAGE),
        ("too_big", Self::TOO_BIG),
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
    /// The index of the rule that acted on it.
    pub rule: Option<u8>,
}

/// The random decisions for one copy of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyPlan {
    /// The bit to flip.
    pub flipped: Option<u32>,
    delay_ns: i64,
    pub(super) held_ns: Option<i64>,
}

/// The passage of a copy through one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// When its last bit leaves the queue of the rate limit.
    pub sent_ns: i64,
    /// The time that it spends behind the queue, unless it waits for earlier packets.
    pub delay_ns: i64,
    /// Whether it was held back on purpose.
    pub held: bool,
    /// When it leaves the link.
    pub out_ns: i64,
}

impl Link {
    /// Makes the decisions for a packet that comes to the path at `at_ns`: random ones and those of
    /// rules, which leave the random ones for all other packets as they are.
    ///
    /// They depend on earlier packets, and only those of models in time on when they came; on when
    /// any of them enters the link they never depend.
    pub fn draw(
        &self,
        state: &mut LinkState,
        at_ns: i64,
        payload: &[u8],
        random: &mut Random,
    ) -> LinkDraw {
        let mut drawn = self.draw_randomly(state, at_ns, payload.len(), random);
        if !self.rules.is_empty()
            && let Some(index) = state.matches.hit(&self.rules, payload)
            && self.rules[index].apply(&mut drawn)
        {
            drawn.rule = u8::try_from(index).ok();
        }
        drawn
    }

    fn draw_randomly(
        &self,
        state: &mut LinkState,
        at_ns: i64,
        length: usize,
        random: &mut Random,
    ) -> LinkDraw {
        let mut drawn = LinkDraw::default();
        if self.loss.loses(&mut state.loss, at_ns, random)
            && self.max_burst.is_none_or(|most| state.burst < most)
        {
            state.burst = state.burst.saturating_add(1);
            drawn.flags.add(Flags::LOST);
            return drawn;
        }
        state.burst = 0;
        let twice = self.duplication > 0.0 && random.chance(self.duplication);
        if twice {
            drawn.flags.add(Flags::DUPLICATED);
        }
        let bad_ns = self.loss.delay_ns(&state.loss);
        for copy in &mut drawn.copies[..=usize::from(twice)] {
            *copy = Some(CopyPlan {
                flipped: self.corruption.bit(length, random),
                delay_ns: bad_ns + self.delay.draw_ns(&mut state.delay, at_ns, random),
                held_ns: self.reordering.holds(random),
            });
        }
        drawn
    }

    /// Passes a copy of `length` bytes that enters at `at_ns`; calls are in order of entry. Returns
    /// `None` if it is too long or if the queue is full.
    pub fn carry(
        &self,
        state: &mut LinkState,
        at_ns: i64,
        length: usize,
        copy: &CopyPlan,
        flags: &mut Flags,
    ) -> Option<Passage> {
        if self.mtu.is_some_and(|mtu| length + HEADERS > mtu as usize) {
            flags.add(Flags::TOO_BIG);
            return None;
        }
        let sent_ns = match &self.rate {
            None => Some(at_ns),
            Some(rate) => rate.leaves(&mut state.busy_until_ns, at_ns, length),
        };
        let sent_ns = match &self.trace {
            None => sent_ns,
            Some(trace) => sent_ns.and_then(|ns| trace.leaves(&mut state.trace, ns, length)),
        };
        let Some(sent_ns) = sent_ns else {
            flags.add(Flags::QUEUE_FULL);
            return None;
        };
        if copy.flipped.is_some() {
            flags.add(Flags::CORRUPTED);
        }
        if copy.held_ns.is_some() {
            flags.add(Flags::HELD);
        }
        let delay_ns = copy.delay_ns.saturating_add(copy.held_ns.unwrap_or(0));
        let mut passage =
            Passage { sent_ns, delay_ns, held: copy.held_ns.is_some(), out_ns: sent_ns };
        self.arrive(state, &mut passage);
        Some(passage)
    }

    /// Replaces `old` at `now_ns`: the copies in its queue, in order, leave at this link's rate and
    /// keep their delay. The last copy in order that has left the queue arrives at `last_ns`.
    pub fn replace<'a>(
        &self,
        old: &Self,
        state: &mut LinkState,
        now_ns: i64,
        last_ns: i64,
        queue: impl Iterator<Item = &'a mut Passage>,
    ) {
        if self.rules != old.rules {
            state.matches = Matches::default();
        }
        if self.loss != old.loss {
            state.loss = LossState::default();
        }
        if self.delay != old.delay {
            state.delay = DelayState::default();
        }
        if self.trace != old.trace {
            state.trace = TraceState::default();
        }
        let Some(rate) = old.rate.as_ref().filter(|_| self.rate != old.rate) else { return };
        let (mut former_ns, mut sent_ns) = (now_ns, now_ns);
        state.last_ns = last_ns;
        for passage in queue {
            let left_ns = passage.sent_ns - former_ns;
            former_ns = passage.sent_ns;
            sent_ns = sent_ns.saturating_add(rate.convert(left_ns, self.rate.as_ref()));
            passage.sent_ns = sent_ns;
            self.arrive(state, passage);
        }
        state.busy_until_ns = sent_ns;
    }

    /// Sets when a copy leaves the link, once it has left the queue.
    fn arrive(&self, state: &mut LinkState, passage: &mut Passage) {
        passage.out_ns = passage.sent_ns.saturating_add(passage.delay_ns);
        if self.keep_order && !passage.held {
            passage.out_ns = passage.out_ns.max(state.last_ns);
            state.last_ns = passage.out_ns;
        }
    }

    /// Returns whether a packet may leave later than it enters.
    #[must_use]
    pub fn takes_time(&self) -> bool {
        self.rate.is_some()
            || self.trace.is_some()
            || self.delay != Delay::None
            || self.loss.delays()
            || self.reordering != Reordering::default()
            || self.rules.iter().any(Rule::delays)
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
    use crate::impair::{Action, Bytes, Nth};
    use proptest::prelude::*;

    const N: u32 = 20_000;

    /// Returns when the copies of packets that enter one per microsecond leave, and their flags.
    #[expect(clippy::needless_pass_by_value, reason = "links are made in place")]
    fn arrivals(link: Link) -> Vec<(Vec<i64>, Flags)> {
        let (mut state, mut random) = (LinkState::default(), Random::new(Some(5)));
        let mut pass = |at_ns| {
            let drawn = link.draw(&mut state, at_ns, &[0; 100], &mut random);
            let LinkDraw { copies, mut flags, .. } = drawn;
            let copies = copies.iter().flatten();
            let carry = |copy| link.carry(&mut state, at_ns, 100, copy, &mut flags);
            let out = copies.filter_map(carry).map(|passage| passage.out_ns).collect();
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
    fn a_burst_of_losses_is_capped() {
        let link = Link { loss: Loss::Bernoulli(0.9), max_burst: Some(2), ..Link::default() };
        let lost: Vec<_> = arrivals(link).iter().map(|(_, flags)| flags.has(Flags::LOST)).collect();
        let longest = lost.split(|lost| !lost).map(<[bool]>::len).max();
        assert_eq!(longest, Some(2));
        let all = Link { loss: Loss::Bernoulli(1.0), max_burst: Some(0), ..Link::default() };
        assert!(arrivals(all).iter().all(|(out, _)| out.len() == 1));
    }

    /// Returns a link with a rule that acts on every second packet that starts with 1.
    fn ruled(action: Action) -> Link {
        let bytes = Bytes { offset: 0, mask: [255].into(), value: [1].into() };
        let nth = Nth::Range(2, u64::MAX, 2);
        let rules = vec![Rule::new(action, Some(bytes), 0..=9, nth).unwrap()];
        Link { rules, ..Link::default() }
    }

    #[test]
    fn a_rule_acts_as_the_models_do() {
        let second = |action| {
            let (link, mut state, mut random) =
                (ruled(action), LinkState::default(), Random::new(Some(1)));
            let mut draw = || link.draw(&mut state, 0, &[1, 0], &mut random);
            let copies = [Some(CopyPlan::default()), None];
            assert_eq!(draw(), LinkDraw { copies, ..LinkDraw::default() });
            let drawn = draw();
            assert_eq!(drawn.rule, Some(0));
            let mut flags = drawn.flags;
            let carry = |copy| link.carry(&mut state, 5, 2, copy, &mut flags);
            let passages = drawn.copies.iter().flatten().filter_map(carry);
            let out: Vec<_> = passages.map(|passage| passage.out_ns).collect();
            (out, flags, drawn.copies[0].and_then(|copy| copy.flipped))
        };
        assert_eq!(second(Action::Drop), (vec![], Flags::LOST, None));
        assert_eq!(second(Action::Delay(7)), (vec![12], Flags::HELD, None));
        assert_eq!(second(Action::Duplicate), (vec![5, 5], Flags::DUPLICATED, None));
        assert_eq!(second(Action::Corrupt(9)), (vec![5], Flags::CORRUPTED, Some(9)));
        assert!(ruled(Action::Delay(7)).takes_time() && !ruled(Action::Drop).takes_time());
    }

    #[test]
    fn other_rules_begin_to_count_again() {
        let (old, mut state, mut random) =
            (ruled(Action::Drop), LinkState::default(), Random::new(Some(1)));
        let mut acts = |link: &Link, former: &Link| {
            link.replace(former, &mut state, 0, i64::MIN, std::iter::empty());
            link.draw(&mut state, 0, &[1], &mut random).rule.is_some()
        };
        assert!(!acts(&old, &old));
        let slower = Link { delay: Delay::Fixed(1.0), ..old.clone() };
        assert!(acts(&slower, &old));
        assert!(!acts(&slower, &slower));
        assert!(!acts(&ruled(Action::Duplicate), &slower));
    }

    proptest! {
        #[test]
        fn rules_leave_the_chances_of_other_packets_as_they_are(
            seed: u64,
            (loss, duplication, corruption, held) in (0.0..0.9, 0.0..0.9, 0.0..0.9, 0.0..0.9),
            packets in prop::collection::vec(0..3_u8, 1..200),
            action in prop_oneof![
                Just(Action::Drop), Just(Action::Delay(9)), Just(Action::Duplicate),
                Just(Action::Corrupt(0)),
            ],
        ) {
            let without = Link {
                loss: Loss::Bernoulli(loss),
                max_burst: Some(3),
                duplication,
                corruption: Corruption::new(corruption).unwrap(),
                delay: Delay::Exponential(1e6),
                reordering: Reordering::new(held, 50).unwrap(),
                ..Link::default()
            };
            let with = Link { rules: ruled(action).rules, ..without.clone() };
            let draws = |link: &Link| {
                let (mut state, mut random) = (LinkState::default(), Random::new(Some(seed)));
                packets.iter().map(|first| link.draw(&mut state, 0, &[*first], &mut random))
                    .collect::<Vec<_>>()
            };
            let mut ones = 0;
            for ((first, ruled), free) in packets.iter().zip(draws(&with)).zip(draws(&without)) {
                ones += u32::from(*first == 1);
                let is_due = *first == 1 && ones % 2 == 0;
                let acts = is_due && (action == Action::Drop || free.copies[0].is_some());
                prop_assert_eq!(ruled.rule, acts.then_some(0));
                if !acts {
                    prop_assert_eq!(ruled, free);
                }
            }
        }
    }

    #[test]
    fn a_long_packet_does_not_pass() {
        let out = |mtu| arrivals(Link { mtu: Some(mtu), ..Link::default() }).remove(0);
        assert_eq!(out(128), (vec![0], Flags::default()));
        assert_eq!(out(127), (Vec::new(), Flags::TOO_BIG));
    }

    /// Returns the copies of `count` packets of 100 bytes with headers that entered `link` together.
    fn queue(link: &Link, state: &mut LinkState, count: usize) -> Vec<Passage> {
        let (copy, mut flags) = (CopyPlan { delay_ns: 7, ..CopyPlan::default() }, Flags(0));
        (0..count).filter_map(|_| link.carry(state, 0, 72, &copy, &mut flags)).collect()
    }

    #[test]
    fn a_queue_leaves_at_the_new_rate() {
        let limited =
            |bits| Link { rate: Some(Rate::new(bits, 1 << 20).unwrap()), ..Link::default() };
        let slow = limited(800_000);
        let out = |new: &Link| {
            let mut state = LinkState::default();
            let mut queue = queue(&slow, &mut state, 4);
            // One has left, and half of the next.
            new.replace(&slow, &mut state, 1_500_000, i64::MIN, queue.iter_mut().skip(1));
            let out: Vec<_> = queue.iter().map(|passage| passage.out_ns - 7).collect();
            (out, state.busy_until_ns)
        };
        assert_eq!(
            out(&limited(8_000_000)),
            (vec![1_000_000, 1_550_000, 1_650_000, 1_750_000], 1_750_000)
        );
        assert_eq!(
            out(&limited(400_000)),
            (vec![1_000_000, 2_500_000, 4_500_000, 6_500_000], 6_500_000)
        );
        assert_eq!(
            out(&Link::default()),
            (vec![1_000_000, 1_500_000, 1_500_000, 1_500_000], 1_500_000)
        );
        assert_eq!(out(&slow.clone()).0, [1_000_000, 2_000_000, 3_000_000, 4_000_000]);
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
