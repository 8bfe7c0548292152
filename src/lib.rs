//! The engine of udpulse: it measures any UDP path.
//!
//! Protocol logic is sans-I/O: [`ping::Session`], [`echo::Echo`], [`stamp::Reflector`],
//! [`heartbeat::Client`] and [`heartbeat::Server`] are [`Machine`]s, plain state machines: time and datagrams in, datagrams
//! and events out. The [`driver`] joins them to sockets and threads; a test or a replay drives the
//! same machine by hand:
//!
//! ```
//! use udpulse::echo::{Config, Echo};
//! use udpulse::{Arrival, Machine, Stamp};
//!
//! let mut echo = Echo::new(Config::default());
//! let client = "127.0.0.1:5000".parse().unwrap();
//! let mut datagram = *b"Ping 1";
//! let length = echo.on_datagram(0, &mut Arrival::new(Stamp::default(), client, &mut datagram));
//! assert_eq!(length, Some(6));
//! assert_eq!(&datagram, b"PING 1");
//! ```

mod address;
mod captured;
pub mod driver;
pub mod echo;
mod error;
mod events;
pub mod heartbeat;
pub mod impair;
mod limiter;
mod machine;
pub mod net;
pub mod packed;
pub mod path;
pub mod ping;
mod random;
pub mod relay;
mod replay;
pub mod stamp;
pub mod stats;
mod target;
mod time;
pub mod wire;

#[cfg(feature = "python")]
mod python;

pub use address::{Prefix, on_ipv6};
pub(crate) use address::{answers_anything, canonical};
pub use captured::{Captured, Point};
pub use error::{Error, Result};
pub use events::Events;
pub use limiter::Limiter;
pub use machine::{Arrival, Headers, Icmp, Local, Machine, Observed, Transmit};
pub use random::{Random, probability};
pub use replay::ReplayWindow;
pub use target::Target;
pub(crate) use time::PAUSE_NS;
pub use time::{NS_PER_SECOND, Stamp, Zone, nanoseconds, seconds};
