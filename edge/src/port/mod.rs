//! The port between the core and its adapters (HTTP, MQTT, records, updates).
//!
//! In: [`Control`] applies prompts and commands from all adapters. Out: [`Observer`] takes a
//! [`Snapshot`] of the device's state; every report is derived from it: the messages `status`,
//! `info` and `stats`, `/health`, `/ready`, `/metrics`, the page, and the status line for systemd. Adapters
//! do not depend on each other; interfaces between them are traits here.
//!
//! **Architecture invariant:** adapters see the core only through this module, which re-exports the
//! values of the core that they handle.

mod announcements;
mod archive;
mod builds;
mod captures;
mod control;
mod failures;
mod names;
mod observer;
mod refusal;
mod snapshot;
mod study;

pub use announcements::{Announcements, Upload};
pub use archive::{Archive, Progress};
pub use builds::{Activate, BuildState, Builds, OfferedBuild, Switch};
pub use captures::{
    CaptureSummary, Captures, Copied, Deletion, Described, DescribedObject, DescribedPatient,
    Requester, Subject, Trigger,
};
pub use control::Control;
pub use failures::{Failures, TaskFailures};
pub use names::Names;
pub use observer::Observer;
pub(crate) use observer::change;
pub use refusal::Refusal;
pub use snapshot::{Condition, Health, LinkState, Snapshot, info};
pub use study::{
    Planned, PlannedExamination, Steps, Studies, Study, StudyDetails, StudySeries, Worklist,
};

pub use crate::pipeline::{
    Activity, BuildIdentity, Change, Cine, CineExtent, CineFrame, FollowedFrame, Network,
    NewestMasks, NoShot, NotShown, Objects, QueuedMask, Recent, Role, Shot, ShotObject, Slot,
};
pub use crate::source::SourceState;
