//! The server: the table of clients, and what happens to them.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::events::shown;
use crate::heartbeat::{Arrival, Peer};
use crate::machine::Outgoing;
use crate::wire::{self, Reading};
use crate::{Events, Machine, Stamp};

/// How often deadlines are looked at when many clients have them close to each other.
const SWEEP_NS: i64 = 10_000_000;

/// How the server judges.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How long a silence means that a client has stopped.
    pub timeout_ns: i64,
    /// Whether clients are told apart by their hosts alone, not by address and port.
    pub by_host: bool,
    /// Whether each beat is answered with its text in upper case.
    pub reply: bool,
    /// How many clients are followed; others are refused.
    pub max_peers: usize,
    /// How far this host's clock on the wall is ahead of UTC, for times without a zone.
    pub utc_offset_ns: i64,
    /// Whether each datagram is an event and not only what it changes.
    pub every_beat: bool,
    /// How many events are kept for a reader.
    pub events: usize,
}

/// How many datagrams met which fate: `received = beats + duplicates + stale + ignored + refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCounters {
    /// Datagrams that came in.
    pub received: u64,
    /// Heartbeats, each counted once.
    pub beats: u64,
    /// Of these, the ones that had been taken for lost.
    pub late: u64,
    /// Heartbeats that had come before.
    pub duplicates: u64,
    /// Heartbeats too old to say whether they had come before.
    pub stale: u64,
    /// Datagrams that are no heartbeat: neither a number nor a time.
    pub ignored: u64,
    /// Datagrams of clients that found the table full.
    pub refused: u64,
    /// Answers sent.
    pub replied: u64,
    /// Answers that this host could not send.
    pub send_failed: u64,
}

/// Something that happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The client.
    pub address: SocketAddr,
    /// When the server saw it.
    pub at: Stamp,
    /// What it was.
    pub signal: Signal,
}

/// What may happen to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It has been silent for the timeout and is taken for stopped.
    Down {
        /// The first number that never came.
        seq: Option<u64>,
        /// How many of its beats came.
        received: u64,
        /// How many should have.
        expected: Option<u64>,
    },
    /// A beat came.
    Heard {
        /// Its number.
        seq: Option<u64>,
        /// The receive time minus the time in the beat; includes the difference of the clocks.
        difference_ns: Option<i64>,
        /// Its payload, at most [`MAX_SHOWN`](crate::MAX_SHOWN) bytes of it.
        message: Box<[u8]>,
    },
    /// A datagram came that is no heartbeat.
    Ignored {
        /// Its payload, at most [`MAX_SHOWN`](crate::MAX_SHOWN) bytes of it.
        message: Box<[u8]>,
    },
    /// A beat came that had been taken for lost.
    Late {
        /// Its number.
        seq: u64,
    },
    /// Beats were passed over and are taken for lost.
    Lost {
        /// The first of them.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A beat came from a client that was taken for stopped.
    Recovered {
        /// Its number.
        seq: Option<u64>,
    },
    /// The client has started again and counts afresh.
    Restarted {
        /// The number it began with.
        seq: u64,
    },
    /// The first beat of a client came.
    Up {
        /// Its number.
        seq: Option<u64>,
    },
}

/// The heartbeat server as a state machine.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    peers: HashMap<SocketAddr, Peer>,
    down: usize,
    counters: ServerCounters,
    /// No silence is over before this.
    sweep_ns: Option<i64>,
    outgoing: Outgoing,
    events: Events<Event>,
}

impl Server {
    /// A server that has heard nothing yet.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self {
            peers: HashMap::new(),
            down: 0,
            counters: ServerCounters::default(),
            sweep_ns: None,
            outgoing: Outgoing::default(),
            events: Events::new(config.events),
            config,
        }
    }

    /// How many datagrams met which fate so far.
    #[must_use]
    pub fn counters(&self) -> ServerCounters {
        self.counters
    }

    /// The clients, in no order.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// The key of a client in the table.
    fn key(&self, from: SocketAddr) -> SocketAddr {
        let port = if self.config.by_host { 0 } else { from.port() };
        SocketAddr::new(from.ip(), port)
    }

    /// Whether there is room for one more client; those that have stopped make it.
    fn has_room(&mut self) -> bool {
        if self.peers.len() >= self.config.max_peers && self.down > 0 {
            self.peers.retain(|_, peer| !peer.down);
            self.down = 0;
        }
        self.peers.len() < self.config.max_peers
    }

    /// Takes the first beat of a client, where there is room for it.
    fn welcome(&mut self, from: SocketAddr, beat: &BeatIn) -> bool {
        if !self.has_room() {
            self.counters.refused += 1;
            return false;
        }
        self.peers.insert(self.key(from), Peer::new(from, beat.at, beat.seq, beat.sent_ns));
        self.counters.beats += 1;
        self.expect(beat.at);
        self.tell(beat.at, from, Signal::Up { seq: beat.seq });
        true
    }

    /// Takes a further beat of a client; tells whether it is one of now.
    fn follow(&mut self, from: SocketAddr, beat: &BeatIn) -> Option<bool> {
        let peer = self.peers.get_mut(&self.key(from))?;
        // A client may repeat its number: only a beat that itself says that it is old tells nothing.
        let may_be_newer = peer.may_be_newer(beat.sent_ns);
        let arrival = peer.observe(beat.seq, beat.sent_ns);
        let next = matches!(arrival, Arrival::Gap { .. } | Arrival::Next | Arrival::Restart);
        let fresh = next || may_be_newer;
        let back = fresh && peer.down;
        peer.address = from;
        if fresh {
            peer.fresh = beat.at;
            peer.down = false;
        }
        *match arrival {
            Arrival::Duplicate => &mut self.counters.duplicates,
            Arrival::Stale => &mut self.counters.stale,
            _ => &mut self.counters.beats,
        } += 1;
        if back {
            self.down -= 1;
            self.expect(beat.at);
        }
        let change = match (arrival, beat.seq) {
            (Arrival::Restart, Some(seq)) => Some(Signal::Restarted { seq }),
            _ => back.then_some(Signal::Recovered { seq: beat.seq }),
        };
        let loss = match (arrival, beat.seq) {
            (Arrival::Gap { first, last }, _) => Some(Signal::Lost { first, last }),
            (Arrival::Late, Some(seq)) => {
                self.counters.late += 1;
                Some(Signal::Late { seq })
            }
            _ => None,
        };
        for signal in [change, loss].into_iter().flatten() {
            self.tell(beat.at, from, signal);
        }
        let repeated = arrival == Arrival::Duplicate && beat.sent_ns.is_some() && may_be_newer;
        Some(next || repeated)
    }

    /// Looks at the deadlines no later than that of a beat that came at `at`.
    fn expect(&mut self, at: Stamp) {
        let deadline = at.mono_ns.saturating_add(self.config.timeout_ns);
        self.sweep_ns = Some(self.sweep_ns.map_or(deadline, |sweep| sweep.min(deadline)));
    }

    /// Takes the clients that have been silent for too long for stopped.
    fn sweep(&mut self, now: Stamp) {
        let latest = now.mono_ns.saturating_sub(self.config.timeout_ns);
        let mut silent = Vec::new();
        let mut oldest = None;
        for peer in self.peers.values_mut().filter(|peer| !peer.down) {
            if peer.fresh.mono_ns <= latest {
                peer.down = true;
                silent.push((
                    peer.fresh.mono_ns,
                    peer.address,
                    Signal::Down {
                        seq: peer.highest().map(|highest| highest.saturating_add(1)),
                        received: peer.received(),
                        expected: peer.expected(),
                    },
                ));
            } else if oldest.is_none_or(|oldest| peer.fresh.mono_ns < oldest) {
                oldest = Some(peer.fresh.mono_ns);
            }
        }
        self.down += silent.len();
        self.sweep_ns = oldest.map(|oldest| {
            let deadline = oldest.saturating_add(self.config.timeout_ns);
            deadline.max(now.mono_ns.saturating_add(SWEEP_NS))
        });
        silent.sort_unstable_by_key(|(fresh_ns, ..)| *fresh_ns);
        for (_, address, signal) in silent {
            self.tell(now, address, signal);
        }
    }

    fn tell(&mut self, at: Stamp, address: SocketAddr, signal: Signal) {
        self.events.push(Event { address, at, signal });
    }
}

/// A beat as it came in.
struct BeatIn {
    at: Stamp,
    seq: Option<u64>,
    sent_ns: Option<i64>,
}

impl Machine for Server {
    type Event = Event;

    fn on_datagram(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]) {
        self.counters.received += 1;
        let reading = wire::read(datagram);
        if reading == Reading::default() {
            self.counters.ignored += 1;
            if self.config.every_beat {
                self.tell(at, from, Signal::Ignored { message: shown(datagram) });
            }
            return;
        }
        let Reading { seq, time } = reading;
        let difference_ns = time.map(|time| time.until_ns(at.wall_ns, self.config.utc_offset_ns));
        let sent_ns = difference_ns.map(|difference| at.wall_ns.saturating_sub(difference));
        let beat = BeatIn { at, seq, sent_ns };
        let heard = match self.follow(from, &beat) {
            Some(heard) => heard,
            None if self.welcome(from, &beat) => true,
            None => return,
        };
        if heard && self.config.every_beat {
            let message = shown(datagram);
            self.tell(at, from, Signal::Heard { seq, difference_ns, message });
        }
        if self.config.reply {
            self.counters.replied += 1;
            self.outgoing.put_upper(from, datagram);
        }
    }

    fn on_refused(&mut self) {}

    fn on_time(&mut self, now: Stamp) {
        if self.sweep_ns.is_some_and(|sweep| sweep <= now.mono_ns) {
            self.sweep(now);
        }
    }

    fn deadline(&self) -> Option<i64> {
        self.sweep_ns
    }

    fn transmit(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.outgoing.take()
    }

    fn on_send_failed(&mut self) {
        self.counters.replied -= 1;
        self.counters.send_failed += 1;
    }

    fn events(&mut self) -> &mut Events<Event> {
        &mut self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = crate::NS_PER_SECOND;

    fn config() -> ServerConfig {
        ServerConfig {
            timeout_ns: 5 * SECOND,
            by_host: false,
            reply: false,
            max_peers: 3,
            utc_offset_ns: 0,
            every_beat: true,
            events: 1000,
        }
    }

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn at(second: i64) -> Stamp {
        Stamp { mono_ns: second * SECOND, wall_ns: (1_486_420_000 + second) * SECOND }
    }

    fn signals(server: &mut Server) -> Vec<Signal> {
        std::iter::from_fn(|| server.events.pop())
            .map(|event| event.signal)
            .filter(|signal| !matches!(signal, Signal::Heard { .. }))
            .collect()
    }

    fn assert_adds_up(counters: ServerCounters) {
        let ServerCounters { beats, duplicates, stale, ignored, refused, .. } = counters;
        assert_eq!(counters.received, beats + duplicates + stale + ignored + refused);
    }

    #[test]
    fn the_story_of_the_lab() {
        let mut server = Server::new(config());
        for (second, text) in [(1, "1"), (2, "2"), (4, "4"), (5, "3"), (6, "4")] {
            server.on_datagram(at(second), client(1), text.as_bytes());
        }
        server.on_time(at(11));
        let expected = [
            Signal::Up { seq: Some(1) },
            Signal::Lost { first: 3, last: 3 },
            Signal::Late { seq: 3 },
            Signal::Down { seq: Some(5), received: 4, expected: Some(4) },
        ];
        assert_eq!(signals(&mut server), expected);
        assert_eq!(server.deadline(), None);
        server.on_datagram(at(20), client(1), b"7");
        server.on_datagram(at(21), client(1), b"1");
        let expected = [
            Signal::Recovered { seq: Some(7) },
            Signal::Lost { first: 5, last: 6 },
            Signal::Restarted { seq: 1 },
        ];
        assert_eq!(signals(&mut server), expected);
        assert_adds_up(server.counters());
    }

    #[test]
    fn the_difference_is_that_of_the_clocks() {
        let mut server = Server::new(config());
        server.on_datagram(at(0), client(1), b"Heartbeat 7 1486420000.5");
        let event = std::iter::from_fn(|| server.events.pop()).last().unwrap();
        let message = Box::from(b"Heartbeat 7 1486420000.5".as_slice());
        let difference_ns = Some(-SECOND / 2);
        assert_eq!(event.signal, Signal::Heard { seq: Some(7), difference_ns, message });
    }

    #[test]
    fn beats_without_numbers_keep_a_client_alive() {
        let mut server = Server::new(config());
        for second in [0, 4, 8] {
            server.on_datagram(at(second), client(1), b"Heartbeat 1486420000.5");
            server.on_time(at(second));
        }
        server.on_time(at(13));
        let down = Signal::Down { seq: None, received: 3, expected: None };
        assert_eq!(signals(&mut server), [Signal::Up { seq: None }, down]);
    }

    #[test]
    fn a_client_that_repeats_its_number_lives() {
        let mut server = Server::new(config());
        for second in 0..20 {
            server.on_datagram(at(second), client(1), b"pi4");
            server.on_time(at(second));
        }
        assert_eq!(signals(&mut server), [Signal::Up { seq: Some(4) }]);
    }

    #[test]
    fn old_beats_keep_nobody_alive() {
        let mut server = Server::new(config());
        for (second, text) in [(0, "1 1486420000.0"), (1, "5 1486420001.0")] {
            server.on_datagram(at(second), client(1), text.as_bytes());
        }
        for (second, text) in [(3, "3 1486420000.5"), (5, "5 1486420001.0")] {
            server.on_datagram(at(second), client(1), text.as_bytes());
        }
        server.on_time(at(6));
        let down = Signal::Down { seq: Some(6), received: 3, expected: Some(5) };
        assert_eq!(signals(&mut server).last(), Some(&down));
    }

    #[test]
    fn what_is_no_heartbeat_is_ignored() {
        let mut server = Server::new(config());
        for junk in [b"".as_slice(), b"hello", b"\xff\xfe"] {
            server.on_datagram(at(0), client(1), junk);
        }
        assert_eq!(server.counters().ignored, 3);
        assert_eq!(server.peers().count(), 0);
        assert!(signals(&mut server).iter().all(|s| matches!(s, Signal::Ignored { .. })));
    }

    #[test]
    fn by_host_a_new_socket_is_the_same_client() {
        let mut server = Server::new(ServerConfig { by_host: true, ..config() });
        for seq in 1..=3_u8 {
            server.on_datagram(at(0), client(u16::from(seq)), seq.to_string().as_bytes());
        }
        let peer = server.peers().next().unwrap();
        assert_eq!((server.peers().count(), peer.received(), peer.address), (1, 3, client(3)));
    }

    #[test]
    fn the_table_is_bounded_and_the_stopped_make_room() {
        let mut server = Server::new(config());
        for port in 1..=4 {
            server.on_datagram(at(0), client(port), b"1");
        }
        assert_eq!((server.peers().count(), server.counters().refused), (3, 1));
        server.on_time(at(5));
        server.on_datagram(at(6), client(4), b"1");
        assert_eq!((server.peers().count(), server.counters().refused), (1, 1));
        assert_adds_up(server.counters());
    }

    #[test]
    fn answers_are_asked_for_and_upper_case() {
        let mut server = Server::new(ServerConfig { reply: true, ..config() });
        server.on_datagram(at(0), client(1), b"beat 1");
        assert_eq!(server.transmit(), Some((client(1), b"BEAT 1".as_slice())));
        server.on_send_failed();
        server.on_datagram(at(0), client(1), b"junk");
        assert_eq!(server.transmit(), None);
        assert_eq!((server.counters().replied, server.counters().send_failed), (0, 1));
    }

    proptest! {
        #[test]
        fn counts_add_up_whatever_comes(
            story in prop::collection::vec((0..3_i64, 1..6_u16, "[0-9a]{0,2}"), 0..200),
        ) {
            let mut server = Server::new(config());
            let mut second = 0;
            for (passed, port, text) in story {
                second += passed;
                server.on_datagram(at(second), client(port), text.as_bytes());
                server.on_time(at(second));
                assert_adds_up(server.counters());
                let down = server.peers().filter(|peer| peer.down).count();
                prop_assert_eq!(down, server.down);
                prop_assert!(server.peers().count() <= 3);
            }
        }
    }
}
