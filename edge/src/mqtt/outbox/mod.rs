//! Messages that must arrive, kept in a file until the broker has confirmed them.
//!
//! A message goes out at least once, in the order of the outbox: it comes twice when the
//! connection or the process ends between its arrival at the broker and its deletion here.

mod courier;
mod open;
mod records;
mod store;

pub use courier::Courier;
pub use records::RecordOutbox;
pub use store::{Delivered, MAX_MESSAGE_BYTES, MAX_NAMES, Outbox};
