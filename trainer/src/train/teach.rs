//! Masks found by the base model in unlabelled images. Training an adapter on them keeps the
//! abilities of the base.
//!
//! The base segments most structures from a tight box. Here, random boxes and boxes on grids are
//! its prompts. A mask is kept if the base is confident and finds it again from a moved box. Many
//! of these masks follow the box more than the image; they are used to train boxes only. Masks that
//! the base finds again from a much larger box are objects, which a click can select as well.

use medsa_sam::image::RgbView;
use medsa_sam::prompt::{BoxXyxy, Prompt, PromptTokens};
use ndarray::{Array2, ArrayView2, Axis, Ix2, Ix3, Zip, concatenate, s};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::network::Network;
use super::random::rng;
use crate::data::TrainingImage;
use crate::metrics::iou;
use crate::prompts::tight_box;
use crate::region::largest_component;
use crate::tape::Node;

/// Settings for finding masks.
#[derive(Clone, Copy, Debug)]
pub struct TeachConfig {
    /// Number of random boxes per image, in addition to those on grids.
    pub random_boxes: usize,
    /// Seed of the random boxes.
    pub seed: u64,
    /// Smallest score (predicted IoU) of a mask that is kept.
    pub min_score: f32,
}

impl Default for TeachConfig {
    fn default() -> Self {
        Self { random_boxes: 12, seed: 0, min_score: 0.75 }
    }
}

/// Smallest and largest side of random boxes, as a share of the image's side.
const SIDE_SHARES: [f32; 2] = [0.12, 0.6];

/// Number of boxes along each side of a grid. Neighbouring boxes overlap by half.
const GRIDS: [usize; 2] = [2, 3];

/// Smallest share of its box that a mask must fill.
const MIN_FILL: f32 = 0.25;

/// Smallest share of a mask that must lie in its box, and in its largest component.
const MIN_INSIDE: f32 = 0.95;

/// Distance by which a tight box is moved to test the stability of its mask, as a share of the
/// box's sides.
const MOVED: f32 = 0.05;

/// Smallest IoU of the masks from a box and from the moved tight box.
const MIN_STABLE_IOU: f64 = 0.8;

/// Size of the enlarged box of an object, as a multiple of its tight box.
const ENLARGED: f32 = 1.35;

/// Smallest IoU of the masks of an object from its box and from the enlarged box.
const MIN_OBJECT_IOU: f64 = 0.8;

/// Largest IoU of two kept masks of one image.
const MAX_SAME_IOU: f64 = 0.6;

/// Brightness, of 255, below which a pixel is black, for example outside an ultrasound sector.
const BLACK: u8 = 4;

/// Largest share of black pixels in a mask.
const MAX_BLACK: f32 = 0.4;

/// Smallest mask, in pixels of the network's mask.
const MIN_AREA_PX: usize = 60;

/// Number of prompts decoded together.
const BATCH: usize = 8;

/// Base model that finds masks.
pub struct Teacher<'a> {
    network: &'a Network,
    config: TeachConfig,
}

/// Masks `[H, W]` in image pixels that the base finds in one image.
#[derive(Clone, Debug, Default)]
pub struct Lesson {
    /// Masks that a much larger box gives as well.
    pub objects: Vec<Array2<bool>>,
    /// Masks that depend on their box.
    pub parts: Vec<Array2<bool>>,
}

/// Label maps `[H, W]` with `masks`. Each mask is a class 1, 2, ... of its map; masks in one map do
/// not overlap.
pub fn label_maps(masks: &[Array2<bool>]) -> Vec<Array2<u8>> {
    let mut maps: Vec<(Array2<u8>, u8)> = Vec::new();
    for mask in masks {
        let free = |map: &Array2<u8>| {
            Zip::from(map).and(mask).all(|&class, &inside| class == 0 || !inside)
        };
        let place = maps.iter().position(|(map, classes)| *classes < u8::MAX - 1 && free(map));
        let place = place.unwrap_or_else(|| {
            maps.push((Array2::zeros(mask.dim()), 0));
            maps.len() - 1
        });
        let (map, classes) = &mut maps[place];
        *classes += 1;
        Zip::from(map).and(mask).for_each(|at, &inside| {
            if inside {
                *at = *classes;
            }
        });
    }
    maps.into_iter().map(|(map, _)| map).collect()
}

/// One prediction of the base.
struct Found {
    /// Part of the mask that covers the image, `[h, w]`.
    mask: Array2<bool>,
    score: f32,
}

impl<'a> Teacher<'a> {
    /// A teacher that uses `network`.
    pub fn new(network: &'a Network, config: TeachConfig) -> Self {
        Self { network, config }
    }

    /// Masks that the base finds in the image with number `number`.
    ///
    /// # Errors
    /// The device failed.
    pub fn lesson(
        &self,
        sample: &TrainingImage,
        number: usize,
    ) -> Result<Lesson, candle_core::Error> {
        let preprocess = &self.network.sam().config().preprocess;
        let view = RgbView::new(sample.width, sample.height, &sample.rgb);
        let (image, _) = preprocess.run(view.expect("a decoded image is whole"));
        let embedding = self.network.embedding(&self.network.features(&image, 1)?, 1)?;
        let mut rng = rng(self.config.seed, 0, number);
        let boxes = self.boxes(&mut rng, sample);
        let found = self.predict(&embedding, sample, &boxes)?;
        let sure = boxes.iter().zip(found);
        let sure = sure.filter(|(bbox, found)| self.is_sure(**bbox, found, sample));
        let mut kept: Vec<Array2<bool>> = Vec::new();
        for (_, Found { mask, .. }) in sure {
            let is_same = |other: &Array2<bool>| iou(mask.view(), other.view()) > MAX_SAME_IOU;
            if !kept.iter().any(is_same) {
                kept.push(mask);
            }
        }
        let moved = kept.iter().map(|mask| {
            changed_box(mask.view(), sample, |_| if rng.random_bool(0.5) { MOVED } else { -MOVED })
        });
        let moved: Vec<BoxXyxy> = moved.collect();
        let kept = self.found_again(&embedding, sample, kept, &moved, MIN_STABLE_IOU)?;
        let kept: Vec<_> = kept.into_iter().filter(|(_, again)| *again).map(|(m, _)| m).collect();
        let outwards = |edge: usize| (ENLARGED - 1.0) / 2.0 * if edge < 2 { -1.0 } else { 1.0 };
        let enlarged = kept.iter().map(|mask| changed_box(mask.view(), sample, outwards));
        let enlarged: Vec<BoxXyxy> = enlarged.collect();
        let kept = self.found_again(&embedding, sample, kept, &enlarged, MIN_OBJECT_IOU)?;
        let (mut objects, mut parts) = (Vec::new(), Vec::new());
        for (mask, is_object) in kept {
            let mask = in_frame(mask.view(), (sample.height, sample.width));
            if !shows_nothing(mask.view(), sample) {
                if is_object { &mut objects } else { &mut parts }.push(mask);
            }
        }
        Ok(Lesson { objects, parts })
    }

    /// The masks, each with true if another box gives the same mask.
    fn found_again(
        &self,
        embedding: &Node,
        sample: &TrainingImage,
        masks: Vec<Array2<bool>>,
        boxes: &[BoxXyxy],
        min_iou: f64,
    ) -> Result<Vec<(Array2<bool>, bool)>, candle_core::Error> {
        let again = self.predict(embedding, sample, boxes)?;
        let compared = masks.into_iter().zip(again).map(|(mask, again)| {
            let is_same = iou(mask.view(), again.mask.view()) >= min_iou;
            (mask, is_same)
        });
        Ok(compared.collect())
    }

    /// Random boxes and boxes on grids, in image pixels.
    fn boxes(&self, rng: &mut ChaCha8Rng, sample: &TrainingImage) -> Vec<BoxXyxy> {
        let (width, height) = (sample.width as f32, sample.height as f32);
        let mut boxes = Vec::new();
        for _ in 0..self.config.random_boxes {
            let [w, h] =
                [width, height].map(|side| side * rng.random_range(SIDE_SHARES[0]..SIDE_SHARES[1]));
            let (x, y) = (rng.random_range(0.0..width - w), rng.random_range(0.0..height - h));
            boxes.push([x, y, x + w, y + h]);
        }
        for cells in GRIDS {
            let (w, h) = (width / cells as f32, height / cells as f32);
            let places = 2 * cells - 1;
            for i in 0..places * places {
                let (x, y) = ((i % places) as f32 * w / 2.0, (i / places) as f32 * h / 2.0);
                boxes.push([x, y, x + w, y + h]);
            }
        }
        boxes
    }

    fn predict(
        &self,
        embedding: &Node,
        sample: &TrainingImage,
        boxes: &[BoxXyxy],
    ) -> Result<Vec<Found>, candle_core::Error> {
        let frame = (sample.width, sample.height);
        let geometry = self.network.sam().config().preprocess.geometry(frame);
        let side = self.network.sam().config().mask_side();
        let (width, height) = geometry.mask_size((side, side));
        let mut found = Vec::new();
        for boxes in boxes.chunks(BATCH) {
            let tokens = boxes.iter().map(|&bbox| {
                let prompt = Prompt::new(Vec::new(), Some(bbox), frame);
                prompt.expect("the box is inside the image").tokens(&geometry)
            });
            let tokens: Vec<PromptTokens> = tokens.collect();
            let coords: Vec<_> = tokens.iter().map(|tokens| tokens.coords.view()).collect();
            let labels: Vec<_> = tokens.iter().map(|tokens| tokens.labels.view()).collect();
            let same = "a box has two tokens";
            let tokens = PromptTokens {
                coords: concatenate(Axis(0), &coords).expect(same),
                labels: concatenate(Axis(0), &labels).expect(same),
            };
            let (logits, scores) = self.network.predict_scored(embedding, &tokens, None)?;
            let logits = self.network.array(logits.value())?;
            let logits = logits.into_dimensionality::<Ix3>().expect("three axes");
            let scores = self.network.array(scores.value())?;
            let scores = scores.into_dimensionality::<Ix2>().expect("two axes");
            for (logits, scores) in logits.outer_iter().zip(scores.outer_iter()) {
                let mask = logits.slice(s![..height, ..width]).mapv(|logit| logit > 0.0);
                found.push(Found { mask, score: scores[0] });
            }
        }
        Ok(found)
    }

    fn is_sure(&self, bbox: BoxXyxy, found: &Found, sample: &TrainingImage) -> bool {
        let mask = found.mask.view();
        let area = mask.iter().filter(|&&inside| inside).count();
        if found.score < self.config.min_score || area < MIN_AREA_PX {
            return false;
        }
        let (height, width) = mask.dim();
        let scale = [width as f32 / sample.width as f32, height as f32 / sample.height as f32];
        let [x0, y0, x1, y1] = [0, 1, 2, 3].map(|edge| bbox[edge] * scale[edge % 2]);
        // A pixel's centre is half a pixel inside; a rim of one pixel does not count as outside.
        let in_box = |(y, x): (usize, usize)| {
            let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
            x > x0 - 1.0 && x < x1 + 1.0 && y > y0 - 1.0 && y < y1 + 1.0
        };
        let inside = mask.indexed_iter().filter(|(at, inside)| **inside && in_box(*at)).count();
        let largest = largest_component(mask).map_or(0, |(_, size)| size);
        let share = |part: usize| part as f32 / area as f32;
        share(inside) >= MIN_INSIDE
            && share(largest) >= MIN_INSIDE
            && area as f32 >= MIN_FILL * (x1 - x0) * (y1 - y0)
    }
}

/// Tight box of a mask of the network, in image pixels, with each edge (left, top, right, bottom)
/// moved by a share of the box's side.
fn changed_box(
    mask: ArrayView2<bool>,
    sample: &TrainingImage,
    mut by: impl FnMut(usize) -> f32,
) -> BoxXyxy {
    let (height, width) = mask.dim();
    let limits = [sample.width as f32, sample.height as f32];
    let scale = [limits[0] / width as f32, limits[1] / height as f32];
    let tight = tight_box(mask).expect("a kept mask has pixels");
    let sides = [tight[2] - tight[0], tight[3] - tight[1]];
    std::array::from_fn(|edge| {
        let axis = edge % 2;
        ((tight[edge] + by(edge) * sides[axis]) * scale[axis]).clamp(0.0, limits[axis])
    })
}

/// True if more of a mask `[H, W]` in image pixels is black than allowed.
fn shows_nothing(mask: ArrayView2<bool>, sample: &TrainingImage) -> bool {
    let (mut area, mut black) = (0, 0);
    for (pixel, _) in sample.rgb.chunks_exact(3).zip(mask).filter(|(_, inside)| **inside) {
        area += 1;
        black += usize::from(pixel.iter().all(|&value| value < BLACK));
    }
    black as f32 > MAX_BLACK * area as f32
}

/// A mask of the network in image pixels, by nearest neighbour.
fn in_frame(mask: ArrayView2<bool>, (height, width): (usize, usize)) -> Array2<bool> {
    let (rows, columns) = mask.dim();
    let source = |i: usize, to: usize, from: usize| (2 * i + 1) * from / (2 * to);
    Array2::from_shape_fn((height, width), |(y, x)| {
        mask[(source(y, height, rows), source(x, width, columns))]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_masks_go_to_different_maps_unchanged() {
        let rectangle = |columns: std::ops::Range<usize>| {
            Array2::from_shape_fn((4, 12), |(_, x)| columns.contains(&x))
        };
        let masks = [rectangle(0..4), rectangle(3..6), rectangle(6..9), rectangle(0..12)];
        let maps = label_maps(&masks);
        assert_eq!(maps.len(), 3);
        let of = |map: usize, class: u8| maps[map].mapv(|at| at == class);
        assert_eq!(of(0, 1), masks[0]);
        assert_eq!(of(1, 1), masks[1]);
        assert_eq!(of(0, 2), masks[2]);
        assert_eq!(of(2, 1), masks[3]);
    }

    #[test]
    fn changed_box_moves_each_edge_by_its_share_and_stays_in_the_image() {
        let mask =
            Array2::from_shape_fn((20, 40), |(y, x)| (5..15).contains(&y) && (0..20).contains(&x));
        let (width, height) = (80, 40);
        let rgb = vec![0; width * height * 3];
        let sample = TrainingImage { width, height, rgb, classes: Array2::zeros((height, width)) };
        let found = changed_box(mask.view(), &sample, |edge| [-0.1, 0.1, 0.2, 0.2][edge]);
        assert_eq!(found, [0.0, 12.0, 48.0, 34.0]);
        assert!(shows_nothing(Array2::from_elem((height, width), true).view(), &sample));
    }
}
