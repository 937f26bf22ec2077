//! How the service is, for all who are told.

use std::fmt;
use std::future::pending;

use medsa_wire::{BuildStatus, Cause, Degradation, MAX_REASON_LEN, SourceStatus, Status};
use tokio::sync::watch;

use super::reload::BuildState;
use crate::pipeline::Activity;
use crate::source::{Loss, SourceState};

/// Where all of it comes from.
#[derive(Clone)]
pub struct Statuses {
    /// How the source is.
    pub source: watch::Receiver<SourceState>,
    /// What is done with frames.
    pub activity: watch::Receiver<Activity>,
    /// What was given up.
    pub degradation: watch::Receiver<Option<Degradation>>,
    /// Whether another build is about to take over.
    pub build: watch::Receiver<BuildState>,
}

impl Statuses {
    /// All of it, now.
    pub fn now(&self) -> Status {
        Status {
            source: match &*self.source.borrow() {
                SourceState::Starting => SourceStatus::Starting,
                SourceState::Playing => SourceStatus::Playing,
                SourceState::Refused { .. } => SourceStatus::Refused,
                SourceState::Lost { loss: Loss::Unreachable, .. } => SourceStatus::Unreachable,
                SourceState::Lost { loss: Loss::Stalled, .. } => SourceStatus::Stalled,
                SourceState::Lost { loss: Loss::Broken, .. } => SourceStatus::Broken,
                SourceState::Ended => SourceStatus::Ended,
            },
            activity: match *self.activity.borrow() {
                Activity::Running => medsa_wire::Activity::Running,
                Activity::Frozen => medsa_wire::Activity::Frozen,
                Activity::Paused => medsa_wire::Activity::Paused,
            },
            degradation: *self.degradation.borrow(),
            build: match &*self.build.borrow() {
                BuildState::Idle => BuildStatus::Idle,
                BuildState::Loading => BuildStatus::Loading,
                BuildState::Updating => BuildStatus::Updating,
                BuildState::Failed { reason } => BuildStatus::Failed { reason: beginning(reason) },
            },
        }
    }

    /// Waits until something changes.
    pub async fn changed(&mut self) {
        let Self { source, activity, degradation, build } = self;
        tokio::select! {
            () = change(source) => {}
            () = change(activity) => {}
            () = change(degradation) => {}
            () = change(build) => {}
        }
    }
}

/// Waits for a change; for ever when none can come, as of a source that has ended.
pub(super) async fn change<T>(of: &mut watch::Receiver<T>) {
    if of.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// In one line, for people.
impl fmt::Display for Statuses {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", *self.source.borrow())?;
        match *self.activity.borrow() {
            Activity::Running => {}
            Activity::Frozen => to.write_str("; frozen")?,
            Activity::Paused => to.write_str("; paused")?,
        }
        if let Some(Degradation { level, cause }) = &*self.degradation.borrow() {
            write!(to, "; degraded to level {level} because of {}", cause_name(*cause))?;
        }
        match &*self.build.borrow() {
            BuildState::Idle => Ok(()),
            BuildState::Loading => to.write_str("; another build is being loaded"),
            BuildState::Updating => to.write_str("; a newer build is being looked for"),
            BuildState::Failed { reason } => write!(to, "; the last build was not taken: {reason}"),
        }
    }
}

/// What people call a cause.
pub(crate) fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Heat => "heat",
        Cause::Throttling => "throttling",
        Cause::Slowness => "slowness",
    }
}

/// As much of a text as fits.
fn beginning(text: &str) -> heapless::String<MAX_REASON_LEN> {
    let mut beginning = heapless::String::new();
    // Until one does not fit.
    let _ = text.chars().try_for_each(|c| beginning.push(c));
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let reason = beginning(&format!("x{}", "ß".repeat(100)));
        assert_eq!(reason.len(), 119);
        assert_eq!(beginning("short"), "short");
    }
}
