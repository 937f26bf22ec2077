//! Messages that must arrive, kept in a file until the broker has confirmed them.
//!
//! A message is delivered at least once, in the order of the outbox. It is delivered twice if the
//! connection or the process ends after it reached the broker and before it is deleted here.

mod courier;
mod open;
mod records;
mod store;

pub use courier::Courier;
pub use records::RecordOutbox;
pub use store::{Delivered, MAX_MESSAGE_BYTES, MAX_NAMES, Outbox};
