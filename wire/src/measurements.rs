//! Measurements of a mask, part of a mask message.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::message::{check_finite, check_range};

/// Largest number of points of a contour.
pub const MAX_CONTOUR_POINTS: usize = 256;

/// Measurements of a mask's largest part; the pixels of a part touch by their sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Measurements {
    /// Number of parts of the mask, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub parts: u32,
    /// Area in frame pixels, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub area_px: u32,
    /// Mean position of the pixels inside.
    pub centroid_px: Position,
    /// Largest Feret diameter in pixels: the longest distance between two points of the outline.
    pub longest_px: f32,
    /// Smallest Feret diameter in pixels: the smallest distance between two parallel lines that
    /// enclose the outline.
    pub shortest_px: f32,
    /// Measurements in mm; `None` if the pixel spacing is not known, or differs
    /// within the structure.
    pub physical: Option<Physical>,
    /// Outer outline as a clockwise polygon; the first point is not repeated.
    #[cfg_attr(feature = "schema", schemars(with = "[Position]", length(max = MAX_CONTOUR_POINTS)))]
    pub contour_px: Vec<Position, MAX_CONTOUR_POINTS>,
}

/// A position in frame pixels; (0, 0) is the centre of the top left pixel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Position {
    /// Horizontal position in frame pixels.
    pub x: f32,
    /// Vertical position in frame pixels.
    pub y: f32,
}

/// Measurements in mm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Physical {
    /// Area in mm2.
    pub area_mm2: f32,
    /// Largest Feret diameter in mm.
    pub longest_mm: f32,
    /// Smallest Feret diameter in mm.
    pub shortest_mm: f32,
}

impl Measurements {
    /// Length of the longest encoding: two varint(u32); position; two f32; option and three f32;
    /// point count (two bytes) and points.
    pub(crate) const MAX_ENCODED_LEN: usize =
        5 + 5 + 8 + 8 + (1 + 12) + (2 + MAX_CONTOUR_POINTS * 8);

    pub(crate) fn check(&self, frame_area_px: u64) -> Result<(), WireError> {
        check_range("measured.area_px", self.area_px, 1u8, frame_area_px)?;
        check_range("measured.parts", self.parts, 1u8, frame_area_px)?;
        check_finite("measured.centroid_px.x", self.centroid_px.x)?;
        check_finite("measured.centroid_px.y", self.centroid_px.y)?;
        check_finite("measured.longest_px", self.longest_px)?;
        check_finite("measured.shortest_px", self.shortest_px)?;
        if let Some(Physical { area_mm2, longest_mm, shortest_mm }) = self.physical {
            check_finite("measured.area_mm2", area_mm2)?;
            check_finite("measured.longest_mm", longest_mm)?;
            check_finite("measured.shortest_mm", shortest_mm)?;
        }
        for point in &self.contour_px {
            check_finite("measured.contour_px.x", point.x)?;
            check_finite("measured.contour_px.y", point.y)?;
        }
        Ok(())
    }
}
