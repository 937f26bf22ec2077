//! Current state of the device: topic `status`, retained.

use heapless::String;
use serde::{Deserialize, Serialize};

use crate::message::{Checked, check_range};
use crate::{Message, WireError};

/// Longest reason in a [`Status`], in bytes.
pub const MAX_REASON_LEN: usize = 120;

/// Highest level of a [`Degradation`].
pub const MAX_DEGRADATION: u8 = 3;

/// State of the device, published when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// State of the frame source.
    pub source: SourceStatus,
    /// Handling of frames.
    pub activity: Activity,
    /// Degradation of the service; `None` if it runs without restrictions.
    pub degradation: Option<Degradation>,
    /// State of a build change.
    pub build: BuildStatus,
}

/// State of the frame source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum SourceStatus {
    /// The device is connecting, or waiting for the first frame.
    Starting,
    /// Frames arrive.
    Playing,
    /// Frames arrive for which the device is not configured; they are not used.
    Refused,
    /// The source cannot be connected; the device keeps trying.
    Unreachable,
    /// The source is connected, but no undamaged frame arrived for too long.
    Stalled,
    /// The source or its connection ended; the device keeps trying.
    Broken,
    /// The last frame of a recording was played.
    Ended,
}

/// Handling of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Activity {
    /// Frames are segmented.
    Running,
    /// The current frame stays and is segmented for prompts.
    Frozen,
    /// Frames are dropped, and prompts are not segmented.
    Paused,
}

/// Degradation of the service under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Degradation {
    /// Level, 1 to 3; each level includes the previous ones. 1: every other frame
    /// to segment is only followed. 2: a smaller build is used, if there is one. 3: three of four
    /// frames are only followed.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_DEGRADATION)))]
    pub level: u8,
    /// Cause of the degradation.
    pub cause: Cause,
}

/// Cause of a degradation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Cause {
    /// The processor is hot.
    Heat,
    /// The processor's clock is reduced because of heat or low supply voltage.
    Throttling,
    /// The encoder takes longer than allowed.
    Slowness,
}

/// State of a build change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BuildStatus {
    /// No change is in progress.
    Idle,
    /// A build is being loaded and tested.
    Loading,
    /// The last build was refused, and the previous one stays in use.
    Failed {
        /// Reason, truncated to 120 bytes.
        #[cfg_attr(feature = "schema", schemars(with = "str", length(max = MAX_REASON_LEN)))]
        reason: String<MAX_REASON_LEN>,
    },
    /// A newer build is being looked for, fetched and tested.
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
