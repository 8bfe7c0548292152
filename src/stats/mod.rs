//! Numbers over many packets; pure, of constant size, and mergeable: the sum of two is that of both
//! samples together.

mod distribution;
mod loss;
mod reordering;
mod variation;

pub use distribution::Distribution;
pub use loss::{LossRuns, Runs, wilson};
pub use reordering::Reordering;
pub use variation::Variation;
