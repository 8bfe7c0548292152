//! Starts servers that answer on several threads.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::driver::capture::{Tap, Writer};
use crate::driver::event_loop::run;
use crate::driver::worker::Shared;
use crate::driver::{CaptureConfig, Names, Worker};
use crate::net::{BatchSocket, Options, Registered};
use crate::{Headers, Machine, Point, Result};

/// Starts a server on `address` with `threads` threads; `make` creates its machine for the bound
/// address and the number of its threads.
///
/// If several sockets can share an address, each thread has its own, and the kernel gives all
/// packets of a client to one of them. They share one machine. Each thread sends the replies that
/// it delays, so that a client's packets leave in order. A capture has the machine's points.
pub(super) fn serve<M: Machine>(
    address: SocketAddr,
    threads: usize,
    options: Options,
    capture: Option<(&CaptureConfig, &'static [Point])>,
    make: impl FnOnce(SocketAddr, usize) -> M,
) -> Result<Worker<M>> {
    let threads = if BatchSocket::CAN_SHARE { threads } else { 1 };
    let options = Options { shared: threads > 1, ..options };
    let first = BatchSocket::bind(address, options)?;
    let (address, waker) = (first.local_address(), first.waker());
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(BatchSocket::bind(address, options)?);
    }
    let writer = capture.map(|(config, points)| Writer::start(config, points)).transpose()?;
    let registered = Arc::new(Registered::new(address));
    let runs = sockets.into_iter().enumerate().map(|(thread, socket)| {
        let registered = Arc::clone(&registered);
        let headers = Headers { ttl: BatchSocket::ANSWER_TTL, tos: None };
        let tap = writer.as_ref().map(|writer| Tap::new(writer, address, headers));
        let interrupter = socket.interrupter();
        let run = move |shared: &Shared<M>| {
            run(shared, thread, socket, true, tap);
            drop(registered);
        };
        (interrupter, run)
    });
    let ends = (address, address);
    let worker = Worker::spawn(make(address, threads), Names::default(), ends, runs)?;
    let worker = worker.with_capture(writer);
    // It wakes any of several threads; each looks for changes when it wakes.
    worker.set_waker(waker);
    Ok(worker)
}
