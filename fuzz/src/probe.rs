//! Signed probes.

use udpulse::wire::Key;
use udpulse::wire::probe::{Claim, Direction, Identity, append, digits, sign, verifies};

use super::input::Input;
use super::world::damage;

pub(super) fn run(data: &[u8]) {
    let key = Key::new(&[7; 32]).expect("a key");
    if let Some(Claim { id, end, .. }) = Claim::find(data) {
        assert!(id.len() < data.len() && digits(end).len() == 32);
        let _ = verifies(data, end, Direction::Probe, &key);
        let mut signed = data.to_vec();
        sign(&mut signed, end, Direction::Reply, &key);
        assert_eq!(signed.len(), data.len());
        assert!(!verifies(&signed, end, Direction::Probe, &key));
    }
    let mut input = Input::new(data);
    let mut probe = b"Ping 7 1760000000.123456 0123456789ABCDEF".to_vec();
    append("2026a", &mut probe);
    let end = probe.len();
    probe.push(b' ');
    probe.extend_from_slice(input.bytes());
    sign(&mut probe, end, Direction::Probe, &key);
    let identity = Identity { token: *b"0123456789ABCDEF", seq: 7 };
    assert_eq!(Claim::find(&probe), Some(Claim { id: b"2026a", end, probe: identity }));
    assert!(verifies(&probe, end, Direction::Probe, &key));
    assert!(!verifies(&probe, end, Direction::Reply, &key));
    let mut damaged = probe.clone();
    damage(&mut input, &mut damaged);
    assert_eq!(verifies(&damaged, end, Direction::Probe, &key), damaged == probe);
}
