//! DICOM files of a folder as one clip.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::dicom::{DicomClip, DicomProblem};
use crate::image_files::{compare_naturally, file_name};
use crate::{Frame, FramesError};

/// DICOM files, each with one or more frames. One of them at a time is held in memory.
#[derive(Debug)]
pub(crate) struct DicomFiles {
    /// Files, and the number of the first frame of each.
    files: Vec<(PathBuf, usize)>,
    len: usize,
    frame_interval_ms: Option<f64>,
    open: Mutex<Option<(usize, Arc<DicomClip>)>>,
    pub(crate) warnings: Vec<String>,
}

impl DicomFiles {
    /// Sorts the files by series, then by InstanceNumber, then by name. Files without an image, such
    /// as reports, are passed over; `None` if no file has one.
    pub(crate) fn open(paths: Vec<PathBuf>) -> Result<Option<Self>, FramesError> {
        let mut found = Vec::new();
        let (mut warnings, mut seen) = (Vec::new(), BTreeSet::new());
        for path in paths {
            let name = file_name(&path);
            match DicomClip::open(&path) {
                Ok(clip) => {
                    for warning in &clip.warnings {
                        // The first file with it stands for all.
                        if seen.insert(warning.clone()) {
                            warnings.push(format!("{name}: {warning}"));
                        }
                    }
                    let interval = clip.frame_interval_ms();
                    found.push((clip.order.clone(), name, path, clip.len(), interval));
                }
                Err(FramesError::Dicom { source: DicomProblem::Missing { attribute }, .. })
                    if ["Rows", "Columns", "BitsStored", "PixelData"].contains(&attribute) =>
                {
                    warnings.push(format!("{name}: passed over, because it has no image"));
                }
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| compare_naturally(&a.1, &b.1)));
        let Some(frame_interval_ms) = found.first().map(|first| first.4) else { return Ok(None) };
        let mut files = Vec::with_capacity(found.len());
        let mut len = 0;
        for (_, _, path, frames, _) in found {
            files.push((path, len));
            len += frames;
        }
        let open = Mutex::new(None);
        Ok(Some(Self { files, len, frame_interval_ms, open, warnings }))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn frame_interval_ms(&self) -> Option<f64> {
        self.frame_interval_ms
    }

    /// Decodes frame `index`, which must be below `len`.
    pub(crate) fn frame(&self, index: usize) -> Result<Frame, FramesError> {
        let (file, within) = self.file_of(index);
        let path = &self.files[file].0;
        let clip = self.clip(file)?;
        if within >= clip.len() {
            let (path, len) = (path.clone(), clip.len());
            return Err(FramesError::FrameRange { path, index: within, len });
        }
        clip.frame(within).map_err(|source| FramesError::Dicom { path: path.clone(), source })
    }

    /// Name of the file of frame `index`, with the number of the frame if it has several.
    pub(crate) fn name(&self, index: usize) -> Option<String> {
        if index >= self.len {
            return None;
        }
        let (file, within) = self.file_of(index);
        let end = self.files.get(file + 1).map_or(self.len, |next| next.1);
        let frames = end - self.files[file].1;
        Some(numbered(&file_name(&self.files[file].0), within, frames))
    }

    /// File of a frame, and the number of the frame in it.
    fn file_of(&self, index: usize) -> (usize, usize) {
        let file = self.files.partition_point(|(_, first)| *first <= index) - 1;
        (file, index - self.files[file].1)
    }

    fn clip(&self, file: usize) -> Result<Arc<DicomClip>, FramesError> {
        // A panic elsewhere leaves a whole clip or none.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some((number, clip)) if *number == file => Ok(clip.clone()),
            _ => {
                // Free the memory of the last file first.
                *open = None;
                let clip = Arc::new(DicomClip::open(&self.files[file].0)?);
                *open = Some((file, clip.clone()));
                Ok(clip)
            }
        }
    }
}

/// Name of a frame: that of the file, with the number of the frame if there are several.
pub(crate) fn numbered(file: &str, index: usize, frames: usize) -> String {
    let digits = frames.saturating_sub(1).to_string().len();
    if frames == 1 { file.to_owned() } else { format!("{file}-{index:0digits$}") }
}
