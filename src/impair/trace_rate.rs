//! A rate that follows a recorded trace.

use std::sync::Arc;

use crate::impair::rate::HEADERS;
use crate::{Error, Result};

const NS_PER_MS: i64 = 1_000_000;

/// A rate given by the moments at which a link delivered, with a queue in front of it: the traces of
/// mahimahi (Netravali et al. 2015).
///
/// At each opportunity the link delivers up to `quantum` bytes: parts of packets or several of
/// them. What it cannot use is lost. After its end the trace repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRate {
    /// Milliseconds since the start.
    opportunities: Arc<[u32]>,
    quantum: u32,
    queue: u64,
}

/// The running state of a [`TraceRate`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TraceState {
    /// When the first packet came: the start of the trace.
    start_ns: Option<i64>,
    /// The opportunity that the last accepted byte uses, counted over all repetitions, and the bytes
    /// that it can still deliver.
    opportunity: u64,
    left: u64,
}

impl TraceRate {
    /// The greatest number of opportunities.
    pub const MAX: usize = 1 << 22;

    /// Creates a link that delivers `quantum` bytes at each of these milliseconds, behind a queue of
    /// `queue` bytes. A packet counts as its payload and 28 bytes of headers.
    ///
    /// # Errors
    /// [`Error::Argument`] names the invalid one.
    pub fn new(opportunities: Vec<u32>, quantum: u32, queue: u32) -> Result<Self> {
        let name = "opportunities";
        if !(1..=Self::MAX).contains(&opportunities.len()) {
            let allowed = format!("1 to {} milliseconds", Self::MAX);
            return Err(Error::argument(name, opportunities.len(), allowed));
        }
        let mut pairs = opportunities.iter().zip(&opportunities[1..]);
        if let Some((before, after)) = pairs.find(|(before, after)| before > after) {
            let given = format!("{after} after {before}");
            return Err(Error::argument(name, given, "in rising order"));
        }
        if opportunities.last() == Some(&0) {
            return Err(Error::argument(name, 0, "longer than 0 milliseconds in all"));
        }
        if quantum == 0 {
            return Err(Error::argument("quantum", 0, "1 or more"));
        }
        Ok(Self { opportunities: opportunities.into(), quantum, queue: queue.into() })
    }

    /// Accepts a packet at `at_ns`. Returns when its last byte is delivered, or `None` if the queue
    /// has no room; an idle link accepts any packet.
    pub(super) fn leaves(&self, state: &mut TraceState, at_ns: i64, length: usize) -> Option<i64> {
        let start_ns = state.start_ns.unwrap_or(at_ns);
        let next = self.next(at_ns.saturating_sub(start_ns).max(0));
        let quantum = self.quantum.into();
        let mut free = *state;
        if state.start_ns.is_none() || state.opportunity < next {
            (free.opportunity, free.left) = (next, quantum);
        }
        let size = (length + HEADERS) as u64;
        let later = (free.opportunity - next).saturating_mul(quantum);
        let waiting = later.saturating_add(quantum - free.left);
        if waiting > 0 && waiting.saturating_add(size) > self.queue {
            return None;
        }
        let beyond = size.saturating_sub(free.left).div_ceil(quantum);
        free.left = free.left + beyond * quantum - size;
        free.opportunity += beyond;
        free.start_ns = Some(start_ns);
        *state = free;
        Some(start_ns.saturating_add(self.at_ns(free.opportunity)))
    }

    /// Returns the length of the trace.
    fn length_ns(&self) -> i64 {
        i64::from(self.opportunities[self.opportunities.len() - 1]) * NS_PER_MS
    }

    /// Returns the first opportunity that is not before `since_ns`.
    #[expect(clippy::cast_sign_loss, reason = "time does not run backwards")]
    fn next(&self, since_ns: i64) -> u64 {
        // The end of one repetition is the start of the next: its last opportunities come first.
        let rounds = (since_ns - 1).max(0) / self.length_ns();
        let rest_ns = since_ns - rounds * self.length_ns();
        let before = self.opportunities.partition_point(|&ms| i64::from(ms) * NS_PER_MS < rest_ns);
        rounds as u64 * self.opportunities.len() as u64 + before as u64
    }

    /// Returns when an opportunity comes.
    fn at_ns(&self, opportunity: u64) -> i64 {
        let count = self.opportunities.len() as u64;
        let rounds = i64::try_from(opportunity / count).unwrap_or(i64::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "less than the number of entries")]
        let ms = self.opportunities[(opportunity % count) as usize];
        rounds.saturating_mul(self.length_ns()).saturating_add(i64::from(ms) * NS_PER_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns when packets of these sizes with headers leave that enter together at `at_ms`.
    fn leave(rate: &TraceRate, state: &mut TraceState, at_ms: i64, sizes: &[usize]) -> Vec<i64> {
        let leave = |size: &usize| rate.leaves(state, at_ms * NS_PER_MS, size - HEADERS);
        sizes.iter().map(leave).map(|ns| ns.map_or(-1, |ns| ns / NS_PER_MS)).collect()
    }

    #[test]
    fn opportunities_are_shared_spanned_and_wasted() {
        let rate = TraceRate::new(vec![0, 2, 2, 5], 1500, 1 << 20).unwrap();
        let mut state = TraceState::default();
        // Two share the first; one spans the next two, a fourth uses its rest.
        assert_eq!(leave(&rate, &mut state, 0, &[700, 800, 2900, 100]), [0, 0, 2, 2]);
        // The rest of an opportunity before the packet is lost.
        assert_eq!(leave(&rate, &mut state, 3, &[100]), [5]);
        // At its end the trace repeats: 5 is also 0 of the next repetition.
        assert_eq!(leave(&rate, &mut state, 5, &[1400, 1500, 1500, 1500, 1500]), [5, 5, 7, 7, 10]);
        let mut one = TraceState::default();
        assert_eq!(leave(&rate, &mut one, 1000, &[1500; 5]), [1000, 1002, 1002, 1005, 1005]);
    }

    #[test]
    fn one_opportunity_each_millisecond_is_12_megabits_per_second() {
        let rate = TraceRate::new(vec![1], 1500, u32::MAX).unwrap();
        let mut state = TraceState::default();
        let left = leave(&rate, &mut state, 0, &[1500; 1000]);
        assert_eq!(left, (1..=1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_loses() {
        let rate = TraceRate::new(vec![10], 1500, 3000).unwrap();
        let mut state = TraceState::default();
        assert_eq!(leave(&rate, &mut state, 0, &[9000, 1500]), [60, -1]);
        // 4500 bytes are left at 40 ms, 1500 after 50.
        assert_eq!(leave(&rate, &mut state, 40, &[100]), [-1]);
        assert_eq!(leave(&rate, &mut state, 51, &[1500, 29]), [70, -1]);
    }

    #[test]
    fn impossible_traces_are_refused() {
        let text = |ms, quantum| TraceRate::new(ms, quantum, 0).unwrap_err().to_string();
        let name = "opportunities must be";
        assert_eq!(text(vec![], 1), format!("{name} 1 to 4194304 milliseconds, not 0"));
        assert_eq!(text(vec![3, 2], 1), format!("{name} in rising order, not 2 after 3"));
        assert_eq!(text(vec![0, 0], 1), format!("{name} longer than 0 milliseconds in all, not 0"));
        assert_eq!(text(vec![1], 0), "quantum must be 1 or more, not 0");
    }

    proptest! {
        #[test]
        fn packets_leave_in_order_and_no_faster_than_the_trace(
            gaps in prop::collection::vec(0..9_u32, 1..8),
            packets in prop::collection::vec((0..8_000_000_i64, 0..3000_usize), 1..100),
        ) {
            let mut ms: Vec<_> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            ms.push(ms.last().unwrap() + 1);
            let rate = TraceRate::new(ms, 1500, 20_000).unwrap();
            let (mut state, mut at_ns, mut bytes, mut last_ns) = (TraceState::default(), 77, 0, 0);
            for (gap_ns, length) in packets {
                at_ns += gap_ns;
                let Some(out_ns) = rate.leaves(&mut state, at_ns, length) else { continue };
                prop_assert!(out_ns >= at_ns.max(last_ns));
                last_ns = out_ns;
                bytes += (length + HEADERS) as u64;
                // All opportunities up to this one.
                prop_assert!(bytes <= rate.next(out_ns - 77 + 1) * 1500);
            }
        }
    }
}
