//! Starts relays.

use std::mem;
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use crate::driver::capture::Writer;
use crate::driver::worker::Shared;
use crate::driver::{CaptureConfig, Names, Worker};
use crate::net::{Batch, End, Exchange, Wake, now};
use crate::path::ONE_WAY;
use crate::relay::{Change, Config, Forward, Forwards, Relay};
use crate::{Captured, Observed, Result};

/// Starts a relay on `address` whose upstream is `upstream`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses the address, the file of a capture or a thread.
pub fn start(
    address: SocketAddr,
    upstream: SocketAddr,
    config: Config,
    capture: Option<&CaptureConfig>,
) -> Result<Worker<Relay>> {
    let exchange = Exchange::bind(address, upstream)?;
    Exchange::permit(config.max_clients);
    let (ends, interrupter) = ((exchange.local_address(), upstream), exchange.interrupter());
    let waker = exchange.waker();
    let writer = capture.map(|capture| Writer::start(capture, &ONE_WAY)).transpose()?;
    let tap = writer.clone().map(|writer| Tap { writer, upstream, captured: Vec::new() });
    let run = move |shared: &Shared<Relay>| run(shared, exchange, tap);
    let relay = Relay::new(Config { capture: writer.is_some(), ..config });
    let worker = Worker::spawn(relay, Names::default(), ends, [(interrupter, run)])?;
    worker.set_waker(waker);
    Ok(worker.with_capture(writer))
}

/// Serves the relay until it is interrupted.
///
/// It is locked to handle arrivals and to collect datagrams, never during a system call.
fn run(shared: &Shared<Relay>, exchange: Exchange, mut tap: Option<Tap>) {
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
        if let Some((tap, captured)) = tap.as_mut().zip(relay.captured()) {
            mem::swap(captured, &mut tap.captured);
        }
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
                if let Some(tap) = &mut tap {
                    tap.pass(&sender.exchange, after - sent);
                }
                sent = after;
                sender.apply(*change);
            }
        }
        let count = forwards.list.len();
        sender.send(&mut forwards, sent..count);
        // All sessions have sockets now, and those that end have them still.
        if let Some(tap) = &mut tap {
            tap.pass(&sender.exchange, usize::MAX);
        }
        let closes = |change: &Change| matches!(change, Change::Close(_));
        changes.into_iter().filter(closes).for_each(|change| sender.apply(change));
    }
    let drops = sender.exchange.close_all();
    shared.lock().add_receive_drops(drops);
}

/// The capture of the relay's packets.
struct Tap {
    writer: Arc<Writer>,
    upstream: SocketAddr,
    captured: Vec<Captured>,
}

impl Tap {
    /// Passes the collected packets on, up to the one after the first `sent` that have left.
    fn pass(&mut self, exchange: &Exchange, sent: usize) {
        let left = |one: &Captured| ONE_WAY[one.point].outbound;
        let mut places = self.captured.iter().enumerate().filter(|(_, one)| left(one));
        let end = places.nth(sent).map_or(self.captured.len(), |(index, _)| index);
        let rest = self.captured.split_off(end);
        let listener = exchange.local_address();
        self.writer.add(&mut self.captured, |one| {
            let Some(client) = one.remote else {
                let unknown = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
                return (exchange.line_address(one.session).unwrap_or(unknown), self.upstream);
            };
            let ip = one.local.map_or(listener.ip(), |local| local.ip);
            (SocketAddr::new(ip, listener.port()), client)
        });
        self.captured = rest;
    }
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
