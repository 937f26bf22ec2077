//! The device's state at one moment, and the reports derived from it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use medsa_engine::Engine;
use medsa_update::StateAndReason;
use medsa_wire::{
    BuildStatus, Degradation, Info, MAX_REASON_LEN, SourceStatus, StageLatency, Stats, Status,
};
use serde::Serialize;

use super::builds::{BuildState, OfferedBuild};
use super::failures::TaskFailures;
use crate::degrade::cause_name;
use crate::meter::{Counter, Counts};
use crate::pipeline::{Activity, BuildIdentity, Network};
use crate::source::{Loss, SourceState};

/// State of the device at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Build in use.
    pub build: Arc<BuildIdentity>,
    /// Time since the start of the service.
    pub uptime: Duration,
    /// State of the source.
    pub source: SourceState,
    /// Activity of the pipeline.
    pub activity: Activity,
    /// Level of degradation and its cause.
    pub degradation: Option<Degradation>,
    /// State of the replacement of the build.
    pub builds: BuildState,
    /// Builds that can be chosen; none on a device with one.
    pub offered: Vec<OfferedBuild>,
    /// State of the connection to the broker.
    pub broker: LinkState,
    /// Number of messages that wait in the outbox; `None` without one.
    pub outbox_messages: Option<u64>,
    /// Counters.
    pub counts: Counts,
    /// Failures of tasks, by task.
    pub failures: BTreeMap<&'static str, TaskFailures>,
}

/// State of the connection to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LinkState {
    /// Connected.
    #[serde(rename = "connected")]
    Up,
    /// Not connected.
    #[serde(rename = "away")]
    Down,
}

/// Body of `/health` and `/ready`. The service is ready while frames arrive; it works without a broker.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// `ok` while frames arrive, otherwise `impaired`.
    pub status: &'static str,
    /// State of the device without counters.
    #[serde(flatten)]
    pub condition: Condition,
    /// Seconds since the start of the service.
    pub uptime_s: u64,
    /// Number of frames that the source delivered or missed.
    pub frames: u64,
    /// Number of masks made.
    pub masks: u64,
}

/// State of the device without counters, as reported over HTTP.
#[derive(Clone, Debug, Serialize)]
pub struct Condition {
    /// Name and version of the build.
    pub build: String,
    /// Version of the service.
    pub version: &'static str,
    /// State of the source.
    pub source: SourceCondition,
    /// `running`, `frozen` or `paused`.
    pub activity: &'static str,
    /// Level of degradation.
    pub degradation: Degraded,
    /// Replacement of the build: `idle`, `loading`, `updating`, `failed`.
    pub reload: StateAndReason,
    /// Builds that can be chosen; none on a device with one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<OfferedBuild>,
    /// Connection to the broker.
    pub broker: LinkState,
    /// Failures of tasks since the start; tasks without failures are not listed.
    pub task_failures: BTreeMap<&'static str, TaskFailures>,
}

/// State of the source, as reported over HTTP.
#[derive(Clone, Debug, Serialize)]
pub struct SourceCondition {
    /// `starting`, `playing`, `ended`, `refused` or `lost`.
    pub state: &'static str,
    /// Kind of a loss, for programs: `unreachable`, `stalled` or `broken`.
    pub code: Option<&'static str>,
    /// Reason why no frames arrive, for people.
    pub reason: Option<String>,
}

impl From<&SourceState> for SourceCondition {
    fn from(source: &SourceState) -> Self {
        let (state, code, reason) = match source {
            SourceState::Starting => ("starting", None, None),
            SourceState::Playing => ("playing", None, None),
            SourceState::Ended => ("ended", None, None),
            SourceState::Refused { reason } => ("refused", None, Some(reason)),
            SourceState::Lost { loss, reason, .. } => {
                let code = match loss {
                    Loss::Unreachable => "unreachable",
                    Loss::Stalled => "stalled",
                    Loss::Broken => "broken",
                };
                ("lost", Some(code), Some(reason))
            }
        };
        Self { state, code, reason: reason.cloned() }
    }
}

/// Degradation, as reported over HTTP.
#[derive(Clone, Debug, Serialize)]
pub struct Degraded {
    /// Level, 0 (none) to 3.
    pub level: u8,
    /// `heat`, `throttling` or `slowness`.
    pub cause: Option<&'static str>,
}

impl Snapshot {
    /// True while frames arrive. A source that connects again and again without a frame never counts
    /// as ready in between.
    pub fn is_ready(&self) -> bool {
        self.source == SourceState::Playing
    }

    /// Body of `/health` and `/ready`.
    pub fn health(&self) -> Health {
        Health {
            status: if self.is_ready() { "ok" } else { "impaired" },
            condition: self.condition(),
            uptime_s: self.uptime.as_secs(),
            frames: self.counts.get(Counter::FramesIn),
            masks: self.counts.get(Counter::MasksOut),
        }
    }

    /// State of the device without counters, as reported over HTTP.
    pub fn condition(&self) -> Condition {
        let state = |state: &str, reason: Option<&String>| StateAndReason {
            state: state.to_owned(),
            reason: reason.cloned(),
        };
        Condition {
            build: self.build.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            source: SourceCondition::from(&self.source),
            activity: match self.activity {
                Activity::Running => "running",
                Activity::Frozen => "frozen",
                Activity::Paused => "paused",
            },
            degradation: Degraded {
                level: self.degradation.map_or(0, |degradation| degradation.level),
                cause: self.degradation.map(|degradation| cause_name(degradation.cause)),
            },
            reload: match &self.builds {
                BuildState::Idle => state("idle", None),
                BuildState::Loading => state("loading", None),
                BuildState::Updating => state("updating", None),
                BuildState::Failed { reason } => state("failed", Some(reason)),
            },
            builds: self.offered.clone(),
            broker: self.broker,
            task_failures: self.failures.clone(),
        }
    }

    /// The MQTT message `status`.
    pub fn status(&self) -> Status {
        Status {
            source: match &self.source {
                SourceState::Starting => SourceStatus::Starting,
                SourceState::Playing => SourceStatus::Playing,
                SourceState::Refused { .. } => SourceStatus::Refused,
                SourceState::Lost { loss: Loss::Unreachable, .. } => SourceStatus::Unreachable,
                SourceState::Lost { loss: Loss::Stalled, .. } => SourceStatus::Stalled,
                SourceState::Lost { loss: Loss::Broken, .. } => SourceStatus::Broken,
                SourceState::Ended => SourceStatus::Ended,
            },
            activity: match self.activity {
                Activity::Running => medsa_wire::Activity::Running,
                Activity::Frozen => medsa_wire::Activity::Frozen,
                Activity::Paused => medsa_wire::Activity::Paused,
            },
            degradation: self.degradation,
            build: match &self.builds {
                BuildState::Idle => BuildStatus::Idle,
                BuildState::Loading => BuildStatus::Loading,
                BuildState::Updating => BuildStatus::Updating,
                BuildState::Failed { reason } => BuildStatus::Failed { reason: beginning(reason) },
            },
        }
    }

    /// The MQTT message `stats`; `latency` holds the stage latencies since the previous message.
    pub fn stats(&self, latency: &[StageLatency]) -> Stats {
        let count = |counter| self.counts.get(counter);
        Stats {
            uptime_ms: self.uptime.as_millis() as u64,
            frames_in: count(Counter::FramesIn),
            frames_segmented: count(Counter::FramesSegmented),
            frames_failed: count(Counter::FramesFailed),
            frames_dropped: self.counts.frames_dropped(),
            masks_out: count(Counter::MasksOut),
            refused_messages: count(Counter::MessagesRefused),
            masks_dropped: count(Counter::MasksDropped),
            masks_unpublished: count(Counter::MasksUnpublished),
            outbox_messages: self.outbox_messages,
            latency: latency.iter().cloned().collect(),
        }
    }
}

/// The state as one line, for people.
impl fmt::Display for Snapshot {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.source)?;
        match self.activity {
            Activity::Running => {}
            Activity::Frozen => to.write_str("; frozen")?,
            Activity::Paused => to.write_str("; paused")?,
        }
        if let Some(Degradation { level, cause }) = &self.degradation {
            write!(to, "; degraded to level {level} because of {}", cause_name(*cause))?;
        }
        match &self.builds {
            BuildState::Idle => Ok(()),
            BuildState::Loading => to.write_str("; another build is being loaded"),
            BuildState::Updating => to.write_str("; looking for a newer build"),
            BuildState::Failed { reason } => {
                write!(to, "; the last build was not accepted: {reason}")
            }
        }
    }
}

/// The MQTT message `info` of a device on `board` that runs `network`.
///
/// # Errors
/// [`medsa_engine::Error::Manifest`] if a text of the build is too long for the message.
pub fn info(
    board: &heapless::String<32>,
    network: &Network<Engine>,
) -> Result<Info, medsa_engine::Error> {
    let (build, input_size) = (&network.build, network.segmenter.preprocess().input_size);
    Ok(Info {
        build_name: bounded("name", &build.name)?,
        build_version: bounded("version", &build.version)?,
        build_sha256: build.sha256,
        board: board.clone(),
        edge_version: bounded("edge version", env!("CARGO_PKG_VERSION"))?,
        input_size_px: u16::try_from(input_size).map_err(|_| medsa_engine::Error::Manifest {
            key: "preprocess.input_size",
            found: input_size.to_string(),
            expected: "at most 65535".into(),
        })?,
    })
}

/// Converts a text for the message; one that is too long is an error.
fn bounded<const N: usize>(
    key: &'static str,
    text: &str,
) -> Result<heapless::String<N>, medsa_engine::Error> {
    heapless::String::try_from(text).map_err(|_| medsa_engine::Error::Manifest {
        key,
        found: text.to_owned(),
        expected: format!("a text of at most {N} bytes"),
    })
}

/// Cuts a text to the length that fits the message.
fn beginning(text: &str) -> heapless::String<MAX_REASON_LEN> {
    let mut beginning = heapless::String::new();
    // Stops at the first character that does not fit.
    let _ = text.chars().try_for_each(|c| beginning.push(c));
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reason_is_cut_between_characters() {
        let reason = beginning(&format!("x{}", "ß".repeat(100)));
        assert_eq!(reason.len(), 119);
        assert_eq!(beginning("short"), "short");
    }
}
