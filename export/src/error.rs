//! What can go wrong on the way to a build.

use std::path::PathBuf;

/// Errors of this crate. Most come from the part that found them, whose message says whose
/// fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base model or the adapter.
    #[error(transparent)]
    Model(#[from] medsa_trainer::Error),
    /// A frame whose pixels do not fit its size.
    #[error(transparent)]
    Frame(#[from] medsa_sam::Error),
    /// A prompt; the ones used here fit every frame.
    #[error(transparent)]
    Prompt(#[from] medsa_sam::PromptError),
    /// The calibration frames.
    #[error(transparent)]
    Frames(#[from] medsa_frames::FramesError),
    /// Nothing to calibrate on.
    #[error("no calibration frames were named, expected a DICOM file or a folder of pictures")]
    NoFrames,
    /// The edge's engine.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The build file.
    #[error(transparent)]
    Build(#[from] medsa_bundle::Error),
    /// The network as it was trained, on candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A data set.
    #[error(transparent)]
    Stock(#[from] medsa_trainer::train::StockError),
    /// A picture of a data set.
    #[error(transparent)]
    Picture(#[from] medsa_trainer::data::Problem),
    /// An evaluation.
    #[error(transparent)]
    Evaluation(#[from] medsa_trainer::train::EvaluateError),
    /// A build that was made of something else.
    #[error("{build} was made with {what} {expected}, found {found}")]
    OtherOrigin {
        /// The build.
        build: PathBuf,
        /// Base or adapter.
        what: &'static str,
        /// What was given.
        found: String,
        /// What the manifest names.
        expected: String,
    },
    /// An ONNX file.
    #[error("{path}: {reason}")]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A synthetic frame.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// The text of a licence.
    #[error("{path}: {reason}")]
    Licence {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of limits.
    #[error("{path}: {reason}")]
    Limits {
        /// The file.
        path: PathBuf,
        /// The key, what was found, and expected.
        reason: String,
    },
    /// The build misses its limits.
    #[error(
        "{path} is not written: {}; --danger-allow writes it marked as unfit, for no device",
        missed.join("; ")
    )]
    Unfit {
        /// The build to write.
        path: PathBuf,
        /// Limits that it misses.
        missed: Vec<String>,
    },
    /// The build's name.
    #[error(
        "{path} ends in .onnx, expected another name, usually .medsa: the ONNX files go beside it"
    )]
    BuildName {
        /// The build to write.
        path: PathBuf,
    },
    /// A file that is to be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}
