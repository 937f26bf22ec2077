//! The frame as Secondary Capture Image: a single frame in colour (PS3.3 A.8.1).
//!
//! The multi-frame true colour variant is meant for cines, and fewer readers support it.

use dicom_dictionary_std::{tags, uids};

use super::modules::{Series, Time, common};
use super::{DicomUids, FRAME_FILE, element, encode, pixel_data};
use crate::records::capture::Capture;
use crate::records::error::Error;
use crate::records::id::RecordId;

pub(in crate::records) fn secondary_capture(
    id: &RecordId,
    capture: &Capture,
    instances: &DicomUids,
) -> Result<Vec<u8>, Error> {
    let frame = &capture.frame;
    let time = Time::of(id);
    // The modality of the source is unknown.
    let series = Series { number: "1", modality: "OT", description: "Captured frame".into() };
    let class = uids::SECONDARY_CAPTURE_IMAGE_STORAGE;
    let mut elements = common(class, &instances.frame, &instances.study, &series, id, capture);
    elements.extend([
        // General Series: the side of the patient is unknown.
        element(tags::LATERALITY, ""),
        // General Image: derived, because pixels were blanked.
        element(tags::IMAGE_TYPE, "DERIVED\\SECONDARY"),
        element(tags::PATIENT_ORIENTATION, ""),
        element(tags::BURNED_IN_ANNOTATION, "NO"),
        // SC Equipment, SC Image.
        element(tags::CONVERSION_TYPE, "WSD"),
        element(tags::DATE_OF_SECONDARY_CAPTURE, time.date.as_str()),
        element(tags::TIME_OF_SECONDARY_CAPTURE, time.time.as_str()),
        // Image Pixel.
        element(tags::SAMPLES_PER_PIXEL, 3_u16),
        element(tags::PHOTOMETRIC_INTERPRETATION, "RGB"),
        element(tags::PLANAR_CONFIGURATION, 0_u16),
        // Checked: sides are at most 4096.
        element(tags::ROWS, frame.height as u16),
        element(tags::COLUMNS, frame.width as u16),
        element(tags::BITS_ALLOCATED, 8_u16),
        element(tags::BITS_STORED, 8_u16),
        element(tags::HIGH_BIT, 7_u16),
        element(tags::PIXEL_REPRESENTATION, 0_u16),
        pixel_data(frame.rgb.clone()),
    ]);
    if let Some(spacing_mm) = frame.pixel_spacing_mm {
        elements.push(element(tags::PIXEL_SPACING, spacing(spacing_mm)));
    }
    encode(FRAME_FILE, elements)
}

/// Row and column spacing as DS values of at most 16 characters.
fn spacing(spacing_mm: [f32; 2]) -> String {
    let text = spacing_mm.map(|mm| {
        let plain = mm.to_string();
        if plain.len() <= 16 { plain } else { format!("{mm:e}") }
    });
    text.join("\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacings_keep_all_digits_in_16_characters() {
        assert_eq!(spacing([0.382_653_06, 1.0]), "0.38265306\\1");
        for mm in [f32::MIN_POSITIVE, 1.234_567_9e-10, f32::MAX] {
            let text = spacing([mm, mm]);
            let (row, column) = text.split_once('\\').unwrap();
            assert!(row.len() <= 16 && row == column, "{text}");
            assert_eq!(row.parse::<f64>().unwrap() as f32, mm);
        }
    }
}
