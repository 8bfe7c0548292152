//! The echo server: answers, impairs both directions on purpose, and records its effect on each
//! packet.

mod clients;
mod decision;
mod delay_line;
mod fate;
mod limiter;
mod server;
#[cfg(test)]
mod tests;

pub use fate::{Counters, Damage, Fate, LinkCounters, Outcome, Reply, Truth};
pub use limiter::Limiter;
pub use server::{Config, Echo, MAX_CLIENTS, Transform};
