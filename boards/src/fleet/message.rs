//! Output of the fleet's commands as JSON, for scripts.

use medsa_update::{DeviceStatus, Installed};
use serde::Serialize;

/// Entry of `status --json`: a list with one for each device.
#[derive(Serialize)]
pub struct StatusEntry<'a> {
    /// Address of the device, as `ssh` knows it.
    pub ssh: &'a str,
    /// Status of the device; `null` if it did not answer.
    pub status: Option<&'a DeviceStatus>,
    /// Reason why it did not answer.
    pub error: Option<&'a str>,
}

/// Entry of `rollback --json`: a list with one for each device.
#[derive(Serialize)]
pub struct RollbackEntry<'a> {
    /// Address of the device, as `ssh` knows it.
    pub ssh: &'a str,
    /// Output of the device; `null` if it did not roll back.
    pub done: Option<&'a str>,
    /// Reason why it did not.
    pub error: Option<&'a str>,
}

/// Report of `push --json`.
#[derive(Serialize)]
pub struct PushReport<'a> {
    /// The build that was sent.
    pub build: &'a Installed,
    /// All devices, wave by wave.
    pub devices: Vec<PushEntry<'a>>,
}

/// A device in the report of a push.
#[derive(Serialize)]
pub struct PushEntry<'a> {
    /// Address of the device, as `ssh` knows it.
    pub ssh: &'a str,
    /// Number of its wave, from 1.
    pub wave: usize,
    /// Build that the device used when it last answered.
    pub in_use: Option<&'a Installed>,
    /// `not-begun`, `had-it`, `waiting`, `confirmed` or `failed`.
    pub outcome: &'a str,
    /// Reason for the outcome, if it is waiting or failed.
    pub reason: Option<&'a str>,
}
