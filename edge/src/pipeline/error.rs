//! Errors of the pipeline.

use crate::threads;

/// A frame that cannot be segmented, or a pipeline that does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine cannot compute.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The network predicts an IoU that is not a number.
    #[error("decoder.onnx: output iou is {score} for object {object}, expected a finite number")]
    Score {
        /// The predicted IoU.
        score: f32,
        /// Number of the object.
        object: u8,
    },
    /// The preprocessing refuses the frame.
    #[error(transparent)]
    Frame(#[from] medsa_sam::Error),
    /// The mask breaks a rule of the wire format.
    #[error(transparent)]
    Wire(#[from] medsa_wire::WireError),
    /// A prompt that does not fit the frame.
    #[error(transparent)]
    Prompt(#[from] medsa_sam::PromptError),
    /// A prompt that came before the first frame; it can be sent again.
    #[error("no frame has come yet that a prompt could be about")]
    NoFrameYet,
    /// A thread cannot be started, or panicked.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}
