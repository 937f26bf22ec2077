//! A small network, a few images of ellipses, and programs that train on them.

#[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "only one test is left"))]
mod outcome;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{GrayImage, Luma};
use medsa_trainer::Checkpoint;
use serde_json::json;
use tempfile::TempDir;

pub use self::outcome::{Tensors, error, run};
