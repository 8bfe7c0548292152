//! One way of a path: what happens to a packet, in a fixed order.

use crate::impair::{Corruption, Delay, Loss, Random, Rate, Reordering};

/// The impairments of one way, in the order in which a packet meets them; by default none.
///
/// Each copy of a duplicated packet meets what follows on its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// Which packets are lost.
    pub loss: Loss,
    /// The probability that a packet comes twice.
    pub duplication: f64,
    /// Which packets are changed.
    pub corruption: Corruption,
    /// How much the link carries.
    pub rate: Option<Rate>,
    /// How long it takes.
    pub delay: Delay,
    /// Whether a packet waits for those before it though its own delay is over.
    pub keep_order: bool,
    /// Which packets are overtaken on purpose, whatever `keep_order` says of the rest.
    pub reordering: Reordering,
    /// Its memory: when the last packet in order arrives.
    pub last_ns: i64,
}

/// What happened to a packet on one way; of several copies, to any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// Lost.
    pub const LOST: Self = Self(1);
    /// Came twice.
    pub const DUPLICATED: Self = Self(2);
    /// A bit was flipped.
    pub const CORRUPTED: Self = Self(4);
    /// Was held back for others to overtake.
    pub const HELD: Self = Self(8);
    /// Found the queue of the rate limit full.
    pub const QUEUE_FULL: Self = Self(16);
    /// The names of the flags, from the lowest bit.
    pub const NAMES: [&str; 5] = ["lost", "duplicated", "corrupted", "held", "queue_full"];

    /// Adds what `other` has.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether it has all of `other`.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A copy of a packet that comes out of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at_ns: i64,
    /// The bit that was flipped on the way.
    pub flipped: Option<usize>,
}

/// What a link made of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The copies that come out.
    pub copies: [Option<Arrival>; 2],
    /// What happened.
    pub flags: Flags,
}

impl Link {
    /// Decides a packet of `length` bytes that enters at `at_ns`.
    pub fn pass(&mut self, at_ns: i64, length: usize, random: &mut Random) -> Passage {
        let mut passage = Passage::default();
        if self.loss.loses(random) {
            passage.flags.add(Flags::LOST);
            return passage;
        }
        let twice = self.duplication > 0.0 && random.chance(self.duplication);
        if twice {
            passage.flags.add(Flags::DUPLICATED);
        }
        for copy in &mut passage.copies[..=usize::from(twice)] {
            *copy = self.carry(at_ns, length, random, &mut passage.flags);
        }
        passage
    }

    /// Decides one copy.
    fn carry(
        &mut self,
        at_ns: i64,
        length: usize,
        random: &mut Random,
        flags: &mut Flags,
    ) -> Option<Arrival> {
        let flipped = self.corruption.bit(length, random);
        let delay_ns = self.delay.draw_ns(random);
        let held_ns = self.reordering.holds(random);
        let sent_ns = match &mut self.rate {
            None => Some(at_ns),
            Some(rate) => rate.leaves(at_ns, length),
        };
        let Some(sent_ns) = sent_ns else {
            flags.add(Flags::QUEUE_FULL);
            return None;
        };
        if flipped.is_some() {
            flags.add(Flags::CORRUPTED);
        }
        let mut at_ns = sent_ns.saturating_add(delay_ns);
        if let Some(held_ns) = held_ns {
            flags.add(Flags::HELD);
            at_ns = at_ns.saturating_add(held_ns);
        } else if self.keep_order {
            at_ns = at_ns.max(self.last_ns);
            self.last_ns = at_ns;
        }
        Some(Arrival { at_ns, flipped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::assert_share;

    const N: u32 = 20_000;

    fn arrivals(mut link: Link) -> Vec<Passage> {
        let mut random = Random::new(Some(5));
        (0..N).map(|i| link.pass(i64::from(i) * 1000, 100, &mut random)).collect()
    }

    #[test]
    fn a_link_without_impairments_does_nothing() {
        for (i, passage) in arrivals(Link::default()).into_iter().enumerate() {
            let at_ns = i64::try_from(i).unwrap() * 1000;
            let copies = [Some(Arrival { at_ns, flipped: None }), None];
            assert_eq!(passage, Passage { copies, flags: Flags::default() });
        }
    }

    #[test]
    fn a_loss_takes_all_copies_and_the_rest_is_duplicated_at_its_rate() {
        let loss = Loss::Bernoulli(0.25);
        let passages = arrivals(Link { loss, duplication: 0.1, ..Link::default() });
        let count = |copies: usize| {
            passages.iter().filter(|p| p.copies.iter().flatten().count() == copies).count()
        };
        let [none, _, two] = [0, 1, 2].map(|copies| u32::try_from(count(copies)).unwrap());
        assert_share(none, N, 0.25);
        assert_share(two, N - none, 0.1);
    }

    #[test]
    fn order_is_kept_on_demand_and_broken_on_demand() {
        let delay = Delay::Exponential(50_000.0);
        let times = |link| {
            let copies = arrivals(link).into_iter().map(|passage| passage.copies[0].unwrap().at_ns);
            copies.collect::<Vec<_>>()
        };
        assert!(!times(Link { delay: delay.clone(), ..Link::default() }).is_sorted());
        let kept = Link { delay: delay.clone(), keep_order: true, ..Link::default() };
        assert!(times(kept.clone()).is_sorted());
        let reordering = Reordering::new(0.01, 1_000_000).unwrap();
        assert!(!times(Link { reordering, ..kept }).is_sorted());
    }

    #[test]
    fn a_full_queue_loses() {
        let rate = Some(Rate::new(512_000_000, 1280).unwrap());
        // 128 bytes take 2 microseconds, one comes each: half are lost in the long run.
        let passages = arrivals(Link { rate, ..Link::default() });
        let lost = passages.iter().filter(|p| p.flags.has(Flags::QUEUE_FULL)).count();
        assert_eq!(lost, passages.iter().filter(|p| p.copies[0].is_none()).count());
        assert!((9_980..=10_000).contains(&lost), "{lost}");
    }
}
