//! What can be measured of a mask: area, diameters, centroid, outline.
//!
//! Positions are frame pixels as prompts count them: (0, 0) is the middle of the first pixel, at
//! the top left, so a structure that fills the frame reaches from -0.5 to its sides less 0.5.

/// A structure on one frame. All of it is about the largest part of the mask (pixels that
/// touch by their sides); [`Measured::parts`] tells whether there are others.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Parts of the mask, at least 1.
    pub parts: u32,
    /// Pixels inside.
    pub area_px: u32,
    /// Mean position of the pixels, x and y.
    pub centroid_px: [f32; 2],
    /// Longest distance between two points of the outline (largest Feret diameter).
    pub longest_px: f32,
    /// Least distance between two parallel lines that hold the outline between them (smallest
    /// Feret diameter).
    pub shortest_px: f32,
    /// The same in mm, where the frame has a pixel spacing.
    pub physical: Option<Physical>,
    /// The outer outline as a polygon, x and y, clockwise on the screen, the first point not
    /// repeated; simplified by at most half a pixel, or more where
    /// [`MAX_CONTOUR_POINTS`](medsa_wire::MAX_CONTOUR_POINTS) would not do.
    pub contour_px: Vec<[f32; 2]>,
}

/// Lengths and areas of a structure in mm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physical {
    /// Area.
    pub area_mm2: f32,
    /// Largest Feret diameter.
    pub longest_mm: f32,
    /// Smallest Feret diameter.
    pub shortest_mm: f32,
}
