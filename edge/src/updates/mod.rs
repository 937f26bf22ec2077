//! Builds of this device: loading, choosing, replacing while frames are segmented, and supervision
//! of the slots.

mod build;
mod error;
mod others;
mod progress;
mod reload;
mod shelf;
mod slots;
mod start;
mod supervisor;

pub(crate) use build::{BuildFile, Loaded};
pub use error::Error;
pub(crate) use others::{file_of as other_file, names as other_names};
pub use reload::Reloader;
pub(crate) use shelf::MAIN;
pub(crate) use slots::{file_in_use, open as open_slots, state_if_slots as slots_state};
pub(crate) use start::{Started, start};
pub use supervisor::UpdateSupervisor;
