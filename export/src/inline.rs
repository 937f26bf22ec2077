//! ONNX files without local functions.

use std::fs;
use std::path::Path;

use medsa_engine as engine;
use prost::Message;
use tract_onnx::pb::ModelProto;

use crate::error::Error;

/// More nodes than any network of ours has, and few enough to hold.
const MAX_NODES: usize = 50_000;

/// Writes the model in `from` to `to` with every local function in place of its calls.
///
/// # Errors
/// A file that cannot be read or written, or is no model of ours.
pub fn inline(from: &Path, to: &Path) -> Result<(), Error> {
    let io = |path: &Path, source| Error::Io { path: path.to_owned(), source };
    let model = |reason: String| Error::NotOnnx { path: from.to_owned(), reason };
    let bytes = fs::read(from).map_err(|e| io(from, e))?;
    let decoded = ModelProto::decode(bytes.as_slice()).map_err(|e| model(e.to_string()))?;
    let inlined = engine::inline(decoded, MAX_NODES).map_err(model)?;
    fs::write(to, inlined.encode_to_vec()).map_err(|e| io(to, e))
}
