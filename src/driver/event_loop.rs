//! The loop that joins a machine to a socket: it receives, keeps deadlines, and sends.

use std::net::SocketAddr;
use std::thread;

use crate::driver::backlog::{Backlog, Waiting};
use crate::driver::capture::Tap;
use crate::driver::worker::Shared;
use crate::machine::Transmit;
use crate::net::{Batch, MAX_BATCH, Outbox, Port, Servers, Unsent, Wake, now};
use crate::{Local, Machine};

/// Without kernel timestamps, judge a silence only when the queue is empty, or after this many
/// datagrams in a row.
const ROW: usize = 1024;

/// Serves the machine's socket number `socket` through `port` until it is done or interrupted.
///
/// The machine is locked to handle arrivals and to collect datagrams, never during a system call.
/// If `answers`, datagrams from this process's servers are marked. `tap` captures packets.
pub(super) fn run<M: Machine, P: Port>(
    shared: &Shared<M>,
    socket: usize,
    mut port: P,
    answers: bool,
    mut tap: Option<Tap>,
) {
    let (mut batch, mut replies) = (Batch::default(), port.outbox());
    let mut servers = Servers::default();
    let mut sender = Sender { shared, socket, backlog: Backlog::default(), unsent: Vec::new() };
    let mut own = Own { outbox: port.outbox(), memory: Vec::new(), count: 0 };
    let (mut deadline, mut row) = (shared.lock().deadline(socket), 0);
    loop {
        let wake = port.receive(&mut batch, deadline, !sender.backlog.is_empty());
        if wake == Wake::Interrupted {
            break farewell(&mut port, &mut sender, &mut own);
        }
        // Not only if the port is writable: under a flood no wait ends for that.
        sender.drain(&mut port, &mut own);
        if wake == Wake::Datagrams && answers {
            servers.mark(&mut batch);
        }

        let mut machine = shared.lock();
        match wake {
            Wake::Datagrams => {
                let arrivals = batch.arrivals();
                machine.on_datagrams(socket, arrivals, |arrival, length| {
                    replies.push(arrival.from, arrival.to, arrival.answer(length));
                });
            }
            Wake::Departed { kernel_ns } => {
                machine.on_departed(socket, batch.departed(), kernel_ns);
            }
            Wake::Icmp => {
                if let Some(error) = batch.icmp() {
                    machine.on_icmp(socket, &error);
                }
            }
            Wake::Writable | Wake::Idle | Wake::Interrupted => {}
        }
        let now = match batch.read() {
            // Without a deadline nothing depends on the time since then.
            Some(read) if machine.deadline(socket).is_none() => read,
            _ => now(),
        };
        row = if wake == Wake::Idle { 0 } else { row + batch.len().max(1) };
        let heard_ns = match batch.heard_ns() {
            Some(heard_ns) => heard_ns,
            None if row == 0 || row >= ROW => now.mono_ns,
            None => i64::MIN,
        };
        row %= ROW;
        machine.on_time(socket, now, heard_ns);
        let lookups = machine.lookups(now);
        own.collect(&mut *machine, socket);
        if let Some(tap) = &mut tap {
            tap.collect(&mut *machine, socket);
        }
        deadline = if own.is_full() { Some(i64::MIN) } else { machine.deadline(socket) };
        let (done, patience) = (machine.is_done(socket), machine.patience());
        let refuses = machine.refuses(socket, now);
        let has_news = machine.events().take_news();
        drop(machine);
        if refuses != shared.is_refusing() {
            port.refuse(refuses);
            shared.set_refusing(refuses);
        }
        if has_news {
            shared.wake();
        }
        if !lookups.is_empty() {
            shared.look_up(lookups);
        }

        sender.send(&mut port, &mut replies, batch.memory());
        let gathers = P::STAMPS && (own.count > 0 || wake == Wake::Datagrams);
        sender.send(&mut port, &mut own.outbox, &own.memory);
        if let Some(tap) = &mut tap {
            tap.pass();
        }
        if done {
            break;
        }
        if gathers && !patience.is_zero() && batch.len() < MAX_BATCH / 2 {
            thread::sleep(patience);
        }
    }
    sender.give_up();
}

/// Sends the machine's farewell, if it says one, at its own pace.
fn farewell<M: Machine>(port: &mut impl Port, sender: &mut Sender<'_, M>, own: &mut Own) {
    let shared = sender.shared;
    let next = || shared.lock().farewell(now());
    while let Some(pause) = next() {
        sender.drain(port, own);
        own.collect(&mut *shared.lock(), sender.socket);
        sender.send(port, &mut own.outbox, &own.memory);
        thread::sleep(pause);
    }
}

/// The datagrams of one round other than immediate answers.
struct Own {
    outbox: Outbox,
    memory: Vec<u8>,
    count: usize,
}

impl Own {
    fn clear(&mut self) {
        self.memory.clear();
        self.count = 0;
    }

    fn is_full(&self) -> bool {
        self.count >= MAX_BATCH
    }

    fn push(&mut self, to: SocketAddr, from: Option<Local>, datagram: &[u8]) {
        let start = self.memory.len();
        self.memory.extend_from_slice(datagram);
        self.outbox.push(to, from, start..self.memory.len());
        self.count += 1;
    }

    /// Collects the datagrams that the machine sends, up to a batch.
    fn collect<M: Machine>(&mut self, machine: &mut M, socket: usize) {
        self.clear();
        while !self.is_full()
            && let Some(Transmit { to, from, datagram }) = machine.transmit(socket)
        {
            self.push(to, from, datagram);
        }
    }
}

/// A sender that never blocks: datagrams that find the send buffer full wait in a backlog.
struct Sender<'a, M: Machine> {
    shared: &'a Shared<M>,
    socket: usize,
    backlog: Backlog,
    unsent: Vec<Unsent>,
}

impl<M: Machine> Sender<'_, M> {
    /// Sends the datagrams of the outbox, behind those of the backlog.
    fn send(&mut self, port: &mut impl Port, outbox: &mut Outbox, memory: &[u8]) {
        if outbox.is_empty() {
            return;
        }
        let unsent = &mut self.unsent;
        if self.backlog.is_empty() {
            port.send(outbox, memory, |one| unsent.push(one));
        } else {
            outbox.drain(|one| unsent.push(one));
        }
        if unsent.is_empty() {
            return;
        }
        let mut machine = self.shared.lock();
        for Unsent { to, from, at, error } in unsent.drain(..) {
            let datagram = &memory[at];
            let waiting = || Waiting { to, from, datagram: datagram.into() };
            self.shared.record_send_error(error);
            if error.is_none() && self.backlog.push(waiting()) {
                machine.on_blocked(self.socket, datagram);
            } else {
                machine.on_send_failed(self.socket, to, datagram, error);
            }
        }
    }

    /// Sends the backlog until the send buffer is full again.
    fn drain(&mut self, port: &mut impl Port, own: &mut Own) {
        // Start with one: usually the buffer is still full.
        let mut limit = 1;
        while !self.backlog.is_empty() && self.drain_some(port, own, limit) {
            limit = MAX_BATCH;
        }
    }

    /// Sends up to `limit` datagrams of the backlog; drops those no longer worth sending. Returns
    /// whether the send buffer has more room.
    fn drain_some(&mut self, port: &mut impl Port, own: &mut Own, limit: usize) -> bool {
        own.clear();
        let mut machine = self.shared.lock();
        let now = now();
        while own.count < limit
            && let Some(Waiting { to, from, mut datagram }) = self.backlog.pop()
        {
            if machine.on_unblocked(self.socket, now, to, &mut datagram) {
                own.push(to, from, &datagram);
            }
        }
        drop(machine);
        let unsent = &mut self.unsent;
        port.send(&mut own.outbox, &own.memory, |one| unsent.push(one));
        let has_room = unsent.iter().all(|one| one.error.is_some());
        let mut machine = self.shared.lock();
        for Unsent { to, from, at, error } in unsent.drain(..).rev() {
            let datagram = &own.memory[at];
            self.shared.record_send_error(error);
            if error.is_none() {
                self.backlog.put_back(Waiting { to, from, datagram: datagram.into() });
                machine.on_blocked(self.socket, datagram);
            } else {
                machine.on_send_failed(self.socket, to, datagram, error);
            }
        }
        has_room
    }

    /// Reports the rest of the backlog as failed.
    fn give_up(mut self) {
        let mut machine = self.shared.lock();
        while let Some(waiting) = self.backlog.pop() {
            machine.on_send_failed(self.socket, waiting.to, &waiting.datagram, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Names;
    use crate::net::DropGauge;
    use crate::{Arrival, Events, Stamp};

    /// A machine that sends a number each time.
    struct Numbers {
        next: u8,
        to_send: Option<u8>,
        datagram: [u8; 1],
        failed: Vec<u8>,
        events: Events<()>,
    }

    impl Machine for Numbers {
        type Event = ();

        fn on_datagram(&mut self, _: usize, _: &mut Arrival<'_>) -> Option<usize> {
            None
        }

        fn on_time(&mut self, _: usize, _: Stamp, _: i64) {
            self.to_send = Some(self.next);
            self.next += 1;
        }

        fn deadline(&self, _: usize) -> Option<i64> {
            None
        }

        fn transmit(&mut self, _: usize) -> Option<Transmit<'_>> {
            self.datagram = [self.to_send.take()?];
            let to = SocketAddr::from(([127, 0, 0, 1], 9));
            Some(Transmit { to, from: None, datagram: &self.datagram })
        }

        fn on_send_failed(&mut self, _: usize, _: SocketAddr, datagram: &[u8], _: Option<i32>) {
            self.failed.push(datagram[0]);
        }

        fn events(&mut self) -> &mut Events<()> {
            &mut self.events
        }
    }

    /// A port that never runs out of datagrams to read and has room for one send in `period`.
    struct Flooded<'a> {
        rounds: usize,
        period: usize,
        sent: &'a mut Vec<u8>,
    }

    impl Port for Flooded<'_> {
        fn receive(&mut self, _: &mut Batch, _: Option<i64>, _: bool) -> Wake {
            self.rounds += 1;
            if self.rounds > 30 { Wake::Interrupted } else { Wake::Datagrams }
        }

        fn send(&mut self, outbox: &mut Outbox, memory: &[u8], mut unsent: impl FnMut(Unsent)) {
            let has_room = self.rounds.is_multiple_of(self.period);
            outbox.drain(
                |one| {
                    if has_room { self.sent.extend(&memory[one.at]) } else { unsent(one) }
                },
            );
        }
    }

    #[test]
    fn a_backlog_leaves_in_order_even_under_a_flood() {
        let (to_send, failed, events) = (None, Vec::new(), Events::new(0));
        let machine = Numbers { next: 0, to_send, datagram: [0], failed, events };
        let (shared, mut sent) =
            (Shared::new(machine, Names::default(), vec![DropGauge::default()]), Vec::new());
        run(&shared, 0, Flooded { rounds: 0, period: 4, sent: &mut sent }, false, None);
        assert_eq!(sent, (0..28).collect::<Vec<_>>());
        assert_eq!(shared.lock().failed, [28, 29]);
    }
}
