//! Prompts: topic `prompt`.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::message::{Checked, check_finite, check_range};
use crate::{MAX_OBJECT, Message, WireError};

/// Largest number of points in one prompt.
pub const MAX_POINTS: usize = 16;

/// Changes the prompt of one object.
///
/// Coordinates are pixels of the newest frame; (0, 0) is the centre of the top left pixel. Only the
/// device can check whether they are inside the frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct PromptMessage {
    /// Object number, 0 to 7.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_OBJECT)))]
    pub object: u8,
    /// Change of the object's prompt.
    pub change: PromptChange,
}

/// Change of an object's prompt.
// The large variant is the most frequent one, and there is no heap.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub enum PromptChange {
    /// Replaces the prompt; needs at least one point or a box.
    Set {
        /// Points on the object or outside it.
        #[cfg_attr(feature = "schema", schemars(with = "[PromptPoint]", length(max = MAX_POINTS)))]
        points: Vec<PromptPoint, MAX_POINTS>,
        /// Box around the object.
        bbox: Option<PromptBox>,
    },
    /// Removes the prompt; the object is no longer segmented.
    Clear,
    /// Adds a point to the current prompt, or starts a prompt with it.
    Add(PromptPoint),
    /// Undoes the last change, as far as the device remembers.
    Undo,
    /// Makes the last undone change again, unless another change was made since.
    Redo,
}

/// A point on an object or outside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct PromptPoint {
    /// Horizontal position in frame pixels.
    pub x: f32,
    /// Vertical position in frame pixels.
    pub y: f32,
    /// True if the point is on the object.
    pub positive: bool,
}

/// An upright box, `x0 < x1` and `y0 < y1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct PromptBox {
    /// Left edge in frame pixels.
    pub x0: f32,
    /// Top edge in frame pixels.
    pub y0: f32,
    /// Right edge in frame pixels.
    pub x1: f32,
    /// Bottom edge in frame pixels.
    pub y1: f32,
}

impl Message for PromptMessage {
    const NAME: &'static str = "prompt";
    /// Version, object, variant; point count and points of two f32 and a bool; option and box.
    const MAX_ENCODED_LEN: usize = 1 + 1 + 1 + (1 + MAX_POINTS * 9) + (1 + 16);
}

impl Checked for PromptMessage {
    fn check(&self) -> Result<(), WireError> {
        check_range("prompt.object", self.object, 0u8, MAX_OBJECT)?;
        match &self.change {
            PromptChange::Set { points, bbox } => {
                if points.is_empty() && bbox.is_none() {
                    return Err(WireError::PromptsNothing);
                }
                points.iter().try_for_each(check_point)?;
                bbox.as_ref().map_or(Ok(()), check_box)
            }
            PromptChange::Add(point) => check_point(point),
            PromptChange::Clear | PromptChange::Undo | PromptChange::Redo => Ok(()),
        }
    }
}

fn check_point(point: &PromptPoint) -> Result<(), WireError> {
    check_finite("prompt.points.x", point.x)?;
    check_finite("prompt.points.y", point.y)
}

fn check_box(&PromptBox { x0, y0, x1, y1 }: &PromptBox) -> Result<(), WireError> {
    for edge in [x0, y0, x1, y1] {
        check_finite("prompt.box", edge)?;
    }
    if x0 < x1 && y0 < y1 { Ok(()) } else { Err(WireError::InvertsBox { x0, y0, x1, y1 }) }
}
