//! Decoding of PNG and JPEG files, upright and complete.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use image::error::DecodingError;
use image::metadata::Orientation;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits, RgbImage,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Memory limit for decoding an image, in bytes.
const MAX_ALLOC_BYTES: u64 = 1 << 30;

/// Decodes a PNG or JPEG file of at most `max_side_px` on each side, and turns it as its EXIF
/// orientation says.
///
/// # Errors
/// The file cannot be read, is of another kind, exceeds the limits, or is damaged or cut short.
pub fn read_image(path: impl AsRef<Path>, max_side_px: u32) -> ImageResult<DynamicImage> {
    let path = path.as_ref();
    let file = BufReader::new(File::open(path)?);
    let mut reader = ImageReader::new(file).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(max_side_px);
    limits.max_image_height = Some(max_side_px);
    limits.max_alloc = Some(MAX_ALLOC_BYTES);
    reader.limits(limits);
    let format = reader.format();
    let mut decoder = reader.into_decoder()?;
    // Damaged EXIF data does not make an image unusable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = match format {
        Some(ImageFormat::Jpeg) => read_jpeg(path, max_side_px as usize)?,
        _ => DynamicImage::from_decoder(decoder)?,
    };
    image.apply_orientation(orientation);
    Ok(image)
}

/// Decodes a JPEG file. Strict, because `image` fills what is missing at the end with grey.
fn read_jpeg(path: &Path, max_side_px: usize) -> ImageResult<DynamicImage> {
    let failed =
        |reason: String| ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), reason));
    let bytes = fs::read(path)?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(max_side_px)
        .set_max_height(max_side_px)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&bytes[..]), options);
    let rgb = decoder.decode().map_err(|error| failed(format!("{error:?}")))?;
    let info = decoder.info().ok_or_else(|| failed("no frame header".to_owned()))?;
    let (width, height, found) = (info.width.into(), info.height.into(), rgb.len());
    RgbImage::from_raw(width, height, rgb)
        .map(DynamicImage::from)
        .ok_or_else(|| failed(format!("{found} bytes for {width} x {height} px")))
}
