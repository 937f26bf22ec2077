//! Statistics of the device: topic `stats`, every ten seconds.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::message::Checked;
use crate::{Message, WireError};

/// Largest number of stages in one [`Stats`].
pub const MAX_STAGES: usize = 8;

/// Counters since the service started, and recent latencies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stats {
    /// Time since the service started, in milliseconds.
    pub uptime_ms: u64,
    /// Frames delivered by the source, plus frames that it reports as missed.
    pub frames_in: u64,
    /// Frames on which the network segmented all prompted objects.
    pub frames_segmented: u64,
    /// Frames that could not be read, decoded or segmented.
    pub frames_failed: u64,
    /// Dropped frames. Together with segmented and failed frames they add up to `frames_in`, except
    /// for the few frames in progress.
    pub frames_dropped: FramesDropped,
    /// Number of masks made.
    pub masks_out: u64,
    /// Incoming prompts and commands that were not valid messages.
    pub refused_messages: u64,
    /// Masks dropped because the queue to the broker was full.
    pub masks_dropped: u64,
    /// Masks from the queue that were not published, because the connection was down or slow.
    pub masks_unpublished: u64,
    /// Messages waiting in the outbox; `None` without an outbox.
    pub outbox_messages: Option<u64>,
    /// One entry for each stage that ran since the last report.
    #[cfg_attr(feature = "schema", schemars(with = "[StageLatency]", length(max = MAX_STAGES)))]
    pub latency: Vec<StageLatency, MAX_STAGES>,
}

/// Dropped frames, by place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FramesDropped {
    /// Missed by the source.
    pub source: u64,
    /// Replaced by a newer frame before they were followed.
    pub follow: u64,
    /// Replaced before they were encoded, or skipped there because the device is degraded.
    pub encoder: u64,
    /// Replaced after they were encoded.
    pub decoder: u64,
    /// Arrived while the service was paused or frozen.
    pub paused: u64,
}

impl FramesDropped {
    /// Sum over all places.
    pub fn total(&self) -> u64 {
        let Self { source, follow, encoder, decoder, paused } = *self;
        [source, follow, encoder, decoder, paused].into_iter().fold(0, u64::saturating_add)
    }
}

/// Latency of one stage since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StageLatency {
    /// The stage.
    pub stage: Stage,
    /// Median, in microseconds.
    pub p50_us: u32,
    /// 95th percentile, in microseconds.
    pub p95_us: u32,
}

/// A stage of the processing from frame to mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Stage {
    /// Reading and decompressing the frame.
    Source,
    /// Resizing, normalizing, padding.
    Preprocess,
    /// Image encoder.
    Encoder,
    /// Prompt encoder and mask decoder, for all objects of the frame.
    Decoder,
    /// Thresholding, scaling to the frame, run-length coding.
    Postprocess,
    /// From capture to publication of a segmented mask.
    Total,
    /// Following all objects from the previous frame.
    Follow,
    /// From the arrival of a prompt to its mask.
    PromptToMask,
}

impl Message for Stats {
    const NAME: &'static str = "stats";
    /// Version; thirteen varint(u64) and an optional one; entry count; entries of variant and two
    /// varint(u32).
    const MAX_ENCODED_LEN: usize = 1 + 13 * 10 + 11 + 1 + MAX_STAGES * (1 + 5 + 5);
}

impl Checked for Stats {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}
