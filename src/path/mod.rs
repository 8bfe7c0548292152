//! Two links in series per client, and the truth about each packet.

mod clients;
mod decision;
mod delay_line;
mod fate;
mod paths;

pub(crate) use delay_line::Queued;
pub use fate::{Counters, Damage, Fate, LinkCounters, Outcome, Reply};
pub(crate) use paths::{Packet, PathConfig, Paths};
