//! Tests of the whole machine.

use std::net::SocketAddr;

use proptest::prelude::*;

use crate::impair::{Corruption, Delay, Link, Loss, Rate, Reordering};
use crate::machine::by_hand::port_unreachable;
use crate::path::{
    Action, Changeable, Counters, Ended, Event, Fate, OutageMode, Outcome, Reason, Route, Step,
    Timeline, UPLINK, When,
};
use crate::relay::{Change, Config, Forwards, Relay, Truth};
use crate::{Arrival, Headers, Local, Observed, Stamp};

const MS: i64 = 1_000_000;

fn client(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn stamp(mono_ns: i64) -> Stamp {
    Stamp { mono_ns, wall_ns: mono_ns + 1_000_000_000 }
}

/// Hands over a datagram of a client or, if there is none, of the upstream for a session.
fn arrive(relay: &mut Relay, at_ns: i64, from: Result<u16, u32>, datagram: &[u8]) {
    let mut datagram = datagram.to_vec();
    let mut arrival = Arrival::new(stamp(at_ns), client(9), &mut datagram);
    (arrival.ttl, arrival.tos) = (Some(64), Some(3));
    match from {
        Ok(port) => {
            arrival.from = client(port);
            relay.on_client(&mut arrival);
        }
        Err(session) => relay.on_upstream(session, &mut arrival),
    }
}

/// Returns the datagrams that leave: the session, whether it goes to the client, and the bytes.
fn leave(relay: &mut Relay, at_ns: i64) -> Vec<(u32, bool, Vec<u8>)> {
    let mut forwards = Forwards::default();
    relay.on_time(stamp(at_ns));
    relay.take(&mut forwards);
    let Forwards { list, memory } = forwards;
    let datagram = |at: std::ops::Range<usize>| memory[at].to_vec();
    list.iter().map(|one| (one.session, one.to.is_some(), datagram(one.at.clone()))).collect()
}

fn delayed(ms: f64) -> Link {
    Link { delay: Delay::Fixed(ms * 1e6), ..Link::default() }
}

#[test]
fn datagrams_pass_both_ways_with_their_headers() {
    let mut relay = Relay::new(Config { keep: 10, ..Config::default() });
    let local = Local { ip: [127, 0, 0, 5].into(), interface: 0 };
    let mut datagram = *b"up";
    let mut arrival = Arrival::new(stamp(0), client(1), &mut datagram);
    (arrival.ttl, arrival.tos, arrival.to) = (Some(64), Some(3), Some(local));
    relay.on_client(&mut arrival);
    arrive(&mut relay, 1, Err(0), b"down");
    let mut forwards = Forwards::default();
    relay.take(&mut forwards);
    let headers = Headers { ttl: Some(63), tos: Some(3) };
    let [up, down] = &forwards.list[..] else { panic!("{forwards:?}") };
    assert_eq!((up.session, up.to, up.from, up.headers), (0, None, None, headers));
    assert_eq!(
        (down.session, down.to, down.from, down.headers),
        (0, Some(client(1)), Some(local), headers)
    );
    assert_eq!(forwards.memory, b"updown");
    let fates: Vec<_> = relay
        .fates()
        .map(|fate| (fate.route, fate.outcome, fate.number, &fate.answer[..]))
        .collect();
    let expected: [(_, _, _, &[u8]); 2] =
        [(Route::Up, Outcome::Relayed, 1, b"up"), (Route::Down, Outcome::Relayed, 1, b"down")];
    assert_eq!(fates, expected);
}

#[test]
fn a_packet_without_hops_ends_here() {
    let mut relay = Relay::new(Config { keep: 1, ..Config::default() });
    for ttl in [0, 1] {
        let mut datagram = *b"x";
        let mut arrival = Arrival::new(stamp(0), client(1), &mut datagram);
        arrival.ttl = Some(ttl);
        relay.on_client(&mut arrival);
    }
    assert_eq!(leave(&mut relay, 0), []);
    assert_eq!((relay.truth().hops, relay.counters().dropped), (2, 2));
    assert_eq!(relay.fates().next().map(|fate| fate.outcome), Some(Outcome::Hops));
}

#[test]
fn the_end_of_a_session_follows_the_fates_before_it() {
    let config = Config { idle_ns: Some(10), max_clients: 2, keep: 9, ..Config::default() };
    let mut relay = Relay::new(Config { downlink: delayed(1.0), ..config });
    arrive(&mut relay, 0, Ok(1), b"x");
    arrive(&mut relay, 1, Err(0), b"delayed");
    arrive(&mut relay, 2, Ok(2), b"x");
    arrive(&mut relay, 3, Ok(3), b"x");
    leave(&mut relay, 13);
    leave(&mut relay, 2 * MS);
    let told = std::iter::from_fn(|| relay.unread().pop()).filter_map(|event| match event {
        Event::Fate(fate) => Some((fate.client, Err(fate.outcome))),
        Event::Ended(Ended { client, reason, packets, .. }) => {
            Some((client, Ok((reason, packets))))
        }
        Event::Step(_) => None,
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (client(1), Err(Outcome::Relayed)),
            (client(2), Err(Outcome::Relayed)),
            (client(1), Ok((Reason::Evicted, [1, 1]))),
            (client(3), Err(Outcome::Relayed)),
            (client(2), Ok((Reason::Idle, [1, 0]))),
            (client(3), Ok((Reason::Idle, [1, 0]))),
            (client(1), Err(Outcome::Expired)),
        ]
    );
}

#[test]
fn a_session_ends_if_neither_side_is_active() {
    let mut relay = Relay::new(Config { idle_ns: Some(10), ..Config::default() });
    for (at_ns, port) in [(0, 1), (2, 2), (3, 3)] {
        arrive(&mut relay, at_ns, Ok(port), b"x");
    }
    assert_eq!(relay.deadline(), Some(10));
    arrive(&mut relay, 4, Err(0), b"x");
    leave(&mut relay, 11);
    assert_eq!((relay.take_changes(), relay.deadline()), (vec![], Some(12)));
    leave(&mut relay, 13);
    assert_eq!(relay.take_changes(), [Change::Close(1), Change::Close(2)]);
    assert_eq!((relay.truth().idle, relay.clients()), (2, vec![client(1)]));
    // The client comes back as another session.
    arrive(&mut relay, 13, Ok(2), b"x");
    assert_eq!(relay.clients(), [client(1), client(2)]);
}

#[test]
fn the_longest_idle_session_is_evicted() {
    let mut relay =
        Relay::new(Config { max_clients: 2, keep: 9, uplink: delayed(1.0), ..Config::default() });
    for port in [1, 2, 1, 3] {
        arrive(&mut relay, 0, Ok(port), &[u8::try_from(port).unwrap()]);
    }
    assert_eq!((relay.truth().evicted, relay.clients()), (1, vec![client(1), client(3)]));
    // Whatever was under way for it never leaves, and nothing comes for it.
    arrive(&mut relay, 0, Err(1), b"late");
    let left: Vec<_> =
        leave(&mut relay, MS).into_iter().map(|(.., datagram)| datagram[0]).collect();
    assert_eq!((left, relay.truth().expired, relay.truth().pending), (vec![1, 1, 3], 1, 0));
    let outcomes: Vec<_> =
        relay.fates().filter(|fate| fate.dropped()).map(|fate| fate.outcome).collect();
    assert_eq!(outcomes, [Outcome::Expired]);
    assert_eq!(relay.take_changes(), [Change::Close(1)]);
    assert!(relay.make_room(2) && !relay.make_room(2));
    assert_eq!(relay.clients(), [client(3)]);
}

#[test]
fn a_refusal_revises_the_fate_of_its_datagram() {
    let mut relay = Relay::new(Config { keep: 9, ..Config::default() });
    for datagram in [b"a", b"b", b"a"] {
        arrive(&mut relay, 0, Ok(1), datagram);
    }
    arrive(&mut relay, 0, Ok(2), b"a");
    relay.on_icmp(0, &port_unreachable(client(9), b"a"));
    relay.on_icmp(7, &port_unreachable(client(9), b"b"));
    let outcomes: Vec<_> = relay.fates().map(|fate| fate.outcome).collect();
    let [relayed, refused] = [Outcome::Relayed, Outcome::Refused];
    assert_eq!(outcomes, [relayed, relayed, refused, relayed]);
    let expected = Counters { received: 4, replied: 3, dropped: 1, send_failed: 0 };
    assert_eq!((relay.counters(), relay.truth().refused), (expected, 1));
}

#[test]
fn clients_have_links_in_order_of_appearance_or_by_address() {
    let lost = Link { loss: Loss::Bernoulli(1.0), ..Link::default() };
    let per_client = vec![[Link::default(), Link::default()], [lost.clone(), Link::default()]];
    let mut relay = Relay::new(Config { per_client, ..Config::default() });
    let passes = |relay: &mut Relay, port| {
        arrive(relay, 0, Ok(port), b"x");
        leave(relay, 0).len() == 1
    };
    assert_eq!([5, 6, 7].map(|port| passes(&mut relay, port)), [true, false, true]);
    assert_eq!(relay.set_link(UPLINK, &lost, Some(client(7)), stamp(0)), 1);
    assert_eq!(relay.set_link(UPLINK, &lost, Some(client(8)), stamp(0)), 0);
    assert_eq!(relay.set_link(UPLINK, &Link::default(), None, stamp(0)), 0);
    assert_eq!([5, 6, 7, 8].map(|port| passes(&mut relay, port)), [true, false, false, true]);
}

#[test]
fn each_way_has_outages_of_its_own() {
    let mut relay = Relay::new(Config::default());
    arrive(&mut relay, 0, Ok(1), b"first");
    leave(&mut relay, 0);
    relay.start_outage([true, false], OutageMode::Drop, stamp(1), 10);
    relay.start_outage([false, true], OutageMode::Hold, stamp(1), 10);
    arrive(&mut relay, 2, Ok(1), b"up");
    arrive(&mut relay, 3, Err(0), b"down");
    assert_eq!((leave(&mut relay, 9), relay.deadline()), (vec![], Some(10)));
    arrive(&mut relay, 10, Ok(1), b"after");
    assert_eq!(leave(&mut relay, 10), [(0, false, b"after".to_vec()), (0, true, b"down".to_vec())]);
    assert_eq!(relay.truth().uplink.flags[5], 1);
    relay.start_outage([true, true], OutageMode::Refuse, stamp(10), 20);
    assert!(relay.refuses(stamp(19)) && !relay.refuses(stamp(20)));
    assert_eq!(relay.deadline(), Some(20));
    assert_eq!((relay.rebind(None), relay.rebind(Some(client(2)))), (1, 0));
    assert_eq!(relay.take_changes(), [Change::Rebind { session: 0, after: 0 }]);
}

fn rough() -> Link {
    Link {
        loss: Loss::Bernoulli(0.1),
        duplication: 0.1,
        corruption: Corruption::new(0.1).unwrap(),
        rate: Some(Rate::new(10_000_000, 3_000).unwrap()),
        delay: Delay::Exponential(300_000.0),
        reordering: Reordering::new(0.05, 1_000_000).unwrap(),
        mtu: Some(200),
        ..Link::default()
    }
}

type Left = Vec<(u32, bool, Vec<u8>)>;

/// Drives a relay through packets, each a gap in time, a client and whether the upstream sends it.
/// Returns what leaves, and the fates.
fn drive(packets: &[(i64, u16, bool)], batch: usize) -> (Left, Relay) {
    drive_through(packets, batch, Vec::new(), |_, _, _| ())
}

/// Drives a relay with a timeline; calls `before` with the time and the number of a packet before it
/// arrives, and with the time before other work.
fn drive_through(
    packets: &[(i64, u16, bool)],
    batch: usize,
    steps: Vec<Step>,
    mut before: impl FnMut(&mut Relay, i64, Option<u64>),
) -> (Left, Relay) {
    let (uplink, downlink) = (rough(), rough());
    let keep = packets.len() + 3;
    let timeline = Timeline { steps, ..Timeline::default() };
    let config = Config { uplink, downlink, seed: Some(9), keep, timeline, ..Config::default() };
    let (mut relay, mut out, mut at_ns) = (Relay::new(config), Vec::new(), 0);
    let mut number = 0;
    for port in 0..3 {
        number += 1;
        before(&mut relay, 0, Some(number));
        arrive(&mut relay, 0, Ok(port), b"first");
    }
    for batch in packets.chunks(batch) {
        for (gap_ns, port, is_up) in batch {
            at_ns += gap_ns;
            number += 1;
            before(&mut relay, at_ns, Some(number));
            let mut datagram = at_ns.to_be_bytes().to_vec();
            datagram.resize(usize::from(at_ns.to_le_bytes()[0]), 0);
            arrive(
                &mut relay,
                at_ns,
                if *is_up { Ok(*port) } else { Err((*port).into()) },
                &datagram,
            );
        }
        before(&mut relay, at_ns, None);
        out.extend(leave(&mut relay, at_ns));
    }
    before(&mut relay, END_NS, None);
    out.extend(leave(&mut relay, END_NS));
    (out, relay)
}

/// A time after all packets.
const END_NS: i64 = i64::MAX / 4;

/// Returns any change of a relay with the clients 0 to 2.
fn any_action() -> impl Strategy<Value = Action> {
    let links = prop::sample::select(vec![
        Link::default(),
        rough(),
        Link { loss: Loss::Bernoulli(0.5), ..rough() },
        Link { rate: Some(Rate::new(2_000_000, 9_000).unwrap()), ..rough() },
        delayed(1.5),
    ]);
    let clients = prop::option::of((0..4_u16).prop_map(client));
    let set = ([prop::option::of(links.clone()), prop::option::of(links)], clients.clone());
    let ways = prop::sample::select(vec![[true, true], [true, false], [false, true]]);
    let modes = prop::sample::select(vec![OutageMode::Drop, OutageMode::Hold, OutageMode::Refuse]);
    let outage = (ways, modes, prop::option::weighted(0.8, 0..3_000_000_i64));
    prop_oneof![
        set.prop_map(|(links, client)| Action::Set { links: links.into(), client }),
        outage.prop_map(|(ways, mode, duration_ns)| Action::Outage { ways, mode, duration_ns }),
        clients.prop_map(|client| Action::Rebind { client }),
    ]
}

/// Makes a change by hand.
fn change(relay: &mut Relay, action: &Action, now: Stamp) {
    match action {
        Action::Set { links, client } => {
            for (way, link) in links.iter().enumerate() {
                if let Some(link) = link {
                    relay.set_link(way, link, *client, now);
                }
            }
        }
        Action::Outage { ways, mode, duration_ns } => {
            let end_ns = duration_ns.map_or(i64::MAX, |ns| now.mono_ns + ns);
            relay.start_outage(*ways, *mode, now, end_ns);
        }
        Action::Rebind { client } => drop(relay.rebind(*client)),
        Action::Loop => {}
    }
}

/// Returns all that a relay knows.
fn account(relay: &mut Relay) -> (Vec<Fate>, Counters, Truth, Vec<String>) {
    let fates = relay.fates().cloned().collect();
    // Sessions that change together do so in any order.
    let mut changes: Vec<_> =
        relay.take_changes().iter().map(|change| format!("{change:?}")).collect();
    changes.sort_unstable();
    (fates, relay.counters(), relay.truth(), changes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_timeline_does_what_changes_by_hand_do(
        packets in prop::collection::vec((0..400_000_i64, 0..3_u16, any::<bool>()), 1..200),
        batch in 1..20_usize,
        timed in prop::collection::vec((0..20_000_000_i64, any_action()), 0..6),
        counted in prop::collection::vec((1..200_u64, any_action()), 0..6),
        period in prop::option::of(2..90_u64),
    ) {
        let of_time = |(ns, action): &(i64, Action)| {
            Step { when: When::Time(*ns), action: action.clone() }
        };
        let of_packet = |(packet, action): &(u64, Action)| {
            Step { when: When::Packet(*packet), action: action.clone() }
        };
        let mut counted = counted;
        let mut steps: Vec<_> = timed.iter().filter(|_| period.is_none()).map(of_time).collect();
        if let Some(period) = period {
            counted.retain(|(packet, _)| *packet < period);
            let when = When::Packet(period);
            steps.push(Step { when, action: Action::Loop });
        }
        steps.extend(counted.iter().map(of_packet));
        let (mut times, mut next) = (timed, 0);
        times.sort_by_key(|(ns, _)| *ns);
        times.retain(|_| period.is_none());
        let (out, mut relay) = drive_through(&packets, batch, steps, |_, _, _| ());
        let mut done = 0;
        let (by_hand, mut expected) = drive_through(&packets, batch, vec![], |relay, at_ns, packet| {
            while let Some((ns, action)) = times.get(next).filter(|(ns, _)| *ns <= at_ns) {
                change(relay, action, stamp(*ns));
                next += 1;
                done += 1;
            }
            if let Some(packet) = packet {
                // The first of a round ends the one before.
                let length = period.map_or(u64::MAX, |period| period - 1);
                done += u64::from(packet > length && (packet - 1) % length == 0);
                let place = (packet - 1) % length + 1;
                for (_, action) in counted.iter().filter(|(packet, _)| *packet == place) {
                    change(relay, action, stamp(at_ns));
                    done += 1;
                }
            }
        });
        prop_assert_eq!(out, by_hand);
        prop_assert_eq!(account(&mut relay), account(&mut expected));
        prop_assert_eq!(relay.steps().last().map_or(0, |step| step.number), done);
    }

    #[test]
    fn steps_that_change_nothing_leave_all_as_it_is(
        packets in prop::collection::vec((0..400_000_i64, 0..3_u16, any::<bool>()), 1..200),
        batch in 1..20_usize,
        moments in prop::collection::vec((any::<bool>(), 1..20_000_000_u32, 0..4_u8), 1..9),
    ) {
        let steps = moments.iter().map(|(is_time, moment, kind)| {
            let action = match kind {
                0 => Action::Set { links: [Some(rough()), Some(rough())].into(), client: None },
                1 => Action::Set { links: [Some(rough()), None].into(), client: Some(client(1)) },
                2 => Action::Outage {
                    ways: [true, true],
                    mode: OutageMode::Refuse,
                    duration_ns: Some(0),
                },
                _ => Action::Loop,
            };
            let when = if *is_time {
                When::Time((*moment).into())
            } else {
                When::Packet((moment % 200).into())
            };
            Step { when, action }
        });
        let (out, mut relay) = drive_through(&packets, batch, steps.collect(), |_, _, _| ());
        let (expected, mut without) = drive(&packets, batch);
        prop_assert_eq!(out, expected);
        prop_assert_eq!(account(&mut relay), account(&mut without));
    }

    #[test]
    fn the_log_matches_the_output(
        packets in prop::collection::vec((0..400_000_i64, 0..3_u16, any::<bool>()), 1..400),
        batch in 1..100_usize,
    ) {
        let (out, relay) = drive(&packets, batch);
        let Counters { received, replied, dropped, .. } = relay.counters();
        let truth = relay.truth();
        prop_assert_eq!(received, packets.len() as u64 + 3);
        prop_assert_eq!((received, truth.pending), (replied + dropped, 0));
        prop_assert_eq!(truth.sent, out.len() as u64);
        prop_assert_eq!(relay.fates().count() as u64, received);
        // The copies of all fates, in order of sending, are the output.
        let mut copies: Vec<_> = relay
            .fates()
            .flat_map(|fate| fate.replies().map(move |copy| (copy.number, fate, copy.damage)))
            .collect();
        copies.sort_unstable_by_key(|(number, ..)| *number);
        prop_assert_eq!(copies.len(), out.len());
        for ((_, fate, damage), (session, is_down, datagram)) in copies.into_iter().zip(out) {
            let mut expected = fate.answer.to_vec();
            for bit in damage.flipped.into_iter().flatten() {
                Corruption::flip(&mut expected, bit);
            }
            prop_assert_eq!(expected, datagram);
            prop_assert_eq!(fate.route == Route::Down, is_down);
            prop_assert_eq!(u32::from(fate.client.port()), session);
        }
    }

    #[test]
    fn fates_do_not_depend_on_batching_or_on_the_other_way(
        packets in prop::collection::vec((0..400_000_i64, 0..3_u16, any::<bool>()), 1..200),
        batch in 1..100_usize,
    ) {
        let ups: Vec<_> = packets
            .iter()
            .scan(0, |gap_ns, (gap, port, is_up)| {
                *gap_ns += gap;
                Some(is_up.then(|| (std::mem::take(gap_ns), *port, true)))
            })
            .flatten()
            .collect();
        let decisions = |relay: &Relay| {
            let up = |fate: &&Fate| fate.route == Route::Up;
            let fates = relay.fates().filter(up);
            let mut decisions: Vec<_> = fates
                .map(|fate| (fate.client, fate.number, fate.uplink.0, fate.replies().count()))
                .collect();
            decisions.sort_unstable();
            decisions
        };
        prop_assert_eq!(decisions(&drive(&packets, batch).1), decisions(&drive(&ups, 1).1));
    }
}
