//! Sequence files of PLUS, 3D Slicer and ITK: MetaImage (`.mha`, `.mhd`) and NRRD (`.nrrd`, `.nhdr`).
//!
//! Both are a text header, followed by samples in the same file or in another one beside it. The
//! first two axes in space are width and height; all others, together, number the frames.

mod header;
mod meta_image;
mod nrrd;

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::range::{RANGE_WARNING, between, robust_range};
use crate::{Frame, FramesError, MAX_FILE_BYTES, MAX_FRAMES, MAX_SIDE_PX, PixelSpacing};
use header::{Compression, Data, Header, Sample};

/// Largest header in bytes. PLUS writes some hundred bytes for each frame.
const MAX_HEADER_BYTES: usize = 16 << 20;

/// Size in bytes that compressed samples of any size may have, and the factor by which larger ones
/// may grow: zeros are compressed by up to 1000.
const INFLATED_BYTES: u64 = 64 << 20;
const INFLATED_FACTOR: u64 = 16;

/// Number of samples that the range of grey values is taken from.
const RANGE_SAMPLES: usize = 1 << 20;

/// A file of frames in memory.
#[derive(Debug)]
pub struct Sequence {
    header: Header,
    /// Samples, with those before the first one cut off.
    data: Vec<u8>,
    range: OnceLock<[f64; 2]>,
}

/// True for the first bytes of a MetaImage or NRRD file.
pub(crate) fn is_sequence(start: &[u8]) -> bool {
    start.starts_with(b"NRRD000") || meta_image::is_start(start)
}

impl Sequence {
    /// Opens a MetaImage or NRRD file. Another file with its samples has to be in the same folder.
    ///
    /// # Errors
    /// The file cannot be read, is not of these kinds, exceeds the limits of this crate, or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FramesError> {
        let path = path.as_ref();
        let bytes = read(path)?;
        let failed = |reason| FramesError::Sequence { path: path.to_owned(), reason };
        let found = if bytes.starts_with(b"NRRD000") {
            nrrd::read(&bytes)
        } else if meta_image::is_start(&bytes) {
            meta_image::read(&bytes)
        } else {
            let found = bytes[..bytes.len().min(8)].to_vec();
            return Err(FramesError::Unrecognized { path: path.to_owned(), found });
        };
        let (header, data) = found.map_err(failed)?;
        check(path, &header)?;
        let data = samples(path, bytes, data, &header)?;
        Ok(Self { header, data, range: OnceLock::new() })
    }

    /// Number of frames, at least 1.
    // No `is_empty`, because a sequence is never empty.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.header.frames()
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.header.axes.width.len, self.header.axes.height.len]
    }

    /// Memory use in bytes.
    pub fn bytes(&self) -> u64 {
        self.data.len() as u64
    }

    /// Faults that were tolerated, and assumptions about the grey values.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.is_scaled() {
            warnings
                .push(format!("samples of type {}: {RANGE_WARNING}", self.header.sample.name()));
        }
        warnings
    }

    /// Frame `index`, which must be below [`Self::len`]. Colours without a fourth channel, if there is
    /// one; samples of more than 8 bits are scaled.
    pub(crate) fn frame(&self, index: usize) -> Frame {
        let header = &self.header;
        let range = if self.is_scaled() { self.range() } else { [0.0, 255.0] };
        let shade = |sample| (between(range, sample) * 255.0).round() as u8;
        let channels = if header.axes.channels.len >= 3 { [0, 1, 2] } else { [0; 3] };
        let [width, height] = self.size();
        let mut rgb = Vec::with_capacity(3 * width * height);
        for pixel in self.pixels(index) {
            rgb.extend(
                channels.map(|channel| {
                    shade(self.sample(pixel + channel * header.axes.channels.stride))
                }),
            );
        }
        let pixel_spacing_mm = header.spacing_mm.map(PixelSpacing::Uniform);
        Frame { width: width as u32, height: height as u32, rgb, pixel_spacing_mm }
    }

    /// Values `[H, W]` of frame `index`, which must be below [`Self::len`], as class numbers of a mask.
    ///
    /// # Errors
    /// The first value that is not a whole number from 0 to 255, or the number of channels if there
    /// are several.
    pub fn values(&self, index: usize) -> Result<Vec<u8>, String> {
        if self.header.axes.channels.len > 1 {
            return Err(format!("{} channels, expected 1", self.header.axes.channels.len));
        }
        self.pixels(index)
            .map(|pixel| {
                let value = self.sample(pixel);
                // A cast alone would hide fractions, negative values and NaN.
                if f64::from(value as u8) == value {
                    Ok(value as u8)
                } else {
                    Err(format!("value {value}, expected a whole number from 0 to 255"))
                }
            })
            .collect()
    }

    fn is_scaled(&self) -> bool {
        self.header.sample != Sample::U8
    }

    /// Numbers of the first samples of a frame's pixels, row by row.
    fn pixels(&self, index: usize) -> impl Iterator<Item = usize> {
        let header = &self.header;
        let (width, height) = (header.axes.width, header.axes.height);
        let mut rest = index;
        let mut start = 0;
        for axis in &header.axes.others {
            start += rest % axis.len * axis.stride;
            rest /= axis.len;
        }
        (0..height.len).flat_map(move |y| {
            (0..width.len).map(move |x| start + y * height.stride + x * width.stride)
        })
    }

    fn sample(&self, number: usize) -> f64 {
        self.header.sample.value(&self.data, number, self.header.big_endian)
    }

    fn range(&self) -> [f64; 2] {
        *self.range.get_or_init(|| {
            let count = self.header.samples();
            let step = count.div_ceil(RANGE_SAMPLES).max(1);
            let values = (0..count).step_by(step).map(|number| self.sample(number));
            robust_range(values.filter(|value| value.is_finite()).collect())
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FramesError> {
    let found = fs::metadata(path).map_err(FramesError::read(path))?.len();
    if found > MAX_FILE_BYTES {
        return Err(FramesError::FileTooLarge { path: path.to_owned(), found });
    }
    fs::read(path).map_err(FramesError::read(path))
}

/// Checks sizes before anything of that size is allocated.
fn check(path: &Path, header: &Header) -> Result<(), FramesError> {
    let path = || path.to_owned();
    let [width, height] = [header.axes.width, header.axes.height].map(|axis| axis.len);
    let fits = |side: usize| (1..=MAX_SIDE_PX as usize).contains(&side);
    if !(fits(width) && fits(height)) {
        let [width, height] = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        return Err(FramesError::FrameSize { path: path(), width, height });
    }
    let frames = header.axes.others.iter().try_fold(1usize, |all, axis| all.checked_mul(axis.len));
    let found = frames.unwrap_or(usize::MAX);
    if !(1..=MAX_FRAMES).contains(&found) {
        return Err(FramesError::FrameCount { path: path(), found: found as u64 });
    }
    match header.axes.channels.len {
        1 | 3 | 4 => Ok(()),
        found => {
            let reason = format!("{found} channels, expected 1, 3 or 4");
            Err(FramesError::Sequence { path: path(), reason })
        }
    }
}

/// The samples of a file, exactly as many as its header states.
fn samples(
    path: &Path,
    mut file: Vec<u8>,
    data: Data,
    header: &Header,
) -> Result<Vec<u8>, FramesError> {
    let failed = |path: &Path, reason| FramesError::Sequence { path: path.to_owned(), reason };
    let expected = header.samples() as u64 * header.sample.bytes() as u64;
    if expected > MAX_FILE_BYTES {
        let reason = format!("{expected} bytes of samples, expected at most {MAX_FILE_BYTES}");
        return Err(failed(path, reason));
    }
    let (path, skipped) = match data {
        Data::Here { at } => {
            file.drain(..at);
            (path.to_owned(), 0)
        }
        Data::Beside { name, skipped } => {
            let beside = beside(path, &name).map_err(|reason| failed(path, reason))?;
            file = read(&beside)?;
            (beside, skipped)
        }
    };
    let mut bytes = match header.compression {
        Compression::None => file,
        Compression::Zlib => inflated(ZlibDecoder::new(&file[..]), file.len(), expected)
            .map_err(|reason| failed(&path, reason))?,
        Compression::Gzip => inflated(MultiGzDecoder::new(&file[..]), file.len(), expected)
            .map_err(|reason| failed(&path, reason))?,
    };
    let skipped = match skipped {
        // All but the samples.
        -1 => (bytes.len() as u64).saturating_sub(expected) as usize,
        skipped => usize::try_from(skipped).unwrap_or(usize::MAX),
    };
    if ((bytes.len() as u64).saturating_sub(skipped as u64)) < expected {
        let found = bytes.len().saturating_sub(skipped);
        return Err(failed(&path, format!("{found} bytes of samples, expected {expected}")));
    }
    bytes.drain(..skipped);
    bytes.truncate(expected as usize);
    Ok(bytes)
}

fn inflated(decoder: impl Read, len: usize, expected: u64) -> Result<Vec<u8>, String> {
    let limit = INFLATED_BYTES + INFLATED_FACTOR * len as u64;
    if expected > limit {
        return Err(format!(
            "{expected} bytes of samples in {len} compressed bytes, expected at most {limit}"
        ));
    }
    let mut bytes = Vec::new();
    let done = decoder.take(limit).read_to_end(&mut bytes);
    done.map_err(|error| format!("the samples cannot be inflated: {error}"))?;
    Ok(bytes)
}

/// Path of a file in the same folder. Others are refused, because a file could name any file of the
/// machine.
fn beside(path: &Path, name: &str) -> Result<PathBuf, String> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) => Ok(path.with_file_name(name)),
        _ => Err(format!("samples in {name:?}, expected a file in the same folder")),
    }
}

/// First bytes of a file, up to the largest header.
fn head(file: &[u8]) -> &[u8] {
    &file[..file.len().min(MAX_HEADER_BYTES)]
}
