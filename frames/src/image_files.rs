//! PNG and JPEG files as frames.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use image::ImageReader;

use crate::{Frame, FramesError, MAX_FILE_BYTES, MAX_SIDE_PX, read_image};

/// Image files, one per frame.
#[derive(Debug)]
pub(crate) struct ImageFiles {
    paths: Vec<PathBuf>,
}

impl ImageFiles {
    /// A clip of one image, whose size is checked but whose pixels are not decoded yet.
    pub(crate) fn one(path: &Path) -> Result<Self, FramesError> {
        check_size(path)?;
        Ok(Self { paths: vec![path.to_owned()] })
    }

    /// Images, sorted by name.
    pub(crate) fn several(mut paths: Vec<PathBuf>) -> Result<Self, FramesError> {
        paths.sort_by(|a, b| compare_naturally(&file_name(a), &file_name(b)));
        if let Some(first) = paths.first() {
            check_size(first)?;
        }
        Ok(Self { paths })
    }

    pub(crate) fn len(&self) -> usize {
        self.paths.len()
    }

    pub(crate) fn name(&self, index: usize) -> Option<String> {
        self.paths.get(index).map(|path| file_name(path))
    }

    /// Decodes an image, upright. Transparency is dropped, and 16-bit samples are reduced to 8 bits.
    pub(crate) fn frame(&self, index: usize) -> Result<Frame, FramesError> {
        let path = &self.paths[index];
        check_size(path)?;
        let failed = |source| FramesError::Image { path: path.clone(), source };
        let picture = read_image(path, MAX_SIDE_PX).map_err(failed)?;
        let rgb = picture.into_rgb8();
        let (width, height) = rgb.dimensions();
        Ok(Frame { width, height, rgb: rgb.into_raw(), pixel_spacing_mm: None })
    }
}

/// Checks the size in the image's header.
fn check_size(path: &Path) -> Result<(), FramesError> {
    let bytes = fs::metadata(path).map_err(FramesError::read(path))?.len();
    let path_buf = || path.to_owned();
    if bytes > MAX_FILE_BYTES {
        return Err(FramesError::FileTooLarge { path: path_buf(), found: bytes });
    }
    let (width, height) = open_image(path)?
        .into_dimensions()
        .map_err(|source| FramesError::Image { path: path_buf(), source })?;
    if [width, height].iter().all(|side| (1..=MAX_SIDE_PX).contains(side)) {
        Ok(())
    } else {
        Err(FramesError::FrameSize { path: path_buf(), width, height })
    }
}

fn open_image(path: &Path) -> Result<ImageReader<std::io::BufReader<fs::File>>, FramesError> {
    ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(FramesError::read(path))
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Compares names so that `frame2` comes before `frame10`. Names that differ only in leading zeros
/// are compared as text.
pub(crate) fn compare_naturally(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let (part_a, after_a) = split_part(rest_a);
        let (part_b, after_b) = split_part(rest_b);
        let order = if starts_with_digit(part_a) && starts_with_digit(part_b) {
            let (digits_a, digits_b) =
                (part_a.trim_start_matches('0'), part_b.trim_start_matches('0'));
            digits_a.len().cmp(&digits_b.len()).then_with(|| digits_a.cmp(digits_b))
        } else {
            part_a.cmp(part_b)
        };
        if order != Ordering::Equal {
            return order;
        }
        (rest_a, rest_b) = (after_a, after_b);
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Splits off the leading digits, or the leading characters other than digits.
fn split_part(text: &str) -> (&str, &str) {
    let digits = starts_with_digit(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_sorted_by_value() {
        let sorted = ["a.png", "f1.png", "f2.png", "f02b.png", "f10.png", "f10a.png", "g.png"];
        let mut names: Vec<_> = sorted.iter().rev().copied().collect();
        names.sort_by(|a, b| compare_naturally(a, b));
        assert_eq!(names, sorted);
        assert_eq!(compare_naturally("f1", "f01"), "f1".cmp("f01"));
        let long = ["8".repeat(50), "9".repeat(50)];
        assert_eq!(compare_naturally(&long[0], &long[1]), Ordering::Less);
    }
}
