//! A check of lengths in configurations.

use crate::error::Error;

/// Checks that each length of a configuration is a multiple of its divisor and that neither is 0.
pub(crate) fn check_lengths(lengths: &[(&str, usize, usize)]) -> Result<(), Error> {
    for &(key, length, divisor) in lengths {
        if length == 0 || divisor == 0 || !length.is_multiple_of(divisor) {
            let expected = if divisor == 0 {
                "heads above 0".into()
            } else {
                format!("a multiple of {divisor} above 0")
            };
            return Err(Error::UnknownNetwork(format!("{key} is {length}, expected {expected}")));
        }
    }
    Ok(())
}
