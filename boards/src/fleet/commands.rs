//! Commands that ask every device once: status and rollback.

use anyhow::bail;
use medsa_console::println;
use serde::Serialize;

use super::each::each;
use super::list::Fleet;
use super::message::{RollbackEntry, StatusEntry};
use super::ssh::Device;
use super::table;

/// Prints the status of every device.
///
/// # Errors
/// If a device does not answer.
pub fn status(fleet: &Fleet, as_json: bool) -> anyhow::Result<()> {
    let devices = fleet.all()?;
    let answers = each(&devices, Device::status);
    let both = devices.iter().zip(&answers);
    if as_json {
        print_json(both.map(|(device, answer)| StatusEntry {
            ssh: &device.ssh,
            status: answer.as_ref().ok().map(|report| &report.0),
            error: answer.as_ref().err().map(String::as_str),
        }))?;
    } else {
        let rows = both.map(|(device, answer)| {
            let mut row = vec![device.ssh.clone()];
            match answer {
                Ok(report) => row.extend(report.row()),
                Err(reason) => row.extend(["-", "-", "-", "-", reason].map(str::to_owned)),
            }
            row
        });
        table::print(&["ssh", "device", "board", "build", "state", "service"], rows);
    }
    check(answers.iter().filter(|answer| answer.is_err()).count(), devices.len())
}

/// Rolls every device back to its previous build.
///
/// # Errors
/// If a device does not roll back.
pub fn rollback(fleet: &Fleet, from_confirmed: bool, as_json: bool) -> anyhow::Result<()> {
    let devices = fleet.all()?;
    let answers = each(&devices, |device| device.rollback(from_confirmed));
    let both = devices.iter().zip(&answers);
    if as_json {
        print_json(both.map(|(device, answer)| RollbackEntry {
            ssh: &device.ssh,
            done: answer.as_deref().ok(),
            error: answer.as_ref().err().map(String::as_str),
        }))?;
    } else {
        let rows = both.map(|(device, answer)| {
            let (Ok(said) | Err(said)) = answer;
            vec![device.ssh.clone(), said.clone()]
        });
        table::print(&["ssh", "rollback"], rows);
    }
    check(answers.iter().filter(|answer| answer.is_err()).count(), devices.len())
}

fn print_json<T: Serialize>(entries: impl Iterator<Item = T>) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(&entries.collect::<Vec<_>>())?);
    Ok(())
}

fn check(failed: usize, devices: usize) -> anyhow::Result<()> {
    if failed > 0 {
        bail!("{failed} of {devices} devices failed");
    }
    Ok(())
}
