//! Constants and names of scaled dot-product attention.

use std::sync::Arc;

use crate::weights::Reader;

/// Added to a score to exclude it from the softmax: its probability becomes 0.
pub(crate) const NO_ATTENTION: f32 = -1e9;

/// Factor of the scores in heads of `d` channels.
pub(crate) fn attention_scale(d: usize) -> f32 {
    1.0 / (d as f32).sqrt()
}

/// Name of an attention's products, derived from the projection that `from` reads first.
pub(crate) fn products_name(from: &Reader) -> Arc<str> {
    format!("{}.products", from.name("weight")).into()
}
