//! Layers for tests, and an allocator that counts.
#![allow(dead_code, reason = "each test program uses a part")]

pub mod allocations;
pub mod noise;

use medsa_kernels::Products;

/// Arithmetic of layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    Float,
    Int8,
}

impl Precision {
    /// The same arithmetic for attentions.
    pub fn products(self) -> Products {
        match self {
            Self::Float => Products::Float,
            Self::Int8 => Products::Int8,
        }
    }
}
