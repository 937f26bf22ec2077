//! Prompts, commands, the list of records and what the build says about itself.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use medsa_wire::{Command, Message};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::guard::{Guard, Refused};
use super::{Observed, live, thumbnail};
use crate::config::IntendedUse;
use crate::error::Error;
use crate::outbox::{Delivered, Outbox};
use crate::pipeline::{NewestMasks, Seen};
use crate::records::{RecordId, Records, Trigger};
use crate::service::{Control, json};

/// Records that are listed at most.
const LISTED: usize = 100;

/// What the handlers work on.
#[derive(Clone)]
pub(crate) struct Controls {
    /// Applies what comes.
    pub control: Arc<Control>,
    /// Largest body that is looked at.
    pub max_body_bytes: usize,
    /// The newest frame.
    pub frames: watch::Receiver<Option<Arc<Seen>>>,
    /// The newest masks.
    pub masks: watch::Receiver<NewestMasks>,
}

/// What guarded handlers share.
pub(super) struct Guarded {
    pub controls: Controls,
    pub guard: Guard,
    pub observed: Observed,
    pub intended_use: IntendedUse,
    /// One for each who looks on at the same time.
    pub seats: Arc<Semaphore>,
}

/// All that is guarded.
pub(super) fn router(
    controls: Controls,
    guard: Guard,
    observed: Observed,
    intended_use: IntendedUse,
    seats: Arc<Semaphore>,
) -> Router {
    let limit = DefaultBodyLimit::max(controls.max_body_bytes);
    let state = Arc::new(Guarded { controls, guard, observed, intended_use, seats });
    Router::new()
        .route("/prompt", post(prompt))
        .route("/command", post(command))
        .route("/records", get(records))
        .route("/records/:id/thumbnail", get(thumbnail))
        .route("/build", get(build))
        .layer(limit)
        .route_layer(from_fn_with_state(state.clone(), admit))
        // Asks for the token in its first message: a browser sends no header of ours.
        .route("/live", get(live::live))
        .with_state(state)
}

/// Lets in who may, and counts what was refused, here or further on.
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
    if request.method() != Method::POST {
        return Ok(());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    // Also keeps out the forms of other origins, which can send all but this.
    match kind.map(|kind| kind.split(';').next().unwrap_or_default().trim()) {
        Some("application/json") => Ok(()),
        found => {
            let found = found.unwrap_or("missing");
            let reason = format!("Content-Type is {found}, expected application/json");
            Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason))
        }
    }
}

async fn prompt(
    State(state): State<Arc<Guarded>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let message = state.decode(body)?;
    let done = state.controls.control.prompt(message).map_err(unfit)?;
    tracing::info!("{done}");
    Ok(StatusCode::NO_CONTENT)
}

/// A capture is accepted when it is on its way to the disk, and another build when it is looked for:
/// `record` and `status` tell what became of them.
async fn command(
    State(state): State<Arc<Guarded>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let command = state.decode(body)?;
    let done = state.controls.control.command(command, Trigger::Http).map_err(unfit)?;
    tracing::info!("{done}");
    Ok(match command {
        Command::Capture | Command::Reload | Command::Update | Command::SwitchBuild => {
            StatusCode::ACCEPTED
        }
        _ => StatusCode::NO_CONTENT,
    })
}

async fn records(State(state): State<Arc<Guarded>>) -> Result<Json<Value>, Refused> {
    let list = move || match state.controls.control.records() {
        None => Ok(Vec::new()),
        Some(records) => {
            let outbox = state.observed.outbox.as_deref();
            let ids = records.list(LISTED)?;
            Ok(ids.iter().map(|id| describe(records, outbox, id)).collect::<Vec<_>>())
        }
    };
    let listed = on_disk(list).await?.map_err(|error: Error| failed(&error))?;
    Ok(Json(json!({ "records": listed })))
}

fn describe(records: &Records, outbox: Option<&Outbox>, id: &RecordId) -> Value {
    let upload = match outbox.map(|outbox| outbox.delivered(&id.to_string())) {
        None | Some(Ok(Delivered::Never)) => "none",
        Some(Ok(Delivered::NotYet)) => "waiting",
        Some(Ok(Delivered::All)) => "delivered",
        Some(Err(_)) => "unknown",
    };
    match records.describe(id) {
        Ok(record) => json!({
            "id": record.id,
            "captured_us": record.captured_us,
            "upload": upload,
            "frame_id": record.frame.id,
            "objects": record.objects.iter().map(|object| json!({
                "object": object.object,
                "label": object.label,
                "score": object.score,
                "area_px": object.area_px,
            })).collect::<Vec<_>>(),
        }),
        Err(error) => json!({ "id": id.to_string(), "error": error.to_string() }),
    }
}

/// The frame of a record, small.
async fn thumbnail(
    State(state): State<Arc<Guarded>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let unknown = || Refused::new(StatusCode::NOT_FOUND, format!("there is no record {id:?}"));
    let parsed = RecordId::parse(&id).ok_or_else(unknown)?;
    let picture = move || {
        let Some(records) = state.controls.control.records() else { return Ok(None) };
        match records.frame_png(&parsed) {
            Ok(png) => thumbnail::jpeg(&png).map(Some).map_err(|error| failed(&error)),
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    };
    let jpeg = on_disk(picture).await??.ok_or_else(unknown)?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, jpeg).into_response())
}

async fn build(State(state): State<Arc<Guarded>>) -> Result<Json<Value>, Refused> {
    let network = state.observed.slot.current();
    let control = state.controls.control.clone();
    let newer = control.can_update();
    let slots = on_disk(move || control.slots()).await?.map_err(|error| failed(&error))?;
    Ok(Json(network.manifest.as_ref().map_or(Value::Null, |manifest| {
        json!({
            "slots": slots.map(|slots| slots.describe()),
            "update": newer,
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

/// What needs the disk, away from the threads that answer.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> Refused {
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

impl Guarded {
    fn decode<M: Message>(&self, body: Result<Bytes, BytesRejection>) -> Result<M, Refused> {
        let body = body.map_err(|rejection| {
            let (status, limit) = (rejection.status(), self.controls.max_body_bytes);
            let reason = match status {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    format!("the body is too long, at most {limit} bytes are accepted")
                }
                _ => rejection.body_text(),
            };
            Refused::new(status, reason)
        })?;
        json::decode(&body).map_err(|reason| Refused::new(StatusCode::BAD_REQUEST, reason))
    }
}

/// It can be read, but not be done now.
fn unfit(reason: String) -> Refused {
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
}
