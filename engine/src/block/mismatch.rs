//! Differences between a block of the file and what its kernel computes.

/// A part of a block that does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Role of a weight, or field of the schema.
    pub role: String,
    /// Value found.
    pub found: String,
    /// Value expected.
    pub expected: String,
    /// True if the block is valid but exceeds the size limits of its kernel.
    pub is_limit: bool,
}

impl Mismatch {
    pub(super) fn new(
        role: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let (role, found, expected) = (role.into(), found.into(), expected.into());
        Self { role, found, expected, is_limit: false }
    }
}
