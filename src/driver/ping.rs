//! Starts ping sessions.

use std::net::SocketAddr;

use crate::Result;
use crate::driver::Worker;
use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::net::{ProbeOptions, ProbeSocket, now};
use crate::ping::{Config, Flows};

/// Starts a session with `target` over `flows` sockets. If `options` name a source port, the
/// sockets use consecutive ports from it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket or a thread.
pub fn start(
    target: SocketAddr,
    options: &ProbeOptions,
    config: Config,
    flows: u32,
) -> Result<Worker<Flows>> {
    let connect = |flow| ProbeSocket::connect(target, &of_flow(options, flow));
    let sockets = (0..flows).map(connect).collect::<Result<Vec<_>>>()?;
    let ends = (sockets[0].local_address(), sockets[0].peer_address());
    let flows = Flows::new(Config { target: ends.1, ..config }, flows, now());
    let runs = sockets.into_iter().enumerate().map(|(flow, socket)| {
        let interrupter = socket.interrupter();
        (interrupter, move |shared: &Shared<Flows>| run(shared, flow, socket, false))
    });
    Worker::spawn(flows, ends, runs)
}

fn of_flow(options: &ProbeOptions, flow: u32) -> ProbeOptions {
    let mut options = options.clone();
    if let (Some(source), Ok(flow)) = (&mut options.source, u16::try_from(flow))
        && source.port() > 0
    {
        source.set_port(source.port().saturating_add(flow));
    }
    options
}
