//! Schemas of the fields whose JSON form differs from their type; see `json.rs`.

extern crate alloc;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::MAX_MASK_SIDE;

/// A SHA-256 as hexadecimal digits.
pub(crate) struct Sha256;

impl JsonSchema for Sha256 {
    fn schema_name() -> Cow<'static, str> {
        "Sha256".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

/// A binary mask that covers the whole frame. Cell (x, y) covers the frame's pixels from
/// `x * frame_width_px / width` to `(x + 1) * frame_width_px / width`, and likewise for the rows.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Mask {
    /// Width in cells.
    #[schemars(range(min = 1, max = MAX_MASK_SIDE))]
    width: u16,
    /// Height in cells.
    #[schemars(range(min = 1, max = MAX_MASK_SIDE))]
    height: u16,
    /// Numbers of cells of the same value in row order, top row first: background first, then
    /// object, and so on in turn. Only the first may be 0. Their sum is width x height.
    #[schemars(length(min = 1), inner(range(max = 65_536)))]
    runs: Vec<u32>,
}
