//! Errors of the engine.

use medsa_bundle::LatencyLimits;

/// An error of the engine or of a build's acceptance test.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build requires a newer program; update the device.
    #[error("build {build} needs medsa-edge {needed} or later, this is {found}: update the device")]
    BuildTooNew {
        /// Name and version of the build.
        build: String,
        /// Required version.
        needed: String,
        /// Version of this program.
        found: &'static str,
    },
    /// The build missed a limit when it was made.
    #[error("build {build} is marked as unfit: {}", reasons.join("; "))]
    BuildUnfit {
        /// Name and version of the build.
        build: String,
        /// Limits that it misses.
        reasons: Vec<String>,
    },
    /// A key of the build's manifest has a value that the engine does not accept.
    #[error("manifest.json: {key} is {found:?}, expected {expected}")]
    Manifest {
        /// Key in the manifest.
        key: &'static str,
        /// Its value.
        found: String,
        /// Accepted values.
        expected: String,
    },
    /// An acceptance vector of the build cannot be used.
    #[error("acceptance vector {vector} of the build: {reason}")]
    Acceptance {
        /// Number of the vector, from 0.
        vector: usize,
        /// Cause.
        reason: String,
    },
    /// The build gives another mask on this device than where it was made.
    #[error(
        "acceptance vector {vector} of the build: IoU of the mask on {frame} with the \
             expected mask is {iou:.4}, expected at least {min_iou}"
    )]
    WrongMask {
        /// Number of the vector, from 0.
        vector: usize,
        /// Its frame.
        frame: String,
        /// IoU with the expected mask.
        iou: f64,
        /// Smallest IoU that is accepted.
        min_iou: f64,
    },
    /// The build is slower on this device than its limits for the board allow.
    #[error(
        "too slow for {board}: encoder {encoder_ms:.1} ms, at most {:.1} ms are accepted; \
         decoder {decoder_ms:.1} ms, at most {:.1} ms",
        limits.encoder_ms,
        limits.decoder_ms
    )]
    TooSlow {
        /// The board.
        board: String,
        /// Median time of the encoder.
        encoder_ms: f64,
        /// Median time of the decoder.
        decoder_ms: f64,
        /// Limits of the build for the board.
        limits: LatencyLimits,
    },
    /// The build has no limits for the board.
    #[error("the build has no limits for the board {board}, {}", but_for(known))]
    UnknownBoard {
        /// The board.
        board: String,
        /// Boards with limits.
        known: Vec<String>,
    },
    /// The runtime cannot load or run a network.
    #[error("{file}: {reason}")]
    Network {
        /// `encoder.onnx` or `decoder.onnx`.
        file: &'static str,
        /// Message of the runtime.
        reason: String,
    },
    /// A network is larger than the engine loads.
    #[error("{file} has {found} {unit}, at most {limit} are accepted")]
    NetworkTooLarge {
        /// `encoder.onnx` or `decoder.onnx`.
        file: &'static str,
        /// Size.
        found: usize,
        /// Largest size.
        limit: usize,
        /// Unit of the size.
        unit: &'static str,
    },
    /// An input or output of a network is not the one of the contract.
    #[error("{file}: {tensor} is {found}, expected {expected}")]
    NetworkTensor {
        /// `encoder.onnx` or `decoder.onnx`.
        file: &'static str,
        /// `input NAME` or `output NAME`.
        tensor: String,
        /// Type and shape found, or that it is missing.
        found: String,
        /// Type and shape of the contract.
        expected: String,
    },
    /// A block's schema, weight or body does not match: the build is damaged, or was made by
    /// another version of `medsa-export`.
    #[error("{file}: block {block}: {role}: found {found}, expected {expected}")]
    Block {
        /// `encoder.onnx` or `decoder.onnx`.
        file: &'static str,
        /// Function and name of the call.
        block: String,
        /// Role of a weight, or field of the schema.
        role: String,
        /// Value found.
        found: String,
        /// Value expected.
        expected: String,
    },
    /// The number of bytes of a frame does not match its size.
    #[error(transparent)]
    Frame(#[from] medsa_sam::Error),
}

fn but_for(boards: &[String]) -> String {
    if boards.is_empty() {
        return "nor for any other board".to_owned();
    }
    format!("expected one of {}", boards.join(", "))
}
