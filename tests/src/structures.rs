//! Real images with boxes around their annotated structures.

use std::fs;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage};
use medsa_frames::Frame;
use medsa_sam::prompt::BoxXyxy;

/// An image with the boxes of its structures.
pub struct LabelledImage {
    /// Name of the data set.
    pub set: &'static str,
    /// Pixels of the image.
    pub frame: Frame,
    /// Boxes in frame pixels.
    pub boxes: Vec<BoxXyxy>,
}

/// A data set: a folder with `images` and `masks`.
pub struct DataSet {
    /// Name of the folder.
    pub name: &'static str,
    /// Smallest and largest mask value of each structure.
    pub structures: &'static [[u8; 2]],
}

/// Data sets in `tests/data`: nerves and vessels, fetal heads, vocal folds and glottis.
pub const COMMITTED: [DataSet; 3] = [
    DataSet { name: "usgra-nerve", structures: &[[1, 1], [2, 2]] },
    DataSet { name: "hc18-fetal-head", structures: &[[128, 255]] },
    DataSet { name: "vocalfolds", structures: &[[1, 1], [3, 3]] },
];

/// Some data sets in `../shared/data`: nerves and vessels, lesions of the breast, polyps. Because
/// of JPEG, some masks have intermediate values.
pub const WHOLE: [DataSet; 3] = [
    DataSet { name: "usgra-nerve", structures: &[[1, 1], [2, 2]] },
    DataSet { name: "busi-breast", structures: &[[128, 255]] },
    DataSet { name: "kvasir-seg", structures: &[[128, 255]] },
];

/// `of_each` evenly spaced images from each data set in `data`.
///
/// # Panics
/// If a data set has fewer images, or an image has no mask.
pub fn images(data: &Path, sets: &[DataSet], of_each: usize) -> Vec<LabelledImage> {
    let labelled = |(set, image): (&DataSet, PathBuf)| {
        let name = image.with_extension("png");
        let name = name.file_name().expect("an image has a name");
        let mask = open(&image.with_file_name("../masks").join(name)).into_luma8();
        let boxes = set.structures.iter().filter_map(|&values| bounds(&mask, values)).collect();
        LabelledImage { set: set.name, frame: frame(&image), boxes }
    };
    spaced(data, sets, of_each).map(labelled).collect()
}

/// Data set and path of evenly spaced images.
fn spaced<'a>(
    data: &Path,
    sets: &'a [DataSet],
    of_each: usize,
) -> impl Iterator<Item = (&'a DataSet, PathBuf)> {
    sets.iter().flat_map(move |set| {
        let folder = data.join(set.name).join("images");
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut images: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        images.sort();
        let step = images.len() / of_each;
        let some = images.into_iter().step_by(step).take(of_each);
        some.map(move |image| (set, image))
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

/// Box around all pixels with values in a range; `None` if there are none.
fn bounds(mask: &GrayImage, [from, to]: [u8; 2]) -> Option<BoxXyxy> {
    let inside = mask.enumerate_pixels().filter(|(_, _, value)| (from..=to).contains(&value.0[0]));
    inside.fold(None, |bounds, (x, y, _)| {
        let [x, y] = [x as f32, y as f32];
        let [x0, y0, x1, y1] = bounds.unwrap_or([x, y, x, y]);
        Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)])
    })
}
