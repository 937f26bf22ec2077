//! How another adapter build gets onto a device, and what happens when that goes wrong: two slots,
//! of which one is never touched.
//!
//! **Architecture invariant:** this crate knows no network runtime: whether a build answers well
//! is asked of the caller.
#![forbid(unsafe_code)]

mod disk;
mod error;
mod slots;
mod state;

pub use disk::{Disk, Folder};
pub use error::Error;
pub use slots::{Offer, Permit, Running, Slots, TRIAL_STARTS};
pub use state::{Installed, Name, Phase, State};
