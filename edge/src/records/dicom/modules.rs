//! DICOM modules that files of a record share.

use chrono::{DateTime, Utc};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

use dicom_object::InMemDicomObject;
use medsa_frames::{Frame, PixelSpacing, ScaledRegion};

use super::{InstanceUids, element, item, long_string, sequence};
use crate::port::Study;
use crate::records::capture::Capture;
use crate::records::id::RecordId;

/// Dates and times of a data set, in UTC: those of the capture, or of the opening of its study.
pub(super) struct Time {
    pub date: String,
    pub time: String,
}

impl Time {
    pub(super) fn of(id: &RecordId) -> Self {
        Self::at(id.captured())
    }

    fn at(time: DateTime<Utc>) -> Self {
        Self {
            date: time.format("%Y%m%d").to_string(),
            time: time.format("%H%M%S%.6f").to_string(),
        }
    }
}

/// Attributes of a series.
pub(super) struct Series {
    pub number: &'static str,
    pub modality: &'static str,
    pub description: String,
}

/// SOP Common, Patient, General Study, General Series and General Equipment.
pub(super) fn common(
    class: &str,
    uids: &InstanceUids,
    study: &str,
    series: &Series,
    id: &RecordId,
    capture: &Capture,
) -> Vec<InMemElement> {
    let time = Time::of(id);
    let mut elements = vec![
        element(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192"),
        element(tags::SOP_CLASS_UID, class),
        element(tags::SOP_INSTANCE_UID, uids.instance.as_str()),
        element(tags::TIMEZONE_OFFSET_FROM_UTC, "+0000"),
        element(tags::INSTANCE_NUMBER, "1"),
        element(tags::CONTENT_DATE, time.date.as_str()),
        element(tags::CONTENT_TIME, time.time.as_str()),
    ];
    let number = match &capture.study {
        None => {
            elements.extend(unassigned(study, id, capture));
            series.number.to_owned()
        }
        Some(open) => {
            elements.extend(assigned(open));
            // Different for all series of the study, with at most 12 characters.
            format!("{}{}", id.number() % 1_000_000_000, series.number)
        }
    };
    elements.extend([
        element(tags::STUDY_INSTANCE_UID, study),
        element(tags::SERIES_INSTANCE_UID, uids.series.as_str()),
        element(tags::SERIES_NUMBER, number),
        element(tags::SERIES_DATE, time.date.as_str()),
        element(tags::SERIES_TIME, time.time.as_str()),
        element(tags::SERIES_DESCRIPTION, long_string(&series.description)),
        element(tags::MODALITY, series.modality),
        element(tags::MANUFACTURER, "Med-SA"),
        element(
            tags::MANUFACTURER_MODEL_NAME,
            long_string(&format!("medsa-edge on {}", capture.board)),
        ),
        element(tags::DEVICE_SERIAL_NUMBER, capture.device.as_str()),
        element(
            tags::SOFTWARE_VERSIONS,
            long_string(&format!("medsa-edge {}", capture.edge_version)),
        ),
    ]);
    let operator = capture.operator.as_ref();
    elements.extend(operator.map(|name| element(tags::OPERATORS_NAME, name.as_str())));
    elements
}

/// General Series, General Image, SC Equipment and SC Image of pixels from a screen.
pub(super) fn secondary_capture_equipment(time: &Time) -> Vec<InMemElement> {
    vec![
        // The side of the patient is unknown.
        element(tags::LATERALITY, ""),
        // Derived, because pixels were blanked.
        element(tags::IMAGE_TYPE, "DERIVED\\SECONDARY"),
        element(tags::PATIENT_ORIENTATION, ""),
        element(tags::BURNED_IN_ANNOTATION, "NO"),
        element(tags::CONVERSION_TYPE, "WSD"),
        element(tags::DATE_OF_SECONDARY_CAPTURE, time.date.as_str()),
        element(tags::TIME_OF_SECONDARY_CAPTURE, time.time.as_str()),
    ]
}

/// Image Pixel of colour frames, without the pixels, and the distance between pixels.
pub(super) fn image(frame: &Frame, photometric: &str) -> Vec<InMemElement> {
    let mut elements = vec![
        element(tags::SAMPLES_PER_PIXEL, 3_u16),
        element(tags::PHOTOMETRIC_INTERPRETATION, photometric),
        element(tags::PLANAR_CONFIGURATION, 0_u16),
        // Checked: sides are at most 4096.
        element(tags::ROWS, frame.height as u16),
        element(tags::COLUMNS, frame.width as u16),
        element(tags::BITS_ALLOCATED, 8_u16),
        element(tags::BITS_STORED, 8_u16),
        element(tags::HIGH_BIT, 7_u16),
        element(tags::PIXEL_REPRESENTATION, 0_u16),
    ];
    match &frame.pixel_spacing_mm {
        Some(PixelSpacing::Uniform(mm)) => {
            elements.push(element(tags::PIXEL_SPACING, spacing(*mm)));
        }
        // An extension of the class: viewers measure with it as on images of scanners.
        Some(PixelSpacing::Regions(regions)) => {
            let regions = regions.all().iter().map(ultrasound_region).collect();
            elements.push(sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, regions));
        }
        None => {}
    }
    elements
}

/// Item of the Sequence of Ultrasound Regions (PS3.3 C.8.5.5).
fn ultrasound_region(&ScaledRegion { x0, y0, x1, y1, mm }: &ScaledRegion) -> InMemDicomObject {
    // 2D, tissue, and centimetres; without a scale, none of them.
    let (format, kind, units) = if mm.is_some() { (1_u16, 1_u16, 3_u16) } else { (0, 0, 0) };
    let [row_mm, column_mm] = mm.unwrap_or_default();
    let cm = |mm: f32| f64::from(mm) / 10.0;
    item([
        element(tags::REGION_SPATIAL_FORMAT, format),
        element(tags::REGION_DATA_TYPE, kind),
        element(tags::REGION_FLAGS, 0_u32),
        element(tags::REGION_LOCATION_MIN_X0, x0),
        element(tags::REGION_LOCATION_MIN_Y0, y0),
        // Corners belong to the region.
        element(tags::REGION_LOCATION_MAX_X1, x1 - 1),
        element(tags::REGION_LOCATION_MAX_Y1, y1 - 1),
        element(tags::PHYSICAL_UNITS_X_DIRECTION, units),
        element(tags::PHYSICAL_UNITS_Y_DIRECTION, units),
        element(tags::PHYSICAL_DELTA_X, cm(column_mm)),
        element(tags::PHYSICAL_DELTA_Y, cm(row_mm)),
    ])
}

/// Deidentification of the pixels.
const METHOD: &str = "Pixels under the mask of the source blanked";

/// Patient and study of a capture without an open study. An archive would take studies with an empty
/// PatientID for those of one patient; this one is different for each study. The time of capture is the
/// real one.
fn unassigned(study: &str, id: &RecordId, capture: &Capture) -> Vec<InMemElement> {
    // Invariant: at most 11 characters and the 39 digits of a UUID.
    let patient = format!("UNASSIGNED-{}", study.trim_start_matches("2.25."));
    let time = Time::of(id);
    vec![
        element(tags::PATIENT_NAME, format!("UNASSIGNED^{}", capture.device)),
        element(tags::PATIENT_ID, patient),
        element(tags::PATIENT_BIRTH_DATE, ""),
        element(tags::PATIENT_SEX, ""),
        element(tags::PATIENT_IDENTITY_REMOVED, "YES"),
        element(tags::DEIDENTIFICATION_METHOD, METHOD),
        element(tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, "UNMODIFIED"),
        element(tags::STUDY_DATE, time.date),
        element(tags::STUDY_TIME, time.time),
        element(tags::STUDY_ID, id.number().to_string()),
        element(tags::ACCESSION_NUMBER, ""),
        element(tags::REFERRING_PHYSICIAN_NAME, ""),
    ]
}

/// Patient and study of a capture in a study. Only the pixels are deidentified.
fn assigned(Study { opened_us, details, .. }: &Study) -> Vec<InMemElement> {
    // Invariant: a study is opened by the clock of this device.
    let opened = DateTime::from_timestamp_micros(*opened_us as i64).unwrap_or_default();
    let time = Time::at(opened);
    let study_id = match details.procedure_id.as_str() {
        "" => opened.format("%Y%m%d%H%M%S").to_string(),
        id => id.to_owned(),
    };
    let mut elements = vec![
        element(tags::PATIENT_NAME, details.patient_name.as_str()),
        element(tags::PATIENT_ID, details.patient_id.as_str()),
        element(tags::PATIENT_BIRTH_DATE, details.birth_date.as_str()),
        element(tags::PATIENT_SEX, details.sex.as_str()),
        element(tags::PATIENT_IDENTITY_REMOVED, "NO"),
        element(tags::DEIDENTIFICATION_METHOD, METHOD),
        element(tags::STUDY_DATE, time.date),
        element(tags::STUDY_TIME, time.time),
        element(tags::STUDY_ID, study_id),
        element(tags::ACCESSION_NUMBER, details.accession_number.as_str()),
        element(tags::REFERRING_PHYSICIAN_NAME, details.referring_physician.as_str()),
    ];
    if !details.procedure.is_empty() {
        elements.push(element(tags::STUDY_DESCRIPTION, details.procedure.as_str()));
    }
    if !details.procedure_id.is_empty() && !details.step_id.is_empty() {
        elements.push(sequence(
            tags::REQUEST_ATTRIBUTES_SEQUENCE,
            vec![item([
                element(tags::REQUESTED_PROCEDURE_ID, details.procedure_id.as_str()),
                element(tags::REQUESTED_PROCEDURE_DESCRIPTION, details.procedure.as_str()),
                element(tags::SCHEDULED_PROCEDURE_STEP_ID, details.step_id.as_str()),
                element(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, details.step.as_str()),
            ])],
        ));
    }
    elements
}

/// Row and column spacing as DS values of at most 16 characters.
pub(super) fn spacing(spacing_mm: [f32; 2]) -> String {
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
