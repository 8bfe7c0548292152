//! The thread that joins a ping session to its socket.

use std::net::SocketAddr;

use crate::net::{Arrival, ProbeOptions, ProbeSocket, now};
use crate::ping::{Config, Session};
use crate::worker::{ROW, Shared, flush};
use crate::{Machine, Result, Worker};

/// Starts a session with `target`, over the socket that `options` describe.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) where the system refuses the socket or the thread.
pub fn start(
    target: SocketAddr,
    options: &ProbeOptions,
    config: Config,
) -> Result<Worker<Session>> {
    let mut socket = ProbeSocket::connect(target, options)?;
    let ends = (socket.local_address(), socket.peer_address());
    let session = Session::new(Config { target: ends.1, ..config });
    let interrupter = socket.interrupter();
    let run = move |shared: &Shared<Session>| run(shared, &mut socket);
    Worker::spawn(session, ends, [(interrupter, run)])
}

fn run(shared: &Shared<Session>, socket: &mut ProbeSocket) {
    socket.settle_in();
    let peer = socket.peer_address();
    let mut row = 0;
    loop {
        let deadline = {
            let mut session = shared.lock();
            // Time is up only for what has not come; but what is due is sent at once.
            if row == 0 {
                session.on_time(now());
            } else {
                session.on_slot(now());
            }
            session.on_local_drops(socket.drops());
            flush(&mut *session, |_, datagram| socket.send(datagram));
            shared.tell(&mut session);
            if session.is_done() {
                return;
            }
            session.deadline()
        };
        let arrival = socket.receive(deadline);
        row = if matches!(arrival, Arrival::Nothing) { 0 } else { (row + 1) % ROW };
        match arrival {
            Arrival::Datagram { at, kernel_ns, datagram } => {
                shared.lock().on_stamped(at, kernel_ns, peer, datagram);
            }
            Arrival::Departed { id, kernel_ns } => {
                shared.lock().on_departed(u64::from(id) + 1, kernel_ns);
            }
            Arrival::Refused(Some(datagram)) => shared.lock().on_probe_refused(datagram),
            Arrival::Refused(None) => shared.lock().on_refused(),
            Arrival::Nothing => {}
            Arrival::Interrupted => return,
        }
    }
}
