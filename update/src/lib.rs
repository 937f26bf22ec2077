//! How another adapter build gets onto a device, and what happens when that goes wrong: a
//! [`Repository`] that is signed as The Update Framework says, a [`Client`] that believes nothing
//! else, and two [`Slots`], of which one is never touched.
//!
//! An update is [`Client::look`], [`Listing::find`], [`Listing::stage`] with what lets the build
//! answer on the device, and [`Slots::switch`]. A service that runs from the slots notices.
//!
//! **Architecture invariant:** this crate knows no network runtime: whether a build answers well
//! is asked of the caller, for whom [`ask`] asks a program.
#![forbid(unsafe_code)]

mod ask;
mod client;
mod disk;
mod error;
mod owner;
mod repository;
mod sealed;
mod slots;
mod state;
mod transport;
mod trust;

pub use ask::ask;
pub use client::{Client, Listing, Source, WithoutClock, address};
pub use disk::{Disk, Folder};
pub use error::Error;
pub use owner::continue_as_owner;
pub use repository::{Repository, Role, Terms};
pub use slots::{Offer, Permit, Running, Slots, TRIAL_STARTS};
pub use state::{Installed, Name, Phase, Standing, State};
