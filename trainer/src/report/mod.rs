//! Images of a training: curves, and galleries of predictions with the ground truth.

pub mod curves;
pub mod gallery;
mod page;
mod plot;

/// 8-bit RGB.
type Colour = [u8; 3];
