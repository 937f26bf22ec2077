//! Recorded pictures: DICOM files (one frame or a cine), PNG and JPEG files, folders of them.
//!
//! [`Clip::open`] reads and checks what a file says about itself; [`Clip::frame`] decodes one
//! frame at a time.
//!
//! **Architecture invariants:** files are hostile. Sizes are checked against the limits of this
//! crate before anything of that size is allocated; a file that holds less than its header
//! claims is an error, never a panic and never a partly black frame.
#![forbid(unsafe_code)]

mod clip;
mod dicom;
mod error;
mod frame;
mod pictures;

pub use clip::Clip;
pub use dicom::DicomProblem;
pub use error::FramesError;
pub use frame::Frame;

/// Largest width and height of a frame in pixels.
pub const MAX_SIDE_PX: u32 = 4096;

/// Most frames in a clip.
pub const MAX_FRAMES: usize = 20_000;

/// Largest file in bytes; a DICOM file is held in memory while its clip is open.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
