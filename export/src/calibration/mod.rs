//! Int8 calibration of a network: measured on frames, or read from a file of an earlier
//! measurement.

mod coder;
mod file;
mod moves;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use medsa_bundle::{Agreement, QuantizationReport};
use medsa_frames::{Clip, Frame};
use medsa_sam::{Folding, Quantization, Sam};

use crate::agreement;
use crate::error::Error;
use crate::quantize::quantize;
use crate::runner::{Runner, on_candle};
use crate::trained::Trained;

/// Int8 quantization of a folded network, and its effect on masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Int8 layers and attentions.
    pub quantization: Quantization,
    /// Extent of the quantization.
    pub report: QuantizationReport,
    /// Agreement of int8 with f32 on frames not used for calibration, if there are enough.
    pub agreement: Agreement,
}

/// Source of the calibration of a build.
#[derive(Clone, Debug)]
pub enum CalibrationSource {
    /// Frames on which the network is calibrated.
    Frames(CalibrationFrames),
    /// File that [`Calibrate`] wrote for the same base, adapter and input size.
    File(PathBuf),
}

/// Frames for calibration, and others for the comparison with f32.
#[derive(Clone, Debug)]
pub struct CalibrationFrames {
    /// DICOM files, images or folders of images.
    pub paths: Vec<PathBuf>,
    /// Largest number of frames taken from each path, separately for calibration and for
    /// comparison.
    pub limit: NonZeroUsize,
}

/// Inputs and settings for writing the calibration of a network to a file.
pub struct Calibrate {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// Adapter, `.safetensors`.
    pub adapter: Option<PathBuf>,
    /// Side of the network input in pixels; by default that of training.
    pub input_size: Option<usize>,
    /// Frames like those on the device.
    pub frames: CalibrationFrames,
    /// File to write.
    pub out: PathBuf,
}

impl Calibrate {
    /// Calibrates the folded network and writes the file. `progress` receives the current task, the
    /// number of finished items and their total.
    ///
    /// # Errors
    /// An input cannot be read or used, or the file cannot be written.
    pub fn run(
        &self,
        mut progress: impl FnMut(&'static str, usize, usize) + Send,
    ) -> Result<Calibration, Error> {
        let trained = Trained::read(&self.base, self.adapter.as_deref(), self.input_size)?;
        let folded = trained.sam.clone().folded(&Folding::ALL);
        let calibration = self.frames.calibrate(&folded, &mut progress)?;
        calibration.write(&self.out, &trained, &folded)?;
        Ok(calibration)
    }
}

impl CalibrationSource {
    /// Source named on a command line: one file of [`Calibrate`], or frames.
    ///
    /// # Errors
    /// A path cannot be read, or a file of [`Calibrate`] is one of several paths.
    pub fn of(paths: Vec<PathBuf>, limit: NonZeroUsize) -> Result<Self, Error> {
        for path in &paths {
            if Calibration::is_at(path)? {
                return match paths.len() {
                    1 => Ok(Self::File(path.clone())),
                    _ => Err(Error::CalibrationAmongOthers { path: path.clone() }),
                };
            }
        }
        Ok(Self::Frames(CalibrationFrames { paths, limit }))
    }

    /// Calibration of the network `trained`, which is `folded` after folding.
    pub(crate) fn calibration(
        &self,
        trained: &Trained,
        folded: &Sam,
        progress: &mut (impl FnMut(&'static str, usize, usize) + Send),
    ) -> Result<Calibration, Error> {
        match self {
            Self::Frames(frames) => frames.calibrate(folded, progress),
            Self::File(path) => Calibration::read(path, trained, folded),
        }
    }
}

impl CalibrationFrames {
    fn calibrate(
        &self,
        folded: &Sam,
        progress: &mut (impl FnMut(&'static str, usize, usize) + Send),
    ) -> Result<Calibration, Error> {
        let clips = self.open()?;
        let (quantization, report) = quantize(folded, &self.spread(&clips, 0)?, &mut *progress)?;
        let runner = |quantization| Runner::Candle(Box::new(on_candle(folded, quantization)));
        let (float, int8) = (runner(Quantization::default()), runner(quantization.clone()));
        // Other frames than those used for calibration, if there are more.
        let frames = self.spread(&clips, 1)?;
        let compared = |done, all| progress("comparing frames", done, all);
        let agreement = agreement::measure(&float, &int8, &frames, compared)?;
        Ok(Calibration { quantization, report, agreement })
    }

    /// Opens all paths.
    ///
    /// # Errors
    /// [`Error::NoFrames`], or a path cannot be read.
    pub(crate) fn open(&self) -> Result<Vec<Clip>, Error> {
        if self.paths.is_empty() {
            return Err(Error::NoFrames);
        }
        Ok(self.paths.iter().map(Clip::open).collect::<Result<_, _>>()?)
    }

    /// At most `limit` evenly spread frames of each clip. With `half` = 1, frames lie half a gap
    /// later than with 0.
    pub(crate) fn spread(&self, clips: &[Clip], half: usize) -> Result<Vec<Frame>, Error> {
        let of_clip = |clip: &Clip| -> Result<Vec<Frame>, Error> {
            let count = clip.len().min(self.limit.get());
            (0..count).map(|i| Ok(clip.frame((2 * i + half) * clip.len() / (2 * count))?)).collect()
        };
        Ok(clips.iter().map(of_clip).collect::<Result<Vec<_>, _>>()?.concat())
    }
}
