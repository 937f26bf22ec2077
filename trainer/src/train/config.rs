//! Configuration of a training. Every key has a default.

use std::path::{Path, PathBuf};

use medsa_sam::{AdapterConfig, AdapterPlan};
use serde::{Deserialize, Serialize};

use super::optimizer::OptimizerConfig;
use crate::augment::Augment;
use crate::data::Targets;
use crate::error::Error;
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
    /// Folder with `images/` and `masks/`, or with records of a device.
    pub path: PathBuf,
    /// Split file from `medsa-train split`. Without it, all images are for training and none for
    /// validation.
    #[serde(default)]
    pub split: Option<PathBuf>,
    /// Names of the classes 1, 2, ...; a class with an empty name is ignored. Of records: labels of
    /// the objects to use; empty for all.
    #[serde(default)]
    pub classes: Vec<String>,
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
            targets: Self::component(),
            min_px: Self::min_px(),
            images_per_epoch: 0,
            prompts: None,
        }
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

impl Config {
    /// Reads a TOML file and applies `overrides`. Each override is `key=value` with a dotted key
    /// and a TOML value; other text is taken as a string. Paths in the file are relative to its
    /// folder, paths in overrides to the current folder.
    ///
    /// # Errors
    /// [`Error::Format`] names the file or the override, and the key.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let mut config: Self = toml::from_str(&text).map_err(|e| Error::format(path, e))?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        for text in overrides {
            let changed = config.with(text);
            config = changed.map_err(|reason| Error::format(path, reason))?;
        }
        config.check().map_err(|reason| Error::format(path, reason))?;
        Ok(config)
    }

    /// The same configuration with absolute paths, so that it can be stored in any folder.
    ///
    /// # Errors
    /// The current folder is unknown, or a path is empty.
    pub fn absolute(mut self) -> std::io::Result<Self> {
        for path in self.paths() {
            *path = std::path::absolute(&*path)?;
        }
        Ok(self)
    }

    fn resolve(&mut self, folder: &Path) {
        self.paths().into_iter().for_each(|path| *path = folder.join(&*path));
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let Self { base, quantized_base, adapter, out, cache, data, .. } = self;
        let data = data.iter_mut();
        let data = data.flat_map(|data| [Some(&mut data.path), data.split.as_mut()]).flatten();
        let optional = [quantized_base, adapter, cache].into_iter().flatten();
        [base, out].into_iter().chain(optional).chain(data).collect()
    }

    fn with(&self, text: &str) -> Result<Self, String> {
        let mut table = toml::Table::try_from(self).map_err(|e| e.to_string())?;
        set(&mut table, text)?;
        // The deserializer's message ends with the key.
        table.try_into().map_err(|e| format!("override {text}: {}", e.to_string().trim_end()))
    }

    fn check(&self) -> Result<(), String> {
        let of_data = self.data.iter().filter_map(|data| data.prompts.as_ref());
        for prompts in of_data.chain([&self.prompts]) {
            prompts.check().map_err(|e| e.to_string())?;
        }
        self.augment.check().map_err(|e| e.to_string())?;
        if self.data.is_empty() {
            return Err("no [[data]], expected at least one data set".into());
        }
        if self.data.iter().all(|data| data.split.is_none()) {
            return Err("no [[data]] has a split, expected one for validation".into());
        }
        let FitConfig { steps, batch, slices, prompts_per_image, checkpoint_every, .. } = self.fit;
        for (key, value) in [
            ("fit.steps", steps),
            ("fit.batch", batch),
            ("fit.slices", slices),
            ("fit.prompts_per_image", prompts_per_image),
            ("fit.checkpoint_every", checkpoint_every),
            ("validation.every", self.validation.every),
            ("adapters.reduction", self.adapters.reduction),
            ("adapters.decoder.reduction", self.adapters.decoder.reduction),
            ("adapters.decoder.hyp_reduction", self.adapters.decoder.hyp_reduction),
            ("the number of validation.prompts", self.validation.prompts.len()),
        ] {
            if value == 0 {
                return Err(format!("{key} is 0, expected 1 or more"));
            }
        }
        if !(0.0..=1.0).contains(&self.fit.previous_mask) {
            let found = self.fit.previous_mask;
            return Err(format!(
                "fit.previous_mask is {found}, expected a probability from 0 to 1"
            ));
        }
        let rate = self.optimizer.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(format!("optimizer.learning_rate is {rate}, expected above 0"));
        }
        Ok(())
    }
}

/// Sets a dotted key.
fn set(table: &mut toml::Table, text: &str) -> Result<(), String> {
    let expected = || format!("override {text}: expected key=value, for example fit.steps=100");
    let (key, value) = text.split_once('=').ok_or_else(expected)?;
    // Text that is not a TOML value is a string.
    let value = format!("value = {value}").parse::<toml::Table>().ok();
    let value = value.and_then(|mut table| table.remove("value"));
    let value = value.unwrap_or_else(|| text[key.len() + 1..].into());
    let (folders, name) = match key.rsplit_once('.') {
        Some((folders, name)) => (folders.split('.').collect(), name),
        None => (Vec::new(), key),
    };
    let mut table = table;
    for folder in folders {
        let entry = table.entry(folder).or_insert_with(|| toml::Table::new().into());
        table =
            entry.as_table_mut().ok_or_else(|| format!("override {text}: {folder} is a value"))?;
    }
    table.insert(name.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../fit.example.toml");

    /// Error message of a configuration that is refused.
    fn refused(text: &str, overrides: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fit.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let error = Config::read(&path, &overrides).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        error
    }

    const DATA: &str = "[[data]]\npath = \"d\"\nsplit = \"s.json\"\nclasses = [\"c\"]\n";

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

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = refused(&format!("{DATA}[fit]\nstepz = 3\n"), &[]);
        assert!(error.contains("unknown field `stepz`"), "{error}");
        let error = refused(DATA, &["fit.stepz=3"]);
        assert!(error.contains("override fit.stepz=3: unknown field `stepz`"), "{error}");
        let error = refused(DATA, &["fitt.steps=3"]);
        assert!(error.contains("unknown field `fitt`"), "{error}");
        let error = refused(DATA, &["seed.of=3"]);
        assert!(error.contains("seed is a value"), "{error}");
        assert!(refused(DATA, &["fit.steps"]).contains("expected key=value"));
    }

    #[test]
    fn values_of_the_wrong_type_are_refused_by_name() {
        let error = refused(&format!("{DATA}[fit]\nsteps = \"many\"\n"), &[]);
        assert!(error.contains("steps") && error.contains("expected usize"), "{error}");
        let error = refused(DATA, &["fit.steps=many"]);
        assert!(error.contains("override fit.steps=many: invalid type"), "{error}");
        let error = refused(DATA, &["validation.prompts=[\"centre\"]"]);
        assert!(error.contains("unknown variant `centre`, expected one of `center`"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        assert!(refused("", &[]).contains("no [[data]]"));
        assert!(refused("[[data]]\npath = \"d\"\n", &[]).contains("no [[data]] has a split"));
        let error = refused(DATA, &["fit.steps=0"]);
        assert!(error.contains("fit.steps is 0, expected 1 or more"), "{error}");
        assert!(refused(DATA, &["fit.previous_mask=2.0"]).contains("fit.previous_mask is 2"));
    }

    #[test]
    fn file_paths_start_at_its_folder_and_override_paths_at_the_current_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fit.toml");
        std::fs::write(&path, format!("cache = \"kept\"\n{DATA}")).unwrap();
        let overrides = ["out=elsewhere/run".to_owned(), "fit.steps=9".to_owned()];
        let config = Config::read(&path, &overrides).unwrap();
        assert_eq!(config.base, folder.path().join("base.safetensors"));
        assert_eq!(config.cache, Some(folder.path().join("kept")));
        assert_eq!(config.data[0].split, Some(folder.path().join("s.json")));
        assert_eq!((config.out.as_path(), config.fit.steps), (Path::new("elsewhere/run"), 9));
        let absolute = config.absolute().unwrap();
        assert_eq!(absolute.out, std::env::current_dir().unwrap().join("elsewhere/run"));
    }
}
