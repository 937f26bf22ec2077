//! Conversion of logits to published masks and their messages.

use medsa_wire::{Mask, MaskMessage, MaskState, Measurements, Physical, Position, Reason};
use ndarray::s;

use super::error::Error;
use super::object::Shown;
use crate::measure::Measured;
use crate::source::Captured;

/// Message about an object that was found on a frame.
///
/// # Errors
/// [`Error::Wire`] if the frame is too large for a message.
pub(super) fn mask(
    captured: &Captured,
    object: u8,
    segmented: bool,
    shown: &Shown,
) -> Result<Box<MaskMessage>, Error> {
    let (height, width) = shown.logits.dim();
    let (part_width, part_height) = shown.geometry.mask_size((width, height));
    let part = shown.logits.slice(s![..part_height, ..part_width]);
    let cells = part.iter().map(|&logit| logit > 0.0);
    let in_frame = shown.geometry.logits_in_frame(shown.logits.view());
    let measured = Measured::of(in_frame.view(), captured.frame.pixel_spacing_mm.as_ref());
    let mask = Mask::from_bits(side(part_width), side(part_height), cells)?;
    let measured = measured.as_ref().map(measurements);
    Ok(Box::new(MaskMessage {
        state: shown.state,
        reason: shown.reason,
        segmented,
        score: shown.score,
        agreement: shown.agreement,
        measured,
        ..empty(captured, object, mask)
    }))
}

/// Message about a lost object, with the reason.
///
/// # Errors
/// As [`mask`].
pub(super) fn lost(
    captured: &Captured,
    object: u8,
    reason: Reason,
) -> Result<Box<MaskMessage>, Error> {
    let empty = empty(captured, object, Mask::from_bits(1, 1, [false])?);
    Ok(Box::new(MaskMessage { reason: Some(reason), segmented: true, ..empty }))
}

fn empty(captured: &Captured, object: u8, mask: Mask) -> MaskMessage {
    let frame = &captured.frame;
    MaskMessage {
        frame_id: captured.frame_id,
        captured_us: captured.captured_us,
        age_us: 0,
        object,
        state: MaskState::Lost,
        reason: None,
        segmented: false,
        score: 0.0,
        agreement: None,
        frame_width_px: side(frame.width as usize),
        frame_height_px: side(frame.height as usize),
        measured: None,
        mask,
    }
}

fn measurements(measured: &Measured) -> Measurements {
    let position = |[x, y]: [f32; 2]| Position { x, y };
    Measurements {
        parts: measured.parts,
        area_px: measured.area_px,
        centroid_px: position(measured.centroid_px),
        longest_px: measured.longest_px,
        shortest_px: measured.shortest_px,
        physical: measured.physical.map(|physical| Physical {
            area_mm2: physical.area_mm2,
            longest_mm: physical.longest_mm,
            shortest_mm: physical.shortest_mm,
        }),
        // Invariant: the contour was limited to the capacity of the message.
        contour_px: measured.contour_px.iter().copied().map(position).collect(),
    }
}

/// Converts a side; one too long for a message becomes 0, which the check of the message refuses.
fn side(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(0)
}
