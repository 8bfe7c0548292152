//! The relay.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use udpulse::path::{Counters, Event, Fate, MAX_DONE};
use udpulse::relay::{Change, Config, Forwards, Relay, Truth};
use udpulse::{Arrival, Captured, Events, Icmp, Machine, Observed, Stamp, Transmit};

use super::echo::{LEAST, check};
use super::input::Input;
use super::link;
use super::world::{Datagram, World};

/// The address of the upstream; a session is known by the port.
const UPSTREAM: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

const KEEP: usize = 20;

pub(super) fn run(data: &[u8]) {
    assert!(play(data) == play(data), "the same input ends otherwise");
}

/// Returns all that left, the fates and the counts.
fn play(data: &[u8]) -> (Vec<Datagram>, Vec<Fate>, Counters, Truth) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let (max_clients, delay_line) = (config.max_clients as u64, config.delay_line);
    let relay = Relay::new(config);
    let carrier = Carrier { relay, forwards: Forwards::default(), next: 0, stray: 0 };
    let mut world = World::new(carrier, 1, input);
    while world.step(|carrier, input, now| link::change(&mut carrier.relay, input, now)) {
        let (relay, stray) = (&world.machine.relay, world.machine.stray);
        let (Counters { received, replied, dropped, send_failed }, truth) =
            (relay.counters(), relay.truth());
        assert_eq!(received, world.counts.received - stray);
        assert_eq!(received, replied + dropped + send_failed + truth.pending);
        assert_eq!(truth.sent, world.counts.sent - world.counts.failed);
        assert!(truth.sessions <= max_clients);
        assert_eq!(truth.sessions, relay.clients().len() as u64);
        assert!(truth.pending <= truth.delayed);
        assert!(truth.delayed * LEAST <= delay_line as u64);
        assert!(world.output.iter().all(|one| one.payload.len() <= world.counts.longest));
        assert!(relay.fates().count() <= MAX_DONE);
        relay.fates().for_each(check);
    }
    let Carrier { relay, .. } = world.machine;
    let fates = relay.fates().cloned().collect();
    (world.output, fates, relay.counters(), relay.truth())
}

fn config(input: &mut Input<'_>) -> Config {
    Config {
        uplink: link::any(input),
        downlink: link::any(input),
        per_client: input.list(2, |input| [link::any(input), link::any(input)]),
        seed: Some(input.uint()),
        idle_ns: input.maybe(Input::duration),
        max_clients: 1 + input.below(5),
        ttl: input.maybe(Input::byte),
        delay_line: 1 << (10 + input.below(8)),
        keep: *input.pick(&[KEEP, 1, 0]),
        timeline: link::timeline(input),
        capture: input.flag(),
    }
}

/// A relay as a machine with one socket.
struct Carrier {
    relay: Relay,
    forwards: Forwards,
    /// The next of them to send.
    next: usize,
    /// Datagrams for sessions that have ended.
    stray: u64,
}

impl Machine for Carrier {
    type Event = Event;

    fn on_datagram(&mut self, _: usize, arrival: &mut Arrival<'_>) -> Option<usize> {
        let before = self.relay.counters().received;
        if arrival.from.ip() == UPSTREAM {
            self.relay.on_upstream(arrival.from.port().into(), arrival);
        } else {
            self.relay.on_client(arrival);
        }
        self.stray += u64::from(self.relay.counters().received == before);
        None
    }

    fn on_time(&mut self, _: usize, now: Stamp, _: i64) {
        self.relay.on_time(now);
        self.forwards.clear();
        self.relay.take(&mut self.forwards);
        self.next = 0;
        let count = self.forwards.list.len();
        for change in self.relay.take_changes() {
            let Change::Rebind { after, .. } = change else { continue };
            assert!(after <= count);
        }
    }

    fn deadline(&self, _: usize) -> Option<i64> {
        self.relay.deadline()
    }

    fn transmit(&mut self, _: usize) -> Option<Transmit<'_>> {
        let forward = self.forwards.list.get(self.next)?;
        self.next += 1;
        let port = u16::try_from(forward.session).expect("few sessions");
        let to = forward.to.unwrap_or(SocketAddr::new(UPSTREAM, port));
        Some(Transmit {
            to,
            from: forward.from,
            datagram: &self.forwards.memory[forward.at.clone()],
        })
    }

    fn on_send_failed(&mut self, _: usize, _: SocketAddr, _: &[u8], _: Option<i32>) {
        self.relay.on_send_failed();
    }

    fn on_icmp(&mut self, _: usize, error: &Icmp<'_>) {
        self.relay.on_icmp(error.to.port().into(), error);
    }

    fn on_receive_drops(&mut self, _: usize, total: u64) {
        self.relay.count_drops(0, total);
    }

    fn captured(&mut self, _: usize) -> Option<&mut Vec<Captured>> {
        self.relay.captured()
    }

    fn events(&mut self) -> &mut Events<Event> {
        self.relay.unread()
    }
}
