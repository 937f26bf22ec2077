//! Routes for prompts, commands and the description of the build; guard of all routes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use medsa_wire::Command;
use medsa_wire::json::decode as decode_json;
use medsa_wire::topic::ObjectId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::{Guard, Refused};
use super::handling::{decode, json_body, on_disk, unfit};
use super::state::Guarded;
use super::{live, records, session, study};
use crate::config::ObjectName;
use crate::port::{Refusal, Requester, Subject, Switch};

/// All guarded routes.
pub(super) fn router(guarded: Guarded) -> Router {
    let limit = DefaultBodyLimit::max(guarded.controls.max_body_bytes);
    let sessions = guarded.users.clone().map(session::router).unwrap_or_default();
    let state = Arc::new(guarded);
    Router::new()
        .route("/prompt", post(prompt))
        .route("/command", post(command))
        .route("/capture", post(capture))
        .route("/cine", post(cine))
        .route("/name", post(name))
        .route("/preset", post(preset))
        .route("/build", post(choose))
        .merge(records::router())
        .merge(study::router())
        .route_layer(from_fn_with_state(state.clone(), session::unlocked))
        .route("/presets", get(presets))
        .route("/build", get(build))
        .merge(sessions)
        .layer(limit)
        .route_layer(from_fn_with_state(state.clone(), admit))
        // Without `admit`: it expects the token in its first message, because browsers cannot send
        // custom headers with a WebSocket.
        .route("/live", get(live::live))
        .with_state(state)
}

/// Admits authorized requests, and counts refused ones.
async fn admit(
    State(state): State<Arc<Guarded>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let what = format!("{} {} from {}", request.method(), request.uri().path(), peer.ip());
    let response = match check(&state.guard, peer, &request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    if let Some(Refused { reason, .. }) = response.extensions().get() {
        state.controls.control.refused(what, reason);
    }
    response
}

fn check(guard: &Guard, peer: SocketAddr, request: &Request) -> Result<(), Refused> {
    let headers = request.headers();
    guard.check_origin(headers)?;
    guard.check_bearer(peer.ip(), headers)?;
    if request.method().is_safe() {
        return Ok(());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    // Also blocks HTML forms of other origins, which cannot send this type.
    match kind.map(|kind| kind.split(';').next().unwrap_or_default().trim()) {
        Some("application/json") => Ok(()),
        found => {
            let found = found.unwrap_or("missing");
            let reason = format!("Content-Type is {found}, expected application/json");
            Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-a-message", reason))
        }
    }
}

async fn prompt(
    State(state): State<Arc<Guarded>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let message = decode(&state, body, decode_json)?;
    let done = state.controls.control.prompt(message).map_err(unfit)?;
    tracing::info!("{done}");
    Ok(StatusCode::NO_CONTENT)
}

/// A capture is accepted once it is queued for the disk, another build once it is being loaded;
/// `record` and `status` report the result.
async fn command(
    State(state): State<Arc<Guarded>>,
    Extension(by): Extension<Requester>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let command = decode(&state, body, decode_json)?;
    let done = state.controls.control.command(command, &by).map_err(unfit)?;
    tracing::info!("{done}");
    Ok(match command {
        Command::Capture | Command::Reload | Command::Update | Command::SwitchBuild => {
            StatusCode::ACCEPTED
        }
        _ => StatusCode::NO_CONTENT,
    })
}

/// Body of `/capture`: what a page shows. Without a frame, the newest one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaptureBody {
    frame_id: Option<u64>,
    /// Revisions of the masks shown.
    #[serde(default)]
    masks: Vec<u64>,
    /// True to keep all frames of the cine buffer, too.
    #[serde(default)]
    clip: bool,
    /// UID of the study whose patient is shown, empty if none is.
    study: Option<String>,
}

/// Accepted once it is queued for the disk.
async fn capture(
    State(state): State<Arc<Guarded>>,
    Extension(by): Extension<Requester>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let read = |bytes: &[u8]| {
        let body: CaptureBody = json_body(bytes)?;
        if body.clip && body.frame_id.is_none() {
            return Err("frame_id is missing, expected that of the frozen frame with clip".into());
        }
        Ok(body)
    };
    let CaptureBody { frame_id, masks, clip, study } = decode(&state, body, read)?;
    let shown = |frame_id| Subject::Shown { frame_id, masks, clip, study };
    let subject = frame_id.map_or(Subject::Newest, shown);
    let done = state.controls.control.capture(&subject, &by).map_err(unfit)?;
    tracing::info!("{done}");
    Ok(StatusCode::ACCEPTED)
}

/// Body of `/name`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameBody {
    object: u8,
    /// Name of the structure; null to remove it.
    #[serde(deserialize_with = "Option::deserialize")]
    name: Option<String>,
}

async fn name(
    State(state): State<Arc<Guarded>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let read = |bytes: &[u8]| {
        let NameBody { object, name } = json_body(bytes)?;
        Ok((ObjectId::new(object).map_err(|error| error.to_string())?, name))
    };
    let (object, name) = decode(&state, body, read)?;
    let name = name.as_deref().map(ObjectName::parse).transpose();
    let name = name.map_err(|reason| unfit(Refusal::new("name-does-not-fit", reason)))?;
    state.controls.control.names.set(object, name);
    Ok(StatusCode::NO_CONTENT)
}

/// Body of `/preset` and `/build`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChoiceBody {
    name: String,
}

async fn preset(
    State(state): State<Arc<Guarded>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let ChoiceBody { name } = decode(&state, body, json_body)?;
    state.controls.control.preset(&name).map(status_of).map_err(unfit)
}

async fn choose(
    State(state): State<Arc<Guarded>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let ChoiceBody { name } = decode(&state, body, json_body)?;
    let chosen = state.controls.control.builds.choose(&name, Box::new(|| ()));
    chosen.map(status_of).map_err(unfit)
}

/// A switch is accepted once the build is being loaded; `reload` of the state reports the result.
fn status_of(switch: Switch) -> StatusCode {
    match switch {
        Switch::Done => StatusCode::NO_CONTENT,
        Switch::Begun => StatusCode::ACCEPTED,
    }
}

async fn presets(State(state): State<Arc<Guarded>>) -> Json<Value> {
    Json(json!({ "presets": state.controls.control.presets }))
}

/// Body of `/cine`: the frame of the cine buffer to show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CineBody {
    /// Its number; the oldest is 0.
    frame: usize,
}

async fn cine(
    State(state): State<Arc<Guarded>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let CineBody { frame } = decode(&state, body, json_body)?;
    let cine = state.controls.cine.clone();
    // Following takes milliseconds and would block other tasks of this thread.
    let shown = tokio::task::spawn_blocking(move || cine.show(frame)).await;
    match shown {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(error)) => Err(unfit(error.into())),
        Err(error) => Err(unfit(Refusal::new("source-ended", error.to_string()))),
    }
}

async fn build(State(state): State<Arc<Guarded>>) -> Result<Json<Value>, Refused> {
    let network = state.observer.slot.current();
    let builds = state.controls.control.builds.clone();
    let newer = builds.can_update();
    let slots = on_disk(move || builds.slots()).await?;
    Ok(Json(network.manifest.as_ref().map_or(Value::Null, |manifest| {
        json!({
            "slots": slots.map(|slots| slots.describe()),
            "update": newer,
            "builds": *state.observer.offered.borrow(),
            "name": manifest.name,
            "version": manifest.version,
            "classes": manifest.classes,
            "base": manifest.base.name,
            "adapter": manifest.adapter.as_ref().map(|adapter| &adapter.name),
            "precision": manifest.precision,
            "agreement": manifest.agreement,
        })
    })))
}
