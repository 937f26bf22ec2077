//! Files of a data set folder, classified by extension.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use crate::Error;

/// A file, or a folder of masks.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// Kind of a file, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `.png`, `.jpg`, `.jpeg`.
    Raster,
    /// `.nii`, `.nii.gz`.
    Volume,
    /// `.dcm`.
    Dicom,
    /// `.mha`, `.mhd`, `.nrrd`, `.nhdr`.
    Sequence,
    /// `.json`.
    Annotation,
    /// A folder.
    Folder,
}

/// Files of `folder` by stem; files of other kinds are ignored. If two have the same stem, the
/// first in sorting order is used.
pub(super) fn by_stem(
    folder: &Path,
    problems: &mut Vec<Problem>,
) -> Result<BTreeMap<String, Entry>, Error> {
    by_stem_of(folder, |_| true, problems)
}

/// Files of `folder` by stem, only those of the kinds that `is_used` accepts.
pub(super) fn by_stem_of(
    folder: &Path,
    is_used: impl Fn(Kind) -> bool,
    problems: &mut Vec<Problem>,
) -> Result<BTreeMap<String, Entry>, Error> {
    let failed = |e| Error::io(folder, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut entries = BTreeMap::<String, Entry>::new();
    for path in paths {
        let Some((stem, kind)) = recognize(&path).filter(|(_, kind)| is_used(*kind)) else {
            continue;
        };
        match entries.get(&stem) {
            Some(first) => problems.push(Problem::SameName { path, used: first.path.clone() }),
            None => drop(entries.insert(stem, Entry { path, kind })),
        }
    }
    Ok(entries)
}

/// Masks of frames in `folder`, by frame number.
pub(super) fn by_frame(folder: &Path, problems: &mut Vec<Problem>) -> BTreeMap<usize, PathBuf> {
    let mut frames = BTreeMap::<usize, PathBuf>::new();
    let entries = match by_stem(folder, problems) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(Problem::unreadable(folder, error));
            return frames;
        }
    };
    for (stem, Entry { path, kind }) in entries {
        if kind != Kind::Raster {
            continue;
        }
        // `parse` alone would accept a sign.
        let digits = stem.bytes().all(|byte| byte.is_ascii_digit());
        let Some(frame) = stem.parse().ok().filter(|_| digits) else {
            problems.push(Problem::NotAFrameNumber { mask: path });
            continue;
        };
        match frames.get(&frame) {
            Some(used) => problems.push(Problem::SameName { path, used: used.clone() }),
            None => drop(frames.insert(frame, path)),
        }
    }
    frames
}

fn recognize(path: &Path) -> Option<(String, Kind)> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    if name.starts_with('.') {
        return None;
    }
    if path.is_dir() {
        return Some((name, Kind::Folder));
    }
    let lower = name.to_ascii_lowercase();
    let endings = [
        (".png", Kind::Raster),
        (".jpg", Kind::Raster),
        (".jpeg", Kind::Raster),
        (".nii.gz", Kind::Volume),
        (".nii", Kind::Volume),
        (".dcm", Kind::Dicom),
        (".mha", Kind::Sequence),
        (".mhd", Kind::Sequence),
        (".nrrd", Kind::Sequence),
        (".nhdr", Kind::Sequence),
        (".json", Kind::Annotation),
    ];
    let (ending, kind) = endings.into_iter().find(|(ending, _)| lower.ends_with(ending))?;
    // Extensions are ASCII, so lower case has the same length.
    Some((name[..name.len() - ending.len()].to_owned(), kind))
}
