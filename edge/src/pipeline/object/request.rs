//! The prompts that the network gets for an object on a frame.

use medsa_sam::image::Geometry;
use medsa_sam::prompt::Prompt;
use ndarray::{Array2, ArrayView3};

use super::places::carry;
use super::remembered::{Remembered, radius};
use super::renewed::{Cells, moved_to, renewed};
use super::{Found, Object, State};

/// Decoder inputs for an object on a frame.
pub struct PredictionRequest {
    /// Prompts to try, in pixels of the frame; at least one.
    pub prompts: Vec<Prompt>,
    /// The followed mask, as logits `[h, w]`.
    pub expected: Option<Array2<f32>>,
    /// True if the object was not followed all the way from its last mask.
    pub(super) blind: bool,
    /// True if the network gets the user's own prompt.
    pub(super) direct: bool,
}

impl PredictionRequest {
    /// True if the network gets the user's own prompt.
    pub fn is_direct(&self) -> bool {
        self.direct
    }
}

impl Object {
    /// Decoder inputs for a frame of `geometry` with `features` `[C, h, w]`, for a network whose
    /// masks have `side` pixels; `None` if there is no prompt for it.
    pub fn request(
        &self,
        frame_id: u64,
        geometry: &Geometry,
        side: usize,
        features: Option<ArrayView3<f32>>,
    ) -> Option<PredictionRequest> {
        let prompt = self.prompt()?;
        let back = self.path.since(frame_id).inverse();
        let carried = carry(prompt, &back, geometry.frame);
        // From the frame of the last mask to this one.
        let motion = |found: &Found| self.path.since(found.frame_id).then(&back);
        let Some(found) = self.found.as_ref().filter(|_| self.pending_since.is_none()) else {
            let expected =
                self.found.as_ref().map(|found| found.mask.moved(&motion(found), geometry, side));
            let prompts = vec![carried?];
            return Some(PredictionRequest { prompts, expected, blind: false, direct: true });
        };
        let moved = motion(found);
        let expected = found.mask.moved(&moved, geometry, side);
        let blind = self.path.is_blind(found.frame_id, frame_id);
        let user = carried.as_ref().unwrap_or(prompt);
        let Remembered { margins, anchors, .. } = &found.remembered;
        let cells = Cells::of_frame(expected.view(), geometry);
        let followed: Vec<_> = match blind {
            true => Vec::new(),
            false => found.clicks.iter().map(|&click| moved.apply(click)).collect(),
        };
        let mut prompts = Vec::from_iter(renewed(user, anchors, &followed, *margins, &cells));
        if blind || self.state != State::Tracking {
            prompts.extend(search(found, user, geometry, side, features));
        }
        let expected = Some(expected);
        (!prompts.is_empty()).then_some(PredictionRequest {
            prompts,
            expected,
            blind,
            direct: false,
        })
    }
}

/// Prompts for an object that may be elsewhere: where the image looks like it, and where it was.
fn search(
    found: &Found,
    user: &Prompt,
    geometry: &Geometry,
    side: usize,
    features: Option<ArrayView3<f32>>,
) -> impl Iterator<Item = Prompt> {
    let similar =
        found.remembered.appearance.as_ref().zip(features).map(|(appearance, features)| {
            let (width, height) = geometry.mask_size((side, side));
            let cells = width as f32 * height as f32;
            let radius = radius(found.remembered.area * cells) / 2.0;
            let at = appearance.most_similar(features, (width, height), radius);
            geometry.from_cell(at, (side, side))
        });
    let places = similar.into_iter().chain([found.middle]);
    places.filter_map(|place| moved_to(place, user, geometry.frame))
}
