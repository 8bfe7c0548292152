//! The only code that touches a socket or a system clock.

mod clock;
mod probe;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "probe_linux.rs"]
mod probe_socket;
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
#[path = "probe_portable.rs"]
mod probe_socket;
mod resolve;
mod signal;
mod socket;

pub use clock::now;
pub use probe::{Arrival, ProbeOptions, Timestamps};
pub use probe_socket::ProbeSocket;
pub use resolve::{Endpoint, resolve};
pub use signal::{Receiver, Signal};
pub(crate) use socket::is_refusal;
pub use socket::{Interrupter, Received, Socket};
