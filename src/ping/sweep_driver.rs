//! The thread that joins a sweep to a socket of batches.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::net::{Batch, BatchSocket, MAX_BATCH, Options, Outbox, Waited, now};
use crate::ping::Sweep;
use crate::worker::Shared;
use crate::{Machine, Result, Worker};

/// Where many probes go out in this time, they go, and their replies are taken, at once. Replies
/// have the kernel's stamps, and a thread that is woken for each costs several times as much.
const GATHER: Duration = Duration::from_micros(500);

/// Starts a sweep from `address`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the system refuses the address or a thread.
pub fn start_sweep(address: SocketAddr, sweep: Sweep) -> Result<Worker<Sweep>> {
    let options = Options { kernel_stamps: true, ..Options::default() };
    let mut socket = BatchSocket::bind(address, options)?;
    let address = socket.local_address();
    let interrupter = socket.interrupter();
    let run = move |shared: &Shared<Sweep>| run(shared, &mut socket);
    Worker::spawn(sweep, (address, address), [(interrupter, run)])
}

fn run(shared: &Shared<Sweep>, socket: &mut BatchSocket) {
    let (mut batch, mut outbox, mut probes) = (Batch::default(), Outbox::default(), Vec::new());
    let mut deadline = shared.lock().deadline();
    loop {
        let waited = socket.receive(&mut batch, deadline);
        let mut sweep = shared.lock();
        let mut received = 0;
        match waited {
            Waited::Interrupted => return,
            Waited::Nothing => sweep.on_time(now()),
            Waited::Received => {
                let read = now();
                for (message, datagram) in batch.datagrams() {
                    let kernel_ns = BatchSocket::STAMPS.then_some(message.at.mono_ns);
                    sweep.on_stamped(read, kernel_ns, datagram);
                    received += 1;
                }
            }
        }
        probes.clear();
        while let Some((to, probe)) = sweep.transmit() {
            let start = probes.len();
            probes.extend_from_slice(probe);
            outbox.push(to, None, start..probes.len());
        }
        let sent = !outbox.is_empty();
        let mut failed = Vec::new();
        socket.send(&mut outbox, &probes, |at| failed.push(at));
        for at in failed {
            sweep.on_probe_failed(&probes[at]);
        }
        if sweep.is_done() {
            return;
        }
        deadline = sweep.deadline();
        let gathers = sweep.is_faster_than(GATHER);
        drop(sweep);
        if gathers && (sent || received > 0) && received < MAX_BATCH / 2 {
            thread::sleep(GATHER);
        }
    }
}
