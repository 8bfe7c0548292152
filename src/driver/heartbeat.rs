//! Starts heartbeat servers and clients.

use std::net::SocketAddr;

use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{Names, Worker};
use crate::heartbeat::{Client, ClientConfig, Server, ServerConfig};
use crate::net::{BatchSocket, Endpoint, Family, Options, Registered, Socket, destination};
use crate::{Result, Target, on_ipv6};

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
        run(shared, 0, socket, registered.is_some(), None);
        drop(registered);
    };
    Worker::spawn(Server::new(config), Names::default(), (address, address), [(interrupter, run)])
}

/// Starts a client of `endpoints`. Names are looked up while it runs, every `resolve_every_ns` and
/// while their server cannot be reached.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses a socket or a thread.
pub fn start_client(
    endpoints: Vec<Endpoint>,
    resolve_every_ns: Option<i64>,
    config: ClientConfig,
) -> Result<Worker<Client>> {
    let addresses: Vec<_> =
        endpoints.iter().map(|endpoint| endpoint.literal().map(destination)).collect();
    let bind = |family: Family| Socket::bind(SocketAddr::new(family.unspecified(), 0));
    // An IPv6 socket reaches IPv4, too, but some hosts have no IPv6.
    let is_ipv4 = |address: &Option<SocketAddr>| address.is_some_and(|address| address.is_ipv4());
    let (socket, dual) = if addresses.iter().all(is_ipv4) {
        (bind(Family::V4)?, false)
    } else {
        match bind(Family::V6) {
            Ok(socket) => (socket, true),
            Err(_) => (bind(Family::V4)?, false),
        }
    };
    if config.broadcast {
        socket.permit_broadcast()?;
    }
    let target = |address: Option<SocketAddr>| match address {
        Some(address) => Target::from(if dual { on_ipv6(address) } else { address }),
        None => Target::unknown(resolve_every_ns),
    };
    let servers = addresses.into_iter().map(target).collect();
    let family = if dual { None } else { Some(Family::V4) };
    let endpoints = endpoints.into_iter().map(|endpoint| Endpoint { family, ..endpoint });
    let endpoints = endpoints.enumerate().collect();
    let address = socket.local_address();
    let client = Client::new(ClientConfig { servers, ..config });
    Worker::start(socket, address, client, Names { endpoints, dual })
}
