//! The heartbeat: a client that tells it is alive, and a server that tells who still is.

mod client;
mod peer;
mod sequence;
mod server;

pub use client::{Beat, Client, ClientConfig, ClientCounters, Outcome};
pub use peer::Peer;
pub use sequence::{Arrival, Sequence};
pub use server::{Event, Server, ServerConfig, ServerCounters, Signal};
