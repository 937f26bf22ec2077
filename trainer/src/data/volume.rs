//! Reading of NIfTI-1 volumes: `.nii` and `.nii.gz`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ndarray::Array2;
use nifti::object::GzDecodedFile;
use nifti::{InMemNiftiVolume, IntoNdArray, NiftiHeader, NiftiType};

use super::grid::{self, Affine, Placement, Shape};
use super::problem::Problem;
use super::raster::MAX_SIDE_PX;
use super::training_image::TrainingImage;
use crate::stray;

/// Size limit of a volume in bytes, as stored and as 32-bit floats.
const MAX_VOLUME_BYTES: u64 = 1 << 30;

/// Accepted byte offsets of the voxels: after the header, with room for extensions.
const VOXELS_AT: std::ops::RangeInclusive<f32> = 352.0..=1_048_576.0;

/// Size of the header in bytes.
const HEADER_BYTES: u64 = 348;

/// Number of bytes read after the voxels.
const MAX_TRAILING_BYTES: u64 = 1 << 20;

/// Start of a file that is compressed with gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Quantiles of the voxels that become black and white.
const WINDOW: [f64; 2] = [0.005, 0.995];

/// Largest number of voxels used to find the window.
const WINDOW_SAMPLES: usize = 1 << 22;

/// An image volume, windowed to 8 bits, with its mask in the same grid.
#[derive(Debug)]
pub(super) struct Volume {
    shape: Shape,
    /// Grey values, `[D, H, W]`.
    grey: Vec<u8>,
    /// Values of the mask, `[D, H, W]`.
    values: Vec<u8>,
}

impl Volume {
    /// Reads both files. The grey values from the 0.5th to the 99.5th percentile of the volume are
    /// mapped to 0 to 255. A mask with another grid is resampled to that of the image: each voxel
    /// of the image gets the value of the nearest voxel of the mask.
    pub(super) fn open(image: &Path, mask: &Path) -> Result<Self, Problem> {
        let placement = place(image, mask)?;
        let (shape, voxels) = voxels(image)?;
        let grey = windowed(&voxels);
        drop(voxels);
        let (mask_shape, mut values) = mask_values(mask)?;
        if let Placement::Mapped(map) = placement {
            let is_marked = |values: &[u8]| values.iter().any(|&value| value != 0);
            let was_marked = is_marked(&values);
            values = grid::resampled(&values, mask_shape, shape, &map);
            if was_marked && !is_marked(&values) {
                let affines = shape_and_affine(image)?.1.zip(shape_and_affine(mask)?.1);
                let affines = affines.map(|(image, mask)| grid::affines(&image, &mask));
                let reason = format!(
                    "none of its marked voxels lies in the image: {}; correct the header that is \
                     wrong",
                    affines.unwrap_or_default()
                );
                return Err(other_grid(image, mask, &reason));
            }
        }
        Ok(Self { shape, grey, values })
    }

    /// Memory use in bytes.
    pub(super) fn bytes(&self) -> u64 {
        (self.grey.len() + self.values.len()) as u64
    }

    /// Slice `index` along the last axis; `index` must be below the number of slices. The first
    /// axis of the file is the width, the second the height. Its classes are the values of the mask.
    pub(super) fn slice(&self, index: usize) -> TrainingImage {
        let Shape([width, height, _]) = self.shape;
        let pixels = index * width * height..(index + 1) * width * height;
        let rgb = self.grey[pixels.clone()].iter().flat_map(|&value| [value; 3]).collect();
        let classes = Array2::from_shape_vec((height, width), self.values[pixels].to_vec());
        TrainingImage { width, height, rgb, classes: classes.expect("a class for each pixel") }
    }
}

/// Shape of the image, after a check that its mask fits.
///
/// # Errors
/// Names the file that is unreadable, or both that do not belong together.
pub(super) fn shape(image: &Path, mask: &Path) -> Result<Shape, Problem> {
    place(image, mask)?;
    Ok(shape_and_affine(image)?.0)
}

/// Values of the mask, whole numbers from 0 to 255, in its own grid.
pub(super) fn mask_values(mask: &Path) -> Result<(Shape, Vec<u8>), Problem> {
    let (shape, labels) = voxels(mask)?;
    let value = |&label: &f32| {
        // A cast alone would hide fractions, negative values and NaN.
        let value = label as u8;
        let expected = "expected a whole number from 0 to 255";
        let strange = || Problem::unreadable(mask, format!("a label is {label}, {expected}"));
        if f32::from(value) == label { Ok(value) } else { Err(strange()) }
    };
    Ok((shape, labels.iter().map(value).collect::<Result<_, _>>()?))
}

/// Place of the mask's voxels among those of the image, from the headers.
fn place(image: &Path, mask: &Path) -> Result<Placement, Problem> {
    let (of_image, of_mask) = (shape_and_affine(image)?, shape_and_affine(mask)?);
    let placement =
        grid::place(of_image, of_mask).map_err(|reason| other_grid(image, mask, &reason))?;
    let (Shape(sides), Shape(mask_sides)) = (of_image.0, of_mask.0);
    if placement == Placement::Same && sides != mask_sides {
        let (mask_size, image_size) = (mask_sides.to_vec(), sides.to_vec());
        return Err(Problem::SizeMismatch { mask: mask.to_owned(), mask_size, image_size });
    }
    Ok(placement)
}

fn other_grid(image: &Path, mask: &Path, reason: &str) -> Problem {
    let (image, mask, reason) = (image.to_owned(), mask.to_owned(), reason.to_owned());
    Problem::OtherGrid { mask, image, reason }
}

/// Shape and affine in the header, checked against the limits.
fn shape_and_affine(path: &Path) -> Result<(Shape, Option<Affine>), Problem> {
    let header = open(path).and_then(|reader| header(reader).map(|(header, _)| header));
    let header = header.map_err(|e| damaged(path, &e))?;
    let shape = check(&header).map_err(|reason| Problem::unreadable(path, reason))?;
    Ok((shape, Affine::of(&header)))
}

/// A file that is no NIfTI volume.
fn damaged(path: &Path, error: &nifti::NiftiError) -> Problem {
    // NIfTI files may be compressed with gzip, so that this kind is nothing else.
    let is_compressed = start(path).is_ok_and(|start| start == GZIP);
    let words = stray::describe_file(path).filter(|_| !is_compressed);
    Problem::unreadable(path, words.unwrap_or_else(|| error.to_string()))
}

/// All voxels with slope and intercept applied; the first axis varies fastest.
fn voxels(path: &Path) -> Result<(Shape, Vec<f32>), Problem> {
    let unreadable = |reason: String| Problem::unreadable(path, reason);
    let (mut header, mut reader) = open(path).and_then(header).map_err(|e| damaged(path, &e))?;
    let shape = check(&header).map_err(unreadable)?;
    // Some writers store NaN instead of a neutral slope and intercept.
    if !(header.scl_slope.is_finite() && header.scl_inter.is_finite()) {
        header.scl_slope = 0.0;
    }
    // Extensions are skipped without parsing their sizes, which could be wrong.
    let gap = header.vox_offset as u64 - HEADER_BYTES;
    pass(&mut reader, gap).map_err(|e| unreadable(e.to_string()))?;
    let volume = InMemNiftiVolume::from_reader(&mut reader, &header);
    let volume = volume.map_err(|e| unreadable(e.to_string()))?;
    // The checksum of a compressed file is only verified when it is read to its end.
    pass(&mut reader, MAX_TRAILING_BYTES).map_err(|e| unreadable(e.to_string()))?;
    let array = volume.into_ndarray::<f32>().map_err(|e| unreadable(e.to_string()))?;
    // The crate keeps the order of the file.
    Ok((shape, array.into_raw_vec_and_offset().0))
}

fn pass(reader: &mut impl Read, bytes: u64) -> io::Result<u64> {
    io::copy(&mut reader.take(bytes), &mut io::sink())
}

fn open(path: &Path) -> nifti::Result<Box<dyn Read>> {
    // Compression is detected from the content, since the name may be wrong.
    let magic = start(path)?;
    let file = BufReader::new(File::open(path)?);
    if magic == GZIP { Ok(Box::new(GzDecodedFile::new(file))) } else { Ok(Box::new(file)) }
}

fn start(path: &Path) -> io::Result<[u8; 2]> {
    let mut magic = [0; 2];
    File::open(path)?.read_exact(&mut magic)?;
    Ok(magic)
}

fn header(mut reader: Box<dyn Read>) -> nifti::Result<(NiftiHeader, Box<dyn Read>)> {
    Ok((NiftiHeader::from_reader(&mut reader)?, reader))
}

/// Checks everything in the header that reading relies on.
fn check(header: &NiftiHeader) -> Result<Shape, String> {
    if &header.magic != nifti::header::MAGIC_CODE_NIP1 {
        return Err("voxels in another file (.hdr and .img), expected one .nii file".into());
    }
    let dim = header.dim().map_err(|e| e.to_string())?;
    let sides: Vec<usize> = dim.iter().map(|&side| usize::from(side)).collect();
    let used = sides.iter().rposition(|&side| side > 1).map_or(1, |last| last + 1);
    if used > 3 {
        return Err(format!("{used} axes {sides:?}, expected a volume of 2 or 3"));
    }
    let shape = std::array::from_fn(|axis| sides.get(axis).copied().unwrap_or(1));
    if shape[0].max(shape[1]) > MAX_SIDE_PX as usize {
        return Err(format!(
            "slices of {} x {} px, expected at most {MAX_SIDE_PX}",
            shape[0], shape[1]
        ));
    }
    let kind = header.data_type().map_err(|e| e.to_string())?;
    use NiftiType::*;
    if !matches!(
        kind,
        Uint8 | Int8 | Uint16 | Int16 | Uint32 | Int32 | Uint64 | Int64 | Float32 | Float64
    ) {
        return Err(format!(
            "voxels of type {kind:?}, expected integers or floats of 8 to 64 bits"
        ));
    }
    let bytes = kind.size_of();
    if usize::try_from(header.bitpix) != Ok(bytes * 8) {
        return Err(format!(
            "{} bits per voxel, expected {} for {kind:?}",
            header.bitpix,
            bytes * 8
        ));
    }
    // Three 16-bit sides do not overflow.
    let total = shape.iter().map(|&side| side as u64).product::<u64>() * bytes.max(4) as u64;
    if total > MAX_VOLUME_BYTES {
        return Err(format!(
            "{shape:?} voxels take {total} bytes, expected at most {MAX_VOLUME_BYTES}"
        ));
    }
    if !VOXELS_AT.contains(&header.vox_offset) {
        let (least, most) = (VOXELS_AT.start(), VOXELS_AT.end());
        return Err(format!("voxels at byte {}, expected {least} to {most}", header.vox_offset));
    }
    Ok(Shape(shape))
}

/// 8-bit values between the quantiles of [`WINDOW`]; NaN becomes black.
fn windowed(voxels: &[f32]) -> Vec<u8> {
    let [low, high] = window(voxels);
    let scale = if high > low { 255.0 / (high - low) } else { 0.0 };
    // The cast saturates at 0 and 255, and converts NaN to 0.
    voxels.iter().map(|&value| ((value - low) * scale + 0.5) as u8).collect()
}

fn window(voxels: &[f32]) -> [f32; 2] {
    let count = voxels.len().min(WINDOW_SAMPLES);
    // A large volume is sampled at positions (golden ratio) that are not in step with any regular
    // pattern.
    let place = |i: usize| match voxels.len() <= WINDOW_SAMPLES {
        true => i,
        false => {
            let turn = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((u128::from(turn) * voxels.len() as u128) >> 64) as usize
        }
    };
    let samples = (0..count).map(|i| voxels[place(i)]);
    let mut samples: Vec<f32> = samples.filter(|value| value.is_finite()).collect();
    if samples.is_empty() {
        return [0.0; 2];
    }
    let last = (samples.len() - 1) as f64;
    let [low, high] = WINDOW.map(|share| {
        let at = (share * last).round() as usize;
        *samples.select_nth_unstable_by(at, f32::total_cmp).1
    });
    if high > low {
        return [low, high];
    }
    // If nearly everything is background, the window covers all values.
    let finite = voxels.iter().copied().filter(|value| value.is_finite());
    finite.fold([low, high], |[low, high], value| [low.min(value), high.max(value)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> NiftiHeader {
        NiftiHeader {
            dim: [3, 20, 10, 5, 1, 1, 1, 1],
            datatype: NiftiType::Int16 as i16,
            bitpix: 16,
            magic: *nifti::header::MAGIC_CODE_NIP1,
            ..NiftiHeader::default()
        }
    }

    #[test]
    fn headers_beyond_limits_are_refused_with_their_values() {
        assert_eq!(check(&header()), Ok(Shape([20, 10, 5])));
        let refusal = |change: &dyn Fn(&mut NiftiHeader)| {
            let mut header = header();
            change(&mut header);
            check(&header).unwrap_err()
        };
        let huge = refusal(&|h| h.dim = [3, 16_000, 16_000, 60_000, 1, 1, 1, 1]);
        assert!(huge.contains("expected at most 1073741824"), "{huge}");
        assert!(refusal(&|h| h.dim = [3, 60_000, 1, 1, 1, 1, 1, 1]).contains("60000 x 1 px"));
        assert!(refusal(&|h| h.dim = [4, 2, 2, 2, 3, 1, 1, 1]).contains("4 axes"));
        assert!(refusal(&|h| h.bitpix = 8).contains("8 bits per voxel, expected 16"));
        assert!(refusal(&|h| h.datatype = NiftiType::Rgb24 as i16).contains("Rgb24"));
        assert!(refusal(&|h| h.vox_offset = f32::NAN).contains("NaN"));
        assert!(refusal(&|h| h.vox_offset = 1e9).contains("1000000000"));
        refusal(&|h| h.dim[2] = 0);
        refusal(&|h| h.dim[0] = 0);
        refusal(&|h| h.magic = *nifti::header::MAGIC_CODE_NI1);
    }

    #[test]
    fn trailing_axes_of_length_one_are_ignored() {
        let shape = |dim| check(&NiftiHeader { dim, ..header() }).unwrap();
        assert_eq!(shape([5, 20, 10, 5, 1, 1, 1, 1]), Shape([20, 10, 5]));
        assert_eq!(shape([2, 20, 10, 9, 9, 1, 1, 1]), Shape([20, 10, 1]));
    }

    #[test]
    fn window_cuts_half_a_percent_on_each_side() {
        let mut voxels: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        (voxels[0], voxels[999]) = (-1e6, 1e6);
        assert_eq!(window(&voxels), [5.0, 994.0]);
        let grey = windowed(&voxels);
        assert_eq!((grey[0], grey[5], grey[994], grey[999]), (0, 0, 255, 255));
        assert_eq!(grey[500], ((500.0 - 5.0) / 989.0 * 255.0 + 0.5) as u8);
    }

    #[test]
    fn few_bright_voxels_stay_visible_and_nan_is_black() {
        let mut voxels = vec![0.0; 10_000];
        voxels[77] = 40.0;
        voxels[78] = f32::NAN;
        let grey = windowed(&voxels);
        assert_eq!((grey[76], grey[77], grey[78]), (0, 255, 0));
        assert_eq!(windowed(&[7.0; 9]), [0; 9]);
        assert_eq!(windowed(&[f32::NAN; 3]), [0; 3]);
    }

    #[test]
    fn sampled_window_of_a_large_volume_matches_all_its_voxels() {
        // A pattern along rows of a power of two, with which a regular stride would be in step.
        let count = WINDOW_SAMPLES * 2;
        let voxels: Vec<f32> = (0..count).map(|i| (i % 1024) as f32).collect();
        let [low, high] = window(&voxels);
        assert!((low - 5.0).abs() <= 1.0 && (high - 1018.0).abs() <= 1.0, "{low} {high}");
    }
}
