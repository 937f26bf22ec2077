//! Services of the hospital's network: the archive (PACS), to which records are sent (C-STORE, and
//! storage commitment if it is configured), the worklist of planned examinations (C-FIND), and reports of those that were
//! performed (MPPS).
//!
//! A thread sends one record after the other, the oldest first, and goes on after a restart where it
//! was. A record counts as sent when the archive has confirmed all its files, and as kept when the
//! archive has committed to all of them. Whatever fails on the way is tried again, except for what the
//! archive does not take at all.

mod archive;
mod error;
mod peer;
mod progress;
mod steps;
mod worklist;

pub use archive::{PacsArchive, start};
pub use error::Error;
pub use steps::{RisSteps, report};
pub use worklist::RisWorklist;
