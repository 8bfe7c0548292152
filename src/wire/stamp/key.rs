//! Tags of authenticated base packets (RFC 8762 section 4.4).

use crate::wire::{Key, TAG};

/// The octets of an authenticated base packet that its tag covers; the tag follows.
const COVERED: usize = 96;

/// Writes the tag of an authenticated base packet; does nothing to a shorter packet.
pub fn sign(packet: &mut [u8], key: &Key) {
    if let Some((covered, rest)) = packet.split_at_mut_checked(COVERED)
        && let Some(tag) = rest.first_chunk_mut()
    {
        *tag = key.tag([covered]);
    }
}

/// Returns whether an authenticated base packet is whole and its tag is right.
#[must_use]
pub fn is_signed(packet: &[u8], key: &Key) -> bool {
    packet.split_at_checked(COVERED).is_some_and(|(covered, rest)| {
        rest.first_chunk::<TAG>().is_some_and(|tag| key.verifies([covered], tag))
    })
}
