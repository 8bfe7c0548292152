//! The confidence of a loss rate, and the runs of losses.

use std::ops::AddAssign;

use crate::packed::{Packed, Reader};

/// Returns the 95 % confidence interval of the share `part` of `whole` (Wilson 1927, without
/// continuity correction); undefined if `whole` is 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
pub fn wilson(part: u64, whole: u64) -> Option<(f64, f64)> {
    /// The 97.5 % quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    if whole == 0 {
        return None;
    }
    let (share, n) = (part as f64 / whole as f64, whole as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    // At the ends the bound is exact, despite rounding.
    let low = if part == 0 { 0.0 } else { middle - reach };
    let high = if part == whole { 1.0 } else { middle + reach };
    Some((low, high))
}

/// Statistics of run lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The number of runs.
    pub count: u64,
    /// The sum of their lengths.
    pub total: u64,
    /// The longest run.
    pub max: Option<u64>,
}

impl Runs {
    fn begin(&mut self) {
        self.count += 1;
    }

    fn lengthen(&mut self, length: u64) {
        self.total += 1;
        self.max = self.max.max(Some(length));
    }

    /// Returns the mean length.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total as f64 / self.count as f64)
    }
}

/// Runs of lost packets (loss periods, RFC 3357) and the gaps between them. A run in progress
/// counts with its length so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossRuns {
    /// Consecutive losses.
    pub bursts: Runs,
    /// Consecutive packets without loss.
    pub gaps: Runs,
    /// Whether the last packet was lost, and the length of its run.
    last: Option<(bool, u64)>,
}

impl LossRuns {
    /// Adds the next packet in sending order.
    pub fn add(&mut self, lost: bool) {
        let runs = if lost { &mut self.bursts } else { &mut self.gaps };
        let length = match self.last {
            Some((same, length)) if same == lost => length + 1,
            _ => {
                runs.begin();
                1
            }
        };
        runs.lengthen(length);
        self.last = Some((lost, length));
    }
}

impl LossRuns {
    /// Ends the current run, which keeps its length.
    pub fn end(&mut self) {
        self.last = None;
    }
}

impl Packed for Runs {
    fn pack(&self, out: &mut Vec<u8>) {
        self.count.pack(out);
        self.total.pack(out);
        self.max.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let (count, total, max): (_, _, Option<u64>) = (from.read()?, from.read()?, from.read()?);
        let sound = count <= total && max.is_some() == (count > 0) && max <= Some(total);
        sound.then_some(Self { count, total, max })
    }
}

impl Packed for LossRuns {
    fn pack(&self, out: &mut Vec<u8>) {
        self.bursts.pack(out);
        self.gaps.pack(out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { bursts: from.read()?, gaps: from.read()?, last: None })
    }
}

impl AddAssign<&Self> for LossRuns {
    /// Adds the runs of another session; none continues from one to the next.
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.bursts, other.bursts), (&mut self.gaps, other.gaps)] {
            mine.count = mine.count.saturating_add(theirs.count);
            mine.total = mine.total.saturating_add(theirs.total);
            mine.max = mine.max.max(theirs.max);
        }
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // Newcombe (1998), table I, method 3.
        for (part, whole, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
        {
            let (l, h) = wilson(part, whole).unwrap();
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{part}/{whole}: {l} {h}");
        }
        assert!(wilson(20, 20).is_some_and(|(low, high)| low < 0.9 && high >= 1.0));
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn bursts_and_gaps_are_counted() {
        let mut runs = LossRuns::default();
        for lost in "..xx.xxx..".bytes().map(|byte| byte == b'x') {
            runs.add(lost);
        }
        assert_eq!(runs.bursts, Runs { count: 2, total: 5, max: Some(3) });
        assert_eq!(runs.gaps, Runs { count: 3, total: 5, max: Some(2) });
        assert_eq!((runs.bursts.mean(), Runs::default().mean()), (Some(2.5), None));
        let one = runs;
        runs += &one;
        runs.add(false);
        assert_eq!((runs.bursts.count, runs.gaps.count, runs.gaps.max), (4, 7, Some(2)));
    }
}
