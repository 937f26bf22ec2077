//! MQTT interface of a device: topics, messages and the code for masks.
//!
//! Every payload is one format version byte followed by the [postcard] encoding of a message type.
//! `SPEC.md` in this crate describes the bytes completely, so that a decoder can be written in any
//! language.
//!
//! ```
//! use medsa_wire::{Mask, MaskMessage, MaskState, Message};
//!
//! let mask = Mask::from_bits(4, 2, [0, 1, 1, 0, 0, 1, 1, 0].map(|bit| bit == 1))?;
//! let message = MaskMessage {
//!     frame_id: 7,
//!     captured_us: 1_700_000_000_000_000,
//!     age_us: 45_000,
//!     object: 0,
//!     state: MaskState::Tracking,
//!     reason: None,
//!     segmented: true,
//!     score: 0.93,
//!     agreement: None,
//!     frame_width_px: 320,
//!     frame_height_px: 160,
//!     measured: None,
//!     mask,
//! };
//! let mut buffer = [0; MaskMessage::MAX_ENCODED_LEN];
//! let payload = message.encode(&mut buffer)?;
//! assert_eq!(MaskMessage::decode(payload)?, message);
//! # Ok::<(), medsa_wire::WireError>(())
//! ```
//!
//! **Architecture invariants:** no `std` and no allocation without the features `json` and `schema`, no
//! panic on any input. Every type is
//! bounded, so a buffer of [`Message::MAX_ENCODED_LEN`] bytes always holds the message. Values are
//! checked by both encoding and decoding: a message from [`Message::decode`] is valid.
//!
//! [postcard]: https://postcard.jamesmunns.com
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "json")]
extern crate std;

#[cfg(feature = "json")]
pub mod json;
pub mod topic;

mod command;
mod error;
mod info;
mod mask;
mod mask_message;
mod measurements;
mod message;
mod prompt;
mod record;
#[cfg(feature = "schema")]
mod schema;
mod stats;
mod status;

pub use command::Command;
pub use error::WireError;
pub use info::{Availability, Info};
pub use mask::{Bits, MAX_MASK_SIDE, MAX_PAYLOAD_LEN, Mask, MaskCoding};
pub use mask_message::{MaskMessage, MaskState, Reason};
pub use measurements::{MAX_CONTOUR_POINTS, Measurements, Physical, Position};
pub use message::{FORMAT_VERSION, Message};
pub use prompt::{MAX_POINTS, PromptBox, PromptChange, PromptMessage, PromptPoint};
pub use record::{
    DeletionReason, MAX_RECORD_ID_LEN, MAX_RECORD_OBJECTS, RecordDeleted, RecordMessage,
    RecordObject,
};
pub use stats::{FramesDropped, MAX_STAGES, Stage, StageLatency, Stats};
pub use status::{
    Activity, BuildStatus, Cause, Degradation, MAX_DEGRADATION, MAX_REASON_LEN, SourceStatus,
    Status,
};

/// Largest object number; objects are numbered from 0.
pub const MAX_OBJECT: u8 = 7;
