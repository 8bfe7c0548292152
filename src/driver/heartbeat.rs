//! Starts heartbeat servers.

use std::net::SocketAddr;

use crate::Result;
use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{Names, Worker};
use crate::heartbeat::{Server, ServerConfig};
use crate::net::{BatchSocket, Options, Registered};

/// Starts a server on `address`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses the address or a thread.
pub fn start(address: SocketAddr, config: ServerConfig) -> Result<Worker<Server>> {
    let options = Options { kernel_stamps: true, answers: config.reply, ..Options::default() };
    let socket = BatchSocket::bind(address, options)?;
    let address = socket.local_address();
    let interrupter = socket.interrupter();
    let registered = config.reply.then(|| Registered::new(address));
    let run = move |shared: &Shared<Server>| {
        run(shared, 0, socket, registered.is_some());
        drop(registered);
    };
    Worker::spawn(Server::new(config), Names::default(), (address, address), [(interrupter, run)])
}
