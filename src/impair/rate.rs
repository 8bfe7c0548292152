//! A rate limit with a bounded queue.

use crate::{Error, NS_PER_SECOND, Result};

/// The bytes that IPv4 and UDP headers add to a payload.
pub(super) const HEADERS: usize = 28;

/// A rate limit with a queue in front of it; a packet that finds the queue full is lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    bits_per_second: u64,
    queue_ns: i64,
}

impl Rate {
    /// Creates a link of `bits_per_second` with a queue of `queue` bytes. A packet counts as its
    /// payload and 28 bytes of headers.
    ///
    /// # Errors
    /// [`Error::Argument`] if the rate is 0.
    pub fn new(bits_per_second: u64, queue: u32) -> Result<Self> {
        if bits_per_second == 0 {
            return Err(Error::argument("bits_per_second", 0, "1 or more"));
        }
        let queue_ns = transmission_ns(queue as usize, bits_per_second);
        Ok(Self { bits_per_second, queue_ns })
    }

    /// Accepts a packet at `at_ns`. Returns when its last bit leaves, or `None` if the queue has no
    /// room. The packet in transmission counts with its unsent part; an idle link accepts any
    /// packet. Everything accepted so far has been sent at `busy_until_ns`.
    pub(super) fn leaves(&self, busy_until_ns: &mut i64, at_ns: i64, length: usize) -> Option<i64> {
        let transmission_ns = transmission_ns(length + HEADERS, self.bits_per_second);
        let start_ns = at_ns.max(*busy_until_ns);
        // The queue holds all unsent bytes, and would hold this packet.
        let waiting_ns = start_ns.saturating_sub(at_ns);
        if waiting_ns > 0 && waiting_ns.saturating_add(transmission_ns) > self.queue_ns {
            return None;
        }
        *busy_until_ns = start_ns.saturating_add(transmission_ns);
        Some(*busy_until_ns)
    }

    /// Returns how long `rate` takes for the bits that this rate sends in `ns`; none without a
    /// limit.
    pub(super) fn convert(&self, ns: i64, rate: Option<&Self>) -> i64 {
        let Some(rate) = rate else { return 0 };
        let ns =
            i128::from(ns) * i128::from(self.bits_per_second) / i128::from(rate.bits_per_second);
        i64::try_from(ns).unwrap_or(i64::MAX)
    }
}

fn transmission_ns(bytes: usize, bits_per_second: u64) -> i64 {
    let ns =
        bytes as u128 * 8 * u128::from(NS_PER_SECOND.unsigned_abs()) / u128::from(bits_per_second);
    i64::try_from(ns).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_leave_one_after_the_other_and_the_queue_is_bounded() {
        // 100 bytes take a millisecond; three of them fit in the queue.
        let (rate, mut busy) = (Rate::new(800_000, 300).unwrap(), i64::MIN);
        let leaves: Vec<_> = (0..5).map(|_| rate.leaves(&mut busy, 0, 72)).collect();
        let ms = |n: i64| Some(n * 1_000_000);
        assert_eq!(leaves, [ms(1), ms(2), ms(3), None, None]);
        assert_eq!(rate.leaves(&mut busy, 1_000_000, 72), ms(4));
        assert_eq!(rate.leaves(&mut busy, 50_000_000, 72), ms(51));
    }

    #[test]
    fn an_idle_link_accepts_a_packet_larger_than_the_queue() {
        let mut busy = i64::MIN;
        let leaves_ns = Rate::new(8, 0).unwrap().leaves(&mut busy, 0, 72);
        assert_eq!(leaves_ns, Some(100 * NS_PER_SECOND));
    }

    proptest! {
        #[test]
        fn no_more_leaves_than_the_rate_allows(
            packets in prop::collection::vec((0..3_000_000_i64, 0..1500_usize), 1..200),
            bits_per_second in 1_000_u64..1_000_000_000,
        ) {
            let rate = Rate::new(bits_per_second, 10_000).unwrap();
            let (mut busy, mut at_ns, mut last_ns) = (i64::MIN, 0, 0);
            for (gap, length) in packets {
                at_ns += gap;
                if let Some(leaves_ns) = rate.leaves(&mut busy, at_ns, length) {
                    let least = transmission_ns(length + HEADERS, bits_per_second);
                    prop_assert!(leaves_ns - last_ns.max(at_ns) >= least);
                    last_ns = leaves_ns;
                }
            }
        }
    }
}
