//! Modality worklist: the examinations that the hospital has planned (C-FIND, PS3.4 annex K).

use dicom_dictionary_std::tags;

use crate::association::Association;
use crate::elements::{Elements, Writer};
use crate::message::{Command, Kind, MEDIUM};
use crate::{Error, IMPLICIT_VR, Node, WORKLIST_CLASS};

/// The service in words.
const WHAT: &str = "worklist queries";

/// Statuses of a response with an entry: more may follow (PS3.4 table K.4.1.1.4-1).
const PENDING: [u16; 2] = [0xff00, 0xff01];

/// Largest number of entries that are read.
const MAX_ITEMS: usize = 500;

/// Entries that are wanted. Without a value, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorklistQuery {
    /// Modality, such as `US` or `ES`.
    pub modality: Option<String>,
    /// AE title of the device that the examination is planned on.
    pub station: Option<String>,
    /// Day, as `YYYYMMDD`.
    pub date: Option<String>,
}

/// An entry of a worklist: a patient, and the examination that is planned. Values that the entry does
/// not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorklistItem {
    /// Patient's Name, with `^` between family name, given name and further components.
    pub patient_name: String,
    /// Patient ID.
    pub patient_id: String,
    /// Patient's Birth Date, as `YYYYMMDD`.
    pub birth_date: String,
    /// Patient's Sex: `M`, `F` or `O`.
    pub sex: String,
    /// Accession Number.
    pub accession_number: String,
    /// Study Instance UID.
    pub study_uid: String,
    /// Referring Physician's Name.
    pub referring_physician: String,
    /// Requested Procedure ID.
    pub procedure_id: String,
    /// Requested Procedure Description.
    pub procedure: String,
    /// Scheduled Procedure Step ID.
    pub step_id: String,
    /// Scheduled Procedure Step Description.
    pub step: String,
    /// Modality.
    pub modality: String,
    /// Scheduled Procedure Step Start Date, as `YYYYMMDD`.
    pub date: String,
    /// Scheduled Procedure Step Start Time, as `HHMMSS`, also shorter or with a fraction.
    pub time: String,
}

/// Entries of a worklist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worklist {
    /// Entries, in the order of the peer.
    pub items: Vec<WorklistItem>,
    /// False if there are more than are read.
    pub is_complete: bool,
}

/// Asks for the entries of a worklist. At most 500 are read.
///
/// # Errors
/// [`Error::Connection`], [`Error::NotOffered`], [`Error::Refused`], [`Error::Unexpected`].
pub fn find_worklist(node: &Node, query: &WorklistQuery) -> Result<Worklist, Error> {
    const EXPECTED: &str = "a response to C-FIND";
    let mut association = Association::open(node, &[(WORKLIST_CLASS, IMPLICIT_VR)], WHAT)?;
    let context = association.context(WORKLIST_CLASS, &[IMPLICIT_VR]);
    let context = context.ok_or_else(|| association.not_offered(WHAT))?;
    let request = Command::new(Kind::FindRequest)
        .uid(tags::AFFECTED_SOP_CLASS_UID, WORKLIST_CLASS)
        .us(tags::MESSAGE_ID, 1)
        .us(tags::PRIORITY, MEDIUM);
    association.send(context.id, request, Some(&query.encode()))?;
    let mut items = Vec::new();
    loop {
        let answer = association.answer(Kind::FindResponse, EXPECTED)?;
        if !PENDING.contains(&answer.status()) {
            association.accept(&answer, "the query of the worklist")?;
            break;
        }
        if items.len() == MAX_ITEMS {
            // The end of the connection cancels the rest.
            return Ok(Worklist { items, is_complete: false });
        }
        let data_set = association.data_set("an entry of a worklist")?;
        items.push(WorklistItem::read(Elements::of(&data_set)));
    }
    association.close();
    Ok(Worklist { items, is_complete: true })
}

impl WorklistQuery {
    /// Values to match, and empty ones for all that is to be returned.
    fn encode(&self) -> Vec<u8> {
        let wanted = |value: &Option<String>| value.clone().unwrap_or_default();
        let step = Writer::default()
            .text(tags::MODALITY, &wanted(&self.modality))
            .text(tags::SCHEDULED_STATION_AE_TITLE, &wanted(&self.station))
            .text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, &wanted(&self.date))
            .text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME, "")
            .text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, "")
            .text(tags::SCHEDULED_PROCEDURE_STEP_ID, "");
        // By ascending tag.
        Writer::default()
            .text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192")
            .text(tags::ACCESSION_NUMBER, "")
            .text(tags::REFERRING_PHYSICIAN_NAME, "")
            .text(tags::PATIENT_NAME, "")
            .text(tags::PATIENT_ID, "")
            .text(tags::PATIENT_BIRTH_DATE, "")
            .text(tags::PATIENT_SEX, "")
            .uid(tags::STUDY_INSTANCE_UID, "")
            .text(tags::REQUESTED_PROCEDURE_DESCRIPTION, "")
            .sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, [step].into_iter())
            .text(tags::REQUESTED_PROCEDURE_ID, "")
            .into_bytes()
    }
}

impl WorklistItem {
    fn read(item: Elements<'_>) -> Self {
        let characters = item.characters();
        let steps = item.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE);
        let step = steps.first().copied().unwrap_or(Elements::of(&[]));
        let of_item = |tag| item.text(tag, &characters);
        let of_step = |tag| step.text(tag, &characters);
        Self {
            patient_name: of_item(tags::PATIENT_NAME),
            patient_id: of_item(tags::PATIENT_ID),
            birth_date: of_item(tags::PATIENT_BIRTH_DATE),
            sex: of_item(tags::PATIENT_SEX),
            accession_number: of_item(tags::ACCESSION_NUMBER),
            study_uid: item.uid(tags::STUDY_INSTANCE_UID).unwrap_or_default().to_owned(),
            referring_physician: of_item(tags::REFERRING_PHYSICIAN_NAME),
            procedure_id: of_item(tags::REQUESTED_PROCEDURE_ID),
            procedure: of_item(tags::REQUESTED_PROCEDURE_DESCRIPTION),
            step_id: of_step(tags::SCHEDULED_PROCEDURE_STEP_ID),
            step: of_step(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION),
            modality: of_step(tags::MODALITY),
            date: of_step(tags::SCHEDULED_PROCEDURE_STEP_START_DATE),
            time: of_step(tags::SCHEDULED_PROCEDURE_STEP_START_TIME),
        }
    }
}
