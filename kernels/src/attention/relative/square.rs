//! The square with its tables of relative positions.

use crate::attention::{MASKED, Products};
use crate::simd::{LANES, padded};

/// Attention of all positions of a square to each other, head by head.
///
/// Rows of keys are padded to whole [`LANES`]. So the keys of a vector have the same row, and what
/// is added to their scores is one value for the row and one for each column.
pub(crate) struct RelativeAttention {
    /// Positions of a side of the square.
    pub(super) side: usize,
    pub(super) heads: usize,
    /// Channels of a head, in whole [`LANES`].
    pub(super) depth: usize,
    /// Relative positions of rows and of columns, `[side, depth, padded side]` each: position of
    /// the query, channel, position of the key.
    pub(super) tables: [Vec<f32>; 2],
    /// Added to scores, `[padded side]`: [`MASKED`] for padding.
    pub(super) mask: Vec<f32>,
    pub(super) products: Products,
}

/// Keys of a tile, approximately.
const KEYS: usize = 256;

/// Queries of a tile, approximately.
const QUERIES: usize = 64;

impl RelativeAttention {
    /// `depth` is a multiple of [`LANES`], `tables` are `[side, depth, side]`: position of the
    /// query, channel, position of the key; for rows, then for columns.
    pub(crate) fn new(
        side: usize,
        heads: usize,
        depth: usize,
        tables: [&[f32]; 2],
        products: Products,
    ) -> Self {
        assert!(depth.is_multiple_of(LANES), "heads of {depth} channels");
        let padding = padded(side) - side;
        let pad = |table: &[f32]| {
            assert_eq!(table.len(), side * depth * side, "a table of {side} positions");
            let rows = table.chunks_exact(side).map(|row| row.iter().copied());
            rows.flat_map(|row| row.chain(std::iter::repeat_n(0.0, padding))).collect()
        };
        let mut mask = vec![0.0; side];
        mask.resize(padded(side), MASKED);
        Self { side, heads, depth, tables: tables.map(pad), mask, products }
    }

    /// Positions of a side of the square.
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    pub(crate) fn heads(&self) -> usize {
        self.heads
    }

    /// Channels of a head.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Rows of keys in a tile.
    pub(super) fn key_rows(&self) -> usize {
        (KEYS / padded(self.side)).clamp(1, self.side)
    }

    /// Rows of queries in a tile.
    pub(super) fn query_rows(&self) -> usize {
        (QUERIES / self.side).clamp(1, self.side)
    }
}
