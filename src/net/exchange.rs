//! What the exchanges of all platforms have in common.

/// One of the sockets of an [`Exchange`](crate::net::Exchange).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The bound socket.
    Listener,
    /// A connected one, by its number.
    Line(u32),
}
