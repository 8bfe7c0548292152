//! Packet reordering (RFC 4737).

use std::collections::VecDeque;
use std::mem;
use std::ops::AddAssign;

use crate::packed::{Packed, Reader};

/// The number of runs, each ahead of all before it, that are kept to measure extents.
const REMEMBERED: usize = 4096;

/// Packets that arrived after one sent later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reordering {
    arrivals: u64,
    reordered: u64,
    max_extent: Option<u64>,
    /// The last runs with higher numbers than any before, both rising. The latest is apart: in a
    /// session without losses and reordering there is no other.
    ahead: VecDeque<Run>,
    latest: Run,
}

/// Arrivals in a row with successive numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    /// The index of the first arrival.
    position: u64,
    first: u64,
    length: u64,
}

impl Run {
    /// Returns the number behind the last.
    fn end(&self) -> u64 {
        self.first.saturating_add(self.length)
    }
}

impl Reordering {
    /// Adds the next arrival; each packet at most once.
    pub fn add(&mut self, seq: u64) {
        let position = self.arrivals;
        self.arrivals += 1;
        if seq == self.latest.end() && position == self.latest.position + self.latest.length {
            self.latest.length += 1;
        } else if seq < self.latest.end() {
            let earlier = self.ahead.partition_point(|run| run.first < seq);
            let overtaker = self.ahead.get(earlier).unwrap_or(&self.latest);
            self.reordered += 1;
            self.max_extent = self.max_extent.max(Some(position - overtaker.position));
        } else {
            if self.ahead.len() == REMEMBERED {
                self.ahead.pop_front();
            }
            let before = mem::replace(&mut self.latest, Run { position, first: seq, length: 1 });
            if before.length > 0 {
                self.ahead.push_back(before);
            }
        }
    }

    /// Returns how many packets arrived after one with a higher number (section 3.3).
    #[must_use]
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Returns their share of all arrivals (section 4.1).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn ratio(&self) -> Option<f64> {
        (self.arrivals > 0).then(|| self.reordered as f64 / self.arrivals as f64)
    }

    /// Returns the largest extent: how many arrivals back the first packet sent later came (section
    /// 4.2.1). If 4096 more runs have moved ahead since then, the true extent is larger.
    #[must_use]
    pub fn max_extent(&self) -> Option<u64> {
        self.max_extent
    }
}

impl Reordering {
    /// Ends the session: drops the state that only later arrivals need.
    pub fn end(&mut self) {
        (self.ahead, self.latest) = (VecDeque::new(), Run::default());
    }
}

impl Packed for Reordering {
    fn pack(&self, out: &mut Vec<u8>) {
        self.arrivals.pack(out);
        self.reordered.pack(out);
        self.max_extent.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (arrivals, reordered, max_extent): (_, _, Option<u64>) =
            (from.read()?, from.read()?, from.read()?);
        let sound = reordered <= arrivals && max_extent.is_some() == (reordered > 0);
        sound.then_some(Self { arrivals, reordered, max_extent, ..Self::default() })
    }
}

impl AddAssign<&Self> for Reordering {
    /// Adds another session, whose numbers do not compare with these.
    fn add_assign(&mut self, other: &Self) {
        self.arrivals = self.arrivals.saturating_add(other.arrivals);
        self.reordered = self.reordered.saturating_add(other.reordered);
        self.max_extent = self.max_extent.max(other.max_extent);
        (self.ahead, self.latest) = (VecDeque::new(), Run::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(arrivals: &[u64]) -> Reordering {
        let mut reordering = Reordering::default();
        for seq in arrivals {
            reordering.add(*seq);
        }
        reordering
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 4737 section 4.2.3: extents 1, 2 and 3 (example 2) and 5 (example 3).
        let late = of(&[1, 2, 3, 7, 4, 5, 6, 8, 9, 10]);
        assert_eq!((late.reordered(), late.max_extent()), (3, Some(3)));
        assert_eq!(late.ratio(), Some(0.3));
        assert_eq!(of(&[1, 2, 3, 5, 6, 7, 8, 9, 4]).max_extent(), Some(5));
        let none = of(&[1, 2, 5, 9]);
        assert_eq!((none.reordered(), none.max_extent(), none.ratio()), (0, None, Some(0.0)));
        assert_eq!(of(&[]).ratio(), None);
    }

    proptest! {
        #[test]
        fn counts_match_the_definition(
            arrivals in Just((0..60_u64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let extents: Vec<_> = (0..arrivals.len())
                .filter_map(|i| Some(i - (0..i).find(|&j| arrivals[j] > arrivals[i])?))
                .collect();
            let reordering = of(&arrivals);
            prop_assert_eq!(reordering.reordered(), extents.len() as u64);
            prop_assert_eq!(reordering.max_extent(), extents.iter().max().map(|e| *e as u64));
        }
    }
}
