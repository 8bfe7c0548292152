//! The relay: carries datagrams between clients and an upstream over a path for each client.

mod forwards;
mod server;
mod sessions;
#[cfg(test)]
mod tests;

pub use forwards::{Forward, Forwards};
pub use server::{Change, Config, Relay, Truth};
