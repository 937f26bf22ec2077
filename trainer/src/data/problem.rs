//! What can be wrong with a data set; each is about one file, and the others are still used.

use std::path::PathBuf;

/// Something wrong with one file of a data set.
#[derive(Debug, thiserror::Error)]
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
    /// A picture and a mask of different sizes.
    #[error("{mask}: {mask_size:?} px, but its picture {image_size:?} px (width, height)")]
    SizeMismatch {
        /// The mask.
        mask: PathBuf,
        /// Width and height of the mask.
        mask_size: (usize, usize),
        /// Width and height of the picture.
        image_size: (usize, usize),
    },
    /// A mask that marks nothing.
    #[error("{mask}: empty, no pixel is marked")]
    EmptyMask {
        /// The mask.
        mask: PathBuf,
    },
    /// A file that cannot be decoded.
    #[error("{path}: unreadable: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The decoder's answer.
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
