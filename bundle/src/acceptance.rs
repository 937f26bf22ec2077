//! What a build answered where it was made, for a device to ask again before it switches to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `acceptance.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Frames with prompts and answers.
    pub vectors: Vec<AcceptanceVector>,
    /// How fast it must be, by board.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub boards: BTreeMap<String, LatencyLimits>,
}

/// Longest medians that are accepted on a board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyLimits {
    /// Of the image encoder, for a frame.
    pub encoder_ms: f64,
    /// Of prompt encoder and mask decoder, for a prompt.
    pub decoder_ms: f64,
}

/// One prompt about one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceVector {
    /// The frame: a PNG file of the build.
    pub frame: String,
    /// Clicks on the structure, (x, y) in pixels of the frame.
    pub clicks: Vec<[f32; 2]>,
    /// A box, `[x0, y0, x1, y1]` in pixels of the frame.
    #[serde(rename = "box")]
    pub bbox: Option<[f32; 4]>,
    /// The mask in pixels of the frame, row by row: lengths of runs, background first.
    pub mask_runs: Vec<u32>,
    /// Least intersection over union with that mask.
    pub min_iou: f64,
}

impl Acceptance {
    /// Its file in a build.
    pub const FILE: &'static str = "acceptance.json";
}

impl AcceptanceVector {
    /// Lengths of runs, background first.
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

    /// The mask's `cells` pixels, row by row; `None` if it has not as many.
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
    fn runs_are_read_back() {
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
