//! Bit errors.

use crate::{Random, Result, probability};

/// A model that flips one random bit of a payload with a fixed probability. An empty payload stays
/// unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Corruption(f64);

impl Corruption {
    /// Creates a model that corrupts with probability `p`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if `p` is not a probability.
    pub fn new(p: f64) -> Result<Self> {
        probability("corruption", p).map(Self)
    }

    /// Returns which bit of the next packet's `length` bytes to flip, if any.
    pub(super) fn bit(&self, length: usize, random: &mut Random) -> Option<u32> {
        if self.0 == 0.0 || !random.chance(self.0) || length == 0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than the bits of a datagram")]
        Some(random.below(8 * length as u64) as u32)
    }

    /// Flips a bit.
    pub fn flip(payload: &mut [u8], bit: u32) {
        payload[bit as usize / 8] ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::confidence::assert_share;

    #[test]
    fn rate_and_position_are_as_stated() {
        let (corruption, mut random) = (Corruption::new(0.2).unwrap(), Random::new(Some(3)));
        let mut bits = [0; 32];
        for bit in (0..64_000).filter_map(|_| corruption.bit(4, &mut random)) {
            bits[bit as usize] += 1;
        }
        let corrupted = bits.iter().sum();
        assert_share(corrupted, 64_000, 0.2);
        for count in bits {
            assert_share(count, corrupted, 1.0 / 32.0);
        }
    }

    #[test]
    fn one_bit_is_flipped() {
        let mut payload = [0; 3];
        Corruption::flip(&mut payload, 17);
        assert_eq!(payload, [0, 0, 2]);
        assert_eq!(Corruption::new(1.0).unwrap().bit(0, &mut Random::new(Some(1))), None);
    }
}
