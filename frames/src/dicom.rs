//! DICOM files with pixel data (PS3.3, PS3.5).
//!
//! `dicom-object` reads the data set. The pixels are decoded here, directly from the fragments of
//! one frame. The related crate `dicom-pixeldata` is not used: its decoders copy every fragment of
//! the file for each frame, and panic with an index out of bounds if a stream holds more pixels
//! than the header states.

mod codec;
mod colour;
mod header;
mod meaning;
mod palette;
mod pixels;
mod problem;
mod samples;
mod scan;
mod segmentation;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use dicom_object::{DefaultDicomObject, OpenFileOptions};

use self::header::{Header, Photometric};
use self::palette::Palette;
use self::pixels::Pixels;
pub use self::problem::DicomProblem;
use self::samples::Samples;
pub use self::segmentation::Segmentation;
use crate::{Frame, FramesError, MAX_FILE_BYTES, MAX_FRAMES, MAX_SIDE_PX};

/// A parsed DICOM file with encoded pixels.
#[derive(Debug)]
pub(crate) struct DicomClip {
    header: Header,
    /// Palette, if the photometric interpretation is PALETTE COLOR.
    palette: Option<Palette>,
    pixels: Pixels,
    pixel_spacing_mm: Option<[f32; 2]>,
    frame_interval_ms: Option<f64>,
}

impl DicomClip {
    pub(crate) fn open(path: &Path) -> Result<Self, FramesError> {
        let problem = |source| FramesError::Dicom { path: path.to_owned(), source };
        let object = read_object(path)?;
        let header = Header::read(&object).map_err(problem)?;
        check_limits(path, (header.columns, header.rows), header.frames)?;
        Self::from_object(object, header).map_err(problem)
    }

    fn from_object(object: DefaultDicomObject, header: Header) -> Result<Self, DicomProblem> {
        let palette = match header.photometric {
            Photometric::Palette => Some(Palette::read(&object)?),
            _ => None,
        };
        Ok(Self {
            palette,
            pixel_spacing_mm: meaning::pixel_spacing_mm(&object, &header),
            frame_interval_ms: meaning::frame_interval_ms(&object),
            pixels: Pixels::take(object, &header)?,
            header,
        })
    }

    pub(crate) fn len(&self) -> usize {
        // `open` checked the number against the limit.
        self.header.frames as usize
    }

    pub(crate) fn frame_interval_ms(&self) -> Option<f64> {
        self.frame_interval_ms
    }

    /// Decodes frame `index`, which must be below `len`.
    pub(crate) fn frame(&self, index: usize) -> Result<Frame, DicomProblem> {
        let rgb = match (self.pixels.samples(&self.header, index)?, &self.palette) {
            (Samples::Single(indices), Some(palette)) => palette.look_up(&indices),
            (Samples::Single(grey), None) => colour::grey_to_rgb(&grey, &self.header),
            (Samples::Rgb(rgb), _) => rgb,
        };
        Ok(Frame {
            width: self.header.columns,
            height: self.header.rows,
            rgb,
            pixel_spacing_mm: self.pixel_spacing_mm,
        })
    }
}

/// Reads the data set of a file after a check of its size and structure.
fn read_object(path: &Path) -> Result<DefaultDicomObject, FramesError> {
    let problem = |source| FramesError::Dicom { path: path.to_owned(), source };
    let file = File::open(path).map_err(FramesError::read(path))?;
    let file_len = file.metadata().map_err(FramesError::read(path))?.len();
    if file_len > MAX_FILE_BYTES {
        return Err(FramesError::FileTooLarge { path: path.to_owned(), found: file_len });
    }
    scan::check_structure(&mut BufReader::new(file), file_len).map_err(problem)?;
    OpenFileOptions::new()
        .open_file(path)
        .map_err(|source| problem(DicomProblem::Parse { source: Box::new(source) }))
}

/// Checks the size and number of frames against the limits of this crate.
fn check_limits(path: &Path, (width, height): (u32, u32), frames: u64) -> Result<(), FramesError> {
    let path = path.to_owned();
    if [width, height].iter().any(|side| !(1..=MAX_SIDE_PX).contains(side)) {
        Err(FramesError::FrameSize { path, width, height })
    } else if !(1..=MAX_FRAMES as u64).contains(&frames) {
        Err(FramesError::FrameCount { path, found: frames })
    } else {
        Ok(())
    }
}
