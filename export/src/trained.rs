//! A base model with its adapter, as the files given to a command.

use std::path::Path;

use medsa_bundle::Origin;
use medsa_sam::Sam;
use medsa_trainer::{Adapter, Checkpoint, TrainingRecord};

use crate::error::Error;

/// A base model, its adapter, and the network of both.
pub(crate) struct Trained {
    pub base: Checkpoint,
    pub adapter: Option<Adapter>,
    /// The network as trained, not folded.
    pub sam: Sam,
}

impl Trained {
    /// Reads base and adapter, for inputs of side `input_size` (by default that of training).
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub(crate) fn read(
        base: &Path,
        adapter: Option<&Path>,
        input_size: Option<usize>,
    ) -> Result<Self, Error> {
        let base = Checkpoint::read(base)?;
        let adapter = adapter.map(Adapter::read).transpose()?;
        let sam = match &adapter {
            Some(adapter) => adapter.sam(&base, input_size)?,
            None => base.sam(input_size)?,
        };
        Ok(Self { base, adapter, sam })
    }

    /// Name and hash of the adapter.
    pub(crate) fn adapter_origin(&self) -> Option<&Origin> {
        self.adapter.as_ref().map(|adapter| &adapter.origin)
    }

    /// Training record of the adapter.
    pub(crate) fn training(&self) -> Option<&TrainingRecord> {
        self.adapter.as_ref().and_then(|adapter| adapter.info.training.as_ref())
    }

    /// Name of the task, or that of the file if its training is not known.
    pub(crate) fn name(&self) -> &str {
        let origin = self.adapter_origin().unwrap_or(&self.base.origin);
        self.training().map_or(&origin.name, |training| &training.task)
    }

    /// Side of the network input in pixels.
    pub(crate) fn input_size(&self) -> usize {
        self.sam.config().preprocess.input_size
    }
}

/// Checks that the file `path` was made from the `found` base or adapter (`what`).
///
/// # Errors
/// [`Error::OtherOrigin`].
pub(crate) fn check_origin(
    path: &Path,
    what: &'static str,
    expected: Option<&Origin>,
    found: Option<&Origin>,
) -> Result<(), Error> {
    let describe = |origin: Option<&Origin>| match origin {
        Some(Origin { name, sha256 }) => format!("{name} with SHA-256 {sha256}"),
        None => "none".to_owned(),
    };
    if expected.map(|origin| &origin.sha256) == found.map(|origin| &origin.sha256) {
        return Ok(());
    }
    let (found, expected) = (describe(found), describe(expected));
    Err(Error::OtherOrigin { path: path.to_owned(), what, found, expected })
}
