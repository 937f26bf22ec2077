//! What can be wrong with a DICOM file.

/// What is wrong with a DICOM file. In almost every case the file is at fault; an
/// `Unsupported` one may still be good for other software.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DicomProblem {
    /// The file breaks off within a data element, or a length in it is wrong.
    #[error("truncated or damaged: {what} at byte {at} needs {needed} bytes, {left} are left")]
    Truncated {
        /// The element, as (gggg,eeee), or part of the file.
        what: String,
        /// Where its value starts.
        at: u64,
        /// Bytes that its length asks for.
        needed: u64,
        /// Bytes up to the end of the file or of the enclosing element.
        left: u64,
    },

    /// More nesting or more elements than any real file has.
    #[error("{found} {what}, expected at most {limit}")]
    Bloated {
        /// What there is too much of.
        what: &'static str,
        /// Number at which reading stopped.
        found: u64,
        /// The limit.
        limit: u64,
    },

    /// The file could not be read while its structure was checked.
    #[error("cannot be read: {source}")]
    Read {
        /// What the system said.
        source: std::io::Error,
    },

    /// The data set does not parse.
    #[error("not a valid DICOM data set: {source}")]
    Parse {
        /// What the parser said.
        source: Box<dicom_object::ReadError>,
    },

    /// An attribute that frames cannot be read without is missing or has no usable value.
    #[error("attribute {attribute} is missing or not of its type")]
    Missing {
        /// The attribute's keyword.
        attribute: &'static str,
    },

    /// A value that this crate does not support, or that breaks the standard.
    #[error("{attribute} is {found}, expected {expected}")]
    Unsupported {
        /// The attribute's keyword.
        attribute: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },

    /// The pixel data is shorter than rows, columns and frames ask for.
    #[error("PixelData has {found} {unit}, expected {expected}")]
    ShortPixels {
        /// Bytes, or fragments of an encapsulated file.
        unit: &'static str,
        /// Number found.
        found: u64,
        /// Number that the header asks for.
        expected: u64,
    },

    /// The compressed stream of a frame disagrees with the header.
    #[error(
        "frame {frame}: {what} of the compressed stream is {found}, the header says {expected}"
    )]
    Disagrees {
        /// Frame, from 0.
        frame: usize,
        /// Which property.
        what: &'static str,
        /// In the stream.
        found: u64,
        /// In the header.
        expected: u64,
    },

    /// The compressed stream of a frame is damaged.
    #[error("frame {frame}: damaged {codec} stream: {reason}")]
    Undecodable {
        /// Frame, from 0.
        frame: usize,
        /// Name of the compression.
        codec: &'static str,
        /// What the decoder said.
        reason: String,
    },
}
