//! Updates of adapter builds: a [`Repository`] with signatures of The Update Framework, a
//! [`Client`] that verifies it, and two [`Slots`], of which an update never touches the one in use.
//!
//! An update is [`Client::look`], [`Listing::find`], [`Listing::stage`] with the acceptance test of
//! the device, and [`Slots::switch`]. A service that runs from the slots notices the switch.
//!
//! **Architecture invariant:** this crate knows no network runtime: the caller runs the acceptance
//! test of a build, with [`ask()`] if a program does so.
#![forbid(unsafe_code)]

mod ask;
mod choice;
mod client;
mod disk;
mod durable;
mod error;
mod owner;
mod repository;
mod slots;
mod state;
mod status;
mod stored;
mod transport;
mod trust;

pub use ask::ask;
pub use choice::Choice;
pub use client::{Client, Listing, Source, WithoutClock, address};
pub use disk::{Disk, Folder};
pub use error::Error;
pub use owner::continue_as_owner;
pub use repository::{Repository, Role, Terms};
pub use slots::{Offer, Permit, Running, Slots, TRIAL_STARTS};
pub use state::{Installed, Name, Phase, SlotRole, State};
pub use status::{
    DeviceStatus, HealthStatus, PhaseStatus, SlotStatus, SlotsStatus, StateAndReason,
};
