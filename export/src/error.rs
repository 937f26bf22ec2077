//! Errors of making and verifying builds.

use std::path::PathBuf;

/// An error of this crate. Most variants pass on the error of another crate, whose message names
/// the cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base model or the adapter cannot be used.
    #[error(transparent)]
    Model(#[from] medsa_trainer::Error),
    /// The pixels of a frame do not match its size.
    #[error(transparent)]
    Frame(#[from] medsa_sam::Error),
    /// A prompt does not fit its frame; cannot happen for the prompts made here.
    #[error(transparent)]
    Prompt(#[from] medsa_sam::PromptError),
    /// The calibration frames cannot be read.
    #[error(transparent)]
    Frames(#[from] medsa_frames::FramesError),
    /// No calibration frames were given.
    #[error(
        "no calibration frames were given; name a DICOM file or a folder of images with --calibration"
    )]
    NoFrames,
    /// File: the calibration cannot be used.
    #[error("cannot use the calibration {path}: {reason}")]
    Calibration {
        /// The file.
        path: PathBuf,
        /// The value found, and the value expected.
        reason: String,
    },
    /// Caller: a calibration was given together with something else.
    #[error("{path} is a calibration; give either one calibration or frames")]
    CalibrationAmongOthers {
        /// The calibration.
        path: PathBuf,
    },
    /// The device's engine failed.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The build file cannot be read or written.
    #[error(transparent)]
    Build(#[from] medsa_bundle::Error),
    /// Candle failed to run the network.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The data set cannot be opened.
    #[error(transparent)]
    Stock(#[from] medsa_trainer::train::StockError),
    /// An image of the data set cannot be read.
    #[error(transparent)]
    TrainingImage(#[from] medsa_trainer::data::Problem),
    /// The evaluation failed.
    #[error(transparent)]
    Evaluation(#[from] medsa_trainer::train::EvaluateError),
    /// Caller: the build or calibration was made from another base or adapter.
    #[error("{path} was made from the {what} {expected}, but the given {what} is {found}")]
    OtherOrigin {
        /// The build or calibration.
        path: PathBuf,
        /// "base" or "adapter".
        what: &'static str,
        /// Name and hash of what was given.
        found: String,
        /// Name and hash in the file.
        expected: String,
    },
    /// File: not a usable ONNX model.
    #[error("cannot use the ONNX model {path}: {reason}")]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// A synthetic frame cannot be encoded.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// File: a licence text cannot be included.
    #[error("cannot include the licence {path}: {reason}")]
    Licence {
        /// The file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// File: the limits are invalid.
    #[error("cannot use the limits in {path}: {reason}")]
    Limits {
        /// The file.
        path: PathBuf,
        /// The key, the value found and the value expected.
        reason: String,
    },
    /// The build misses its limits.
    #[error(
        "{path} was not written: {}; to write it for inspection, marked as unfit for devices, use --danger-allow",
        missed.join("; ")
    )]
    Unfit {
        /// The build that was to be written.
        path: PathBuf,
        /// Limits that were missed.
        missed: Vec<String>,
    },
    /// Caller: the build's name would collide with its folder of ONNX files.
    #[error(
        "{path} ends in .onnx, expected another name, usually .medsa: the ONNX files go beside it"
    )]
    BuildName {
        /// The build that was to be written.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot read or write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
}
