//! COCO: one JSON file for all images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Drawing, Shape, class_of, run_length};
use crate::data::problem::Problem;
use crate::data::values::IGNORED;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: PathBuf,
    width: usize,
    height: usize,
}

#[derive(Deserialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: u64,
    segmentation: Option<Segmentation>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "segmentation is neither a list of polygons nor run lengths")]
enum Segmentation {
    /// x and y in turns.
    Polygons(Vec<Vec<f64>>),
    Runs {
        size: [usize; 2],
        counts: Counts,
    },
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "counts are neither numbers nor compressed text")]
enum Counts {
    Lengths(Vec<u64>),
    Compressed(String),
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

/// An image with the drawing of its annotations.
pub(in crate::data) struct Annotated {
    /// Path as in the file.
    pub(in crate::data) file_name: PathBuf,
    pub(in crate::data) drawing: Drawing,
}

/// Reads a COCO file. Returns the names of its categories by ascending number, in the order of the
/// classes 1, 2, ...; and the images with annotations. A crowd is an area to ignore. Images and
/// annotations that are not used are added to `problems`.
pub(in crate::data) fn open(
    path: &Path,
    problems: &mut Vec<Problem>,
) -> Result<(Vec<String>, Vec<Annotated>), Problem> {
    let mut file: File = super::read(path)?;
    file.categories.sort_by_key(|category| category.id);
    let labels: Vec<String> =
        file.categories.iter().map(|category| category.name.clone()).collect();
    let names: BTreeMap<u64, &str> =
        file.categories.iter().map(|category| (category.id, category.name.as_str())).collect();
    let mut drawings: BTreeMap<u64, Drawing> = BTreeMap::new();
    for annotation in &file.annotations {
        match annotation.drawn(&labels, &names) {
            Ok(shape) => drawings.entry(annotation.image_id).or_default().shapes.push(shape),
            Err(reason) => {
                let reason = format!("annotation {}: {reason}", annotation.id);
                problems.push(Problem::Skipped { path: path.to_owned(), reason });
            }
        }
    }
    let mut annotated = Vec::new();
    for image in file.images {
        match drawings.remove(&image.id) {
            Some(drawing) => {
                let drawing = Drawing { size: Some([image.width, image.height]), ..drawing };
                annotated.push(Annotated { file_name: image.file_name, drawing });
            }
            None => {
                let reason = format!("image {} has no annotation", image.file_name.display());
                problems.push(Problem::Skipped { path: path.to_owned(), reason });
            }
        }
    }
    if let Some(image) = drawings.keys().next() {
        let reason = format!("annotations of image {image}, which images does not list");
        problems.push(Problem::Skipped { path: path.to_owned(), reason });
    }
    Ok((labels, annotated))
}

impl Annotation {
    fn drawn(&self, labels: &[String], names: &BTreeMap<u64, &str>) -> Result<(u8, Shape), String> {
        let class = match (self.iscrowd, names.get(&self.category_id)) {
            (0, Some(label)) => class_of(labels, label)?,
            (0, None) => {
                return Err(format!(
                    "category {}, which categories does not list",
                    self.category_id
                ));
            }
            _ => IGNORED,
        };
        let shape = match &self.segmentation {
            Some(Segmentation::Polygons(polygons)) if !polygons.is_empty() => {
                let corners = |polygon: &Vec<f64>| match polygon.len() {
                    length if length >= 6 && length.is_multiple_of(2) => {
                        Ok(polygon.chunks_exact(2).map(|xy| [xy[0], xy[1]]).collect())
                    }
                    length => Err(format!("a polygon of {length} numbers, expected 6, 8, ...")),
                };
                Shape::Polygons(polygons.iter().map(corners).collect::<Result<_, _>>()?)
            }
            Some(Segmentation::Runs { size, counts: Counts::Lengths(lengths) }) => {
                Shape::Runs { size: *size, lengths: lengths.clone() }
            }
            Some(Segmentation::Runs { size, counts: Counts::Compressed(text) }) => {
                Shape::Runs { size: *size, lengths: run_length::decompressed(text)? }
            }
            Some(Segmentation::Polygons(_)) | None => {
                return Err("no segmentation, expected polygons or run lengths".into());
            }
        };
        Ok((class, shape))
    }
}
