//! HTML cards that describe a build and its measured quality.

mod build;
mod gallery;
mod page;
mod region;
mod verified;

pub use build::BuildCard;
pub use gallery::{Scene, ScenePrediction};
pub use verified::{scenes, verified};
