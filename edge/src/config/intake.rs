//! Values of `[source]` that apply to every frame: size, rectangles to hide, region of interest.

/// Cropping, hiding and scale applied to every frame of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intake {
    /// Required width and height of frames. Rectangles are drawn for one layout of the screen; at
    /// another size, names may be elsewhere.
    pub frame_size: Option<(u32, u32)>,
    /// Rectangles to paint black. `None`: the administrator has not stated what must be hidden.
    /// Empty: nothing has to be hidden.
    pub blank: Option<Vec<Rectangle>>,
    /// Part of the frame to keep; `None` keeps all of it.
    pub region: Option<Region>,
    /// Distance between neighbouring pixels in mm, `[down the rows, along a row]`; overrides the
    /// value that the source states.
    pub pixel_spacing_mm: Option<[f32; 2]>,
}

/// Rectangle from `(x0, y0)` up to, but not including, `(x1, y1)`, in pixels.
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

/// Region of interest of a frame, in pixels.
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

/// State of deidentification of a frame. Pixels of an unmasked frame are shown on the device but
/// never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deidentification {
    /// The configured rectangles are hidden.
    Masked,
    /// No rectangles are configured: the frame may identify the patient.
    Unmasked,
}

impl Intake {
    /// Deidentification state of the frames that this was applied to.
    pub fn deidentification(&self) -> Deidentification {
        match self.blank {
            Some(_) => Deidentification::Masked,
            None => Deidentification::Unmasked,
        }
    }

    /// Width and height of every frame after cropping, if the configuration determines them.
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
