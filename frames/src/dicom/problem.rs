//! Problems of DICOM files.

/// A problem of a DICOM file. Nearly always the file is at fault; an `Unsupported` file may be
/// valid for other software.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DicomProblem {
    /// The file ends within a data element, or a length in it is wrong.
    #[error("truncated or damaged: {what} at byte {at} needs {needed} bytes, {left} are left")]
    Truncated {
        /// The element, as (gggg,eeee), or the part of the file.
        what: String,
        /// Position of its value.
        at: u64,
        /// Bytes required by its length.
        needed: u64,
        /// Bytes left in the file or in the enclosing element.
        left: u64,
    },

    /// The length of a numeric element is not a whole number of values.
    #[error("damaged: {what} at byte {at} has {found} bytes, expected a multiple of {size} ({vr})")]
    PartialValue {
        /// The element, as (gggg,eeee).
        what: String,
        /// Position of its value.
        at: u64,
        /// Bytes stated by its length.
        found: usize,
        /// Type of the element.
        vr: &'static str,
        /// Bytes of one value of this type.
        size: usize,
    },

    /// A sequence or pixel data contains something else than items.
    #[error("damaged: {found} at byte {at}, expected an item or the end of {what}")]
    NoItem {
        /// The sequence, as (gggg,eeee).
        what: String,
        /// Position of the element in it.
        at: u64,
        /// Tag of the element in it.
        found: String,
    },

    /// More nesting, elements or memory than any real file needs.
    #[error("{found} {what}, expected at most {limit}")]
    Bloated {
        /// Counted items, such as elements.
        what: &'static str,
        /// Number at which reading stopped.
        found: u64,
        /// Limit.
        limit: u64,
    },

    /// The compressed part of a deflated file is damaged.
    #[error("damaged: the data set cannot be inflated: {reason}")]
    Inflate {
        /// Error of the decoder.
        reason: String,
    },

    /// The file is in a transfer syntax that this crate does not decode.
    #[error("transfer syntax {name} ({uid}) is not supported: {reason}")]
    TransferSyntax {
        /// Name in the standard.
        name: &'static str,
        /// Unique identifier.
        uid: &'static str,
        /// Reason, or what to do.
        reason: &'static str,
    },

    /// The file is in a private or unknown transfer syntax.
    #[error(
        "the transfer syntax ({uid}) is not one of the standard; expected an uncompressed one, JPEG, \
         JPEG-LS, JPEG 2000 or RLE"
    )]
    UnknownTransferSyntax {
        /// Unique identifier in the file.
        uid: String,
    },

    /// An attribute that is required to read frames is missing or has no usable value.
    #[error("attribute {attribute} is missing or not of its type")]
    Missing {
        /// Keyword of the attribute.
        attribute: &'static str,
    },

    /// A value that this crate does not support, or that violates the standard.
    #[error("{attribute} is {found}, expected {expected}")]
    Unsupported {
        /// Keyword of the attribute.
        attribute: &'static str,
        /// Value found.
        found: String,
        /// Supported values.
        expected: &'static str,
    },

    /// The pixel data is shorter than required by rows, columns and frames.
    #[error("PixelData has {found} {unit}, expected {expected}")]
    ShortPixels {
        /// Unit: bytes, or frames of an encapsulated file.
        unit: &'static str,
        /// Number found.
        found: u64,
        /// Number required by the header.
        expected: u64,
    },

    /// The compressed stream of a frame does not match the header.
    #[error(
        "frame {frame}: {what} of the compressed stream is {found}, the header says {expected}"
    )]
    Disagrees {
        /// Number of the frame, from 0.
        frame: usize,
        /// Property that differs.
        what: &'static str,
        /// Value in the stream.
        found: u64,
        /// Value in the header.
        expected: u64,
    },

    /// The compressed stream of a frame is damaged.
    #[error("frame {frame}: damaged {codec} stream: {reason}")]
    Undecodable {
        /// Number of the frame, from 0.
        frame: usize,
        /// Name of the compression.
        codec: &'static str,
        /// Error of the decoder.
        reason: String,
    },
}
