//! The only code that joins state machines to sockets and threads.

mod backlog;
mod capture;
pub mod echo;
mod event_loop;
pub mod heartbeat;
mod lookup;
pub mod ping;
pub mod relay;
mod servers;
pub mod stamp;
pub mod sweep;
mod worker;

pub use capture::{Capture, CaptureConfig};
pub use lookup::{Names, why};
pub use worker::{Next, Worker};
