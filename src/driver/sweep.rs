//! Starts sweeps.

use std::net::SocketAddr;

use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{Names, Worker, why};
use crate::net::{BatchSocket, Endpoint, Family, Options, destination, now};
use crate::ping::{Sweep, SweepConfig};
use crate::wire::MAX_SHOWN;
use crate::{Result, Target};

/// How long the kernel keeps packets for a neighbour that does not answer (ARP, NDP).
const UNRESOLVED_SECONDS: f64 = 3.0;

/// The bytes that the kernel charges a send buffer for a packet, besides its payload.
const PACKET_OVERHEAD: usize = 768;

/// The most bytes of send buffers to ask for, over all flows.
const MAX_HELD: usize = 128 << 20;

/// The most sockets, and threads, of a sweep, unless it has more flows.
const MAX_SOCKETS: usize = 16;

/// Starts a sweep of `endpoints` from any free ports, one for each flow. `found` are their addresses
/// or the resolver's reasons, and become the targets of `config`; a name is looked up again every
/// `resolve_every_ns` and while nothing answers.
///
/// Packets for dead neighbours hold the send buffer for seconds, so a large one is asked for. If the
/// system caps it, the targets are spread over groups with sockets of their own, so that living ones
/// are not starved.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket or a thread.
pub fn start(
    endpoints: &[Endpoint],
    found: Vec<Result<SocketAddr>>,
    resolve_every_ns: Option<i64>,
    mut config: SweepConfig,
) -> Result<Worker<Sweep>> {
    let dual = found.iter().flatten().any(SocketAddr::is_ipv6);
    // An IPv6 socket reaches IPv4, too.
    let family = if dual { Family::V6 } else { Family::V4 };
    let any = SocketAddr::new(family.unspecified(), 0);
    let now_ns = now().mono_ns;
    let mut names = Names::default();
    let target = |(number, (endpoint, found)): (usize, (&Endpoint, Result<SocketAddr>))| {
        let found = found.map(destination).map_err(|error| why(&error));
        let target = match (endpoint.literal(), found) {
            (Some(_), Ok(address)) => Target::from(address),
            (_, found) => {
                let family = if dual { endpoint.family } else { Some(family) };
                names.endpoints.insert(number, Endpoint { family, ..endpoint.clone() });
                let found = found.as_ref().copied().map_err(String::as_str);
                Target::named(found, resolve_every_ns, now_ns)
            }
        };
        (endpoint.host.clone(), endpoint.port, target)
    };
    config.targets = endpoints.iter().zip(found).enumerate().map(target).collect();
    config.dual = dual;
    let longest = Some(config.size.max(MAX_SHOWN));
    let held = bytes_held(&config);
    let send_buffer = held.div_ceil(config.flows as usize);
    let options =
        Options { kernel_stamps: true, probes: true, longest, send_buffer, ..Options::default() };
    let bind = || BatchSocket::bind(any, options);
    let mut sockets = vec![bind()?];
    let groups = groups_needed(&config, held, sockets[0].send_buffer());
    for _ in 1..groups * config.flows as usize {
        sockets.push(bind()?);
    }
    let address = sockets[0].local_address();
    let runs = sockets.into_iter().enumerate().map(|(index, socket)| {
        let interrupter = socket.interrupter();
        (interrupter, move |shared: &Shared<Sweep>| run(shared, index, socket, false, None))
    });
    Worker::spawn(Sweep::new(config, groups), names, (address, address), runs)
}

/// Returns the bytes of send buffers that hold all probes if all targets are dead neighbours,
/// as far as we ask for them.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate; casts saturate"
)]
fn bytes_held(config: &SweepConfig) -> usize {
    let SweepConfig { count, rounds, rate, size, .. } = *config;
    let total = config.targets.len() as f64
        * count as f64
        * rounds.map_or(f64::INFINITY, |rounds| rounds as f64);
    let probes = total.min(rate * UNRESOLVED_SECONDS);
    ((probes * (PACKET_OVERHEAD + size) as f64) as usize).min(MAX_HELD)
}

/// Returns how many groups of targets have enough sockets, with send buffers of this size, to hold
/// `held` bytes.
fn groups_needed(config: &SweepConfig, held: usize, send_buffer: usize) -> usize {
    let sockets = held.div_ceil(send_buffer).min(MAX_SOCKETS);
    sockets.div_ceil(config.flows as usize).min(config.targets.len()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_send_buffer_takes_more_sockets() {
        let config = |targets, rate| SweepConfig {
            targets: vec![(String::new(), 7, Target::named(Err(""), None, 0)); targets],
            dual: false,
            count: 1,
            rounds: Some(1),
            rate,
            timeout_ns: 1,
            size: 64,
            key: None,
            flows: 1,
            keep: None,
            probes: false,
            events: 0,
        };
        let needed = |config: &_, buffer| groups_needed(config, bytes_held(config), buffer);
        assert_eq!(needed(&config(400, 1000.0), 8 << 20), 1);
        assert_eq!(needed(&config(400, 1000.0), 212_992), 2);
        assert_eq!(needed(&config(10_000, 100.0), 212_992), 2, "the packets of 3 s");
        assert_eq!(needed(&config(1_000_000, 1e9), 212_992), MAX_SOCKETS);
        assert_eq!(needed(&config(1, 1e-9), 212_992), 1);
        let many = SweepConfig { count: 10_000, ..config(3, 1000.0) };
        assert_eq!(needed(&many, 212_992), 3, "no more than targets");
        let endless = SweepConfig { rounds: None, ..config(400, 1000.0) };
        assert_eq!(needed(&endless, 212_992), 12);
        let flows = SweepConfig { flows: 8, ..endless };
        assert_eq!(needed(&flows, 212_992), 2, "each flow has a socket");
        assert_eq!(needed(&config(0, 1.0), 212_992), 1);
    }
}
