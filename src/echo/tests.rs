//! The machine as a whole: every fate against what came out.

use std::net::SocketAddr;

use proptest::prelude::*;

use crate::echo::{Config, Counters, Echo, Limiter, Outcome, Transform};
use crate::impair::{Corruption, Delay, Flags, GilbertElliott, Link, Loss, Rate, Reordering};
use crate::{Machine, Stamp};

fn client(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn stamp(mono_ns: i64) -> Stamp {
    Stamp { mono_ns, wall_ns: mono_ns + 1_000_000_000 }
}

/// What is sent at once in answer to a datagram.
fn answer(echo: &mut Echo, datagram: &[u8]) -> Option<Vec<u8>> {
    echo.on_datagram(Stamp::default(), client(5000), datagram);
    echo.transmit().map(|(to, reply)| {
        assert_eq!(to, client(5000));
        reply.to_vec()
    })
}

/// All impairments at once, on one way.
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
fn an_echo_gives_back_what_it_got() {
    let mut echo = Echo::new(Config { transform: Transform::Echo, ..Config::default() });
    assert_eq!(answer(&mut echo, b"Ping \xff").unwrap(), b"Ping \xff");
}

#[test]
fn a_long_datagram_is_cut() {
    let mut echo = Echo::new(Config { max_size: 1024, log: 1, ..Config::default() });
    assert_eq!(answer(&mut echo, &[b'a'; 1025]).unwrap(), [b'A'; 1024]);
    assert_eq!(echo.fates().next().unwrap().size, 1025);
}

#[test]
fn the_log_and_the_counters_tell_the_same() {
    let uplink = Link { loss: Loss::Lab, ..Link::default() };
    let mut echo = Echo::new(Config { uplink, seed: Some(3), log: 100, ..Config::default() });
    let answers = (0..100).filter_map(|_| answer(&mut echo, b"x")).count() as u64;
    let dropped = echo.fates().filter(|fate| fate.dropped()).count() as u64;
    let expected = Counters { received: 100, replied: answers, dropped, send_failed: 0 };
    assert_eq!(echo.counters(), expected);
    assert!(dropped > 0 && echo.fates().len() == 100);
}

#[test]
fn a_failed_answer_is_no_answer() {
    let mut echo = Echo::new(Config::default());
    answer(&mut echo, b"x");
    echo.on_send_failed();
    let expected = Counters { received: 1, send_failed: 1, ..Counters::default() };
    assert_eq!(echo.counters(), expected);
}

#[test]
fn sources_that_would_answer_are_not_answered() {
    let mut echo = Echo::new(Config { log: 10, ..Config::default() });
    for port in [0, 7, 13, 17, 19, 37] {
        echo.on_datagram(Stamp::default(), client(port), b"x");
        assert_eq!(echo.transmit(), None);
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
fn a_full_delay_line_is_a_fate() {
    let downlink = Link { delay: Delay::Fixed(1e9), ..Link::default() };
    let config = Config { downlink, delay_line: 1 << 20, log: 100, ..Config::default() };
    let mut echo = Echo::new(config);
    assert!((0..100).all(|_| answer(&mut echo, &vec![0; 60_000]).is_none()));
    let truth = echo.truth();
    assert_eq!((truth.pending, truth.overflowed), (17, 83));
    assert_eq!(echo.fates().filter(|fate| fate.outcome == Outcome::Overflowed).count(), 83);
    echo.on_time(stamp(999_999_999));
    assert_eq!(echo.transmit(), None);
    echo.on_time(stamp(1_000_000_000));
    assert_eq!(std::iter::from_fn(|| echo.transmit().map(|_| ())).count(), 17);
    assert_eq!((echo.truth().pending, echo.counters().replied), (0, 17));
}

#[test]
fn a_flip_that_the_capitals_hide_is_no_corruption() {
    let uplink = Link { corruption: Corruption::new(1.0).unwrap(), ..Link::default() };
    let mut echo = Echo::new(Config { uplink, seed: Some(1), log: 1000, ..Config::default() });
    let mut changed = 0;
    for _ in 0..1000 {
        changed += u64::from(answer(&mut echo, b"aB").unwrap() != b"AB");
    }
    assert_eq!(echo.fates().map(|fate| u64::from(fate.corrupted)).sum::<u64>(), changed);
    // One bit of eight, in each letter, is the case.
    assert!((800..950).contains(&changed), "{changed}");
    assert!(echo.fates().all(|fate| fate.uplink.has(Flags::CORRUPTED)));
}

/// Drives a server through packets of three clients and gives what came out, and its end.
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
        log: packets.len(),
        ..Config::default()
    };
    let (mut echo, mut out, mut at_ns) = (Echo::new(config), Vec::new(), 0);
    // The place of a packet among its client's is its content.
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
    let mut advance = |echo: &mut Echo, now_ns| {
        echo.on_time(stamp(now_ns));
        while let Some((to, reply)) = echo.transmit() {
            out.push((
                now_ns,
                to.ip().to_string().parse::<std::net::Ipv4Addr>().unwrap(),
                reply.to_vec(),
            ));
        }
    };
    for batch in arrivals.chunks(batch) {
        for (at_ns, port, datagram) in batch {
            // Each client is a host of its own.
            let from = SocketAddr::from(([127, 0, 0, u8::try_from(*port).unwrap() + 1], 5000));
            echo.on_datagram(stamp(*at_ns), from, datagram);
        }
        let now_ns = batch.last().map_or(0, |(at_ns, ..)| *at_ns);
        advance(&mut echo, now_ns);
    }
    advance(&mut echo, i64::MAX / 2);
    let out = out.into_iter().map(|(at, ip, reply)| (at, u16::from(ip.octets()[3]) - 1, reply));
    (out.collect(), echo)
}

/// What is the same however packets are batched: the decisions, in the order of arrival.
fn decisions(echo: &Echo, port: u16) -> Vec<(u64, u8, u8, u8, u8)> {
    let host = [127, 0, 0, u8::try_from(port).unwrap() + 1];
    let fates = echo.fates().filter(|fate| fate.client.ip() == std::net::IpAddr::from(host));
    let mut decisions: Vec<_> =
        fates.map(|f| (f.number, f.uplink.0, f.downlink.0, f.replies, f.corrupted)).collect();
    decisions.sort_unstable();
    decisions
}

fn packets() -> impl Strategy<Value = Vec<(i64, u16, usize)>> {
    prop::collection::vec((0..400_000_i64, 0..3_u16, 0..200_usize), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn fates_are_the_same_however_packets_are_batched_and_whatever_others_do(
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
    fn what_the_log_says_is_what_came_out(packets in packets(), batch in 1..100_usize) {
        let (out, echo) = drive(&packets, batch, None);
        let (counters, truth) = (echo.counters(), echo.truth());
        prop_assert_eq!(counters.received, packets.len() as u64);
        prop_assert_eq!(counters.received, counters.replied + counters.dropped);
        prop_assert_eq!((truth.replies, truth.pending), (out.len() as u64, 0));
        prop_assert_eq!(echo.fates().len(), packets.len());
        let mut received = [(); 3].map(|()| std::collections::HashMap::<u64, (u8, Vec<u8>)>::new());
        let mut corrupted = 0;
        for (_, port, reply) in &out {
            let number = u64::from_be_bytes(reply[..8].try_into().unwrap());
            // A flipped bit may be in the number: then it is nobody's reply.
            let intact = reply[8..].iter().all(|byte| *byte == 0) && number < packets.len() as u64;
            if intact {
                received[usize::from(*port)].entry(number).or_default().0 += 1;
            }
            corrupted += u8::from(!intact);
        }
        let told: u64 = echo.fates().map(|fate| u64::from(fate.corrupted)).sum();
        prop_assert!(u64::from(corrupted) <= told);
        for fate in echo.fates() {
            prop_assert_eq!(fate.dropped(), fate.replies == 0);
            prop_assert_eq!(fate.left_ns.is_none(), fate.replies == 0);
            if fate.uplink.has(Flags::LOST) {
                prop_assert_eq!((fate.replies, fate.downlink), (0, Flags(0)));
            }
            if let Some(left_ns) = fate.left_ns {
                prop_assert!(left_ns >= fate.at.wall_ns);
            }
            if told == 0 {
                let std::net::IpAddr::V4(ip) = fate.client.ip() else { unreachable!() };
                let of_client = &received[usize::from(ip.octets()[3]) - 1];
                let got = of_client.get(&(fate.number - 1)).map_or(0, |(count, _)| *count);
                prop_assert_eq!(got, fate.replies);
            }
        }
    }
}
