//! The echo server: answers, impairs both directions on purpose, and records its effect on each
//! packet.

mod replays;
mod server;
#[cfg(test)]
mod tests;
mod truth;

pub use server::{Config, Echo, Transform};
pub use truth::Truth;
