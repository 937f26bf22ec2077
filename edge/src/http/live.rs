//! Live frames and masks: the WebSocket `/live`.
//!
//! The client's first message is the token, or an empty text if none is required. The client
//! answers each message of the device with any message of its own. The device sends nothing more
//! until all are answered, and then the newest data. A slow client therefore gets fewer frames, but
//! not older ones; a client that does not answer for 10 s is disconnected. Masks are sent with or
//! without a broker. After a wrong token the socket is closed with code 4401, or 4429 after too
//! many.
//!
//! | message | content |
//! |---|---|
//! | binary, first byte 1 | a frame: `frame_id` u64, `captured_us` u64, `age_us` u32, `width_px` u16, `height_px` u16, `row_mm` f32, `column_mm` f32, `regions` u8; for each region `x0` u16, `y0` u16, `x1` u16, `y1` u16, `row_mm` f32, `column_mm` f32, all little-endian; then a JPEG. `row_mm` and `column_mm` are the distance between pixels down the rows and along a row, 0 if it is not known or differs by place. A region reaches from `(x0, y0)` up to, but not including, `(x1, y1)`; the topmost is first |
//! | binary, first byte 2 | a mask: `revision` u64, little-endian; then the bytes of a mask message, see `wire/SPEC.md` |
//! | text, `"kind": "status"` | state of the service, when it has changed |
//! | text, `"kind": "prompts"` | points and boxes in pixels of the newest frame, and names of objects, when they changed |

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use medsa_frames::{PixelSpacing, ScaledRegion};
use medsa_wire::{MaskMessage, Message as _};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::guard::Refused;
use super::state::Guarded;
use super::users::Users;
use crate::config::{IntendedUse, UserName};
use crate::meter::Counter;
use crate::port::{CineExtent, Condition, FollowedFrame, QueuedMask, change};
use crate::vitals::Battery;

/// Longest wait for an answer of the client.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two checks for changes that are not signalled.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Largest message of a client, in bytes.
const MAX_ANSWER_BYTES: usize = 1024;

const FRAME: u8 = 1;

const MASK: u8 = 2;

/// JPEG quality of frames, of 100; high enough to judge outlines.
const JPEG_QUALITY: u8 = 85;

/// Serves one client.
pub(super) async fn live(
    State(state): State<Arc<Guarded>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let refuse = |refused: Refused| {
        state.controls.control.refused(format!("GET /live from {}", peer.ip()), &refused.reason);
        refused.into_response()
    };
    if let Err(refused) = state.guard.check_origin(&headers) {
        return refuse(refused);
    }
    let Ok(permit) = state.viewers.clone().try_acquire_owned() else {
        let (status, reason) = (StatusCode::SERVICE_UNAVAILABLE, "too many pages are connected");
        return refuse(Refused::new(status, "too-many-pages", reason));
    };
    let failures = state.observer.failures.clone();
    upgrade.max_message_size(MAX_ANSWER_BYTES).on_upgrade(move |socket| async move {
        failures.spawn("connection", async move {
            let mut client = Client { socket, unanswered: 0 };
            // The connection ends in either case.
            let _ = client.serve(&state, peer).await;
            drop(permit);
        });
    })
}

/// The connection has ended.
struct Disconnected;

struct Client {
    socket: WebSocket,
    /// Number of messages that the client has not answered yet.
    unanswered: usize,
}

/// Data last sent to a client.
#[derive(Default)]
struct Sent {
    frame_id: Option<u64>,
    masks: Vec<Option<Arc<QueuedMask>>>,
    status: Value,
    prompts: Value,
}

impl Client {
    async fn serve(&mut self, state: &Guarded, peer: SocketAddr) -> Result<(), Disconnected> {
        let Ok(Some(Ok(Message::Text(token)))) = timeout(TIMEOUT, self.socket.recv()).await else {
            return Err(Disconnected);
        };
        if let Err(Refused { status, reason, .. }) = state.guard.check_token(peer.ip(), &token) {
            state.controls.control.refused(format!("/live from {}", peer.ip()), &reason);
            // Close codes from 4000 on are for applications.
            let close = CloseFrame { code: 4000 + status.as_u16(), reason: reason.into() };
            return self.send(Message::Close(Some(close))).await;
        }
        let (mut frames, mut masks) = (state.controls.frames.clone(), state.controls.masks.clone());
        let mut ticks = interval(POLL_INTERVAL);
        let mut sent = Sent::default();
        let mut answer_by = Instant::now();
        loop {
            if self.unanswered == 0 {
                for message in sent.changes(state).await {
                    self.send(message).await?;
                    self.unanswered += 1;
                }
                answer_by = Instant::now() + TIMEOUT;
            }
            let ready = self.unanswered == 0;
            tokio::select! {
                heard = self.socket.recv() => match heard {
                    Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                        self.unanswered = self.unanswered.saturating_sub(1);
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return Err(Disconnected),
                },
                () = change(&mut frames), if ready => {}
                () = change(&mut masks), if ready => {}
                _ = ticks.tick(), if ready => {}
                () = sleep_until(answer_by), if !ready => return Err(Disconnected),
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Disconnected> {
        let sent = timeout(TIMEOUT, self.socket.send(message)).await;
        sent.map_err(|_| Disconnected)?.map_err(|_| Disconnected)
    }
}

impl Sent {
    /// Messages about everything that changed since the last call.
    async fn changes(&mut self, state: &Guarded) -> Vec<Message> {
        let mut changes = Vec::new();
        let status = status(state);
        if self.status != status {
            changes.push(Message::Text(status.to_string()));
            self.status = status;
        }
        let prompts = prompts(state);
        if self.prompts != prompts {
            changes.push(Message::Text(prompts.to_string()));
            self.prompts = prompts;
        }
        let masks = state.controls.masks.borrow().masks().to_vec();
        self.masks.resize(masks.len(), None);
        for (known, mask) in self.masks.iter_mut().zip(masks) {
            let Some(mask) = mask else { continue };
            if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &mask)) {
                continue;
            }
            changes.extend(mask_message(&mask).map(Message::Binary));
            *known = Some(mask);
        }
        let newest = state.controls.frames.borrow().clone();
        if let Some(seen) = newest
            && self.frame_id.replace(seen.captured.frame_id) != Some(seen.captured.frame_id)
        {
            state.controls.recent.sent(seen.captured.frame_id);
            // Compression takes milliseconds and would block other tasks of this thread.
            let frame = tokio::task::spawn_blocking(move || frame_message(&seen)).await;
            changes.extend(frame.ok().flatten().map(Message::Binary));
        }
        changes
    }
}

/// Message of kind `status`.
#[derive(Serialize)]
struct Status {
    kind: &'static str,
    #[serde(flatten)]
    condition: Condition,
    latency_ms: Option<u64>,
    /// Number of examinations to choose from.
    presets: usize,
    /// Time of opening of the study, in microseconds since 1970-01-01 00:00 UTC; `None` if none is
    /// open. Its patient is behind `/study`, for users who are signed in.
    study_opened_us: Option<u64>,
    /// True if there is a worklist to choose a study from.
    worklist: bool,
    /// `None` without a folder for records.
    records: Option<RecordCounts>,
    diagnostic: bool,
    /// `None` unless frozen.
    cine: Option<CineStatus>,
    /// Free space for records and announcements, in 10⁹ bytes; `None` without them.
    disk_free_gb: Option<f64>,
    /// `None` without a battery.
    battery: Option<Battery>,
    /// True if there is a stick for copies of records; `None` on a device that makes none.
    stick: Option<bool>,
    /// Left out if the page knows no users.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<SignInStatus>,
}

#[derive(Serialize)]
struct SignInStatus {
    /// Names of all users.
    users: Vec<UserName>,
    /// Time without a touch after which the page locks itself.
    lock_after_ms: u64,
}

impl From<&Users> for SignInStatus {
    fn from(users: &Users) -> Self {
        let lock_after_ms = users.lock_after().as_millis() as u64;
        Self { users: users.names().cloned().collect(), lock_after_ms }
    }
}

#[derive(Serialize)]
struct CineStatus {
    /// Number of frames.
    frames: usize,
    /// Number of the frame that is shown; the oldest is 0.
    shown: usize,
    /// Time from the oldest frame to the newest.
    span_ms: u64,
}

impl From<CineExtent> for CineStatus {
    fn from(CineExtent { frames, shown, span }: CineExtent) -> Self {
        Self { frames, shown, span_ms: span.as_millis() as u64 }
    }
}

#[derive(Serialize)]
struct RecordCounts {
    kept: u64,
    refused: u64,
    deleted: u64,
    /// Code of the reason for the last refusal.
    refused_because: Option<&'static str>,
    /// Number of announcements that wait for the broker.
    waiting: Option<u64>,
}

fn status(state: &Guarded) -> Value {
    // Sessions have no timers; their end is noticed here while a page is open.
    if let Some(users) = &state.users {
        users.expire();
    }
    let snapshot = state.observer.snapshot();
    let latency = state.controls.masks.borrow().latency();
    let free = state.observer.free_bytes().map(|(_, bytes)| bytes);
    let status = Status {
        kind: "status",
        condition: snapshot.condition(),
        latency_ms: latency.map(|latency| latency.as_millis() as u64),
        presets: state.controls.control.presets.len(),
        study_opened_us: state
            .controls
            .control
            .studies
            .as_ref()
            .and_then(|studies| studies.current().map(|study| study.opened_us)),
        worklist: state.controls.control.worklist.is_some(),
        records: state.controls.control.captures.as_ref().map(|captures| RecordCounts {
            kept: snapshot.counts.get(Counter::RecordsKept),
            refused: snapshot.counts.get(Counter::RecordsRefused),
            deleted: snapshot.counts.get(Counter::RecordsDeleted),
            refused_because: captures.refused_because(),
            waiting: snapshot.outbox_messages,
        }),
        diagnostic: state.intended_use == IntendedUse::Diagnostic,
        cine: state.controls.cine.extent().map(CineStatus::from),
        // In whole tenths, so that not every file is a change of the status.
        disk_free_gb: free.min().map(|bytes| (bytes / 100_000_000) as f64 / 10.0),
        battery: Battery::read(Path::new("/")),
        stick: state.controls.control.captures.as_ref().and_then(|captures| captures.stick()),
        sign_in: state.users.as_deref().map(SignInStatus::from),
    };
    // Invariant: all keys are strings.
    serde_json::to_value(status).unwrap_or_default()
}

fn prompts(state: &Guarded) -> Value {
    let objects = state.controls.control.objects.prompts();
    let objects = objects.iter().map(|(object, prompt)| {
        let points = prompt.points().iter();
        let points = points.map(|p| json!({ "x": p.x, "y": p.y, "positive": p.positive }));
        json!({ "object": object, "points": points.collect::<Vec<_>>(), "box": prompt.bbox() })
    });
    let names = state.controls.control.names.all();
    json!({ "kind": "prompts", "objects": objects.collect::<Vec<_>>(), "names": names })
}

/// `None` for a message that violates the wire format; the publisher logs this.
fn mask_message(ready: &QueuedMask) -> Option<Vec<u8>> {
    let age_us = u32::try_from(ready.captured.elapsed().as_micros()).unwrap_or(u32::MAX);
    let message = MaskMessage { age_us, ..(*ready.message).clone() };
    let mut bytes = vec![MASK];
    bytes.extend(ready.revision.to_le_bytes());
    let header = bytes.len();
    bytes.resize(header + MaskMessage::MAX_ENCODED_LEN, 0);
    let length = message.encode(&mut bytes[header..]).ok()?.len();
    bytes.truncate(header + length);
    Some(bytes)
}

/// `None` for a frame that does not fit a JPEG.
fn frame_message(seen: &FollowedFrame) -> Option<Vec<u8>> {
    let captured = &seen.captured;
    let frame = &captured.frame;
    let sides = [frame.width, frame.height].map(|side| u16::try_from(side).ok());
    let [width, height] = [sides[0]?, sides[1]?];
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode(&frame.rgb, frame.width, frame.height, ExtendedColorType::Rgb8)
        .ok()?;
    // Age at the time of sending, including compression.
    let age_us = u32::try_from(captured.captured.elapsed().as_micros()).unwrap_or(u32::MAX);
    let mut bytes = vec![FRAME];
    bytes.extend(captured.frame_id.to_le_bytes());
    bytes.extend(captured.captured_us.to_le_bytes());
    bytes.extend(age_us.to_le_bytes());
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend(scale(frame.pixel_spacing_mm.as_ref()));
    bytes.extend(jpeg);
    Some(bytes)
}

/// Pixel spacing of a frame, and of its regions.
fn scale(spacing: Option<&PixelSpacing>) -> Vec<u8> {
    let mm = |mm: Option<[f32; 2]>| mm.unwrap_or_default().into_iter().flat_map(f32::to_le_bytes);
    let regions = spacing.map(PixelSpacing::regions).unwrap_or_default();
    // Files have at most 64.
    let regions = &regions[..regions.len().min(u8::MAX.into())];
    let mut bytes: Vec<u8> = mm(spacing.and_then(PixelSpacing::uniform)).collect();
    bytes.push(regions.len() as u8);
    for &ScaledRegion { x0, y0, x1, y1, mm: own } in regions {
        // Sides of a frame in a JPEG have 16 bits.
        bytes.extend([x0, y0, x1, y1].into_iter().flat_map(|side| (side as u16).to_le_bytes()));
        bytes.extend(mm(own));
    }
    bytes
}
