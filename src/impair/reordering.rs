//! Packets that others overtake.

use crate::{Random, Result, probability};

/// Holds a packet back for a time, with a probability: what follows in that time overtakes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reordering {
    p: f64,
    by_ns: i64,
}

impl Reordering {
    /// Holds back with probability `p`, for `by_ns`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) where `p` is no probability.
    pub fn new(p: f64, by_ns: i64) -> Result<Self> {
        Ok(Self { p: probability("p", p)?, by_ns })
    }

    /// Decides the next packet: how long it is held back, in nanoseconds, if it is.
    pub fn holds(&self, random: &mut Random) -> Option<i64> {
        (self.p > 0.0 && random.chance(self.p)).then_some(self.by_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::assert_share;

    #[test]
    fn the_rate_is_as_stated() {
        let (reordering, mut random) = (Reordering::new(0.1, 5).unwrap(), Random::new(Some(4)));
        let held = (0..50_000).filter_map(|_| reordering.holds(&mut random)).sum::<i64>() / 5;
        assert_share(u32::try_from(held).unwrap(), 50_000, 0.1);
    }
}
