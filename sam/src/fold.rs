//! Folding: the same network with less to compute, its weights and shapes rewritten.

/// What becomes part of what. All are exact but for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// LoRA into the query and value projections: `W + (alpha / r) B A`.
    Lora,
    /// Gamma and beta of a norm into the linear layers that are all that it feeds.
    Norms,
    /// The scale of attention's scores into the queries' projection.
    Scales,
    /// `Mlp` adapters of the MLP's activation into the MLP: more hidden values.
    Mlp,
    /// Down-projections of adapters behind an attention into its output projection: one
    /// product less that the next has to wait for.
    Bottlenecks,
}

impl Folding {
    /// All of them, in an order in which each finds as much as it can.
    pub const ALL: [Self; 5] =
        [Self::Lora, Self::Norms, Self::Scales, Self::Mlp, Self::Bottlenecks];
}

/// A part that can be folded.
pub(crate) trait Fold {
    /// Applies one rule.
    fn fold(&mut self, rule: Folding);
}
