//! Builds of this device: loading, replacing while frames are segmented, and supervision of the
//! slots.

mod build;
mod error;
mod reload;
mod slots;
mod supervisor;

pub(crate) use build::{BuildFile, Loaded};
pub use error::Error;
pub use reload::Reloader;
pub(crate) use slots::{file_in_use, open as open_slots, state_if_slots as slots_state, to_start};
pub use supervisor::UpdateSupervisor;
