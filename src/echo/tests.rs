//! Tests of the whole machine: every fate against the output.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use crate::echo::{Config, Echo, Transform};
use crate::impair::{Corruption, Delay, Flags, GilbertElliott, Link, Loss, Rate, Reordering};
use crate::machine::by_hand::{arrive, tick, transmit};
use crate::path::{Changeable, Counters, DOWNLINK, Fate, OutageMode, Outcome, UPLINK};
use crate::{Arrival, Limiter, Machine, Stamp};

fn client(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn stamp(mono_ns: i64) -> Stamp {
    Stamp { mono_ns, wall_ns: mono_ns + 1_000_000_000 }
}

/// Returns the immediate answer to a datagram.
fn answer(echo: &mut Echo, datagram: &[u8]) -> Option<Vec<u8>> {
    arrive(echo, Stamp::default(), client(5000), datagram)
}

fn replies(fate: &Fate) -> u64 {
    fate.replies().count() as u64
}

fn corrupted(fate: &Fate) -> u64 {
    fate.replies().filter(|reply| reply.damage.corrupted).count() as u64
}

/// All impairments together, on one link.
fn rough() -> Link {
    Link {
        loss: Loss::GilbertElliott(GilbertElliott::new(0.05, 0.4, 0.9, 0.01).unwrap()),
        duplication: 0.1,
        corruption: Corruption::new(0.1).unwrap(),
        rate: Some(Rate::new(10_000_000, 3_000).unwrap()),
        delay: Delay::Exponential(300_000.0),
        keep_order: false,
        reordering: Reordering::new(0.05, 1_000_000).unwrap(),
        ..Link::default()
    }
}

#[test]
fn only_ascii_letters_are_raised() {
    let mut echo = Echo::new(Config::default());
    let raised = answer(&mut echo, "Ping 1 straße\n\0\u{e9}".as_bytes()).unwrap();
    assert_eq!(raised, "PING 1 STRAßE\n\0\u{e9}".as_bytes());
    assert_eq!(answer(&mut echo, b"").unwrap(), b"");
}

#[test]
fn echo_returns_the_request() {
    let mut echo = Echo::new(Config { transform: Transform::Echo, ..Config::default() });
    assert_eq!(answer(&mut echo, b"Ping \xff").unwrap(), b"Ping \xff");
}

#[test]
fn a_long_datagram_is_cut() {
    let mut echo = Echo::new(Config { max_size: 1024, keep: 1, ..Config::default() });
    assert_eq!(answer(&mut echo, &[b'a'; 1025]).unwrap(), [b'A'; 1024]);
    assert_eq!(echo.fates().next().unwrap().size, 1025);
}

#[test]
fn the_log_and_the_counters_agree() {
    let uplink = Link { loss: Loss::Lab, ..Link::default() };
    let mut echo = Echo::new(Config { uplink, seed: Some(3), keep: 100, ..Config::default() });
    let answers = (0..100).filter_map(|_| answer(&mut echo, b"x")).count() as u64;
    let dropped = echo.fates().filter(|fate| fate.dropped()).count() as u64;
    let expected = Counters { received: 100, replied: answers, dropped, send_failed: 0 };
    assert_eq!(echo.counters(), expected);
    assert!(dropped > 0 && echo.fates().count() == 100);
}

#[test]
fn a_failed_answer_counts_as_send_failed() {
    let mut echo = Echo::new(Config::default());
    answer(&mut echo, b"x");
    echo.on_send_failed(0, client(5000), b"X", None);
    let expected = Counters { received: 1, send_failed: 1, ..Counters::default() };
    assert_eq!(echo.counters(), expected);
}

#[test]
fn no_more_packets_fail_than_were_answered() {
    let downlink = Link { duplication: 1.0, delay: Delay::Fixed(5.0), ..Link::default() };
    let mut echo = Echo::new(Config { downlink, ..Config::default() });
    assert_eq!(answer(&mut echo, b"x"), None);
    assert_eq!((echo.truth().pending, echo.truth().delayed), (1, 2));
    tick(&mut echo, stamp(5));
    for _ in 0..2 {
        assert!(transmit(&mut echo).is_some());
        echo.on_send_failed(0, client(5000), b"X", None);
    }
    let expected = Counters { received: 1, send_failed: 1, ..Counters::default() };
    assert_eq!((echo.counters(), echo.truth().replies, echo.truth().pending), (expected, 0, 0));
}

#[test]
fn services_that_answer_anything_are_not_answered() {
    let mut echo = Echo::new(Config { keep: 10, ..Config::default() });
    for port in [0, 7, 13, 17, 19, 37] {
        assert_eq!(arrive(&mut echo, Stamp::default(), client(port), b"x"), None);
    }
    assert_eq!((echo.truth().unanswerable, echo.counters().dropped), (6, 6));
    assert!(echo.fates().all(|fate| fate.outcome == Outcome::Unanswerable));
}

#[test]
fn a_source_is_limited() {
    let limiter = Some(Limiter::new(5.0).unwrap());
    let mut echo = Echo::new(Config { limiter, ..Config::default() });
    assert_eq!((0..20).filter_map(|_| answer(&mut echo, b"x")).count(), 5);
    assert_eq!((echo.truth().limited, echo.counters().dropped), (15, 15));
}

#[test]
fn a_full_delay_line_is_an_outcome() {
    let downlink = Link { delay: Delay::Fixed(1e9), ..Link::default() };
    let config = Config { downlink, delay_line: 1 << 20, keep: 100, ..Config::default() };
    let mut echo = Echo::new(config);
    assert!((0..100).all(|_| answer(&mut echo, &vec![0; 60_000]).is_none()));
    let truth = echo.truth();
    assert_eq!((truth.pending, truth.delay_line_full), (17, 83));
    assert_eq!(echo.fates().filter(|fate| fate.outcome == Outcome::DelayLineFull).count(), 83);
    tick(&mut echo, stamp(999_999_999));
    assert_eq!(transmit(&mut echo), None);
    tick(&mut echo, stamp(1_000_000_000));
    assert_eq!(std::iter::from_fn(|| transmit(&mut echo).map(|_| ())).count(), 17);
    assert_eq!((echo.truth().pending, echo.counters().replied), (0, 17));
}

#[test]
fn a_flip_hidden_by_the_capitals_is_no_corruption() {
    let uplink = Link { corruption: Corruption::new(1.0).unwrap(), ..Link::default() };
    let mut echo = Echo::new(Config { uplink, seed: Some(1), keep: 1000, ..Config::default() });
    let mut changed = 0;
    for _ in 0..1000 {
        changed += u64::from(answer(&mut echo, b"aB").unwrap() != b"AB");
    }
    assert_eq!(echo.fates().map(corrupted).sum::<u64>(), changed);
    // One bit of eight, in each letter, is the case bit.
    assert!((800..950).contains(&changed), "{changed}");
    assert!(echo.fates().all(|fate| fate.uplink.has(Flags::CORRUPTED)));
}

const MS: i64 = 1_000_000;

/// Sends a packet of 72 bytes each millisecond over both links. Returns the departures (time,
/// packet number) in order, and the fates.
fn leave(uplink: Link, downlink: Link) -> (Vec<(i64, u8)>, Vec<Fate>) {
    let transform = Transform::Echo;
    let config =
        Config { uplink, downlink, seed: Some(3), transform, keep: 100, ..Config::default() };
    let (mut echo, mut left) = (Echo::new(config), Vec::new());
    for ms in 0..1000 {
        tick(&mut echo, stamp(ms * MS));
        if let Ok(number @ 0..100) = u8::try_from(ms) {
            let answer = arrive(&mut echo, stamp(ms * MS), client(5000), &[number; 72]);
            left.extend(answer.map(|answer| (ms, answer[0])));
        }
        while let Some((_, reply)) = transmit(&mut echo) {
            left.push((ms, reply[0]));
        }
    }
    let fates = echo.fates().cloned().collect();
    (left, fates)
}

fn held(fates: &[Fate]) -> Vec<u8> {
    let held = fates.iter().filter(|fate| fate.uplink.has(Flags::HELD));
    held.map(|fate| fate.answer[0]).collect()
}

/// Holds some packets back for half a second.
fn holding() -> Link {
    Link { reordering: Reordering::new(0.1, 500 * MS).unwrap(), ..Link::default() }
}

#[test]
fn a_packet_held_on_the_uplink_delays_nothing_on_the_downlink() {
    let downlink = Link { delay: Delay::Fixed(20e6), keep_order: true, ..Link::default() };
    let (left, fates) = leave(holding(), downlink);
    let held = held(&fates);
    assert!((5..20).contains(&held.len()) && held.is_sorted());
    let direct = (0..100_u8).filter(|number| !held.contains(number));
    let expected = direct.map(|number| (i64::from(number) + 20, number));
    let expected = expected.chain(held.iter().map(|&number| (i64::from(number) + 520, number)));
    assert_eq!(left, expected.collect::<Vec<_>>());
}

#[test]
fn the_downlink_carries_packets_in_order_of_entry() {
    // A packet is 100 bytes, which take 2 milliseconds: the last leaves at the 200th.
    let rate = |queue| Some(Rate::new(400_000, queue).unwrap());
    let (left, fates) = leave(holding(), Link { rate: rate(10_000), ..Link::default() });
    let held = held(&fates);
    let mut expected: Vec<_> = (0..100_u8).filter(|number| !held.contains(number)).collect();
    let mut times: Vec<_> = (2..).step_by(2).take(expected.len()).collect();
    expected.extend(&held);
    times.extend(held.iter().map(|&number| i64::from(number) + 500 + 2));
    // Packets held back arrive a few milliseconds apart; if they arrive closer, they queue.
    for pair in 1..times.len() {
        times[pair] = times[pair].max(times[pair - 1] + 2);
    }
    assert_eq!(left, times.into_iter().zip(expected).collect::<Vec<_>>());

    // A queue of ten packets fills up, but never for held packets, which come later.
    let (left, fates) = leave(holding(), Link { rate: rate(1000), ..Link::default() });
    let full: Vec<_> = fates.iter().filter(|fate| fate.downlink.has(Flags::QUEUE_FULL)).collect();
    assert!(!full.is_empty());
    assert_eq!(left.len() + full.len(), 100);
    assert!(full.iter().all(|fate| fate.outcome == Outcome::Lost && fate.uplink == Flags(0)));
}

#[test]
fn an_immediate_answer_does_not_overtake_due_replies() {
    let uplink = Link { reordering: Reordering::new(0.1, MS / 2).unwrap(), ..Link::default() };
    let config = Config { uplink, seed: Some(3), keep: 100, ..Config::default() };
    let (mut echo, mut left) = (Echo::new(config), Vec::new());
    // All packets are read late, after those held back for half the time were due.
    for number in 0..50_u8 {
        let answer = arrive(&mut echo, stamp(i64::from(number) * MS), client(5000), &[number]);
        left.extend(answer.map(|answer| answer[0]));
    }
    tick(&mut echo, stamp(50 * MS));
    while let Some((_, reply)) = transmit(&mut echo) {
        left.push(reply[0]);
    }
    assert!(echo.truth().uplink.flags[3] > 0);
    assert_eq!(left, (0..50).collect::<Vec<_>>());
}

/// Returns what leaves at each time from 0 to `until_ms`, with one more packet each millisecond until
/// the tenth, if `change` is called with each time first.
fn changing(config: Config, until_ms: i64, change: impl Fn(&mut Echo, i64)) -> Vec<(i64, u8)> {
    let (mut echo, mut left) = (Echo::new(config), Vec::new());
    for ms in 0..until_ms {
        change(&mut echo, ms);
        if let Ok(number @ 0..10) = u8::try_from(ms) {
            let answer = arrive(&mut echo, stamp(ms * MS), client(5000), &[number; 72]);
            left.extend(answer.map(|answer| (ms, answer[0])));
        }
        tick(&mut echo, stamp(ms * MS));
        while let Some((_, reply)) = transmit(&mut echo) {
            left.push((ms, reply[0]));
        }
    }
    assert_eq!(echo.truth().pending, 0);
    left
}

#[test]
fn a_new_link_serves_new_packets_and_the_queue() {
    let delayed = |ms| Link { delay: Delay::Fixed(ms * 1e6), ..Link::default() };
    let config = || Config { uplink: delayed(20.0), ..Config::default() };
    let left = changing(config(), 50, |echo, ms| {
        if ms == 5 {
            echo.set_link(UPLINK, &delayed(1.0), None, stamp(5 * MS));
        }
    });
    let (old, new) =
        ((0..5).map(|n| (i64::from(n) + 20, n)), (5..10).map(|n| (i64::from(n) + 1, n)));
    assert_eq!(left, new.chain(old).collect::<Vec<_>>());

    // A packet takes 10 ms, then 1 ms; it spends 3 ms behind the queue in any case.
    let limited = |bits| {
        let rate = Some(Rate::new(bits, 1 << 20).unwrap());
        Link { rate, delay: Delay::Fixed(3e6), ..Link::default() }
    };
    for way in [UPLINK, DOWNLINK] {
        let mut config = Config::default();
        *(if way == UPLINK { &mut config.uplink } else { &mut config.downlink }) = limited(80_000);
        let left = changing(config, 60, |echo, ms| {
            if ms == 15 {
                echo.set_link(way, &limited(800_000), None, stamp(15 * MS));
            }
        });
        // Half of the second is left, which takes half a millisecond.
        let expected = [13, 19, 20, 21, 22, 23, 24, 25, 26, 27];
        assert_eq!(left, expected.into_iter().zip(0..).collect::<Vec<_>>());
    }
}

#[test]
fn a_client_has_links_of_its_own() {
    let lost = || Link { loss: Loss::Bernoulli(1.0), ..Link::default() };
    let mut echo = Echo::new(Config::default());
    let answers =
        |echo: &mut Echo, port| arrive(echo, Stamp::default(), client(port), b"x").is_some();
    assert_eq!(echo.set_link(DOWNLINK, &lost(), Some(client(1000)), Stamp::default()), 1);
    assert_eq!([1000, 1001].map(|port| answers(&mut echo, port)), [false, true]);
    // It keeps them if those of the others change.
    echo.set_link(DOWNLINK, &Link::default(), None, Stamp::default());
    assert_eq!(echo.set_link(UPLINK, &lost(), Some(client(1001)), Stamp::default()), 1);
    assert_eq!([1000, 1001, 1002].map(|port| answers(&mut echo, port)), [false, false, true]);
}

#[test]
fn nothing_that_enters_a_broken_link_arrives() {
    let delay = || Link { delay: Delay::Fixed(3e6), ..Link::default() };
    for (ways, lost) in [([true, false], 2..5), ([false, true], 0..2), ([true, true], 0..5)] {
        let config = Config { uplink: delay(), downlink: delay(), ..Config::default() };
        let left = changing(config, 20, |echo, ms| {
            if ms == 2 {
                echo.start_outage(ways, OutageMode::Drop, stamp(2 * MS), 5 * MS);
            }
        });
        let expected = (0..10).filter(|number| !lost.contains(number));
        assert_eq!(left, expected.map(|n| (i64::from(n) + 6, n)).collect::<Vec<_>>(), "{ways:?}");
    }
}

#[test]
fn packets_held_by_an_outage_leave_together() {
    for ways in [[true, false], [false, true]] {
        let left = changing(Config::default(), 20, |echo, ms| {
            if ms == 2 {
                let number = echo.start_outage(ways, OutageMode::Hold, stamp(2 * MS), i64::MAX);
                assert_eq!(number, 1);
            }
            if ms == 5 {
                assert_eq!(echo.deadline(0), Some(i64::MAX));
                echo.end_outage(2, stamp(5 * MS));
                echo.end_outage(1, stamp(5 * MS));
            }
        });
        let expected = (0..10).map(|n| (i64::from(if (2..5).contains(&n) { 5 } else { n }), n));
        assert_eq!(left, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_packet_that_is_due_before_an_outage_waits_for_its_end() {
    let downlink = Link { delay: Delay::Fixed(2e6), ..Link::default() };
    let mut echo = Echo::new(Config { downlink, ..Config::default() });
    assert_eq!(answer(&mut echo, b"x"), None);
    // The thread wakes late, and another outage takes the place of the first.
    for (at_ms, end_ms) in [(3, 9), (5, 20)] {
        echo.start_outage([false, true], OutageMode::Hold, stamp(at_ms * MS), end_ms * MS);
        tick(&mut echo, stamp(at_ms * MS + 1));
        assert_eq!(transmit(&mut echo), None);
        assert_eq!(echo.deadline(0), Some(end_ms * MS), "it does not come again earlier");
    }
    tick(&mut echo, stamp(20 * MS));
    assert!(transmit(&mut echo).is_some());
}

#[test]
fn each_thread_sends_its_own_delayed_replies() {
    let downlink = Link { delay: Delay::Fixed(5.0), ..Link::default() };
    let mut echo = Echo::shared(Config { downlink, delay_line: 4000, ..Config::default() }, 2);
    for number in 0..40_u16 {
        let thread = usize::from(number % 2);
        let mut datagram = [0; 10];
        let mut arrival = Arrival::new(stamp(0), client(5000 + number), &mut datagram);
        assert_eq!(echo.on_datagram(thread, &mut arrival), None);
    }
    let mut left = 0;
    for thread in [0, 1] {
        assert_eq!(echo.deadline(thread), Some(5));
        tick(&mut echo, stamp(5));
        while let Some(reply) = echo.transmit(thread) {
            assert_eq!(usize::from(reply.to.port() % 2), thread);
            left += 1;
        }
    }
    assert_eq!((left + echo.truth().delay_line_full, echo.truth().delayed), (40, 0));
    assert!(echo.truth().delay_line_full > 0);
}

#[test]
fn random_decisions_do_not_depend_on_time() {
    let fates = |gap_ns| {
        let (_, echo) = drive(&vec![(gap_ns, 0, 100); 2000], 1, None);
        let mut fates: Vec<_> = echo.fates().cloned().collect();
        fates.sort_unstable_by_key(|fate| fate.number);
        fates
    };
    let mut filled = 0;
    for (dense, sparse) in fates(10_000).iter().zip(fates(1_000_000)) {
        assert!(!(sparse.uplink.has(Flags::QUEUE_FULL) || sparse.downlink.has(Flags::QUEUE_FULL)));
        if dense.uplink.has(Flags::QUEUE_FULL) || dense.downlink.has(Flags::QUEUE_FULL) {
            filled += 1;
        } else {
            let what = |fate: &Fate| (fate.uplink, fate.downlink, replies(fate), corrupted(fate));
            assert_eq!(what(dense), what(&sparse));
        }
    }
    assert!((100..1900).contains(&filled), "{filled}");
}

/// Drives a server through packets of three clients. Returns its output and its final state.
fn drive(
    packets: &[(i64, u16, usize)],
    batch: usize,
    only: Option<u16>,
) -> (Vec<(i64, u16, Vec<u8>)>, Echo) {
    let config = Config {
        uplink: rough(),
        downlink: rough(),
        seed: Some(9),
        transform: Transform::Echo,
        keep: packets.len(),
        ..Config::default()
    };
    let (mut echo, mut out, mut at_ns) = (Echo::new(config), Vec::new(), 0);
    // A packet contains its number among those of its client.
    let mut sent = [0_u64; 3];
    let arrivals: Vec<_> = packets
        .iter()
        .map(|&(gap, port, length)| {
            at_ns += gap;
            let number = sent[usize::from(port)];
            sent[usize::from(port)] += 1;
            let mut datagram = number.to_be_bytes().to_vec();
            datagram.resize(8 + length, 0);
            (at_ns, port, datagram)
        })
        .filter(|(_, port, _)| only.is_none_or(|only| only == *port))
        .collect();
    let advance = |echo: &mut Echo, now_ns| {
        tick(echo, stamp(now_ns));
        let mut replies = Vec::new();
        while let Some((to, reply)) = transmit(echo) {
            replies.push((now_ns, to, reply.to_vec()));
        }
        replies
    };
    for batch in arrivals.chunks(batch) {
        let now_ns = batch.last().map_or(0, |(at_ns, ..)| *at_ns);
        for (at_ns, port, datagram) in batch {
            // Each client is a host of its own.
            let from = SocketAddr::from(([127, 0, 0, u8::try_from(*port).unwrap() + 1], 5000));
            let answer = arrive(&mut echo, stamp(*at_ns), from, datagram);
            out.extend(answer.map(|answer| (now_ns, from, answer)));
        }
        out.extend(advance(&mut echo, now_ns));
    }
    out.extend(advance(&mut echo, i64::MAX / 2));
    let port = |to: SocketAddr| match to.ip() {
        IpAddr::V4(ip) => u16::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => panic!("{to}"),
    };
    (out.into_iter().map(|(at, to, reply)| (at, port(to), reply)).collect(), echo)
}

/// Returns the decisions, which do not depend on batching, in order of arrival.
fn decisions(echo: &Echo, port: u16) -> Vec<(u64, u8, u8, u64, u64)> {
    let host = [127, 0, 0, u8::try_from(port).unwrap() + 1];
    let fates = echo.fates().filter(|fate| fate.client.ip() == std::net::IpAddr::from(host));
    let mut decisions: Vec<_> =
        fates.map(|f| (f.number, f.uplink.0, f.downlink.0, replies(f), corrupted(f))).collect();
    decisions.sort_unstable();
    decisions
}

fn packets() -> impl Strategy<Value = Vec<(i64, u16, usize)>> {
    prop::collection::vec((0..400_000_i64, 0..3_u16, 0..200_usize), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn fates_do_not_depend_on_batching_or_on_other_clients(
        packets in packets(),
        batch in 1..100_usize,
    ) {
        let (_, together) = drive(&packets, batch, None);
        for port in 0..3 {
            let (_, alone) = drive(&packets, 1, Some(port));
            prop_assert_eq!(decisions(&together, port), decisions(&alone, port));
        }
    }

    #[test]
    fn the_log_matches_the_output(packets in packets(), batch in 1..100_usize) {
        let (out, echo) = drive(&packets, batch, None);
        let (counters, truth) = (echo.counters(), echo.truth());
        prop_assert_eq!(counters.received, packets.len() as u64);
        prop_assert_eq!(counters.received, counters.replied + counters.dropped);
        prop_assert_eq!((truth.replies, truth.pending), (out.len() as u64, 0));
        prop_assert_eq!(echo.fates().count(), packets.len());
        let mut received = [(); 3].map(|()| std::collections::HashMap::<u64, (u8, Vec<u8>)>::new());
        let mut changed = 0;
        for (_, port, reply) in &out {
            let number = u64::from_be_bytes(reply[..8].try_into().unwrap());
            // The number itself may be damaged: then the reply matches no packet.
            let intact = reply[8..].iter().all(|byte| *byte == 0) && number < packets.len() as u64;
            if intact {
                received[usize::from(*port)].entry(number).or_default().0 += 1;
            }
            changed += u64::from(!intact);
        }
        let told: u64 = echo.fates().map(corrupted).sum();
        prop_assert!(changed <= told);
        for fate in echo.fates() {
            prop_assert_eq!(fate.dropped(), fate.first.is_none());
            if fate.uplink.has(Flags::LOST) {
                prop_assert_eq!((fate.first, fate.downlink), (None, Flags(0)));
            }
            for reply in fate.replies() {
                prop_assert!(reply.sent_ns >= fate.at.wall_ns);
                let (sent_ns, ..) = out[usize::try_from(reply.number).unwrap() - 1];
                prop_assert_eq!(reply.sent_ns, stamp(sent_ns).wall_ns);
            }
            if told == 0 {
                let std::net::IpAddr::V4(ip) = fate.client.ip() else { unreachable!() };
                let of_client = &received[usize::from(ip.octets()[3]) - 1];
                let got = of_client.get(&(fate.number - 1)).map_or(0, |(count, _)| *count);
                prop_assert_eq!(u64::from(got), replies(fate));
            }
        }
    }
}
