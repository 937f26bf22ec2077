//! Configuration of a training. Every key has a default.

mod read;

use std::path::{Path, PathBuf};

use medsa_sam::{AdapterConfig, AdapterPlan};
use serde::{Deserialize, Serialize};

use super::optimizer::OptimizerConfig;
use crate::augment::Augment;
use crate::data::{IgnoredValue, MaskRule, Targets, ValueTable};
use crate::prompts::{PromptKind, PromptMix};

/// Configuration of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// Int8 base file from `medsa-export quantize`. Adapters then learn to compensate for the
    /// effect of int8.
    pub quantized_base: Option<PathBuf>,
    /// Adapter whose training is continued, instead of new adapters.
    pub adapter: Option<PathBuf>,
    /// Run folder to write.
    pub out: PathBuf,
    /// Folder to keep features of frozen encoder steps in; without it they are computed every time.
    pub cache: Option<PathBuf>,
    /// Name of the task, for the adapter's metadata.
    pub task: String,
    /// Side of the network input, in pixels.
    pub input_size: usize,
    /// Seed of all random choices. It must fit a signed 64-bit number, as in TOML.
    pub seed: u64,
    /// Data sets.
    pub data: Vec<DataConfig>,
    /// Adapters to train.
    pub adapters: AdapterPlan,
    /// Settings of the adapters.
    pub form: AdapterConfig,
    /// Mix of prompts in training.
    pub prompts: PromptMix,
    /// Augmentation of images in training.
    pub augment: Augment,
    /// Settings of the optimizer.
    pub optimizer: OptimizerConfig,
    /// Length and batches of the training.
    pub fit: FitConfig,
    /// Validation during the training.
    pub validation: ValidationConfig,
}

/// Configuration of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder with `images/` and `masks/`, with annotations, or with records of a device.
    pub path: PathBuf,
    /// Split file from `medsa-train split`. Without it, all images are for training and none for
    /// validation.
    #[serde(default)]
    pub split: Option<PathBuf>,
    /// Names of the classes 1, 2, ...; a class with an empty name is ignored. Of records and annotations: labels of
    /// the objects to use; empty for all.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Value of mask pixels without loss and score.
    #[serde(default)]
    pub ignore: IgnoredValue,
    /// Meaning of the values in masks; empty: 0 is background, the others are class numbers, and a
    /// lone 255 is class 1.
    #[serde(default)]
    pub values: ValueTable,
    /// Target of one prompt in training.
    #[serde(default = "DataConfig::component")]
    pub targets: Targets,
    /// Smallest component in training, in pixels of the mask logits; smaller ones are ignored.
    #[serde(default = "DataConfig::min_px")]
    pub min_px: usize,
    /// Number of images of this data set per epoch, to repeat a small data set or sample a large
    /// one. 0 means each image once.
    #[serde(default)]
    pub images_per_epoch: usize,
    /// Mix of prompts for this data set, instead of that of the configuration.
    #[serde(default)]
    pub prompts: Option<PromptMix>,
}

impl DataConfig {
    /// A data set with default settings.
    pub fn new(path: &Path, split: Option<&Path>, classes: &[String]) -> Self {
        Self {
            path: path.to_owned(),
            split: split.map(Path::to_owned),
            classes: classes.to_vec(),
            ignore: IgnoredValue::default(),
            values: ValueTable::default(),
            targets: Self::component(),
            min_px: Self::min_px(),
            images_per_epoch: 0,
            prompts: None,
        }
    }

    /// Rule for the values in masks.
    pub fn mask_rule(&self) -> MaskRule {
        MaskRule { ignore: self.ignore, values: self.values.clone() }
    }

    fn component() -> Targets {
        Targets::Component
    }

    fn min_px() -> usize {
        30
    }
}

/// Length and batches of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// Number of optimizer steps.
    pub steps: usize,
    /// Images per step, over all processes together. Their gradients are accumulated, so that
    /// memory use is that of one image.
    pub batch: usize,
    /// Slices of a volume or frames of a cine processed together (SD-Trans); 1 for single images.
    pub slices: usize,
    /// Prompts per image, which share one run of the encoder. They have different targets; if there
    /// are fewer targets, targets are repeated.
    pub prompts_per_image: usize,
    /// Variations of each image that are drawn once and reused, so that their features can be kept;
    /// 0 draws a new variation every time.
    pub variants: usize,
    /// Probability that a prompt includes the mask of an earlier frame.
    pub previous_mask: f64,
    /// Steps between two saved states from which the training can resume.
    pub checkpoint_every: usize,
    /// True to compute the products of layers and attentions in bf16. Needs a GPU.
    pub bf16: bool,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 4,
            slices: 1,
            prompts_per_image: 4,
            variants: 8,
            previous_mask: 0.15,
            checkpoint_every: 100,
            bf16: false,
        }
    }
}

/// Validation during a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationConfig {
    /// Steps between two validations; there is also one after the last step.
    pub every: usize,
    /// Kinds of prompts. The best adapter has the highest mean Dice over these and all classes.
    pub prompts: Vec<PromptKind>,
    /// Target of one prompt.
    pub targets: Targets,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        let prompts = vec![PromptKind::Center, PromptKind::Box75];
        Self { every: 200, prompts, targets: Targets::Largest }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base: "base.safetensors".into(),
            quantized_base: None,
            adapter: None,
            out: "run".into(),
            cache: None,
            task: "task".into(),
            input_size: 256,
            seed: 0,
            data: Vec::new(),
            adapters: AdapterPlan::default(),
            form: AdapterConfig::default(),
            prompts: PromptMix::default(),
            augment: Augment::default(),
            optimizer: OptimizerConfig::default(),
            fit: FitConfig::default(),
            validation: ValidationConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../fit.example.toml");

    #[test]
    fn example_equals_the_default() {
        let mut example: Config = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(example.data.len(), 1);
        let DataConfig { path, split, classes, .. } = &example.data[0];
        assert_eq!(example.data[0], DataConfig::new(path, split.as_deref(), classes));
        example.data.clear();
        assert_eq!(example, Config::default());
    }

    #[test]
    fn example_names_every_key() {
        let example: toml::Table = EXAMPLE.parse().unwrap();
        let data = DataConfig::new(Path::new("d"), Some(Path::new("s")), &["c".into()]);
        let all = Config { data: vec![data], ..Config::default() };
        let keys = missing("", &toml::Table::try_from(all).unwrap(), &example);
        assert_eq!(keys, Vec::<String>::new());
        // Keys without a default value are commented out.
        for key in ["quantized_base", "adapter", "cache"] {
            assert!(EXAMPLE.contains(&format!("\n# {key} = ")), "{key}");
        }
    }

    /// Dotted keys of `all` that are missing in `found`.
    fn missing(folder: &str, all: &toml::Table, found: &toml::Table) -> Vec<String> {
        let missing_in = |(key, value): (&String, &toml::Value)| {
            let name = format!("{folder}{key}");
            match (value, found.get(key)) {
                (_, None) => vec![name],
                (toml::Value::Table(all), Some(toml::Value::Table(found))) => {
                    missing(&format!("{name}."), all, found)
                }
                (toml::Value::Array(all), Some(toml::Value::Array(found))) => {
                    let tables = all.iter().zip(found).filter_map(|(all, found)| {
                        Some(missing(&format!("{name}."), all.as_table()?, found.as_table()?))
                    });
                    tables.flatten().collect()
                }
                _ => vec![],
            }
        };
        all.iter().flat_map(missing_in).collect()
    }
}
