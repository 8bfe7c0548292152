//! The threads that join the flows of a ping session to their sockets.

use std::net::SocketAddr;

use crate::driver::worker::{ROW, Shared, flush};
use crate::net::{Arrival, ProbeOptions, ProbeSocket, now};
use crate::ping::{Config, Flows};
use crate::{Machine, Result, Worker};

/// Starts a session with `target` over so many flows, each from a socket that `options` describe;
/// where they name a port, it is the first of as many in a row.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the system refuses a socket or a thread.
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
    let runs = sockets.into_iter().enumerate().map(|(flow, mut socket)| {
        let interrupter = socket.interrupter();
        let run = move |shared: &Shared<Flows>| run(shared, flow, &mut socket);
        (interrupter, run)
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

fn run(shared: &Shared<Flows>, flow: usize, socket: &mut ProbeSocket) {
    socket.settle_in();
    let peer = socket.peer_address();
    let mut row = 0;
    loop {
        let deadline = {
            let mut flows = shared.lock();
            let session = flows.session(flow);
            // Time is up only for what has not come; but what is due is sent at once.
            if row == 0 {
                session.on_time(now());
            } else {
                session.on_slot(now());
            }
            session.on_local_drops(socket.drops());
            flush(session, |_, datagram| socket.send(datagram));
            let (done, deadline) = (session.is_done(), session.deadline());
            flows.collect(flow);
            shared.tell(&mut flows);
            if done {
                return;
            }
            deadline
        };
        let arrival = socket.receive(deadline);
        row = if matches!(arrival, Arrival::Nothing) { 0 } else { (row + 1) % ROW };
        match arrival {
            Arrival::Datagram { at, kernel_ns, datagram } => {
                shared.lock().session(flow).on_stamped(at, kernel_ns, peer, datagram);
            }
            Arrival::Departed { id, kernel_ns } => {
                shared.lock().session(flow).on_departed(u64::from(id) + 1, kernel_ns);
            }
            Arrival::Refused(Some(datagram)) => {
                shared.lock().session(flow).on_probe_refused(datagram);
            }
            Arrival::Refused(None) => shared.lock().session(flow).on_refused(),
            Arrival::Nothing => {}
            Arrival::Interrupted => return,
        }
    }
}
