//! The source of all random choices.

use rand::rngs::{SysRng, Xoshiro256PlusPlus};
use rand::{Rng, SeedableRng, TryRng};

use crate::{Error, Result};

/// A stream of xoshiro256++ numbers. The same seed gives the same choices on every platform and in
/// every release, so the step from numbers to choices is implemented here.
#[derive(Clone, Debug)]
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Creates the stream of `seed`; if `None`, the system chooses one.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        // A system without entropy still gets loss, but the same each time.
        let seed = seed.unwrap_or_else(|| SysRng.try_next_u64().unwrap_or_default());
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Returns `count` independent numbers from the system's CSPRNG, or zeros if it fails.
    #[must_use]
    pub fn secrets(count: usize) -> Vec<u64> {
        let mut bytes = vec![0; 8 * count];
        let _ = SysRng.try_fill_bytes(&mut bytes);
        bytes.as_chunks().0.iter().copied().map(u64::from_ne_bytes).collect()
    }

    /// Derives an independent stream from `seed`, keyed by `words`.
    #[must_use]
    pub fn stream(seed: u64, words: &[u64]) -> Self {
        // SplitMix64's finalizer (Steele, Lea, Flood 2014) mixes in one word after the other.
        let seed = words.iter().fold(seed, |hash, word| {
            let mut z = (hash ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        });
        Self::new(Some(seed))
    }

    /// Overwrites `bytes` with uniform ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Draws a uniform number from 0 (included) to 1 (excluded).
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }

    /// Draws true with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Draws a uniform integer from 0 to `n - 1`.
    pub fn below(&mut self, n: u64) -> u64 {
        // The high half of the product favours no number by more than n / 2^64.
        let product = u128::from(self.0.next_u64()) * u128::from(n);
        (product >> 64) as u64
    }
}

/// Validates that `p` is a probability.
///
/// # Errors
/// [`Error::Argument`] if it is not.
pub fn probability(name: &'static str, p: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&p) {
        Ok(p)
    } else {
        Err(Error::number(name, p, "a probability from 0 to 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choices_of_a_seed_never_change() {
        let mut random = Random::new(Some(7));
        let draws: Vec<_> = (0..8).map(|_| random.below(11)).collect();
        assert_eq!(draws, [0, 1, 7, 4, 10, 5, 7, 3]);
        let draws: Vec<_> = (0..8).map(|_| random.chance(0.5)).collect();
        assert_eq!(draws, [false, true, true, true, false, true, true, true]);
    }

    #[test]
    fn streams_never_change_and_differ_from_each_other() {
        const STREAM: [u64; 6] = [956, 491, 118, 257, 716, 254];
        let draws = |words: &[u64]| {
            let mut random = Random::stream(7, words);
            [(); 6].map(|()| random.below(1000))
        };
        assert_eq!(draws(&[0, 1]), STREAM);
        assert_ne!(draws(&[1, 0]), STREAM);
        assert_ne!(draws(&[0, 2]), STREAM);
    }

    #[test]
    fn without_a_seed_streams_differ() {
        let draw = || Random::new(None).below(u64::MAX);
        assert_ne!(draw(), draw());
    }

    #[test]
    fn probabilities_of_0_and_1_are_exact() {
        let mut random = Random::new(Some(1));
        assert!((0..1000).all(|_| !random.chance(0.0) && random.chance(1.0)));
    }
}
