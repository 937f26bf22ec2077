//! Values of `[source]` about every frame: its size, what has to be hidden, the region of interest.

/// What is done to every frame of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intake {
    /// The only width and height that frames may have. Rectangles were drawn for one layout of
    /// the screen: in another size, names may stand elsewhere.
    pub frame_size: Option<(u32, u32)>,
    /// Rectangles that become black. `None`: nobody has said what has to be hidden. An empty
    /// list: somebody has said that nothing has to be.
    pub blank: Option<Vec<Rectangle>>,
    /// The part that is kept.
    pub region: Option<Region>,
    /// Distance between neighbouring pixels in mm, down the rows and along a row; wins over what
    /// the source states.
    pub pixel_spacing_mm: Option<[f32; 2]>,
}

/// Pixels from `(x0, y0)` up to, but not including, `(x1, y1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// Column after the last.
    pub x1: u32,
    /// Row after the last.
    pub y1: u32,
}

/// A part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Whether somebody has said what has to be hidden in a frame. Pixels of an unmasked frame are
/// shown on the device and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deidentification {
    /// It is hidden.
    Masked,
    /// Nobody has: the frame may show whose it is.
    Unmasked,
}

impl Intake {
    /// What this says about the frames that it was applied to.
    pub fn deidentification(&self) -> Deidentification {
        match self.blank {
            Some(_) => Deidentification::Masked,
            None => Deidentification::Unmasked,
        }
    }

    /// Width and height that every frame has afterwards, where that is certain.
    pub fn known_size(&self) -> Option<(usize, usize)> {
        let region = self.region.map(|region| (region.width, region.height));
        let (width, height) = region.or(self.frame_size)?;
        Some((width as usize, height as usize))
    }
}

impl Region {
    /// Column after the last and row after the last.
    pub fn end(self) -> (u32, u32) {
        (self.x.saturating_add(self.width), self.y.saturating_add(self.height))
    }
}
