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

pub mod command;
pub mod config;
pub mod degrade;
pub mod follow;
pub mod http;
pub mod log;
pub mod measure;
pub mod mqtt;
pub mod outbox;
pub mod overlay;
pub mod pipeline;
pub mod records;
pub mod service;
pub mod source;
pub mod vitals;
pub mod watchdog;

mod background;
mod disk;
mod error;
mod pem;
mod secret;
mod systemd;

pub use error::Error;
