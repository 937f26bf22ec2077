//! Recorded frames: DICOM files (a single frame or a cine), PNG and JPEG files, folders of either,
//! and MetaImage and NRRD files.
//!
//! [`Clip::open`] reads and checks the header of a file; [`Clip::frame`] decodes one frame at a
//! time. [`Segmentation`] reads masks of a frame.
//!
//! **Architecture invariants:** files are hostile. Sizes are checked against the limits of this
//! crate before memory of that size is allocated. A file with less data than its header states is
//! an error, never a panic and never a partly black frame. An open clip takes about the memory of
//! its file, and for attributes at most 64 MiB and 4 bytes for each byte of the file. A deflated file
//! may grow to 64 MiB and 16 bytes for each of its bytes. A frame takes at most 24 bytes for each
//! pixel while it is decoded.
#![forbid(unsafe_code)]

mod clip;
mod dicom;
mod dicom_files;
mod error;
mod frame;
mod image_files;
mod range;
mod sequence;
mod spacing;
mod upright;

pub use clip::Clip;
pub use dicom::{DicomProblem, Segmentation, TransferSyntax};
pub use error::FramesError;
pub use frame::Frame;
pub use sequence::Sequence;
pub use spacing::{PixelSpacing, ScaledRegion, ScaledRegions};
pub use upright::read_image;

/// Largest width and height of a frame, in pixels.
pub const MAX_SIDE_PX: u32 = 4096;

/// Largest number of frames in a clip.
pub const MAX_FRAMES: usize = 20_000;

/// Largest file, in bytes. A DICOM file is held in memory while its clip is open.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
