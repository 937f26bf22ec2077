//! Real pictures with the boxes of what was outlined on them.

use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage};
use medsa_frames::Frame;
use medsa_sam::prompt::BoxXyxy;

/// A picture and the boxes of its structures.
pub struct Picture {
    /// One of [`FOLDERS`].
    pub folder: &'static str,
    /// Its pixels.
    pub frame: Frame,
    /// In pixels of the frame.
    pub boxes: Vec<BoxXyxy>,
}

/// Where they are in `../shared/data`: nerves and vessels, lesions of the breast, polyps.
pub const FOLDERS: [&str; 3] = ["usgra-nerve", "busi-breast", "kvasir-seg"];

/// As many pictures from each folder, evenly spaced.
///
/// # Panics
/// If the folders do not hold what `data/README.md` says.
pub fn pictures(shared: &Path, of_each: usize) -> Vec<Picture> {
    let picture = |(folder, image): (&'static str, PathBuf)| {
        let name = image.with_extension("png");
        let name = name.file_name().expect("an image has a name");
        let mask = open(&image.with_file_name("../masks").join(name)).into_luma8();
        // Nerve and vessel; elsewhere there is one structure, and values between from JPEG.
        let values: &[[u8; 2]] =
            if folder == "usgra-nerve" { &[[1, 1], [2, 2]] } else { &[[128, 255]] };
        let boxes = values.iter().filter_map(|&values| bounds(&mask, values)).collect();
        Picture { folder, frame: frame(&image), boxes }
    };
    spaced(shared, of_each, 0).map(picture).collect()
}

/// Pictures that lie between those.
///
/// # Panics
/// As [`pictures`].
pub fn calibration(shared: &Path, of_each: usize) -> Vec<Frame> {
    spaced(shared, of_each, 1).map(|(_, image)| frame(&image)).collect()
}

/// Folder and path of pictures, half a step later for each of `half_steps`.
fn spaced(
    shared: &Path,
    of_each: usize,
    half_steps: usize,
) -> impl Iterator<Item = (&'static str, PathBuf)> {
    let data = shared.join("data");
    FOLDERS.into_iter().flat_map(move |name| {
        let folder = data.join(name).join("images");
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut images: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        images.sort();
        let step = images.len() / of_each;
        let some = images.into_iter().skip(half_steps * step / 2).step_by(step).take(of_each);
        some.map(move |image| (name, image))
    })
}

fn open(path: &Path) -> DynamicImage {
    image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn frame(path: &Path) -> Frame {
    let rgb = open(path).into_rgb8();
    let (width, height) = rgb.dimensions();
    Frame { width, height, rgb: rgb.into_raw(), pixel_spacing_mm: None }
}

/// The box around all pixels from one value to another, if there are any.
fn bounds(mask: &GrayImage, [from, to]: [u8; 2]) -> Option<BoxXyxy> {
    let inside = mask.enumerate_pixels().filter(|(_, _, value)| (from..=to).contains(&value.0[0]));
    inside.fold(None, |bounds, (x, y, _)| {
        let [x, y] = [x as f32, y as f32];
        let [x0, y0, x1, y1] = bounds.unwrap_or([x, y, x, y]);
        Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)])
    })
}
