//! Starts sweeps.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Result;
use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{Names, Worker};
use crate::net::{BatchSocket, Options, destination, on_ipv6};
use crate::ping::{Sweep, SweepConfig};

/// How long the kernel keeps packets for a neighbour that does not answer (ARP, NDP).
const UNRESOLVED_SECONDS: f64 = 3.0;

/// The bytes that the kernel charges a send buffer for a packet, besides its payload.
const PACKET_OVERHEAD: usize = 768;

/// The most sockets, and threads, of a sweep, unless it has more flows.
const MAX_SOCKETS: usize = 16;

/// Starts a sweep from any free ports, one for each flow.
///
/// Packets for dead neighbours hold the send buffer for seconds. If the system caps it, the targets
/// are spread over groups with sockets of their own, so that living ones are not starved.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket or a thread.
pub fn start(mut config: SweepConfig) -> Result<Worker<Sweep>> {
    for target in &mut config.targets {
        *target = destination(*target);
    }
    let mut any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    if config.targets.iter().any(SocketAddr::is_ipv6) {
        // An IPv6 socket reaches IPv4, too.
        any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        config.targets.iter_mut().for_each(|target| *target = on_ipv6(*target));
    }
    let options = Options { kernel_stamps: true, errors: true, ..Options::default() };
    let bind = || BatchSocket::bind(any, options);
    let mut sockets = vec![bind()?];
    let groups = groups_needed(&config, sockets[0].send_buffer());
    for _ in 1..groups * config.flows as usize {
        sockets.push(bind()?);
    }
    let address = sockets[0].local_address();
    let runs = sockets.into_iter().enumerate().map(|(index, socket)| {
        let interrupter = socket.interrupter();
        (interrupter, move |shared: &Shared<Sweep>| run(shared, index, socket, false))
    });
    Worker::spawn(Sweep::new(config, groups), Names::default(), (address, address), runs)
}

/// Returns how many groups of targets have enough sockets, with send buffers of this size, to hold
/// all probes to dead neighbours.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate; casts saturate"
)]
fn groups_needed(config: &SweepConfig, send_buffer: usize) -> usize {
    let SweepConfig { count, rounds, rate, size, .. } = *config;
    let (targets, flows) = (config.targets.len(), config.flows as usize);
    let total =
        targets as f64 * count as f64 * rounds.map_or(f64::INFINITY, |rounds| rounds as f64);
    let held = total.min(rate * UNRESOLVED_SECONDS);
    let bytes = held * (PACKET_OVERHEAD + size) as f64;
    let sockets = (bytes / send_buffer as f64).ceil() as usize;
    sockets.min(MAX_SOCKETS).div_ceil(flows).min(targets).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_send_buffer_takes_more_sockets() {
        let config = |targets, rate| SweepConfig {
            targets: vec![SocketAddr::from(([127, 0, 0, 1], 7)); targets],
            count: 1,
            rounds: Some(1),
            rate,
            timeout_ns: 1,
            size: 64,
            flows: 1,
            keep: None,
            events: 0,
        };
        assert_eq!(groups_needed(&config(400, 1000.0), 8 << 20), 1);
        assert_eq!(groups_needed(&config(400, 1000.0), 212_992), 2);
        assert_eq!(groups_needed(&config(10_000, 100.0), 212_992), 2, "the packets of 3 s");
        assert_eq!(groups_needed(&config(1_000_000, 1e9), 212_992), MAX_SOCKETS);
        assert_eq!(groups_needed(&config(1, 1e-9), 212_992), 1);
        let many = SweepConfig { count: 10_000, ..config(3, 1000.0) };
        assert_eq!(groups_needed(&many, 212_992), 3, "no more than targets");
        let endless = SweepConfig { rounds: None, ..config(400, 1000.0) };
        assert_eq!(groups_needed(&endless, 212_992), 12);
        let flows = SweepConfig { flows: 8, ..endless };
        assert_eq!(groups_needed(&flows, 212_992), 2, "each flow has a socket");
        assert_eq!(groups_needed(&config(0, 1.0), 212_992), 1);
    }
}
