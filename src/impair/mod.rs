//! What may happen to a packet on purpose; pure and seeded.

mod loss;
mod random;

pub use loss::{Loss, probability};
pub use random::Random;
