//! Errors of the pipeline.

use crate::threads;

/// Error of the pipeline: a frame cannot be segmented, a prompt is refused, or a thread failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine cannot compute.
    #[error(transparent)]
    Engine(#[from] medsa_engine::Error),
    /// The network predicts an IoU that is not finite.
    #[error("decoder.onnx: output iou is {score} for object {object}, expected a finite number")]
    Score {
        /// The predicted IoU.
        score: f32,
        /// Number of the object.
        object: u8,
    },
    /// The frame cannot be preprocessed.
    #[error(transparent)]
    Frame(#[from] medsa_sam::Error),
    /// The mask violates the wire format.
    #[error(transparent)]
    Wire(#[from] medsa_wire::WireError),
    /// The prompt does not fit the frame.
    #[error(transparent)]
    Prompt(#[from] medsa_sam::PromptError),
    /// A prompt arrived before the first frame; it can be sent again.
    #[error("no frame has arrived yet; send the prompt again when frames arrive")]
    NoFrameYet,
    /// A thread could not be started, or panicked.
    #[error(transparent)]
    Thread(#[from] threads::Error),
}
