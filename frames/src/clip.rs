//! Clip: a file or folder as a sequence of frames.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::dicom::{DicomClip, is_dicom};
use crate::dicom_files::{DicomFiles, numbered};
use crate::image_files::ImageFiles;
use crate::sequence::is_sequence;
use crate::{Frame, FramesError, MAX_FRAMES, Sequence};

/// One or more frames, each decoded on request.
#[derive(Debug)]
pub struct Clip {
    path: PathBuf,
    source: Source,
    warnings: Vec<String>,
}

#[derive(Debug)]
enum Source {
    Dicom(Box<DicomClip>),
    DicomFiles(Box<DicomFiles>),
    ImageFiles(ImageFiles),
    Sequence(Sequence),
}

impl Clip {
    /// Opens a DICOM, MetaImage, NRRD, PNG or JPEG file, or a folder of PNG and JPEG files or of DICOM
    /// files.
    ///
    /// The kind of a file is detected from its first bytes, not from its name. Images in a folder
    /// have the extension png, jpg or jpeg and are sorted by name, numbers by value. In a folder
    /// without images, DICOM files are sorted by series and InstanceNumber. Hidden files (`._*`,
    /// `.DS_Store`), `Thumbs.db` and all other files are passed over.
    ///
    /// Faults that were tolerated are logged, and kept as [`Self::warnings`].
    ///
    /// # Errors
    /// The path cannot be read, is of an unknown kind, exceeds the limits of this crate, or is
    /// damaged in a part that is read before decoding.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FramesError> {
        let path = path.as_ref().to_owned();
        let metadata = fs::metadata(&path).map_err(FramesError::read(&path))?;
        let (source, warnings) =
            if metadata.is_dir() { open_folder(&path)? } else { open_file(&path)? };
        let clip = Self { path, source, warnings };
        if !(1..=MAX_FRAMES).contains(&clip.len()) {
            let found = clip.len() as u64;
            return Err(FramesError::FrameCount { path: clip.path, found });
        }
        for warning in &clip.warnings {
            tracing::warn!("{}: {warning}", clip.path.display());
        }
        Ok(clip)
    }

    /// Faults of the files that were tolerated, and assumptions about the grey values.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Number of frames, at least 1.
    // No `is_empty`, because a clip is never empty.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Dicom(dicom) => dicom.len(),
            Source::DicomFiles(files) => files.len(),
            Source::ImageFiles(files) => files.len(),
            Source::Sequence(sequence) => sequence.len(),
        }
    }

    /// True for DICOM files, false for images.
    pub fn is_dicom(&self) -> bool {
        matches!(self.source, Source::Dicom(_) | Source::DicomFiles(_))
    }

    /// Decodes frame `index`, counted from 0.
    ///
    /// # Errors
    /// There is no such frame, or its data is damaged.
    pub fn frame(&self, index: usize) -> Result<Frame, FramesError> {
        if index >= self.len() {
            let (path, len) = (self.path.clone(), self.len());
            return Err(FramesError::FrameRange { path, index, len });
        }
        match &self.source {
            Source::Dicom(dicom) => dicom
                .frame(index)
                .map_err(|source| FramesError::Dicom { path: self.path.clone(), source }),
            Source::DicomFiles(files) => files.frame(index),
            Source::ImageFiles(files) => files.frame(index),
            Source::Sequence(sequence) => Ok(sequence.frame(index)),
        }
    }

    /// Time between frames in ms; `None` if the file does not state it.
    pub fn frame_interval_ms(&self) -> Option<f64> {
        match &self.source {
            Source::Dicom(dicom) => dicom.frame_interval_ms(),
            Source::DicomFiles(files) => files.frame_interval_ms(),
            Source::ImageFiles(_) | Source::Sequence(_) => None,
        }
    }

    /// Name of frame `index` for display and for file names: the image's file name, or the name of
    /// the file, with the number of the frame (`cine.dcm-07`) if it has several. `None` if
    /// there is no such frame.
    pub fn frame_name(&self, index: usize) -> Option<String> {
        match &self.source {
            Source::ImageFiles(files) => files.name(index),
            Source::DicomFiles(files) => files.name(index),
            Source::Dicom(_) | Source::Sequence(_) if index < self.len() => {
                let file = self.path.file_name().unwrap_or_default().to_string_lossy();
                Some(numbered(&file, index, self.len()))
            }
            Source::Dicom(_) | Source::Sequence(_) => None,
        }
    }
}

/// Bytes at the start of a file that tell its kind.
const START_BYTES: u64 = 132;

fn open_file(path: &Path) -> Result<(Source, Vec<String>), FramesError> {
    let mut start = start_of(path)?;
    if start.starts_with(b"\x89PNG") || start.starts_with(b"\xff\xd8\xff") {
        Ok((Source::ImageFiles(ImageFiles::one(path)?), Vec::new()))
    } else if is_sequence(&start) {
        let sequence = Sequence::open(path)?;
        let warnings = sequence.warnings();
        Ok((Source::Sequence(sequence), warnings))
    } else if is_dicom(&start) {
        let mut clip = DicomClip::open(path)?;
        let warnings = std::mem::take(&mut clip.warnings);
        Ok((Source::Dicom(Box::new(clip)), warnings))
    } else {
        start.truncate(8);
        Err(FramesError::Unrecognized { path: path.to_owned(), found: start })
    }
}

fn open_folder(folder: &Path) -> Result<(Source, Vec<String>), FramesError> {
    let (mut images, mut dicoms) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(FramesError::read(folder))? {
        let path = entry.map_err(FramesError::read(folder))?.path();
        if is_system_file(&path) || !path.is_file() {
        } else if has_extension(&path, &["png", "jpg", "jpeg"]) {
            images.push(path);
        } else if has_extension(&path, &["dcm", "dic", "dicom", "ima"])
            || start_of(&path)?.get(128..) == Some(b"DICM")
        {
            dicoms.push(path);
        }
    }
    if !images.is_empty() {
        let mut warnings = Vec::new();
        if !dicoms.is_empty() {
            let count = dicoms.len();
            warnings.push(format!("{count} DICOM files are passed over, because there are images"));
        }
        return Ok((Source::ImageFiles(ImageFiles::several(images)?), warnings));
    }
    let Some(mut files) = DicomFiles::open(dicoms)? else {
        return Err(FramesError::EmptyFolder { path: folder.to_owned() });
    };
    let warnings = std::mem::take(&mut files.warnings);
    Ok((Source::DicomFiles(Box::new(files)), warnings))
}

fn start_of(path: &Path) -> Result<Vec<u8>, FramesError> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(START_BYTES).read_to_end(&mut start))
        .map_err(FramesError::read(path))?;
    Ok(start)
}

/// True for files that systems add to folders: hidden ones, thumbnails, and indexes of media.
fn is_system_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let others = ["Thumbs.db", "desktop.ini", "DICOMDIR"];
    name.starts_with('.') || others.iter().any(|other| name.eq_ignore_ascii_case(other))
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|found| extensions.iter().any(|one| found.eq_ignore_ascii_case(one)))
}
