//! The device service: segments frames and publishes masks over MQTT.
//!
//! [`command`] holds the commands of the program `medsa-edge`: among others `segment` one frame,
//! `accept` a build, `run` the service, and `watch` devices. [`overlay`] draws images and
//! [`records`] stores captures; both work without the service.
//!
//! **Architecture invariants:** the inference threads do no I/O; the newest frame replaces older
//! ones, and dropped frames are counted; every image with an outline states frame number and age;
//! pixels never leave the device over MQTT.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
// Not `forbid`: ndarray's `s!` expands to an `allow`.
#![deny(unsafe_code)]

pub mod app;
pub mod command;
pub mod config;
pub mod degrade;
pub mod files;
pub mod follow;
pub mod hospital;
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
pub mod threads;
pub mod updates;
pub mod vitals;
pub mod watchdog;

mod back_off;
mod error;
mod fault;
mod systemd;

pub use error::Error;
