//! Masks of an object, moved with the image.

use std::sync::Arc;

use medsa_sam::image::Geometry;
use medsa_wire::{MaskState, Reason};
use ndarray::{Array2, ArrayView2};

use crate::follow::Motion;

/// Logit of cells that no mask covers: certainly outside.
const OUTSIDE: f32 = -10.0;

/// A mask to publish.
#[derive(Clone)]
pub struct Shown {
    /// Logits `[h, w]`.
    pub logits: Arc<Array2<f32>>,
    /// Position of the frame within the logits.
    pub geometry: Geometry,
    /// Intersection over union that the network predicts.
    pub score: f32,
    /// Overlap (IoU) of the predicted mask with the followed one.
    pub agreement: Option<f32>,
    /// How certain it is that the mask shows the object.
    pub state: MaskState,
    /// Reason why it is uncertain, or the fact that the object was found again.
    pub reason: Option<Reason>,
}

impl Shown {
    /// The same mask, which the network did not confirm.
    pub(super) fn not_confirmed(self) -> Self {
        Self { state: MaskState::Uncertain, reason: Some(Reason::NotConfirmed), ..self }
    }

    /// Logits after a motion of the frame, resampled to the `geometry` and `side` of another
    /// network: `[side, side]`.
    pub(super) fn moved(&self, motion: &Motion, geometry: &Geometry, side: usize) -> Array2<f32> {
        let (height, width) = self.logits.dim();
        let (from, onto) = ((width, height), (side, side));
        let (known_width, known_height) = self.geometry.mask_size(from);
        let (part_width, part_height) = geometry.mask_size(onto);
        let back = motion.inverse();
        // The mapping is linear, so three cells determine it.
        let source = |x: f32, y: f32| {
            self.geometry.to_cell(back.apply(geometry.from_cell([x, y], onto)), from)
        };
        let origin = source(0.0, 0.0);
        let step = |[x, y]: [f32; 2]| [x - origin[0], y - origin[1]];
        let (along, down) = (step(source(1.0, 0.0)), step(source(0.0, 1.0)));
        Array2::from_shape_fn((side, side), |(row, column)| {
            if row >= part_height || column >= part_width {
                return OUTSIDE;
            }
            let (x, y) = (column as f32, row as f32);
            let at = [0, 1].map(|axis| origin[axis] + x * along[axis] + y * down[axis]);
            let [fx, fy] = at.map(|p| p - p.floor());
            let value = |dx: f32, dy: f32| {
                let (x, y) = (at[0].floor() + dx, at[1].floor() + dy);
                let within =
                    x >= 0.0 && y >= 0.0 && x < known_width as f32 && y < known_height as f32;
                if within { self.logits[[y as usize, x as usize]] } else { OUTSIDE }
            };
            let upper =
                value(0.0, 0.0) * (1.0 - fx) + if fx > 0.0 { value(1.0, 0.0) * fx } else { 0.0 };
            if fy == 0.0 {
                return upper;
            }
            let lower =
                value(0.0, 1.0) * (1.0 - fx) + if fx > 0.0 { value(1.0, 1.0) * fx } else { 0.0 };
            upper * (1.0 - fy) + lower * fy
        })
    }
}

/// Intersection over union of the cells above zero; 1 if there are none.
pub(super) fn overlap(a: ArrayView2<f32>, b: ArrayView2<f32>) -> f32 {
    let (mut both, mut either) = (0u32, 0u32);
    for (&a, &b) in a.iter().zip(b) {
        both += u32::from(a > 0.0 && b > 0.0);
        either += u32::from(a > 0.0 || b > 0.0);
    }
    if either == 0 { 1.0 } else { both as f32 / either as f32 }
}
