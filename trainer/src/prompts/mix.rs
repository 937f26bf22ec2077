//! Mix of the prompts in training.

use medsa_sam::prompt::MAX_POINTS;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::plan::{BoxPlan, FirstClicks, PromptPlan};

/// Frequency of each kind of prompt in training. Weights need not sum to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptMix {
    /// Weight of prompts of clicks only: one click, then corrections.
    pub click: f64,
    /// Weight of boxes whose IoU with the tight box is at least 0.5.
    pub box50: f64,
    /// Weight of boxes whose IoU with the tight box is at least 0.75.
    pub box75: f64,
    /// Weight of a box (IoU at least 0.5) followed by corrections.
    pub box_and_clicks: f64,
    /// Largest number of clicks of one prompt; the number is uniform from 1 to this.
    pub max_clicks: usize,
    /// Probability that the first click is the central one instead of a random one.
    pub central: f64,
}

impl Default for PromptMix {
    /// Half of the prompts are clicks, which the base model does not understand.
    fn default() -> Self {
        Self {
            click: 0.5,
            box50: 0.2,
            box75: 0.15,
            box_and_clicks: 0.15,
            max_clicks: 3,
            central: 0.25,
        }
    }
}

/// An invalid mix; the author of the configuration has to change it.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum MixError {
    /// A weight is negative or not a number.
    #[error("prompts.{field} is {found}, expected a weight of 0 or more")]
    Weight {
        /// Name of the field.
        field: &'static str,
        /// Value of the field.
        found: f64,
    },
    /// All weights are 0.
    #[error("all weights in [prompts] are 0, expected at least one above 0")]
    NothingToDraw,
    /// The number of clicks is out of range.
    #[error("prompts.max_clicks is {found}, expected 1 to {MAX_POINTS}")]
    MaxClicks {
        /// Value of the field.
        found: usize,
    },
    /// The probability of the central click is out of range.
    #[error("prompts.central is {found}, expected a probability from 0 to 1")]
    Central {
        /// Value of the field.
        found: f64,
    },
}

impl PromptMix {
    /// Checks the settings; [`PromptMix::draw`] panics on a mix that does not pass.
    ///
    /// # Errors
    /// [`MixError`] names the field.
    pub fn check(&self) -> Result<(), MixError> {
        let Self { click, box50, box75, box_and_clicks, max_clicks, central } = *self;
        let weights = [
            ("click", click),
            ("box50", box50),
            ("box75", box75),
            ("box_and_clicks", box_and_clicks),
        ];
        for (field, found) in weights {
            if !(found >= 0.0 && found.is_finite()) {
                return Err(MixError::Weight { field, found });
            }
        }
        if weights.iter().all(|&(_, weight)| weight == 0.0) {
            return Err(MixError::NothingToDraw);
        }
        if !(1..=MAX_POINTS).contains(&max_clicks) {
            return Err(MixError::MaxClicks { found: max_clicks });
        }
        if !(0.0..=1.0).contains(&central) {
            return Err(MixError::Central { found: central });
        }
        Ok(())
    }

    /// Draws the plan of one prompt.
    ///
    /// # Panics
    /// If the mix does not pass [`PromptMix::check`].
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> PromptPlan {
        let boxed = |min_iou, corrections| PromptPlan {
            bbox: BoxPlan::Jittered(min_iou),
            first: FirstClicks::Without,
            corrections,
        };
        let sum = self.click + self.box50 + self.box75 + self.box_and_clicks;
        let mut at = rng.random_range(0.0..sum);
        let mut falls_in = |weight: f64| {
            let inside = at < weight;
            at -= weight;
            inside
        };
        if falls_in(self.click) {
            let central = rng.random_bool(self.central);
            let first = if central { FirstClicks::Central } else { FirstClicks::Random(1) };
            let corrections = rng.random_range(1..=self.max_clicks) - 1;
            PromptPlan { bbox: BoxPlan::Without, first, corrections }
        } else if falls_in(self.box50) {
            boxed(0.5, 0)
        } else if falls_in(self.box75) {
            boxed(0.75, 0)
        } else {
            boxed(0.5, rng.random_range(1..=self.max_clicks))
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn kinds_are_drawn_in_proportion_to_their_weights() {
        let mix = PromptMix { click: 4.0, box50: 2.0, box75: 1.0, ..PromptMix::default() };
        let mix = PromptMix { box_and_clicks: 3.0, max_clicks: 4, central: 0.5, ..mix };
        mix.check().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let plans: Vec<_> = (0..10_000).map(|_| mix.draw(&mut rng)).collect();
        let count = |of: &dyn Fn(&PromptPlan) -> bool| plans.iter().filter(|plan| of(plan)).count();
        let near = |found: usize, expected: usize| {
            // Three standard deviations are at most 150.
            assert!(found.abs_diff(expected) < 200, "{found}, expected about {expected}");
        };
        near(count(&|p| p.bbox == BoxPlan::Without), 4000);
        near(count(&|p| p.first == FirstClicks::Central), 2000);
        near(count(&|p| p.bbox == BoxPlan::Jittered(0.75)), 1000);
        near(count(&|p| p.bbox == BoxPlan::Jittered(0.5) && p.corrections == 0), 2000);
        // One of the four numbers of clicks. The first click is not a correction; a box is not a
        // click.
        near(count(&|p| p.bbox == BoxPlan::Without && p.corrections == 3), 1000);
        near(count(&|p| p.bbox == BoxPlan::Jittered(0.5) && p.corrections == 4), 750);
        assert!(plans.iter().all(|p| p.corrections <= 4));
    }

    #[test]
    fn kind_with_weight_zero_is_never_drawn() {
        let mix = PromptMix {
            click: 1.0,
            box50: 0.0,
            box75: 0.0,
            box_and_clicks: 0.0,
            ..Default::default()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        assert!((0..1000).all(|_| mix.draw(&mut rng).bbox == BoxPlan::Without));
    }

    #[test]
    fn invalid_settings_are_named() {
        let error = |toml: &str| toml::from_str::<PromptMix>(toml).unwrap().check().unwrap_err();
        assert_eq!(
            error("box75 = -1.0").to_string(),
            "prompts.box75 is -1, expected a weight of 0 or more"
        );
        assert_eq!(error("max_clicks = 17"), MixError::MaxClicks { found: 17 });
        assert_eq!(error("central = 1.5"), MixError::Central { found: 1.5 });
        let none = "click = 0.0\nbox50 = 0.0\nbox75 = 0.0\nbox_and_clicks = 0.0";
        assert_eq!(error(none), MixError::NothingToDraw);
        assert!(toml::from_str::<PromptMix>("clicks = 1.0").is_err());
        PromptMix::default().check().unwrap();
    }
}
