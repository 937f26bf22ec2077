//! The one error type of this crate.

use std::io;
use std::path::PathBuf;

use crate::dicom::DicomProblem;
use crate::{MAX_FILE_BYTES, MAX_FRAMES, MAX_SIDE_PX};

/// Why a clip does not open or a frame does not decode. Every message starts with the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FramesError {
    /// The file or folder is missing or cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The file is none of the kinds that this crate reads.
    #[error(
        "{path}: starts with bytes {found:02x?}, expected a DICOM file (`DICM` at byte 128), \
         PNG or JPEG"
    )]
    Unrecognized {
        /// The file.
        path: PathBuf,
        /// Its first bytes, at most eight.
        found: Vec<u8>,
    },

    /// The folder holds no pictures.
    #[error("{path}: folder has no .png, .jpg or .jpeg file, expected at least one")]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },

    /// The file is larger than what this crate reads.
    #[error("{path}: {found} bytes, expected at most {MAX_FILE_BYTES}")]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
    },

    /// A frame with no pixels or too many.
    #[error("{path}: frame of {width} x {height} px, expected 1 to {MAX_SIDE_PX} on each side")]
    FrameSize {
        /// The file.
        path: PathBuf,
        /// Width in pixels as the file states it.
        width: u32,
        /// Height in pixels as the file states it.
        height: u32,
    },

    /// A clip with no frames or too many.
    #[error("{path}: {found} frames, expected 1 to {MAX_FRAMES}")]
    FrameCount {
        /// The file or folder.
        path: PathBuf,
        /// Number of frames stated or found.
        found: u64,
    },

    /// The caller asked for a frame that the clip does not have.
    #[error("{path}: frame {index} asked for, expected below {len}")]
    FrameRange {
        /// The file or folder.
        path: PathBuf,
        /// Index asked for.
        index: usize,
        /// Number of frames.
        len: usize,
    },

    /// A PNG or JPEG file that is damaged or of an odd kind.
    #[error("{path}: not a valid picture: {source}")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
    },

    /// A DICOM file that is damaged or of an unsupported kind.
    #[error("{path}: {source}")]
    Dicom {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DicomProblem,
    },
}

impl FramesError {
    pub(crate) fn read(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}
