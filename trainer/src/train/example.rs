//! A training image as network input, with its targets.

use medsa_sam::image::{Geometry, Preprocess, RgbView};
use medsa_sam::prompt::PromptTokens;
use ndarray::{Array2, Array3, Array4, Axis, concatenate, s};

use crate::data::{Targets, TrainingImage};
use crate::prompts::Prompting;

/// An image with the targets of prompts in it.
#[derive(Clone, Debug)]
pub struct Example {
    /// Network input `[1, 3, S, S]`.
    pub image: Array4<f32>,
    /// Position of the ground truth in the input. Its "frame" is the part of the mask logits that
    /// covers the image.
    pub geometry: Geometry,
    /// Class and ground truth `[h, w]` of each target, in pixels of the mask logits. If nothing is
    /// marked, there is one empty target.
    pub targets: Vec<(u8, Array2<bool>)>,
    /// Pixels to ignore `[h, w]`, in pixels of the mask logits; `None` if there are none.
    pub ignored: Option<Array2<bool>>,
}

impl Example {
    /// Preprocesses an image for a network whose mask logits have `mask_side` pixels. Targets with
    /// fewer than `min_px` of these are left out.
    ///
    /// # Panics
    /// If the number of pixels does not match the image's size.
    pub fn new(
        sample: &TrainingImage,
        preprocess: &Preprocess,
        mask_side: usize,
        kind: Targets,
        min_px: usize,
    ) -> Self {
        let view = RgbView::new(sample.width, sample.height, &sample.rgb)
            .expect("a decoded image is whole");
        let (image, geometry) = preprocess.run(view);
        let (width, height) = geometry.mask_size((mask_side, mask_side));
        // Classes are taken from the nearest pixel, because interpolated indices would be other
        // classes.
        let source = |i: usize, to: usize, from: usize| (2 * i + 1) * from / (2 * to);
        let classes = Array2::from_shape_fn((height, width), |(y, x)| {
            let (y, x) = (source(y, height, sample.height), source(x, width, sample.width));
            sample.classes[[y, x]]
        });
        let small = TrainingImage { width, height, rgb: Vec::new(), classes };
        let geometry = Geometry { frame: (width, height), ..geometry };
        let ignored = small.ignored();
        let mut targets = small.targets(kind, min_px);
        if targets.is_empty() {
            // An empty target is trained, too: a negative click has no mask.
            targets.push((0, Array2::from_elem((height, width), false)));
        }
        Self { image, geometry, targets, ignored }
    }

    /// Tokens of several prompts, padded to the same number: coordinates `[T, N, 2]` and labels
    /// `[T, N]`.
    ///
    /// # Panics
    /// If a prompt was not made from this example's targets.
    pub fn tokens(&self, prompts: &[&Prompting]) -> PromptTokens {
        let tokens: Vec<PromptTokens> = prompts
            .iter()
            .map(|prompt| {
                let prompt = prompt.prompt(self.geometry.frame);
                prompt.expect("prompts are made from these masks").tokens(&self.geometry)
            })
            .collect();
        let slots = tokens.iter().map(|tokens| tokens.labels.ncols()).max().unwrap_or(0);
        let tokens: Vec<_> = tokens.iter().map(|tokens| tokens.padded(slots)).collect();
        let coords: Vec<_> = tokens.iter().map(|tokens| tokens.coords.view()).collect();
        let labels: Vec<_> = tokens.iter().map(|tokens| tokens.labels.view()).collect();
        let same = "all have the same number of slots";
        PromptTokens {
            coords: concatenate(Axis(0), &coords).expect(same),
            labels: concatenate(Axis(0), &labels).expect(same),
        }
    }

    /// Ground truth of some targets, 0 or 1, `[T, h, w]`.
    pub fn truth(&self, targets: &[usize]) -> Array3<f32> {
        let (width, height) = self.geometry.frame;
        let mut truth = Array3::zeros((targets.len(), height, width));
        for (i, &target) in targets.iter().enumerate() {
            truth.slice_mut(s![i, .., ..]).assign(&self.targets[target].1.mapv(f32::from));
        }
        truth
    }

    /// Pixels with loss: 1, and 0 for those to ignore, `[h, w]`; `None` if all have.
    pub fn scored(&self) -> Option<Array2<f32>> {
        self.ignored.as_ref().map(|ignored| ignored.mapv(|ignored| f32::from(!ignored)))
    }
}

#[cfg(test)]
mod tests {
    use medsa_sam::image::{Fit, Normalization};

    use super::*;
    use crate::data::IGNORED;

    #[test]
    fn ignored_pixels_have_no_target_and_no_loss() {
        // Class 1 on the left, a column to ignore, and background.
        let classes = Array2::from_shape_fn((64, 64), |(_, x)| match x {
            0..24 => 1,
            24..32 => IGNORED,
            _ => 0,
        });
        let sample = TrainingImage { width: 64, height: 64, rgb: vec![0; 64 * 64 * 3], classes };
        let preprocess =
            Preprocess { input_size: 64, normalization: Normalization::Unit, fit: Fit::Stretch };
        let example = Example::new(&sample, &preprocess, 16, Targets::Component, 1);
        assert_eq!(example.targets.len(), 1);
        let column = |values: &Array2<bool>| -> Vec<bool> { values.row(9).to_vec() };
        assert_eq!(column(&example.targets[0].1)[4..9], [true, true, false, false, false]);
        let scored = example.scored().unwrap();
        assert_eq!(scored.row(9).to_vec()[4..9], [1.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
