//! Tests against packets captured from other implementations.

use proptest::prelude::*;

use super::*;
use crate::wire::Key;

const SECOND: i64 = crate::NS_PER_SECOND;

/// 2026-11-26T05:09:59Z.
const CAPTURED_NS: i64 = 1_795_669_799 * SECOND;

/// Converts hexadecimal digits, between which blanks may stand; `0*n` stands for n zero bytes.
fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        if let Some(count) = word.strip_prefix("0*") {
            bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), 0);
            continue;
        }
        let digits = (0..word.len()).step_by(2).map(|at| &word[at..at + 2]);
        bytes.extend(digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

fn key() -> Key {
    Key::new(&(0..32).collect::<Vec<u8>>()).unwrap()
}

fn request_again(mode: Mode, packet: &[u8]) -> Vec<u8> {
    let mut again = vec![0xaa; mode.base()];
    Request::read(mode, packet).unwrap().write(mode, &mut again);
    if mode == Mode::Authenticated {
        sign(&mut again, &key());
    }
    again
}

fn reply_again(mode: Mode, packet: &[u8]) -> Vec<u8> {
    let mut again = vec![0xaa; mode.base()];
    Reply::read(mode, packet).unwrap().write(mode, &mut again);
    if mode == Mode::Authenticated {
        sign(&mut again, &key());
    }
    again
}

#[test]
fn open_packets_are_read_and_written() {
    let request = hex("00000000 eeb23da7f431322f 0001 1234 0*28");
    let reply = hex("00000000 eeb23da7f43a624d 0001 1234 eeb23da7f439952e 00000000
                     eeb23da7f431322f 0001 0000 ff 000000");
    assert_eq!(request_again(Mode::Open, &request), request);
    assert_eq!(reply_again(Mode::Open, &reply), reply);
    let read = Reply::read(Mode::Open, &reply).unwrap();
    assert_eq!((read.ssid, read.ttl, read.seq, read.sender_seq), (0x1234, Some(255), 0, 0));
    assert_eq!(read.sender_sent, Request::read(Mode::Open, &request).unwrap().sent);
    assert_eq!(read.sent.0 - read.received.0, 0xcd1f);
    assert_eq!(selector(Mode::Open, &request), 0x1234);
}

#[test]
fn authenticated_packets_are_read_and_signed() {
    let request = hex("0*16 eeb23daa34e77feb 0001 0102 0*68 db6b6a7efe9d9571228175e451aa070f");
    let reply = hex("0*16 eeb23daa34f120c3 0001 0102 00000000 eeb23daa34f051a5 0*8
                     00000000 0*12 eeb23daa34e77feb 0001 0*6 ff 0*15
                     ce0003104a3986b9f7339d32461fc0e6");
    assert_eq!(request_again(Mode::Authenticated, &request), request);
    assert_eq!(reply_again(Mode::Authenticated, &reply), reply);
    assert!(is_signed(&request, &key()) && is_signed(&reply, &key()));
    assert_eq!(selector(Mode::Authenticated, &request), 0x0102);
    for bit in 0..8 * 112 {
        let mut flipped = request.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_signed(&flipped, &key()), "{bit}");
    }
    assert!(!is_signed(&request, &Key::new(&[7; 32]).unwrap()));
    assert!(!is_signed(&request[..111], &key()));
}

#[test]
fn a_reply_in_ptp_format_is_read() {
    let reply = hex("00000000 6b07bf480375a799 4001 0000 6b07bf48037580e0 00000000
                     eeb23dc80d9523dc 0001 0000 ff 000000");
    assert_eq!(reply_again(Mode::Open, &reply), reply);
    let read = Reply::read(Mode::Open, &reply).unwrap();
    assert_eq!((read.error.format(), read.sender_error.format()), (Format::Ptp, Format::Ntp));
    let near = CAPTURED_NS;
    let (format, sent) = read.sent.nearest(near);
    assert_eq!((format, sent), (Format::Ptp, 0x6b07_bf48 * SECOND + 0x0375_a799));
    let (format, sender_sent) = read.sender_sent.nearest(near);
    assert_eq!(format, Format::Ntp);
    // The request took less than five milliseconds.
    assert!((0..5_000_000).contains(&(sent - sender_sent)), "{}", sent - sender_sent);
}

#[test]
fn short_packets_are_read_as_far_as_they_go() {
    assert_eq!(Request::read(Mode::Open, &[1; 13]), None);
    assert_eq!(Request::read(Mode::Open, &[1; 14]).unwrap().ssid, 0);
    assert_eq!(Request::read(Mode::Open, &[1; 16]).unwrap().ssid, 0x0101);
    assert_eq!(Reply::read(Mode::Open, &[1; 37]), None);
    assert_eq!(Reply::read(Mode::Open, &[1; 38]).unwrap().ttl, None);
    assert_eq!(Reply::read(Mode::Open, &[1; 41]).unwrap().ttl, Some(1));
    assert_eq!(Reply::read(Mode::Authenticated, &[1; 111]), None);
    assert_eq!(Request::read(Mode::Authenticated, &[1; 111]), None);
    let mut short = [9; 41];
    Reply { ttl: Some(64), ..Reply::default() }.write(Mode::Open, &mut short);
    assert_eq!((short[39], short[40]), (0, 64));
}

#[test]
fn random_padding_selects_no_session() {
    let mut request = vec![0; 44];
    request[14..16].copy_from_slice(&[1, 2]);
    assert_eq!(selector(Mode::Open, &request), 0x0102);
    assert_eq!(selector(Mode::Open, &request[..43]), 0);
    for at in 16..44 {
        let mut padded = request.clone();
        padded[at] = 1;
        assert_eq!(selector(Mode::Open, &padded), 0, "{at}");
    }
}

#[test]
fn replies_are_told_from_requests() {
    let reply = hex("00000000 eeb23da7f43a624d 0001 1234 eeb23da7f439952e 00000000
                     eeb23da7f431322f 0001 0000 ff 000000");
    for length in [24, 38, 41, 44] {
        assert!(is_reflected(Mode::Open, &reply[..length]), "{length}");
    }
    assert!(!is_reflected(Mode::Open, &reply[..23]));
    // An era ends between T2 and T3.
    let wrapped = hex("00000000 0000000200000000 0001 0000 fffffffe00000000");
    assert!(is_reflected(Mode::Open, &wrapped));
    // Zeros, padding of H3C, ones, and times that are too far apart.
    for rest in ["0*28", "0203040506070809 0*20", "ffffffffffffffff 0*20", "eeb23d9cf439952e 0*20"]
    {
        let request = hex(&format!("00000000 eeb23da7f431322f 0001 1234 {rest}"));
        assert!(!is_reflected(Mode::Open, &request), "{rest}");
    }
    let reply = hex("0*16 eeb23daa34f120c3 0001 0102 00000000 eeb23daa34f051a5 0*72");
    assert!(is_reflected(Mode::Authenticated, &reply));
    // However long it waited in its reflector.
    let reply = hex("0*16 eeb23daa34f120c3 0001 0102 00000000 ddb23daa34f051a5 0*72");
    assert!(is_reflected(Mode::Authenticated, &reply));
    assert!(!is_reflected(Mode::Authenticated, &hex("0*16 eeb23daa34e77feb 0001 0102 0*84")));
}

#[test]
fn error_estimates_are_rounded_up() {
    let estimates = [
        (1, 0x0005),
        (1_000, 0x0587),
        (100_000, 0x0bd2),
        (1_000_000, 0x0f84),
        (16_000_000, 0x1384),
        (1_000_000_000, 0x1980),
        (16_000_000_000, 0x1d80),
        (0, 0x0001),
    ];
    for (ns, wire) in estimates {
        assert_eq!(ErrorEstimate::new(false, Format::Ntp, ns), ErrorEstimate(wire), "{ns}");
    }
    assert_eq!(ErrorEstimate::new(true, Format::Ptp, 1), ErrorEstimate(0xc005));
    assert_eq!(ErrorEstimate(0x1d80).ns(), Some(16_000_000_000));
    assert_eq!(ErrorEstimate(0x1d00).ns(), None);
    // twampy sends this; it stands for thousands of years.
    assert_eq!(ErrorEstimate(0x3fff).ns(), Some(i64::MAX.unsigned_abs()));
}

/// Seconds since 1970 at which an era ends: NTP's in 2036, PTP's in 2106.
const ERAS: [(Format, i64); 2] = [(Format::Ntp, 2_085_978_496), (Format::Ptp, 4_294_967_296)];

#[test]
fn timestamps_pass_the_end_of_their_era() {
    for (format, era) in ERAS {
        for ns in [-SECOND - 1, -1, 0, 1, SECOND] {
            let at = era * SECOND + ns;
            let stamp = Timestamp::new(format, at);
            assert_eq!(stamp.seconds() < 9, ns >= 0, "{format:?} {ns}");
            // The reader's clock may still be in the other era.
            for near in [at, era * SECOND - 1, era * SECOND, at + 60 * SECOND, at - 3600 * SECOND] {
                assert_eq!(stamp.ns(format, near), Some(at), "{format:?} {ns}");
                assert_eq!(stamp.nearest(near), (format, at), "{format:?} {ns}");
            }
        }
    }
    assert_eq!(Timestamp(1_000_000_000).ns(Format::Ptp, 0), None);
    assert_eq!(Timestamp(u64::MAX).ns(Format::Ntp, i64::MAX).map(|ns| ns > 0), Some(true));
}

const SENDER: &str = "00000000 eeb23dca3f0d3269 0001 004d 0*28";

/// The TLVs of a captured reply: class of service, timestamp information, follow-up, padding,
/// direct measurement, tag.
const ANSWERS: &str = "00040004 bae8b000 00030004 05020502 00070010 0*12 02000000
    00010008 6c58db7592c1366a 0005000c 000000010000000100000000
    00080010 32e1788c9b9f326034e038c8eaad4ee6";

/// Facts under which a reflector gives those answers.
fn facts() -> Facts {
    Facts {
        sender_seq: 0,
        seq: 0,
        from: "127.0.0.1:18645".parse().unwrap(),
        to: (Some([127, 0, 0, 1].into()), 0x48d4),
        tos: 46 << 2 | 2,
        reply_tos: 46 << 2,
        timestamps: TimestampInfo { source_in: 5, method_in: 2, source_out: 5, method_out: 2 },
        counts: Some(Counts { received: 1, sent: 0, last: None }),
    }
}

/// Returns the TLVs of the captured request, but with the reserved bits of the captured reply,
/// which belong to a draft: we copy them.
fn asked() -> Vec<u8> {
    let mut packet = hex(SENDER);
    let value = |text: &str| hex(text);
    for (kind, value) in [
        (Kind::ClassOfService, value("b800b000")),
        (Kind::TimestampInfo, value("0*4")),
        (Kind::FollowUp, value("0*16")),
        (Kind::ExtraPadding, value("6c58db7592c1366a")),
        (Kind::DirectMeasurement, value("00000001 0*8")),
    ] {
        Tlv::request(kind, &value).append(&mut packet);
    }
    Tlv::append_tag(&mut packet, 44, &key());
    packet.split_off(44)
}

#[test]
fn tlvs_of_a_request_are_written_and_tagged() {
    let captured = hex("80040004b8008000 8003000400000000 80070010 0*16 800100086c58db7592c1366a
        8005000c000000010000000000000000 80080010c6d8eb668f4feaf8bd0c8de6dc1ee4ff");
    let mut packet = hex(SENDER);
    let tlvs: Vec<_> = Tlvs::new(&captured).collect();
    tlvs[..5].iter().for_each(|tlv| tlv.append(&mut packet));
    Tlv::append_tag(&mut packet, 44, &key());
    assert_eq!(packet[44..], captured);
}

#[test]
fn tlvs_are_answered() {
    let mut tail = asked();
    reflect(&mut tail, &[key()], false, &facts());
    assert_eq!(tail, hex(ANSWERS));
    let answered = Tlvs::answered(&tail, 0, Some(&key()));
    let kinds: Vec<_> = answered.iter().map(|tlv| tlv.kind).collect();
    assert_eq!(kinds, [4, 3, 7, 1, 5, 8]);
    let cos = ClassOfService::read(answered[0].value).unwrap();
    assert_eq!((cos.wanted, cos.dscp, cos.ecn, cos.refused), (46, 46, 2, 0));
    let counts = DirectMeasurement::read(answered[4].value).unwrap();
    assert_eq!(counts, DirectMeasurement { sender_sent: 1, received: 1, sent: 0 });
    for value in answered.iter().filter_map(|tlv| TimestampInfo::read(tlv.value)) {
        assert!([hex("05020502"), hex("bae8b000")].contains(&value.bytes().to_vec()));
    }
    assert!(Tlvs::answered(&tail, 1, Some(&key())).is_empty(), "the tag covers the number");
}

#[test]
fn a_later_reply_carries_the_time_of_an_earlier_one() {
    let sent = Timestamp(0xeeb2_3dca_3f30_36e1);
    let counts = Some(Counts { received: 2, sent: 1, last: Some(Departed { seq: 0, sent }) });
    let mut tail = hex("80070010 0*16 8005000c 00000002 0*8");
    reflect(&mut tail, &[], false, &Facts { sender_seq: 1, seq: 1, counts, ..facts() });
    let expected =
        "00070010 00000000 eeb23dca3f3036e1 02000000 0005000c 00000002 00000002 00000001";
    assert_eq!(tail, hex(expected));
    let follow_up = FollowUp::read(&tail[4..20]).unwrap();
    assert_eq!(follow_up, FollowUp { seq: 0, sent, method: 2 });
    // A stateless reflector has no counts.
    let mut tail = hex("80070010 0*3 05 0*12 8005000c 00000002 0*8");
    reflect(&mut tail, &[], false, &Facts { counts: None, ..facts() });
    assert_eq!(tail, hex("00070010 0*12 02000000 8005000c 00000002 0*8"));
}

#[test]
fn addresses_are_reported() {
    let asked = "80020030 00000000 80070010 0*16 80040010 0*16 8001000800000000";
    let mut tail = hex(&format!("{asked} 00000000"));
    reflect(&mut tail, &[], false, &facts());
    let expected = "00020030 48d448d5 00080010 7f000001 0*12 00050010 7f000001 0*12";
    assert_eq!(tail, hex(&format!("{expected} 40010008 0*8")), "the last one is cut");
    let from = "[2001:db8::7]:9".parse().unwrap();
    let mut tail = hex("80020038 00000000 80070010 0*16 80040010 0*16 80010008 1111111111111111");
    reflect(&mut tail, &[], false, &Facts { from, to: (None, 862), ..facts() });
    let v6 = "20010db8 0*8 00000007";
    let expected = format!("00020038 035e0009 00090010 {v6} 00060010 0*16 00030008 0*8");
    assert_eq!(tail, hex(&expected), "an unknown address stays empty");
    let mut tail = hex("8002000c 00000000 80c80004 01020304");
    reflect(&mut tail, &[], false, &facts());
    assert_eq!(tail, hex("0002000c 48d448d5 80c80004 01020304"));
}

#[test]
fn what_cannot_be_answered_is_flagged() {
    let cases = [
        ("unknown", "80c80002 0102 80010001 07", "80c80002 0102 00010001 07"),
        ("access report", "80060004 01020304", "80060004 01020304"),
        ("bad length", "80040003 010203 80010000", "40040003 010203 80010000"),
        ("past the end", "80010190 0102", "40010190 0102"),
        ("erratum 8339", "80070004 01020304 80010000", "40070004 0*4 80010000"),
        ("flags of the sender", "60010000 90c80000", "00010000 90c80000"),
        ("padding", "800100", "800100"),
        ("zeros", "0*40", "0*40"),
        ("zeros behind", "80010000 0*5", "00010000 0*5"),
    ];
    for (case, request, reply) in cases {
        let mut tail = hex(request);
        reflect(&mut tail, &[], false, &facts());
        assert_eq!(tail, hex(reply), "{case}");
    }
}

#[test]
fn tlvs_without_the_right_tag_are_not_answered() {
    let flags = |tail: &[u8]| Tlvs::new(tail).map(|tlv| tlv.flags).collect::<Vec<_>>();
    let wrong = Key::new(&[1; 16]).unwrap();
    for keys in [&[][..], &[wrong]] {
        let mut tail = asked();
        reflect(&mut tail, keys, false, &facts());
        assert_eq!(flags(&tail), [flag::INTEGRITY; 6]);
        assert_eq!(tail[4..8], hex("b800b000"));
        assert!(Tlvs::answered(&tail, 0, None).is_empty());
    }
    // Only padding may follow the tag.
    let mut tail = asked();
    tail.extend(hex("80010002 0000"));
    reflect(&mut tail, &[key()], false, &facts());
    assert_eq!(flags(&tail), [0; 7]);
    tail = asked();
    tail.extend(hex("80040004 b8000000 80c80000"));
    reflect(&mut tail, &[key()], false, &facts());
    assert_eq!(flags(&tail), [0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x60, 0xe0]);
    // An authenticated packet may have one padding without a tag, and nothing else.
    let untagged = |tail: &str| {
        let mut tail = hex(tail);
        reflect(&mut tail, &[key()], true, &facts());
        flags(&tail)
    };
    assert_eq!(untagged("80010001 07"), [0]);
    assert_eq!(untagged("80010001 07 80010001 07"), [0x20, 0x20]);
    assert_eq!(untagged("80030004 0*4"), [0x20]);
    // A malformed TLV hides the tag behind it.
    let mut tail = asked();
    tail[3] = 5;
    reflect(&mut tail, &[key()], true, &facts());
    assert_eq!(tail[0], flag::INTEGRITY | flag::MALFORMED);
}

fn any_tail() -> impl Strategy<Value = Vec<u8>> {
    // Headers with likely types and lengths, so that whole TLVs come about.
    let tlv = (any::<u8>(), 0..10_u8, 0..20_u16, prop::collection::vec(any::<u8>(), 0..20));
    let tlv = tlv.prop_map(|(flags, kind, length, value)| {
        let [high, low] = length.to_be_bytes();
        [&[flags, kind, high, low][..], &value].concat()
    });
    prop::collection::vec(tlv, 0..12).prop_map(|tlvs| tlvs.concat())
}

proptest! {
    #[test]
    fn any_time_survives_the_wire(wall_ns in 0..i64::MAX / 2, apart_s in -2_000_000_000..2_000_000_000_i64) {
        let near = wall_ns.saturating_add(apart_s.saturating_mul(SECOND));
        for format in [Format::Ntp, Format::Ptp] {
            prop_assert_eq!(Timestamp::new(format, wall_ns).ns(format, near), Some(wall_ns));
        }
    }

    #[test]
    fn the_format_is_found_by_its_value(wall_ns in 0..i64::MAX / 2, apart_s in -900_000_000..900_000_000_i64) {
        let near = wall_ns.saturating_add(apart_s.saturating_mul(SECOND));
        for format in [Format::Ntp, Format::Ptp] {
            prop_assert_eq!(Timestamp::new(format, wall_ns).nearest(near), (format, wall_ns));
        }
    }

    #[test]
    fn any_timestamp_is_read(raw in any::<u64>(), near in any::<i64>()) {
        let (format, ns) = Timestamp(raw).nearest(near);
        prop_assert_eq!(Timestamp(raw).ns(format, near), Some(ns));
    }

    #[test]
    fn an_estimate_is_never_too_small(error_ns in any::<u64>(), wire in any::<u16>()) {
        let estimate = ErrorEstimate::new(true, Format::Ptp, error_ns);
        let ns = estimate.ns().unwrap();
        prop_assert!(ns >= error_ns.min(i64::MAX.unsigned_abs()));
        prop_assert!(error_ns > u64::MAX / 2 || ns - error_ns <= error_ns / 127 + 1);
        prop_assert!(estimate.is_synchronized() && estimate.format() == Format::Ptp);
        prop_assert_eq!(ErrorEstimate(wire).ns().is_none(), wire.trailing_zeros() >= 8);
    }

    #[test]
    fn any_packet_is_read(packet in prop::collection::vec(any::<u8>(), 0..200)) {
        for mode in [Mode::Open, Mode::Authenticated] {
            let request = Request::read(mode, &packet);
            prop_assert_eq!(request.is_some(), packet.len() >= mode.shortest());
            let _ = (Reply::read(mode, &packet), selector(mode, &packet), is_reflected(mode, &packet));
            let mut written = packet.clone();
            request.unwrap_or_default().write(mode, &mut written);
            if packet.len() >= mode.shortest() {
                prop_assert_eq!(Request::read(mode, &written), request);
            }
            let reply = Reply { seq: 7, ..Reply::default() };
            reply.write(mode, &mut written);
            set_sent(mode, &mut written, Timestamp(5));
            let expected = (written.len() >= mode.base()).then_some(Timestamp(5));
            let sent = Reply::read(mode, &written).map(|reply| reply.sent);
            prop_assert!(expected.is_none() || sent == expected);
        }
    }

    #[test]
    fn any_tlvs_are_reflected(tail in any_tail(), must_tag in any::<bool>(), keyed in any::<bool>()) {
        let key = keyed.then(key);
        let mut reply = tail.clone();
        reflect(&mut reply, key.as_slice(), must_tag, &facts());
        prop_assert_eq!(reply.len(), tail.len());
        // The reply has the same TLVs, and those that have answers can be read.
        let shape = |tail: &[u8]| {
            Tlvs::new(tail).map(|tlv| (tlv.kind, tlv.value.len())).collect::<Vec<_>>()
        };
        prop_assert_eq!(shape(&reply), shape(&tail));
        let known = |tlv: &Tlv<'_>| matches!(tlv.kind, 1..=5 | 7..=8);
        for tlv in Tlvs::answered(&reply, 0, None) {
            prop_assert!(known(&tlv));
        }
        for tlv in Tlvs::new(&reply).filter(|tlv| !known(tlv)) {
            prop_assert_eq!(tlv.flags & flag::UNRECOGNIZED, flag::UNRECOGNIZED);
        }
    }

    #[test]
    fn any_change_of_tagged_tlvs_is_found(bit in 0..8 * 64_usize, seq in any::<u32>()) {
        let mut tail = asked();
        let right = |tail: &[u8], sender_seq| {
            let mut reply = tail.to_vec();
            reflect(&mut reply, &[key()], true, &Facts { sender_seq, ..facts() });
            Tlvs::answered(&reply, 0, Some(&key())).len() == 6
        };
        prop_assert_eq!(right(&tail, seq), seq == 0);
        tail[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!right(&tail, 0));
    }
}
