//! Clip: a file or folder as a sequence of frames.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::dicom::DicomClip;
use crate::image_files::ImageFiles;
use crate::{Frame, FramesError, MAX_FRAMES};

/// One or more frames, each decoded on request.
#[derive(Debug)]
pub struct Clip {
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Dicom(Box<DicomClip>),
    ImageFiles(ImageFiles),
}

impl Clip {
    /// Opens a DICOM file, a PNG or JPEG file, or a folder of PNG and JPEG files.
    ///
    /// The kind of a file is detected from its first bytes, not from its name. In a folder, files
    /// with other extensions are ignored, and numbers in names are sorted by value.
    ///
    /// # Errors
    /// The path cannot be read, is of an unknown kind, exceeds the limits of this crate, or is
    /// damaged in a part that is read before decoding.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FramesError> {
        let path = path.as_ref().to_owned();
        let metadata = fs::metadata(&path).map_err(FramesError::read(&path))?;
        let source = if metadata.is_dir() {
            Source::ImageFiles(ImageFiles::in_folder(&path)?)
        } else {
            open_file(&path)?
        };
        let clip = Self { path, source };
        if (1..=MAX_FRAMES).contains(&clip.len()) {
            Ok(clip)
        } else {
            let found = clip.len() as u64;
            Err(FramesError::FrameCount { path: clip.path, found })
        }
    }

    /// Number of frames, at least 1.
    // No `is_empty`, because a clip is never empty.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Dicom(dicom) => dicom.len(),
            Source::ImageFiles(files) => files.len(),
        }
    }

    /// True for a DICOM file, false for images.
    pub fn is_dicom(&self) -> bool {
        matches!(self.source, Source::Dicom(_))
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
            Source::ImageFiles(files) => files.frame(index),
        }
    }

    /// Time between frames in ms; `None` if the file does not state it.
    pub fn frame_interval_ms(&self) -> Option<f64> {
        match &self.source {
            Source::Dicom(dicom) => dicom.frame_interval_ms(),
            Source::ImageFiles(_) => None,
        }
    }

    /// Name of frame `index` for display and for file names: the image's file name, or the name of
    /// the DICOM file, with the number of the frame (`cine.dcm-07`) if it has several. `None` if
    /// there is no such frame.
    pub fn frame_name(&self, index: usize) -> Option<String> {
        match &self.source {
            Source::ImageFiles(files) => files.name(index),
            Source::Dicom(dicom) if index < dicom.len() => {
                let file = self.path.file_name().unwrap_or_default().to_string_lossy();
                let digits = (dicom.len() - 1).to_string().len();
                Some(match dicom.len() {
                    1 => file.into_owned(),
                    _ => format!("{file}-{index:0digits$}"),
                })
            }
            Source::Dicom(_) => None,
        }
    }
}

fn open_file(path: &Path) -> Result<Source, FramesError> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(132).read_to_end(&mut start))
        .map_err(FramesError::read(path))?;
    if start.get(128..132) == Some(b"DICM") {
        Ok(Source::Dicom(Box::new(DicomClip::open(path)?)))
    } else if start.starts_with(b"\x89PNG") || start.starts_with(b"\xff\xd8\xff") {
        Ok(Source::ImageFiles(ImageFiles::one(path)?))
    } else {
        start.truncate(8);
        Err(FramesError::Unrecognized { path: path.to_owned(), found: start })
    }
}
