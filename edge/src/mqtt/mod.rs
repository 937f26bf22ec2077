//! The MQTT adapter: a connection that reconnects ([`Link`]), incoming prompts and commands
//! (`inbox`), outgoing masks, statistics and state (`publisher`, `announcer`), and announcements
//! of records, which must arrive ([`outbox`]).
//!
//! MQTT 3.1.1 and 5 are behind one client. Sessions are always clean: a persistent one would
//! deliver, minutes later, prompts meant for another image. Messages that must arrive wait in the
//! device's own outbox, which needs no session.

mod access;
mod announcer;
mod client;
mod connection;
mod embedded;
mod error;
mod inbox;
mod link;
mod lost;
mod message;
mod messages;
mod options;
pub mod outbox;
mod publisher;
mod receipt;
mod session;

pub use access::Credentials;
pub use announcer::Announcer;
pub use client::{Client, Connection, LinkEnded};
pub use embedded::Embedded;
pub use error::Error;
pub use inbox::Inbox;
pub use link::{Link, LinkEvent};
pub use lost::LossCause;
pub use message::{Delivery, Message, Properties, Retention};
pub use messages::Messages;
pub use options::LinkOptions;
pub use outbox::RecordOutbox;
pub use publisher::Publisher;
pub use receipt::{NotQueued, Receipt, Unconfirmed};
pub use session::Session;
