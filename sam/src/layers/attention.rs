//! Constants and names of scaled dot-product attention.

use std::sync::Arc;

use crate::weights::Reader;

/// Added to a score, so low that nothing is left of it in a softmax.
pub(crate) const NO_ATTENTION: f32 = -1e9;

/// What scores are multiplied by in heads of `d` channels.
pub(crate) fn attention_scale(d: usize) -> f32 {
    1.0 / (d as f32).sqrt()
}

/// What the products of an attention are known by whose first projection `from` reads.
pub(crate) fn products_name(from: &Reader) -> Arc<str> {
    format!("{}.products", from.name("weight")).into()
}
