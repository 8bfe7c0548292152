//! Authentication by HMAC-SHA-256, truncated to 128 bits (RFC 8762 section 4.4).

use std::fmt::{self, Debug, Formatter};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Error, Result};

/// The length of a tag, in bytes.
pub const TAG: usize = 16;

/// The octets of an authenticated base packet that its tag covers; the tag follows.
const COVERED: usize = 96;

/// A shared key, with its key schedule computed.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// Creates a key from a secret of at least 16 bytes.
    ///
    /// # Errors
    /// [`Error::Argument`] if the secret is shorter.
    pub fn new(secret: &[u8]) -> Result<Self> {
        let refusal = || Error::argument("key", format!("{} bytes", secret.len()), "16 or more");
        if secret.len() < TAG {
            return Err(refusal());
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| refusal())
    }

    /// Returns the tag of the concatenated `parts`.
    pub(super) fn tag(&self, parts: [&[u8]; 2]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        let whole = self.digest(parts).finalize().into_bytes();
        tag.copy_from_slice(&whole[..TAG]);
        tag
    }

    /// Returns whether `tag` is that of the concatenated `parts`, in constant time.
    pub(super) fn verifies(&self, parts: [&[u8]; 2], tag: &[u8]) -> bool {
        // A shorter tag would be compared with as many bytes only.
        tag.len() == TAG && self.digest(parts).verify_truncated_left(tag).is_ok()
    }

    fn digest(&self, parts: [&[u8]; 2]) -> Hmac<Sha256> {
        let mut digest = self.0.clone();
        for part in parts {
            digest.update(part);
        }
        digest
    }

    /// Writes the tag of an authenticated base packet; does nothing to a shorter packet.
    pub fn sign(&self, packet: &mut [u8]) {
        if let Some((covered, rest)) = packet.split_at_mut_checked(COVERED)
            && let Some(tag) = rest.first_chunk_mut()
        {
            *tag = self.tag([covered, &[]]);
        }
    }

    /// Returns whether an authenticated base packet is whole and its tag is right.
    #[must_use]
    pub fn signed(&self, packet: &[u8]) -> bool {
        packet.split_at_checked(COVERED).is_some_and(|(covered, rest)| {
            rest.first_chunk::<TAG>().is_some_and(|tag| self.verifies([covered, &[]], tag))
        })
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Key(...)")
    }
}
