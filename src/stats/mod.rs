//! Numbers over many packets; pure.

mod rtt;

pub use rtt::Rtt;
