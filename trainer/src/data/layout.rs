//! Forms of data set folders.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::cache::Cache;
use super::drawn::{self, Drawing};
use super::files::{Entry, Kind, by_frame, by_stem, by_stem_of};
use super::item::{Item, Source};
use super::problem::Problem;
use super::records::{self, RecordsReport};
use super::volume;
use crate::Error;

/// Content of a data set folder.
#[derive(Default)]
pub(super) struct Content {
    pub(super) items: Vec<Item>,
    /// Labels of records and annotations, in the order of their classes.
    pub(super) labels: Vec<String>,
    /// Facts about records, if there are any.
    pub(super) records: Option<RecordsReport>,
}

/// Opens a folder: `images/` and `masks/`; else a COCO file, VOC's folders, or records; else images
/// with LabelMe files beside them.
///
/// # Errors
/// A folder cannot be listed, or the COCO file cannot be read.
pub(super) fn open(path: &Path, problems: &mut Vec<Problem>) -> Result<Content, Error> {
    let [images, masks, voc_images, voc_masks] =
        ["images", "masks", "JPEGImages", "SegmentationClass"].map(|name| path.join(name));
    if masks.exists() {
        return pairs(&images, &masks, Unmasked::Reported, problems);
    }
    if let Some(file) = coco_file(path) {
        return coco(path, &file, problems);
    }
    if voc_masks.exists() {
        // Most images of VOC have only boxes.
        return pairs(&voc_images, &voc_masks, Unmasked::PassedOver, problems);
    }
    let names = records::names(path);
    if !names.is_empty() && !images.exists() {
        let (items, report) = records::open(path, &names, problems);
        let labels = report.labels().map(str::to_owned).collect();
        return Ok(Content { items, labels, records: Some(report) });
    }
    let folder = if images.exists() { images.as_path() } else { path };
    let annotations = by_stem_of(folder, |kind| kind == Kind::Annotation, &mut Vec::new());
    if annotations.is_ok_and(|annotations| !annotations.is_empty()) {
        return pairs(folder, folder, Unmasked::Reported, problems);
    }
    pairs(&images, &masks, Unmasked::Reported, problems)
}

/// Images without a mask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unmasked {
    Reported,
    PassedOver,
}

/// Items of an image folder and a mask folder. If both are the same folder, the masks are LabelMe
/// files.
fn pairs(
    images: &Path,
    masks: &Path,
    unmasked: Unmasked,
    problems: &mut Vec<Problem>,
) -> Result<Content, Error> {
    let entries = by_stem_of(images, |kind| kind != Kind::Annotation, problems)?;
    let mut mask_entries = match images == masks {
        true => by_stem_of(masks, |kind| kind == Kind::Annotation, problems)?,
        false => by_stem(masks, problems)?,
    };
    let cache = Arc::new(Cache::default());
    let mut items = Vec::new();
    let mut drawn = Vec::new();
    for (stem, image) in entries {
        let Some(mask) = mask_entries.remove(&stem) else {
            let masks = masks.to_owned();
            if unmasked == Unmasked::Reported {
                problems.push(Problem::MissingMask { image: image.path, masks });
            }
            continue;
        };
        if (image.kind, mask.kind) == (Kind::Raster, Kind::Annotation) {
            drawn.push((stem, image.path, mask.path));
            continue;
        }
        match pair(&stem, image, mask, &cache, problems) {
            Ok(found) => items.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(
        mask_entries
            .into_values()
            .map(|mask| Problem::MissingImage { mask: mask.path, images: images.to_owned() }),
    );
    let labels = labelme(drawn, &mut items, problems);
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Content { items, labels, records: None })
}

/// Adds the items of LabelMe files, given as stem, image and file; returns their labels.
fn labelme(
    drawn: Vec<(String, PathBuf, PathBuf)>,
    items: &mut Vec<Item>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let paths: Vec<&Path> = drawn.iter().map(|(_, _, mask)| mask.as_path()).collect();
    let (labels, drawings) = drawn::open_labelme(&paths);
    for ((name, image, mask), drawing) in drawn.into_iter().zip(drawings) {
        match drawing {
            Ok(drawing) => items.push(drawn_item(name, image, mask, drawing)),
            Err(problem) => problems.push(problem),
        }
    }
    labels
}

fn drawn_item(name: String, image: PathBuf, mask: PathBuf, drawing: Drawing) -> Item {
    let source = Source::Drawn(Arc::new(drawing));
    Item { name, image, mask, sequence: None, label: None, source }
}

/// The COCO file of a data set: the only JSON file of `annotations/`, or one of the usual names.
fn coco_file(path: &Path) -> Option<PathBuf> {
    let names = ["annotations.json", "_annotations.coco.json"];
    let beside = names.iter().map(|name| path.join(name)).find(|file| file.is_file());
    beside.or_else(|| {
        let entries = fs::read_dir(path.join("annotations")).ok()?.flatten();
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        // Of several, such as instances and captions, the one with masks.
        let of_instances = |file: &PathBuf| file.to_string_lossy().contains("instances");
        let at = files.iter().position(of_instances).unwrap_or(0);
        (at < files.len()).then(|| files.swap_remove(at))
    })
}

/// Items of a COCO file; its images are in `images/`, or beside it.
fn coco(path: &Path, file: &Path, problems: &mut Vec<Problem>) -> Result<Content, Error> {
    let (labels, annotated) =
        drawn::open_coco(file, problems).map_err(|problem| Error::format(file, problem))?;
    let mut items = Vec::new();
    for drawn::Annotated { file_name, drawing } in annotated {
        let skipped = |reason: String| Problem::Skipped { path: file.to_owned(), reason };
        if !file_name.components().all(|part| matches!(part, Component::Normal(_))) {
            let reason = format!("image {file_name:?}, expected a path below the data set");
            problems.push(skipped(reason));
            continue;
        }
        let folders = [path.join("images"), path.to_owned()];
        let image = folders.iter().map(|folder| folder.join(&file_name)).find(|i| i.is_file());
        let Some(image) = image else {
            let reason = format!("image {} is missing in {}", file_name.display(), path.display());
            problems.push(skipped(reason));
            continue;
        };
        let name = file_name.with_extension("").to_string_lossy().replace('/', "-");
        items.push(drawn_item(name, image, file.to_owned(), drawing));
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Content { items, labels, records: None })
}

/// Items of an image and a mask with the same stem.
fn pair(
    stem: &str,
    image: Entry,
    mask: Entry,
    cache: &Arc<Cache>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Item>, Problem> {
    let single = |source| Item {
        name: stem.to_owned(),
        image: image.path.clone(),
        mask: mask.path.clone(),
        sequence: None,
        label: None,
        source,
    };
    let numbered = |number: usize, mask: PathBuf, source| Item {
        name: format!("{stem}#{number:04}"),
        image: image.path.clone(),
        mask,
        sequence: Some((stem.to_owned(), number)),
        label: None,
        source,
    };
    match (image.kind, mask.kind) {
        (Kind::Raster, Kind::Raster) => Ok(vec![single(Source::Pair)]),
        (Kind::Raster, Kind::Folder) => Ok(by_frame(&mask.path, problems)
            .into_iter()
            .map(|(number, mask)| Item {
                // All masks belong to the same image, so they are not a sequence.
                sequence: None,
                ..numbered(number, mask, Source::Pair)
            })
            .collect()),
        (Kind::Dicom | Kind::Sequence, Kind::Raster) => {
            Ok(vec![single(Source::OnlyFrame(Arc::clone(cache)))])
        }
        (Kind::Dicom | Kind::Sequence, Kind::Folder) => Ok(by_frame(&mask.path, problems)
            .into_iter()
            .map(|(frame, mask)| numbered(frame, mask, Source::Frame(frame, Arc::clone(cache))))
            .collect()),
        (Kind::Sequence, Kind::Sequence) => {
            let labelled = |frame| {
                numbered(frame, mask.path.clone(), Source::LabelledFrame(frame, Arc::clone(cache)))
            };
            let frames = cache.sequence(&mask.path)?.len();
            Ok((0..frames).map(labelled).collect())
        }
        (Kind::Volume, Kind::Volume) => {
            let shape = volume::shape(&image.path, &mask.path)?;
            let slice =
                |index| numbered(index, mask.path.clone(), Source::Slice(index, Arc::clone(cache)));
            Ok((0..shape.0[2]).map(slice).collect())
        }
        (kind, _) => {
            let expected = match kind {
                Kind::Raster => "a .png, .jpg or LabelMe .json file, or a folder of images",
                Kind::Volume => "a .nii or .nii.gz file",
                Kind::Dicom => "a folder with a mask for each frame, or a .png file",
                Kind::Sequence => {
                    "a sequence file of masks, or a folder with a mask for each frame, or a .png file"
                }
                Kind::Annotation => "an image instead of a .json file",
                Kind::Folder => "a .dcm file with a folder of masks instead of a folder of images",
            };
            Err(Problem::WrongKind { mask: mask.path, image: image.path, expected })
        }
    }
}
