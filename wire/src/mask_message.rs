//! Mask of one object on one frame: topic `mask/<object>`.

use serde::{Deserialize, Serialize};

use crate::mask::MAX_PAYLOAD_LEN;
use crate::message::{Checked, check_finite, check_range};
use crate::{MAX_OBJECT, Mask, Measurements, Message, WireError};

/// The mask of one object on one frame, with the data that a viewer needs to use or discard it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskMessage {
    /// Number of the frame, counted by the device from its start.
    pub frame_id: u64,
    /// Capture time of the frame, in microseconds since 1970-01-01 00:00 UTC.
    pub captured_us: u64,
    /// Time from capture to publication in microseconds, by the device's own clock. It gives the
    /// age of the mask even if the clocks of device and viewer differ.
    pub age_us: u32,
    /// Object number, 0 to [`MAX_OBJECT`].
    pub object: u8,
    /// Origin of the mask.
    pub state: MaskState,
    /// Intersection over union predicted by the network: for this mask, or for the earlier mask
    /// from which this one was followed. About 0 to 1, finite.
    pub score: f32,
    /// Intersection over union of the network's mask and the mask expected from following, the last
    /// time both existed: 0 to 1.
    pub agreement: Option<f32>,
    /// Width of the frame in pixels, at least 1.
    pub frame_width_px: u16,
    /// Height of the frame in pixels, at least 1.
    pub frame_height_px: u16,
    /// Measurements of the mask; `None` if it is empty.
    pub measured: Option<Measurements>,
    /// The mask, stretched over the whole frame.
    pub mask: Mask,
}

/// Origin of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MaskState {
    /// The network segmented this frame for the object's prompt.
    Segmented,
    /// An earlier mask, moved with the image; the network has not segmented this frame.
    Followed,
    /// The object was lost, and the mask is empty; prompt it again.
    Lost,
}

impl MaskMessage {
    /// Length of the longest encoding without the mask's payload: version; two varint(u64);
    /// varint(u32); object, state; f32; option and f32; two varint(u16); option and measurements;
    /// mask width and height (at most 256, two bytes each), coding, and the payload's length (at
    /// most 8192, two bytes).
    pub const MAX_HEADER_LEN: usize = (1 + 10 + 10 + 5 + 1 + 1 + 4 + 5 + 3 + 3)
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
