//! One picture of a data set, wherever it is stored.

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;

use super::cache::Cache;
use super::picture::Picture;
use super::problem::Problem;
use super::raster;

/// A picture and its mask.
#[derive(Clone, Debug)]
pub struct Item {
    /// Unique in the data set: the stem that both files share, with the number of the slice or
    /// frame if there are several (`stem#0007`).
    pub name: String,
    /// The file that the picture is in.
    pub image: PathBuf,
    /// The file that the mask is in.
    pub mask: PathBuf,
    /// For a slice or frame: the stem of the volume or recording, and its number in it, from 0.
    pub sequence: Option<(String, usize)>,
    pub(super) source: Source,
}

/// How an item is stored.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Two pictures.
    Pair,
    /// A slice of two volumes.
    Slice(usize, Arc<Cache>),
    /// A frame of a recording, and a picture.
    Frame(usize, Arc<Cache>),
    /// A recording of one frame, and a picture.
    OnlyFrame(Arc<Cache>),
}

impl Item {
    /// Decodes the picture and its mask. Several threads may do so at once.
    ///
    /// # Errors
    /// [`Problem::Unreadable`], [`Problem::SizeMismatch`], [`Problem::NoSuchFrame`], or
    /// [`Problem::WrongKind`] for one mask of a recording of several frames.
    pub fn read(&self) -> Result<Picture, Problem> {
        match &self.source {
            Source::Pair => self.with_mask(raster::rgb(&self.image)?),
            Source::Slice(index, cache) => Ok(cache.volume(&self.image, &self.mask)?.slice(*index)),
            Source::Frame(index, cache) => self.read_frame(*index, cache),
            Source::OnlyFrame(cache) => {
                if cache.clip(&self.image)?.len() > 1 {
                    let (mask, image) = (self.mask.clone(), self.image.clone());
                    let expected = "a folder with a mask for each frame, as this has several";
                    return Err(Problem::WrongKind { mask, image, expected });
                }
                self.read_frame(0, cache)
            }
        }
    }

    /// Whether the file of the mask is about more than this item.
    pub(super) fn shares_mask(&self) -> bool {
        matches!(self.source, Source::Slice(..))
    }

    fn read_frame(&self, index: usize, cache: &Cache) -> Result<Picture, Problem> {
        let clip = cache.clip(&self.image)?;
        if index >= clip.len() {
            let (mask, image) = (self.mask.clone(), self.image.clone());
            return Err(Problem::NoSuchFrame { mask, image, frame: index, frames: clip.len() });
        }
        let frame = clip.frame(index).map_err(|e| Problem::unreadable(&self.image, e))?;
        self.with_mask((frame.width as usize, frame.height as usize, frame.rgb))
    }

    fn with_mask(&self, (width, height, rgb): (usize, usize, Vec<u8>)) -> Result<Picture, Problem> {
        let classes: Array2<u8> = raster::classes(&self.mask)?;
        let (mask_height, mask_width) = classes.dim();
        if (mask_width, mask_height) != (width, height) {
            return Err(Problem::SizeMismatch {
                mask: self.mask.clone(),
                mask_size: vec![mask_width, mask_height],
                image_size: vec![width, height],
            });
        }
        Ok(Picture { width, height, rgb, classes })
    }
}
