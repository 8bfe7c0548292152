//! The thread that joins a sweep to a socket of batches.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::driver::worker::Shared;
use crate::net::{Batch, BatchSocket, GATHER, Options, Outbox, Waited, now, on_ipv6};
use crate::ping::Sweep;
use crate::{Machine, Result, Worker};

/// Starts a sweep from any port.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the system refuses a socket or a thread.
pub fn start(sweep: Sweep) -> Result<Worker<Sweep>> {
    // A socket of IPv6 reaches IPv4, too.
    let address = if sweep.targets().iter().all(SocketAddr::is_ipv4) {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let options = Options { kernel_stamps: true, ..Options::default() };
    let mut socket = BatchSocket::bind(address, options)?;
    let address = socket.local_address();
    let interrupter = socket.interrupter();
    let run = move |shared: &Shared<Sweep>| run(shared, &mut socket);
    Worker::spawn(sweep, (address, address), [(interrupter, run)])
}

fn run(shared: &Shared<Sweep>, socket: &mut BatchSocket) {
    let ipv6 = socket.local_address().is_ipv6();
    let (mut batch, mut outbox, mut probes) = (Batch::default(), Outbox::default(), Vec::new());
    let mut deadline = shared.lock().deadline();
    loop {
        let waited = socket.receive(&mut batch, deadline);
        let mut sweep = shared.lock();
        match waited {
            Waited::Interrupted => return,
            Waited::Nothing => sweep.on_time(now()),
            Waited::Received => {
                let read = now();
                for (message, datagram) in batch.datagrams() {
                    let kernel_ns = BatchSocket::STAMPS.then_some(message.at.mono_ns);
                    sweep.on_stamped(read, kernel_ns, datagram);
                }
            }
        }
        probes.clear();
        while let Some((to, probe)) = sweep.transmit() {
            let start = probes.len();
            probes.extend_from_slice(probe);
            outbox.push(if ipv6 { on_ipv6(to) } else { to }, None, start..probes.len());
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
        // Probes of which many go out in this time go at once, too.
        let gathers = sweep.is_faster_than(GATHER) && (sent || waited == Waited::Received);
        drop(sweep);
        if gathers {
            batch.gather();
        }
    }
}
