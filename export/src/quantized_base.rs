//! What of a base computes in 8 bits, as a file on which adapters can be trained.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use medsa_bundle::QuantizationReport;
use medsa_frames::Clip;
use medsa_trainer::{Adapter, Checkpoint, QuantizedBase};

use crate::build::spread;
use crate::error::Error;
use crate::quantize::quantize;

/// What is fitted to 8 bits, and on what.
pub struct QuantizeBase {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// An adapter on it, whose answers the frames are seen through; it stays in float.
    pub adapter: Option<PathBuf>,
    /// Frames to which 8 bits are fitted: DICOM files, pictures or folders.
    pub calibration: Vec<PathBuf>,
    /// At most so many of each source.
    pub frames: NonZeroUsize,
    /// Side of the network input, or that of training.
    pub input_size: Option<usize>,
    /// The file to write.
    pub out: PathBuf,
}

impl QuantizeBase {
    /// Fits and writes. `progress` is told what is done, and how many of how many.
    ///
    /// # Errors
    /// Any input that cannot be read or used, or the file to write.
    pub fn run(
        &self,
        progress: impl FnMut(&'static str, usize, usize),
    ) -> Result<QuantizationReport, Error> {
        let base = Checkpoint::read(&self.base)?;
        let sam = match &self.adapter {
            Some(path) => Adapter::read(path)?.sam(&base, self.input_size)?,
            None => base.sam(self.input_size)?,
        };
        let clips = self.calibration.iter().map(Clip::open).collect::<Result<Vec<_>, _>>()?;
        let frames = spread(&clips, self.frames, 0)?;
        let (quantization, report) = quantize(&sam, &frames, progress)?;
        let input_size = sam.config().preprocess.input_size;
        QuantizedBase::write(&self.out, &base, input_size, &quantization)?;
        Ok(report)
    }
}
