//! Starts reflectors.

use std::net::SocketAddr;

use crate::Result;
use crate::driver::Worker;
use crate::driver::servers::serve;
use crate::net::Options;
use crate::stamp::{Reflector, ReflectorConfig};

/// Starts a reflector on `address` with `threads` threads; on a platform whose sockets cannot share
/// an address, with one.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses the address or a thread.
pub fn start(
    address: SocketAddr,
    threads: usize,
    config: ReflectorConfig,
) -> Result<Worker<Reflector>> {
    // No offload: packets that arrive in one piece would share one timestamp.
    let options = Options { kernel_stamps: true, reflects: true, ..Options::default() };
    serve(address, threads, options, None, |local, threads| {
        Reflector::shared(config, local, threads)
    })
}
