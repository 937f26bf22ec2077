//! Plan of a prompt: its first clicks and box, and the corrections after predictions.

use medsa_sam::PromptError;
use medsa_sam::prompt::{BoxXyxy, Point, Prompt};
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::boxes::{jittered_box, tight_box};
use super::clicks::{central_click, error_click, random_click};

/// Kinds of prompts in evaluation.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum PromptKind {
    /// One click on the most interior pixel of the largest component
    Center,
    /// One random click on the structure
    Point1,
    /// Three random clicks on the structure
    Point3,
    /// A random click, then two clicks, each on the centre of the largest error
    Clicks3,
    /// The central click, then four clicks, each on the centre of the largest error
    Clicks5,
    /// A random box whose IoU with the tight one is at least 0.5
    Box50,
    /// A random box whose IoU with the tight one is at least 0.75
    Box75,
    /// The tight box
    Box,
}

/// The start of a prompt and its number of corrections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptPlan {
    /// Clicks before the first prediction.
    pub bbox: BoxPlan,
    /// The clicks before the first prediction.
    pub first: FirstClicks,
    /// Largest number of clicks on errors; each follows a prediction.
    pub corrections: usize,
}

/// Box of a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BoxPlan {
    /// No box.
    Without,
    /// The tight box.
    Tight,
    /// A random box with at least this IoU with the tight box.
    Jittered(f64),
}

/// First clicks of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstClicks {
    /// No click.
    Without,
    /// A click on the most interior pixel.
    Central,
    /// This many random clicks.
    Random(usize),
}

impl PromptKind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Center,
        Self::Point1,
        Self::Point3,
        Self::Clicks3,
        Self::Clicks5,
        Self::Box50,
        Self::Box75,
        Self::Box,
    ];

    /// Name in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::Point1 => "point1",
            Self::Point3 => "point3",
            Self::Clicks3 => "clicks3",
            Self::Clicks5 => "clicks5",
            Self::Box50 => "box50",
            Self::Box75 => "box75",
            Self::Box => "box",
        }
    }

    /// Plan of this kind of prompt.
    pub fn plan(self) -> PromptPlan {
        let clicks = |first, corrections| PromptPlan { bbox: BoxPlan::Without, first, corrections };
        let only = |bbox| PromptPlan { bbox, first: FirstClicks::Without, corrections: 0 };
        match self {
            Self::Center => clicks(FirstClicks::Central, 0),
            Self::Point1 => clicks(FirstClicks::Random(1), 0),
            Self::Point3 => clicks(FirstClicks::Random(3), 0),
            Self::Clicks3 => clicks(FirstClicks::Random(1), 2),
            Self::Clicks5 => clicks(FirstClicks::Central, 4),
            Self::Box50 => only(BoxPlan::Jittered(0.5)),
            Self::Box75 => only(BoxPlan::Jittered(0.75)),
            Self::Box => only(BoxPlan::Tight),
        }
    }
}

impl PromptPlan {
    /// The prompt before the first prediction, for the structure `truth` `[H, W]`. An empty mask
    /// has no box; if the plan has only a box, it gets a negative click.
    pub fn start(&self, rng: &mut ChaCha8Rng, truth: ArrayView2<bool>) -> Prompting {
        let bbox = match self.bbox {
            BoxPlan::Without => None,
            BoxPlan::Tight => tight_box(truth),
            BoxPlan::Jittered(min_iou) => jittered_box(rng, truth, min_iou),
        };
        let mut points = match self.first {
            FirstClicks::Without => vec![],
            FirstClicks::Central => vec![central_click(truth)],
            FirstClicks::Random(count) => (0..count).map(|_| random_click(rng, truth)).collect(),
        };
        if points.is_empty() && bbox.is_none() {
            points.push(match self.bbox {
                BoxPlan::Jittered(_) => random_click(rng, truth),
                BoxPlan::Without | BoxPlan::Tight => central_click(truth),
            });
        }
        Prompting { points, bbox, corrections_left: self.corrections }
    }
}

/// A prompt with its corrections so far, in pixels of its mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompting {
    points: Vec<Point>,
    bbox: Option<BoxXyxy>,
    corrections_left: usize,
}

impl Prompting {
    /// Clicks so far.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The box.
    pub fn bbox(&self) -> Option<BoxXyxy> {
        self.bbox
    }

    /// Number of corrections left in the plan.
    pub fn corrections_left(&self) -> usize {
        self.corrections_left
    }

    /// Adds the click that corrects the prediction `found` towards `truth`, as chosen by
    /// [`error_click`]: random with `rng` (training), on the centre of the error without
    /// (evaluation). Returns `None` if the plan has no more clicks or nothing is wrong.
    pub fn next(
        &mut self,
        rng: Option<&mut ChaCha8Rng>,
        found: ArrayView2<bool>,
        truth: ArrayView2<bool>,
    ) -> Option<Point> {
        self.corrections_left = self.corrections_left.checked_sub(1)?;
        let point = error_click(rng, found, truth)?;
        self.points.push(point);
        Some(point)
    }

    /// Checks the prompt for a frame of `frame` = (width, height) pixels, which must be the size of
    /// the mask.
    ///
    /// # Errors
    /// The mask has another size, or the plan has too many clicks.
    pub fn prompt(&self, frame: (usize, usize)) -> Result<Prompt, PromptError> {
        Prompt::new(self.points.clone(), self.bbox, frame)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use ndarray::Array2;
    use rand::SeedableRng;

    use super::*;

    fn square() -> Array2<bool> {
        Array2::from_shape_fn((30, 30), |(y, x)| (8..17).contains(&y) && (8..17).contains(&x))
    }

    #[test]
    fn names_are_the_same_in_clap_and_serde() {
        for kind in PromptKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.name());
        }
        assert_eq!(PromptKind::ALL.len(), PromptKind::value_variants().len());
    }

    #[test]
    fn kinds_start_with_their_clicks_and_boxes() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let truth = square();
        for kind in PromptKind::ALL {
            let prompting = kind.plan().start(&mut rng, truth.view());
            let boxed = matches!(kind, PromptKind::Box50 | PromptKind::Box75 | PromptKind::Box);
            let clicks = match kind {
                PromptKind::Point3 => 3,
                _ => usize::from(!boxed),
            };
            assert_eq!((prompting.bbox().is_some(), prompting.points().len()), (boxed, clicks));
            assert!(prompting.points().iter().all(|point| point.positive));
            assert!(prompting.prompt((30, 30)).is_ok());
        }
    }

    /// Prompt of `kind` after a network that marks the clicked pixels only.
    fn corrected(kind: PromptKind, seed: u64) -> Prompting {
        let (truth, mut rng) = (square(), ChaCha8Rng::seed_from_u64(seed));
        let mut prompting = kind.plan().start(&mut rng, truth.view());
        let mut found = Array2::from_elem((30, 30), false);
        while let Some(point) = prompting.next(None, found.view(), truth.view()) {
            found[(point.y as usize, point.x as usize)] = point.positive;
        }
        prompting
    }

    #[test]
    fn five_clicks_are_deterministic_and_no_more_follow() {
        let five = corrected(PromptKind::Clicks5, 1);
        assert_eq!(five.points().len(), 5);
        assert_eq!(five, corrected(PromptKind::Clicks5, 2));
    }

    #[test]
    fn three_clicks_are_a_random_one_and_two_corrections() {
        let [first, second] = [1, 2].map(|seed| corrected(PromptKind::Clicks3, seed));
        assert_eq!((first.points().len(), second.points().len()), (3, 3));
        assert_ne!(first.points()[0], second.points()[0]);
        // The prediction is empty before the first correction.
        assert_eq!(first.points()[1], central_click(square().view()));
    }

    #[test]
    fn correct_prediction_ends_the_clicks() {
        let (truth, mut rng) = (square(), ChaCha8Rng::seed_from_u64(0));
        let mut prompting = PromptKind::Clicks5.plan().start(&mut rng, truth.view());
        assert_eq!(prompting.next(None, truth.view(), truth.view()), None);
        assert_eq!(prompting.points().len(), 1);
    }

    #[test]
    fn empty_mask_gives_every_kind_negative_clicks() {
        let (empty, mut rng) = (Array2::from_elem((30, 30), false), ChaCha8Rng::seed_from_u64(0));
        for kind in PromptKind::ALL {
            let prompting = kind.plan().start(&mut rng, empty.view());
            assert!(!prompting.points().is_empty() && prompting.bbox().is_none());
            assert!(prompting.points().iter().all(|point| !point.positive));
        }
    }
}
