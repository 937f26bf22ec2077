//! From a network's logits to the mask and outline that people see.

mod clean_up;
mod outline;
mod parts;

pub use clean_up::CleanUp;
pub use outline::{Ring, outer_ring, rings, simplified, to_segment};
pub use parts::{Part, Parts, Side};
