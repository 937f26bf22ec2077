//! Mask of one object on one frame: topic `mask/<object>`.

use serde::{Deserialize, Serialize};

use crate::mask::MAX_PAYLOAD_LEN;
use crate::message::{Checked, check_finite, check_range};
use crate::{MAX_OBJECT, Mask, Measurements, Message, WireError};

/// The mask of one object on one frame, with the data that a viewer needs to use or discard it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MaskMessage {
    /// Number of the frame, counted by the device from its start.
    pub frame_id: u64,
    /// Capture time of the frame, in microseconds since 1970-01-01 00:00 UTC.
    pub captured_us: u64,
    /// Time from capture to publication in microseconds, by the device's own clock. It gives the
    /// age of the mask even if the clocks of device and viewer differ.
    pub age_us: u32,
    /// Object number, 0 to 7.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_OBJECT)))]
    pub object: u8,
    /// Certainty that the mask shows the object.
    pub state: MaskState,
    /// Reason why the object is uncertain or lost, or that it was found again.
    pub reason: Option<Reason>,
    /// True if the network segmented this frame; false for an earlier mask that moves with the
    /// image.
    pub segmented: bool,
    /// Intersection over union predicted by the network: for this mask, or for the earlier mask
    /// from which this one was followed. About 0 to 1, finite.
    pub score: f32,
    /// Intersection over union of the network's mask and the mask expected from following, the last
    /// time both existed: 0 to 1.
    pub agreement: Option<f32>,
    /// Width of the frame in pixels, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub frame_width_px: u16,
    /// Height of the frame in pixels, at least 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub frame_height_px: u16,
    /// Measurements of the mask; `None` if it is empty.
    pub measured: Option<Measurements>,
    /// The mask, stretched over the whole frame.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Mask"))]
    pub mask: Mask,
}

/// Certainty that a mask shows the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum MaskState {
    /// The object is followed, and the network confirms it.
    Tracking,
    /// The mask may be wrong; see the reason.
    Uncertain,
    /// The object is not shown, and the mask is empty. The device goes on looking for it.
    Lost,
}

/// Reason why an object is uncertain or lost, or that it was found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Reason {
    /// It was lost, and this is the first mask since then.
    FoundAgain,
    /// The network's last masks for it were elsewhere, or looked different.
    NotConfirmed,
    /// It has left the frame.
    LeftFrame,
    /// The image changed completely.
    ImageChanged,
    /// Its area changed suddenly.
    AreaJump,
    /// The mask has several parts of similar size.
    SeveralParts,
    /// The mask reaches the border of the frame.
    AtBorder,
    /// The mask and the prompted box differ.
    OutsideBox,
}

impl MaskMessage {
    /// Length of the longest encoding without the mask's payload: version; two varint(u64);
    /// varint(u32); object, state; option and reason; segmented; f32; option and f32; two varint(u16); option and measurements;
    /// mask width and height (at most 256, two bytes each), coding, and the payload's length (at
    /// most 8192, two bytes).
    pub const MAX_HEADER_LEN: usize = (1 + 10 + 10 + 5 + 1 + 1 + 2 + 1 + 4 + 5 + 3 + 3)
        + (1 + Measurements::MAX_ENCODED_LEN)
        + (2 + 2 + 1 + 2);
}

impl Message for MaskMessage {
    const NAME: &'static str = "mask";
    const MAX_ENCODED_LEN: usize = Self::MAX_HEADER_LEN + MAX_PAYLOAD_LEN;
}

impl Checked for MaskMessage {
    fn check(&self) -> Result<(), WireError> {
        check_range("mask.object", self.object, 0u8, MAX_OBJECT)?;
        check_finite("mask.score", self.score)?;
        check_range("mask.frame_width_px", self.frame_width_px, 1u8, u16::MAX)?;
        check_range("mask.frame_height_px", self.frame_height_px, 1u8, u16::MAX)?;
        let frame_area_px = u64::from(self.frame_width_px) * u64::from(self.frame_height_px);
        if let Some(agreement) = self.agreement {
            check_finite("mask.agreement", agreement)?;
        }
        if let Some(measured) = &self.measured {
            measured.check(frame_area_px)?;
        }
        self.mask.check()
    }
}
