//! Input of a record.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use medsa_frames::{Frame, MAX_SIDE_PX, PixelSpacing};
use medsa_sam::prompt::Prompt;
use medsa_wire::topic::{DeviceId, ObjectId};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::config::{Deidentification, UserName};
use crate::measure::Measured;
use crate::port::{BuildIdentity, CineFrame, Study, Trigger};

/// A frame that a user wants to keep, with all that was known about it at that moment.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The frame.
    pub frame: Frame,
    /// Deidentification state of the pixels.
    pub deidentification: Deidentification,
    /// Time of capture, in microseconds since 1970-01-01 00:00 UTC.
    pub captured_us: u64,
    /// Number of the frame since the start of the service.
    pub frame_id: u64,
    /// Origin of the request.
    pub trigger: Trigger,
    /// User who was signed in at the screen; `None` without users, and for other origins.
    pub operator: Option<UserName>,
    /// Patient and examination; `None` if no study was open.
    pub study: Option<Study>,
    /// Name of the device.
    pub device: DeviceId,
    /// Name of the board.
    pub board: String,
    /// Version of medsa-edge.
    pub edge_version: String,
    /// Build that segmented the frame.
    pub build: BuildIdentity,
    /// Objects, at most one per number.
    pub objects: Vec<CapturedObject>,
    /// Frames before and after it, if they are kept, too.
    pub clip: Vec<CineFrame>,
    /// Names that the user gave to objects, by number.
    pub names: BTreeMap<u8, String>,
}

/// One structure on the frame.
#[derive(Clone, Debug)]
pub struct CapturedObject {
    /// Number of the object.
    pub object: ObjectId,
    /// Name of the structure.
    pub label: String,
    /// Mask `[H, W]`, of the size of the frame.
    pub mask: Array2<bool>,
    /// Prompt of the user.
    pub prompt: Prompt,
    /// Intersection over union that the network predicts for the mask, about 0 to 1.
    pub score: f32,
    /// Number of the frame that the mask was made for. A screen may show a mask for a moment on the
    /// next frame.
    pub frame_id: u64,
    /// Origin of the mask.
    pub state: ObjectState,
    /// Measurements of the mask; `None` for an empty one.
    pub measured: Option<Measured>,
}

/// Origin of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectState {
    /// The network segmented the frame of the mask.
    Segmented,
    /// Optical flow moved the last mask of the network to the frame of the mask.
    Followed,
    /// The mask may be wrong, and was shown as uncertain.
    Uncertain,
}

/// Name of the structure of an object: that of the user, or of a build with a single one.
pub(super) fn label(names: &BTreeMap<u8, String>, build: &BuildIdentity, object: u8) -> String {
    match (names.get(&object), &build.classes[..]) {
        (Some(name), _) => name.clone(),
        (None, [class]) => class.clone(),
        (None, _) => format!("object {object}"),
    }
}

impl Capture {
    /// Checks that the capture may be stored and is consistent; returns its time of capture.
    pub(super) fn check(&self) -> Result<DateTime<Utc>, Error> {
        let clip = self.clip.iter().map(CineFrame::deidentification);
        if clip.chain([self.deidentification]).any(|state| state == Deidentification::Unmasked) {
            return Err(Error::NotDeidentified);
        }
        let Frame { width, height, rgb, pixel_spacing_mm } = &self.frame;
        for (key, side) in [("frame.width", *width), ("frame.height", *height)] {
            expect((1..=MAX_SIDE_PX).contains(&side), key, side, || format!("1 to {MAX_SIDE_PX}"))?;
        }
        let pixels = *width as usize * *height as usize;
        expect(rgb.len() == 3 * pixels, "frame.rgb", format!("{} bytes", rgb.len()), || {
            format!("{} for {width} x {height} px", 3 * pixels)
        })?;
        for mm in pixel_spacing_mm.iter().flat_map(spacings) {
            expect(mm.is_finite() && mm > 0.0, "frame.pixel_spacing_mm", mm, || {
                "a finite number above 0".into()
            })?;
        }
        self.check_objects()?;
        self.captured()
    }

    fn check_objects(&self) -> Result<(), Error> {
        let size = (self.frame.height as usize, self.frame.width as usize);
        for (i, CapturedObject { object, mask, score, .. }) in self.objects.iter().enumerate() {
            let key = |name: &str| format!("objects[{i}].{name}");
            let others = &self.objects[..i];
            expect(
                others.iter().all(|o| o.object != *object),
                key("object"),
                object.get(),
                || "a number that no other object uses".into(),
            )?;
            expect(mask.dim() == size, key("mask"), format!("{:?}", mask.dim()), || {
                format!("{size:?}, the rows and columns of the frame")
            })?;
            expect(score.is_finite(), key("score"), score, || "a finite number".into())?;
        }
        Ok(())
    }

    fn captured(&self) -> Result<DateTime<Utc>, Error> {
        let captured = i64::try_from(self.captured_us).ok();
        let captured = captured.and_then(DateTime::from_timestamp_micros);
        // DICOM writes years with four digits.
        captured.filter(|captured| captured.year() <= 9999).ok_or_else(|| Error::Capture {
            key: "captured_us".into(),
            found: self.captured_us.to_string(),
            expected: "microseconds since 1970, before the year 10000".into(),
        })
    }
}

/// All values of a pixel spacing.
fn spacings(spacing: &PixelSpacing) -> impl Iterator<Item = f32> {
    let regions = spacing.regions().iter().filter_map(|region| region.mm);
    spacing.uniform().into_iter().chain(regions).flatten()
}

fn expect(
    right: bool,
    key: impl Into<String>,
    found: impl ToString,
    expected: impl FnOnce() -> String,
) -> Result<(), Error> {
    if right {
        return Ok(());
    }
    Err(Error::Capture { key: key.into(), found: found.to_string(), expected: expected() })
}
