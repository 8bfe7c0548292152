//! The kernel's counter of datagrams that it dropped because a receive queue was full.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
use std::{net::UdpSocket, sync::Arc, sync::Weak};

/// A handle that reads how many datagrams a socket has dropped, as long as it is open. It does not
/// keep it open.
#[derive(Clone, Debug, Default)]
pub struct DropGauge {
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    socket: Weak<UdpSocket>,
}

impl DropGauge {
    /// Returns the total, if the socket is open and the platform reports it.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    #[must_use]
    pub fn read(&self) -> Option<u64> {
        crate::net::mmsg::drops(&*self.socket.upgrade()?).map(u64::from)
    }

    /// Returns `None`: the platform does not report it.
    #[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
    #[must_use]
    pub fn read(&self) -> Option<u64> {
        None
    }

    /// Creates a gauge of a socket.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(super) fn of(socket: &Arc<UdpSocket>) -> Self {
        Self { socket: Arc::downgrade(socket) }
    }
}
