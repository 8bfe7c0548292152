//! Loss from a given or recorded pattern.

use std::sync::Arc;

use crate::{Error, Result};

/// A fixed loss pattern that repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    lost: Arc<[bool]>,
    next: usize,
}

impl Pattern {
    /// The longest pattern.
    pub const MAX: usize = 1 << 24;

    /// Creates a pattern that loses a packet if its entry in `lost` is true.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is empty or longer than [`Self::MAX`].
    pub fn new(lost: Vec<bool>) -> Result<Self> {
        if (1..=Self::MAX).contains(&lost.len()) {
            Ok(Self { lost: lost.into(), next: 0 })
        } else {
            let allowed = format!("1 to {} packets long", Self::MAX);
            Err(Error::argument("lost", lost.len(), allowed))
        }
    }

    /// The entries.
    #[must_use]
    pub fn lost(&self) -> &[bool] {
        &self.lost
    }

    /// Returns whether the next packet is lost.
    pub(super) fn loses(&mut self) -> bool {
        let lost = self.lost[self.next];
        self.next = (self.next + 1) % self.lost.len();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_repeats() {
        let mut pattern = Pattern::new(vec![true, false, false]).unwrap();
        let lost: Vec<_> = (0..7).map(|_| pattern.loses()).collect();
        assert_eq!(lost, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn an_empty_pattern_is_refused() {
        assert!(Pattern::new(Vec::new()).is_err());
    }
}
