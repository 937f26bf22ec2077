//! HTML cards that describe a build and its measured quality.

mod build;
mod page;
mod picture;
mod region;
mod verified;

pub use build::BuildCard;
pub use picture::{Scene, ScenePrediction};
pub use verified::{scenes, verified};
