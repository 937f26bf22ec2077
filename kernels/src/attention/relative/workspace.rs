//! Memory for the attention of one head.

use super::square::RelativeAttention;
use crate::attention::Products;
use crate::packed::ROWS;
use crate::scratch::Slices;
use crate::simd::{LANES, padded};

/// Memory for the attention of one head. "Positions" are those of the square with padded rows,
/// "queries" those of a tile.
///
/// The slices have these shapes, or all are empty ([`Slices::bytes`]).
pub(crate) struct RelativeWorkspace<'a> {
    /// Side and depth of the attention that the slices were taken for.
    shape: [usize; 2],
    pub(super) operands: Operands<'a>,
    /// `[queries, depth]`.
    pub(super) queries: &'a mut [f32],
    /// Added to scores by the key's row, `[queries, padded side]`.
    pub(super) row_bias: &'a mut [f32],
    /// Added to scores by the key's column, `[queries, padded side]`.
    pub(super) column_bias: &'a mut [f32],
    /// Largest score so far, `[queries]`.
    pub(super) largest: &'a mut [f32],
    /// Sums of attention probabilities so far, before the division by their total: `[queries,
    /// LANES]`.
    pub(super) sums: &'a mut [f32],
    /// Sums of values so far, `[queries, depth]`.
    pub(super) attended: &'a mut [f32],
    /// Scores of a few queries and a tile of keys, `[ROWS, keys]`.
    pub(super) scores: &'a mut [f32],
}

/// Operands of the two products.
pub(super) enum Operands<'a> {
    Float {
        /// `[positions / LANES, depth, LANES]`.
        keys: &'a mut [f32],
        /// `[positions, depth]`.
        values: &'a mut [f32],
    },
    Int8(Int8Operands<'a>),
}

/// Quantized operands.
pub(super) struct Int8Operands<'a> {
    /// Packed as weights, `[positions, depth]`.
    pub keys: &'a mut [i8],
    /// `[positions]`.
    pub key_scales: &'a mut [f32],
    /// First summands of products with keys, `[positions]`.
    pub key_starts: &'a mut [i32],
    /// Each tile of keys packed as weights, `[tiles, depth, keys]`.
    pub values: &'a mut [i8],
    /// `[depth]`.
    pub value_scales: &'a mut [f32],
    /// First summands of products with the values of each tile of keys, `[tiles, depth]`.
    pub value_starts: &'a mut [i32],
    /// `[queries, depth]` of [`Simd::Int8`](crate::simd::Simd::Int8).
    pub queries: &'a mut [i16],
    /// `[queries]`.
    pub query_scales: &'a mut [f32],
    /// Attention probabilities of a few queries, `[ROWS, keys]` of
    /// [`Simd::Int8`](crate::simd::Simd::Int8).
    pub probabilities: &'a mut [i16],
}

impl<'a> RelativeWorkspace<'a> {
    pub(super) fn new(attention: &RelativeAttention, slices: &mut Slices<'a>) -> Self {
        let RelativeAttention { side, depth, products, .. } = *attention;
        let across = padded(side);
        let (positions, keys) = (side * across, attention.key_rows() * across);
        let (tiles, queries) = (side.div_ceil(attention.key_rows()), attention.query_rows() * side);
        let operands = match products {
            Products::Float => Operands::Float {
                keys: slices.take(positions * depth),
                values: slices.take(positions * depth),
            },
            Products::Int8 => Operands::Int8(Int8Operands {
                keys: slices.take(positions * depth),
                key_scales: slices.take(positions),
                key_starts: slices.take(positions),
                values: slices.take(positions * depth),
                value_scales: slices.take(depth),
                value_starts: slices.take(tiles * depth),
                queries: slices.take(queries * depth),
                query_scales: slices.take(queries),
                probabilities: slices.take(ROWS * keys),
            }),
        };
        Self {
            shape: [side, depth],
            operands,
            queries: slices.take(queries * depth),
            row_bias: slices.take(queries * across),
            column_bias: slices.take(queries * across),
            largest: slices.take(queries),
            sums: slices.take(queries * LANES),
            attended: slices.take(queries * depth),
            scores: slices.take(ROWS * keys),
        }
    }

    /// Checks that the slices are as long as this attention needs: they were taken for its shape,
    /// and not only counted.
    ///
    /// # Panics
    /// If they are not.
    pub(super) fn check(&self, attention: &RelativeAttention) {
        let RelativeAttention { side, depth, .. } = *attention;
        let is_counted = self.scores.is_empty();
        assert!(self.shape == [side, depth] && !is_counted, "workspace of {:?}", self.shape);
    }
}
