//! Reading of masks in PNG and JPEG files: values as they are stored, without conversion to grey.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageFormat};
use ndarray::Array2;
use png::{BitDepth, ColorType};

use super::problem::Problem;
use super::raster;

/// Memory limit of the decoder, in bytes.
const MAX_ALLOC_BYTES: usize = 1 << 30;

/// Largest difference between the channels of a grey pixel in a JPEG file.
const JPEG_GREY: u8 = 16;

/// Values from here on are white in JPEG masks that are only decoded approximately; values below
/// [`DARK`] are black.
const BRIGHT: u8 = 192;
const DARK: u8 = 64;

const EXPECTED: &str = "expected grey values or indices of a palette that are class numbers, or \
                        0 and 255";

/// Reads the values `[H, W]`, turned as the EXIF orientation says: palette indices, grey samples of
/// 1 to 16 bits, or the grey value of coloured pixels that are grey. JPEG masks are black and white;
/// their values are 0 and 255.
pub(super) fn values(path: &Path) -> Result<Array2<u8>, Problem> {
    let unreadable = |reason: &dyn ToString| Problem::unreadable(path, reason.to_string());
    let (width, height, format) = raster::header(path)?;
    let grey = match format {
        ImageFormat::Png => png_values(path).map_err(|e| unreadable(&e))?,
        _ => {
            let image = raster::decode(path)?.into_rgb8();
            let values = image.pixels().map(|pixel| grey_of_jpeg(pixel.0));
            let values: Result<Vec<u8>, String> = values.collect();
            let values = values.and_then(black_and_white).map_err(|e| unreadable(&e))?;
            GrayImage::from_raw(image.width(), image.height(), values)
                .ok_or_else(|| unreadable(&format!("fewer pixels than {width} x {height}")))?
        }
    };
    let shape = (grey.height() as usize, grey.width() as usize);
    Ok(Array2::from_shape_vec(shape, grey.into_raw()).expect("a value for each pixel"))
}

fn png_values(path: &Path) -> Result<GrayImage, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let limits = png::Limits { bytes: MAX_ALLOC_BYTES };
    let mut decoder = png::Decoder::new_with_limits(BufReader::new(file), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let size = reader.output_buffer_size().filter(|&size| size <= MAX_ALLOC_BYTES);
    let mut samples = vec![0; size.ok_or("too many samples to decode")?];
    let info = reader.next_frame(&mut samples).map_err(|e| e.to_string())?;
    let values = match (info.color_type, info.bit_depth) {
        (ColorType::Indexed | ColorType::Grayscale, depth) if depth != BitDepth::Sixteen => {
            let rows = samples.chunks_exact(info.line_size);
            rows.flat_map(|row| unpacked(row, depth as usize).take(info.width as usize)).collect()
        }
        (ColorType::Grayscale, _) => samples
            .chunks_exact(2)
            .map(|bytes| narrow(u16::from_be_bytes([bytes[0], bytes[1]])))
            .collect::<Result<_, _>>()?,
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => samples.into_iter().step_by(2).collect(),
        (ColorType::Rgb, BitDepth::Eight) => {
            samples.chunks_exact(3).map(grey_of_pixel).collect::<Result<_, _>>()?
        }
        (ColorType::Rgba, BitDepth::Eight) => samples
            .chunks_exact(4)
            .map(|rgba| grey_of_pixel(&rgba[..3]))
            .collect::<Result<_, _>>()?,
        (colour, depth) => {
            let bits = depth as u8;
            return Err(format!("a mask of {bits}-bit {colour:?} samples, {EXPECTED}"));
        }
    };
    let grey = GrayImage::from_raw(info.width, info.height, values);
    let mut grey = DynamicImage::from(grey.ok_or("fewer samples than its size says")?);
    let exif = reader.info().exif_metadata.as_deref();
    grey.apply_orientation(
        exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms),
    );
    Ok(grey.into_luma8())
}

/// Samples of `bits` bits, the first in the highest bits of a byte.
fn unpacked(row: &[u8], bits: usize) -> impl Iterator<Item = u8> {
    let mask = (0xffu16 >> (8 - bits)) as u8;
    row.iter()
        .flat_map(move |byte| (0..8 / bits).rev().map(move |place| byte >> (place * bits) & mask))
}

fn narrow(value: u16) -> Result<u8, String> {
    match value {
        u16::MAX => Ok(255),
        _ => u8::try_from(value).map_err(|_| format!("a pixel has value {value}, {EXPECTED}")),
    }
}

fn grey_of_pixel(rgb: &[u8]) -> Result<u8, String> {
    let equal = rgb[0] == rgb[1] && rgb[1] == rgb[2];
    if equal { Ok(rgb[0]) } else { Err(format!("a pixel has colour {rgb:?}, {EXPECTED}")) }
}

fn grey_of_jpeg(rgb: [u8; 3]) -> Result<u8, String> {
    let (low, high) = (rgb.iter().min(), rgb.iter().max());
    let (low, high) = (low.expect("three channels"), high.expect("three channels"));
    if high - low <= JPEG_GREY {
        Ok(rgb[1])
    } else {
        Err(format!("a pixel has colour {rgb:?}, {EXPECTED}"))
    }
}

/// Values of a JPEG mask as 0 and 255.
///
/// # Errors
/// The mask is not black and white: a tenth of its marked pixels or more are grey, or all are dark.
fn black_and_white(values: Vec<u8>) -> Result<Vec<u8>, String> {
    let bright = values.iter().filter(|&&value| value >= BRIGHT).count();
    let grey = values.iter().filter(|value| (DARK..BRIGHT).contains(value)).count();
    let highest = values.iter().copied().max().unwrap_or(0);
    if highest > 0 && (bright == 0 || grey * 10 > bright + grey) {
        return Err(format!(
            "a JPEG mask with {bright} white and {grey} grey pixels and values up to {highest}, \
             expected black and white: JPEG does not keep class numbers; save it as PNG"
        ));
    }
    Ok(values.iter().map(|&value| if value >= 128 { 255 } else { 0 }).collect())
}

#[cfg(test)]
mod tests {
    use std::io::BufWriter;

    use super::*;

    /// Writes a PNG file of 5 x 2 px with the packed `rows`, and reads its values.
    fn read(colour: ColorType, depth: BitDepth, rows: &[u8]) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(&path).unwrap()), 5, 2);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == ColorType::Indexed {
            // Black for all indices: only the indices tell them apart.
            encoder.set_palette(vec![0; 3 << (depth as usize)]);
        }
        encoder.write_header().unwrap().write_image_data(rows).unwrap();
        let values = values(&path).map_err(|problem| problem.to_string())?;
        assert_eq!(values.dim(), (2, 5));
        Ok(values.into_raw_vec_and_offset().0)
    }

    #[test]
    fn palette_indices_and_grey_samples_of_all_depths_are_values() {
        for colour in [ColorType::Indexed, ColorType::Grayscale] {
            let read = |depth, rows: &[u8]| read(colour, depth, rows).unwrap();
            let bits = read(BitDepth::One, &[0b0100_1000, 0b1000_0000]);
            assert_eq!(bits, [0, 1, 0, 0, 1, 1, 0, 0, 0, 0]);
            let bits = read(BitDepth::Two, &[0b0001_1011, 0b1100_0000, 0, 0b0100_0000]);
            assert_eq!(bits, [0, 1, 2, 3, 3, 0, 0, 0, 0, 1]);
            let bits = read(BitDepth::Four, &[0x01, 0x2f, 0x70, 0x98, 0x76, 0x50]);
            assert_eq!(bits, [0, 1, 2, 15, 7, 9, 8, 7, 6, 5]);
            let bytes = [0, 1, 2, 127, 255, 0, 0, 4, 3, 2];
            assert_eq!(read(BitDepth::Eight, &bytes), bytes);
        }
    }

    #[test]
    fn wide_and_coloured_samples_are_narrowed_or_refused() {
        let wide = |values: [u16; 10]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
            read(ColorType::Grayscale, BitDepth::Sixteen, &bytes)
        };
        assert_eq!(wide([0, 1, 2, 65_535, 0, 0, 0, 0, 0, 0]).unwrap()[..4], [0, 1, 2, 255]);
        assert!(wide([0, 300, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err().contains("value 300"));
        let coloured = |second: [u8; 3]| {
            let rows = [&[1, 1, 1][..], &second, &[7; 24]].concat();
            read(ColorType::Rgb, BitDepth::Eight, &rows)
        };
        assert_eq!(coloured([2, 2, 2]).unwrap()[..3], [1, 2, 7]);
        assert!(coloured([128, 0, 0]).unwrap_err().contains("colour [128, 0, 0]"));
        let rgba = [[3, 3, 3, 0], [4, 4, 4, 255]].concat().repeat(5);
        assert_eq!(read(ColorType::Rgba, BitDepth::Eight, &rgba).unwrap()[..2], [3, 4]);
        let alpha = [[5, 0], [6, 255]].concat().repeat(5);
        assert_eq!(read(ColorType::GrayscaleAlpha, BitDepth::Eight, &alpha).unwrap()[..2], [5, 6]);
    }

    #[test]
    fn jpeg_masks_are_black_and_white_or_refused() {
        let of = |runs: &[(u8, usize)]| {
            let run = |&(value, count): &(u8, usize)| vec![value; count];
            black_and_white(runs.iter().flat_map(run).collect())
        };
        let blurred = of(&[(0, 900), (3, 20), (120, 3), (130, 3), (250, 60), (255, 40)]).unwrap();
        assert_eq!(blurred.iter().filter(|&&value| value == 255).count(), 103);
        assert_eq!(blurred.iter().filter(|&&value| value == 0).count(), 923);
        assert_eq!(of(&[(0, 9)]).unwrap(), [0; 9]);
        assert!(of(&[(0, 900), (127, 80), (255, 60)]).unwrap_err().contains("80 grey pixels"));
        assert!(of(&[(0, 900), (2, 90)]).unwrap_err().contains("values up to 2"));
        assert_eq!(grey_of_jpeg([250, 253, 255]), Ok(253));
        assert!(grey_of_jpeg([200, 20, 20]).is_err());
    }
}
