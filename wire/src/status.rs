//! How the device is at present: topic `status`, retained.

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::message::{Checked, check_range};
use crate::{Message, WireError};

/// Longest reason in a [`Status`], in bytes.
pub const MAX_REASON_LEN: usize = 120;

/// Highest level of a [`Degradation`].
pub const MAX_DEGRADATION: u8 = 3;

/// How the device is, told when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How the source of frames is.
    pub source: SourceStatus,
    /// What is done with the frames.
    pub activity: Activity,
    /// What was given up to go on at all; `None` of a device that does all it can.
    pub degradation: Option<Degradation>,
    /// Whether another build is about to take over.
    pub build: BuildStatus,
}

/// How the source of frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SourceStatus {
    /// It is being connected, or its first frame is awaited.
    Starting,
    /// Frames come.
    Playing,
    /// Frames come that the device is not set up for; none is used.
    Refused,
    /// It cannot be connected; the device goes on trying, as after every loss.
    Unreachable,
    /// It was lost: it is there, but no undamaged frame came for too long.
    Stalled,
    /// It was lost: it ended, or its connection did.
    Broken,
    /// The last frame of a recording was played.
    Ended,
}

/// What is done with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activity {
    /// They are segmented.
    Running,
    /// The frame that is there stays, and prompts are answered on it.
    Frozen,
    /// They are dropped, and prompts are not answered.
    Paused,
}

/// What was given up to go on at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degradation {
    /// 1 to [`MAX_DEGRADATION`]; each holds what the one before does. 1: every other frame that
    /// would be segmented is only followed; 2: a smaller build segments, where there is one;
    /// 3: three of four frames are only followed.
    pub level: u8,
    /// Why.
    pub cause: Cause,
}

/// Why something was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The processor is hot.
    Heat,
    /// The processor's clock is held down, for heat or for want of power.
    Throttling,
    /// The encoder takes longer than it may.
    Slowness,
}

/// Whether another build is about to take over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildStatus {
    /// None is.
    Idle,
    /// One is being loaded and tested.
    Loading,
    /// The last one was not taken, and the one before goes on.
    Failed {
        /// Why, as far as it fits.
        reason: String<MAX_REASON_LEN>,
    },
    /// A newer one is being looked for, fetched and tested.
    Updating,
}

impl Message for Status {
    const NAME: &'static str = "status";
    /// Version; two variants; an option of level and variant; variant and a text with one length
    /// byte.
    const MAX_ENCODED_LEN: usize = 1 + 2 + (1 + 1 + 1) + 1 + (1 + MAX_REASON_LEN);
}

impl Checked for Status {
    fn check(&self) -> Result<(), WireError> {
        let level = self.degradation.map_or(1, |degradation| degradation.level);
        check_range("status.degradation.level", level, 1u8, MAX_DEGRADATION)
    }
}
