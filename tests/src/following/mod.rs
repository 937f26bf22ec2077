//! Measurement of following: scenes with known truth, played through the service's pipeline on a
//! virtual clock.
//!
//! Frames arrive at a fixed rate and each encoder run takes a given time, so that the speed of this
//! machine plays no part.

mod footage;
mod measure;
mod scene;
mod sequences;
mod synthetic;

pub use footage::{Footage, Play, Seen};
pub use measure::{Measured, middle, overlap};
pub use scene::{CineMeasured, PLACES, Scene, cine};
pub use sequences::sequences;
pub use synthetic::{Event, Still};

/// Error of a scene.
pub type Error = Box<dyn std::error::Error>;
