//! Int8 quantization of a base model as a file on which adapters can be trained.

use std::path::PathBuf;

use medsa_bundle::QuantizationReport;
use medsa_trainer::QuantizedBase;

use crate::calibration::CalibrationFrames;
use crate::error::Error;
use crate::quantize::quantize;
use crate::trained::Trained;

/// Inputs and settings of the int8 calibration of a base model.
pub struct QuantizeBase {
    /// Base model, `.pth` or `.safetensors`.
    pub base: PathBuf,
    /// Adapter to apply during calibration, so that layers see its activations; it stays in float.
    pub adapter: Option<PathBuf>,
    /// Calibration frames.
    pub frames: CalibrationFrames,
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
        progress: impl FnMut(&'static str, usize, usize) + Send,
    ) -> Result<QuantizationReport, Error> {
        let trained = Trained::read(&self.base, self.adapter.as_deref(), self.input_size)?;
        let frames = self.frames.spread(&self.frames.open()?, 0)?;
        let (quantization, report) = quantize(&trained.sam, &frames, progress)?;
        QuantizedBase::write(&self.out, &trained.base, trained.input_size(), &quantization)?;
        Ok(report)
    }
}
