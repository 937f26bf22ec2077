//! Classes of the values in masks.

use std::fmt;

use ndarray::Array2;

use super::{IGNORED, MAX_CLASS};

/// Class of each value: 0 for background, [`IGNORED`] for pixels to ignore, `None` for a value
/// without meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueMap([Option<u8>; 256]);

impl ValueMap {
    /// Values as they are stored, as class numbers: 255 is class 254. For uses that need no
    /// meaning.
    pub fn stored() -> Self {
        Self(std::array::from_fn(|value| u8::try_from(value.min(MAX_CLASS.into())).ok()))
    }

    /// Only 0 has a meaning.
    pub(super) fn background() -> Self {
        let mut map = Self([None; 256]);
        map.set(0, 0);
        map
    }

    pub(super) fn set(&mut self, value: u8, class: u8) {
        self.0[usize::from(value)] = Some(class);
    }

    /// Class of a value.
    pub fn class(&self, value: u8) -> Option<u8> {
        self.0[usize::from(value)]
    }

    /// Replaces values `[H, W]` by their classes; the error is a value without meaning.
    pub(in crate::data) fn apply(&self, values: &mut Array2<u8>) -> Result<(), u8> {
        for value in values {
            *value = self.class(*value).ok_or(*value)?;
        }
        Ok(())
    }

    /// Meaning of a value in words.
    pub fn describe(&self, value: u8) -> Described {
        Described(self.class(value))
    }
}

/// Meaning of a value in words.
#[derive(Clone, Copy, Debug)]
pub struct Described(Option<u8>);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            None => f.write_str("ambiguous"),
            Some(0) => f.write_str("background"),
            Some(IGNORED) => f.write_str("ignored"),
            Some(class) => write!(f, "class {class}"),
        }
    }
}
