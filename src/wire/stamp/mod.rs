//! Test packets of STAMP (RFC 8762, RFC 8972) and TWAMP-Light (RFC 5357).
//!
//! A packet is a base of 44 bytes, or 112 if it is authenticated, and possibly TLVs. A
//! Session-Sender transmits at T1; a Session-Reflector receives at T2 and answers at T3.
//! Timestamps and sequence numbers wrap, and all numbers are big-endian.

mod key;
mod packet;
mod reflect;
mod time;
mod tlv;

pub use key::{is_signed, sign};
pub use packet::{Mode, Reply, Request, is_authenticated, is_reflected, selector, set_sent};
pub use reflect::{Counts, Departed, Facts, reflect};
pub use time::{ErrorEstimate, Format, Timestamp};
pub use tlv::{ClassOfService, DirectMeasurement, FollowUp, Kind, TimestampInfo, Tlv, Tlvs, flag};

/// The default port of a Session-Reflector (RFC 8762 section 4.1).
pub const PORT: u16 = 862;

/// Returns the `N` bytes that start at `at`.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
