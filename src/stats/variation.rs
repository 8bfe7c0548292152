//! Delay variation between packets.

use std::ops::AddAssign;

use crate::packed::{Packed, Reader, put_float, put_uint};

/// Delay variation between neighbouring packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Variation {
    pairs: u64,
    sum_ns: u128,
    arrivals: u64,
    smoothed_ns: f64,
    last_sent: Option<i64>,
    last_arrived: Option<i64>,
}

impl Variation {
    /// Adds the delay of the next packet in sending order; `None` if it was lost.
    pub fn add_sent(&mut self, delay_ns: Option<i64>) {
        if let (Some(last), Some(this)) = (self.last_sent, delay_ns) {
            self.pairs += 1;
            self.sum_ns += u128::from(this.abs_diff(last));
        }
        self.last_sent = delay_ns;
    }

    /// Adds the delay of the next packet in order of arrival.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
    pub fn add_arrived(&mut self, delay_ns: i64) {
        if let Some(last) = self.last_arrived {
            self.arrivals += 1;
            self.smoothed_ns += (delay_ns.abs_diff(last) as f64 - self.smoothed_ns) / 16.0;
        }
        self.last_arrived = Some(delay_ns);
    }

    /// Returns the mean absolute inter-packet delay variation (RFC 3393), over pairs of packets
    /// sent one after the other, neither lost.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn ipdv_abs_mean_ns(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.sum_ns as f64 / self.pairs as f64)
    }

    /// Returns the interarrival jitter of RFC 3550 (section 6.4.1): the difference in transit time
    /// between successive arrivals, smoothed with gain 1/16 from 0.
    #[must_use]
    pub fn rfc3550_jitter_ns(&self) -> Option<f64> {
        (self.arrivals > 0).then_some(self.smoothed_ns)
    }
}

impl Variation {
    /// Ends the session: no pair spans its end.
    pub fn end(&mut self) {
        (self.last_sent, self.last_arrived) = (None, None);
    }
}

impl Packed for Variation {
    fn pack(&self, out: &mut Vec<u8>) {
        self.pairs.pack(out);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the sum")]
        for half in [(self.sum_ns >> 64) as u64, self.sum_ns as u64] {
            put_uint(half, out);
        }
        self.arrivals.pack(out);
        put_float(self.smoothed_ns, out);
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Self> {
        let pairs = from.read()?;
        let sum_ns = u128::from(from.uint()?) << 64 | u128::from(from.uint()?);
        let arrivals = from.read()?;
        let smoothed_ns = from.float().filter(|smoothed| *smoothed >= 0.0)?;
        Some(Self { pairs, sum_ns, arrivals, smoothed_ns, last_sent: None, last_arrived: None })
    }
}

impl AddAssign<&Self> for Variation {
    /// Adds another session: no pair spans the two, but the smoothing continues.
    fn add_assign(&mut self, other: &Self) {
        self.pairs = self.pairs.saturating_add(other.pairs);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.arrivals = self.arrivals.saturating_add(other.arrivals);
        #[expect(clippy::cast_precision_loss, reason = "0 long before this matters")]
        let faded = self.smoothed_ns * (15.0_f64 / 16.0).powf(other.arrivals as f64);
        self.smoothed_ns = other.smoothed_ns + faded;
        (self.last_sent, self.last_arrived) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbours_in_sending_order_make_a_pair() {
        let mut variation = Variation::default();
        for delay in [Some(10), Some(14), None, Some(50), Some(48)] {
            variation.add_sent(delay);
        }
        assert_eq!(variation.ipdv_abs_mean_ns(), Some(3.0));
        assert_eq!(Variation::default().ipdv_abs_mean_ns(), None);
    }

    #[test]
    fn a_sum_continues_the_rfc_3550_jitter() {
        let (mut whole, mut one, mut other) = <(Variation, Variation, Variation)>::default();
        assert_eq!(whole.rfc3550_jitter_ns(), None);
        for delay in [100, 132, 100] {
            whole.add_arrived(delay);
            one.add_arrived(delay);
        }
        assert_eq!(whole.rfc3550_jitter_ns(), Some(2.0 + 30.0 / 16.0));
        for delay in [100, 164, 36] {
            whole.add_arrived(delay);
            other.add_arrived(delay);
        }
        // The other session's first delay equals this one's last, so the pair between them only
        // fades the old value once more.
        one += &other;
        let (sum, all) = (one.rfc3550_jitter_ns().unwrap(), whole.rfc3550_jitter_ns().unwrap());
        let faded = (2.0 + 30.0 / 16.0) * (15.0_f64 / 16.0).powi(2);
        assert!((all - (sum - faded / 16.0)).abs() < 1e-9, "{sum} {all}");
    }
}
