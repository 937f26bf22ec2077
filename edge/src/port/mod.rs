//! The one port between the core and its adapters (HTTP, MQTT, records, updates).
//!
//! In: [`Control`] applies prompts and commands, wherever they come from. Out: [`Observer`] takes a
//! [`Snapshot`] of the device's state, of which every report is a projection: the messages `status`,
//! `info` and `stats`, `/health`, `/metrics`, the page, and the line for systemd. Adapters do not
//! know each other; what one needs of another is a trait here.

mod announcements;
mod builds;
mod captures;
mod control;
mod failures;
pub(crate) mod json;
mod observer;
mod snapshot;

pub use announcements::{Announcements, Upload};
pub use builds::{BuildState, Builds, Taking};
pub use captures::{CaptureSummary, Captures, Described, DescribedObject, Trigger};
pub use control::Control;
pub use failures::{Failures, TaskFailures};
pub use observer::Observer;
pub(crate) use observer::change;
pub use snapshot::{Condition, Health, LinkState, Snapshot, info};
