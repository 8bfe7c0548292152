//! A wakeup for event loops that watch sockets.

use std::io;
#[cfg(unix)]
use std::os::{fd::IntoRawFd, unix::net::UnixDatagram as Datagram};
#[cfg(windows)]
use std::{net::UdpSocket as Datagram, os::windows::io::IntoRawSocket};

/// The sending half of a socket pair. The receiving half belongs to an event loop, such as
/// Python's, which needs no extra thread to wait for it.
#[derive(Debug)]
pub struct Notifier(Datagram);

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
        Ok((Self(ours), receiver))
    }

    /// Makes the receiving half readable.
    pub fn raise(&self) {
        // Fails if the other half is full, hence readable, or closed, hence unused.
        let _ = self.0.send(&[0]);
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
