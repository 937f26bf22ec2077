//! Items of a data set folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::Cache;
use super::files::{Entry, Kind, by_frame, by_stem};
use super::item::{Item, Source};
use super::problem::Problem;
use super::records::{self, RecordsReport};
use super::values::{MaskRule, ValueCounts, ValueMap};
use super::volume;
use crate::Error;

/// Images with masks, sorted by stem and, within a volume or recording, by number.
#[derive(Clone, Debug)]
pub struct Dataset {
    items: Vec<Item>,
    records: Option<RecordsReport>,
}

impl Dataset {
    /// Opens `path`, a folder with `images/` and `masks/`, or one of records. Also returns the
    /// problems that can be found before pixels are decoded.
    ///
    /// # Errors
    /// `images/` or `masks/` cannot be listed, and there are no records.
    pub fn open(path: &Path) -> Result<(Self, Vec<Problem>), Error> {
        let mut problems = Vec::new();
        let names = records::names(path);
        let (mut items, records) = if names.is_empty() || path.join("images").exists() {
            (pairs(path, &mut problems)?, None)
        } else {
            let (items, report) = records::open(path, &names, &mut problems);
            (items, Some(report))
        };
        // For example `a#0001.png` next to the slices of `a.nii`.
        let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
        items.retain(|item: &Item| match names.get(&item.name) {
            None => names.insert(item.name.clone(), item.image.clone()).is_none(),
            Some(used) => {
                let (path, used) = (item.image.clone(), used.clone());
                problems.push(Problem::SameName { path, used });
                false
            }
        });
        Ok((Self { items, records }, problems))
    }

    /// The items.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Facts about the records; `None` for `images/` and `masks/`.
    pub fn records(&self) -> Option<&RecordsReport> {
        self.records.as_ref()
    }

    /// Labels of the items, in the order of the classes 1, 2, ...; empty for `images/` and
    /// `masks/`, whose classes have no names.
    pub fn labels(&self) -> Vec<String> {
        self.records.iter().flat_map(RecordsReport::labels).map(str::to_owned).collect()
    }

    /// `depth` consecutive slices or frames of one volume or recording, starting with item `start`;
    /// `None` if there are not that many.
    pub fn run(&self, start: usize, depth: usize) -> Option<&[Item]> {
        let items = self.items.get(start..start.checked_add(depth)?)?;
        let (stem, first) = items.first()?.sequence.as_ref()?;
        let follows = |(step, item): (usize, &Item)| {
            item.sequence.as_ref().is_some_and(|(s, n)| s == stem && *n == first + step)
        };
        items.iter().enumerate().all(follows).then_some(items)
    }

    /// Reads all masks and counts their values. Masks that cannot be read are left out;
    /// [`Dataset::check`] reports them.
    pub fn count_values(&self) -> ValueCounts {
        let mut masks: BTreeMap<&Path, &Item> = BTreeMap::new();
        self.items.iter().for_each(|item| drop(masks.entry(&item.mask).or_insert(item)));
        // A volume may take a gigabyte, so that only one is in memory.
        let (volumes, others): (Vec<&Item>, Vec<&Item>) =
            masks.into_values().partition(|item| matches!(item.source, Source::Slice(..)));
        let count = |item: &Item| Some((item.mask.clone(), item.count_values().ok()?));
        let of_others: Vec<_> = others.into_par_iter().filter_map(count).collect();
        of_others.into_iter().chain(volumes.into_iter().filter_map(count)).collect()
    }

    /// Classes of the values by `rule`, with classes of the given names.
    ///
    /// # Errors
    /// [`Problem::AmbiguousValues`] or [`Problem::UnknownName`].
    pub fn value_map(&self, rule: &MaskRule, names: &[String]) -> Result<ValueMap, Problem> {
        rule.resolve(&self.count_values(), names, |value| usize::from(value) <= names.len())
    }

    /// Reads every item with `values` and passes problems to `report`; the remaining items are still
    /// read. A slice without a label is valid, but a volume without any is a problem. With
    /// `classes`, other classes are reported once for each file.
    pub fn check(
        &self,
        values: &ValueMap,
        classes: Option<&[u8]>,
        mut report: impl FnMut(Problem),
    ) {
        let mut broken: BTreeSet<&Path> = BTreeSet::new();
        let mut found: BTreeMap<PathBuf, BTreeSet<u8>> = BTreeMap::new();
        for item in &self.items {
            // Every item of a broken volume or recording would have the same problem.
            if broken.contains(item.image.as_path()) {
                continue;
            }
            match item.read(values) {
                Ok(sample) => {
                    found.entry(item.mask.clone()).or_default().extend(sample.class_indices());
                }
                Err(problem) => {
                    let about_image =
                        matches!(&problem, Problem::Unreadable { path, .. } if *path == item.image);
                    if about_image || item.shares_mask() {
                        broken.insert(&item.image);
                    }
                    report(problem);
                }
            }
        }
        for (mask, found) in found {
            if found.is_empty() {
                report(Problem::EmptyMask { mask: mask.clone() });
            }
            let Some(expected) = classes else { continue };
            for class in found.into_iter().filter(|class| !expected.contains(class)) {
                let (mask, expected) = (mask.clone(), expected.to_vec());
                report(Problem::UnlistedClass { mask, class, expected });
            }
        }
    }
}

/// Items of `images/` and `masks/` in `path`.
fn pairs(path: &Path, problems: &mut Vec<Problem>) -> Result<Vec<Item>, Error> {
    let (images, masks) = (path.join("images"), path.join("masks"));
    let entries = by_stem(&images, problems)?;
    let mut mask_entries = by_stem(&masks, problems)?;
    let cache = Arc::new(Cache::default());
    let mut items = Vec::new();
    for (stem, image) in entries {
        match mask_entries.remove(&stem) {
            Some(mask) => match pair(&stem, image, mask, &cache, problems) {
                Ok(found) => items.extend(found),
                Err(problem) => problems.push(problem),
            },
            None => {
                let masks = masks.clone();
                problems.push(Problem::MissingMask { image: image.path, masks });
            }
        }
    }
    problems.extend(
        mask_entries
            .into_values()
            .map(|mask| Problem::MissingImage { mask: mask.path, images: images.clone() }),
    );
    Ok(items)
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
        (Kind::Dicom, Kind::Raster) => Ok(vec![single(Source::OnlyFrame(Arc::clone(cache)))]),
        (Kind::Dicom, Kind::Folder) => Ok(by_frame(&mask.path, problems)
            .into_iter()
            .map(|(frame, mask)| numbered(frame, mask, Source::Frame(frame, Arc::clone(cache))))
            .collect()),
        (Kind::Volume, Kind::Volume) => {
            let shape = volume::shape(&image.path, &mask.path)?;
            let slice =
                |index| numbered(index, mask.path.clone(), Source::Slice(index, Arc::clone(cache)));
            Ok((0..shape.0[2]).map(slice).collect())
        }
        (kind, _) => {
            let expected = match kind {
                Kind::Raster => "a .png or .jpg file, or a folder of them",
                Kind::Volume => "a .nii or .nii.gz file",
                Kind::Dicom => "a folder with a mask for each frame, or a .png file",
                Kind::Folder => "a .dcm file with a folder of masks instead of a folder of images",
            };
            Err(Problem::WrongKind { mask: mask.path, image: image.path, expected })
        }
    }
}
