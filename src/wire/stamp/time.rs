//! Timestamps and the estimate of their error.

use crate::NS_PER_SECOND;

/// Seconds from the epoch of NTP to that of Unix.
const NTP_TO_UNIX: i64 = 2_208_988_800;

/// A format of timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Seconds since 1900 and a binary fraction (RFC 5905). The seconds wrap in 2036.
    #[default]
    Ntp,
    /// Seconds since 1970 and nanoseconds, the truncated format of PTP version 2 (RFC 8186). The
    /// seconds wrap in 2106. By the standard they count TAI; most reflectors send UTC.
    Ptp,
}

/// A timestamp as it is on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns whether this is later than another one of the same format, less than half an era ago.
    #[must_use]
    pub fn is_after(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// Creates a timestamp from nanoseconds since the Unix epoch, rounded to the nearest.
    #[must_use]
    pub fn new(format: Format, wall_ns: i64) -> Self {
        let (seconds, ns) = (wall_ns.div_euclid(NS_PER_SECOND), wall_ns.rem_euclid(NS_PER_SECOND));
        let (seconds, fraction) = match format {
            // Below 2^32: the fraction of 999,999,999 ns is 2^32 - 4.
            Format::Ntp => {
                (seconds + NTP_TO_UNIX, ((ns << 32) + NS_PER_SECOND / 2) / NS_PER_SECOND)
            }
            Format::Ptp => (seconds, ns),
        };
        Self(u64::from(wrapped(seconds)) << 32 | u64::from(wrapped(fraction)))
    }

    /// Returns nanoseconds since the Unix epoch, rounded, in the era that is nearest to `near_ns`;
    /// `None` for a PTP timestamp with a second or more of nanoseconds.
    #[must_use]
    pub fn ns(self, format: Format, near_ns: i64) -> Option<i64> {
        let (seconds, fraction) = ((self.0 >> 32) as u32, self.0 & u64::from(u32::MAX));
        let (epoch, ns) = match format {
            Format::Ntp => {
                (NTP_TO_UNIX, (fraction * NS_PER_SECOND.unsigned_abs() + (1 << 31)) >> 32)
            }
            Format::Ptp => (0, fraction),
        };
        let ns =
            i64::try_from(ns).ok().filter(|ns| format == Format::Ntp || *ns < NS_PER_SECOND)?;
        let near = near_ns.div_euclid(NS_PER_SECOND);
        let ahead = seconds.wrapping_sub(wrapped(near + epoch)).cast_signed();
        Some((near + i64::from(ahead)).saturating_mul(NS_PER_SECOND).saturating_add(ns))
    }

    /// Returns the format in which the timestamp is nearer to `near_ns`, and its time in
    /// nanoseconds since the Unix epoch.
    ///
    /// Some reflectors announce one format and send the other. The readings differ by 66 years at
    /// least.
    #[must_use]
    pub fn nearest(self, near_ns: i64) -> (Format, i64) {
        let at = |format| Some((format, self.ns(format, near_ns)?));
        let readings = [at(Format::Ntp), at(Format::Ptp)].into_iter().flatten();
        let distance = |reading: &(Format, i64)| reading.1.abs_diff(near_ns);
        readings.min_by_key(distance).unwrap_or((Format::Ntp, near_ns))
    }

    /// Returns the whole seconds.
    pub(super) fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Returns the lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "seconds wrap")]
fn wrapped(number: i64) -> u32 {
    number.cast_unsigned() as u32
}

/// The claimed error of a clock, with the format of its timestamps (RFC 4656 section 4.1.2,
/// RFC 8186 section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorEstimate(pub u16);

impl ErrorEstimate {
    const SYNCHRONIZED: u16 = 0x8000;
    const PTP: u16 = 0x4000;

    /// Creates an estimate of `error_ns` nanoseconds, rounded up; the multiplier is never 0.
    #[must_use]
    pub fn new(synchronized: bool, format: Format, error_ns: u64) -> Self {
        let units = (u128::from(error_ns) << 32).div_ceil(1_000_000_000);
        let multiplier = |scale: u16| units.div_ceil(1 << scale);
        // 2^64 nanoseconds are less than 2^67 units.
        let scale = (0..64).find(|&scale| multiplier(scale) <= 0xff).unwrap_or(63);
        let multiplier = multiplier(scale).clamp(1, 0xff) as u16;
        let synchronized = if synchronized { Self::SYNCHRONIZED } else { 0 };
        let format = if format == Format::Ptp { Self::PTP } else { 0 };
        Self(synchronized | format | scale << 8 | multiplier)
    }

    /// Returns whether the clock claims to be synchronized to UTC.
    #[must_use]
    pub fn is_synchronized(self) -> bool {
        self.0 & Self::SYNCHRONIZED != 0
    }

    /// Returns the format that the timestamps claim to have.
    #[must_use]
    pub fn format(self) -> Format {
        if self.0 & Self::PTP == 0 { Format::Ntp } else { Format::Ptp }
    }

    /// Returns the error in nanoseconds, rounded up and at most 292 years; `None` if the multiplier
    /// is 0, which is invalid.
    #[must_use]
    pub fn ns(self) -> Option<u64> {
        let (scale, multiplier) = (self.0 >> 8 & 0x3f, u128::from(self.0 & 0xff));
        let ns = ((multiplier << scale) * 1_000_000_000).div_ceil(1 << 32);
        let ns = u64::try_from(ns).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs());
        (multiplier > 0).then_some(ns)
    }
}
