//! What a `HeartbeatServer` tells, one class per thing that may happen.

use pyo3::prelude::*;

use crate::heartbeat::{self, Signal};
use crate::python::value::{Address, address, value};
use crate::seconds;

value! {
    /// A client has been silent for the timeout and is taken for stopped.
    Down {
        /// The client's (host, port).
        address: Address,
        /// When the server judged so, in seconds since the Unix epoch.
        time: f64,
        /// The number of the first beat that never came; None where beats carry no numbers.
        seq: Option<u64>,
        /// How many of its beats came, each counted once.
        received: u64,
        /// How many should have come, from the first heard to the highest; None without numbers.
        expected: Option<u64>,
    }
}

value! {
    /// A beat came that is neither late nor a duplicate.
    Heard {
        /// The client's (host, port).
        address: Address,
        /// When the server received it, in seconds since the Unix epoch.
        time: f64,
        /// Its number; None where it has none.
        seq: Option<u64>,
        /// The receive time minus the time in the beat, in seconds; includes the difference of the
        /// two hosts' clocks. None where the beat has no time.
        difference: Option<f64>,
        /// Its payload, at most 1024 bytes of it.
        message: Vec<u8>,
    }
}

value! {
    /// A datagram came that is no heartbeat: neither a number nor a time is in it.
    Ignored {
        /// The (host, port) that it came from.
        address: Address,
        /// When the server received it, in seconds since the Unix epoch.
        time: f64,
        /// Its payload, at most 1024 bytes of it.
        message: Vec<u8>,
    }
}

value! {
    /// A beat came that had been reported lost; it is no longer counted as such.
    Late {
        /// The client's (host, port).
        address: Address,
        /// When the server received it, in seconds since the Unix epoch.
        time: f64,
        /// Its number.
        seq: u64,
    }
}

value! {
    /// Beats were passed over: a higher number came.
    Lost {
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The first number lost.
        first: u64,
        /// The last number lost.
        last: u64,
    }
}

value! {
    /// A beat came from a client that was taken for stopped.
    Recovered {
        /// The client's (host, port).
        address: Address,
        /// When the server received it, in seconds since the Unix epoch.
        time: f64,
        /// Its number; None where it has none.
        seq: Option<u64>,
    }
}

value! {
    /// A client has started again; its numbers count afresh.
    Restarted {
        /// The client's (host, port).
        address: Address,
        /// When the server saw it, in seconds since the Unix epoch.
        time: f64,
        /// The number it began with.
        seq: u64,
    }
}

value! {
    /// The first beat of a client came.
    Up {
        /// The client's (host, port).
        address: Address,
        /// When the server received it, in seconds since the Unix epoch.
        time: f64,
        /// Its number; None where it has none.
        seq: Option<u64>,
    }
}

/// Any of the classes above.
#[derive(IntoPyObject)]
pub(super) enum Event {
    Down(Down),
    Heard(Heard),
    Ignored(Ignored),
    Late(Late),
    Lost(Lost),
    Recovered(Recovered),
    Restarted(Restarted),
    Up(Up),
}

impl From<heartbeat::Event> for Event {
    fn from(event: heartbeat::Event) -> Self {
        let address = address(event.address);
        let time = seconds(event.at.wall_ns);
        match event.signal {
            Signal::Down { seq, received, expected } => {
                Self::Down(Down { address, time, seq, received, expected })
            }
            Signal::Heard { seq, difference_ns, message } => {
                let difference = difference_ns.map(seconds);
                Self::Heard(Heard { address, time, seq, difference, message: message.into() })
            }
            Signal::Ignored { message } => {
                Self::Ignored(Ignored { address, time, message: message.into() })
            }
            Signal::Late { seq } => Self::Late(Late { address, time, seq }),
            Signal::Lost { first, last } => Self::Lost(Lost { address, time, first, last }),
            Signal::Recovered { seq } => Self::Recovered(Recovered { address, time, seq }),
            Signal::Restarted { seq } => Self::Restarted(Restarted { address, time, seq }),
            Signal::Up { seq } => Self::Up(Up { address, time, seq }),
        }
    }
}
