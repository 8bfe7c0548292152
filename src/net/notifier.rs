//! Wakeups for event loops that watch sockets.

use std::io;
#[cfg(unix)]
use std::os::{fd::IntoRawFd, unix::net::UnixDatagram as Datagram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(windows)]
use std::{net::UdpSocket as Datagram, os::windows::io::IntoRawSocket};

/// The sending half of a socket pair, with a number. The receiving half belongs to an event loop,
/// such as Python's, which needs no extra thread to wait for it. Notifiers of different numbers share
/// it, because descriptors are few.
#[derive(Debug)]
pub struct Notifier {
    pair: Arc<Pair>,
    number: u64,
}

#[derive(Debug)]
struct Pair {
    ours: Datagram,
    /// The numbers of raised notifiers.
    raised: Mutex<Vec<u64>>,
    last: AtomicU64,
}

/// Raw descriptor of the receiving half; the caller owns it.
#[cfg(unix)]
pub type Receiver = std::os::fd::RawFd;
/// Raw descriptor of the receiving half; the caller owns it.
#[cfg(windows)]
pub type Receiver = std::os::windows::io::RawSocket;

impl Notifier {
    /// Creates a pair.
    ///
    /// # Errors
    /// The system's error if it has no more sockets.
    pub fn pair() -> io::Result<(Self, Receiver)> {
        let (ours, theirs) = pair()?;
        ours.set_nonblocking(true)?;
        #[cfg(unix)]
        let receiver = theirs.into_raw_fd();
        #[cfg(windows)]
        let receiver = theirs.into_raw_socket();
        let pair = Pair { ours, raised: Mutex::default(), last: AtomicU64::new(0) };
        Ok((Self { pair: Arc::new(pair), number: 0 }, receiver))
    }

    /// Creates another notifier for the same receiving half.
    #[must_use]
    pub fn another(&self) -> Self {
        let pair = Arc::clone(&self.pair);
        let number = pair.last.fetch_add(1, Ordering::Relaxed) + 1;
        Self { pair, number }
    }

    /// Returns its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Makes the receiving half readable.
    pub fn raise(&self) {
        self.pair.raised.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        // Fails if the other half is full, hence readable, or closed, hence unused.
        let _ = self.pair.ours.send(&[0]);
    }

    /// Returns the numbers of the notifiers that were raised since the last call, of all that share
    /// the receiving half.
    #[must_use]
    pub fn raised(&self) -> Vec<u64> {
        std::mem::take(&mut self.pair.raised.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(unix)]
fn pair() -> io::Result<(Datagram, Datagram)> {
    Datagram::pair()
}

#[cfg(windows)]
fn pair() -> io::Result<(Datagram, Datagram)> {
    let (one, other) = (Datagram::bind("127.0.0.1:0")?, Datagram::bind("127.0.0.1:0")?);
    one.connect(other.local_addr()?)?;
    other.connect(one.local_addr()?)?;
    Ok((one, other))
}
