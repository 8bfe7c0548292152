//! The engine of udpulse: it measures any UDP path.
//!
//! Protocol logic is sans-I/O: [`ping::Session`], [`echo::Echo`], [`heartbeat::Client`] and
//! [`heartbeat::Server`] are plain state machines that take time and bytes and give datagrams and
//! events. A [`Worker`] joins one to a [`net::Socket`] on a thread of its own; a test or a replay
//! drives the same machine by hand:
//!
//! ```
//! use udpulse::echo::{Config, Echo};
//! use udpulse::{Machine, Stamp};
//!
//! let mut echo = Echo::new(Config::default());
//! let client = "127.0.0.1:5000".parse().unwrap();
//! echo.on_datagram(Stamp::default(), client, b"Ping 1");
//! assert_eq!(echo.transmit(), Some((client, b"PING 1".as_slice())));
//! ```

pub mod driver;
pub mod echo;
mod error;
mod events;
pub mod heartbeat;
pub mod impair;
mod machine;
pub mod net;
pub mod ping;
mod random;
pub mod stats;
mod time;
pub mod wire;

#[cfg(feature = "python")]
mod python;

pub use driver::{Next, Worker};
pub use error::{Error, Result};
pub use events::Events;
pub use machine::{Local, Machine};
pub use random::{Random, probability};
pub use time::{NS_PER_SECOND, Stamp, nanoseconds, seconds};
