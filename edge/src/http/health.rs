//! Whether the service does what it is for.

use medsa_wire::Degradation;
use serde_json::{Value, json};

use super::Observed;
use crate::mqtt::LinkState;
use crate::pipeline::{Activity, Counter};
use crate::service::{BuildState, cause_name};
use crate::source::SourceState;

/// Whether frames come, and a report. A broker that is away is reported and no illness: the
/// service goes on without it.
pub(super) fn report(observed: &Observed) -> (bool, Value) {
    let (well, source) = source(observed);
    let meter = &observed.meter;
    let report = json!({
        "status": if well { "ok" } else { "impaired" },
        "build": observed.build(),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": meter.uptime().as_secs(),
        "source": source,
        "activity": activity(*observed.statuses.activity.borrow()),
        "degradation": degradation(observed),
        "reload": reload(observed),
        "broker": broker(observed),
        "frames": meter.get(Counter::FramesIn),
        "masks": meter.get(Counter::MasksOut),
    });
    (well, report)
}

/// Whether the source does what it should, and how it is.
pub(super) fn source(observed: &Observed) -> (bool, Value) {
    let (well, state, reason) = match &*observed.statuses.source.borrow() {
        SourceState::Starting => (true, "starting", None),
        SourceState::Playing => (true, "playing", None),
        SourceState::Ended => (true, "ended", None),
        SourceState::Refused { reason } => (false, "refused", Some(reason.clone())),
        SourceState::Lost { reason, .. } => (false, "lost", Some(reason.clone())),
    };
    (well, json!({ "state": state, "reason": reason }))
}

/// What is done with frames.
pub(super) fn activity(activity: Activity) -> &'static str {
    match activity {
        Activity::Running => "running",
        Activity::Frozen => "frozen",
        Activity::Paused => "paused",
    }
}

/// What is given up, and why.
pub(super) fn degradation(observed: &Observed) -> Value {
    match *observed.statuses.degradation.borrow() {
        None => json!({ "level": 0, "cause": null }),
        Some(Degradation { level, cause }) => json!({ "level": level, "cause": cause_name(cause) }),
    }
}

/// Whether another build is about to take over.
pub(super) fn reload(observed: &Observed) -> Value {
    let (state, reason) = match &*observed.statuses.build.borrow() {
        BuildState::Idle => ("idle", None),
        BuildState::Loading => ("loading", None),
        BuildState::Updating => ("updating", None),
        BuildState::Failed { reason } => ("failed", Some(reason.clone())),
    };
    json!({ "state": state, "reason": reason })
}

/// Whether the broker is there.
pub(super) fn broker(observed: &Observed) -> &'static str {
    match *observed.broker.borrow() {
        LinkState::Up => "connected",
        LinkState::Down => "away",
    }
}
