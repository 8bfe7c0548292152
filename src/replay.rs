//! A window against replays (RFC 6479).

/// Bits of a block.
const BLOCK: u64 = u64::BITS as u64;

/// Number of blocks: a power of two.
const BLOCKS: usize = 16;

/// The numbers received lately, so that each is accepted once.
///
/// Check a number first, and commit it after its message is authenticated: otherwise a forged one
/// would move the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    /// One more than the highest number; 0 before the first.
    end: u64,
    /// A ring of bits, one per number. Whole blocks are cleared as the window moves.
    blocks: [u64; BLOCKS],
}

impl ReplayWindow {
    /// How far below the highest number others are accepted. One block is always partly unused.
    pub const SPAN: u64 = BLOCK * (BLOCKS as u64 - 1);

    /// Returns whether a number was not committed and is not too far below the highest.
    #[must_use]
    pub fn is_new(&self, number: u64) -> bool {
        let (block, bit) = place(number);
        // Nothing could follow the last number of all.
        number < u64::MAX
            && (number >= self.end
                || self.end - number <= Self::SPAN && self.blocks[block] & bit == 0)
    }

    /// Returns whether a number is not below the highest.
    #[must_use]
    pub fn is_highest(&self, number: u64) -> bool {
        number < u64::MAX && number.saturating_add(1) >= self.end
    }

    /// Marks a number that is new or the highest.
    pub fn commit(&mut self, number: u64) {
        if number >= self.end {
            let first = self.end.div_ceil(BLOCK);
            let skipped = (first..=number / BLOCK).take(BLOCKS);
            skipped.for_each(|block| self.blocks[ring(block)] = 0);
            self.end = number.saturating_add(1);
        }
        let (block, bit) = place(number);
        self.blocks[block] |= bit;
    }
}

/// Returns the block of a number and its bit there.
fn place(number: u64) -> (usize, u64) {
    (ring(number / BLOCK), 1 << (number % BLOCK))
}

#[expect(clippy::cast_possible_truncation, reason = "it is below the number of blocks")]
fn ring(block: u64) -> usize {
    (block % BLOCKS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_number_is_new_once() {
        let mut window = ReplayWindow::default();
        assert!(window.is_new(0) && window.is_highest(0));
        for number in [5, 3, 0, 1000] {
            assert!(window.is_new(number), "{number}");
            window.commit(number);
            assert!(!window.is_new(number), "{number}");
        }
        assert!(window.is_new(999) && window.is_new(41) && !window.is_new(40));
        assert!(window.is_highest(1000) && !window.is_highest(999));
        assert!(!window.is_new(u64::MAX) && window.is_new(u64::MAX - 1));
    }

    /// Steps of up to a few blocks, in both directions.
    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let start = prop_oneof![0..3_u64, any::<u64>(), u64::MAX - 5000..u64::MAX];
        let steps = prop::collection::vec(
            prop_oneof![-70..70_i64, -1100..200_i64, 900..1100_i64, 0..3000_i64],
            1..200,
        );
        (start, steps).prop_map(|(start, steps)| {
            let next = |number: &mut u64, step| {
                *number = number.saturating_add_signed(step);
                Some(*number)
            };
            steps.into_iter().scan(start, next).collect()
        })
    }

    proptest! {
        #[test]
        fn it_matches_a_set(numbers in numbers()) {
            let (mut window, mut seen) = (ReplayWindow::default(), BTreeSet::new());
            for number in numbers {
                let highest = seen.last().copied();
                let is_recent = highest.is_none_or(|highest: u64| {
                    number > highest || highest - number < ReplayWindow::SPAN
                });
                let expected = number < u64::MAX && is_recent && !seen.contains(&number);
                prop_assert_eq!(window.is_new(number), expected, "{}", number);
                if number < u64::MAX {
                    let is_highest = highest.is_none_or(|highest| number >= highest);
                    prop_assert_eq!(window.is_highest(number), is_highest);
                }
                if expected {
                    window.commit(number);
                    seen.insert(number);
                }
            }
        }
    }
}
