//! Authentication by HMAC-SHA-256, truncated to 128 bits (RFC 2104 section 5, RFC 4868).

use std::fmt::{self, Debug, Formatter};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Error, Result};

/// The length of a tag, in bytes.
pub const TAG: usize = 16;

/// Precedes a client's name in the message that its key is the tag of.
const CLIENT: &[u8] = b"udpulse client";

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
    ///
    /// The first part names the use and the direction, unless a standard fixes the message, so that
    /// no message of one use is one of another.
    #[must_use]
    pub fn tag<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        let whole = self.digest(parts).finalize().into_bytes();
        tag.copy_from_slice(&whole[..TAG]);
        tag
    }

    /// Returns whether `tag` is that of the concatenated `parts`, in constant time.
    #[must_use]
    pub fn verifies<const N: usize>(&self, parts: [&[u8]; N], tag: &[u8]) -> bool {
        // A shorter tag would be compared with as many bytes only.
        tag.len() == TAG && self.digest(parts).verify_truncated_left(tag).is_ok()
    }

    /// Returns the secret of the client `name`, which cannot be told from those of others.
    #[must_use]
    pub fn client_secret(&self, name: &[u8]) -> [u8; 32] {
        self.digest([CLIENT, name]).finalize().into_bytes().into()
    }

    fn digest<const N: usize>(&self, parts: [&[u8]; N]) -> Hmac<Sha256> {
        let mut digest = self.0.clone();
        for part in parts {
            digest.update(part);
        }
        digest
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Key(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_tag_is_right() {
        let (key, parts) = (Key::new(&[7; 32]).unwrap(), [&b"abc"[..], &b"de"[..]]);
        let tag = key.tag(parts);
        assert!(key.verifies(parts, &tag) && key.verifies([b"ab", b"cde"], &tag));
        assert!(!key.verifies([b"abc", b""], &tag));
        for length in [0, 1, 15] {
            assert!(!key.verifies(parts, &tag[..length]), "{length}");
        }
        assert!(!key.verifies(parts, &[&tag[..], &[0; 16]].concat()));
        assert!(Key::new(&[0; 15]).unwrap_err().to_string().contains("key must be 16 or more"));
        assert_eq!(format!("{key:?}"), "Key(...)");
    }

    /// RFC 4231, test case 1.
    #[test]
    fn tags_are_those_of_rfc_4231() {
        let tag = Key::new(&[0x0b; 20]).unwrap().tag([b"Hi ", b"There"]);
        assert_eq!(tag, 0xb034_4c61_d8db_3853_5ca8_afce_af0b_f12b_u128.to_be_bytes());
    }

    #[test]
    fn clients_have_keys_of_their_own() {
        let master = Key::new(&[7; 32]).unwrap();
        let secrets = [&b"api"[..], b"db", b""].map(|name| master.client_secret(name));
        assert!(secrets[0] != secrets[1] && secrets[1] != secrets[2]);
        assert_eq!(secrets[0][..TAG], master.tag([b"udpulse clientapi"]));
    }
}
