//! The only code that touches a socket or a system clock.

mod clock;
mod resolve;
mod signal;
mod socket;

pub use clock::now;
pub use resolve::{Endpoint, resolve};
pub use signal::{Receiver, Signal};
pub(crate) use socket::is_refusal;
pub use socket::{Interrupter, Received, Socket};
