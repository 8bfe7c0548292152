//! Captures: files that a thread of their own writes.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, mem};

use crate::net::now;
use crate::wire::pcapng::{self, Packet};
use crate::{Captured, Error, Headers, Machine, Point, Result};

/// How many bytes may wait for the thread that writes.
const CAPACITY: usize = 16 << 20;

/// The settings of a capture.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// The path of the file.
    pub path: PathBuf,
    /// The most bytes that are kept of a packet, with its headers; 0 for all.
    pub snaplen: u32,
    /// The most bytes of the file; later packets are dropped.
    pub limit: u64,
}

/// A capture's blocks on their way to the file.
#[derive(Default)]
pub struct Capture {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Whole blocks that are not written yet.
    bytes: Vec<u8>,
    /// How many more bytes the file may have.
    room: u64,
    /// How many packets were at each point, and how many of them were dropped.
    counts: Vec<(u64, u64)>,
    /// Whether no more packets come.
    ended: bool,
    /// Why the file cannot be written.
    error: Option<io::Error>,
}

impl Capture {
    /// Returns how many packets the file has not: it was full, or could not be written in time.
    pub fn dropped(&self) -> u64 {
        self.lock().counts.iter().map(|(_, dropped)| dropped).sum()
    }

    /// Returns the system's error code if the file cannot be written.
    pub fn error(&self) -> Option<io::Error> {
        let code = self.lock().error.as_ref()?.raw_os_error();
        code.map(io::Error::from_raw_os_error)
    }

    /// Adds the block of a packet at a point, if there is room.
    fn add(&self, point: usize, block: &[u8]) {
        let mut queue = self.lock();
        let fits = queue.error.is_none()
            && queue.bytes.len() + block.len() <= CAPACITY
            && queue.room >= block.len() as u64;
        if let Some((received, dropped)) = queue.counts.get_mut(point) {
            *received += 1;
            *dropped += u64::from(!fits);
        }
        if fits {
            queue.room -= block.len() as u64;
            queue.bytes.extend_from_slice(block);
        }
    }

    /// Writes the blocks until the end, and the counts after them.
    fn write(&self, mut file: File) {
        let mut bytes = Vec::new();
        loop {
            let mut queue = self.lock();
            while queue.bytes.is_empty() && !queue.ended {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let ended = queue.ended;
            mem::swap(&mut queue.bytes, &mut bytes);
            if ended {
                let at_ns = now().wall_ns;
                for (point, (received, dropped)) in (0..).zip(&queue.counts) {
                    pcapng::statistics(&mut bytes, point, at_ns, *received, *dropped);
                }
            }
            drop(queue);
            if let Err(error) = file.write_all(&bytes) {
                self.lock().error = Some(error);
                return;
            }
            if ended {
                return;
            }
            bytes.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").finish_non_exhaustive()
    }
}

/// The thread that writes a capture. Dropping the last handle to it completes the file.
#[derive(Debug)]
pub(super) struct Writer {
    capture: Arc<Capture>,
    points: &'static [Point],
    snaplen: u32,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Creates the file and starts the thread.
    pub(super) fn start(config: &CaptureConfig, points: &'static [Point]) -> Result<Arc<Self>> {
        let &CaptureConfig { ref path, snaplen, limit } = config;
        let failed = || Error::io("write", path.display());
        let file = File::create(path).map_err(failed())?;
        let mut bytes = Vec::new();
        pcapng::header(&mut bytes, concat!("udpulse ", env!("CARGO_PKG_VERSION")));
        for point in points {
            pcapng::interface(&mut bytes, point, snaplen);
        }
        let room = limit.saturating_sub(bytes.len() as u64);
        let counts = vec![(0, 0); points.len()];
        let queue = Mutex::new(Queue { bytes, room, counts, ..Queue::default() });
        let capture = Arc::new(Capture { queue, ..Capture::default() });
        let ours = Arc::clone(&capture);
        let thread = thread::Builder::new()
            .name("udpulse".to_owned())
            .spawn(move || ours.write(file))
            .map_err(failed())?;
        Ok(Arc::new(Self { capture, points, snaplen, thread: Some(thread) }))
    }

    /// Returns the capture, which outlives the thread.
    pub(super) fn capture(&self) -> Arc<Capture> {
        Arc::clone(&self.capture)
    }

    /// Removes packets and passes them on; `ends` returns the addresses of this host and of the
    /// far end. Never waits for the file.
    pub(super) fn add(
        &self,
        captured: &mut Vec<Captured>,
        ends: impl Fn(&Captured) -> (SocketAddr, SocketAddr),
    ) {
        if captured.is_empty() {
            return;
        }
        let mut block = Vec::new();
        for one in captured.drain(..) {
            let (local, remote) = ends(&one);
            let Captured { point, at_ns, headers, ref payload, ref comment, .. } = one;
            let Some(Point { outbound, .. }) = self.points.get(point) else { continue };
            let (from, to) = if *outbound { (local, remote) } else { (remote, local) };
            let packet = Packet {
                point: u32::try_from(point).unwrap_or(u32::MAX),
                at_ns: at_ns.unwrap_or_else(|| now().wall_ns),
                from,
                to,
                headers,
                payload,
                outbound: *outbound,
                comment,
            };
            block.clear();
            pcapng::packet(&mut block, &packet, self.snaplen);
            self.capture.add(point, &block);
        }
        self.capture.changed.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.capture.lock().ended = true;
        self.capture.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The only error is a panic of the thread, which has been reported by then.
            let _ = thread.join();
        }
    }
}

/// The capture of a machine's packets at one socket.
#[derive(Debug)]
pub(super) struct Tap {
    writer: Arc<Writer>,
    local: SocketAddr,
    /// The header of datagrams that leave.
    headers: Headers,
    captured: Vec<Captured>,
}

impl Tap {
    /// Creates a tap of a socket with the address `local`, whose datagrams leave with `headers`.
    pub(super) fn new(writer: &Arc<Writer>, local: SocketAddr, headers: Headers) -> Self {
        Self { writer: Arc::clone(writer), local, headers, captured: Vec::new() }
    }

    /// Collects packets of the machine, which is locked.
    pub(super) fn collect(&mut self, machine: &mut impl Machine, socket: usize) {
        if let Some(captured) = machine.captured(socket) {
            mem::swap(captured, &mut self.captured);
        }
    }

    /// Passes the collected packets on.
    pub(super) fn pass(&mut self) {
        let Self { writer, local, headers, captured } = self;
        for one in &mut *captured {
            if writer.points.get(one.point).is_some_and(|point| point.outbound) {
                one.headers.ttl = one.headers.ttl.or(headers.ttl);
                one.headers.tos = one.headers.tos.or(headers.tos);
            }
        }
        writer.add(captured, |one| {
            let ip = one.local.map_or(local.ip(), |local| local.ip);
            (SocketAddr::new(ip, local.port()), one.remote.unwrap_or(*local))
        });
    }
}
