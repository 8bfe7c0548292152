//! Authentication by HMAC-SHA-256, truncated to 128 bits (RFC 2104 section 5, RFC 4868).
//!
//! The messages are short, and half of the time of a general HMAC is spent around the compression
//! function. So this one is written out, and a test compares it with a general one.

use std::fmt::{self, Debug, Formatter};
use std::hint::black_box;

use sha2::block_api::compress256;

use crate::{Error, Result};

/// The length of a tag, in bytes.
pub const TAG: usize = 16;

/// Maximum length of a secret, in bytes: HMAC would hash a longer one.
pub(super) const MAX_SECRET: usize = BLOCK;

/// Precedes a client's name in the message that its key is the tag of.
const CLIENT: &[u8] = b"udpulse client";

/// The length of a block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// A state of SHA-256 (FIPS 180-4).
type State = [u32; 8];

const START: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A shared key, as the states of both hashes behind its block.
#[derive(Clone)]
pub struct Key {
    inner: State,
    outer: State,
}

impl Key {
    /// Creates a key from a secret of 16 to 64 bytes.
    ///
    /// # Errors
    /// [`Error::Argument`] if the secret has another length.
    pub fn new(secret: &[u8]) -> Result<Self> {
        if !(TAG..=MAX_SECRET).contains(&secret.len()) {
            return Err(Error::argument("key", format!("{} bytes", secret.len()), "16 to 64"));
        }
        let behind = |pad| {
            let (mut state, mut block) = (START, [pad; BLOCK]);
            block.iter_mut().zip(secret).for_each(|(byte, secret)| *byte ^= secret);
            compress256(&mut state, &[block]);
            state
        };
        Ok(Self { inner: behind(0x36), outer: behind(0x5c) })
    }

    /// Returns the tag of the concatenated `parts`.
    ///
    /// The first part names the use and the direction, unless a standard fixes the message, so that
    /// no message of one use is one of another.
    #[must_use]
    pub fn tag<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.copy_from_slice(&self.digest(parts)[..TAG]);
        tag
    }

    /// Returns whether `tag` is that of the concatenated `parts`, in constant time.
    #[must_use]
    pub fn verifies<const N: usize>(&self, parts: [&[u8]; N], tag: &[u8]) -> bool {
        tag.try_into().is_ok_and(|tag| {
            let difference = u128::from_ne_bytes(self.tag(parts)) ^ u128::from_ne_bytes(tag);
            black_box(difference) == 0
        })
    }

    /// Returns the secret of the client `name`, which cannot be told from those of others.
    #[must_use]
    pub fn client_secret(&self, name: &[u8]) -> [u8; 32] {
        self.digest([CLIENT, name])
    }

    fn digest<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; 32] {
        hash(self.outer, [&hash(self.inner, parts)])
    }
}

/// Returns the hash of a block that led to `state` and of the concatenated `parts`.
fn hash<const N: usize>(mut state: State, parts: [&[u8]; N]) -> [u8; 32] {
    let (mut block, mut filled, mut length) = ([0; BLOCK], 0, BLOCK as u64);
    for part in parts {
        length += part.len() as u64;
        let (start, rest) = part.split_at(part.len().min(BLOCK - filled));
        block[filled..filled + start.len()].copy_from_slice(start);
        filled += start.len();
        if filled == BLOCK {
            let (blocks, rest) = rest.as_chunks();
            compress256(&mut state, &[block]);
            compress256(&mut state, blocks);
            block[..rest.len()].copy_from_slice(rest);
            filled = rest.len();
        }
    }
    // A one, zeros, and the length in bits.
    let bits = (8 * length).to_be_bytes();
    block[filled] = 0x80;
    block[filled + 1..].fill(0);
    if filled + 1 + bits.len() > BLOCK {
        compress256(&mut state, &[block]);
        block = [0; BLOCK];
    }
    block[BLOCK - bits.len()..].copy_from_slice(&bits);
    compress256(&mut state, &[block]);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Key(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha2::Sha256;

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
        for length in [15, 65] {
            let refusal = Key::new(&vec![0; length]).unwrap_err().to_string();
            assert!(refusal.contains(&format!("key must be 16 to 64, not {length} bytes")));
        }
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
    proptest! {
        #[test]
        fn tags_are_those_of_a_general_hmac(
            secret in prop::collection::vec(any::<u8>(), TAG..=MAX_SECRET),
            message in prop::collection::vec(any::<u8>(), 0..400),
            ends: [prop::sample::Index; 2],
        ) {
            let mut general = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            general.update(&message);
            let mut ends = ends.map(|end| end.index(message.len() + 1));
            ends.sort_unstable();
            let [first, second] = ends;
            let parts = [&message[..first], &message[first..second], &message[second..]];
            let tag = Key::new(&secret).unwrap().tag(parts);
            prop_assert_eq!(&tag, &general.finalize().into_bytes()[..TAG]);
        }
    }
}
