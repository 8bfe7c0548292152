//! Starts ping sessions.

use std::net::SocketAddr;

use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{Names, Worker};
use crate::net::{Endpoint, ProbeOptions, ProbeSocket, destination, now};
use crate::ping::{Config, Flows};
use crate::{Result, Target};

/// Starts a session with `endpoint`, whose address is `target`, over `flows` sockets. If `options`
/// name a source port, the sockets use consecutive ports from it. A name is looked up again every
/// `resolve_every_ns` and while nothing answers.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket or a thread.
pub fn start(
    (endpoint, target): (&Endpoint, SocketAddr),
    resolve_every_ns: Option<i64>,
    options: &ProbeOptions,
    config: Config,
    flows: u32,
) -> Result<Worker<Flows>> {
    let target = destination(target);
    let bind = |flow| ProbeSocket::bind(target.into(), &of_flow(options, flow));
    let sockets = (0..flows).map(bind).collect::<Result<Vec<_>>>()?;
    let (ends, start) = ((sockets[0].local_address(), target), now());
    let server = match endpoint.literal() {
        Some(_) => Target::from(target),
        None => Target::named(Ok(target), resolve_every_ns, start.mono_ns),
    };
    // The sockets have one family.
    let endpoint = Endpoint { family: Some(target.into()), ..endpoint.clone() };
    let names = Names { endpoints: vec![endpoint], dual: false };
    let flows = Flows::new(server, &Config { target, ..config }, flows, start);
    let runs = sockets.into_iter().enumerate().map(|(flow, socket)| {
        let interrupter = socket.interrupter();
        (interrupter, move |shared: &Shared<Flows>| run(shared, flow, socket, false))
    });
    Worker::spawn(flows, names, ends, runs)
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
