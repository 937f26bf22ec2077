//! One image of a data set, in any storage format.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;

use super::cache::Cache;
use super::drawn::Drawing;
use super::problem::Problem;
use super::records::RecordedMask;
use super::training_image::TrainingImage;
use super::values::{ValueMap, count};
use super::{mask_file, raster, volume};

/// An image and its mask.
#[derive(Clone, Debug)]
pub struct Item {
    /// Name, unique in the data set: the common stem of both files, or the name of the record,
    /// followed by the number of the slice, frame, mask or object if there are several
    /// (`stem#0007`).
    pub name: String,
    /// File with the image.
    pub image: PathBuf,
    /// File with the mask.
    pub mask: PathBuf,
    /// Stem of the volume or recording and the number in it, from 0; `None` for single images.
    pub sequence: Option<(String, usize)>,
    /// Name of the only structure in the mask, if the data states it, as records of a device do.
    pub label: Option<String>,
    pub(super) source: Source,
}

/// Storage of an item.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Two image files.
    Pair,
    /// A slice of an image volume and a label volume.
    Slice(usize, Arc<Cache>),
    /// A frame of a recording, and an image file.
    Frame(usize, Arc<Cache>),
    /// A frame of a sequence file, and the same frame of a sequence file of masks.
    LabelledFrame(usize, Arc<Cache>),
    /// A recording with one frame, and an image file.
    OnlyFrame(Arc<Cache>),
    /// An image file, and a mask that is drawn from an annotation.
    Drawn(Arc<Drawing>),
    /// A frame and an object of a record.
    Record(RecordedMask),
}

impl Item {
    /// Decodes the image and its mask, whose values are converted to classes by `values`. Masks of
    /// records and of annotations have no values; their classes are those of their labels. Several threads may read items at
    /// the same time.
    ///
    /// # Errors
    /// [`Problem::Unreadable`], also for a file of a record that was changed after its capture, and
    /// for a value without meaning in `values`; [`Problem::SizeMismatch`], [`Problem::OtherGrid`],
    /// [`Problem::NoSuchFrame`], or [`Problem::WrongKind`] if a recording of several frames has only
    /// one mask.
    pub fn read(&self, values: &ValueMap) -> Result<TrainingImage, Problem> {
        match &self.source {
            Source::Record(mask) => return mask.read(&self.image, &self.mask),
            Source::Drawn(drawing) => {
                let (width, height, rgb) = raster::rgb(&self.image)?;
                let classes = drawing.classes(&self.mask, [width, height])?;
                return Ok(TrainingImage { width, height, rgb, classes });
            }
            _ => {}
        }
        let mut image = self.read_stored()?;
        values.apply(&mut image.classes).map_err(|value| {
            Problem::unreadable(&self.mask, format!("value {value}, expected one with a meaning"))
        })?;
        Ok(image)
    }

    /// Decodes the image, with the values of its mask as classes.
    fn read_stored(&self) -> Result<TrainingImage, Problem> {
        match &self.source {
            Source::Pair => self.with_mask(raster::rgb(&self.image)?),
            Source::Slice(index, cache) => Ok(cache.volume(&self.image, &self.mask)?.slice(*index)),
            Source::Frame(index, cache) => self.read_frame(*index, cache),
            Source::LabelledFrame(index, cache) => {
                let image = self.frame(*index, cache)?;
                self.with_classes(image, self.labels(*index, cache)?)
            }
            Source::Record(_) | Source::Drawn(_) => unreachable!("their masks have no values"),
            Source::OnlyFrame(cache) => {
                if cache.clip(&self.image)?.len() > 1 {
                    let (mask, image) = (self.mask.clone(), self.image.clone());
                    let expected = "a folder with a mask for each frame, since the recording has several frames";
                    return Err(Problem::WrongKind { mask, image, expected });
                }
                self.read_frame(0, cache)
            }
        }
    }

    /// True if the classes are those of labels, not of values.
    pub fn has_labels(&self) -> bool {
        matches!(self.source, Source::Record(_) | Source::Drawn(_))
    }

    /// True if the mask's file belongs to other items, too.
    pub(super) fn shares_mask(&self) -> bool {
        matches!(self.source, Source::Slice(..) | Source::LabelledFrame(..) | Source::Record(_))
    }

    /// Pixels of each value in the mask's file; none if masks have no values.
    pub(super) fn count_values(&self) -> Result<BTreeMap<u8, u64>, Problem> {
        match &self.source {
            Source::Record(_) | Source::Drawn(_) => Ok(BTreeMap::new()),
            Source::Slice(..) => Ok(count(&volume::mask_values(&self.mask)?.1)),
            Source::LabelledFrame(_, cache) => {
                let frames = 0..cache.sequence(&self.mask)?.len();
                let mut counts = BTreeMap::new();
                for frame in frames {
                    let labels = self.labels(frame, cache)?;
                    for (value, pixels) in
                        count(labels.as_slice().expect("a new array is contiguous"))
                    {
                        *counts.entry(value).or_default() += pixels;
                    }
                }
                Ok(counts)
            }
            Source::Pair | Source::Frame(..) | Source::OnlyFrame(_) => {
                let values = mask_file::values(&self.mask)?;
                Ok(count(values.as_slice().expect("a new array is contiguous")))
            }
        }
    }

    fn read_frame(&self, index: usize, cache: &Cache) -> Result<TrainingImage, Problem> {
        self.with_mask(self.frame(index, cache)?)
    }

    /// Width, height and colours of a frame.
    fn frame(&self, index: usize, cache: &Cache) -> Result<(usize, usize, Vec<u8>), Problem> {
        let clip = cache.clip(&self.image)?;
        if index >= clip.len() {
            let (mask, image) = (self.mask.clone(), self.image.clone());
            return Err(Problem::NoSuchFrame { mask, image, frame: index, frames: clip.len() });
        }
        let frame = clip.frame(index).map_err(|e| Problem::unreadable(&self.image, e))?;
        Ok((frame.width as usize, frame.height as usize, frame.rgb))
    }

    /// Values `[H, W]` of a frame of a sequence file of masks.
    fn labels(&self, index: usize, cache: &Cache) -> Result<Array2<u8>, Problem> {
        let masks = cache.sequence(&self.mask)?;
        let values =
            masks.values(index).map_err(|reason| Problem::unreadable(&self.mask, reason))?;
        let [width, height] = masks.size();
        Ok(Array2::from_shape_vec((height, width), values).expect("a value for each pixel"))
    }

    fn with_mask(&self, image: (usize, usize, Vec<u8>)) -> Result<TrainingImage, Problem> {
        self.with_classes(image, mask_file::values(&self.mask)?)
    }

    fn with_classes(
        &self,
        (width, height, rgb): (usize, usize, Vec<u8>),
        classes: Array2<u8>,
    ) -> Result<TrainingImage, Problem> {
        let (mask_height, mask_width) = classes.dim();
        if (mask_width, mask_height) != (width, height) {
            return Err(Problem::SizeMismatch {
                mask: self.mask.clone(),
                mask_size: vec![mask_width, mask_height],
                image_size: vec![width, height],
            });
        }
        Ok(TrainingImage { width, height, rgb, classes })
    }
}
