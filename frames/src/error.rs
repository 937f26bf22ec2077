//! Error type of this crate.

use std::io;
use std::path::PathBuf;

use crate::dicom::DicomProblem;
use crate::{MAX_FILE_BYTES, MAX_FRAMES, MAX_SIDE_PX};

/// An error of opening a clip or decoding a frame. Every message starts with the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FramesError {
    /// The file or folder is missing or cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },

    /// The file is of an unknown kind.
    #[error(
        "{path}: starts with bytes {found:02x?}, expected a DICOM file (`DICM` at byte 128), \
         PNG, JPEG, MetaImage or NRRD"
    )]
    Unrecognized {
        /// The file.
        path: PathBuf,
        /// First bytes of the file, at most eight.
        found: Vec<u8>,
    },

    /// The folder contains no images.
    #[error(
        "{path}: folder has no .png, .jpg or .jpeg file and no DICOM image, expected at least one"
    )]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },

    /// The file is larger than this crate accepts.
    #[error("{path}: {found} bytes, expected at most {MAX_FILE_BYTES}")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Size in bytes.
        found: u64,
    },

    /// A frame has no pixels or too many.
    #[error("{path}: frame of {width} x {height} px, expected 1 to {MAX_SIDE_PX} on each side")]
    FrameSize {
        /// The file.
        path: PathBuf,
        /// Width in pixels, as stated in the file.
        width: u32,
        /// Height in pixels, as stated in the file.
        height: u32,
    },

    /// A clip has no frames or too many.
    #[error("{path}: {found} frames, expected 1 to {MAX_FRAMES}")]
    FrameCount {
        /// The file or folder.
        path: PathBuf,
        /// Number of frames, stated or found.
        found: u64,
    },

    /// Caller: the clip does not have the requested frame.
    #[error("{path}: frame {index} requested, expected below {len}")]
    FrameRange {
        /// The file or folder.
        path: PathBuf,
        /// Requested index.
        index: usize,
        /// Number of frames.
        len: usize,
    },

    /// A PNG or JPEG file is damaged or of an unsupported kind.
    #[error("{path}: not a valid image: {source}")]
    Image {
        /// The file.
        path: PathBuf,
        /// Error of the decoder.
        source: image::ImageError,
    },

    /// A MetaImage or NRRD file is damaged or of an unsupported kind.
    #[error("{path}: {reason}")]
    Sequence {
        /// The file.
        path: PathBuf,
        /// Value found and expected.
        reason: String,
    },

    /// A DICOM file is damaged or of an unsupported kind.
    #[error("{path}: {source}")]
    Dicom {
        /// The file.
        path: PathBuf,
        /// Problem of the file.
        source: DicomProblem,
    },
}

impl FramesError {
    pub(crate) fn read(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}
