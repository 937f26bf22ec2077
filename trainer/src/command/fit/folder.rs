//! The files of a run.

use std::fs;
use std::path::{Path, PathBuf};

use medsa_trainer::report::curves;
use medsa_trainer::train::Config;

use super::super::at;
use super::curves::panels;
use super::log::Log;

/// The files of a run.
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the folder and keeps the configuration in it, in a form that starts the same
    /// training from wherever it is read.
    pub fn start(&self, config: &Config) -> anyhow::Result<()> {
        fs::create_dir_all(&self.path).map_err(at(&self.path))?;
        let path = self.path.join("config.toml");
        let config = config.clone().absolute().map_err(at(&path))?;
        fs::write(&path, toml::to_string(&config)?).map_err(at(&path))
    }

    /// The state from which training can go on.
    pub fn state(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }

    /// The adapter of the last validation.
    pub fn last(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The adapter of the best validation.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Answers of the best adapter.
    pub fn gallery(&self) -> PathBuf {
        self.path.join("gallery.png")
    }

    /// What happened, a line for each step and validation.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// Draws what the log tells.
    pub fn draw_curves(&self, log: &Log) -> anyhow::Result<()> {
        Ok(curves::draw(&self.path.join("curves.png"), &panels(log))?)
    }

    /// Writes what the training is about and how far it is.
    pub fn write_summary(&self, text: &str) -> anyhow::Result<()> {
        let path = self.path.join("summary.md");
        fs::write(&path, text).map_err(at(&path))
    }
}
