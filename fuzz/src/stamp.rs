//! Packets of STAMP and TWAMP, and their TLVs.

use udpulse::wire::Key;
use udpulse::wire::stamp::{
    ClassOfService, Counts, DirectMeasurement, ErrorEstimate, Facts, FollowUp, Format, Mode, Reply,
    Request, TimestampInfo, Tlv, Tlvs, is_authenticated, is_reflected, is_signed, reflect,
    selector, sign,
};

use super::input::Input;
use super::world::any_address;

pub(super) fn run(data: &[u8]) {
    let key = Key::new(&[7; 32]).expect("a key");
    for mode in [Mode::Open, Mode::Authenticated] {
        read(mode, data);
        answer(mode, data, &key);
    }
    assert!(!is_authenticated(data) || data.len() >= Mode::Authenticated.base());
    let mut signed = data.to_vec();
    sign(&mut signed, &key);
    assert_eq!(is_signed(&signed, &key), data.len() >= Mode::Authenticated.base());
}

/// Reads a packet; what was read is written to the same bytes.
fn read(mode: Mode, data: &[u8]) {
    let _ = (selector(mode, data), is_reflected(mode, data));
    if let Some(request) = Request::read(mode, data) {
        let mut written = data.to_vec();
        request.write(mode, &mut written);
        assert_eq!(Request::read(mode, &written), Some(request));
    }
    if let Some(reply) = Reply::read(mode, data) {
        let mut written = data.to_vec();
        reply.write(mode, &mut written);
        assert_eq!(Reply::read(mode, &written), Some(reply));
        for near_ns in [i64::MIN, 0, 1_795_670_999_123_456_789, i64::MAX] {
            let (format, _) = reply.received.nearest(near_ns);
            let _ = (reply.sent.ns(format, near_ns), reply.sent.ns(Format::Ptp, near_ns));
        }
        // No error is claimed to be less than it is.
        let error = reply.error;
        if let Some(ns) = error.ns() {
            let again = ErrorEstimate::new(error.is_synchronized(), error.format(), ns);
            assert!(again.ns() >= Some(ns), "{ns}");
        }
    }
}

/// Answers the TLVs behind a base.
fn answer(mode: Mode, data: &[u8], key: &Key) {
    let Some(tail) = data.get(mode.base()..) else { return };
    let values: Vec<_> = Tlvs::new(tail).collect();
    for Tlv { value, .. } in &values {
        let _ = (TimestampInfo::read(value), FollowUp::read(value));
        let _ = (ClassOfService::read(value), DirectMeasurement::read(value));
    }
    assert!(values.iter().map(|tlv| 4 + tlv.value.len()).sum::<usize>() <= tail.len());
    let mut input = Input::new(data);
    let (seq, from, to) = (input.byte().into(), any_address(&mut input), any_address(&mut input));
    let facts = Facts {
        sender_seq: seq,
        seq,
        from,
        to: (Some(to.ip()), to.port()),
        tos: input.byte(),
        reply_tos: input.byte(),
        timestamps: TimestampInfo::default(),
        counts: input.maybe(|_| Counts::default()),
    };
    let mut reply = tail.to_vec();
    reflect(&mut reply, std::slice::from_ref(key), mode == Mode::Authenticated, &facts);
    // The TLVs have their places still.
    let kinds =
        |tail: &[u8]| Tlvs::new(tail).map(|tlv| (tlv.kind, tlv.value.len())).collect::<Vec<_>>();
    assert_eq!(kinds(&reply), kinds(tail));
    assert!(Tlvs::answered(&reply, seq, Some(key)).len() <= values.len());
}
