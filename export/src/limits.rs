//! Limits that a build must meet to be fit for devices.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs};

use medsa_bundle::{Agreement, LatencyLimits, QuantizationReport};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Limits of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitnessLimits {
    /// Smallest mean IoU of int8 masks with f32 masks.
    pub mean_iou: f64,
    /// Smallest part of all multiply-accumulates in int8, from 0 to 1.
    pub int8_macs: f64,
    /// Largest size of the models, in MB.
    pub megabytes: f64,
    /// Latency limits by board; a device checks itself against them.
    pub boards: BTreeMap<String, LatencyLimits>,
}

impl Default for FitnessLimits {
    fn default() -> Self {
        Self { mean_iou: 0.95, int8_macs: 0.95, megabytes: 12.0, boards: BTreeMap::new() }
    }
}

/// One limit, checked against a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Name of the limited quantity.
    pub what: &'static str,
    /// Value of the build, as text.
    pub found: String,
    /// Accepted values, as text.
    pub wanted: String,
    /// True if the build meets the limit.
    pub holds: bool,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { what, found, wanted, .. } = self;
        write!(f, "{what} is {found}, expected {wanted}")
    }
}

impl FitnessLimits {
    /// Reads a TOML file. Keys that it does not set have their default.
    ///
    /// # Errors
    /// [`Error::Limits`] names the file and the key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let refused = |reason: String| Error::Limits { path: path.to_owned(), reason };
        let limits: Self = toml::from_str(&text).map_err(|e| refused(e.to_string()))?;
        limits.check().map_err(refused)?;
        Ok(limits)
    }

    fn check(&self) -> Result<(), String> {
        for (key, part) in [("mean_iou", self.mean_iou), ("int8_macs", self.int8_macs)] {
            if !(0.0..=1.0).contains(&part) {
                return Err(format!("{key} is {part}, expected a part from 0 to 1"));
            }
        }
        let mut amounts = vec![("megabytes".to_owned(), self.megabytes)];
        for (board, limits) in &self.boards {
            amounts.push((format!("boards.{board}.encoder_ms"), limits.encoder_ms));
            amounts.push((format!("boards.{board}.decoder_ms"), limits.decoder_ms));
        }
        let wrong = amounts.iter().find(|(_, amount)| !(*amount > 0.0 && amount.is_finite()));
        match wrong {
            Some((key, amount)) => Err(format!("{key} is {amount}, expected above 0")),
            None => Ok(()),
        }
    }

    /// Checks each limit against a build whose models have `bytes` bytes.
    pub fn judge(
        &self,
        agreement: &Agreement,
        quantization: &QuantizationReport,
        bytes: usize,
    ) -> Vec<Judgement> {
        let (iou, macs) = (agreement.mean_iou, quantization.int8_macs);
        let megabytes = bytes as f64 / 1e6;
        // The comparisons are written so that NaN misses a limit.
        vec![
            Judgement {
                what: "mean mask IoU with f32",
                found: format!("{iou:.4}"),
                wanted: format!("at least {:.4}", self.mean_iou),
                holds: iou >= self.mean_iou,
            },
            Judgement {
                what: "part of multiply-accumulates in int8",
                found: format!("{:.1} %", 100.0 * macs),
                wanted: format!("at least {:.1} %", 100.0 * self.int8_macs),
                holds: macs >= self.int8_macs,
            },
            Judgement {
                what: "size of the models",
                found: format!("{megabytes:.1} MB"),
                wanted: format!("at most {:.1} MB", self.megabytes),
                holds: megabytes <= self.megabytes,
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../limits.example.toml");

    fn read(text: &str) -> Result<FitnessLimits, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limits.toml");
        fs::write(&path, text).unwrap();
        FitnessLimits::read(&path).map_err(|error| {
            let error = error.to_string();
            error
                .strip_prefix(&format!("cannot use the limits in {}: ", path.display()))
                .unwrap()
                .to_owned()
        })
    }

    #[test]
    fn example_equals_the_default_and_names_every_key() {
        assert_eq!(read(EXAMPLE).unwrap(), FitnessLimits::default());
        let all = toml::Table::try_from(FitnessLimits::default()).unwrap();
        let example: toml::Table = EXAMPLE.parse().unwrap();
        assert!(all.keys().filter(|key| *key != "boards").all(|key| example.contains_key(key)));
        // The boards are commented out in the example.
        let boards = EXAMPLE.split_once("# [boards.").unwrap().1.replace("\n# ", "\n");
        let boards = read(&format!("[boards.{boards}")).unwrap().boards;
        assert_eq!(boards.keys().collect::<Vec<_>>(), ["raspberry-pi-5"]);
    }

    #[test]
    fn error_names_the_invalid_key() {
        assert!(read("min_iou = 0.9").unwrap_err().contains("unknown field `min_iou`"));
        let board = "[boards.pi]\nencoder_ms = 9.0\n";
        assert!(read(board).unwrap_err().contains("missing field `decoder_ms`"));
        let error = read(&format!("{board}decoder_ms = 0.0")).unwrap_err();
        assert_eq!(error, "boards.pi.decoder_ms is 0, expected above 0");
        let error = read("mean_iou = 95.0").unwrap_err();
        assert_eq!(error, "mean_iou is 95, expected a part from 0 to 1");
    }

    #[test]
    fn missed_limits_are_reported_with_values() {
        let agreement = Agreement { frames: 1, masks: 3, mean_iou: 0.96, min_iou: 0.8 };
        let quantization = QuantizationReport { int8_macs: 0.97, in_float: Vec::new() };
        let limits = FitnessLimits::default();
        let missed = |agreement: &Agreement, bytes| -> Vec<String> {
            let judged = limits.judge(agreement, &quantization, bytes).into_iter();
            judged.filter(|limit| !limit.holds).map(|limit| limit.to_string()).collect()
        };
        assert_eq!(missed(&agreement, 11_900_000), Vec::<String>::new());
        let bad = Agreement { mean_iou: 0.8, ..agreement };
        assert_eq!(
            missed(&bad, 12_345_678),
            [
                "mean mask IoU with f32 is 0.8000, expected at least 0.9500",
                "size of the models is 12.3 MB, expected at most 12.0 MB"
            ]
        );
        assert_eq!(missed(&Agreement { mean_iou: f64::NAN, ..bad }, 0).len(), 1);
    }
}
