//! Boards for the edge service: one folder each, with a `board.toml` that the build, the flasher,
//! tests and benches read.
//!
//! **Architecture invariant:** this crate knows no tensor library and no runtime.
// Standard output and error may be closed: see `medsa-console`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![forbid(unsafe_code)]

pub mod package;

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

/// Description of a board: `board.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Name of the board, for people.
    pub name: String,
    /// Target triple of the platform.
    pub target: String,
    /// Version of the C library on the board: the program must not need a newer one.
    pub glibc: String,
    /// Experience with the service on the real board.
    pub tried: Tried,
    /// Cameras and grabbers that the board takes, for people.
    pub camera: String,
    /// Display for the page, for people.
    pub display: String,
    /// Way to install the system, for people.
    pub flash: String,
    /// Processor of the board.
    pub cpu: Cpu,
    /// Processor cores for inference.
    pub inference: Inference,
    /// Memory and time for the service.
    pub budget: Budget,
}

/// Processor of a board.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Fastest core, as in `-C target-cpu`.
    pub core: String,
    /// Processor that emulates it, as in `qemu-aarch64 -cpu`.
    pub emulated_as: String,
    /// Number of cores of all kinds.
    pub cores: u32,
    /// Clock of the fastest core, in MHz.
    pub clock_mhz: u32,
    /// The cores have the 8-bit dot product (SDOT).
    pub dot_product: bool,
}

/// Processor cores for inference.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// Number of threads of the engine.
    pub threads: u32,
    /// Cores of the service, as in systemd's `CPUAffinity`.
    pub cpus: String,
}

/// Memory and time for the service.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Memory of the whole service, in MiB.
    pub memory_mb: u32,
    /// Time of the image encoder for a frame, with an int8 build at 128 px, in ms.
    pub encoder_ms: u32,
    /// Time of prompt encoder and mask decoder for a prompt, in ms.
    pub decoder_ms: u32,
}

/// Experience with the service on the real board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tried {
    /// The service has run on the board.
    OnBoard,
    /// The service has run under emulation only.
    Never,
}

impl Board {
    /// Reads the `board.toml` in `folder`.
    ///
    /// # Errors
    /// [`Error`] names the file and the key.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("board.toml");
        let text = fs::read_to_string(&path);
        let text = text.map_err(|source| Error::Io { path: path.clone(), source })?;
        toml::from_str(&text).map_err(|source| Error::Format { path, source: Box::new(source) })
    }

    /// Reads all boards in `folder`, sorted by the names of their folders.
    ///
    /// # Errors
    /// As [`Board::read`].
    pub fn read_all(folder: &Path) -> Result<Vec<(String, Self)>, Error> {
        let io = |source| Error::Io { path: folder.to_owned(), source };
        let mut boards = Vec::new();
        for entry in fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.path().join("board.toml").is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                boards.push((name, Self::read(&entry.path())?));
            }
        }
        boards.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(boards)
    }
}

/// Error about a board's description.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("cannot read or write {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The file is no valid `board.toml`.
    #[error("cannot read {path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Place in the file, and what was expected there.
        source: Box<toml::de::Error>,
    },
}
