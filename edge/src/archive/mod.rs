//! Sends records to the archive of the hospital (PACS): C-STORE, and storage commitment if it is
//! configured.
//!
//! A thread sends one record after the other, the oldest first, and goes on after a restart where it
//! was. A record counts as sent when the archive has confirmed all its files, and as kept when the
//! archive has committed to all of them. Whatever fails on the way is tried again, except for what the
//! archive does not take at all.

mod error;
mod progress;
mod sender;

pub use error::Error;
pub use sender::{PacsArchive, start};
