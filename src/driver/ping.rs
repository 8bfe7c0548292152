//! Starts ping sessions.

use std::net::SocketAddr;

use crate::driver::capture::{Tap, Writer};
use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{CaptureConfig, Names, Worker};
use crate::net::{Endpoint, ProbeOptions, ProbeSocket, destination, now, source};
use crate::ping::{Config, Flows, POINTS};
use crate::{Headers, Result, Target};

/// Starts a session with `endpoint`, whose address is `target`, over `flows` sockets. If `options`
/// name a source port, the sockets use consecutive ports from it. A name is looked up again every
/// `resolve_every_ns` and while nothing answers.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket, the file of a capture or a thread.
pub fn start(
    (endpoint, target): (&Endpoint, SocketAddr),
    resolve_every_ns: Option<i64>,
    options: &ProbeOptions,
    config: Config,
    flows: u32,
    capture: Option<&CaptureConfig>,
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
    let names = Names { endpoints: [(0, endpoint)].into(), dual: false };
    let writer = capture.map(|capture| Writer::start(capture, &POINTS)).transpose()?;
    let config = Config { target, capture: writer.is_some(), ..config };
    let flows = Flows::new(server, &config, flows, start);
    let runs = sockets.into_iter().enumerate().map(|(flow, socket)| {
        let interrupter = socket.interrupter();
        let tap = writer.as_ref().map(|writer| {
            let mut local = socket.local_address();
            if local.ip().is_unspecified() {
                local.set_ip(source(target));
            }
            Tap::new(writer, local, headers(options))
        });
        (interrupter, move |shared: &Shared<Flows>| run(shared, flow, socket, false, tap))
    });
    Ok(Worker::spawn(flows, names, ends, runs)?.with_capture(writer))
}

/// Returns the fields of the header that `options` ask for.
fn headers(options: &ProbeOptions) -> Headers {
    let field = |value: u32| u8::try_from(value).ok();
    Headers {
        ttl: options.ttl.and_then(field),
        tos: options.dscp.and_then(|dscp| field(dscp << 2)),
    }
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
