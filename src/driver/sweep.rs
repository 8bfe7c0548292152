//! Starts sweeps.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::net::{BatchSocket, Options, on_ipv6};
use crate::ping::{Sweep, SweepConfig};
use crate::{Result, Worker};

/// Starts a sweep from any port.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket or a thread.
pub fn start(mut config: SweepConfig) -> Result<Worker<Sweep>> {
    let mut any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    if config.targets.iter().any(SocketAddr::is_ipv6) {
        // A socket of IPv6 reaches IPv4, too.
        any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        config.targets.iter_mut().for_each(|target| *target = on_ipv6(*target));
    }
    let socket = BatchSocket::bind(any, Options { kernel_stamps: true, ..Options::default() })?;
    let address = socket.local_address();
    let interrupter = socket.interrupter();
    let run = move |shared: &Shared<Sweep>| run(shared, 0, socket, false);
    Worker::spawn(Sweep::new(config), (address, address), [(interrupter, run)])
}
