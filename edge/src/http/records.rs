//! Routes of records: lists, description, images, deletion.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::Refused;
use super::handling::{decode, json_body, on_disk, unfit};
use super::state::Guarded;
use super::thumbnail;
use crate::port::{Captures, Deletion, Refusal, Requester};

/// Largest number of records in the list of descriptions.
const LISTED: usize = 100;

/// File of the frame.
const FRAME: &str = "frame.png";

pub(super) fn router() -> Router<Arc<Guarded>> {
    Router::new()
        .route("/records", get(newest))
        .route("/records/ids", get(ids))
        .route("/records/copy", post(copy))
        .route("/records/:id", get(describe).delete(delete))
        .route("/records/:id/thumbnail", get(thumbnail))
        .route("/records/:id/:image", get(image))
}

/// Descriptions of the newest records.
async fn newest(State(state): State<Arc<Guarded>>) -> Result<Json<Value>, Refused> {
    let listed = match state.controls.control.captures.clone() {
        None => Vec::new(),
        Some(captures) => on_disk(move || captures.list(LISTED)).await?,
    };
    Ok(Json(json!({ "records": listed })))
}

/// Names of all records.
async fn ids(State(state): State<Arc<Guarded>>) -> Result<Json<Value>, Refused> {
    let ids = match state.controls.control.captures.clone() {
        None => Vec::new(),
        Some(captures) => on_disk(move || captures.ids()).await?,
    };
    Ok(Json(json!({ "ids": ids })))
}

async fn describe(
    State(state): State<Arc<Guarded>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refused> {
    let wanted = id.clone();
    look(&state, &id, move |captures| captures.describe(&wanted)).await.map(Json)
}

/// The frame of a record as a small JPEG.
async fn thumbnail(
    State(state): State<Arc<Guarded>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let wanted = id.clone();
    let jpeg = look(&state, &id, move |captures| match captures.image(&wanted, FRAME)? {
        None => Ok(None),
        Some(png) => thumbnail::jpeg(&png).map(Some).map_err(|error| error.to_string()),
    });
    Ok(response("image/jpeg", jpeg.await?))
}

async fn image(
    State(state): State<Arc<Guarded>>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let kind = if name.ends_with(".gif") { "image/gif" } else { "image/png" };
    let wanted = id.clone();
    let image = look(&state, &id, move |captures| captures.image(&wanted, &name));
    Ok(response(kind, image.await?))
}

async fn delete(
    State(state): State<Arc<Guarded>>,
    Extension(by): Extension<Requester>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let why: Deletion = decode(&state, body, json_body)?;
    let control = state.controls.control.clone();
    on_disk(move || Ok(control.delete(&id, &why, &by))).await?.map_err(unfit)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Body of `/records/copy`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CopyBody {
    ids: Vec<String>,
}

/// Copies records onto the stick.
async fn copy(
    State(state): State<Arc<Guarded>>,
    Extension(by): Extension<Requester>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    let CopyBody { ids } = decode(&state, body, json_body)?;
    let Some(captures) = state.controls.control.captures.clone() else {
        return Err(unfit(Refusal::new("no-records", "this device stores no captures")));
    };
    let copied = on_disk(move || Ok(captures.copy(&ids))).await?.map_err(unfit)?;
    if let Some(user) = &by.user {
        tracing::info!("audit: {user}: copied {} records onto the stick", copied.new);
    }
    Ok(Json(json!(copied)))
}

/// Reads something of the record `id` on a separate thread.
async fn look<T: Send + 'static>(
    state: &Guarded,
    id: &str,
    read: impl FnOnce(&dyn Captures) -> Result<Option<T>, String> + Send + 'static,
) -> Result<T, Refused> {
    let unknown = || {
        let reason = format!("record {id:?} does not exist, or has no such image");
        Refused::new(StatusCode::NOT_FOUND, "no-such-record", reason)
    };
    let captures = state.controls.control.captures.clone().ok_or_else(unknown)?;
    on_disk(move || read(&*captures)).await?.ok_or_else(unknown)
}

/// Response that no cache keeps: the record may be deleted.
fn response(kind: &'static str, bytes: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
    (headers, bytes).into_response()
}
