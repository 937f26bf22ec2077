//! Counters and stage latencies of the service.

mod histogram;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use medsa_wire::{FramesDropped, Stage, StageLatency};

use histogram::Histogram;

/// Counters and latencies, shared by all threads.
pub struct Meter {
    started: Instant,
    counts: [AtomicU64; ALL],
    latencies: Mutex<Latencies>,
}

struct Latencies {
    /// Since the last `stats` message.
    recent: [Histogram; STAGES.len()],
    /// Since the start.
    all: [Histogram; STAGES.len()],
}

/// Counters. Frames in are the sum of segmented, failed and dropped frames, and the few still in
/// the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Frames that the source delivered or missed.
    FramesIn,
    /// Frames on which all prompts were decoded.
    FramesSegmented,
    /// Frames that could not be read, decoded or segmented.
    FramesFailed,
    /// Frames that the source reports as missed.
    FramesMissed,
    /// Frames replaced by a newer one before following.
    ReplacedBeforeFollow,
    /// Frames replaced before the encoder, or skipped there by a degraded device.
    ReplacedBeforeEncoder,
    /// Frames replaced after the encoder.
    ReplacedBeforeDecoder,
    /// Frames that arrived while the service was paused or frozen.
    FramesPaused,
    /// Masks made.
    MasksOut,
    /// Masks passed to the connection.
    MasksPublished,
    /// Masks dropped because the queue to the broker was full.
    MasksDropped,
    /// Masks from the queue that were not published, because the connection was down or slow.
    MasksUnpublished,
    /// Failed attempts to segment an object on a frame.
    PredictionsFailed,
    /// Incoming messages that were refused.
    MessagesRefused,
    /// Captures stored on the disk.
    RecordsKept,
    /// Captures that could not be stored.
    RecordsRefused,
    /// Records that users deleted.
    RecordsDeleted,
    /// Records that the archive has stored.
    RecordsArchived,
    /// Records that the archive does not take.
    RecordsNotArchived,
    /// Wrong PINs of users.
    PinsRefused,
    /// Builds that were not accepted.
    ReloadsFailed,
    /// Losses of the connection to the broker, and failed attempts to connect.
    LinkDown,
}

/// Counters of dropped frames, with the stage that drops them.
pub const FRAME_DROPS: [(Counter, &str); 5] = [
    (Counter::FramesMissed, "source"),
    (Counter::ReplacedBeforeFollow, "follow"),
    (Counter::ReplacedBeforeEncoder, "encoder"),
    (Counter::ReplacedBeforeDecoder, "decoder"),
    (Counter::FramesPaused, "paused"),
];

/// Counters of dropped masks, with the stage that drops them.
pub const MASK_DROPS: [(Counter, &str); 2] =
    [(Counter::MasksDropped, "queue"), (Counter::MasksUnpublished, "publish")];

/// All other counters, in the order of reports.
pub const COUNTERS: [Described; 15] = [
    described(Counter::FramesIn, "frames", "frames", "Frames that the source delivered or missed"),
    described(
        Counter::FramesSegmented,
        "frames_segmented",
        "frames segmented",
        "Frames on which all prompts were decoded",
    ),
    described(
        Counter::FramesFailed,
        "frames_failed",
        "frames failed",
        "Frames that could not be decoded or segmented",
    ),
    described(Counter::MasksOut, "masks", "masks", "Masks made"),
    described(
        Counter::MasksPublished,
        "masks_published",
        "masks published",
        "Masks passed to the connection",
    ),
    described(
        Counter::PredictionsFailed,
        "predictions_failed",
        "predictions failed",
        "Failed attempts to segment an object on a frame",
    ),
    described(
        Counter::MessagesRefused,
        "messages_refused",
        "messages refused",
        "Incoming messages that were refused",
    ),
    described(Counter::RecordsKept, "records_kept", "records kept", "Captures stored on the disk"),
    described(
        Counter::RecordsRefused,
        "records_refused",
        "records refused",
        "Captures that could not be stored",
    ),
    described(
        Counter::RecordsDeleted,
        "records_deleted",
        "records deleted",
        "Records that users deleted",
    ),
    described(Counter::PinsRefused, "pins_refused", "PINs refused", "Wrong PINs of users"),
    described(
        Counter::RecordsArchived,
        "records_archived",
        "records archived",
        "Records that the archive has stored",
    ),
    described(
        Counter::RecordsNotArchived,
        "records_not_archived",
        "records not archived",
        "Records that the archive does not take",
    ),
    described(
        Counter::ReloadsFailed,
        "reload_failed",
        "reloads failed",
        "Builds that were not accepted",
    ),
    described(
        Counter::LinkDown,
        "broker_losses",
        "connection lost",
        "Losses of the broker and failed attempts to connect",
    ),
];

/// A counter and its names.
pub struct Described {
    /// The counter.
    pub counter: Counter,
    /// Name in `/metrics`.
    pub metric: &'static str,
    /// Label in the table for people.
    pub label: &'static str,
    /// Description in `/metrics`.
    pub help: &'static str,
}

const fn described(
    counter: Counter,
    metric: &'static str,
    label: &'static str,
    help: &'static str,
) -> Described {
    Described { counter, metric, label, help }
}

/// Values of all counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; ALL]);

impl Counts {
    /// Value of one counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Frames dropped before they were segmented, by stage.
    pub fn frames_dropped(&self) -> FramesDropped {
        FramesDropped {
            source: self.get(Counter::FramesMissed),
            follow: self.get(Counter::ReplacedBeforeFollow),
            encoder: self.get(Counter::ReplacedBeforeEncoder),
            decoder: self.get(Counter::ReplacedBeforeDecoder),
            paused: self.get(Counter::FramesPaused),
        }
    }
}

const ALL: usize = Counter::LinkDown as usize + 1;

/// Stages in the order in which a frame passes them.
const STAGES: [(Stage, &str); 8] = [
    (Stage::Source, "source"),
    (Stage::Follow, "follow"),
    (Stage::Preprocess, "preprocess"),
    (Stage::Encoder, "encoder"),
    (Stage::Decoder, "decoder"),
    (Stage::Postprocess, "postprocess"),
    (Stage::PromptToMask, "prompt to mask"),
    (Stage::Total, "total"),
];

/// Latencies of a stage.
pub struct StageHistogram {
    /// Name of the stage.
    pub name: &'static str,
    /// Number of latencies.
    pub total: u64,
    /// Sum of the latencies.
    pub sum: Duration,
    /// Upper limit of each range in seconds, and the number of latencies in it.
    pub buckets: Vec<(f64, u64)>,
}

/// Upper limits of the ranges of [`Meter::stages`], in milliseconds.
const BOUNDS_MS: [f64; 12] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0];

impl Meter {
    /// All zero.
    pub fn new() -> Self {
        let histograms = || std::array::from_fn(|_| Histogram::new());
        let latencies = Mutex::new(Latencies { recent: histograms(), all: histograms() });
        Self { started: Instant::now(), counts: Default::default(), latencies }
    }

    /// Increments a counter.
    pub fn count(&self, counter: Counter) {
        self.counts[counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Value of a counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Ordering::Relaxed)
    }

    /// Records the duration of a stage.
    pub fn record(&self, stage: Stage, latency: Duration) {
        let Some(index) = STAGES.iter().position(|(known, _)| *known == stage) else { return };
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.recent[index].record(latency);
        latencies.all[index].record(latency);
    }

    /// Values of all counters.
    pub fn counts(&self) -> Counts {
        Counts(std::array::from_fn(|index| self.counts[index].load(Ordering::Relaxed)))
    }

    /// Latencies of the stages since the last call; resets them.
    pub fn take_recent(&self) -> Vec<StageLatency> {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = &mut latencies.recent;
        let latency = recent.iter_mut().zip(STAGES).filter_map(|(histogram, (stage, _))| {
            let past = std::mem::take(histogram);
            let [p50_us, p95_us] = [0.5, 0.95].map(|quantile| past.quantile_us(quantile));
            (past.total() > 0).then_some(StageLatency { stage, p50_us, p95_us })
        });
        latency.collect()
    }

    /// Time since the start of the service.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Number of runs of a stage since the start, and their total duration.
    pub fn spent(&self, stage: Stage) -> (u64, Duration) {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let index = STAGES.iter().position(|(known, _)| *known == stage);
        index.map_or_else(Default::default, |index| {
            let histogram = &latencies.all[index];
            (histogram.total(), histogram.sum())
        })
    }

    /// Latencies of all stages since the start.
    pub fn stages(&self) -> Vec<StageHistogram> {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let bounds = BOUNDS_MS.map(|ms| Duration::from_secs_f64(ms / 1e3));
        let stage = |(histogram, (_, name)): (&Histogram, (Stage, &'static str))| {
            let ends = BOUNDS_MS.map(|ms| ms / 1e3).into_iter().chain([f64::INFINITY]);
            StageHistogram {
                name,
                total: histogram.total(),
                sum: histogram.sum(),
                buckets: ends.zip(histogram.within(&bounds)).collect(),
            }
        };
        latencies.all.iter().zip(STAGES).map(stage).collect()
    }

    /// Table of all counters and latencies since the start, for people.
    pub fn table(&self) -> String {
        let mut table = String::new();
        // Invariant: writing to a string cannot fail.
        for Described { counter, label, .. } in COUNTERS {
            let _ = writeln!(table, "{label:<20}{:>10}", self.get(counter));
        }
        for (counter, place) in FRAME_DROPS.into_iter().chain(MASK_DROPS) {
            let _ = writeln!(table, "dropped: {place:<11}{:>10}", self.get(counter));
        }
        let _ = write!(table, "\n{:<20}{:>10}", "stage", "runs");
        for column in ["p50 ms", "p95 ms", "p99 ms", "max ms"] {
            let _ = write!(table, "{column:>12}");
        }
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        for (histogram, (_, name)) in latencies.all.iter().zip(STAGES) {
            let _ = write!(table, "\n{name:<20}{:>10}", histogram.total());
            for quantile in [0.5, 0.95, 0.99, 1.0] {
                let ms = f64::from(histogram.quantile_us(quantile)) / 1e3;
                let _ = write!(table, "{ms:>12.1}");
            }
        }
        table.push('\n');
        table
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_reported_once() {
        let described = COUNTERS.iter().map(|described| described.counter);
        let mut all: Vec<_> = {
            let drops = FRAME_DROPS.into_iter().chain(MASK_DROPS);
            described.chain(drops.map(|(counter, _)| counter)).map(|c| c as usize).collect()
        };
        all.sort_unstable();
        assert_eq!(all, (0..ALL).collect::<Vec<_>>());
    }
}
