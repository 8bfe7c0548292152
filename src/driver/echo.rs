//! Starts echo servers.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Result;
use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{Names, Worker};
use crate::echo::{Config, Echo};
use crate::net::{BatchSocket, Options, Registered};

/// Starts a server on `address` with `threads` threads.
///
/// If several sockets can share an address, each thread has its own, and the kernel gives all
/// packets of a client to one of them. They share one machine. Each thread sends the replies that
/// it delays, so that a client's packets leave in order.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the system refuses the address or a thread.
pub fn start(address: SocketAddr, threads: usize, config: Config) -> Result<Worker<Echo>> {
    let threads = if BatchSocket::CAN_SHARE { threads } else { 1 };
    let options = Options {
        kernel_stamps: config.keep > 0,
        offload: true,
        shared: threads > 1,
        answers: true,
        probes: false,
    };
    let first = BatchSocket::bind(address, options)?;
    let (address, waker) = (first.local_address(), first.waker());
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(BatchSocket::bind(address, options)?);
    }
    let registered = Arc::new(Registered::new(address));
    let runs = sockets.into_iter().enumerate().map(|(thread, socket)| {
        let registered = Arc::clone(&registered);
        let interrupter = socket.interrupter();
        let run = move |shared: &Shared<Echo>| {
            run(shared, thread, socket, true);
            drop(registered);
        };
        (interrupter, run)
    });
    let ends = (address, address);
    let worker = Worker::spawn(Echo::shared(config, threads), Names::default(), ends, runs)?;
    // It wakes any of several threads; each looks for changes when it wakes.
    worker.set_waker(waker);
    Ok(worker)
}
