//! Routes of the study: the patient of the captures, and the worklist to choose from.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use super::guard::Refused;
use super::handling::{decode, json_body, on_disk, unfit};
use super::state::Guarded;
use crate::port::{Planned, Refusal, Requester, Studies, StudyDetails};

pub(super) fn router() -> Router<Arc<Guarded>> {
    Router::new()
        .route("/study", get(current).put(open).delete(close))
        .route("/worklist", get(worklist))
}

/// The open study, or null.
async fn current(State(state): State<Arc<Guarded>>) -> Json<Value> {
    Json(json!({ "study": state.controls.control.studies.as_ref().and_then(|s| s.current()) }))
}

/// Opens a study, and closes the one before.
async fn open(
    State(state): State<Arc<Guarded>>,
    Extension(by): Extension<Requester>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    let read = |bytes: &[u8]| {
        // The parser's own reason could quote the patient.
        json_body(bytes).map_err(|_| "expected an object of texts with patient_id".into())
    };
    let details: StudyDetails = decode(&state, body, read)?;
    let studies = studies(&state)?;
    let study = on_disk(move || Ok(studies.open(details, &by))).await?.map_err(unfit)?;
    Ok(Json(json!({ "study": study })))
}

/// Closes the open study, if there is one.
async fn close(
    State(state): State<Arc<Guarded>>,
    Extension(by): Extension<Requester>,
) -> Result<StatusCode, Refused> {
    let studies = studies(&state)?;
    on_disk(move || Ok(studies.close(&by))).await?.map_err(unfit)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The examinations that the hospital has planned for today.
async fn worklist(State(state): State<Arc<Guarded>>) -> Result<Json<Planned>, Refused> {
    let Some(worklist) = state.controls.control.worklist.clone() else {
        return Err(unfit(Refusal::new("no-worklist", "the section [worklist] is missing")));
    };
    let found = on_disk(move || Ok(worklist.today())).await?;
    found.map(Json).map_err(|reason| unfit(Refusal::new("worklist-failed", reason)))
}

fn studies(state: &Guarded) -> Result<Arc<dyn Studies>, Refused> {
    let studies = state.controls.control.studies.clone();
    studies.ok_or_else(|| unfit(Refusal::new("no-records", "this device stores no captures")))
}
