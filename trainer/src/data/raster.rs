//! Reading of PNG and JPEG files.

use std::path::Path;

use image::{DynamicImage, ImageReader};
use ndarray::Array2;

use super::problem::Problem;
use super::training_image::as_classes;

/// Largest width and height of an image, in pixels.
pub(super) const MAX_SIDE_PX: u32 = 16_384;

/// Reads width, height and pixels `[H, W, 3]`. Samples of 16 bits are reduced to 8.
pub(super) fn rgb(path: &Path) -> Result<(usize, usize, Vec<u8>), Problem> {
    let image = decode(path)?.into_rgb8();
    Ok((image.width() as usize, image.height() as usize, image.into_raw()))
}

/// Reads class indices `[H, W]`.
pub(super) fn classes(path: &Path) -> Result<Array2<u8>, Problem> {
    let image = decode(path)?;
    let shape = (image.height() as usize, image.width() as usize);
    let mut values = values(&image).map_err(|reason| Problem::unreadable(path, reason))?;
    as_classes(&mut values);
    Ok(Array2::from_shape_vec(shape, values).expect("a value for each pixel"))
}

/// Values of a mask, without conversion to grey: conversion of colours or of 16-bit values would
/// change classes.
fn values(image: &DynamicImage) -> Result<Vec<u8>, String> {
    let expected = "expected grey values that are class indices, or 0 and 255";
    let grey = |rgb: &[u8]| {
        let equal = rgb[0] == rgb[1] && rgb[1] == rgb[2];
        if equal { Ok(rgb[0]) } else { Err(format!("a pixel has colour {rgb:?}, {expected}")) }
    };
    match image {
        DynamicImage::ImageLuma8(grey) => Ok(grey.as_raw().clone()),
        DynamicImage::ImageLumaA8(grey) => Ok(grey.pixels().map(|pixel| pixel.0[0]).collect()),
        DynamicImage::ImageRgb8(rgb) => rgb.pixels().map(|pixel| grey(&pixel.0)).collect(),
        DynamicImage::ImageRgba8(rgba) => rgba.pixels().map(|pixel| grey(&pixel.0[..3])).collect(),
        DynamicImage::ImageLuma16(grey) => {
            let narrow = |value: u16| match value {
                u16::MAX => Ok(255),
                _ => u8::try_from(value)
                    .map_err(|_| format!("a pixel has value {value}, {expected}")),
            };
            grey.as_raw().iter().map(|&value| narrow(value)).collect()
        }
        other => Err(format!("a mask of {:?} samples, {expected}", other.color())),
    }
}

/// Decodes an image, turned as its EXIF orientation says. JPEG files that are cut short are refused.
fn decode(path: &Path) -> Result<DynamicImage, Problem> {
    let unreadable = |reason: &dyn ToString| Problem::unreadable(path, reason.to_string());
    let open = || {
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        reader.map_err(|e| unreadable(&e))
    };
    // The header is checked first, before memory for the pixels is allocated.
    let (width, height) = open()?.into_dimensions().map_err(|e| unreadable(&e))?;
    if width == 0 || height == 0 || width.max(height) > MAX_SIDE_PX {
        let found = format!("{width} x {height} px, expected 1 to {MAX_SIDE_PX} on each side");
        return Err(unreadable(&found));
    }
    medsa_frames::read_image(path, MAX_SIDE_PX).map_err(|e| unreadable(&e))
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, Luma, Rgb};

    use super::*;

    #[test]
    fn mask_values_are_read_without_grey_conversion() {
        let wide = |values: [u16; 3]| {
            DynamicImage::from(
                ImageBuffer::<Luma<u16>, _>::from_raw(3, 1, values.to_vec()).unwrap(),
            )
        };
        assert_eq!(values(&wide([0, 1, 2])), Ok(vec![0, 1, 2]));
        assert_eq!(values(&wide([0, 65_535, 0])), Ok(vec![0, 255, 0]));
        assert!(values(&wide([0, 300, 0])).unwrap_err().contains("value 300"));
        let colours = |second: [u8; 3]| {
            let raw = [[1, 1, 1], second].concat();
            DynamicImage::from(ImageBuffer::<Rgb<u8>, _>::from_raw(2, 1, raw).unwrap())
        };
        assert_eq!(values(&colours([2, 2, 2])), Ok(vec![1, 2]));
        assert!(values(&colours([128, 0, 0])).unwrap_err().contains("colour [128, 0, 0]"));
    }
}
