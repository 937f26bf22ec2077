//! Views of an object that were seen before.
//!
//! Where the image repeats, with every heartbeat or because the probe is still, the object gets the
//! mask again that it had there. Otherwise, each prediction follows from the one before, and small
//! differences add up: the outline would creep, and jump from frame to frame.

use std::sync::Arc;

use medsa_sam::image::Geometry;
use medsa_sam::prompt::BoxXyxy;
use ndarray::{Array2, Zip};

use super::shown::Shown;
use crate::follow::{Patch, Pyramid};

/// Largest number of views. A heartbeat at 30 frames per second has about that many.
const KEPT: usize = 32;

/// Width of what is compared around an object, as a share of its size.
const MARGIN: f32 = 0.25;

/// Correlation from which a view begins to count as seen before, and from which it does entirely.
/// On an echocardiogram, frames 50 ms apart reach 0.987, and the same frame with noise of 8 grey
/// values 0.997.
const SIMILAR: f32 = 0.985;
const SAME: f32 = 0.995;

/// Largest share of an earlier mask in a mask. The rest is new, so that views of the network alone are
/// corrected over time.
const SHARE: f32 = 0.8;

/// Logits are kept in these steps, as bytes.
const STEP: f32 = 0.125;

/// Views of an object for one prompt and one build.
#[derive(Clone, Default)]
pub(super) struct Views {
    /// The answer to the user's own prompt first, then the least recently seen.
    known: Vec<Arc<View>>,
    /// Hash of the build that gave the masks.
    build: [u8; 32],
}

struct View {
    region: BoxXyxy,
    picture: Patch,
    /// In steps of [`STEP`].
    logits: Array2<i8>,
    geometry: Geometry,
}

/// A view that is seen again.
#[derive(Clone)]
pub(super) struct SeenAgain {
    view: Arc<View>,
    /// Share of its mask in a new one.
    share: f32,
}

impl Views {
    /// The view that a frame shows again, if there is one.
    pub fn find(&self, frame: &Pyramid) -> Option<SeenAgain> {
        let alike = |view: &Arc<View>| Some(view.picture.correlation(&frame.patch(view.region)?));
        let known = self.known.iter().enumerate();
        let known = known.filter_map(|(number, view)| Some((alike(view)?, number, view)));
        let (alike, number, view) = known.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let most = if number == 0 { 1.0 } else { SHARE };
        let share = ((alike - SIMILAR) / (SAME - SIMILAR)).clamp(0.0, 1.0) * most;
        (share > 0.0).then(|| SeenAgain { view: view.clone(), share })
    }

    /// True if a build gave the masks.
    pub fn are_of(&self, build: [u8; 32]) -> bool {
        self.build == build
    }

    /// Learns the mask on a frame, made by a build. `direct`: it answers the user's own prompt.
    pub fn learn(
        &mut self,
        frame: &Pyramid,
        mask: &Shown,
        bounds: BoxXyxy,
        build: [u8; 32],
        direct: bool,
    ) {
        if direct || self.build != build {
            *self = Self { known: Vec::new(), build };
        }
        let seen = self.find(frame).map(|seen| seen.view);
        if let Some(again) =
            seen.and_then(|view| self.known.iter().position(|v| Arc::ptr_eq(v, &view)))
        {
            if again == 0 {
                return;
            }
            self.known.remove(again);
        }
        let region = widened(bounds);
        let Some(picture) = frame.patch(region) else { return };
        if self.known.len() == KEPT {
            self.known.remove(1);
        }
        let logits = mask.logits.mapv(|logit| (logit / STEP) as i8);
        self.known.push(Arc::new(View { region, picture, logits, geometry: mask.geometry }));
    }
}

impl SeenAgain {
    /// Moves the logits of a mask towards those of the view.
    pub fn settle(&self, mask: Shown) -> Shown {
        let View { logits, geometry, .. } = &*self.view;
        if mask.geometry != *geometry || mask.logits.dim() != logits.dim() {
            return mask;
        }
        let mut settled = (*mask.logits).clone();
        Zip::from(&mut settled).and(logits).for_each(|logit, &known| {
            *logit += self.share * (f32::from(known) * STEP - *logit);
        });
        Shown { logits: Arc::new(settled), ..mask }
    }
}

fn widened([x0, y0, x1, y1]: BoxXyxy) -> BoxXyxy {
    let (x, y) = (MARGIN * (x1 - x0), MARGIN * (y1 - y0));
    [x0 - x, y0 - y, x1 + x, y1 + y]
}
