//! The round-trip times of a session in constant memory.

/// Minimum, mean and maximum of round-trip delays (RFC 2681). Undefined without a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    count: u64,
    sum_ns: i128,
    range_ns: Option<(i64, i64)>,
}

impl Rtt {
    /// Takes one round-trip time into account.
    pub fn add(&mut self, rtt_ns: i64) {
        self.count += 1;
        self.sum_ns += i128::from(rtt_ns);
        let (min, max) = self.range_ns.unwrap_or((rtt_ns, rtt_ns));
        self.range_ns = Some((min.min(rtt_ns), max.max(rtt_ns)));
    }

    /// How many were taken.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest.
    #[must_use]
    pub fn min_ns(&self) -> Option<i64> {
        self.range_ns.map(|(min, _)| min)
    }

    /// The largest.
    #[must_use]
    pub fn max_ns(&self) -> Option<i64> {
        self.range_ns.map(|(_, max)| max)
    }

    /// The arithmetic mean.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ns as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_undefined() {
        let rtt = Rtt::default();
        assert_eq!((rtt.min_ns(), rtt.mean_ns(), rtt.max_ns()), (None, None, None));
    }

    #[test]
    fn three_samples() {
        let mut rtt = Rtt::default();
        for sample in [3, 1, 5] {
            rtt.add(sample);
        }
        assert_eq!((rtt.min_ns(), rtt.mean_ns(), rtt.max_ns()), (Some(1), Some(3.0), Some(5)));
        assert_eq!(rtt.count(), 3);
    }
}
