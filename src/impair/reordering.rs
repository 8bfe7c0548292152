//! Deliberate reordering.

use crate::{Random, Result, probability};

/// A model that holds packets back for a fixed time, with a probability, so that later ones
/// overtake.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reordering {
    p: f64,
    by_ns: i64,
}

impl Reordering {
    /// Creates a model that holds a packet back with probability `p`, for `by_ns`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if `p` is not a probability.
    pub fn new(p: f64, by_ns: i64) -> Result<Self> {
        Ok(Self { p: probability("p", p)?, by_ns })
    }

    /// Returns how long to hold the next packet back, in nanoseconds, if at all.
    pub(super) fn holds(&self, random: &mut Random) -> Option<i64> {
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
