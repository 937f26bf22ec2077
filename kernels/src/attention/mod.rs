//! Attention: softmax of products of queries and keys, times values.

mod quantized;
mod queries;
mod relative;
mod window;

pub(crate) use queries::Queries;
pub(crate) use relative::RelativeAttention;
pub(crate) use window::{WindowAttention, WindowWorkspace};

/// Arithmetic of the two products of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// Float.
    Float,
    /// Int8. Each row of queries, keys and attention probabilities has its own scale, and so has
    /// each channel of values.
    Int8,
}

/// Added to the scores of tokens that do not exist: their attention probability becomes 0.
pub(crate) const MASKED: f32 = -1e30;

/// Smallest range that is quantized, so that no scale is 0.
const MIN_RANGE: f32 = 1e-12;
