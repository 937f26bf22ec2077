//! What can be wrong with a data set; each is about one file, and the others are still used.

use std::path::{Path, PathBuf};

/// Something wrong with one file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A picture without a mask of the same stem.
    #[error("{image}: no mask of the same name in {masks}")]
    MissingMask {
        /// The picture.
        image: PathBuf,
        /// Where its mask was looked for.
        masks: PathBuf,
    },
    /// A mask without a picture of the same stem.
    #[error("{mask}: no picture of the same name in {images}")]
    MissingImage {
        /// The mask.
        mask: PathBuf,
        /// Where its picture was looked for.
        images: PathBuf,
    },
    /// A second file of the same stem; the first one is used.
    #[error("{path}: not used, {used} has the same name")]
    SameName {
        /// The file that is passed over.
        path: PathBuf,
        /// The file that is used.
        used: PathBuf,
    },
    /// A picture and a mask that do not go together.
    #[error("{mask}: mask of {image}, expected {expected}")]
    WrongKind {
        /// The mask.
        mask: PathBuf,
        /// The picture.
        image: PathBuf,
        /// What its mask has to be.
        expected: &'static str,
    },
    /// A mask in a folder of frames whose name is not a number.
    #[error("{mask}: named after no frame, expected a number, as in 0017.png")]
    NotAFrameNumber {
        /// The mask.
        mask: PathBuf,
    },
    /// A mask of a frame that the recording does not have.
    #[error("{mask}: frame {frame} of {image}, which has frames 0 to {}", frames - 1)]
    NoSuchFrame {
        /// The mask.
        mask: PathBuf,
        /// The recording.
        image: PathBuf,
        /// The frame that it is named after.
        frame: usize,
        /// Frames of the recording.
        frames: usize,
    },
    /// A picture and a mask of different sizes.
    #[error("{mask}: {}, but its picture {}", size(mask_size), size(image_size))]
    SizeMismatch {
        /// The mask.
        mask: PathBuf,
        /// Width and height of the mask, and slices if it is a volume.
        mask_size: Vec<usize>,
        /// The same of the picture.
        image_size: Vec<usize>,
    },
    /// A mask that marks nothing.
    #[error("{mask}: empty, no pixel is marked")]
    EmptyMask {
        /// The mask.
        mask: PathBuf,
    },
    /// A file that cannot be decoded, or passes a limit.
    #[error("{path}: unreadable: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was found, and expected.
        reason: String,
    },
    /// A class that the configuration does not list.
    #[error("{mask}: class {class} is not listed, expected one of {expected:?}")]
    UnlistedClass {
        /// The mask.
        mask: PathBuf,
        /// The value found.
        class: u8,
        /// The values listed.
        expected: Vec<u8>,
    },
}

impl Problem {
    pub(super) fn unreadable(path: &Path, reason: impl ToString) -> Self {
        Self::Unreadable { path: path.to_owned(), reason: reason.to_string() }
    }
}

fn size(sides: &[usize]) -> String {
    let sides: Vec<String> = sides.iter().map(usize::to_string).collect();
    format!("{} px", sides.join(" x "))
}
