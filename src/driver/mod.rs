//! The only code that joins state machines to sockets and threads.

pub mod echo;
pub mod heartbeat;
pub mod ping;
pub mod sweep;
mod worker;

pub use worker::{Next, Worker};
