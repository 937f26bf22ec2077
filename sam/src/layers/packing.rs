//! Layout of queries, keys and values in one projection.

/// Order of queries, keys and values in the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// `[heads, 3, d]`: each head's q, k and v together (TinyViT).
    ByHead,
    /// `[3, heads, d]` (ViT).
    ByPart,
}

impl Packing {
    /// Channels of one part, head by head: queries (part 0), keys (1) or values (2).
    pub fn channels(self, part: usize, heads: usize, d: usize) -> impl Iterator<Item = usize> {
        let start = move |head: usize| match self {
            Self::ByHead => (3 * head + part) * d,
            Self::ByPart => (part * heads + head) * d,
        };
        (0..heads).flat_map(move |head| start(head)..start(head) + d)
    }
}
