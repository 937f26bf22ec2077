//! How the device fares: topic `stats`, every ten seconds.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::message::Checked;
use crate::{Message, WireError};

/// Most stages that one [`Stats`] reports.
pub const MAX_STAGES: usize = 8;

/// Counters since the service started, and latencies of late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Time since the service started, in milliseconds.
    pub uptime_ms: u64,
    /// Frames that the source delivered, or knows to have missed.
    pub frames_in: u64,
    /// Frames that the network has answered all prompts on.
    pub frames_segmented: u64,
    /// Frames that could not be read, decoded or segmented.
    pub frames_failed: u64,
    /// Frames that were given up. With those segmented and failed they add up to `frames_in`,
    /// but for the few that are on their way.
    pub frames_dropped: FramesDropped,
    /// Masks made.
    pub masks_out: u64,
    /// Incoming prompts and commands that were not valid messages.
    pub refused_messages: u64,
    /// Masks that found the queue to the broker full.
    pub masks_dropped: u64,
    /// Masks from the queue that were not published: the connection was down or slow.
    pub masks_unpublished: u64,
    /// Messages that wait in the outbox, where there is one.
    pub outbox_messages: Option<u64>,
    /// One entry per stage that ran since the last report.
    pub latency: Vec<StageLatency, MAX_STAGES>,
}

/// Frames that were given up, by place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FramesDropped {
    /// Missed by the source.
    pub source: u64,
    /// Replaced by a newer one before they were followed.
    pub follow: u64,
    /// Replaced before they were encoded, or given up there by a device that is degraded.
    pub encoder: u64,
    /// Replaced after they were encoded.
    pub decoder: u64,
    /// Came while the service was paused or frozen.
    pub paused: u64,
}

impl FramesDropped {
    /// In all places.
    pub fn total(&self) -> u64 {
        let Self { source, follow, encoder, decoder, paused } = *self;
        [source, follow, encoder, decoder, paused].into_iter().fold(0, u64::saturating_add)
    }
}

/// Latency of one stage over the time since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageLatency {
    /// Which stage.
    pub stage: Stage,
    /// Median, in microseconds.
    pub p50_us: u32,
    /// 95th percentile, in microseconds.
    pub p95_us: u32,
}

/// A stage on a frame's way to its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stage {
    /// Reading and decompressing the frame.
    Source,
    /// Resizing, normalizing, padding.
    Preprocess,
    /// Image encoder.
    Encoder,
    /// Prompt encoder and mask decoder, all objects of the frame.
    Decoder,
    /// Threshold, scaling to the frame, run-length code.
    Postprocess,
    /// From capture to publish of a segmented mask.
    Total,
    /// Following all objects from the frame before.
    Follow,
    /// From a prompt's arrival to its mask.
    Answer,
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
