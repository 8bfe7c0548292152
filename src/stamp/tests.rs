//! Tests of the whole machine.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::impair::{Delay, Link, Loss, Pattern};
use crate::machine::by_hand::{tick, transmit};
use crate::path::{Action, Changeable, DOWNLINK, OutageMode, Route, Step, Timeline, When};
use crate::wire::stamp::{
    DirectMeasurement, ErrorEstimate, FollowUp, Format, Kind, Mode, Reply, Request, Timestamp, Tlv,
    Tlvs, is_signed, sign,
};
use crate::wire::{Key, Unauthenticated};
use crate::{Arrival, Limiter, Machine, Stamp};

const SECOND: i64 = crate::NS_PER_SECOND;
const MS: i64 = SECOND / 1000;
/// 2026-11-26T05:09:59Z.
const WALL_NS: i64 = 1_795_669_799 * SECOND;

fn at(mono_ns: i64) -> Stamp {
    Stamp { mono_ns, wall_ns: WALL_NS + mono_ns }
}

fn client(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn local() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 862))
}

fn key() -> Key {
    Key::new(&[7; 32]).unwrap()
}

fn reflector(config: ReflectorConfig) -> Reflector {
    Reflector::new(ReflectorConfig { keep: 10_000, ..config }, local())
}

fn plain() -> Reflector {
    reflector(ReflectorConfig::default())
}

/// Returns the reply to a datagram that is answered a microsecond after its arrival.
fn reply_from(
    reflector: &mut Reflector,
    arrived: Stamp,
    from: SocketAddr,
    datagram: &[u8],
) -> Option<Vec<u8>> {
    let mut payload = datagram.to_vec();
    let mut arrival = Arrival { ttl: Some(61), ..Arrival::new(arrived, from, &mut payload) };
    assert_eq!(reflector.on_datagram(0, &mut arrival), None);
    tick(reflector, Stamp { mono_ns: arrived.mono_ns + 1000, wall_ns: arrived.wall_ns + 1000 });
    let reply = transmit(reflector).map(|(to, reply)| (to, reply.to_vec()));
    assert_eq!(transmit(reflector), None);
    assert_eq!(reflector.deadline(0), None);
    reply.map(|(to, reply)| {
        assert_eq!(to, from);
        reply
    })
}

fn reply(reflector: &mut Reflector, datagram: &[u8]) -> Option<Vec<u8>> {
    reply_from(reflector, at(0), client(5000), datagram)
}

fn request(mode: Mode, seq: u32, ssid: u16) -> Vec<u8> {
    request_at(mode, seq, ssid, -SECOND)
}

/// Returns a request that was sent so much after [`WALL_NS`].
fn request_at(mode: Mode, seq: u32, ssid: u16, sent_ns: i64) -> Vec<u8> {
    let mut packet = vec![0; mode.base()];
    let (sent, error) = (Timestamp::new(Format::Ntp, WALL_NS + sent_ns), ErrorEstimate(1));
    Request { seq, sent, error, ssid }.write(mode, &mut packet);
    if mode == Mode::Authenticated {
        sign(&mut packet, &key());
    }
    packet
}

/// Returns the sequence number of the reply to packet `seq`.
fn number(reflector: &mut Reflector, at: Stamp, port: u16, seq: u32, ssid: u16) -> u32 {
    let reply = reply_from(reflector, at, client(port), &request(Mode::Open, seq, ssid)).unwrap();
    let reply = Reply::read(Mode::Open, &reply).unwrap();
    assert_eq!((reply.sender_seq, reply.ssid), (seq, ssid));
    reply.seq
}

#[test]
fn a_reply_has_the_times_of_both_ends() {
    for (mode, keys) in [(Mode::Open, vec![]), (Mode::Authenticated, vec![key()])] {
        let config = ReflectorConfig { keys, error_ns: 0, ..ReflectorConfig::default() };
        let mut reflector = reflector(config);
        let request = request(mode, 7, 0x0102);
        let reply = reply_from(&mut reflector, at(5), client(5000), &request).unwrap();
        let expected = Reply {
            seq: 0,
            sent: Timestamp::new(Format::Ntp, WALL_NS + 1005),
            error: ErrorEstimate(1),
            ssid: 0x0102,
            received: Timestamp::new(Format::Ntp, WALL_NS + 5),
            sender_seq: 7,
            sender_sent: Timestamp::new(Format::Ntp, WALL_NS - SECOND),
            sender_error: ErrorEstimate(1),
            ttl: Some(61),
        };
        assert_eq!(Reply::read(mode, &reply), Some(expected));
        assert_eq!(reply.len(), mode.base());
        assert!(mode == Mode::Open || is_signed(&reply, &self::key()));
        let record = reflector.records().next().unwrap();
        let numbers = record.numbers.unwrap();
        assert_eq!((numbers.ssid, numbers.seq, numbers.reflector_seq), (0x0102, 7, 0));
        assert_eq!((record.at, record.sent_ns), (at(5), Some(WALL_NS + 1005)));
    }
}

#[test]
fn a_ptp_reflector_says_so() {
    let config = ReflectorConfig {
        format: Format::Ptp,
        synchronized: true,
        error_ns: 1000,
        ..ReflectorConfig::default()
    };
    let reply = reply(&mut reflector(config), &request(Mode::Open, 0, 0)).unwrap();
    let reply = Reply::read(Mode::Open, &reply).unwrap();
    assert_eq!(reply.error, ErrorEstimate(0xc587));
    assert_eq!(reply.received.nearest(WALL_NS), (Format::Ptp, WALL_NS));
}

#[test]
fn sessions_have_numbers_of_their_own() {
    let mut reflector = plain();
    // Losses on the way in and copies show in the numbers of the replies.
    let numbers = [0, 1, 4, 4, 5].map(|seq| number(&mut reflector, at(0), 5000, seq, 9));
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert_eq!(number(&mut reflector, at(0), 5001, 3, 9), 0);
    assert_eq!(number(&mut reflector, at(0), 5000, 3, 8), 0);
    // A pause of five minutes does not end a session, and a longer one does.
    assert_eq!(number(&mut reflector, at(300 * SECOND), 5000, 6, 9), 5);
    assert_eq!(number(&mut reflector, at(600 * SECOND + 1), 5000, 7, 9), 0);
    let sessions = reflector.sessions(600 * SECOND + 1);
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].received, sessions[0].replied, sessions[0].ssid), (1, 1, 9));
}

#[test]
fn a_stateless_reflector_copies_numbers() {
    let config = ReflectorConfig { stateful: false, ..ReflectorConfig::default() };
    let mut reflector = reflector(config);
    assert_eq!(
        [3, 9, u32::MAX].map(|seq| number(&mut reflector, at(0), 1, seq, 9)),
        [3, 9, u32::MAX]
    );
    assert!(reflector.sessions(0).is_empty());
    assert_eq!(reflector.counters().stateless, 0);
}

#[test]
fn random_padding_of_twamp_is_one_session() {
    let mut reflector = plain();
    let mut random = crate::Random::new(Some(1));
    for seq in 0..1000_u32 {
        let mut packet = request(Mode::Open, seq, 0);
        packet.truncate(41);
        packet[14..].fill_with(|| random.below(256).try_into().unwrap());
        let reply = reply(&mut reflector, &packet).unwrap();
        assert_eq!((reply.len(), reply[..4] == seq.to_be_bytes()), (41, true));
        assert_eq!(reply[40], 61, "the hops");
    }
    assert_eq!(reflector.sessions(0).len(), 1);
}

#[test]
fn a_full_table_answers_without_sessions() {
    let config = ReflectorConfig { max_sessions: 3, ..ReflectorConfig::default() };
    let mut reflector = reflector(config);
    for port in 1..=1000 {
        let seq = number(&mut reflector, at(0), 5000 + port, 77, 0);
        assert_eq!(seq, if port <= 3 { 0 } else { 77 });
    }
    assert_eq!((reflector.counters().stateless, reflector.sessions(0).len()), (997, 3));
    assert_eq!(number(&mut reflector, at(0), 5001, 78, 0), 1, "those inside stay");
    // Idle sessions make room.
    assert_eq!(number(&mut reflector, at(301 * SECOND), 9, 77, 0), 0);
    assert_eq!(reflector.sessions(301 * SECOND).len(), 1);
}

#[test]
fn only_what_was_asked_for_is_answered() {
    let limiter = Some(Limiter::new(8.0).unwrap());
    let allowed = vec!["192.0.2.0/24".parse().unwrap()];
    let config = ReflectorConfig { allowed, limiter, ..ReflectorConfig::default() };
    let mut reflector = reflector(config);
    let packet = request(Mode::Open, 0, 0);
    for port in [0, 7, 13, 17, 19, 37] {
        assert_eq!(reply_from(&mut reflector, at(0), client(port), &packet), None);
    }
    for (is_answer, to_group) in [(true, false), (false, true)] {
        let mut payload = packet.clone();
        let arrival = Arrival::new(at(0), client(5000), &mut payload);
        reflector.on_datagram(0, &mut Arrival { is_answer, to_group, ..arrival });
    }
    let stranger = SocketAddr::from(([198, 51, 100, 1], 5000));
    assert_eq!(reply_from(&mut reflector, at(0), stranger, &packet), None);
    for length in [0, 13, 14, 40] {
        assert_eq!(reply(&mut reflector, &packet[..length]), None);
    }
    for length in [41, 43, 44] {
        assert_eq!(reply(&mut reflector, &packet[..length]).unwrap().len(), length);
    }
    let replied = reply_from(&mut plain(), at(0), client(1), &packet).unwrap();
    assert_eq!(reply(&mut reflector, &replied), None);
    assert_eq!(reply(&mut reflector, &packet), None, "the ninth in a second");
    let counters = reflector.counters();
    let counts = Outcome::ALL.map(|(name, outcome)| (name, counters.of(outcome)));
    let expected = [
        ("replied", 3),
        ("unanswerable", 8),
        ("looped", 1),
        ("not_allowed", 1),
        ("limited", 1),
        ("short", 4),
        ("unauthenticated", 0),
        ("bad_tag", 0),
        ("replayed", 0),
        ("queue_full", 0),
    ];
    assert_eq!((counts, counters.received()), (expected, 18));
    let mut records = [0; Outcome::ALL.len()];
    reflector.records().for_each(|record| records[record.outcome as usize] += 1);
    assert_eq!(records, counters.outcomes);
}

/// Returns an authenticated request that is signed with another key than [`key`].
fn signed_with(key: &Key, seq: u32) -> Vec<u8> {
    let mut packet = request(Mode::Authenticated, seq, 0);
    sign(&mut packet, key);
    packet
}

#[test]
fn packets_without_a_right_tag_are_refused() {
    let config = ReflectorConfig { keys: vec![key()], ..ReflectorConfig::default() };
    let mut reflector = reflector(config);
    let packet = request(Mode::Authenticated, 0, 0);
    assert_eq!(reply(&mut reflector, &packet).unwrap().len(), 112);
    let mut altered = packet.clone();
    altered[3] = 1;
    // The tag is cut, and that of another part.
    let truncated = [&packet[..111], &[0; 20]].concat();
    for wrong in [altered, truncated, signed_with(&Key::new(&[8; 32]).unwrap(), 1)] {
        assert_eq!(reply(&mut reflector, &wrong), None);
    }
    let mut padded = request(Mode::Open, 0, 0);
    padded.resize(200, 0);
    for open in [&packet[..111], &padded[..44], &padded] {
        assert_eq!(reply(&mut reflector, open), None);
    }
    let counters = reflector.counters();
    let counts = [Outcome::Replied, Outcome::BadTag, Outcome::Unauthenticated];
    assert_eq!(counts.map(|outcome| counters.of(outcome)), [1, 3, 3]);
    assert_eq!(reflector.sessions(0)[0].received, 1, "refused packets change no session");
}

#[test]
fn a_key_can_be_rotated() {
    let [old, new] = [7, 8].map(|byte| Key::new(&[byte; 32]).unwrap());
    let with = |keys: Vec<Key>| reflector(ReflectorConfig { keys, ..ReflectorConfig::default() });
    let mut both = with(vec![new.clone(), old.clone()]);
    for (key, seq) in [(&old, 0), (&new, 1)] {
        let mut waiting = reply(&mut both, &signed_with(key, seq)).unwrap();
        assert!(is_signed(&waiting, key), "with the key of the request");
        assert!(both.on_unblocked(0, at(SECOND), client(5000), &mut waiting));
        assert!(is_signed(&waiting, key));
    }
    let mut later = with(vec![new]);
    assert_eq!(reply(&mut later, &signed_with(&old, 0)), None);
    assert_eq!(later.counters().of(Outcome::BadTag), 1);
}

/// A reflector with a key, and the numbers of its replies to requests that were sent a second apart.
fn numbers_of(
    reflector: &mut Reflector,
    requests: impl IntoIterator<Item = (u32, i64)>,
) -> Vec<Option<u32>> {
    let number = |(seq, second): (u32, i64)| {
        let request = request_at(Mode::Authenticated, seq, 7, second * SECOND);
        let reply = reply_from(reflector, at(0), client(5000), &request)?;
        Some(Reply::read(Mode::Authenticated, &reply).unwrap().seq)
    };
    requests.into_iter().map(number).collect()
}

fn keyed() -> Reflector {
    reflector(ReflectorConfig { keys: vec![key()], ..ReflectorConfig::default() })
}

#[test]
fn a_replay_is_refused_within_and_beyond_the_window() {
    let mut reflector = keyed();
    let highest = u32::try_from(crate::ReplayWindow::SPAN).unwrap() + 99;
    let requests = (0..=highest).filter(|seq| *seq != 500).map(|seq| (seq, i64::from(seq)));
    let numbers = numbers_of(&mut reflector, requests);
    assert_eq!(numbers.last(), Some(&Some(highest - 1)));
    let before = reflector.sessions(0);
    let replays = [0, 98, 99, 100, highest - 1, highest].map(|seq| (seq, i64::from(seq)));
    assert_eq!(numbers_of(&mut reflector, replays), [None; 6]);
    assert_eq!(reflector.counters().of(Outcome::Replayed), 6);
    assert_eq!(reflector.sessions(0), before, "replays change no session");
    assert_eq!(numbers_of(&mut reflector, [(500, 500)]), [Some(highest)], "it was overtaken");
    // Nobody else's session, and nobody's without a key.
    let request = request_at(Mode::Authenticated, 9, 7, 9 * SECOND);
    assert!(reply_from(&mut reflector, at(0), client(5001), &request).is_some());
    let mut open = plain();
    assert_eq!([9, 9].map(|seq| number(&mut open, at(0), 5000, seq, 9)), [0, 1]);
}

#[test]
fn a_sender_that_starts_again_is_answered_and_its_last_run_is_not() {
    let mut reflector = keyed();
    numbers_of(&mut reflector, (0..10).map(|seq| (seq, i64::from(seq))));
    // The first two overtake each other.
    let restarted = [(1, 21), (0, 20), (2, 22)];
    assert_eq!(numbers_of(&mut reflector, restarted), [Some(10), None, Some(11)]);
    let recorded = [(0, 0), (3, 3), (9, 9), (1, 21)];
    assert_eq!(numbers_of(&mut reflector, recorded), [None; 4]);
    assert_eq!(numbers_of(&mut reflector, [(3, 23), (4, 24)]), [Some(12), Some(13)]);
    // A clock that is set back serves within the run.
    assert_eq!(numbers_of(&mut reflector, [(5, 22), (6, 19), (7, 25)]), [Some(14), None, Some(15)]);
    // Numbers wrap.
    let around = [(u32::MAX, 30), (0, 31), (1, 32)];
    assert_eq!(numbers_of(&mut reflector, around), [Some(16), Some(17), Some(18)]);
}

#[test]
fn a_session_that_ended_begins_with_any_request() {
    let mut reflector = keyed();
    let request = request_at(Mode::Authenticated, 9, 7, 0);
    let mut is_answered =
        |second| reply_from(&mut reflector, at(second * SECOND), client(5000), &request).is_some();
    assert_eq!([0, 1, 300].map(&mut is_answered), [true, false, false]);
    assert!(is_answered(301), "refused packets do not prolong a session");
}

#[test]
fn unauthenticated_packets_can_be_answered_beside_others() {
    let keys = vec![key()];
    let unauthenticated = Unauthenticated::Accept;
    let config = ReflectorConfig { keys, unauthenticated, ..ReflectorConfig::default() };
    let mut reflector = reflector(config);
    for (mode, length) in [(Mode::Open, 44), (Mode::Authenticated, 112), (Mode::Open, 200)] {
        let mut packet = request(mode, 0, 9);
        packet.resize(length, 0);
        let reply = reply(&mut reflector, &packet).unwrap();
        assert_eq!((reply.len(), is_signed(&reply, &key())), (length, mode == Mode::Authenticated));
    }
    let numbers = reflector.records().map(|record| record.numbers.unwrap().reflector_seq);
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 0, 1], "a stranger is not in the session");
    assert_eq!(reply(&mut reflector, &signed_with(&Key::new(&[8; 32]).unwrap(), 1)), None);
    assert_eq!(reflector.counters().of(Outcome::BadTag), 1);
}

#[test]
fn no_reply_is_answered() {
    for (mode, keys) in [(Mode::Open, vec![]), (Mode::Authenticated, vec![key()])] {
        for length in [41, 44, 112, 200] {
            let config = ReflectorConfig { keys: keys.clone(), ..ReflectorConfig::default() };
            let [mut one, mut other] = [(), ()].map(|()| reflector(config.clone()));
            let mut packet = request(mode, 0, 0);
            if mode == Mode::Open || length > 112 {
                packet.resize(length, 0);
            }
            let first = reply(&mut one, &packet).unwrap();
            assert_eq!(reply(&mut other, &first), None, "{length}");
            assert_eq!(reply(&mut one, &first), None, "{length}");
            assert_eq!(other.counters().of(Outcome::Looped), 1);
        }
    }
}

#[test]
fn tlvs_are_answered_from_the_session() {
    let mut reflector = plain();
    let ask = |seq: u32| {
        let mut packet = request(Mode::Open, seq, 0);
        Tlv::request(Kind::FollowUp, &[0; 16]).append(&mut packet);
        let counts = DirectMeasurement { sender_sent: seq + 1, ..DirectMeasurement::default() };
        Tlv::request(Kind::DirectMeasurement, &counts.bytes()).append(&mut packet);
        Tlv::request(Kind::Location, &[0; 4]).append(&mut packet);
        Tlv::request(Kind::TimestampInfo, &[0; 4]).append(&mut packet);
        Tlv::request(Kind::ClassOfService, &[46 << 2, 0, 0, 0]).append(&mut packet);
        packet
    };
    let answers = |reflector: &mut Reflector, seq| {
        let packet = ask(seq);
        let reply = reply_from(reflector, at(i64::from(seq)), client(5000), &packet).unwrap();
        assert_eq!(reply.len(), packet.len());
        let values = Tlvs::answered(&reply[44..], seq, None);
        values.iter().map(|tlv| tlv.value.to_vec()).collect::<Vec<_>>()
    };
    let first = answers(&mut reflector, 0);
    assert_eq!(FollowUp::read(&first[0]), Some(FollowUp { method: 2, ..FollowUp::default() }));
    // Packet 1 is lost on the way in.
    let second = answers(&mut reflector, 2);
    let sent = Timestamp::new(Format::Ntp, WALL_NS + 1000);
    assert_eq!(FollowUp::read(&second[0]), Some(FollowUp { seq: 0, sent, method: 2 }));
    let counts = DirectMeasurement { sender_sent: 3, received: 2, sent: 1 };
    assert_eq!(DirectMeasurement::read(&second[1]), Some(counts));
    assert_eq!(second[2], [862_u16.to_be_bytes(), 5000_u16.to_be_bytes()].concat());
    assert_eq!(second[3], [5, 2, 5, 2]);
    assert_eq!(second[4], [46 << 2, 1, 0, 0], "the reply does not have that DSCP");
}

#[test]
fn a_delayed_reply_gets_a_new_time() {
    for (mode, keys) in [(Mode::Open, vec![]), (Mode::Authenticated, vec![key()])] {
        let config = ReflectorConfig { keys, ..ReflectorConfig::default() };
        let mut reflector = reflector(config);
        let mut reply = reply(&mut reflector, &request(mode, 0, 0)).unwrap();
        assert!(reflector.on_unblocked(0, at(SECOND), client(5000), &mut reply));
        let sent = Reply::read(mode, &reply).unwrap().sent;
        assert_eq!(sent, Timestamp::new(Format::Ntp, WALL_NS + SECOND));
        assert!(mode == Mode::Open || is_signed(&reply, &self::key()));
    }
}

#[test]
fn a_failed_reply_is_not_replied() {
    let mut reflector = plain();
    let packet = request(Mode::Open, 0, 0);
    reply(&mut reflector, &packet).unwrap();
    reflector.on_send_failed(0, client(5000), &packet, None);
    let counters = reflector.counters();
    assert_eq!(
        (counters.of(Outcome::Replied), counters.send_failed, counters.received()),
        (0, 1, 1)
    );
    for drops in [2, 5] {
        reflector.on_receive_drops(0, drops);
    }
    assert_eq!(reflector.counters().receive_drops, 5);
}

#[test]
fn waiting_replies_are_bounded() {
    let mut reflector = plain();
    let mut packet = request(Mode::Open, 0, 0);
    packet.resize(65_000, 0);
    for _ in 0..1000 {
        reflector.on_datagram(0, &mut Arrival::new(at(0), client(5000), &mut packet));
    }
    let counters = reflector.counters();
    let replied = counters.of(Outcome::Replied);
    assert_eq!((replied, counters.of(Outcome::QueueFull)), (274, 726));
    let sent = std::iter::from_fn(|| transmit(&mut reflector).map(|_| ())).count();
    assert_eq!(sent, 274);
    assert!(reply(&mut reflector, &packet).is_some(), "there is room again");
}

/// Hands over a request of `port`.
fn send(reflector: &mut Reflector, arrived: Stamp, port: u16, seq: u32) {
    let mut payload = request(Mode::Open, seq, 0);
    let arrival = Arrival::new(arrived, client(port), &mut payload);
    assert_eq!(reflector.on_datagram(0, &mut Arrival { ttl: Some(61), ..arrival }), None);
}

/// Returns the replies that leave at `now`.
fn replies(reflector: &mut Reflector, now: Stamp) -> Vec<Reply> {
    tick(reflector, now);
    let next = || transmit(reflector).map(|(_, reply)| Reply::read(Mode::Open, reply).unwrap());
    std::iter::from_fn(next).collect()
}

#[test]
fn a_delayed_packet_comes_and_its_reply_leaves_within_the_links() {
    let link = |ns| Link { delay: Delay::Fixed(ns), ..Link::default() };
    let config = ReflectorConfig { uplink: link(10e6), downlink: link(5e6), ..Default::default() };
    let mut reflector = reflector(config);
    send(&mut reflector, at(0), 5000, 7);
    assert_eq!((reflector.deadline(0), reflector.truth().pending), (Some(10 * MS), 1));
    assert!(reflector.sessions(0).is_empty(), "it is on its way");
    assert_eq!(replies(&mut reflector, at(12 * MS)), []);
    assert_eq!(reflector.deadline(0), Some(17 * MS));
    let replies = replies(&mut reflector, at(18 * MS));
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].received, Timestamp::new(Format::Ntp, WALL_NS + 10 * MS));
    assert_eq!(replies[0].sent, Timestamp::new(Format::Ntp, WALL_NS + 12 * MS));
    assert_eq!((replies[0].ttl, replies[0].sender_seq), (Some(61), 7));
    let mut backlog = request(Mode::Open, 0, 0);
    reflector.on_unblocked(0, at(SECOND), client(5000), &mut backlog);
    assert_eq!(backlog, request(Mode::Open, 0, 0), "T3 stays what it was before the downlink");
    let left: Vec<_> = reflector
        .fates()
        .map(|fate| (fate.route, fate.at, fate.first.map(|reply| reply.sent_ns - WALL_NS)))
        .collect();
    assert_eq!(
        left,
        [(Route::Up, at(0), Some(10 * MS)), (Route::Down, at(12 * MS), Some(18 * MS))]
    );
    assert_eq!((reflector.deadline(0), reflector.truth().pending), (None, 0));
}

#[test]
fn a_packet_that_an_outage_holds_arrives_at_its_end() {
    let mut reflector = plain();
    reflector.start_outage([true, false], OutageMode::Hold, at(0), 10 * MS);
    send(&mut reflector, at(MS), 5000, 7);
    assert_eq!(replies(&mut reflector, at(9 * MS)), []);
    assert_eq!(reflector.deadline(0), Some(10 * MS));
    let replies = replies(&mut reflector, at(12 * MS));
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].received, Timestamp::new(Format::Ntp, WALL_NS + 10 * MS));
}

#[test]
fn each_link_loses_its_own() {
    let link = |lost: &[bool]| {
        let loss = Loss::Pattern(Pattern::new(lost.to_vec()).unwrap());
        Link { loss, ..Link::default() }
    };
    let config = ReflectorConfig {
        uplink: link(&[false, true, false, false]),
        downlink: link(&[false, false, true]),
        ..Default::default()
    };
    let mut reflector = reflector(config);
    (0..4).for_each(|seq| send(&mut reflector, at(0), 5000, seq));
    let replies = replies(&mut reflector, at(1));
    let numbers: Vec<_> = replies.iter().map(|reply| (reply.sender_seq, reply.seq)).collect();
    assert_eq!(numbers, [(0, 0), (2, 1)]);
    let truth = reflector.truth();
    assert_eq!((truth.uplink.flags[0], truth.downlink.flags[0]), (1, 1));
    assert_eq!(reflector.counters().received(), 3);
    assert_eq!(reflector.records().count(), 3);
    assert_eq!(reflector.fates().count(), 7);
}

#[test]
fn copies_on_the_way_in_differ_in_their_times() {
    let uplink = Link { duplication: 1.0, ..Link::default() };
    let config = ReflectorConfig { uplink, stateful: false, ..Default::default() };
    let mut reflector = reflector(config);
    send(&mut reflector, at(0), 5000, 3);
    let replies = replies(&mut reflector, at(50));
    assert_eq!(replies.len(), 2);
    assert_ne!(replies[0].received, replies[1].received);
    assert_eq!(reflector.counters().of(Outcome::Replied), 2);
}

#[test]
fn a_packet_that_is_refused_by_its_source_takes_no_link() {
    let limiter = Some(Limiter::new(1.0).unwrap());
    let uplink = Link { delay: Delay::Fixed(1e6), ..Link::default() };
    let config = ReflectorConfig { limiter, uplink, ..Default::default() };
    let mut reflector = reflector(config);
    (0..3).for_each(|seq| send(&mut reflector, at(0), 5000, seq));
    send(&mut reflector, at(0), 7, 3);
    assert_eq!(replies(&mut reflector, at(MS)).len(), 1);
    let counters = reflector.counters();
    assert_eq!((counters.of(Outcome::Limited), counters.of(Outcome::Unanswerable)), (2, 1));
    assert_eq!(reflector.fates().count(), 2);
}

#[test]
fn links_of_clients_and_steps_by_packet() {
    let lossy = || Link { loss: Loss::Bernoulli(1.0), ..Link::default() };
    let set = |packet, link: Link| Step {
        when: When::Packet(packet),
        action: Action::Set { links: Box::new([Some(link), None]), client: None },
    };
    let steps = vec![set(3, lossy()), set(4, Link::default())];
    let timeline = Timeline { steps, ..Timeline::default() };
    let per_client = vec![[Link::default(), lossy()]];
    let mut reflector = reflector(ReflectorConfig { per_client, timeline, ..Default::default() });
    for (port, answered) in [(1, 0), (2, 1), (2, 0), (2, 1)] {
        send(&mut reflector, at(0), port, 0);
        assert_eq!(replies(&mut reflector, at(1)).len(), answered);
    }
    assert_eq!(reflector.steps().count(), 2);
    reflector.set_link(DOWNLINK, &Link::default(), Some(client(1)), at(2));
    send(&mut reflector, at(2), 1, 0);
    assert_eq!(replies(&mut reflector, at(2)).len(), 1);
}

proptest! {
    #[test]
    fn no_reply_is_longer_than_its_request(
        mut packet in prop::collection::vec(any::<u8>(), 0..300),
        authenticated in any::<bool>(),
        twamp_light in any::<bool>(),
        stateful in any::<bool>(),
        signed in any::<bool>(),
        from in any::<(u32, u16)>(),
    ) {
        let keys = Vec::from(authenticated.then(key).as_slice());
        let config = ReflectorConfig { stateful, twamp_light, keys, ..ReflectorConfig::default() };
        let mut reflector = reflector(config);
        if signed {
            sign(&mut packet, &self::key());
        }
        let from = SocketAddr::from((from.0.to_be_bytes(), from.1));
        let reply = reply_from(&mut reflector, at(0), from, &packet);
        let shortest = match (authenticated, twamp_light) {
            (true, _) => 112,
            (false, true) => 14,
            (false, false) => 41,
        };
        prop_assert!(reply.is_none() || packet.len() >= shortest);
        if let Some(reply) = &reply {
            let expected = if packet.len() < 41 { 44 } else { packet.len() };
            prop_assert_eq!(reply.len(), expected);
        }
        let counters = reflector.counters();
        prop_assert_eq!(counters.received(), 1);
        prop_assert_eq!(counters.of(Outcome::Replied), u64::from(reply.is_some()));
        // Whatever came, what leaves is never answered by another reflector.
        if let Some(reply) = reply {
            prop_assert_eq!(reply_from(&mut reflector, at(0), from, &reply), None);
        }
    }
}
