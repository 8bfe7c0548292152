//! The reflector of STAMP (RFC 8762, RFC 8972) and TWAMP-Light (RFC 5357 appendix I).

mod reflected;
mod reflector;
mod sessions;
#[cfg(test)]
mod tests;

pub use reflected::{Counters, Numbers, Outcome, Reflected, Truth};
pub use reflector::{Reflector, ReflectorConfig};
pub use sessions::{MAX_SESSIONS, Session};
