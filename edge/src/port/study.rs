//! The study: the patient and the examination that captures belong to.

use serde::{Deserialize, Serialize};

use super::captures::Requester;
use super::refusal::Refusal;

/// The study of this device; at most one is open.
pub trait Studies: Send + Sync {
    /// The open study. One without captures for too long has been closed.
    fn current(&self) -> Option<Study>;

    /// Opens a study, and closes the one before.
    ///
    /// # Errors
    /// The disk fails; nothing is changed then.
    fn open(&self, details: StudyDetails, by: &Requester) -> Result<Study, Refusal>;

    /// Closes the open study, if there is one.
    ///
    /// # Errors
    /// The disk fails; nothing is changed then.
    fn close(&self, by: &Requester) -> Result<(), Refusal>;
}

/// Reports of performed examinations to the system that planned them.
pub trait Steps: Send + Sync {
    /// A study was opened.
    ///
    /// # Errors
    /// The report cannot be stored.
    fn begun(&self, study: &Study) -> Result<(), String>;

    /// A study was closed. `series`: what was captured.
    ///
    /// # Errors
    /// The report cannot be stored.
    fn ended(&self, study: &Study, series: Vec<StudySeries>) -> Result<(), String>;
}

/// A series of a study, with a single instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudySeries {
    /// UID of the series.
    pub uid: String,
    /// Series Description.
    pub description: String,
    /// User who made it; empty if none was signed in.
    pub operator: String,
    /// SOP class of the instance.
    pub class: String,
    /// UID of the instance.
    pub instance: String,
}

/// Worklist of the hospital: the examinations that are planned.
pub trait Worklist: Send + Sync {
    /// The examinations of today.
    ///
    /// # Errors
    /// There is no answer, or a refusal.
    fn today(&self) -> Result<Planned, String>;
}

/// Planned examinations.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Planned {
    /// Examinations, in the order of their times.
    pub examinations: Vec<PlannedExamination>,
    /// False if there are more than are read.
    pub is_complete: bool,
}

/// A planned examination.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedExamination {
    /// Time of the day, as `HH:MM`; empty if there is none.
    pub time: String,
    /// The study, which [`Studies::open`] opens.
    pub study: StudyDetails,
}

/// An open study. `record.json` holds it in this form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Study {
    /// UID of the study: that of the worklist, or a new one.
    pub uid: String,
    /// Time of opening, in microseconds since 1970-01-01 00:00 UTC.
    pub opened_us: u64,
    /// Patient and examination.
    #[serde(flatten)]
    pub details: StudyDetails,
}

/// Patient and examination, as DICOM describes them (PS3.3 C.7.1.1, C.7.2.1 and C.7.3.1). Texts that are
/// not known are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StudyDetails {
    /// Patient ID; never empty.
    pub patient_id: String,
    /// Patient's Name, with `^` between family name, given name and further components.
    pub patient_name: String,
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
    /// Modality of the planned examination.
    pub modality: String,
}

/// Length of the texts of a kind in characters (PS3.5 6.2).
#[derive(Clone, Copy)]
struct Kind(usize);

const LONG: Kind = Kind(64);

const SHORT: Kind = Kind(16);

/// Largest length of each of the up to three groups of a name: alphabetic, ideographic and phonetic.
const NAME_GROUP: usize = 64;

impl StudyDetails {
    /// Removes blanks around all texts and checks them.
    ///
    /// # Errors
    /// The key, what was found, and what is expected. Names and numbers of patients are left out,
    /// because the error goes to the log.
    pub fn checked(self) -> Result<Self, String> {
        let trim = |text: String| text.trim().to_owned();
        let details = Self {
            patient_id: trim(self.patient_id),
            patient_name: trim(self.patient_name),
            birth_date: trim(self.birth_date),
            sex: trim(self.sex),
            accession_number: trim(self.accession_number),
            study_uid: trim(self.study_uid),
            referring_physician: trim(self.referring_physician),
            procedure_id: trim(self.procedure_id),
            procedure: trim(self.procedure),
            step_id: trim(self.step_id),
            step: trim(self.step),
            modality: trim(self.modality),
        };
        details.check()?;
        Ok(details)
    }

    fn check(&self) -> Result<(), String> {
        if self.patient_id.is_empty() {
            return Err("patient_id is missing, expected the number of the patient".into());
        }
        for (key, text, Kind(max)) in [
            ("patient_id", &self.patient_id, LONG),
            ("accession_number", &self.accession_number, SHORT),
            ("procedure_id", &self.procedure_id, SHORT),
            ("procedure", &self.procedure, LONG),
            ("step_id", &self.step_id, SHORT),
            ("step", &self.step, LONG),
            ("modality", &self.modality, SHORT),
        ] {
            check_text(key, text, max)?;
        }
        for (key, name) in [
            ("patient_name", &self.patient_name),
            ("referring_physician", &self.referring_physician),
        ] {
            if name.split('=').count() > 3 || name.split('=').any(|g| g.split('^').count() > 5) {
                return Err(format!(
                    "{key} has too many parts, expected at most three groups, \
                                    divided by =, of five components, divided by ^"
                ));
            }
            for group in name.split('=') {
                check_text(key, group, NAME_GROUP)?;
            }
        }
        if !(self.birth_date.is_empty() || is_date(&self.birth_date)) {
            return Err("birth_date is no date, expected YYYYMMDD".into());
        }
        if !["", "M", "F", "O"].contains(&self.sex.as_str()) {
            return Err("sex is another letter, expected M, F or O".into());
        }
        let is_digit_or_dot = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        if self.study_uid.len() > 64 || !self.study_uid.bytes().all(is_digit_or_dot) {
            return Err("study_uid is no UID, expected at most 64 digits and dots".into());
        }
        Ok(())
    }
}

fn check_text(key: &str, text: &str, max: usize) -> Result<(), String> {
    let length = text.chars().count();
    if length > max || text.contains(|c: char| c.is_control() || c == '\\') {
        return Err(format!(
            "{key} has {length} characters, expected at most {max}, without backslashes and line breaks"
        ));
    }
    Ok(())
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && chrono::NaiveDate::parse_from_str(text, "%Y%m%d").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details() -> StudyDetails {
        StudyDetails {
            patient_id: " 4711 ".into(),
            patient_name: "Müller^Jörg".into(),
            birth_date: "19480229".into(),
            sex: "M".into(),
            accession_number: "A-1".into(),
            study_uid: "1.2.276.0".into(),
            ..StudyDetails::default()
        }
    }

    #[test]
    fn texts_are_trimmed() {
        assert_eq!(details().checked().unwrap().patient_id, "4711");
    }

    #[test]
    fn wrong_values_are_refused_without_being_repeated() {
        type Change = fn(&mut StudyDetails, String);
        let secret = "Secret";
        let wrong: [(Change, &str, &str); 9] = [
            (|d, _| d.patient_id = "  ".into(), "", "patient_id is missing"),
            (|d, text| d.patient_id = text, &"x".repeat(65), "patient_id has 65 characters"),
            (|d, text| d.accession_number = text, "12345678901234567", "accession_number has 17"),
            (|d, text| d.patient_name = text, "Secret\\Name", "patient_name has 11 characters"),
            (|d, text| d.patient_name = text, "a^b^c^d^e^f", "patient_name has too many parts"),
            (|d, text| d.referring_physician = text, "a\nb", "referring_physician has 3"),
            (|d, text| d.birth_date = text, "19490229", "birth_date is no date"),
            (|d, text| d.sex = text, "Secret", "sex is another letter"),
            (|d, text| d.study_uid = text, "1.2.Secret", "study_uid is no UID"),
        ];
        for (change, text, expected) in wrong {
            let mut changed = details();
            change(&mut changed, text.to_owned());
            let error = changed.checked().unwrap_err();
            assert!(error.starts_with(expected) && !error.contains(secret), "{error}");
        }
    }
}
