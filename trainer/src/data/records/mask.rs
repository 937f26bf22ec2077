//! Reading of a frame and the mask of one of its objects.

use std::path::Path;

use medsa_frames::{Clip, Segmentation};
use ndarray::Array2;

use super::super::problem::Problem;
use super::super::training_image::TrainingImage;
use super::description::StoredFile;

/// Mask of an object in the files of a record.
#[derive(Clone, Debug)]
pub(in crate::data) struct RecordedMask {
    /// Class of the object, from 1.
    pub(super) class: u8,
    /// Segment number of the mask.
    pub(super) segment: u16,
    pub(super) frame: StoredFile,
    pub(super) segmentation: StoredFile,
}

impl RecordedMask {
    /// Reads the frame in the file `image` and the mask in the file `mask`. Both must still be as
    /// they were captured.
    pub(in crate::data) fn read(
        &self,
        image: &Path,
        mask: &Path,
    ) -> Result<TrainingImage, Problem> {
        self.frame.check(image)?;
        self.segmentation.check(mask)?;
        let frame = Clip::open(image).and_then(|clip| clip.frame(0));
        let frame = frame.map_err(|e| Problem::unreadable(image, e))?;
        let segmentation = Segmentation::open(mask).map_err(|e| Problem::unreadable(mask, e))?;
        let image_size = [frame.width as usize, frame.height as usize];
        let mask_size = [segmentation.width() as usize, segmentation.height() as usize];
        if mask_size != image_size {
            let (mask_size, image_size) = (mask_size.to_vec(), image_size.to_vec());
            return Err(Problem::SizeMismatch { mask: mask.to_owned(), mask_size, image_size });
        }
        let inside = segmentation.mask(self.segment).ok_or_else(|| {
            let reason = format!("no segment {}, which record.json names", self.segment);
            Problem::unreadable(mask, reason)
        })?;
        let classes = inside.iter().map(|&inside| if inside { self.class } else { 0 }).collect();
        let [width, height] = image_size;
        let classes = Array2::from_shape_vec((height, width), classes);
        let classes = classes.expect("a segmentation has a value for each pixel");
        Ok(TrainingImage { width, height, rgb: frame.rgb, classes })
    }
}
