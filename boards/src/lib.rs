//! The boards that the edge service runs on, one folder each with a `board.toml`, which build,
//! flasher, tests and benches read.
//!
//! **Architecture invariant:** this crate knows no tensor library and no runtime.
#![forbid(unsafe_code)]

pub mod package;

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

/// `board.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The board, for people.
    pub name: String,
    /// Rust's name of the platform.
    pub target: String,
    /// Version of the C library of its system: the service needs none that is newer.
    pub glibc: String,
    /// Whether the service has run on the real board.
    pub tried: Tried,
    /// What can be plugged in as a source, for people.
    pub camera: String,
    /// How it shows the page, for people.
    pub display: String,
    /// How its system gets onto it, for people.
    pub flash: String,
    /// The processor.
    pub cpu: Cpu,
    /// What inference runs on.
    pub inference: Inference,
    /// What the service may take.
    pub budget: Budget,
}

/// The processor.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Its fastest core, as `-C target-cpu` knows it.
    pub core: String,
    /// The processor that `qemu-aarch64 -cpu` has for it.
    pub emulated_as: String,
    /// Cores of all kinds.
    pub cores: u32,
    /// Clock of the fastest core.
    pub clock_mhz: u32,
    /// Whether it has the eight-bit dot product (SDOT).
    pub dot_product: bool,
}

/// What inference runs on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// Threads of the runtime.
    pub threads: u32,
    /// The cores that the service keeps to, as systemd's `CPUAffinity`.
    pub cpus: String,
}

/// What the service may take.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Memory of the whole service, in 2^20 bytes.
    pub memory_mb: u32,
    /// Time of the image encoder for a frame, of an int8 build at 128 px.
    pub encoder_ms: u32,
    /// Time of prompt encoder and mask decoder for a prompt.
    pub decoder_ms: u32,
}

/// Whether the service has run on the real board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tried {
    /// On the board itself.
    OnBoard,
    /// Never.
    Never,
}

impl Board {
    /// Reads `board.toml` in `folder`.
    ///
    /// # Errors
    /// [`Error`] names the file and the key.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("board.toml");
        let text = fs::read_to_string(&path);
        let text = text.map_err(|source| Error::Io { path: path.clone(), source })?;
        toml::from_str(&text).map_err(|source| Error::Format { path, source: Box::new(source) })
    }

    /// All boards with a folder in `folder`, by name of the folder.
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

/// Why a board's description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is not what a `board.toml` is.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: Box<toml::de::Error>,
    },
}
