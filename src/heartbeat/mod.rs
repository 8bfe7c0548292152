//! The heartbeat protocol: a client that shows it is alive, and a server that tracks which clients
//! are.

mod client;
mod detector;
mod event;
mod identity;
mod peer;
mod progress;
mod sequence;
mod server;
mod table;

pub use client::{
    Beat, BeatFormat, Client, ClientConfig, ClientCounters, ClientEvent, Ending, Outcome, Unheard,
};
pub use detector::{Detector, Estimate, Gap, Kind, Line};
pub use event::{Cause, Change, Event, Snapshot, State};
pub use peer::Peer;
pub use progress::{MAX_TASKS, Mark, Progress, Task};
pub use sequence::Sequence;
pub use server::{Numbers, OldBeats, Server, ServerConfig, ServerCounters};
