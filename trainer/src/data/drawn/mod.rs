//! Masks that are drawn from annotations: polygons of LabelMe, and polygons and run lengths of COCO.
//!
//! Each label is a class. Shapes are drawn in the order of the file, so that later ones cover
//! earlier ones.

mod coco;
mod labelme;
mod polygon;
mod run_length;

use std::fs;
use std::path::Path;

use ndarray::Array2;
use serde::de::DeserializeOwned;

pub(super) use self::coco::{Annotated, open as open_coco};
pub(super) use self::labelme::open as open_labelme;
use super::problem::Problem;
use super::values::MAX_CLASS;
use crate::stray;

/// Largest annotation file, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Shapes of one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Drawing {
    /// Width and height of the image in pixels, as annotated.
    size: Option<[usize; 2]>,
    /// Class of each shape, and its outline or pixels.
    shapes: Vec<(u8, Shape)>,
}

/// A shape, in pixels; the corner of the image is at 0, 0.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// Corners of one or more polygons, as x and y.
    Polygons(Vec<Vec<[f64; 2]>>),
    Circle {
        centre: [f64; 2],
        radius: f64,
    },
    /// Lengths of runs down the columns of an image of this height and width, alternating between
    /// outside and inside; the first is outside.
    Runs {
        size: [usize; 2],
        lengths: Vec<u64>,
    },
}

impl Drawing {
    /// Classes `[H, W]` of an image of `width` x `height` px; the mask is in the file `mask`.
    pub(super) fn classes(
        &self,
        mask: &Path,
        [width, height]: [usize; 2],
    ) -> Result<Array2<u8>, Problem> {
        if let Some(size) = self.size.filter(|&size| size != [width, height]) {
            let (mask_size, image_size) = (size.to_vec(), vec![width, height]);
            return Err(Problem::SizeMismatch { mask: mask.to_owned(), mask_size, image_size });
        }
        let mut classes = Array2::zeros((height, width));
        for (class, shape) in &self.shapes {
            match shape {
                Shape::Polygons(polygons) => {
                    polygons
                        .iter()
                        .for_each(|corners| polygon::fill(&mut classes, corners, *class));
                }
                Shape::Circle { centre, radius } => {
                    polygon::fill_circle(&mut classes, *centre, *radius, *class);
                }
                Shape::Runs { size, lengths } => {
                    run_length::fill(&mut classes, *size, lengths, *class)
                        .map_err(|reason| Problem::unreadable(mask, reason))?;
                }
            }
        }
        Ok(classes)
    }
}

/// Class of `label` among `labels`.
fn class_of(labels: &[String], label: &str) -> Result<u8, String> {
    let at = labels.iter().position(|known| known == label);
    let class = at.and_then(|at| u8::try_from(at + 1).ok()).filter(|&class| class <= MAX_CLASS);
    class.ok_or_else(|| format!("label {label:?} is one of more than {MAX_CLASS}"))
}

/// Reads a JSON file.
fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Problem> {
    let unreadable = |reason: &dyn ToString| Problem::unreadable(path, reason.to_string());
    let bytes = fs::metadata(path).map_err(|e| unreadable(&e))?.len();
    if bytes > MAX_BYTES {
        return Err(unreadable(&format!("{bytes} bytes, expected at most {MAX_BYTES}")));
    }
    let json = fs::read(path).map_err(|e| unreadable(&e))?;
    serde_json::from_slice(&json).map_err(|e| {
        let is_json = json.trim_ascii_start().starts_with(b"{");
        let words = stray::describe(&json).filter(|_| !is_json);
        Problem::unreadable(path, words.unwrap_or_else(|| e.to_string()))
    })
}
