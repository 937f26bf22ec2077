//! The device service: frames in, masks out over MQTT.
//!
//! [`command`] holds what the binary `medsa-edge` does: `segment` one frame, `accept` a build, `run`
//! the service, `watch` what devices say. [`overlay`] draws
//! and [`records`] keeps what people capture; each stands alone.
//!
//! **Architecture invariants:** the inference thread does no I/O; the newest frame wins and
//! dropped frames are counted; a picture with an outline carries frame number and age; pixels
//! never leave the device by MQTT.
// Not `forbid`: ndarray's `s!` expands to an `allow`.
#![deny(unsafe_code)]

pub mod app;
pub mod command;
pub mod config;
pub mod degrade;
pub mod follow;
pub mod http;
pub mod log;
pub mod mailbox;
pub mod measure;
pub mod meter;
pub mod mqtt;
pub mod overlay;
pub mod pipeline;
pub mod port;
pub mod records;
pub mod source;
pub mod updates;
pub mod vitals;
pub mod watchdog;

mod back_off;
mod error;
mod fault;
mod files;
mod systemd;
mod threads;

pub use error::Error;
