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
    /// A volume and a mask whose positions in the patient contradict each other.
    #[error("{mask}: does not fit {image}: {reason}")]
    OtherGrid {
        /// The mask.
        mask: PathBuf,
        /// The image.
        image: PathBuf,
        /// Both affines, and what contradicts.
        reason: String,
    },
    /// A mask with a value without meaning.
    #[error("{}", ambiguous(mask, *value, *pixels, found))]
    AmbiguousValues {
        /// The first mask that has the value.
        mask: PathBuf,
        /// The value.
        value: u8,
        /// Its pixels in this mask.
        pixels: u64,
        /// Values of all masks of the data set.
        found: Vec<u8>,
    },
    /// Configuration: a meaning of a value is no class.
    #[error("values names {name:?}, expected background, ignore, or one of the classes {expected}")]
    UnknownName {
        /// The meaning.
        name: String,
        /// Names of the classes.
        expected: String,
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

/// Number of values that a message lists.
const LISTED: usize = 12;

/// Number of values from which on masks are taken for black and white with grey edges.
const MANY: usize = 6;

fn ambiguous(mask: &Path, value: u8, pixels: u64, found: &[u8]) -> String {
    let mut list: Vec<String> = found.iter().take(LISTED).map(u8::to_string).collect();
    if found.len() > LISTED {
        list.push("...".into());
    }
    let (config, option) = match found.len() >= MANY {
        true => ("\"1-127\" = 0, \"128-255\" = 1".to_owned(), "1-127=0,128-255=1".to_owned()),
        false => {
            let numbered = || (1u8..).zip(found.iter().filter(|&&value| value != 0));
            let entries = |sign: &str| -> Vec<String> {
                numbered().map(|(class, value)| format!("{value}{sign}{class}")).collect()
            };
            (entries(" = ").join(", "), entries("=").join(","))
        }
    };
    format!(
        "{}: value {value} ({pixels} px) is neither a class nor ignored; the masks of this data \
         set have the values {}, expected 0 to n without a gap, or up to the number of classes, with \
         255 for pixels to ignore, or 0 and 255 for one class; give the meaning of the others, for example values = {{ {config} }} \
         in [[data]], or --values {option}",
        mask.display(),
        list.join(", "),
    )
}

fn size(sides: &[usize]) -> String {
    let sides: Vec<String> = sides.iter().map(usize::to_string).collect();
    format!("{} px", sides.join(" x "))
}
