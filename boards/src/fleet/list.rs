//! List of devices, from the command line or a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use serde::Deserialize;

use super::ssh::Device;

/// Devices of a command.
#[derive(Args)]
pub struct Fleet {
    /// Devices, as `ssh` knows them
    #[arg(long, value_name = "USER@HOST", num_args = 1.., conflicts_with = "devices")]
    to: Vec<String>,
    /// File with a list of devices: `[[device]]`, `ssh = "user@host"`
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
    /// Configuration of the service on a device, unless the file names another one
    #[arg(long, value_name = "PATH", default_value = "/etc/medsa/edge.toml")]
    config: String,
    /// Program of the service on a device, unless the file names another one
    #[arg(long, value_name = "PATH", default_value = "medsa-edge")]
    edge: String,
}

/// File of devices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    device: Vec<Listed>,
}

/// A device in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    ssh: String,
    config: Option<String>,
    edge: Option<String>,
}

impl Fleet {
    /// All devices, in the order in which they are listed.
    ///
    /// # Errors
    /// If the file cannot be read, or no device is named.
    pub fn all(&self) -> anyhow::Result<Vec<Device>> {
        let device = |ssh: &str, config: &Option<String>, edge: &Option<String>| Device {
            ssh: ssh.to_owned(),
            config: config.as_ref().unwrap_or(&self.config).clone(),
            edge: edge.as_ref().unwrap_or(&self.edge).clone(),
        };
        let devices: Vec<_> = match &self.devices {
            Some(file) => {
                let List { device: listed } = read(file)?;
                listed.iter().map(|it| device(&it.ssh, &it.config, &it.edge)).collect()
            }
            None => self.to.iter().map(|ssh| device(ssh, &None, &None)).collect(),
        };
        if devices.is_empty() {
            bail!("no device is named, expected --to USER@HOST or a [[device]] in --devices FILE");
        }
        Ok(devices)
    }
}

fn read(file: &Path) -> anyhow::Result<List> {
    let wrong = |reason: String| anyhow!("cannot read {}: {reason}", file.display());
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| wrong(error.to_string()))
}
