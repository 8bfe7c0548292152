//! The source of every random choice.

use rand::rngs::{SysRng, Xoshiro256PlusPlus};
use rand::{Rng, SeedableRng, TryRng};

/// A stream of xoshiro256++ numbers. The same seed gives the same choices on every platform and in
/// every release: the ways from a number to a choice are written out here for that.
#[derive(Clone, Debug)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The stream of `seed`, or of a seed that the system chooses.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        // A system without entropy still gets loss, only the same each time.
        let seed = seed.unwrap_or_else(|| SysRng.try_next_u64().unwrap_or_default());
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Draws true with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < p
    }

    /// Draws one of `n` whole numbers from 0, each as likely.
    pub fn below(&mut self, n: u64) -> u64 {
        // The high half of the product: no number is favoured by more than n / 2^64.
        let product = u128::from(self.0.next_u64()) * u128::from(n);
        (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_choices_for_ever() {
        let mut random = Random::new(Some(7));
        let draws: Vec<_> = (0..8).map(|_| random.below(11)).collect();
        assert_eq!(draws, [0, 1, 7, 4, 10, 5, 7, 3]);
        let draws: Vec<_> = (0..8).map(|_| random.chance(0.5)).collect();
        assert_eq!(draws, [false, true, true, true, false, true, true, true]);
    }

    #[test]
    fn without_a_seed_streams_differ() {
        let draw = || Random::new(None).below(u64::MAX);
        assert_ne!(draw(), draw());
    }

    #[test]
    fn never_and_always_are_exact() {
        let mut random = Random::new(Some(1));
        assert!((0..1000).all(|_| !random.chance(0.0) && random.chance(1.0)));
    }
}
