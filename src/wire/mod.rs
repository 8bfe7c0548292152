//! Conversion between bytes and values; pure and total.
//!
//! All messages of the lab are one line of ASCII text. [`Template`] writes them, [`read`] finds the
//! sequence number and the time in a message of any lab program. A [`beat`] may carry more, and so
//! may a [`probe`]. Test packets of STAMP are binary: [`stamp`]. Captures are files: [`pcapng`].

pub mod beat;
mod civil;
mod ip;
mod key;
mod keys;
mod payload;
pub mod pcapng;
mod policy;
pub mod probe;
pub mod signed;
pub mod stamp;
mod template;
mod text;

pub use beat::Beat;
pub(crate) use beat::{first_word, write_text};
pub use civil::utc;
pub use key::{Key, TAG};
pub use keys::{Keys, MAX_ID, MAX_KEYS, NamedKey, Refusal};
pub(crate) use payload::shown;
pub use payload::{MAX_SHOWN, Shown};
pub use policy::Unauthenticated;
pub use template::Template;
pub use text::{Evidence, Reading, SentAt, read};

/// Maximum payload of a UDP datagram over IPv4.
pub const MAX_DATAGRAM: usize = 65_507;
