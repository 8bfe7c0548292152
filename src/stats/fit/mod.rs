//! Models of loss and delay, fitted to a record of packets.

mod bad_delay;
mod chain;
mod check;
mod delay;
mod loss;
mod optimum;
mod trace;

pub use chain::Chain;
pub use check::{Check, Curve, Spread};
pub use delay::{DelayFit, fit_delay};
pub use loss::{Estimate, LossFit, Model, fit_loss};
pub use trace::{Packet, Trace};
