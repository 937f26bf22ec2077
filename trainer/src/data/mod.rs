//! Data sets: images, volumes and cine loops with masks, checked, and split so that near-identical
//! frames stay in one part.
//!
//! A data set is a folder with `images/` and `masks/`. Files that belong together have the same
//! stem:
//!
//! | image | mask | items |
//! |---|---|---|
//! | `a.png`, `.jpg`, `.jpeg` | `a.png` (or JPEG) | `a` |
//! | `e.png`, `.jpg`, `.jpeg` | `e/0.png`, `e/1.png`, ...: several masks of one image, whose structures may overlap | `e#0000`, `e#0001`, ... |
//! | `b.nii`, `b.nii.gz` | `b.nii`, `b.nii.gz` in the same place of the patient | `b#0000`, `b#0001`, ... each slice along the last axis |
//! | `c.dcm`, several frames | `c/0.png`, `c/17.png`, ... by frame number from 0, padded or not | `c#0000`, `c#0017`, ... the frames that have a mask |
//! | `d.dcm`, one frame | `d.png` | `d` |
//!
//! Masks hold class numbers, with 0 for background and 255 for pixels to ignore, or 0 and 255 for a
//! single class; [`MaskRule`] is the whole rule, and its exceptions. Indices of a palette are values,
//! too.
//!
//! Masks may also be annotations: LabelMe files (`masks/a.json`, or `a.json` beside `a.png`), or one
//! COCO file for all images (`annotations.json`, `annotations/*.json`, `_annotations.coco.json`).
//! Their labels are classes. Of a folder in the form of VOC, `JPEGImages/` and `SegmentationClass/`
//! are read.
//!
//! A data set may also be a folder of records of a device, such as
//! `00000042-20261123T064433.123456Z`. Each object with a mask is an item, such as
//! `00000042-20261123T064433.123456Z#0002`; its label is its class.
//!
//! **Architecture invariant:** files are hostile. Sizes are checked against limits before memory of
//! that size is allocated, and a damaged file is a [`Problem`], never a panic.

mod cache;
mod dataset;
mod drawn;
mod files;
mod grid;
mod item;
mod layout;
mod mask_file;
mod problem;
mod raster;
mod records;
mod similarity;
mod split;
mod training_image;
mod values;
mod volume;

pub use dataset::Dataset;
pub use item::Item;
pub use problem::Problem;
pub use records::RecordsReport;
pub use split::{Folds, Part, Split, SplitError, SplitPlan, SplitReport};
pub use training_image::{Targets, TrainingImage};
pub use values::{
    IGNORED, IgnoredValue, MAX_CLASS, MaskRule, Meaning, ValueCounts, ValueMap, ValueTable,
};
