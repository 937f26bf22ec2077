//! The boards that the edge service runs on, one folder each with a `board.toml`, which build,
//! flasher, tests and benches read.
//!
//! **Architecture invariant:** this crate knows no tensor library and no runtime.
#![forbid(unsafe_code)]

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
    /// The CPU cores that inference may use.
    pub cpu: Cpu,
    /// Whether the service has run on the real board.
    pub tried: Tried,
}

/// The processor.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Core, as `-C target-cpu` and qemu know it.
    pub core: String,
    /// Cores.
    pub cores: u32,
    /// Whether it has the eight-bit dot product (SDOT).
    pub dot_product: bool,
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
