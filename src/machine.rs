//! What every protocol here is: a state machine without sockets or clocks.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::{Events, Stamp};

/// A protocol: time and bytes go in, datagrams and events come out.
///
/// A driver hands over each datagram as it comes, calls [`on_time`](Self::on_time) when there is
/// none left or the [`deadline`](Self::deadline) has come, and after either sends what
/// [`transmit`](Self::transmit) gives until it gives nothing.
pub trait Machine: Send + 'static {
    /// What happened, for whoever watches.
    type Event: Send;

    /// Takes a datagram that came in.
    fn on_datagram(&mut self, at: Stamp, from: SocketAddr, datagram: &[u8]);

    /// Takes the news that a host refused a datagram: nothing listens on that port.
    fn on_refused(&mut self);

    /// Does what is due at `now`; all that arrived before was handed over.
    fn on_time(&mut self, now: Stamp);

    /// When `on_time` has something to do next, in monotonic nanoseconds.
    fn deadline(&self) -> Option<i64>;

    /// Gives the next datagram to send.
    fn transmit(&mut self) -> Option<(SocketAddr, &[u8])>;

    /// Takes the news that the last datagram given by `transmit` could not be sent.
    fn on_send_failed(&mut self);

    /// Takes the news that its owner leaves, and puts in what is to be said to that. Called again
    /// after the time that it gives, for as long as it gives one.
    fn farewell(&mut self, _now: Stamp) -> Option<Duration> {
        None
    }

    /// Whether the machine has done all that it was made for.
    fn is_done(&self) -> bool {
        false
    }

    /// The events that nobody has read yet.
    fn events(&mut self) -> &mut Events<Self::Event>;
}

/// What has events for a reader.
pub trait Watched: Send + 'static {
    /// What happened.
    type Event: Send;

    /// The events that nobody has read yet.
    fn unread(&mut self) -> &mut Events<Self::Event>;
}

impl<M: Machine> Watched for M {
    type Event = M::Event;

    fn unread(&mut self) -> &mut Events<M::Event> {
        self.events()
    }
}

/// The address of this host that a datagram came to, and that an answer should leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local {
    /// The address.
    pub ip: IpAddr,
    /// The interface, where the address alone does not tell (IPv6 link-local); else 0.
    pub interface: u32,
}

/// The one datagram that a machine has to send; its buffer is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    to: Option<SocketAddr>,
    datagram: Vec<u8>,
}

impl Outgoing {
    /// Puts in a datagram to `to` that `write` writes over the old one.
    pub(crate) fn put(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.datagram);
        self.to = Some(to);
    }

    /// The datagram, taken out before or not.
    pub(crate) fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// Takes the datagram out.
    pub(crate) fn take(&mut self) -> Option<(SocketAddr, &[u8])> {
        self.to.take().map(|to| (to, self.datagram.as_slice()))
    }
}
