//! Modality Performed Procedure Step: reports what became of a planned examination (MPPS: N-CREATE and
//! N-SET, PS3.4 annex F).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::association::Association;
use crate::elements::Writer;
use crate::message::{Command, Kind};
use crate::{Error, IMPLICIT_VR, Node, Reference, WorklistItem};

/// SOP class of performed procedure steps.
const CLASS: &str = "1.2.840.10008.3.1.2.3.3";

/// The service in words.
const WHAT: &str = "reports of performed examinations";

/// Status: there is such a step already (PS3.7 C.5.7), as after a lost answer.
const DUPLICATE: u16 = 0x0111;

/// An examination that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformedStep {
    /// UID of the step.
    pub uid: String,
    /// Number of the step on this device, at most 16 characters.
    pub id: String,
    /// Date of the beginning, as `YYYYMMDD`.
    pub date: String,
    /// Time of the beginning, as `HHMMSS`.
    pub time: String,
    /// The planned examination.
    pub planned: WorklistItem,
}

/// The end of an examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedStep {
    /// UID of the step.
    pub uid: String,
    /// Date of the end, as `YYYYMMDD`.
    pub date: String,
    /// Time of the end, as `HHMMSS`.
    pub time: String,
    /// Series that were made; an examination without any was discontinued.
    pub series: Vec<PerformedSeries>,
}

/// A series of a performed examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformedSeries {
    /// UID of the series.
    pub uid: String,
    /// Series Description.
    pub description: String,
    /// Name of the user who made it; empty if it is not known.
    pub operator: String,
    /// Its instances.
    pub instances: Vec<Reference>,
}

/// Reports that an examination has begun. Once more does no harm.
///
/// # Errors
/// [`Error::Connection`], [`Error::NotOffered`], [`Error::Refused`], [`Error::Unexpected`].
pub fn begin_step(node: &Node, step: &PerformedStep) -> Result<(), Error> {
    let data_set = step.encode(&node.calling);
    let uid = tags::AFFECTED_SOP_INSTANCE_UID;
    let class = tags::AFFECTED_SOP_CLASS_UID;
    let kinds = (Kind::CreateRequest, Kind::CreateResponse);
    report(node, kinds, (class, uid), &step.uid, &data_set)
}

/// Reports that an examination has ended.
///
/// # Errors
/// As [`begin_step`].
pub fn end_step(node: &Node, step: &EndedStep) -> Result<(), Error> {
    let data_set = step.encode();
    let uid = tags::REQUESTED_SOP_INSTANCE_UID;
    let class = tags::REQUESTED_SOP_CLASS_UID;
    let kinds = (Kind::SetRequest, Kind::SetResponse);
    report(node, kinds, (class, uid), &step.uid, &data_set)
}

fn report(
    node: &Node,
    (request, response): (Kind, Kind),
    (class_tag, uid_tag): (Tag, Tag),
    uid: &str,
    data_set: &[u8],
) -> Result<(), Error> {
    let mut association = Association::open(node, &[(CLASS, IMPLICIT_VR)], WHAT)?;
    let context = association.context(CLASS, &[IMPLICIT_VR]);
    let context = context.ok_or_else(|| association.not_offered(WHAT))?;
    let request =
        Command::new(request).uid(class_tag, CLASS).us(tags::MESSAGE_ID, 1).uid(uid_tag, uid);
    association.send(context.id, request, Some(data_set))?;
    let answer = association.answer(response, "a response to the report")?;
    if answer.status() != DUPLICATE {
        association.accept(&answer, "the report of an examination")?;
    }
    if answer.has_data_set() {
        association.data_set("the attributes of the step")?;
    }
    association.close();
    Ok(())
}

impl PerformedStep {
    /// Attributes of table F.7.2-1, by ascending tag.
    fn encode(&self, station: &str) -> Vec<u8> {
        let WorklistItem { patient_name, patient_id, birth_date, sex, study_uid, .. } =
            &self.planned;
        let WorklistItem { procedure_id, procedure, step_id, step, .. } = &self.planned;
        let scheduled = Writer::default()
            .text(tags::ACCESSION_NUMBER, &self.planned.accession_number)
            .sequence(tags::REFERENCED_STUDY_SEQUENCE, [].into_iter())
            .uid(tags::STUDY_INSTANCE_UID, study_uid)
            .text(tags::REQUESTED_PROCEDURE_DESCRIPTION, procedure)
            .text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, step)
            .sequence(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, [].into_iter())
            .text(tags::SCHEDULED_PROCEDURE_STEP_ID, step_id)
            .text(tags::REQUESTED_PROCEDURE_ID, procedure_id);
        Writer::default()
            .text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192")
            .text(tags::MODALITY, &self.planned.modality)
            .sequence(tags::PROCEDURE_CODE_SEQUENCE, [].into_iter())
            .sequence(tags::REFERENCED_PATIENT_SEQUENCE, [].into_iter())
            .text(tags::PATIENT_NAME, patient_name)
            .text(tags::PATIENT_ID, patient_id)
            .text(tags::PATIENT_BIRTH_DATE, birth_date)
            .text(tags::PATIENT_SEX, sex)
            .text(tags::STUDY_ID, procedure_id)
            .text(tags::PERFORMED_STATION_AE_TITLE, station)
            .text(tags::PERFORMED_STATION_NAME, "")
            .text(tags::PERFORMED_LOCATION, "")
            .text(tags::PERFORMED_PROCEDURE_STEP_START_DATE, &self.date)
            .text(tags::PERFORMED_PROCEDURE_STEP_START_TIME, &self.time)
            .text(tags::PERFORMED_PROCEDURE_STEP_END_DATE, "")
            .text(tags::PERFORMED_PROCEDURE_STEP_END_TIME, "")
            .text(tags::PERFORMED_PROCEDURE_STEP_STATUS, "IN PROGRESS")
            .text(tags::PERFORMED_PROCEDURE_STEP_ID, &self.id)
            .text(tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION, step)
            .text(tags::PERFORMED_PROCEDURE_TYPE_DESCRIPTION, "")
            .sequence(tags::PERFORMED_PROTOCOL_CODE_SEQUENCE, [].into_iter())
            .sequence(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, [scheduled].into_iter())
            .sequence(tags::PERFORMED_SERIES_SEQUENCE, [].into_iter())
            .into_bytes()
    }
}

impl EndedStep {
    fn encode(&self) -> Vec<u8> {
        let status = if self.series.is_empty() { "DISCONTINUED" } else { "COMPLETED" };
        let series = self.series.iter().map(|series| {
            let instances = series.instances.iter().map(|Reference { class, uid }| {
                Writer::default()
                    .uid(tags::REFERENCED_SOP_CLASS_UID, class)
                    .uid(tags::REFERENCED_SOP_INSTANCE_UID, uid)
            });
            Writer::default()
                .text(tags::RETRIEVE_AE_TITLE, "")
                .text(tags::SERIES_DESCRIPTION, &series.description)
                .text(tags::PERFORMING_PHYSICIAN_NAME, "")
                .text(tags::OPERATORS_NAME, &series.operator)
                .sequence(tags::REFERENCED_IMAGE_SEQUENCE, instances)
                .text(tags::PROTOCOL_NAME, &series.description)
                .uid(tags::SERIES_INSTANCE_UID, &series.uid)
                .sequence(
                    tags::REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE,
                    [].into_iter(),
                )
        });
        Writer::default()
            .text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192")
            .text(tags::PERFORMED_PROCEDURE_STEP_END_DATE, &self.date)
            .text(tags::PERFORMED_PROCEDURE_STEP_END_TIME, &self.time)
            .text(tags::PERFORMED_PROCEDURE_STEP_STATUS, status)
            .sequence(tags::PERFORMED_SERIES_SEQUENCE, series)
            .into_bytes()
    }
}
