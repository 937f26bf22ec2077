//! Pictures of a training: curves, and sheets of what was found beside what is true.

pub mod curves;
pub mod gallery;
mod page;
mod plot;

/// 8-bit RGB.
type Colour = [u8; 3];
