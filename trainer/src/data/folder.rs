//! A folder with `images/` and `masks/`: same stem, PNG or JPEG.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use image::{DynamicImage, ImageReader};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::region::components;

/// Pictures with masks, by name.
#[derive(Clone, Debug)]
pub struct Dataset {
    items: Vec<Item>,
}

/// A picture and its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The stem that both files share.
    pub name: String,
    /// The picture.
    pub image: PathBuf,
    /// The mask: class indices, or 0 and 255.
    pub mask: PathBuf,
}

/// What one prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// All that a class marks.
    Class,
    /// Each connected component of a class.
    Component,
}

/// A decoded picture with its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[H, W, 3]`.
    pub rgb: Vec<u8>,
    /// Class index of each pixel, 0 for background, `[H, W]`.
    pub classes: Array2<u8>,
}

impl Dataset {
    /// The pairs of `folder`, in the order of their names, and the files that have no partner.
    ///
    /// # Errors
    /// `images/` or `masks/` cannot be listed.
    pub fn open(folder: &Path) -> io::Result<(Self, Vec<Problem>)> {
        let (image_folder, mask_folder) = (folder.join("images"), folder.join("masks"));
        let images = by_stem(&image_folder)?;
        let mut masks = by_stem(&mask_folder)?;
        let mut problems = Vec::new();
        let mut items = Vec::new();
        for (name, image) in images {
            match masks.remove(&name) {
                Some(mask) => items.push(Item { name, image, mask }),
                None => problems.push(Problem::MissingMask { image, masks: mask_folder.clone() }),
            }
        }
        problems.extend(
            masks
                .into_values()
                .map(|mask| Problem::MissingImage { mask, images: image_folder.clone() }),
        );
        Ok((Self { items }, problems))
    }

    /// The pairs.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Reads every pair; what is wrong is passed to `report`, and the rest goes on.
    pub fn check(&self, classes: Option<&[u8]>, mut report: impl FnMut(Problem)) {
        for item in &self.items {
            match item.read() {
                Ok(picture) => picture.check(item, classes, &mut report),
                Err(problem) => report(problem),
            }
        }
    }
}

impl Item {
    /// Decodes the pair.
    ///
    /// # Errors
    /// [`Problem::Unreadable`] or [`Problem::SizeMismatch`].
    pub fn read(&self) -> Result<Picture, Problem> {
        let rgb = decode(&self.image)?.into_rgb8();
        let mask = decode(&self.mask)?.into_luma8();
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        let mask_size = (mask.width() as usize, mask.height() as usize);
        if mask_size != (width, height) {
            let image_size = (width, height);
            return Err(Problem::SizeMismatch { mask: self.mask.clone(), mask_size, image_size });
        }
        let mut values = mask.into_raw();
        // A mask of black and white, perhaps blurred by JPEG, has one class.
        if values.iter().any(|&value| value == 255) {
            values.iter_mut().for_each(|value| *value = u8::from(*value >= 128));
        }
        let classes = Array2::from_shape_vec((height, width), values);
        let classes = classes.expect("a grey picture has a byte for each pixel");
        Ok(Picture { width, height, rgb: rgb.into_raw(), classes })
    }
}

impl Picture {
    /// The masks that prompts ask for, each with its class. Components of fewer than `min_px`
    /// pixels are specks of the annotation and left out.
    pub fn targets(&self, kind: Targets, min_px: usize) -> Vec<(u8, Array2<bool>)> {
        let mut targets = Vec::new();
        for class in self.class_indices() {
            let mask = self.classes.mapv(|value| value == class);
            match kind {
                Targets::Class => targets.push((class, mask)),
                Targets::Component => {
                    let parts = components(mask.view(), min_px).into_iter();
                    targets.extend(parts.map(|part| (class, part)));
                }
            }
        }
        targets
    }

    fn class_indices(&self) -> BTreeSet<u8> {
        self.classes.iter().copied().filter(|&class| class != 0).collect()
    }

    fn check(&self, item: &Item, classes: Option<&[u8]>, report: &mut impl FnMut(Problem)) {
        let found = self.class_indices();
        if found.is_empty() {
            report(Problem::EmptyMask { mask: item.mask.clone() });
        }
        let Some(expected) = classes else { return };
        for class in found.into_iter().filter(|class| !expected.contains(class)) {
            let (mask, expected) = (item.mask.clone(), expected.to_vec());
            report(Problem::UnlistedClass { mask, class, expected });
        }
    }
}

fn decode(path: &Path) -> Result<DynamicImage, Problem> {
    let unreadable = |reason: String| Problem::Unreadable { path: path.to_owned(), reason };
    let reader = ImageReader::open(path).map_err(|e| unreadable(e.to_string()))?;
    let reader = reader.with_guessed_format().map_err(|e| unreadable(e.to_string()))?;
    reader.decode().map_err(|e| unreadable(e.to_string()))
}

fn by_stem(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let describe = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", folder.display()));
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(describe)? {
        let path = entry.map_err(describe)?.path();
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ["png", "jpg", "jpeg"].iter().any(|known| extension == *known) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(stem, path);
        }
    }
    Ok(files)
}
