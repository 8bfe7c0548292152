//! The echo server: answers with the same text in upper case, or loses the packet on purpose.

mod server;

pub use server::{Config, Counters, Echo, Fate};
