//! Bytes to values and back; pure and total.
//!
//! All messages of the lab are one line of ASCII text. [`Template`] writes them, [`read`] finds
//! the sequence number and the time in whatever a lab program sends. A [`beat`] may say more.

pub mod beat;
mod civil;
mod payload;
mod template;
mod text;

pub use beat::Beat;
pub use payload::MAX_SHOWN;
pub(crate) use payload::shown;
pub use template::Template;
pub use text::{Reading, SentAt, read};

/// The longest payload of a UDP datagram over IPv4.
pub const MAX_DATAGRAM: usize = 65_507;
