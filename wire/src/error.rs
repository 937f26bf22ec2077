//! Error type of messages.

/// An error of decoding or encoding a message.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Sender: the payload is empty. In MQTT, an empty retained payload deletes a retained message.
    #[error("{message}: the payload is empty, expected a format version byte")]
    ReceivesNothing {
        /// Name of the message type.
        message: &'static str,
    },

    /// Sender: it uses another version of the format. Update the older of the two.
    #[error("{message}: format version {found}, this decoder knows version {expected}")]
    SpeaksOtherVersion {
        /// Name of the message type.
        message: &'static str,
        /// First byte of the payload.
        found: u8,
        /// Version that this crate reads and writes.
        expected: u8,
    },

    /// Sender: the payload is truncated or does not match the type.
    #[error("{message}: not a valid encoding after the version byte: {reason}")]
    Malformed {
        /// Name of the message type.
        message: &'static str,
        /// Error of postcard.
        reason: postcard::Error,
    },

    /// Sender: a valid message is followed by more bytes.
    #[error("{message}: {extra} bytes after the end of the message, expected none")]
    Trails {
        /// Name of the message type.
        message: &'static str,
        /// Number of surplus bytes.
        extra: usize,
    },

    /// Caller: the buffer is too small; `MAX_ENCODED_LEN` bytes are always enough.
    #[error("{message}: does not fit a buffer of {len} bytes, {sufficient} always suffice")]
    OverflowsBuffer {
        /// Name of the message type.
        message: &'static str,
        /// Length of the given buffer.
        len: usize,
        /// Length that is enough for every message of the type.
        sufficient: usize,
    },

    /// A number is outside its range.
    #[error("{field} is {found}, expected {min} to {max}")]
    ExceedsRange {
        /// Message and field, for example `mask.width`.
        field: &'static str,
        /// Value found.
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
        /// Value found.
        found: f32,
    },

    /// The corners of a box are in the wrong order.
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

    /// A prompt to set has neither a point nor a box. Use `Clear` to remove a prompt.
    #[error("prompt sets nothing: no point and no box")]
    PromptsNothing,

    /// The number of given or encoded cells differs from width times height.
    #[error("mask of {width} x {height} cells: {found} cells found, expected {expected}")]
    MiscountsCells {
        /// Mask width in cells.
        width: u16,
        /// Mask height in cells.
        height: u16,
        /// Number of cells found; counting stops where it exceeds `expected`.
        found: u64,
        /// Width times height.
        expected: u64,
    },

    /// A run-length payload violates the rules of the code.
    #[error("mask payload, run {index}: {problem}")]
    BreaksRunCode {
        /// Number of the run, from 0.
        index: usize,
        /// Violated rule.
        problem: &'static str,
    },

    /// A bit-packed payload has the wrong length, or bits set after the last cell.
    #[error("bit-packed mask payload of {found} bytes, expected {expected} with zero padding")]
    BreaksPacking {
        /// Length found.
        found: usize,
        /// Length expected.
        expected: usize,
    },
}
