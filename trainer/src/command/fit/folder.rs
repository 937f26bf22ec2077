//! Files of a run.

use std::fs;
use std::path::{Path, PathBuf};

use medsa_trainer::report::curves;
use medsa_trainer::train::Config;

use super::super::at;
use super::curves::panels;
use super::description::Description;
use super::entries::Entries;

/// Folder with the files of a run.
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Creates the folder and stores the description of the training in it, and its configuration,
    /// in a form that starts the same training from any folder.
    pub fn start(&self, config: &Config, description: &Description) -> anyhow::Result<()> {
        fs::create_dir_all(&self.path).map_err(at(&self.path))?;
        let path = self.config();
        let config = config.clone().absolute().map_err(at(&path))?;
        fs::write(&path, toml::to_string(&config)?).map_err(at(&path))?;
        let path = self.description();
        fs::write(&path, serde_json::to_string_pretty(description)? + "\n").map_err(at(&path))
    }

    /// Reads what [`RunFolder::start`] stored.
    pub fn read(&self) -> anyhow::Result<(Config, Description)> {
        let read = |path: &Path| fs::read_to_string(path).map_err(at(path));
        let (config, description) = (self.config(), self.description());
        Ok((
            toml::from_str(&read(&config)?).map_err(at(&config))?,
            serde_json::from_str(&read(&description)?).map_err(at(&description))?,
        ))
    }

    fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    fn description(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// File of the state from which training can resume.
    pub fn state(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }

    /// Adapter at the last validation.
    pub fn last(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// Adapter at the best validation.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Predictions of the best adapter.
    pub fn gallery(&self) -> PathBuf {
        self.path.join("gallery.png")
    }

    /// Log with one line for each step and validation.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// Draws the curves of the log.
    pub fn draw_curves(&self, log: &Entries) -> anyhow::Result<()> {
        Ok(curves::draw(&self.path.join("curves.png"), &panels(log))?)
    }

    /// Writes the description and progress of the training.
    pub fn write_summary(&self, text: &str) -> anyhow::Result<()> {
        let path = self.path.join("summary.md");
        fs::write(&path, text).map_err(at(&path))
    }
}
