//! Inlining of local functions in ONNX files.

use std::fs;
use std::path::Path;

use medsa_engine as engine;
use prost::Message;
use tract_onnx::pb::ModelProto;

use crate::error::Error;

/// Limit of nodes: more than any network here has, and few enough to hold in memory.
const MAX_NODES: usize = 50_000;

/// Copies the model in `from` to `to`, with every call of a local function replaced by the
/// function's body.
///
/// # Errors
/// A file cannot be read or written, or is not a model of this project.
pub fn inline(from: &Path, to: &Path) -> Result<(), Error> {
    let io = |path: &Path, source| Error::Io { path: path.to_owned(), source };
    let model = |reason: String| Error::NotOnnx { path: from.to_owned(), reason };
    let bytes = fs::read(from).map_err(|e| io(from, e))?;
    let decoded = ModelProto::decode(bytes.as_slice()).map_err(|e| model(e.to_string()))?;
    let inlined = engine::inline(decoded, MAX_NODES).map_err(model)?;
    fs::write(to, inlined.encode_to_vec()).map_err(|e| io(to, e))
}
