//! Records of a device as a data set: a folder of captures, as `medsa-edge` stores them.
//!
//! Each object with a mask is an item, because objects of one frame may overlap. Its class is the
//! label of the object. The recorded prompts are counted but not used: training draws prompts from
//! masks after augmentation.

mod description;
mod mask;
mod report;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use self::description::{Description, Object};
pub(super) use self::mask::RecordedMask;
pub use self::report::RecordsReport;
use super::item::{Item, Source};
use super::problem::Problem;

/// File of the frame.
const FRAME: &str = "frame.dcm";

/// File of the masks.
const SEGMENTATION: &str = "segmentation.dcm";

/// Name of a record: a serial number and the time of capture in UTC.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{8,20}-[0-9]{8}T[0-9]{6}\.[0-9]{6}Z$").expect("the pattern is fixed")
});

/// Names of the records in `folder`, in the order of capture; none if it cannot be listed.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| NAME.is_match(name)).collect();
    names.sort();
    names
}

/// Opens the records `names` in `folder`: items, and facts about all records. Adds what is not used
/// to `problems`.
pub(super) fn open(
    folder: &Path,
    names: &[String],
    problems: &mut Vec<Problem>,
) -> (Vec<Item>, RecordsReport) {
    let (mut items, mut report) = (Vec::new(), RecordsReport::default());
    for name in names {
        let record = folder.join(name);
        let skipped = |reason| Problem::Skipped { path: record.clone(), reason };
        let description = match Description::read(&record, name) {
            Ok(description) => description,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        report.add(name, &description);
        if description.objects.is_empty() {
            problems.push(skipped("no object was captured".into()));
        }
        for object in &description.objects {
            match item(&record, name, &description, object, &mut report) {
                Ok(item) => items.push(item),
                Err(reason) => {
                    problems.push(skipped(format!("object {}: {reason}", object.object)));
                }
            }
        }
    }
    (items, report)
}

/// The item of an object, or why its mask is not used.
fn item(
    record: &Path,
    name: &str,
    description: &Description,
    object: &Object,
    report: &mut RecordsReport,
) -> Result<Item, String> {
    let segment = object.segment()?;
    let [image, mask] = [FRAME, SEGMENTATION].map(|file| record.join(file));
    let frame = description.file(FRAME, &image)?;
    let segmentation = description.file(SEGMENTATION, &mask)?;
    let class = report.class(&object.label)?;
    Ok(Item {
        name: format!("{name}#{:04}", object.object),
        image,
        mask,
        sequence: None,
        label: Some(object.label.clone()),
        source: Source::Record(RecordedMask { class, segment, frame, segmentation }),
    })
}
