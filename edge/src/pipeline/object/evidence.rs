//! Evidence for and against a prediction: does it show the object that is followed?

/// Facts about a prediction, compared with the followed object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clues {
    /// Intersection over union that the network predicts.
    pub score: f32,
    /// Cosine of the features inside with those of the object; `None` if features are unknown.
    pub similarity: Option<f32>,
    /// Cosine of the features inside with those around it; `None` if features are unknown.
    pub contrast: Option<f32>,
    /// Ratio of its area to that of the object.
    pub area_ratio: f32,
    /// Overlap (IoU) with the followed mask.
    pub overlap: f32,
    /// Distance of its middle from that of the followed mask, in radii of the object.
    pub distance: f32,
    /// True if the object itself could not be followed since its last mask, so that the followed
    /// mask may be elsewhere.
    pub blind: bool,
}

/// Similarity and contrast of most right predictions.
const USUAL: (f32, f32) = (0.95, 0.93);

/// Largest distance that counts, in radii.
const FAR: f32 = 6.0;

impl Clues {
    /// Logarithm of the odds that the prediction shows the object: above 0, it probably does.
    ///
    /// A logistic regression on 4,500 right and wrong predictions of carotid sweeps and endoscopy
    /// video; with one recording left out, the area under its ROC curve is 0.996.
    pub fn log_odds(&self) -> f32 {
        let similarity = self.similarity.unwrap_or(USUAL.0);
        let contrast = self.contrast.unwrap_or(USUAL.1);
        let size = self.area_ratio.max(f32::MIN_POSITIVE).ln().abs();
        let of_place = if self.blind {
            0.96 * self.overlap - 0.69 * self.distance.min(FAR) - 1.93
        } else {
            3.09 * self.overlap - 3.30 * self.distance.min(FAR)
        };
        0.08 + 6.34 * self.score + 6.55 * similarity - 8.31 * contrast - 2.31 * size + of_place
    }
}

/// Time without a confirmation after which an object may count as lost, in microseconds. With a fast
/// encoder, several predictions fail together, for example while a valve closes.
const PATIENCE_US: u64 = 800_000;

/// Evidence about an object over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confidence {
    /// Sum in log odds.
    sum: f32,
    /// Capture time of the last frame on which it was confirmed, in microseconds.
    confirmed_us: Option<u64>,
}

impl Confidence {
    /// Confidence in a new object.
    pub const NEW: Self = Self { sum: 1.0, confirmed_us: None };

    /// Limits, so that a single prediction still counts after a long time.
    const RANGE: (f32, f32) = (-6.0, 3.0);

    /// Below it, the object is lost.
    const LOST: f32 = -4.0;

    /// Adds the evidence of a prediction that was accepted, on a frame captured at that time.
    pub fn confirm(&mut self, captured_us: u64) {
        self.sum = (self.sum.max(0.0) + 1.0).min(Self::RANGE.1);
        self.confirmed_us = Some(captured_us);
    }

    /// Adds the evidence of a prediction that was not accepted.
    pub fn doubt(&mut self, log_odds: f32) {
        self.sum = (self.sum.min(1.0) + log_odds.clamp(-2.0, 0.0)).max(Self::RANGE.0);
    }

    /// True if the object counts as lost after a prediction for a frame captured at that time.
    pub fn is_lost(self, captured_us: u64) -> bool {
        let waited = |confirmed| captured_us.saturating_sub(confirmed) >= PATIENCE_US;
        self.sum <= Self::LOST && self.confirmed_us.is_none_or(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Clues = Clues {
        score: 0.88,
        similarity: Some(0.96),
        contrast: Some(0.92),
        area_ratio: 1.05,
        overlap: 0.85,
        distance: 0.1,
        blind: false,
    };

    #[test]
    fn each_clue_counts() {
        let certain = RIGHT.log_odds();
        assert!(certain > 3.0, "{certain}");
        for (worse, what) in [
            (Clues { score: 0.4, ..RIGHT }, "score"),
            (Clues { similarity: Some(0.6), ..RIGHT }, "similarity"),
            (Clues { contrast: Some(0.995), ..RIGHT }, "contrast"),
            (Clues { area_ratio: 3.0, ..RIGHT }, "area"),
            (Clues { overlap: 0.2, ..RIGHT }, "overlap"),
            (Clues { distance: 1.5, ..RIGHT }, "distance"),
        ] {
            assert!(worse.log_odds() < certain - 0.5, "{what}: {}", worse.log_odds());
        }
    }

    #[test]
    fn place_counts_less_when_blind() {
        let moved = Clues { overlap: 0.0, distance: 2.0, ..RIGHT };
        assert!(moved.log_odds() < 0.0, "{}", moved.log_odds());
        assert!(Clues { blind: true, ..moved }.log_odds() > 0.0);
        let unknown = Clues { similarity: None, contrast: None, ..RIGHT };
        assert!((unknown.log_odds() - RIGHT.log_odds()).abs() < 0.3);
    }

    #[test]
    fn object_is_lost_after_several_doubts_and_found_at_once() {
        let mut confidence = Confidence::NEW;
        confidence.confirm(0);
        let mut doubts = 0;
        while !confidence.is_lost(500_000 * doubts) {
            confidence.doubt(-5.0);
            doubts += 1;
        }
        assert_eq!(doubts, 3);
        assert!(!confidence.is_lost(500_000), "too soon");
        confidence.confirm(1_500_000);
        assert!(!confidence.is_lost(9_000_000));
    }
}
