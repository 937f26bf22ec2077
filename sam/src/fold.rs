//! Folding: rewriting weights and shapes so that the same network needs fewer operations.

/// A folding rule. Each is exact except for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// LoRA into the query and value projections: `W + (alpha / r) B A`.
    Lora,
    /// Gamma and beta of a norm into the linear layers it feeds, if it feeds nothing else.
    Norms,
    /// The scale of attention's scores into the queries' projection.
    Scales,
    /// Parallel adapters into their MLP, as additional hidden values, if the activations are equal.
    Mlp,
    /// Down-projections of serial adapters into the attention's output projection, which removes
    /// one dependent matrix product.
    Bottlenecks,
}

impl Folding {
    /// All rules, in the order in which each applies to most layers.
    pub const ALL: [Self; 5] =
        [Self::Lora, Self::Norms, Self::Scales, Self::Mlp, Self::Bottlenecks];
}

/// A part of the network to which folding applies.
pub(crate) trait Fold {
    /// Applies one rule to this part.
    fn fold(&mut self, rule: Folding);
}
