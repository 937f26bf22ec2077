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
    /// Frames that the source delivered.
    pub frames_in: u64,
    /// Frames that a newer one replaced before the network was free.
    pub frames_dropped: u64,
    /// Masks made.
    pub masks_out: u64,
    /// Incoming prompts and commands that were not valid messages.
    pub refused_messages: u64,
    /// Outgoing messages given up because the connection was down or slow.
    pub publish_dropped: u64,
    /// One entry per stage that ran since the last report.
    pub latency: Vec<StageLatency, MAX_STAGES>,
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
    /// Version; six varint(u64); entry count; entries of variant and two varint(u32).
    const MAX_ENCODED_LEN: usize = 1 + 6 * 10 + 1 + MAX_STAGES * (1 + 5 + 5);
}

impl Checked for Stats {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}
