//! Signed beats and their answers.

use udpulse::wire::signed::{Signed, Signer, answer};
use udpulse::wire::{Beat, Keys};

use super::input::Input;
use super::world::damage;

const KEYS: &str = "2026a 000102030405060708090a0b0c0d0e0f\nb 0f0e0d0c0b0a09080706050403020100 api";

pub(super) fn run(data: &[u8]) {
    let keys = Keys::parse(KEYS).expect("a file of keys");
    let key = keys.first().of_client(b"api").expect("a master key");
    let mut answered = data.to_vec();
    answer(&mut answered, &key, 7);
    assert_eq!(answered.len(), data.len());
    for signed in [Signed::read(data), Signed::read(&answered)].into_iter().flatten() {
        let _ = (signed.id(), signed.nonce());
        assert!(!(signed.is_beat(&key) && signed.is_answer(&key)));
    }

    let mut input = Input::new(data);
    let signer = Signer::new(&keys, b"api").expect("a master key");
    let (nonce, seq) = (input.uint(), input.uint());
    let beat = Beat { name: Some(b"api"), boot: Some(input.uint()), ..Beat::default() };
    let mut written = Vec::new();
    signer.write(&beat, nonce, seq, input.int(), &mut written);
    let found = Signed::read(&written).expect("a signature");
    assert!(found.is_beat(&key) && found.nonce() == Some(nonce) && found.id() == b"2026a");
    let mut reply = written.clone();
    answer(&mut reply, &key, !nonce);
    assert_eq!(signer.verify(&reply), Some(!nonce));
    // Only the case of a tag's digits does not count.
    let mut damaged = written.clone();
    damage(&mut input, &mut damaged);
    if !damaged.eq_ignore_ascii_case(&written) {
        assert!(!Signed::read(&damaged).is_some_and(|signed| signed.is_beat(&key)));
    }
}
