//! DICOM files with pixel data (PS3.3, PS3.5).
//!
//! `dicom-object` holds the elements. The pixels are decoded here, directly from the fragments of
//! one frame. The related crate `dicom-pixeldata` is not used: its decoders copy every fragment of
//! the file for each frame, and panic with an index out of bounds if a stream holds more pixels
//! than the header states.

mod codec;
mod colour;
mod data_set;
mod elements;
mod grey;
mod groups;
mod header;
mod lut;
mod meaning;
mod palette;
mod pixels;
mod problem;
mod regions;
mod samples;
mod segmentation;
mod syntax;
mod value;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use dicom_dictionary_std::tags;

use self::data_set::DataSet;
pub(crate) use self::data_set::is_dicom;
use self::grey::Grey;
use self::groups::{PerFrame, functional_group};
use self::header::{Header, Photometric};
use self::palette::Palette;
use self::pixels::Pixels;
pub use self::problem::DicomProblem;
use self::samples::Samples;
pub use self::segmentation::Segmentation;
pub use self::syntax::TransferSyntax;
use crate::range::{RANGE_WARNING, robust_range};
use crate::{Frame, FramesError, MAX_FILE_BYTES, MAX_FRAMES, MAX_SIDE_PX, PixelSpacing};

/// A parsed DICOM file with encoded pixels.
#[derive(Debug)]
pub(crate) struct DicomClip {
    header: Header,
    meaning: Meaning,
    pixels: Pixels,
    pixel_spacing_mm: PerFrame<Option<PixelSpacing>>,
    frame_interval_ms: Option<f64>,
    /// Range of the values present in a few frames; computed when it is first needed.
    range: OnceLock<[f64; 2]>,
    /// Position in a series: series, then instance.
    pub(crate) order: (String, i64),
    pub(crate) warnings: Vec<String>,
}

/// Meaning of samples.
#[derive(Debug)]
enum Meaning {
    Colour,
    Palette(Palette),
    Grey(PerFrame<Grey>),
}

/// Frames, and values altogether, from which the range of the values present is taken.
const RANGE_FRAMES: usize = 8;
const RANGE_VALUES: usize = 1 << 20;

impl DicomClip {
    pub(crate) fn open(path: &Path) -> Result<Self, FramesError> {
        let problem = |source| FramesError::Dicom { path: path.to_owned(), source };
        let mut data = read_data_set(path)?;
        let mut warnings = std::mem::take(&mut data.warnings);
        let header = Header::read(&data.object, data.syntax, &mut warnings).map_err(problem)?;
        check_limits(path, (header.columns, header.rows), header.frames)?;
        Self::from_data_set(data, header, warnings).map_err(problem)
    }

    fn from_data_set(
        data: DataSet,
        header: Header,
        mut warnings: Vec<String>,
    ) -> Result<Self, DicomProblem> {
        let object = &data.object;
        let meaning = match header.photometric {
            Photometric::Palette => Meaning::Palette(Palette::read(object)?),
            Photometric::Monochrome1 | Photometric::Monochrome2 => {
                Meaning::Grey(Grey::read(object, &header))
            }
            _ => Meaning::Colour,
        };
        if matches!(&meaning, Meaning::Grey(greys) if greys.any(Grey::needs_range)) {
            warnings.push(format!("no window or VOI lookup table: {RANGE_WARNING}"));
        }
        let own = meaning::pixel_spacing_mm(object, &header, &mut warnings);
        let measures = tags::PIXEL_MEASURES_SEQUENCE;
        let pixel_spacing_mm = PerFrame::read(object, header.frames, &[measures], |frame| {
            let item = functional_group(object, frame, measures);
            let spacing_mm = item.and_then(meaning::row_column_spacing_mm);
            spacing_mm.map(PixelSpacing::Uniform).or_else(|| own.clone())
        });
        let text = |tag| object.get(tag).and_then(|element| element.to_str().ok());
        Ok(Self {
            meaning,
            pixel_spacing_mm,
            frame_interval_ms: meaning::frame_interval_ms(object),
            range: OnceLock::new(),
            order: (
                text(tags::SERIES_INSTANCE_UID).unwrap_or_default().into_owned(),
                header::integer(object, tags::INSTANCE_NUMBER).unwrap_or(i64::MAX),
            ),
            pixels: Pixels::take(data, &header)?,
            header,
            warnings,
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
        let rgb = match (self.pixels.samples(&self.header, index)?, &self.meaning) {
            (Samples::Rgb(rgb), _) => rgb,
            (Samples::Single { values, .. }, Meaning::Palette(palette)) => palette.look_up(&values),
            (samples, Meaning::Grey(greys)) => {
                let grey = greys.get(index);
                let range = if grey.needs_range() { self.range(greys) } else { [0.0, 1.0] };
                grey.to_rgb(&samples, range)
            }
            // Invariant: the header allows one sample per pixel only with a palette or grey, and
            // palettes only with at most 16 bits.
            (samples, _) => unreachable!("{samples:?} of colours"),
        };
        Ok(Frame {
            width: self.header.columns,
            height: self.header.rows,
            rgb,
            pixel_spacing_mm: self.pixel_spacing_mm.get(index).clone(),
        })
    }

    /// Range of the values present in some frames, evenly distributed. Frames that cannot be decoded
    /// are left out.
    fn range(&self, greys: &PerFrame<Grey>) -> [f64; 2] {
        *self.range.get_or_init(|| {
            let frames = self.len().min(RANGE_FRAMES);
            let step = (self.header.frame_pixels() * frames).div_ceil(RANGE_VALUES);
            let mut values = Vec::new();
            for number in 0..frames {
                let index = number * self.len() / frames;
                if let Ok(samples) = self.pixels.samples(&self.header, index) {
                    greys.get(index).gather(&samples, step, &mut values);
                }
            }
            robust_range(values)
        })
    }
}

/// Reads the data set of a file after a check of its size.
fn read_data_set(path: &Path) -> Result<DataSet, FramesError> {
    let file_len = fs::metadata(path).map_err(FramesError::read(path))?.len();
    if file_len > MAX_FILE_BYTES {
        return Err(FramesError::FileTooLarge { path: path.to_owned(), found: file_len });
    }
    let bytes = fs::read(path).map_err(FramesError::read(path))?;
    DataSet::parse(bytes).map_err(|source| FramesError::Dicom { path: path.to_owned(), source })
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
