//! Int8 quantization of a base model as a file on which adapters can be trained.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use medsa_bundle::QuantizationReport;
use medsa_frames::Clip;
use medsa_trainer::{Adapter, Checkpoint, QuantizedBase};

use crate::build::spread;
use crate::error::Error;
use crate::quantize::quantize;

/// Inputs and settings of the int8 calibration of a base model.
pub struct QuantizeBase {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// Adapter to apply during calibration, so that layers see its activations; it stays in float.
    pub adapter: Option<PathBuf>,
    /// Calibration frames: DICOM files, images or folders.
    pub calibration: Vec<PathBuf>,
    /// Largest number of frames taken from each path.
    pub frames: NonZeroUsize,
    /// Side of the network input in pixels; by default that of training.
    pub input_size: Option<usize>,
    /// The file to write.
    pub out: PathBuf,
}

impl QuantizeBase {
    /// Calibrates and writes the file. `progress` receives the current task, the number of finished
    /// items and their total.
    ///
    /// # Errors
    /// An input cannot be read or used, or the file cannot be written.
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
