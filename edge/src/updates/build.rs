//! Loading a build.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use medsa_bundle::{Build, LatencyLimits, Limits};
use medsa_engine::acceptance::{accept_in_turns, limits_of};
use medsa_engine::{Engine, Inlined, Workers};
use medsa_wire::MAX_MASK_SIDE;
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::config::Config;
use crate::files;
use crate::port::{BuildIdentity, Network, info};

/// An open build file. It stays open, even if another file replaces it at its path.
pub(crate) struct BuildFile {
    path: PathBuf,
    file: File,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
}

/// A build that is ready to run.
pub(crate) struct Loaded {
    /// The build, for its acceptance test.
    pub build: Build,
    /// The network.
    pub network: Network<Engine>,
}

impl BuildFile {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(files::Error::io(path))?;
        let sha256 = sha256(&file).map_err(files::Error::io(path))?;
        file.rewind().map_err(files::Error::io(path))?;
        Ok(Self { path: path.to_owned(), file, sha256 })
    }

    /// Loads the build, which computes on `workers`.
    ///
    /// # Errors
    /// The build is damaged or unsupported, or its masks or description do not fit a message.
    pub fn load(&self, config: &Config, workers: &Workers) -> Result<Loaded, Error> {
        let build = Build::read_file(&self.file, &self.path, &Limits::default())?;
        let engine = Engine::load_on(&build, workers)?;
        for Inlined { block, reason } in engine.inlined() {
            tracing::warn!("block {block} runs node by node, which is slow: {reason}");
        }
        let found = engine.mask_side_px();
        if found > usize::from(MAX_MASK_SIDE) {
            return Err(Error::MaskTooFine { found, limit: MAX_MASK_SIDE });
        }
        let manifest = build.manifest();
        let (name, version) = (manifest.name.clone(), manifest.version.clone());
        tracing::info!("build {name} {version} on {} threads", config.build.threads);
        let (sha256, classes) = (self.sha256, manifest.classes.clone());
        let identity = Arc::new(BuildIdentity { name, version, sha256, classes });
        let manifest = Some(manifest.clone());
        let network = Network { segmenter: engine, build: identity, manifest };
        // Refuses a build that the `info` message cannot describe.
        info(&config.board, &network)?;
        Ok(Loaded { build, network })
    }
}

impl Loaded {
    /// Runs the acceptance test of the build. `turn` is called before every run of the encoder.
    /// If the build has limits for this board, it must meet them, as with `medsa-edge accept
    /// --board`; a build without limits is judged by its masks alone.
    ///
    /// # Errors
    /// [`Error::Engine`].
    pub fn accept<T>(&self, config: &Config, turn: impl Fn() -> T) -> Result<(), Error> {
        let board = config.board.as_str();
        let limits = limits_of(&self.build, board);
        let limits =
            limits.inspect_err(|error| tracing::warn!("{error}: its times are not checked"));
        let accepted = accept_in_turns(&self.build, &self.network.segmenter, turn)?;
        accepted.check(limits.ok().map(|limits| (board, limits)))?;
        // A stage that takes longer would end the process.
        let stuck_ms = config.stuck_after.as_secs_f64() * 1e3;
        let limits = LatencyLimits { encoder_ms: stuck_ms, decoder_ms: stuck_ms };
        Ok(accepted.check(Some(("watchdog.stuck_s", limits)))?)
    }
}

fn sha256(file: &File) -> io::Result<[u8; 32]> {
    // A longer file is refused when it is read.
    let mut reader = BufReader::new(file.take(Limits::default().build_bytes));
    let mut hash = Sha256::new();
    loop {
        let read = reader.fill_buf()?;
        if read.is_empty() {
            return Ok(hash.finalize().into());
        }
        hash.update(read);
        let length = read.len();
        reader.consume(length);
    }
}
