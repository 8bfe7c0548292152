//! Starts echo servers.

use std::net::SocketAddr;

use crate::Result;
use crate::driver::Worker;
use crate::driver::servers::serve;
use crate::echo::{Config, Echo};
use crate::net::Options;

/// Starts a server on `address` with `threads` threads; on a platform whose sockets cannot share an
/// address, with one.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses the address or a thread.
pub fn start(address: SocketAddr, threads: usize, config: Config) -> Result<Worker<Echo>> {
    let options = Options {
        kernel_stamps: config.keep > 0,
        offload: true,
        answers: true,
        ..Options::default()
    };
    serve(address, threads, options, |_, threads| Echo::shared(config, threads))
}
