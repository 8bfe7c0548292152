//! Statistics over many packets: pure, of constant size, and mergeable. The sum of two covers both
//! samples.

mod buckets;
mod clock;
mod distribution;
mod exposition;
pub mod fit;
mod loss;
mod reordering;
mod variation;

pub use buckets::Buckets;
pub use clock::{Claim, Clock, Exchange, Step, steps, stretches};
pub use distribution::Distribution;
pub use exposition::{Exposition, Kind, Labels, Value};
pub use loss::{LossRuns, Runs};
pub use reordering::Reordering;
pub use variation::Variation;
