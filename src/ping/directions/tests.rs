//! Tests of directions against simulated paths and reflectors.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "small numbers"
)]

use proptest::prelude::*;

use super::*;
use crate::Random;
use crate::packed::{pack, unpack};

const MS: i64 = 1_000_000;
const SECOND: i64 = crate::NS_PER_SECOND;
const START_NS: i64 = 1_795_670_999 * SECOND;

/// A path, a reflector and its clock.
#[derive(Clone, Copy, Debug)]
struct World {
    probes: u64,
    loss: [f64; 2],
    copies: [f64; 2],
    /// The most that a packet is delayed, in intervals.
    held: [f64; 2],
    stateful: bool,
    /// The reflector's first number.
    first: u32,
    /// The probe at which the reflector forgets its number.
    restart: Option<u64>,
    /// The offset of its clock, before and after the probe of its step.
    offset_ns: [i64; 2],
    step: u64,
    seed: u64,
}

const WORLD: World = World {
    probes: 300,
    loss: [0.0; 2],
    copies: [0.0; 2],
    held: [0.0; 2],
    stateful: true,
    first: 0,
    restart: None,
    offset_ns: [0; 2],
    step: 0,
    seed: 1,
};

/// What happened.
#[derive(Debug, Default, PartialEq)]
struct Truth {
    lost: [u64; 2],
    copies: [u64; 2],
    reordered: [u64; 2],
    /// Copies whose reply was lost.
    unseen: u64,
    answered: u64,
    delays: Vec<[i64; 2]>,
}

fn reflection(number: u32, sender_number: u32, received_ns: i64, sent_ns: i64) -> Reflection {
    Reflection {
        number,
        sender_number,
        received_ns,
        sent_ns,
        error: ErrorEstimate::new(false, Format::Ntp, 1000),
        ttl: Some(250),
        format: Format::Ntp,
        size: 44,
        has_ssid: true,
        swapped: false,
    }
}

fn random_delay(random: &mut Random, held: f64) -> i64 {
    let held_ns = (random.unit() * held * MS as f64) as i64;
    50 * MS + held_ns
}

/// Settles probes up to one, and reads the numbers for a monitoring system, which never fall.
fn settle(exchanges: &mut Exchanges, until: u64, answered: &[Vec<(u32, i64)>], told: &mut Ways) {
    while exchanges.settled < until {
        if answered[exchanges.settled as usize + 1].is_empty() {
            exchanges.decide(exchanges.settled + 1, Verdict::Lost);
        }
        exchanges.settle();
    }
    let before = std::mem::replace(told, exchanges.ways(false));
    let mut grown = before;
    grown.grow(told);
    assert_eq!(grown, *told, "{before:?}");
}

/// How long after its slot a probe is settled, in intervals; no reply is later.
const SETTLED: u64 = 250;

/// Runs probes through a world. The first and the last ones are never harmed, so that every loss is
/// between two replies that no packet overtakes.
fn run(world: World) -> (Directions, Truth) {
    let mut random = Random::new(Some(world.seed));
    let mut truth = Truth::default();
    let whole = |seq: u64| seq <= 3 || seq + 10 > world.probes;
    // (arrival at the reflector, probe)
    let mut there = Vec::new();
    let mut lost_there = vec![true; world.probes as usize + 1];
    for seq in 1..=world.probes {
        let [held, loss, copies] = [world.held[0], world.loss[0], world.copies[0]];
        let copies = 1 + u64::from(!whole(seq) && random.chance(copies));
        for _ in 0..copies {
            let delay = random_delay(&mut random, if whole(seq) { 0.0 } else { held });
            if whole(seq) || !random.chance(loss) {
                there.push((START_NS + seq as i64 * MS + delay, seq));
                lost_there[seq as usize] = false;
            }
        }
    }
    there.sort_unstable();
    let (mut number, mut restart) = (world.first, world.restart);
    // (arrival, probe, the reflector's number and times)
    let mut back = Vec::new();
    let mut order = Vec::new();
    for (at_ns, seq) in there {
        if restart.take_if(|restart| seq >= *restart).is_some() {
            number = world.first;
        }
        let sender_number = u32::try_from(if seq > 2 { seq } else { seq - 1 }).unwrap();
        let own = if world.stateful { number } else { sender_number };
        number = number.wrapping_add(1);
        let offset_ns = world.offset_ns[usize::from(seq >= world.step)];
        let times = (at_ns + offset_ns, at_ns + offset_ns + 1000);
        let [held, loss, copies] = [world.held[1], world.loss[1], world.copies[1]];
        let copies = 1 + u64::from(!whole(seq) && random.chance(copies));
        let mut kept = false;
        for _ in 0..copies {
            let delay = random_delay(&mut random, if whole(seq) { 0.0 } else { held });
            if whole(seq) || !random.chance(loss) {
                back.push((
                    at_ns + 1000 + delay,
                    seq,
                    reflection(own, sender_number, times.0, times.1),
                ));
                kept = true;
            }
        }
        if kept {
            order.push((seq, own));
        } else {
            truth.unseen += 1;
        }
    }
    back.sort_by_key(|(at_ns, ..)| *at_ns);
    let mut exchanges = Exchanges::new(ErrorEstimate::default());
    (0..world.probes).for_each(|_| exchanges.push());
    let mut answered = vec![Vec::new(); world.probes as usize + 1];
    let mut arrivals = Reordering::default();
    let mut told = Ways::default();
    for (place, (at_ns, seq, reflection)) in back.into_iter().enumerate() {
        if place % 97 == 0 {
            let due = ((at_ns - START_NS) / MS).unsigned_abs();
            settle(&mut exchanges, due.saturating_sub(SETTLED), &answered, &mut told);
        }
        let sent_ns = START_NS + seq as i64 * MS;
        let seen = &mut answered[seq as usize];
        if seen.is_empty() {
            exchanges.add(seq, 44, (sent_ns, at_ns), &reflection);
            exchanges.decide(seq, Verdict::Answered);
            let offset_ns = world.offset_ns[usize::from(seq >= world.step)];
            arrivals.add((reflection.sent_ns - offset_ns).unsigned_abs());
            truth.delays.push([
                reflection.received_ns - offset_ns - sent_ns,
                at_ns - (reflection.sent_ns - offset_ns),
            ]);
        } else {
            exchanges.copy(seq, &reflection);
            let key = (reflection.number, reflection.sent_ns);
            truth.copies[usize::from(seen.contains(&key))] += 1;
        }
        seen.push((reflection.number, reflection.sent_ns));
    }
    let mut received = Reordering::default();
    for (seq, own) in order {
        let first = answered[seq as usize].first();
        if first.is_some_and(|(number, _)| *number == own) {
            received.add(seq);
        }
    }
    truth.reordered = [received.reordered(), arrivals.reordered()];
    settle(&mut exchanges, world.probes, &answered, &mut told);
    for seq in 1..=world.probes {
        if answered[seq as usize].is_empty() {
            truth.lost[usize::from(!lost_there[seq as usize])] += 1;
        } else {
            truth.answered += 1;
        }
    }
    let directions = exchanges.directions();
    let (told, last) = (exchanges.ways(true), Ways::from(&directions));
    let is_plain = world.held.iter().chain(&world.copies).sum::<f64>() <= 0.0;
    assert!(told == last || !is_plain, "{told:?} is not {last:?}");
    (directions, truth)
}

fn counts(directions: &Directions) -> [[u64; 2]; 3] {
    let Directions { forward, reverse, .. } = directions;
    [
        [forward.lost, reverse.lost],
        [forward.duplicates, reverse.duplicates],
        [forward.reordering.reordered(), reverse.reordering.reordered()],
    ]
}

proptest! {
    #[test]
    fn losses_and_reordering_equal_the_truth(
        seed: u64,
        loss in [0.0..0.5, 0.0..0.5],
        held in [0.0..5.0, 0.0..5.0],
        first: u32,
        probes in 20..300_u64,
    ) {
        let world = World { probes, loss, held, first, seed, ..WORLD };
        let (directions, truth) = run(world);
        let expected = [truth.lost, truth.copies, truth.reordered];
        prop_assert_eq!(counts(&directions), expected);
        prop_assert_eq!((directions.unattributed, directions.reflector.stateful), (0, Some(true)));
    }

    #[test]
    fn copies_are_told_apart_and_blur_losses_no_more_than_they_must(
        seed: u64,
        loss in [0.0..0.3, 0.0..0.3],
        copies in [0.0..0.3, 0.0..0.3],
        stateful: bool,
    ) {
        let (directions, truth) = run(World { loss, copies, stateful, seed, ..WORLD });
        let [lost, duplicates, reordered] = counts(&directions);
        prop_assert_eq!((duplicates, reordered), (truth.copies, [0; 2]));
        let missing: u64 = truth.lost.iter().sum();
        prop_assert_eq!(lost[0] + lost[1] + directions.unattributed, missing);
        if stateful {
            prop_assert!(lost[0].abs_diff(truth.lost[0]) <= truth.unseen);
        } else {
            prop_assert_eq!(directions.unattributed, missing);
        }
    }

    #[test]
    fn bounds_contain_the_delays(
        seed: u64,
        loss in [0.0..0.3, 0.0..0.3],
        held in [0.0..40.0, 0.0..40.0],
        offset_ns in [-3600 * SECOND..3600 * SECOND, -3600 * SECOND..3600 * SECOND],
        step in 0..300_u64,
    ) {
        // A step below the round trip may hide.
        let [before, after] = offset_ns;
        prop_assume!((before - after).abs() > 250 * MS || before == after);
        let (directions, truth) = run(World { loss, held, offset_ns, step, seed, ..WORLD });
        for (index, direction) in [&directions.forward, &directions.reverse].into_iter().enumerate() {
            let mut delays: Vec<_> = truth.delays.iter().map(|delays| delays[index]).collect();
            delays.sort_unstable();
            let median = delays[(delays.len() - 1) / 2];
            let (low, high) = (direction.low.percentile_ns(50.0), direction.high.percentile_ns(50.0));
            prop_assert!(low.unwrap() <= median && median <= high.unwrap());
            prop_assert_eq!(direction.pdv.count(), truth.answered);
        }
        let stepped = (2..=300).contains(&step);
        prop_assert_eq!(directions.clock.steps > 0, stepped);
        prop_assert_eq!(unpack(&pack(&directions)), Some(directions));
    }
}

#[test]
fn a_reflector_that_restarts_leaves_one_gap() {
    let loss = [0.1, 0.1];
    let (directions, truth) = run(World { restart: Some(150), loss, ..WORLD });
    let Directions { forward, reverse, unattributed, .. } = &directions;
    assert_eq!(forward.lost + reverse.lost + unattributed, truth.lost.iter().sum::<u64>());
    assert!(*unattributed <= 5, "{unattributed}");
    assert_eq!(forward.reordering.reordered(), 0);
}

#[test]
fn long_sessions_are_folded() {
    let world = World { probes: 40_000, loss: [0.1, 0.2], held: [3.0, 3.0], ..WORLD };
    let (directions, truth) = run(world);
    assert_eq!(counts(&directions), [truth.lost, truth.copies, truth.reordered]);
    assert_eq!(directions.forward.pdv.count(), truth.answered);
}

#[test]
fn the_number_left_out_shows_the_mode() {
    let mode = |world| run(world).0.reflector.stateful;
    assert_eq!(mode(WORLD), Some(true));
    assert_eq!(mode(World { stateful: false, ..WORLD }), Some(false));
    assert_eq!(mode(World { first: 1, ..WORLD }), Some(true), "it counts from 1");
    let mut exchanges = Exchanges::new(ErrorEstimate::default());
    (0..4).for_each(|_| exchanges.push());
    for seq in [3, 4] {
        let at = START_NS + i64::from(seq);
        exchanges.add(seq.into(), 44, (at, at + 9), &reflection(seq, seq, at + 3, at + 5));
    }
    assert_eq!(exchanges.directions().reflector.stateful, None, "both began behind it");
}

#[test]
fn oddities_are_noticed() {
    let mut exchanges = Exchanges::new(ErrorEstimate::new(true, Format::Ntp, 1000));
    exchanges.push();
    let at = START_NS + TAI_NS;
    let odd = Reflection {
        error: ErrorEstimate(0x8000),
        format: Format::Ptp,
        size: 38,
        has_ssid: false,
        swapped: true,
        ttl: None,
        ..reflection(7, 0, at, at)
    };
    exchanges.add(1, 44, (START_NS, START_NS + 100), &odd);
    let quirks = exchanges.directions().reflector.quirks;
    let expected = [
        Quirk::Swapped,
        Quirk::OtherFormat,
        Quirk::Shorter,
        Quirk::NoSession,
        Quirk::NoResidence,
        Quirk::NoError,
        Quirk::Tai,
    ];
    assert_eq!(quirks, expected.iter().map(|quirk| *quirk as u16).sum::<u16>());
}

#[test]
fn impossible_times_are_not_used() {
    let mut exchanges = Exchanges::new(ErrorEstimate::default());
    (0..2).for_each(|_| exchanges.push());
    exchanges.add(1, 44, (START_NS, START_NS + 10), &reflection(0, 0, START_NS + 9, START_NS));
    exchanges.add(2, 44, (START_NS, START_NS + 10), &reflection(1, 1, 0, START_NS));
    let directions = exchanges.directions();
    assert_eq!(directions.reflector.quirks & Quirk::Impossible as u16, Quirk::Impossible as u16);
    assert_eq!((directions.residence.count(), directions.forward.low.count()), (0, 0));
}

#[test]
fn the_number_of_a_pending_probe_is_no_loss() {
    let mut exchanges = Exchanges::new(ErrorEstimate::default());
    (0..5).for_each(|_| exchanges.push());
    // The second is lost on the way there, the reply to the fourth may still come.
    for (seq, number) in [(1, 0), (3, 1), (5, 3)] {
        let at = START_NS + i64::from(number) * MS;
        let reply = reflection(number, seq, at + 3, at + 5);
        exchanges.add(seq.into(), 44, (at, at + 9), &reply);
        exchanges.decide(seq.into(), Verdict::Answered);
    }
    exchanges.decide(2, Verdict::Lost);
    let lost = |exchanges: &Exchanges| counts(&exchanges.directions())[0];
    assert_eq!(lost(&exchanges), [1, 0]);
    exchanges.decide(4, Verdict::Lost);
    assert_eq!(lost(&exchanges), [1, 1]);
}
