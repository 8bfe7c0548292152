//! Starts relays.

use std::net::SocketAddr;
use std::ops::Range;

use crate::driver::worker::Shared;
use crate::driver::{Names, Worker};
use crate::net::{Batch, End, Exchange, Wake, now};
use crate::relay::{Change, Config, Forward, Forwards, Relay};
use crate::{Observed, Result};

/// Starts a relay on `address` whose upstream is `upstream`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses the address or a thread.
pub fn start(address: SocketAddr, upstream: SocketAddr, config: Config) -> Result<Worker<Relay>> {
    let exchange = Exchange::bind(address, upstream)?;
    Exchange::permit(config.max_clients);
    let (ends, interrupter) = ((exchange.local_address(), upstream), exchange.interrupter());
    let waker = exchange.waker();
    let run = move |shared: &Shared<Relay>| run(shared, exchange);
    let worker = Worker::spawn(Relay::new(config), Names::default(), ends, [(interrupter, run)])?;
    worker.set_waker(waker);
    Ok(worker)
}

/// Serves the relay until it is interrupted.
///
/// It is locked to handle arrivals and to collect datagrams, never during a system call.
fn run(shared: &Shared<Relay>, exchange: Exchange) {
    let (mut batch, mut ready, mut forwards) = (Batch::default(), Vec::new(), Forwards::default());
    let has_addresses = exchange.local_address().ip().is_unspecified();
    let mut sender = Sender { shared, exchange };
    let mut deadline = shared.lock().deadline();
    while sender.exchange.wait(deadline, &mut ready) {
        for end in &ready {
            let wake = sender.exchange.receive(*end, &mut batch);
            let mut relay = shared.lock();
            match (*end, wake) {
                (End::Listener, Wake::Datagrams) => {
                    for mut arrival in batch.arrivals() {
                        // Otherwise there is no choice of address.
                        arrival.to = arrival.to.filter(|_| has_addresses);
                        relay.on_client(&mut arrival);
                    }
                }
                (End::Line(line), Wake::Datagrams) => {
                    for mut arrival in batch.arrivals() {
                        relay.on_upstream(line, &mut arrival);
                    }
                }
                (End::Line(line), Wake::Icmp) => {
                    if let Some(error) = batch.icmp() {
                        relay.on_icmp(line, &error);
                    }
                }
                _ => {}
            }
        }
        let now = now();
        let mut relay = shared.lock();
        relay.on_time(now);
        forwards.clear();
        relay.take(&mut forwards);
        let changes = relay.take_changes();
        deadline = relay.deadline();
        let refuses = relay.refuses(now);
        let has_news = relay.unread().take_news();
        drop(relay);
        if refuses != shared.is_refusing() {
            sender.exchange.refuse(refuses);
            shared.set_refusing(refuses);
        }
        if has_news {
            shared.wake();
        }
        let mut sent = 0;
        for change in &changes {
            if let Change::Rebind { after, .. } = *change {
                sender.send(&mut forwards, sent..after);
                sent = after;
                sender.apply(*change);
            }
        }
        let count = forwards.list.len();
        sender.send(&mut forwards, sent..count);
        let closes = |change: &Change| matches!(change, Change::Close(_));
        changes.into_iter().filter(closes).for_each(|change| sender.apply(change));
    }
    let drops = sender.exchange.close_all();
    shared.lock().add_receive_drops(drops);
}

/// A sender that never blocks: a full send buffer loses datagrams, as a router's queue does.
struct Sender<'a> {
    shared: &'a Shared<Relay>,
    exchange: Exchange,
}

impl Sender<'_> {
    /// Sends some of the datagrams; those of one socket in order.
    fn send(&mut self, forwards: &mut Forwards, some: Range<usize>) {
        let Forwards { list, memory } = forwards;
        let list = &mut list[some];
        // Stable, so that datagrams of one session stay in order and leave together.
        list.sort_by_key(|forward| forward.to.is_none().then_some(forward.session));
        for run in list.chunk_by(|one, next| end(one) == end(next) && one.headers == next.headers) {
            let end = end(&run[0]);
            if let End::Line(line) = end
                && self.exchange.open(line).is_err()
            {
                self.open_again(line);
            }
            for Forward { to, from, at, .. } in run {
                self.exchange.push(*to, *from, at.clone());
            }
            let shared = self.shared;
            self.exchange.flush(end, run[0].headers, memory, |error| {
                shared.record_send_error(error);
                shared.lock().on_send_failed();
            });
        }
    }

    /// The system has no more sockets or ports: takes one of another session.
    fn open_again(&mut self, line: u32) {
        let mut relay = self.shared.lock();
        relay.make_room(line);
        let changes = relay.take_changes();
        drop(relay);
        for change in changes {
            self.apply(change);
        }
        // If this fails, the datagrams do not leave.
        if let Err(error) = self.exchange.open(line) {
            self.shared.record_send_error(error.raw_os_error());
        }
    }

    fn add_drops(&self, count: u64) {
        if count > 0 {
            self.shared.lock().add_receive_drops(count);
        }
    }

    fn apply(&mut self, change: Change) {
        let drops = match change {
            Change::Close(line) => self.exchange.close(line),
            Change::Rebind { session, .. } => self.exchange.rebind(session),
        };
        self.add_drops(drops);
    }
}

fn end(forward: &Forward) -> End {
    if forward.to.is_some() { End::Listener } else { End::Line(forward.session) }
}
