//! DICOM modules that both files of a record share.

use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

use super::{InstanceUids, element, long_string};
use crate::records::capture::Capture;
use crate::records::id::RecordId;

/// All dates and times of a data set: the time of capture in UTC.
pub(super) struct Time {
    pub date: String,
    pub time: String,
}

impl Time {
    pub(super) fn of(id: &RecordId) -> Self {
        let captured = id.captured();
        Self {
            date: captured.format("%Y%m%d").to_string(),
            time: captured.format("%H%M%S%.6f").to_string(),
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
    elements.extend(patient());
    elements.extend([
        element(tags::STUDY_INSTANCE_UID, study),
        element(tags::STUDY_DATE, time.date.as_str()),
        element(tags::STUDY_TIME, time.time.as_str()),
        element(tags::STUDY_ID, id.number().to_string()),
        element(tags::ACCESSION_NUMBER, ""),
        element(tags::REFERRING_PHYSICIAN_NAME, ""),
        element(tags::SERIES_INSTANCE_UID, uids.series.as_str()),
        element(tags::SERIES_NUMBER, series.number),
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
    elements
}

/// Empty, because the device does not know the patient. The time of capture is the real one.
fn patient() -> [InMemElement; 7] {
    [
        element(tags::PATIENT_NAME, ""),
        element(tags::PATIENT_ID, ""),
        element(tags::PATIENT_BIRTH_DATE, ""),
        element(tags::PATIENT_SEX, ""),
        element(tags::PATIENT_IDENTITY_REMOVED, "YES"),
        element(tags::DEIDENTIFICATION_METHOD, "Pixels under the mask of the source blanked"),
        element(tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, "UNMODIFIED"),
    ]
}
