//! Reading and checking the schema of a block.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use medsa_sam::block::{BlockKind, BlockSchema, DOMAIN, SCHEMA_ATTRIBUTE, SCHEMA_VERSION};
use serde::Deserialize;
use tract_onnx::pb::{FunctionProto, NodeProto};

use super::canonical::canonical_hash;
use super::mismatch::Mismatch;

/// Bodies that kernels compute, one per line: hash and variant. Written by the test that exports
/// every block.
const BODIES: &str = include_str!("bodies.txt");

static KNOWN: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| BODIES.lines().filter_map(|line| line.split_whitespace().next()).collect());

/// Result of reading a call's schema.
pub(super) enum Reading {
    /// A block that has a kernel.
    Known(BlockSchema),
    /// A block without a kernel, computed node by node; the text is the reason.
    Foreign(String),
}

/// Fields that all versions of the schema have.
#[derive(Deserialize)]
struct Header {
    version: u32,
    kind: serde_json::Value,
}

/// Reads the schema of `call`, a call of `function`.
pub(super) fn read(call: &NodeProto, function: &FunctionProto) -> Result<Reading, Mismatch> {
    let attribute = call.attribute.iter().find(|attribute| attribute.name == SCHEMA_ATTRIBUTE);
    let text = match attribute {
        Some(attribute) => std::str::from_utf8(&attribute.s)
            .map_err(|_| Mismatch::new(SCHEMA_ATTRIBUTE, "not UTF-8", "JSON"))?,
        None if call.domain == DOMAIN => {
            let expected = "a schema: re-export the model with this version's `medsa-export build`";
            return Err(Mismatch::new(SCHEMA_ATTRIBUTE, "missing", expected));
        }
        None => return Ok(Reading::Foreign(format!("unknown domain {}", call.domain))),
    };
    let malformed = |error: serde_json::Error| {
        Mismatch::new(SCHEMA_ATTRIBUTE, error.to_string(), "the schema of a block")
    };
    let header: Header = serde_json::from_str(text).map_err(malformed)?;
    if header.version > SCHEMA_VERSION {
        let Header { version, .. } = header;
        let reason =
            format!("its schema has version {version}, this program knows {SCHEMA_VERSION}");
        return Ok(Reading::Foreign(reason));
    }
    if header.version < SCHEMA_VERSION {
        let expected = format!(
            "{SCHEMA_VERSION}: re-export the model with this version's `medsa-export build`"
        );
        return Err(Mismatch::new("version", header.version.to_string(), expected));
    }
    let kind = match &header.kind {
        serde_json::Value::String(name) => Some(name.as_str()),
        serde_json::Value::Object(fields) => fields.keys().next().map(String::as_str),
        _ => None,
    };
    if let Some(kind) = kind.filter(|kind| !BlockKind::NAMES.contains(kind)) {
        return Ok(Reading::Foreign(format!("its kind {kind} is not known to this program")));
    }
    let schema: BlockSchema = serde_json::from_str(text).map_err(malformed)?;
    if !KNOWN.contains(schema.body.as_str()) {
        let (variant, body) = (schema.kind.variant(), &schema.body);
        return Ok(Reading::Foreign(format!("no kernel computes {variant} with body {body}")));
    }
    let found = canonical_hash(&schema.kind, &schema.weights, function)?;
    if found != schema.body {
        return Err(Mismatch::new("body", found, schema.body));
    }
    Ok(Reading::Known(schema))
}
