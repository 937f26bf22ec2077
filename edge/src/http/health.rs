//! Whether the service does what it is for.

use serde_json::{Value, json};

use super::Observed;
use crate::mqtt::LinkState;
use crate::pipeline::Counter;
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
        "broker": broker(observed),
        "frames": meter.get(Counter::FramesIn),
        "masks": meter.get(Counter::MasksOut),
    });
    (well, report)
}

/// Whether the source does what it should, and how it is.
pub(super) fn source(observed: &Observed) -> (bool, Value) {
    let (well, state, reason) = match &*observed.source.borrow() {
        SourceState::Starting => (true, "starting", None),
        SourceState::Playing => (true, "playing", None),
        SourceState::Ended => (true, "ended", None),
        SourceState::Refused { reason } => (false, "refused", Some(reason.clone())),
        SourceState::Lost { reason, .. } => (false, "lost", Some(reason.clone())),
    };
    (well, json!({ "state": state, "reason": reason }))
}

/// Whether the broker is there.
pub(super) fn broker(observed: &Observed) -> &'static str {
    match *observed.broker.borrow() {
        LinkState::Up => "connected",
        LinkState::Down => "away",
    }
}
