//! Devices in the field, reached by the system's `ssh`: status, rollback, and builds in waves.

mod commands;
mod each;
mod list;
mod message;
mod payload;
mod push;
mod report;
mod ssh;
mod table;

pub use commands::{rollback, status};
pub use list::Fleet;
pub use push::{Push, push};
