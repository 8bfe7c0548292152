//! A rate limit per source.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::{Error, NS_PER_SECOND, Result};

/// The most sources with buckets of their own; later ones share one.
const MAX_SOURCES: usize = 1 << 14;

/// Token buckets per source address: a steady rate, with bursts of one second's worth or one
/// packet.
#[derive(Clone, Debug)]
pub struct Limiter {
    /// The cost of one packet, in nanoseconds of allowance.
    cost_ns: i64,
    /// The time at which each source's bucket counts as empty.
    sources: HashMap<IpAddr, i64, foldhash::fast::RandomState>,
    /// The same for all sources beyond the table.
    crowd: i64,
    /// When sources with full buckets were last removed.
    swept_ns: i64,
}

impl Limiter {
    /// Creates a limiter that admits `per_second` packets from each source.
    ///
    /// # Errors
    /// [`Error::Argument`] if the rate is not between one a year and one a nanosecond.
    pub fn new(per_second: f64) -> Result<Self> {
        if !(3e-8..=1e9).contains(&per_second) {
            return Err(Error::number("max_rate", per_second, "3e-8 to 1e9 packets per second"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "a year of nanoseconds fits")]
        let cost_ns = (1e9 / per_second) as i64;
        Ok(Self { cost_ns, sources: HashMap::default(), crowd: i64::MIN, swept_ns: i64::MIN })
    }

    /// Returns whether a packet at `at_ns` is within its source's rate.
    pub fn admits(&mut self, source: IpAddr, at_ns: i64) -> bool {
        let full_ns = at_ns.saturating_sub(NS_PER_SECOND.max(self.cost_ns));
        let empty_ns = if self.has_place(source, at_ns, full_ns) {
            self.sources.entry(source).or_insert(i64::MIN)
        } else {
            &mut self.crowd
        };
        let then_ns = (*empty_ns).max(full_ns).saturating_add(self.cost_ns);
        let admitted = then_ns <= at_ns;
        if admitted {
            *empty_ns = then_ns;
        }
        admitted
    }

    /// Returns whether a source has an entry or can get one. If the table is full, removes sources
    /// that were empty by `full_ns`: their buckets are full again, like an unknown source's.
    fn has_place(&mut self, source: IpAddr, at_ns: i64, full_ns: i64) -> bool {
        if self.sources.len() < MAX_SOURCES || self.sources.contains_key(&source) {
            return true;
        }
        // Not for each packet of a flood.
        if self.swept_ns <= full_ns {
            self.swept_ns = at_ns;
            self.sources.retain(|_, empty_ns| *empty_ns > full_ns);
        }
        self.sources.len() < MAX_SOURCES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SECOND: i64 = NS_PER_SECOND;

    fn source(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn a_burst_of_one_second_passes_then_the_rate() {
        let mut limiter = Limiter::new(10.0).unwrap();
        let mut burst = |at_ns| (0..100).filter(|_| limiter.admits(source(1), at_ns)).count();
        assert_eq!([burst(0), burst(SECOND / 10), burst(SECOND / 2)], [10, 1, 4]);
        assert_eq!(burst(100 * SECOND), 10);
        assert!(limiter.admits(source(2), 100 * SECOND));
    }

    #[test]
    fn a_slow_rate_lets_one_pass() {
        let mut limiter = Limiter::new(0.1).unwrap();
        let admitted = [0, 9, 10, 11, 20].map(|s| limiter.admits(source(1), s * SECOND));
        assert_eq!(admitted, [true, false, true, false, true]);
    }

    #[test]
    fn the_table_of_sources_is_bounded() {
        let mut limiter = Limiter::new(1.0).unwrap();
        let admitted = (0..100_000).filter(|&i| limiter.admits(source(i), 0)).count();
        assert_eq!((admitted, limiter.sources.len()), (16_385, 16_384));
        // Sources of a flood keep their entries only until their buckets are full.
        let later = (200_000..200_100).filter(|&i| limiter.admits(source(i), 2 * SECOND)).count();
        assert_eq!((later, limiter.sources.len()), (100, 100));
    }

    #[test]
    fn sources_over_the_rate_are_kept() {
        let mut limiter = Limiter::new(1.0).unwrap();
        assert!(limiter.admits(source(u32::MAX), SECOND / 2));
        for i in 0..100_000 {
            limiter.admits(source(i), SECOND);
        }
        assert!(!limiter.admits(source(u32::MAX), SECOND * 5 / 4));
    }

    #[test]
    fn an_impossible_rate_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Limiter::new(rate).is_err());
        }
    }
}
