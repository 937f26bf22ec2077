//! The frame as Secondary Capture Image: a single frame in colour (PS3.3 A.8.1).
//!
//! Fewer readers support the multi-frame variant, which clips need.

use dicom_dictionary_std::uids;

use super::modules::{Series, Time, common, image, secondary_capture_equipment};
use super::{DicomUids, FRAME_FILE, encode, pixel_data};
use crate::records::capture::Capture;
use crate::records::error::Error;
use crate::records::id::RecordId;

pub(in crate::records) fn secondary_capture(
    id: &RecordId,
    capture: &Capture,
    instances: &DicomUids,
) -> Result<Vec<u8>, Error> {
    let frame = &capture.frame;
    // The modality of the source is unknown.
    let series = Series { number: "1", modality: "OT", description: "Captured frame".into() };
    let class = uids::SECONDARY_CAPTURE_IMAGE_STORAGE;
    let mut elements = common(class, &instances.frame, &instances.study, &series, id, capture);
    elements.extend(secondary_capture_equipment(&Time::of(id)));
    elements.extend(image(frame, "RGB"));
    elements.push(pixel_data(frame.rgb.clone()));
    encode(FRAME_FILE, elements, uids::EXPLICIT_VR_LITTLE_ENDIAN)
}
