//! Files of keys.

use udpulse::wire::{Keys, MAX_KEYS, NamedKey};

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let keys = match Keys::parse(&text) {
        Ok(keys) => keys,
        Err((reason, line)) => {
            assert!(!reason.is_empty() && (1..=text.lines().count().max(1)).contains(&line));
            return;
        }
    };
    assert!((1..=MAX_KEYS).contains(&keys.all().len()));
    let again = Keys::parse(&keys.text()).expect("what was written is read");
    assert_eq!(again.all().len(), keys.all().len());
    for (one, other) in keys.all().iter().zip(again.all()) {
        assert_eq!((one.id(), one.client()), (other.id(), other.client()));
        let tag = |key: &NamedKey| key.of_client(b"api").map(|key| key.tag([b"x"]));
        assert_eq!(tag(one), tag(other));
        assert!(keys.find(one.id().as_bytes()).is_some());
    }
    if let Some(bound) = keys.of_client(b"api") {
        assert!(
            bound.all().iter().all(|key| key.client() == Some(b"api") && key.master().is_none())
        );
    }
}
