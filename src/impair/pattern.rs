//! Loss from a given or recorded pattern.

use std::sync::Arc;

use crate::{Error, Result};

/// A fixed loss pattern that repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Arc<[bool]>);

impl Pattern {
    /// The longest pattern.
    pub const MAX: usize = 1 << 24;

    /// Creates a pattern that loses a packet if its entry in `lost` is true.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is empty or longer than [`Self::MAX`].
    pub fn new(lost: Vec<bool>) -> Result<Self> {
        if (1..=Self::MAX).contains(&lost.len()) {
            Ok(Self(lost.into()))
        } else {
            let allowed = format!("1 to {} packets long", Self::MAX);
            Err(Error::argument("lost", lost.len(), allowed))
        }
    }

    /// The entries.
    #[must_use]
    pub fn lost(&self) -> &[bool] {
        &self.0
    }

    /// Returns whether the next packet is lost; `next` is the index of its entry.
    pub(super) fn loses(&self, next: &mut usize) -> bool {
        let lost = self.0[*next];
        *next = (*next + 1) % self.0.len();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_repeats() {
        let (pattern, mut next) = (Pattern::new(vec![true, false, false]).unwrap(), 0);
        let lost: Vec<_> = (0..7).map(|_| pattern.loses(&mut next)).collect();
        assert_eq!(lost, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn an_empty_pattern_is_refused() {
        assert!(Pattern::new(Vec::new()).is_err());
    }
}
