//! Errors of this crate; each variant says whether the caller or the file is at fault.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Caller: the number of bytes does not match the frame's size.
    #[error("frame of {width} x {height} pixels has {bytes} bytes of RGB, expected {}", width.saturating_mul(*height).saturating_mul(3))]
    FrameSize {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Number of bytes given.
        bytes: usize,
    },
    /// File: a weight that the network needs is missing.
    #[error("tensor {name} is missing, expected shape {expected:?}")]
    MissingTensor {
        /// Name of the tensor.
        name: String,
        /// Shape that the network needs.
        expected: Vec<usize>,
    },
    /// File: a weight has a different shape from what the network needs.
    #[error("tensor {name} has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// Name of the tensor.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape that the network needs.
        expected: Vec<usize>,
    },
    /// File: a weight is empty or has values that are not finite.
    #[error("tensor {name} is empty or holds values that are not finite")]
    TensorValues {
        /// Name of the tensor.
        name: String,
    },
    /// File: it has weights that no part of the network uses.
    #[error("{} not used by the network: {}", plural(names.len(), "tensor"), names.join(", "))]
    ExtraTensors {
        /// Names and shapes.
        names: Vec<String>,
    },
    /// File: the weights do not match any known kind of network.
    #[error("unknown kind of SAM checkpoint: {0}")]
    UnknownNetwork(String),
    /// Caller: adapters were given for a network that already has some, such as a checkpoint of the
    /// released Med-SA code.
    #[error("the network already has adapters; give a base model without adapters")]
    AlreadyAdapted,
    /// Caller: the stem of this network cannot be replaced by a strided one.
    #[error("the encoder has {found}, expected two 1x1 convolutions as its stem (LiteMedSAM)")]
    OtherStem {
        /// Stem that was found.
        found: &'static str,
    },
    /// Caller: the network cannot run at this input size.
    #[error("input size {found} px: expected a multiple of {multiple} from {min} to {max} px")]
    InputSize {
        /// Size given, in pixels.
        found: usize,
        /// Required divisor, in pixels.
        multiple: usize,
        /// Smallest size, in pixels.
        min: usize,
        /// Largest size, in pixels.
        max: usize,
    },
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
