//! The error of constructors.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

use crate::limits;
use crate::simd::LANES;

/// A layer, field or number that does not fit the block or layer that it was given to. The model
/// file is at fault: its shapes are not those of a network that this crate computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Name of the layer or field, such as `mlp.layer2` or `heads`.
    pub layer: String,
    /// Its shape or value.
    pub found: String,
    /// Shapes or values that fit.
    pub expected: String,
    /// The shapes fit each other, but this crate computes no blocks of such a width.
    pub is_limit: bool,
}

impl Misfit {
    pub(crate) fn new(layer: &str, found: impl fmt::Display, expected: impl fmt::Display) -> Self {
        let (layer, found, expected) = (layer.to_owned(), found.to_string(), expected.to_string());
        Self { layer, found, expected, is_limit: false }
    }

    pub(crate) fn limit(
        layer: &str,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self { is_limit: true, ..Self::new(layer, found, expected) }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { layer, found, expected, .. } = self;
        write!(f, "{layer}: found {found}, expected {expected}")
    }
}

impl Error for Misfit {}

/// Checks the number of values in a slice.
pub(crate) fn check_len(layer: &str, found: usize, expected: usize) -> Result<(), Misfit> {
    let misfit = || Misfit::new(layer, format!("{found} values"), expected);
    (found == expected).then_some(()).ok_or_else(misfit)
}

/// Checks that a slice has a value for each of at least one and at most [`limits::CHANNELS`]
/// channels.
pub(crate) fn check_size(layer: &str, found: usize) -> Result<(), Misfit> {
    let expected = || format!("1 to {}", limits::CHANNELS);
    let misfit = || Misfit::new(layer, format!("{found} values"), expected());
    (1..=limits::CHANNELS).contains(&found).then_some(()).ok_or_else(misfit)
}

/// Checks the channels of a norm or of a depthwise convolution.
pub(crate) fn check_channels(layer: &str, found: usize, expected: usize) -> Result<(), Misfit> {
    let misfit = || Misfit::new(layer, format!("{found} channels"), expected);
    (found == expected).then_some(()).ok_or_else(misfit)
}

/// Checks a number against its limits.
pub(crate) fn check_range(
    layer: &str,
    found: usize,
    limits: RangeInclusive<usize>,
) -> Result<(), Misfit> {
    let misfit = || Misfit::new(layer, found, format!("{} to {}", limits.start(), limits.end()));
    limits.contains(&found).then_some(()).ok_or_else(misfit)
}

/// Checks that channels come in whole vectors.
pub(crate) fn check_lanes(layer: &str, what: &str, found: usize) -> Result<(), Misfit> {
    let expected = || format!("a multiple of {LANES}");
    let misfit = || Misfit::limit(layer, format!("{found} {what}"), expected());
    found.is_multiple_of(LANES).then_some(()).ok_or_else(misfit)
}

/// Checks the heads of an attention with `channels` in all of them together: each has the same
/// number of channels, in whole vectors.
pub(crate) fn check_heads(heads: usize, channels: usize) -> Result<(), Misfit> {
    check_range("heads", heads, 1..=channels)?;
    let found = || format!("{heads} for {channels} channels");
    let expected = format!("a number of heads with a multiple of {LANES} channels each");
    if !channels.is_multiple_of(heads) {
        return Err(Misfit::new("heads", found(), expected));
    }
    let misfit = || Misfit::limit("heads", found(), expected);
    (channels / heads).is_multiple_of(LANES).then_some(()).ok_or_else(misfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_layer_found_and_expected() {
        let misfit = check_len("mlp.layer2", 12, 64).unwrap_err();
        assert_eq!(misfit.to_string(), "mlp.layer2: found 12 values, expected 64");
    }
}
