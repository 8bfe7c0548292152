//! Signatures of beats, the last declarations of the first word, which old servers ignore:
//!
//! ```text
//! Heartbeat;id=api;n=0000000000000000;k=2026a;m=00112233445566778899aabbccddeeff 17 1760000000.1
//! ```
//!
//! | key | value |
//! |---|---|
//! | `n` | the server's last nonce, 16 hexadecimal digits; 0 before its first answer; may be missing |
//! | `k` | the key's id |
//! | `m` | the tag, 32 hexadecimal digits |
//!
//! The tag covers the use and direction, and all bytes but `;m=` and its digits. It ends the first
//! word, so that no other datagram has the same covered bytes.

use crate::wire::Beat;
use crate::wire::beat::{first_word, write_text};
use crate::wire::key::{Key, TAG};
use crate::wire::keys::{Keys, hex_tag};

/// The uses and directions of tags: a beat is never a valid answer.
const BEAT: &[u8] = b"udpulse beat 1 c>s";
const ANSWER: &[u8] = b"udpulse beat 1 s>c";

/// The lengths of a nonce and of a tag, in digits.
const NONCE_DIGITS: usize = 16;
const TAG_DIGITS: usize = 2 * TAG;

/// Places in a signed datagram.
#[derive(Clone, Copy, Debug)]
struct Places {
    /// The first digit of the nonce.
    nonce: Option<usize>,
    /// The start of the key's id.
    id: usize,
    /// The end of the id: the start of `;m=`.
    end: usize,
}

impl Places {
    /// Finds the places in a datagram whose first word has `length` bytes.
    fn find(datagram: &[u8], length: usize) -> Option<Self> {
        let word = datagram.get(..length)?;
        let before = |end: usize, key: &[u8; 3]| {
            let start = end.checked_sub(key.len())?;
            word[start..end].eq_ignore_ascii_case(key).then_some(start)
        };
        let end = before(word.len().checked_sub(TAG_DIGITS)?, b";m=")?;
        let id = word[..end].iter().rposition(|byte| *byte == b'=')? + 1;
        let start = before(id, b";k=")?;
        let nonce = start.checked_sub(NONCE_DIGITS);
        let nonce = nonce.filter(|nonce| before(*nonce, b";n=").is_some());
        Some(Self { nonce, id, end })
    }

    fn tag(self) -> usize {
        self.end + b";m=".len()
    }

    fn covered(self, datagram: &[u8]) -> [&[u8]; 2] {
        [&datagram[..self.end], &datagram[self.tag() + TAG_DIGITS..]]
    }

    /// Writes the tag.
    fn sign(self, datagram: &mut [u8], purpose: &[u8], key: &Key) {
        let [before, after] = self.covered(datagram);
        let tag = key.tag([purpose, before, after]);
        write_hex(u128::from_be_bytes(tag), &mut datagram[self.tag()..][..TAG_DIGITS]);
    }
}

/// A signed datagram that was received.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    datagram: &'a [u8],
    places: Places,
    tag: [u8; TAG],
}

impl<'a> Signed<'a> {
    /// Finds the signature, which may be wrong; `None` if there is none.
    #[must_use]
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        Self::in_word(datagram, first_word(datagram))
    }

    /// Finds the signature like [`read`](Self::read) if the length of the first word is known.
    pub(crate) fn in_word(datagram: &'a [u8], length: usize) -> Option<Self> {
        let places = Places::find(datagram, length)?;
        let tag = hex_tag(&datagram[places.tag()..])?;
        Some(Self { datagram, places, tag })
    }

    /// Returns the id of the key.
    #[must_use]
    pub fn id(&self) -> &'a [u8] {
        &self.datagram[self.places.id..self.places.end]
    }

    /// Returns the nonce.
    #[must_use]
    pub fn nonce(&self) -> Option<u64> {
        let digits = &self.datagram[self.places.nonce?..][..NONCE_DIGITS];
        digits.iter().try_fold(0, |nonce, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(nonce << 4 | u64::from(digit))
        })
    }

    /// Returns whether `key` signed the datagram as a beat.
    #[must_use]
    pub fn is_beat(&self, key: &Key) -> bool {
        self.is(BEAT, key)
    }

    /// Returns whether `key` signed the datagram as an answer.
    #[must_use]
    pub fn is_answer(&self, key: &Key) -> bool {
        self.is(ANSWER, key)
    }

    fn is(&self, purpose: &[u8], key: &Key) -> bool {
        let [before, after] = self.places.covered(self.datagram);
        key.verifies([purpose, before, after], &self.tag)
    }
}

/// Makes a signed beat its answer: in upper case, with the server's nonce, signed.
pub fn answer(datagram: &mut [u8], key: &Key, nonce: u64) {
    datagram.make_ascii_uppercase();
    let Some(places) = Places::find(datagram, first_word(datagram)) else { return };
    if let Some(start) = places.nonce {
        write_hex(nonce.into(), &mut datagram[start..][..NONCE_DIGITS]);
    }
    places.sign(datagram, ANSWER, key);
}

/// Signs the beats of one client and verifies their answers.
#[derive(Clone, Debug)]
pub struct Signer {
    id: Box<str>,
    key: Key,
}

impl Signer {
    /// Creates the signer of the client `name`; `None` if the first key is bound to another one.
    #[must_use]
    pub fn new(keys: &Keys, name: &[u8]) -> Option<Self> {
        let first = keys.first();
        Some(Self { id: first.id().into(), key: first.of_client(name)? })
    }

    /// Writes a signed beat into `out`, replacing its contents.
    pub fn write(&self, beat: &Beat<'_>, nonce: u64, seq: u64, wall_ns: i64, out: &mut Vec<u8>) {
        beat.write_word(out);
        out.extend_from_slice(b";n=");
        let start = out.len();
        out.resize(start + NONCE_DIGITS, b'0');
        write_hex(nonce.into(), &mut out[start..]);
        out.extend_from_slice(b";k=");
        let id = out.len();
        out.extend_from_slice(self.id.as_bytes());
        let places = Places { nonce: Some(start), id, end: out.len() };
        out.extend_from_slice(b";m=");
        out.resize(places.tag() + TAG_DIGITS, b'0');
        write_text(seq, wall_ns, out);
        places.sign(out, BEAT, &self.key);
    }

    /// Verifies an answer and returns its nonce.
    #[must_use]
    pub fn verify(&self, datagram: &[u8]) -> Option<u64> {
        let signed = Signed::read(datagram)?;
        signed.is_answer(&self.key).then(|| signed.nonce())?
    }
}

/// Writes the lowest digits of a number over `out`.
fn write_hex(mut number: u128, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signer() -> (Signer, Key) {
        let keys = Keys::parse("2026a 000102030405060708090a0b0c0d0e0f").unwrap();
        (Signer::new(&keys, b"api").unwrap(), keys.first().of_client(b"api").unwrap())
    }

    fn signed(nonce: u64) -> Vec<u8> {
        let beat = Beat { name: Some(b"api"), boot: Some(10), ..Beat::default() };
        let mut out = b"old".to_vec();
        signer().0.write(&beat, nonce, 17, 1_760_000_000_123_456_000, &mut out);
        out
    }

    /// Computed with Python's hmac.
    #[test]
    fn a_beat_is_signed_to_the_byte() {
        let text = "Heartbeat;b=a;id=api;n=0000000000000abc;k=2026a;\
                    m=84406d4a54189b14b00243fce64c8ba9 17 1760000000.123456";
        assert_eq!(String::from_utf8(signed(0xabc)).unwrap(), text);
    }

    #[test]
    fn an_answer_has_its_own_nonce_and_direction() {
        let (signer, key) = signer();
        let beat = signed(7);
        let mut answer = beat.clone();
        super::answer(&mut answer, &key, 8);
        assert_eq!(answer.len(), beat.len());
        assert_eq!((signer.verify(&answer), signer.verify(&beat)), (Some(8), None));
        let [beat, answer] = [&beat, &answer].map(|datagram| Signed::read(datagram).unwrap());
        assert!(beat.is_beat(&key) && !answer.is_beat(&key) && !beat.is_answer(&key));
        assert_eq!((beat.id(), beat.nonce()), (&b"2026a"[..], Some(7)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            bytes: Vec<u8>,
            text in "[hn;]{0,3};?([nkm]=[0-9a-f]{0,17}){0,3};?m=[0-9a-fA-FxM]{30,34}[ a]?.{0,9}",
        ) {
            let (signer, key) = signer();
            for mut datagram in [bytes, text.into_bytes()] {
                if let Some(signed) = Signed::read(&datagram) {
                    prop_assert!(!signed.is_beat(&key));
                    let _ = signed.nonce();
                    prop_assert!(signed.id().len() < datagram.len());
                }
                prop_assert_eq!(signer.verify(&datagram), None);
                answer(&mut datagram, &key, 1);
            }
        }

        /// A tag moved to any other place is none, or wrong.
        #[test]
        fn a_tag_belongs_to_its_place(to: prop::sample::Index) {
            let (_, key) = signer();
            let mut beat = signed(7);
            let from = beat.windows(3).position(|part| part == b";m=").unwrap();
            let tag: Vec<_> = beat.drain(from..from + 35).collect();
            let to = to.index(beat.len() + 1);
            beat.splice(to..to, tag);
            let is_right = Signed::read(&beat).is_some_and(|signed| signed.is_beat(&key));
            prop_assert_eq!(is_right, to == from);
        }
    }
}
