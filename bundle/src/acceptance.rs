//! Acceptance test of a build: prompts with the masks predicted where the build was made. A device
//! repeats them before it switches to the build.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Content of `acceptance.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Frames with prompts and expected masks.
    pub vectors: Vec<AcceptanceVector>,
    /// Latency limits by board.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub boards: BTreeMap<String, LatencyLimits>,
}

/// Largest accepted median times on a board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyLimits {
    /// Limit of the image encoder's time per frame.
    pub encoder_ms: f64,
    /// Limit of the time of prompt encoder and mask decoder per prompt.
    pub decoder_ms: f64,
}

/// One prompt for one frame, with the expected mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceVector {
    /// Frame: name of a PNG file in the build.
    pub frame: String,
    /// Clicks on the structure, (x, y) in frame pixels.
    pub clicks: Vec<[f32; 2]>,
    /// Box `[x0, y0, x1, y1]` in frame pixels.
    #[serde(rename = "box")]
    pub bbox: Option<[f32; 4]>,
    /// Expected mask in frame pixels, row by row, as lengths of runs that start with background.
    pub mask_runs: Vec<u32>,
    /// Smallest accepted intersection over union with the expected mask.
    pub min_iou: f64,
}

impl Acceptance {
    /// Name of its file in a build.
    pub const FILE: &'static str = "acceptance.json";
}

impl AcceptanceVector {
    /// Lengths of runs, starting with background.
    pub fn runs(cells: impl IntoIterator<Item = bool>) -> Vec<u32> {
        let (mut runs, mut current) = (vec![0], false);
        for cell in cells {
            if cell != current {
                runs.push(0);
                current = cell;
            }
            if let Some(last) = runs.last_mut() {
                *last += 1;
            }
        }
        runs
    }

    /// The expected mask's `cells` pixels, row by row; `None` if it has another number of pixels.
    pub fn mask(&self, cells: usize) -> Option<Vec<bool>> {
        let total: u64 = self.mask_runs.iter().map(|&run| u64::from(run)).sum();
        if total != cells as u64 {
            return None;
        }
        let runs = self.mask_runs.iter().enumerate();
        Some(runs.flat_map(|(i, &run)| std::iter::repeat_n(i % 2 == 1, run as usize)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_round_trip() {
        let cells = [true, true, false, true, false, false];
        let vector = AcceptanceVector {
            frame: "0.png".into(),
            clicks: Vec::new(),
            bbox: None,
            mask_runs: AcceptanceVector::runs(cells),
            min_iou: 0.9,
        };
        assert_eq!(vector.mask_runs, [0, 2, 1, 1, 2]);
        assert_eq!(vector.mask(6).unwrap(), cells);
        assert_eq!(vector.mask(5), None);
    }
}
