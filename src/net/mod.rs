//! The only code that touches a socket or a system clock.

mod batch;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "batch_linux.rs"]
mod batch_socket;
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
#[path = "batch_portable.rs"]
mod batch_socket;
#[cfg(test)]
mod batch_tests;
mod clock;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "errors_linux.rs"]
mod errors;
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
#[path = "errors_portable.rs"]
mod errors;
mod exchange;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "exchange_linux.rs"]
mod exchange_sockets;
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
#[path = "exchange_portable.rs"]
mod exchange_sockets;
mod gauge;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod kernel_time;
mod memory;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod messages;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod mmsg;
mod notifier;
mod outbox;
mod port;
mod probe;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "probe_linux.rs"]
mod probe_socket;
#[cfg(not(all(target_os = "linux", not(feature = "portable"))))]
#[path = "probe_portable.rs"]
mod probe_socket;
mod resolve;
mod servers;
mod socket;

pub use batch::{Batch, MAX_BATCH, Options, Wake};
pub use batch_socket::BatchSocket;
pub use clock::now;
pub use exchange::End;
pub use exchange_sockets::Exchange;
pub use gauge::DropGauge;
pub use notifier::{Notifier, Receiver};
pub use outbox::Outbox;
pub use port::{Port, Unsent};
pub use probe::{ProbeOptions, Timestamps};
pub use probe_socket::ProbeSocket;
pub use resolve::{Endpoint, Family, destination, resolve, resolve_all, source};
pub use servers::{Registered, Servers};
pub use socket::{Interrupter, Socket, Waker};
