//! Reading a configuration: the file, overrides of its keys, and checks of the values.

use std::path::{Path, PathBuf};

use super::{Config, FitConfig};
use crate::error::Error;

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

    /// Error message of a configuration that is refused.
    fn refused(text: &str, overrides: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fit.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let error = Config::read(&path, &overrides).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot use {}: ", path.display())), "{error}");
        error
    }

    const DATA: &str = "[[data]]\npath = \"d\"\nsplit = \"s.json\"\nclasses = [\"c\"]\n";

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
