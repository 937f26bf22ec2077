//! The build to start with.

use std::path::Path;

use medsa_engine::{Engine, Workers};
use medsa_update::Choice;

use super::build::BuildFile;
use super::error::Error;
use super::others;
use super::shelf::MAIN;
use super::slots;
use crate::config::Config;
use crate::port::Network;

/// The network to start with.
pub(crate) struct Started {
    /// The network.
    pub network: Network<Engine>,
    /// Name of its build.
    pub name: String,
    /// Reason why the build that was chosen last is not used.
    pub fallback: Option<String>,
}

/// Loads the build that was chosen last or, if that is not possible, the main one.
///
/// # Errors
/// The main build cannot be used.
pub(crate) fn start(config: &Config) -> Result<Started, Error> {
    let chosen = config.build.others.as_deref().map(|folder| chosen(config, folder));
    let fallback = match chosen {
        Some(Ok(Some((name, network)))) => {
            return Ok(Started { network, name, fallback: None });
        }
        Some(Err(reason)) => {
            tracing::error!("the device starts with its main build: {reason}");
            Some(reason)
        }
        None | Some(Ok(None)) => None,
    };
    let path = slots::to_start(&config.build.path)?;
    let loaded = BuildFile::open(&path)?.load(config, &Workers::new(config.build.threads))?;
    Ok(Started { network: loaded.network, name: MAIN.to_owned(), fallback })
}

/// Loads the build that was chosen last, with its name; `None` for the main one. A file that was
/// replaced since then must pass its acceptance test.
fn chosen(config: &Config, folder: &Path) -> Result<Option<(String, Network<Engine>)>, String> {
    let choice = Choice::read(folder).map_err(|error| error.to_string())?;
    let Some(Choice { name, sha256, .. }) = choice.filter(|choice| choice.name != MAIN) else {
        return Ok(None);
    };
    let load = || -> Result<_, Error> {
        let file = BuildFile::open(&others::file_of(folder, &name))?;
        let loaded = file.load(config, &Workers::new(config.build.threads))?;
        if hex::encode(file.sha256) != sha256 {
            loaded.accept(config, || ())?;
        }
        Ok(loaded.network)
    };
    let network = load().map_err(|error| format!("the chosen build {name}: {error}"))?;
    Ok(Some((name, network)))
}
