//! The worklist of the hospital's information system (RIS).

use chrono::Local;
use medsa_hospital::{Node, WorklistItem, WorklistQuery, find_worklist};

use super::error::Error;
use super::peer::node;
use crate::config::WorklistConfig;
use crate::port::{Planned, PlannedExamination, StudyDetails, Worklist};

/// The worklist of the configuration.
pub struct RisWorklist {
    node: Node,
    query: WorklistQuery,
}

impl RisWorklist {
    /// Reads the certificates that the configuration names.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn new(config: &WorklistConfig) -> Result<Self, Error> {
        let node = node(&config.peer)?;
        let station = config.only_this_device.then(|| node.calling.clone());
        let query = WorklistQuery { modality: config.modality.clone(), station, date: None };
        Ok(Self { node, query })
    }
}

impl Worklist for RisWorklist {
    fn today(&self) -> Result<Planned, String> {
        // Hospitals plan in local time.
        let date = Some(Local::now().format("%Y%m%d").to_string());
        let query = WorklistQuery { date, ..self.query.clone() };
        let found = find_worklist(&self.node, &query).map_err(|error| error.to_string())?;
        let mut items = found.items;
        items.sort_by(|a, b| (&a.date, &a.time).cmp(&(&b.date, &b.time)));
        let examinations = items.into_iter().map(planned).collect();
        Ok(Planned { examinations, is_complete: found.is_complete })
    }
}

fn planned(item: WorklistItem) -> PlannedExamination {
    let time = match (item.time.get(..2), item.time.get(2..4)) {
        (Some(hours), Some(minutes)) => format!("{hours}:{minutes}"),
        _ => String::new(),
    };
    PlannedExamination {
        time,
        study: StudyDetails {
            patient_id: item.patient_id,
            patient_name: item.patient_name,
            birth_date: item.birth_date,
            sex: item.sex,
            accession_number: item.accession_number,
            study_uid: item.study_uid,
            referring_physician: item.referring_physician,
            procedure_id: item.procedure_id,
            procedure: item.procedure,
            step_id: item.step_id,
            step: item.step,
            modality: item.modality,
        },
    }
}
