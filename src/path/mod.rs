//! Two links in series per client, and the truth about each packet.

use std::convert::Infallible;
use std::ops::RangeInclusive;

mod capture;
mod clients;
mod decision;
mod delay_line;
mod ended;
mod fate;
mod outage;
mod paths;
mod roster;
mod timeline;

pub use capture::{ONE_WAY, ROUND_TRIP};
pub(crate) use delay_line::Queued;
pub use ended::{Ended, Reason};
pub use fate::{Counters, Damage, Fate, LinkCounters, Outcome, Reply};
pub use outage::OutageMode;
pub(crate) use paths::{Packet, PathConfig, Paths};
pub(crate) use roster::Roster;
pub use timeline::{Action, Changeable, Done, Kind, MAX_DONE, MAX_STEPS, Step, Timeline, When};

/// The numbers of the links.
pub const UPLINK: usize = 0;
/// See [`UPLINK`].
pub const DOWNLINK: usize = 1;

/// An event of paths, or a record of their owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<R = Infallible> {
    /// The fate of a packet is complete.
    Fate(Fate),
    /// A step was done.
    Step(Done),
    /// A session has ended.
    Ended(Ended),
    /// A record of the owner.
    Record(R),
}

/// The links that a packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The uplink and then the downlink.
    Both,
    /// The uplink.
    Up,
    /// The downlink.
    Down,
}

impl Route {
    /// Returns the numbers of its links.
    fn ways(self) -> RangeInclusive<usize> {
        match self {
            Self::Both => UPLINK..=DOWNLINK,
            Self::Up => UPLINK..=UPLINK,
            Self::Down => DOWNLINK..=DOWNLINK,
        }
    }

    /// Returns the outcome of a packet that left it.
    fn outcome(self) -> Outcome {
        if self == Self::Both { Outcome::Replied } else { Outcome::Relayed }
    }

    /// Returns the number of its first link.
    fn first(self) -> usize {
        *self.ways().start()
    }
}
