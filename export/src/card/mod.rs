//! Pages that tell people what a build is and how well it answers.

mod build;
mod page;
mod picture;
mod region;
mod verified;

pub use build::BuildCard;
pub use picture::{Scene, SceneAnswer};
pub use verified::{scenes, verified};
