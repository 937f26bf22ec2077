//! What can go wrong, and whose fault it is.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's: a frame's bytes do not fit its size.
    #[error("frame of {width} x {height} pixels has {bytes} bytes of RGB, expected {}", width.saturating_mul(*height).saturating_mul(3))]
    FrameSize {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// The file's: a weight that the network needs is not there.
    #[error("tensor {name} is missing, expected shape {expected:?}")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
        /// Shape that the network needs.
        expected: Vec<usize>,
    },
    /// The file's: a weight has another shape than the network needs.
    #[error("tensor {name} has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// Name of the tensor.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape that the network needs.
        expected: Vec<usize>,
    },
    /// The file's: a weight that nothing can be computed with.
    #[error("tensor {name} is empty or holds values that are not finite")]
    TensorValues {
        /// Name of the tensor.
        name: String,
    },
    /// The file's: weights that no part of the network uses.
    #[error("{} that the network does not have: {}", plural(names.len(), "tensor"), names.join(", "))]
    ExtraTensors {
        /// Names and shapes.
        names: Vec<String>,
    },
    /// The file's: the kind of network cannot be told from the weights.
    #[error("not a SAM checkpoint that is known here: {0}")]
    UnknownNetwork(String),
    /// The caller's: adapters for a network that has some, as a checkpoint of the released
    /// Med-SA code.
    #[error("the network has adapters already, expected a base model without")]
    AlreadyAdapted,
    /// The caller's: a network whose stem cannot be strided.
    #[error("the encoder has {found}, expected two 1x1 convolutions as its stem (LiteMedSAM)")]
    OtherStem {
        /// What it has instead.
        found: &'static str,
    },
    /// The caller's: an input size that this network cannot run at.
    #[error("input size {found} px: expected a multiple of {multiple} from {min} to {max} px")]
    InputSize {
        /// Size asked for.
        found: usize,
        /// What it must be a multiple of.
        multiple: usize,
        /// Smallest.
        min: usize,
        /// Largest.
        max: usize,
    },
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
