//! The error of constructors.

use std::error::Error;
use std::fmt;

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
    /// True if the shapes match but this crate does not support blocks of this width.
    pub is_limit: bool,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { layer, found, expected, .. } = self;
        write!(f, "{layer}: found {found}, expected {expected}")
    }
}

impl Error for Misfit {}

/// An error unless `fits`. Its texts are formatted only then.
pub(crate) fn check(
    fits: bool,
    layer: &str,
    found: fmt::Arguments,
    expected: fmt::Arguments,
) -> Result<(), Misfit> {
    let misfit = || Misfit {
        layer: layer.to_owned(),
        found: found.to_string(),
        expected: expected.to_string(),
        is_limit: false,
    };
    fits.then_some(()).ok_or_else(misfit)
}

/// As [`check`], of a width that is no error of the file but beyond this crate.
pub(crate) fn check_limit(
    fits: bool,
    layer: &str,
    found: fmt::Arguments,
    expected: fmt::Arguments,
) -> Result<(), Misfit> {
    check(fits, layer, found, expected).map_err(|misfit| Misfit { is_limit: true, ..misfit })
}

/// Checks the number of values in a slice.
pub(crate) fn check_len(layer: &str, found: usize, expected: usize) -> Result<(), Misfit> {
    let fits = found == expected;
    check(fits, layer, format_args!("{found} values"), format_args!("{expected}"))
}

/// Checks that a slice has a value for each of at least one and at most [`limits::CHANNELS`]
/// channels.
pub(crate) fn check_size(layer: &str, found: usize) -> Result<(), Misfit> {
    let most = limits::CHANNELS;
    let fits = (1..=most).contains(&found);
    check(fits, layer, format_args!("{found} values"), format_args!("1 to {most}"))
}

/// Checks the channels of a norm or of a depthwise convolution.
pub(crate) fn check_channels(layer: &str, found: usize, expected: usize) -> Result<(), Misfit> {
    let fits = found == expected;
    check(fits, layer, format_args!("{found} channels"), format_args!("{expected}"))
}

/// Checks a number that is at least 1.
pub(crate) fn check_number(layer: &str, found: usize, most: usize) -> Result<(), Misfit> {
    let fits = (1..=most).contains(&found);
    check(fits, layer, format_args!("{found}"), format_args!("1 to {most}"))
}

/// Checks that `found` inputs, outputs or values of a layer come in whole vectors.
pub(crate) fn check_lanes(layer: &str, what: &str, found: usize) -> Result<(), Misfit> {
    let fits = found.is_multiple_of(LANES);
    check_limit(fits, layer, format_args!("{found} {what}"), format_args!("a multiple of {LANES}"))
}

/// Checks the heads of an attention with `channels` in all of them together: each has the same
/// number of channels, in whole vectors.
pub(crate) fn check_heads(heads: usize, channels: usize) -> Result<(), Misfit> {
    check_number("heads", heads, channels)?;
    let (found, expected) = (
        format_args!("{heads} for {channels} channels"),
        format_args!("a number of heads with a multiple of {LANES} channels each"),
    );
    check(channels.is_multiple_of(heads), "heads", found, expected)?;
    check_limit((channels / heads).is_multiple_of(LANES), "heads", found, expected)
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
