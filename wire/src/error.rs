//! The one error type of messages.

/// Why bytes are not a message, or a message cannot become bytes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The payload has no bytes at all. The sender is at fault; an empty retained payload is how
    /// MQTT deletes a retained message.
    #[error("{message}: the payload is empty, expected a format version byte")]
    ReceivesNothing {
        /// Name of the message type.
        message: &'static str,
    },

    /// The sender speaks another version of the format. Update the older of the two.
    #[error("{message}: format version {found}, this decoder knows version {expected}")]
    SpeaksOtherVersion {
        /// Name of the message type.
        message: &'static str,
        /// The payload's first byte.
        found: u8,
        /// The version that this crate reads and writes.
        expected: u8,
    },

    /// The bytes are cut short or are not what the type asks for.
    #[error("{message}: not a valid encoding after the version byte: {reason}")]
    Malformed {
        /// Name of the message type.
        message: &'static str,
        /// What postcard stumbled over.
        reason: postcard::Error,
    },

    /// A valid message is followed by more bytes.
    #[error("{message}: {extra} bytes after the end of the message, expected none")]
    Trails {
        /// Name of the message type.
        message: &'static str,
        /// Number of surplus bytes.
        extra: usize,
    },

    /// The caller's buffer is too small; `MAX_ENCODED_LEN` bytes always suffice.
    #[error("{message}: does not fit a buffer of {len} bytes, {sufficient} always suffice")]
    OverflowsBuffer {
        /// Name of the message type.
        message: &'static str,
        /// Length of the buffer given.
        len: usize,
        /// A length that holds every message of the type.
        sufficient: usize,
    },

    /// A number lies outside its range.
    #[error("{field} is {found}, expected {min} to {max}")]
    ExceedsRange {
        /// Message and field, as in `mask.width`.
        field: &'static str,
        /// The value.
        found: u64,
        /// Smallest allowed value.
        min: u64,
        /// Largest allowed value.
        max: u64,
    },

    /// A floating-point field is infinite or not a number.
    #[error("{field} is {found}, expected a finite number")]
    NotFinite {
        /// Message and field.
        field: &'static str,
        /// The value.
        found: f32,
    },

    /// A box whose corners are not in order.
    #[error("prompt.box is [{x0}, {y0}, {x1}, {y1}], expected x0 < x1 and y0 < y1")]
    InvertsBox {
        /// Left edge.
        x0: f32,
        /// Top edge.
        y0: f32,
        /// Right edge.
        x1: f32,
        /// Bottom edge.
        y1: f32,
    },

    /// A prompt is to be set but holds neither a point nor a box. Use `Clear` to remove one.
    #[error("prompt sets nothing: no point and no box")]
    PromptsNothing,

    /// The number of cells given or coded is not width times height.
    #[error("mask of {width} x {height} cells: {found} cells found, expected {expected}")]
    MiscountsCells {
        /// Mask width in cells.
        width: u16,
        /// Mask height in cells.
        height: u16,
        /// Cells found; a count past `expected` stops where it was noticed.
        found: u64,
        /// Width times height.
        expected: u64,
    },

    /// A run-length payload breaks the rules of the code.
    #[error("mask payload, run {index}: {problem}")]
    BreaksRunCode {
        /// Number of the run, from 0.
        index: usize,
        /// Which rule.
        problem: &'static str,
    },

    /// A bit-packed payload has the wrong length or set bits after the last cell.
    #[error("bit-packed mask payload of {found} bytes, expected {expected} with zero padding")]
    BreaksPacking {
        /// Length found.
        found: usize,
        /// Length expected.
        expected: usize,
    },
}
