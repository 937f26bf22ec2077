//! Reports of a training: curves, galleries of predictions with the ground truth, and event files
//! of TensorBoard.

pub mod curves;
mod events;
pub mod gallery;
mod page;
mod plot;

pub use events::EventFile;

/// 8-bit RGB.
type Colour = [u8; 3];
