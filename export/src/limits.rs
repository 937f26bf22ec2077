//! What a build must hold to be fit for devices.

use medsa_bundle::{Agreement, QuantizationReport};

/// Limits for builds in 8 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitnessLimits {
    /// Least mean IoU of its masks with those in f32.
    pub mean_iou: f64,
    /// Least part of all multiply-accumulates in 8 bits.
    pub int8_macs: f64,
    /// Largest size of its files, in MB.
    pub megabytes: f64,
}

impl Default for FitnessLimits {
    fn default() -> Self {
        Self { mean_iou: 0.9, int8_macs: 0.95, megabytes: 12.0 }
    }
}

impl FitnessLimits {
    /// Each limit that is missed, as a sentence.
    pub fn missed(
        &self,
        agreement: &Agreement,
        quantization: &QuantizationReport,
        bytes: usize,
    ) -> Vec<String> {
        let (iou, macs) = (agreement.mean_iou, 100.0 * quantization.int8_macs);
        let megabytes = bytes as f64 / 1e6;
        let least_macs = 100.0 * self.int8_macs;
        // Written so that no number misses them all.
        let limits = [
            (iou >= self.mean_iou, {
                format!("mask IoU with f32 is {iou:.4}, at least {:.4} is wanted", self.mean_iou)
            }),
            (macs >= least_macs, {
                format!(
                    "{macs:.1} % of multiply-accumulates are in 8 bits, at least {least_macs:.1} % \
                     are wanted"
                )
            }),
            (megabytes <= self.megabytes, {
                format!(
                    "its files have {megabytes:.1} MB, at most {:.1} are wanted",
                    self.megabytes
                )
            }),
        ];
        limits.into_iter().filter(|(holds, _)| !holds).map(|(_, missed)| missed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missed_limit_is_told_with_figures() {
        let agreement = Agreement { frames: 1, masks: 3, mean_iou: 0.91, min_iou: 0.8 };
        let quantization = QuantizationReport { int8_macs: 0.97, in_float: Vec::new() };
        let limits = FitnessLimits::default();
        assert_eq!(limits.missed(&agreement, &quantization, 11_900_000), Vec::<String>::new());
        let bad = Agreement { mean_iou: 0.8, ..agreement };
        assert_eq!(
            limits.missed(&bad, &quantization, 12_345_678),
            [
                "mask IoU with f32 is 0.8000, at least 0.9000 is wanted",
                "its files have 12.3 MB, at most 12.0 are wanted"
            ]
        );
        let none = Agreement { mean_iou: f64::NAN, ..bad };
        assert_eq!(limits.missed(&none, &quantization, 0).len(), 1);
    }
}
