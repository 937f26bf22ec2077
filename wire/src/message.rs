//! Encoding and decoding of messages.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::WireError;

/// Version of the format that this crate writes, and the only one it reads.
pub const FORMAT_VERSION: u8 = 4;

/// A message with a bounded encoding. Only the message types of this crate implement it.
pub trait Message: Checked {
    /// Name for error messages.
    const NAME: &'static str;

    /// Length in bytes of the longest possible encoding, including the version byte.
    const MAX_ENCODED_LEN: usize;

    /// Checks the message and writes it to the front of `buffer`; returns the written part.
    ///
    /// # Errors
    /// A field is out of its range, or `buffer` is too short. A buffer of
    /// [`Message::MAX_ENCODED_LEN`] bytes is always long enough.
    fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], WireError> {
        self.check()?;
        let too_small = WireError::OverflowsBuffer {
            message: Self::NAME,
            len: buffer.len(),
            sufficient: Self::MAX_ENCODED_LEN,
        };
        let Some((version, body)) = buffer.split_first_mut() else { return Err(too_small) };
        *version = FORMAT_VERSION;
        let body_len = match postcard::to_slice(self, body) {
            Ok(written) => written.len(),
            Err(postcard::Error::SerializeBufferFull) => return Err(too_small),
            Err(reason) => return Err(WireError::Malformed { message: Self::NAME, reason }),
        };
        Ok(&buffer[..1 + body_len])
    }

    /// Reads and checks one message that fills `bytes` exactly.
    ///
    /// # Errors
    /// The bytes are not a valid message of this type and version. Never panics.
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let message = Self::NAME;
        let (&found, body) = bytes.split_first().ok_or(WireError::ReceivesNothing { message })?;
        if found != FORMAT_VERSION {
            let expected = FORMAT_VERSION;
            return Err(WireError::SpeaksOtherVersion { message, found, expected });
        }
        let (value, rest) = postcard::take_from_bytes::<Self>(body)
            .map_err(|reason| WireError::Malformed { message, reason })?;
        if !rest.is_empty() {
            return Err(WireError::Trails { message, extra: rest.len() });
        }
        value.check()?;
        Ok(value)
    }
}

/// Seals [`Message`] and checks the rules that types cannot express.
///
/// The serde implementations do not check these rules, so messages have to be read with
/// [`Message::decode`].
pub trait Checked: Serialize + DeserializeOwned {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// The first violated rule.
    fn check(&self) -> Result<(), WireError>;
}

/// Fails unless `min <= found <= max`.
pub(crate) fn check_range(
    field: &'static str,
    found: impl Into<u64>,
    min: impl Into<u64>,
    max: impl Into<u64>,
) -> Result<(), WireError> {
    let (found, min, max) = (found.into(), min.into(), max.into());
    if (min..=max).contains(&found) {
        Ok(())
    } else {
        Err(WireError::ExceedsRange { field, found, min, max })
    }
}

/// Fails on infinities and NaN.
pub(crate) fn check_finite(field: &'static str, found: f32) -> Result<(), WireError> {
    if found.is_finite() { Ok(()) } else { Err(WireError::NotFinite { field, found }) }
}
