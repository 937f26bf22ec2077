//! LabelMe: a JSON file with shapes for each image.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;

use super::{Drawing, Shape, class_of};
use crate::data::problem::Problem;
use crate::data::values::IGNORED;

/// Label of areas to ignore, and of background, in LabelMe's examples.
const IGNORE: &str = "__ignore__";
const BACKGROUND: &str = "_background_";

#[derive(Deserialize)]
struct File {
    shapes: Vec<Annotation>,
    #[serde(rename = "imageHeight")]
    height: Option<usize>,
    #[serde(rename = "imageWidth")]
    width: Option<usize>,
}

#[derive(Deserialize)]
struct Annotation {
    label: String,
    points: Vec<[f64; 2]>,
    /// Older versions draw only polygons.
    #[serde(default = "polygon")]
    shape_type: String,
}

fn polygon() -> String {
    "polygon".into()
}

/// Reads LabelMe files. Returns the labels of all, sorted, in the order of the classes 1, 2, ...; and
/// the drawing of each file, or its problem.
pub(in crate::data) fn open(paths: &[&Path]) -> (Vec<String>, Vec<Result<Drawing, Problem>>) {
    let files: Vec<Result<File, Problem>> =
        paths.par_iter().map(|path| super::read(path)).collect();
    let annotations = files.iter().flatten().flat_map(|file| &file.shapes);
    let labels: BTreeSet<&str> = annotations.map(|shape| shape.label.as_str()).collect();
    let labels: Vec<String> = labels
        .into_iter()
        .filter(|label| ![IGNORE, BACKGROUND].contains(label))
        .map(str::to_owned)
        .collect();
    let drawing = |(path, file): (&&Path, Result<File, Problem>)| {
        let file = file?;
        let shape = |shape: &Annotation| {
            shape.drawn(&labels).map_err(|reason| Problem::unreadable(path, reason))
        };
        let size = file.width.zip(file.height).map(|(width, height)| [width, height]);
        let shapes = file.shapes.iter().map(shape).collect::<Result<_, _>>()?;
        Ok(Drawing { size, shapes })
    };
    let drawings = paths.iter().zip(files).map(drawing).collect();
    (labels, drawings)
}

impl Annotation {
    fn drawn(&self, labels: &[String]) -> Result<(u8, Shape), String> {
        let class = match self.label.as_str() {
            IGNORE => IGNORED,
            BACKGROUND => 0,
            label => class_of(labels, label)?,
        };
        let Self { label, points, shape_type } = self;
        let shape = match (shape_type.as_str(), &points[..]) {
            ("polygon", [_, _, _, ..]) => Shape::Polygons(vec![points.clone()]),
            ("rectangle", &[[x0, y0], [x1, y1]]) => {
                Shape::Polygons(vec![vec![[x0, y0], [x1, y0], [x1, y1], [x0, y1]]])
            }
            ("circle", &[[x, y], [x1, y1]]) => {
                Shape::Circle { centre: [x, y], radius: (x1 - x).hypot(y1 - y) }
            }
            _ => {
                return Err(format!(
                    "the shape of {label:?} is a {shape_type} with {} points, expected a polygon \
                     with 3 or more, a rectangle with 2 or a circle with 2",
                    points.len()
                ));
            }
        };
        Ok((class, shape))
    }
}
