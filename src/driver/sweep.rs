//! Starts sweeps.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Result;
use crate::driver::Worker;
use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::net::{BatchSocket, Options, on_ipv6};
use crate::ping::{Sweep, SweepConfig};

/// How long the kernel keeps packets for a neighbour that does not answer (ARP, NDP).
const UNRESOLVED_SECONDS: f64 = 3.0;

/// The bytes that the kernel charges a send buffer for a packet, besides its payload.
const PACKET_OVERHEAD: usize = 768;

/// The most sockets, and threads, of a sweep.
const MAX_SOCKETS: usize = 16;

/// Starts a sweep from any free ports.
///
/// Packets for dead neighbours hold the send buffer for seconds. If the system caps it, the sweep
/// is spread over more sockets, so that living targets are not starved.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket or a thread.
pub fn start(mut config: SweepConfig) -> Result<Worker<Sweep>> {
    let mut any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    if config.targets.iter().any(SocketAddr::is_ipv6) {
        // An IPv6 socket reaches IPv4, too.
        any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        config.targets.iter_mut().for_each(|target| *target = on_ipv6(*target));
    }
    let bind = || BatchSocket::bind(any, Options { kernel_stamps: true, ..Options::default() });
    let mut sockets = vec![bind()?];
    let needed = sockets_needed(&config, sockets[0].send_buffer());
    while sockets.len() < needed {
        sockets.push(bind()?);
    }
    let address = sockets[0].local_address();
    let runs = sockets.into_iter().enumerate().map(|(index, socket)| {
        let interrupter = socket.interrupter();
        (interrupter, move |shared: &Shared<Sweep>| run(shared, index, socket, false))
    });
    Worker::spawn(Sweep::new(&config, needed), (address, address), runs)
}

/// Returns how many sockets with send buffers of this size hold all probes to dead neighbours.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate; casts saturate"
)]
fn sockets_needed(config: &SweepConfig, send_buffer: usize) -> usize {
    let total = config.targets.len() as f64 * config.count as f64;
    let held = total.min(config.rate * UNRESOLVED_SECONDS);
    let bytes = held * (PACKET_OVERHEAD + config.size) as f64;
    let sockets = (bytes / send_buffer as f64).ceil() as usize;
    sockets.min(config.targets.len()).clamp(1, MAX_SOCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_send_buffer_takes_more_sockets() {
        let config = |targets, rate| SweepConfig {
            targets: vec![SocketAddr::from(([127, 0, 0, 1], 7)); targets],
            count: 1,
            rate,
            timeout_ns: 1,
            size: 64,
        };
        assert_eq!(sockets_needed(&config(400, 1000.0), 8 << 20), 1);
        assert_eq!(sockets_needed(&config(400, 1000.0), 212_992), 2);
        assert_eq!(sockets_needed(&config(10_000, 100.0), 212_992), 2, "the packets of 3 s");
        assert_eq!(sockets_needed(&config(1_000_000, 1e9), 212_992), MAX_SOCKETS);
        assert_eq!(sockets_needed(&config(1, 1e-9), 212_992), 1);
        let many = SweepConfig { count: 10_000, ..config(3, 1000.0) };
        assert_eq!(sockets_needed(&many, 212_992), 3, "no more than targets");
    }
}
