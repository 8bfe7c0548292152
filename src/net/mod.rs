//! The only code that touches a socket or a system clock.

mod clock;
mod resolve;
mod socket;

pub use clock::now;
pub use resolve::{Endpoint, resolve};
pub(crate) use socket::is_refusal;
pub use socket::{Interrupter, Received, Socket};
