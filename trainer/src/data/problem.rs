//! Problems of a data set. Each concerns one file; the other files are still used.

use std::path::{Path, PathBuf};

/// A problem with one file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An image without a mask of the same stem.
    #[error("{image}: no mask of the same name in {masks}")]
    MissingMask {
        /// The image.
        image: PathBuf,
        /// Folder that should contain its mask.
        masks: PathBuf,
    },
    /// A mask without an image of the same stem.
    #[error("{mask}: no image of the same name in {images}")]
    MissingImage {
        /// The mask.
        mask: PathBuf,
        /// Folder that should contain its image.
        images: PathBuf,
    },
    /// A second file with the same stem; the first one is used.
    #[error("{path}: not used, {used} has the same name")]
    SameName {
        /// The file that is not used.
        path: PathBuf,
        /// The file that is used.
        used: PathBuf,
    },
    /// An image and a mask of kinds that do not match.
    #[error("{mask}: wrong kind of mask for {image}, expected {expected}")]
    WrongKind {
        /// The mask.
        mask: PathBuf,
        /// The image.
        image: PathBuf,
        /// Kind of mask that the image needs.
        expected: &'static str,
    },
    /// A mask in a folder of frames whose name is not a number.
    #[error("{mask}: name is not a frame number, expected for example 0017.png")]
    NotAFrameNumber {
        /// The mask.
        mask: PathBuf,
    },
    /// A mask of a frame that the recording does not have.
    #[error("{mask}: no frame {frame} in {image}, which has frames 0 to {}", frames - 1)]
    NoSuchFrame {
        /// The mask.
        mask: PathBuf,
        /// The recording.
        image: PathBuf,
        /// Frame number from the mask's name.
        frame: usize,
        /// Number of frames in the recording.
        frames: usize,
    },
    /// An image and a mask of different sizes.
    #[error("{mask}: size is {}, but that of its image is {}", size(mask_size), size(image_size))]
    SizeMismatch {
        /// The mask.
        mask: PathBuf,
        /// Width and height of the mask, and slices if it is a volume.
        mask_size: Vec<usize>,
        /// Size of the image, in the same form.
        image_size: Vec<usize>,
    },
    /// A mask without any marked pixel.
    #[error("{mask}: empty, no pixel has a class")]
    EmptyMask {
        /// The mask.
        mask: PathBuf,
    },
    /// A record without a usable mask, or an object of one.
    #[error("{path}: not used: {reason}")]
    Skipped {
        /// Folder of the record.
        path: PathBuf,
        /// Object, and why it is not used.
        reason: String,
    },
    /// A file that cannot be decoded or exceeds a limit.
    #[error("{path}: unreadable: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Value found, and value expected.
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
