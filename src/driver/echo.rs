//! The echo server at work: threads that take batches, let the machine decide, and send the answers.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::driver::worker::Shared;
use crate::echo::{Config, Echo};
use crate::net::{
    Batch, BatchSocket, MAX_BATCH, Options, Outbox, Registered, Servers, Waited, now,
};
use crate::{Machine, Result, Worker};

/// Starts a server on `address` with so many threads.
///
/// Each thread has a socket of its own where several can share an address, and the kernel gives all
/// packets of a client to one of them. They share one machine, which they lock for the decisions of
/// a batch and never while they receive or send. What a thread delays it sends itself: all that a
/// client gets leaves in order.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the system refuses the address or a thread.
pub fn start(address: SocketAddr, threads: usize, config: Config) -> Result<Worker<Echo>> {
    let threads = if BatchSocket::CAN_SHARE { threads } else { 1 };
    let options = Options {
        kernel_stamps: config.log > 0,
        offload: true,
        shared: threads > 1,
        answers: true,
    };
    let first = BatchSocket::bind(address, options)?;
    let address = first.local_address();
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(BatchSocket::bind(address, options)?);
    }
    let registered = Arc::new(Registered::new(address));
    let runs = sockets.into_iter().enumerate().map(|(thread, mut socket)| {
        let registered = Arc::clone(&registered);
        let interrupter = socket.interrupter();
        let run = move |shared: &Shared<Echo>| {
            run(shared, thread, &mut socket);
            drop(registered);
        };
        (interrupter, run)
    });
    Worker::spawn(Echo::shared(config, threads), (address, address), runs)
}

fn run(shared: &Shared<Echo>, thread: usize, socket: &mut BatchSocket) {
    let (mut batch, mut outbox) = (Batch::default(), Outbox::default());
    let (mut delayed, mut deadline, mut own_drops) = (Vec::new(), None, 0);
    let mut servers = Servers::default();
    loop {
        if socket.receive(&mut batch, deadline) == Waited::Interrupted {
            return;
        }
        servers.refresh();
        let mut echo = shared.lock();
        echo.on_time(now());
        answer(&mut echo, thread, &servers, &mut batch, &mut outbox);
        if socket.overflowed() > own_drops {
            echo.on_own_drops(socket.overflowed() - own_drops);
            own_drops = socket.overflowed();
        }
        shared.tell(&mut echo);
        deadline = echo.next_ns(thread);
        drop(echo);
        send(shared, socket, &mut outbox, batch.memory());
        while deadline.is_some() {
            let mut echo = shared.lock();
            let now = now();
            delayed.clear();
            for _ in 0..MAX_BATCH {
                let Some(departure) = echo.depart(thread, now) else { break };
                let start = delayed.len();
                delayed.extend_from_slice(&departure.payload);
                outbox.push(departure.to, departure.from, start..delayed.len());
            }
            deadline = echo.next_ns(thread);
            shared.tell(&mut echo);
            drop(echo);
            if outbox.is_empty() {
                break;
            }
            send(shared, socket, &mut outbox, &delayed);
        }
    }
}

/// Decides what came to a thread, and puts the answers that leave now into the outbox; they are made in
/// the batch's memory.
pub fn answer(
    echo: &mut Echo,
    thread: usize,
    servers: &Servers,
    batch: &mut Batch,
    outbox: &mut Outbox,
) {
    let (messages, memory) = batch.split();
    for message in messages {
        let path = (message.from, message.to);
        let loops = servers.sent(message);
        for at in message.datagrams() {
            let datagram = &mut memory[at.clone()];
            if loops {
                echo.refuse(message.at, message.from, datagram);
            } else if let Some(length) = echo.decide(thread, message.at, path, datagram) {
                outbox.push(message.from, message.to, at.start..at.start + length);
            }
        }
    }
}

fn send(shared: &Shared<Echo>, socket: &mut BatchSocket, outbox: &mut Outbox, memory: &[u8]) {
    let mut failed = 0;
    socket.send(outbox, memory, |_| failed += 1);
    if failed > 0 {
        shared.lock().on_sends_failed(failed);
    }
}
