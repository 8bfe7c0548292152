//! A driver, a network and clocks that do what fuzzed bytes say.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use udpulse::{Arrival, Icmp, Local, Machine, Stamp};

use super::input::Input;

/// The most datagrams that are remembered, and that wait in the backlog.
const REMEMBERED: usize = 64;

/// The calls within which a machine must come to rest while its clock stands still.
const RESTLESS: usize = 10_000;

/// The highest time of the monotonic clock: 73 years.
const LAST_NS: i64 = 1 << 61;

/// What becomes of the datagrams of a machine.
#[derive(Clone, Copy, Debug)]
enum Sending {
    Leaves,
    /// This host refuses them, with this error.
    Fails(i32),
    /// The send buffer is full.
    Waits,
}

/// Turns the payload of a datagram into that of its reply.
type Reply = dyn FnMut(Stamp, &mut Vec<u8>);

/// A machine in its world.
pub(super) struct World<'a, M: Machine> {
    pub(super) machine: M,
    pub(super) input: Input<'a>,
    pub(super) now: Stamp,
    sockets: usize,
    sending: Sending,
    /// The last datagrams that left.
    left: VecDeque<Datagram>,
    /// The backlog.
    waiting: VecDeque<Datagram>,
    /// The names that are looked up.
    lookups: VecDeque<usize>,
    reply: Box<Reply>,
    pub(super) counts: Counts,
    /// All datagrams that the machine sent.
    pub(super) output: Vec<Datagram>,
}

/// What the driver has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Datagrams handed to the machine.
    pub(super) received: u64,
    /// Datagrams of the machine, answers included.
    pub(super) sent: u64,
    /// Those of them that the machine was told that they failed.
    pub(super) failed: u64,
    /// The longest datagram received.
    pub(super) longest: usize,
}

/// A datagram of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Datagram {
    pub(super) socket: usize,
    pub(super) to: SocketAddr,
    pub(super) payload: Vec<u8>,
    /// The length of the request, if it is an immediate answer.
    pub(super) request: Option<usize>,
}

impl<'a, M: Machine> World<'a, M> {
    /// Creates the world of a machine with `sockets` sockets.
    pub(super) fn new(machine: M, sockets: usize, mut input: Input<'a>) -> Self {
        let wall_ns = match input.below(4) {
            0 => 1_795_670_999_123_456_789,
            1 => input.natural(),
            _ => input.int(),
        };
        Self {
            machine,
            now: Stamp { mono_ns: input.natural().min(LAST_NS), wall_ns },
            input,
            sockets,
            sending: Sending::Leaves,
            left: VecDeque::new(),
            waiting: VecDeque::new(),
            lookups: VecDeque::new(),
            reply: Box::new(|_, _| {}),
            counts: Counts::default(),
            output: Vec::new(),
        }
    }

    /// Sets how other hosts reply; otherwise they return each datagram.
    pub(super) fn set_reply(&mut self, reply: impl FnMut(Stamp, &mut Vec<u8>) + 'static) {
        self.reply = Box::new(reply);
    }

    /// Causes an event and runs the machine until it rests; `change` is one of the events. Returns
    /// whether there was one: not without input.
    pub(super) fn step(&mut self, change: impl FnOnce(&mut M, &mut Input<'a>, Stamp)) -> bool {
        if self.input.is_empty() {
            return false;
        }
        match self.input.byte() % 16 {
            0..=2 => self.receive_bytes(),
            3..=5 => self.receive_reply(),
            6 | 7 => self.pass_time(),
            8 => self.now.wall_ns = self.input.int(),
            9 => self.refuse(),
            10 => self.depart(),
            11 => self.change_sending(),
            12 => self.unblock(),
            13 => self.resolve(),
            14 => self.drop_received(),
            _ => change(&mut self.machine, &mut self.input, self.now),
        }
        self.rest();
        true
    }

    /// Runs the machine until it waits for a later time.
    pub(super) fn rest(&mut self) {
        for socket in 0..self.sockets {
            let rests = (0..RESTLESS).any(|_| {
                self.machine.on_time(socket, self.now, self.now.mono_ns);
                self.send(socket);
                self.lookups.extend(self.machine.lookups(self.now));
                if let Some(captured) = self.machine.captured(socket) {
                    captured.clear();
                }
                let deadline_ns = self.machine.deadline(socket);
                self.machine.is_done(socket) || deadline_ns.is_none_or(|ns| ns > self.now.mono_ns)
            });
            let deadline_ns = self.machine.deadline(socket);
            assert!(rests, "socket {socket} has work at {deadline_ns:?} by {:?}", self.now);
        }
    }

    /// Sends the datagrams of a socket.
    fn send(&mut self, socket: usize) {
        while let Some(transmit) = self.machine.transmit(socket) {
            let (to, payload) = (transmit.to, transmit.datagram.to_vec());
            self.counts.sent += 1;
            self.dispatch(Datagram { socket, to, payload, request: None });
        }
    }

    fn dispatch(&mut self, datagram: Datagram) {
        let Datagram { socket, to, payload, .. } = &datagram;
        let error = match self.sending {
            Sending::Leaves => {
                if self.left.len() == REMEMBERED {
                    self.left.pop_front();
                }
                self.left.push_back(datagram.clone());
                self.output.push(datagram);
                return;
            }
            Sending::Fails(error) => Some(error),
            Sending::Waits if self.waiting.len() < REMEMBERED => {
                self.machine.on_blocked(*socket, payload);
                self.waiting.push_back(datagram);
                return;
            }
            Sending::Waits => None,
        };
        self.counts.failed += 1;
        self.machine.on_send_failed(*socket, *to, payload, error);
    }

    /// Returns how many datagrams are in the backlog.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Receives a datagram of fuzzed bytes.
    fn receive_bytes(&mut self) {
        let from = any_address(&mut self.input);
        let datagram = self.input.bytes().to_vec();
        let socket = self.input.below(self.sockets);
        self.receive(socket, from, datagram);
    }

    /// Receives the reply to a datagram that left, perhaps damaged, or one like it.
    fn receive_reply(&mut self) {
        let Some(Datagram { socket, to, mut payload, .. }) = self.remembered() else { return };
        let mut from = to;
        (self.reply)(self.now, &mut payload);
        match self.input.below(8) {
            0 => payload.make_ascii_uppercase(),
            1 => damage(&mut self.input, &mut payload),
            2 => payload.truncate(self.input.byte().into()),
            3 => from = any_address(&mut self.input),
            _ => {}
        }
        self.receive(socket, from, payload);
    }

    /// Receives a datagram with the headers that the input says.
    pub(super) fn receive(&mut self, socket: usize, from: SocketAddr, mut datagram: Vec<u8>) {
        let now = self.now;
        let length = datagram.len();
        let mut arrival = Arrival::new(now, from, &mut datagram);
        let input = &mut self.input;
        let how = input.byte();
        if how & 1 != 0 {
            let before_ns = input.natural();
            let wall_ns = now.wall_ns.saturating_sub(before_ns);
            arrival.kernel = Some(Stamp { mono_ns: now.mono_ns - before_ns, wall_ns });
        }
        if how & 2 != 0 {
            (arrival.ttl, arrival.tos) = (Some(input.byte()), Some(input.byte()));
        }
        if how & 4 != 0 {
            arrival.to =
                Some(Local { ip: any_address(input).ip(), interface: input.byte().into() });
        }
        arrival.is_answer = how & 0x70 == 0x70;
        arrival.to_group = how & 0x70 == 0x60;
        self.counts.received += 1;
        self.counts.longest = self.counts.longest.max(length);
        if let Some(answer) = self.machine.on_datagram(socket, &mut arrival) {
            datagram.truncate(answer);
            self.counts.sent += 1;
            let request = Some(length);
            self.dispatch(Datagram { socket, to: from, payload: datagram, request });
        }
    }

    fn pass_time(&mut self) {
        let deadlines = (0..self.sockets).filter_map(|socket| self.machine.deadline(socket));
        let deadline_ns = deadlines.min();
        let then_ns = match self.input.byte() % 4 {
            // The next deadline, late by up to 255 ns or by more.
            0 | 1 => deadline_ns.map(|ns| ns.saturating_add(self.input.byte().into())),
            2 => deadline_ns.map(|ns| ns.saturating_add(self.input.natural())),
            _ => Some(self.now.mono_ns.saturating_add(self.input.natural())),
        };
        let then_ns =
            then_ns.unwrap_or_default().clamp(self.now.mono_ns, LAST_NS.max(self.now.mono_ns));
        let by_ns = then_ns - self.now.mono_ns;
        self.now = Stamp { mono_ns: then_ns, wall_ns: self.now.wall_ns.saturating_add(by_ns) };
    }

    /// An ICMP error arrives, about a datagram that left or anything else.
    fn refuse(&mut self) {
        let quoted = self.remembered();
        let input = &mut self.input;
        let (socket, to, mut quote) = match quoted {
            Some(Datagram { socket, to, payload, .. }) if input.flag() => (socket, to, payload),
            _ => (input.below(self.sockets), any_address(input), input.bytes().to_vec()),
        };
        let (kind, code) = *input.pick(&[(3, 3), (1, 4), (3, 1), (11, 0), (3, 4), (2, 0)]);
        let router = input.maybe(|input| any_address(input).ip());
        let mtu = input.maybe(|input| input.byte().into());
        if input.flag() {
            quote.truncate(input.byte().into());
        }
        let error = Icmp { kind, code, router, to, mtu, datagram: &quote };
        self.machine.on_icmp(socket, &error);
    }

    /// The kernel says when a datagram left.
    fn depart(&mut self) {
        if let Some(Datagram { socket, payload, .. }) = self.remembered() {
            let kernel_ns = self.now.mono_ns - self.input.natural();
            self.machine.on_departed(socket, &payload, kernel_ns);
        }
    }

    fn change_sending(&mut self) {
        self.sending = match self.input.byte() % 4 {
            0 => Sending::Fails(101),
            1 => Sending::Waits,
            _ => Sending::Leaves,
        };
    }

    /// Datagrams leave the backlog.
    fn unblock(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(mut one) = self.waiting.pop_front() else { return };
            let Datagram { socket, to, ref mut payload, .. } = one;
            if self.machine.on_unblocked(socket, self.now, to, payload) {
                self.dispatch(one);
            }
        }
    }

    /// A lookup ends.
    fn resolve(&mut self) {
        let Some(server) = self.lookups.pop_front() else { return };
        let found = self.input.list(2, any_address);
        let found = if self.input.flag() { Ok(&found[..]) } else { Err("no name servers") };
        self.machine.on_resolved(server, self.now, found);
    }

    fn drop_received(&mut self) {
        let socket = self.input.below(self.sockets);
        self.machine.on_receive_drops(socket, self.input.natural().unsigned_abs() >> 16);
    }

    fn remembered(&mut self) -> Option<Datagram> {
        let back = self.input.below(REMEMBERED) % self.left.len().max(1);
        self.left.iter().rev().nth(back).cloned()
    }

    /// Returns all unread events.
    pub(super) fn events(&mut self) -> Vec<M::Event> {
        std::iter::from_fn(|| self.machine.events().pop()).collect()
    }
}

/// Changes some bits.
pub(super) fn damage(input: &mut Input<'_>, payload: &mut [u8]) {
    for _ in 0..=input.below(3) {
        let (at, bits) = (input.byte(), input.byte());
        if let Some(byte) = payload.get_mut(usize::from(at)) {
            *byte ^= bits;
        }
    }
}

/// Returns one of a few addresses; some of them are not fit to be answered, or the same.
pub(super) fn any_address(input: &mut Input<'_>) -> SocketAddr {
    let host = input.byte();
    let ip = Ipv4Addr::new(127, 0, 0, 1 + (host >> 4 & 3));
    let ip = match host >> 6 {
        0 | 1 => IpAddr::V4(ip),
        2 => IpAddr::V6(ip.to_ipv6_mapped()),
        _ => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let port = [5000, 5001, 12_000, 862, 7, 0, 5000, 5000][usize::from(host & 7)];
    SocketAddr::new(ip, port)
}
