//! The heartbeat server at work: a thread that takes batches and lets the machine judge.

use std::net::SocketAddr;

use crate::driver::worker::Shared;
use crate::heartbeat::{Server, ServerConfig};
use crate::net::{Batch, BatchSocket, Options, Outbox, Registered, Servers, Waited, now};
use crate::{Machine, Result, Worker};

/// Datagrams in a row after which deadlines are looked at though more may be waiting, where no stamps
/// tell when those arrived.
const ROW: usize = 8192;

/// Starts a server on `address`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the system refuses the address or a thread.
pub fn start(address: SocketAddr, config: ServerConfig) -> Result<Worker<Server>> {
    let options = Options { kernel_stamps: true, answers: config.reply, ..Options::default() };
    let mut socket = BatchSocket::bind(address, options)?;
    let address = socket.local_address();
    let interrupter = socket.interrupter();
    let registered = config.reply.then(|| Registered::new(address));
    let run = move |shared: &Shared<Server>| {
        run(shared, &mut socket);
        drop(registered);
    };
    Worker::spawn(Server::new(config), (address, address), [(interrupter, run)])
}

fn run(shared: &Shared<Server>, socket: &mut BatchSocket) {
    let (mut batch, mut outbox, mut answers) = (Batch::default(), Outbox::default(), Vec::new());
    let (mut servers, mut deadline, mut row) = (Servers::default(), None, 0);
    loop {
        let waited = socket.receive(&mut batch, deadline);
        let mut server = shared.lock();
        match waited {
            Waited::Interrupted => return,
            Waited::Nothing => {
                server.on_time(now());
                row = 0;
            }
            Waited::Received if server.replies() => {
                answers.clear();
                servers.refresh();
                for (message, datagram) in batch.datagrams() {
                    // An answer is no beat, and answering it would start a loop.
                    if servers.sent(message) {
                        server.ignore(message.at, message.from, datagram);
                        continue;
                    }
                    server.on_datagram(message.at, message.from, datagram);
                    if let Some((to, answer)) = server.transmit() {
                        let start = answers.len();
                        answers.extend_from_slice(answer);
                        outbox.push(to, message.to, start..answers.len());
                    }
                }
            }
            Waited::Received => server.on_datagrams(
                batch.datagrams().map(|(message, datagram)| (message.at, message.from, datagram)),
            ),
        }
        let mut gathers = false;
        if let (Waited::Received, (messages @ [.., last], _)) = (waited, batch.split()) {
            row += messages.len();
            // By the kernel's stamps all that arrived before this one was handed over; there may
            // always be more.
            if BatchSocket::STAMPS || row >= ROW {
                server.on_time(last.at);
                row = 0;
            }
            gathers = !server.replies();
        }
        server.on_own_drops(socket.overflowed());
        deadline = server.deadline();
        shared.tell(&mut server);
        drop(server);
        let mut failed = 0;
        if !outbox.is_empty() {
            socket.send(&mut outbox, &answers, |_| failed += 1);
        }
        for _ in 0..failed {
            shared.lock().on_send_failed();
        }
        if gathers {
            batch.gather();
        }
    }
}
