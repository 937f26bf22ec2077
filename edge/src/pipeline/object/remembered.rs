//! Properties by which an object is recognized, and those of a prediction to compare with them.

use medsa_sam::image::Geometry;
use ndarray::{ArrayView2, ArrayView3};

use super::appearance::Appearance;
use super::renewed::{Anchor, Cells, Margins};

/// Share of a new appearance in the remembered one.
const LEARNING: f32 = 0.3;

/// Properties of an object.
#[derive(Clone)]
pub(super) struct Remembered {
    pub appearance: Option<Appearance>,
    /// Area as a share of the frame.
    pub area: f32,
    /// Margins of the prompted box, if there is one.
    pub margins: Option<Margins>,
    /// Places of the positive clicks on the mask.
    pub anchors: Vec<Anchor>,
}

impl Remembered {
    /// Adapts to the properties of an accepted prediction.
    pub fn learn(mut self, seen: &Seen) -> Self {
        match (&mut self.appearance, &seen.appearance) {
            (Some(known), Some(seen)) => known.learn(seen, LEARNING),
            (known, seen) => *known = seen.clone(),
        }
        self.area += LEARNING * (seen.area - self.area);
        self
    }
}

/// Properties of a prediction.
pub(super) struct Seen {
    pub appearance: Option<Appearance>,
    /// Area as a share of the frame.
    pub area: f32,
    /// Most interior position, in frame pixels.
    pub middle: [f32; 2],
    /// Bounding box in frame pixels.
    pub bounds: Option<[f32; 4]>,
}

impl Seen {
    /// Properties of a mask of logits `[h, w]`; `features` `[C, h, w]` are those of the frame.
    /// `None` for an empty mask.
    pub fn of(
        logits: ArrayView2<f32>,
        features: Option<ArrayView3<f32>>,
        geometry: &Geometry,
    ) -> Option<Self> {
        let cells = Cells::of_frame(logits, geometry);
        let middle = cells.middle()?;
        Some(Self {
            appearance: features.and_then(|features| Appearance::of(features, logits)),
            area: cells.share(),
            middle,
            bounds: cells.bounds(),
        })
    }
}

/// Radius of a disc of that area.
pub(super) fn radius(area: f32) -> f32 {
    (area / std::f32::consts::PI).sqrt().max(1.0)
}
