//! Starts echo servers.

use std::net::SocketAddr;

use crate::Result;
use crate::driver::servers::serve;
use crate::driver::{CaptureConfig, Worker};
use crate::echo::{Config, Echo};
use crate::net::Options;
use crate::path::ROUND_TRIP;

/// Starts a server on `address` with `threads` threads; on a platform whose sockets cannot share an
/// address, with one.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses the address, the file of a capture or a thread.
pub fn start(
    address: SocketAddr,
    threads: usize,
    config: Config,
    capture: Option<&CaptureConfig>,
) -> Result<Worker<Echo>> {
    let config = Config { capture: capture.is_some(), ..config };
    let options = Options {
        kernel_stamps: config.keep > 0 || config.capture,
        offload: true,
        answers: true,
        ..Options::default()
    };
    let capture = capture.map(|config| (config, &ROUND_TRIP[..]));
    serve(address, threads, options, capture, |_, threads| Echo::shared(config, threads))
}
