//! The ping client: sends numbered probes, matches replies and accounts for each of them.

mod report;
mod session;

pub use report::{Counters, Report};
pub use session::{Config, Probe, Session, Verdict};
