//! Devices in the field, reached by the system's `ssh`: which there are, and what is asked of many
//! of them at once.

mod parcel;
mod push;
mod report;
mod ssh;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::json;

pub use push::{Push, push};
use ssh::Device;
use table::print;

/// Devices that are asked at the same time.
const AT_ONCE: usize = 4;

/// Longest time for an answer to a question that takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which devices.
#[derive(Args)]
pub struct Fleet {
    /// Devices, as `ssh` knows them
    #[arg(long, value_name = "USER@HOST", num_args = 1.., conflicts_with = "devices")]
    to: Vec<String>,
    /// File with a list of devices: [[device]], ssh = "user@host"
    #[arg(long, value_name = "FILE")]
    devices: Option<PathBuf>,
    /// Configuration of the service on a device, where the file says nothing else
    #[arg(long, value_name = "PATH", default_value = "/etc/medsa/edge.toml")]
    config: String,
    /// The service's program on a device, where the file says nothing else
    #[arg(long, value_name = "PATH", default_value = "medsa-edge")]
    edge: String,
}

/// The file of devices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    device: Vec<Listed>,
}

/// A device in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    ssh: String,
    config: Option<String>,
    edge: Option<String>,
}

impl Fleet {
    fn all(&self) -> anyhow::Result<Vec<Device>> {
        let device = |ssh: &str, config: &Option<String>, edge: &Option<String>| Device {
            ssh: ssh.to_owned(),
            config: config.as_ref().unwrap_or(&self.config).clone(),
            edge: edge.as_ref().unwrap_or(&self.edge).clone(),
        };
        let devices: Vec<_> = match &self.devices {
            Some(file) => {
                let List { device: listed } = list(file)?;
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

fn list(file: &Path) -> anyhow::Result<List> {
    let wrong = |reason: String| anyhow!("{}: {reason}", file.display());
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// Prints what devices say of themselves.
///
/// # Errors
/// If one of them cannot be asked.
pub fn status(fleet: &Fleet, as_json: bool) -> anyhow::Result<()> {
    let devices = fleet.all()?;
    let answers = each(&devices, Device::status);
    let both = devices.iter().zip(&answers);
    if as_json {
        let rows = both.map(|(device, answer)| {
            let (status, error) = (answer.as_ref().ok(), answer.as_ref().err());
            json!({ "ssh": device.ssh, "status": status.map(|report| &report.raw), "error": error })
        });
        println!("{}", rows.collect::<serde_json::Value>());
    } else {
        let rows = both.map(|(device, answer)| {
            let mut row = vec![device.ssh.clone()];
            match answer {
                Ok(report) => row.extend(report.row()),
                Err(reason) => row.extend(["-", "-", "-", "-", reason].map(str::to_owned)),
            }
            row
        });
        print(&["ssh", "device", "board", "build", "state", "service"], rows);
    }
    failed(answers.iter().filter(|answer| answer.is_err()).count(), devices.len())
}

/// Lets devices go back to the build before.
///
/// # Errors
/// If one of them does not.
pub fn rollback(fleet: &Fleet, from_confirmed: bool, as_json: bool) -> anyhow::Result<()> {
    let devices = fleet.all()?;
    let answers = each(&devices, |device| device.rollback(from_confirmed));
    let both = devices.iter().zip(&answers);
    if as_json {
        let rows = both.map(|(device, answer)| {
            json!({ "ssh": device.ssh, "done": answer.as_ref().ok(), "error": answer.as_ref().err() })
        });
        println!("{}", rows.collect::<serde_json::Value>());
    } else {
        let rows = both.map(|(device, answer)| {
            let (Ok(said) | Err(said)) = answer;
            vec![device.ssh.clone(), said.clone()]
        });
        print(&["ssh", "rollback"], rows);
    }
    failed(answers.iter().filter(|answer| answer.is_err()).count(), devices.len())
}

fn failed(devices: usize, of: usize) -> anyhow::Result<()> {
    if devices > 0 {
        bail!("{devices} of {of} devices failed");
    }
    Ok(())
}

/// Does `work` for each, some at a time; what comes of it, in the same order.
fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|it| it.join().expect("no work panics")).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
