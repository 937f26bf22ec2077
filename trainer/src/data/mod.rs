//! Data sets: folders of pictures with masks, checked, and split so that near-identical frames
//! stay together.

mod folder;
mod problem;
mod split;

pub use folder::{Dataset, Item, Picture, Targets};
pub use problem::Problem;
pub use split::{Split, SplitError};
