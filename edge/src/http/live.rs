//! The picture and its masks, as they come: the WebSocket `/live`.
//!
//! The client's first message is the token, or an empty text where none is asked for. It answers
//! each message of the device with one of its own, whatever it holds; nothing more is sent until
//! all were answered, and then what is newest. So a slow client gets fewer frames, and not older
//! ones; one that does not answer for 10 s is disconnected. Masks come also while no broker is
//! there. Who sends a wrong token is told by the close code: 4401, or 4429 after too many.
//!
//! | message | is |
//! |---|---|
//! | binary, first byte 1 | a frame: `frame_id` u64, `captured_us` u64, `age_us` u32, `width_px` u16, `height_px` u16, all little-endian; then a JPEG |
//! | binary, first byte 2 | a mask: then the bytes of a mask message, as `wire/SPEC.md` tells |
//! | text, `"kind": "status"` | how the service is, when that has changed |
//! | text, `"kind": "prompts"` | points and boxes in force, in pixels of the newest frame, likewise |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use medsa_wire::{MaskMessage, Message as _};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::guard::Refused;
use super::state::Guarded;
use crate::config::IntendedUse;
use crate::meter::Counter;
use crate::pipeline::{FollowedFrame, QueuedMask};
use crate::port::Condition;

/// Longest wait for an answer of the client.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often is looked for changes that nothing announces.
const LOOK: Duration = Duration::from_millis(200);

/// What a client says is short.
const MAX_HEARD_BYTES: usize = 1024;

const FRAME: u8 = 1;

const MASK: u8 = 2;

/// Of 100; enough for outlines to be judged by.
const JPEG_QUALITY: u8 = 85;

/// Lets a client look on.
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
    let Ok(seat) = state.seats.clone().try_acquire_owned() else {
        let reason = "too many look on already";
        return refuse(Refused::new(StatusCode::SERVICE_UNAVAILABLE, reason));
    };
    upgrade.max_message_size(MAX_HEARD_BYTES).on_upgrade(move |socket| async move {
        let mut client = Client { socket, unanswered: 0 };
        // Either way, it is over.
        let _ = client.serve(&state, peer).await;
        drop(seat);
    })
}

/// The connection is over.
struct Gone;

struct Client {
    socket: WebSocket,
    /// Messages that it did not answer yet.
    unanswered: usize,
}

/// What a client was sent last.
#[derive(Default)]
struct Sent {
    frame_id: Option<u64>,
    masks: Vec<Option<Arc<QueuedMask>>>,
    status: Value,
    prompts: Value,
}

impl Client {
    async fn serve(&mut self, state: &Guarded, peer: SocketAddr) -> Result<(), Gone> {
        let Ok(Some(Ok(Message::Text(token)))) = timeout(PATIENCE, self.socket.recv()).await else {
            return Err(Gone);
        };
        if let Err(Refused { status, reason }) = state.guard.check_token(peer.ip(), &token) {
            state.controls.control.refused(format!("/live from {}", peer.ip()), &reason);
            // Four digits are those of applications.
            let close = CloseFrame { code: 4000 + status.as_u16(), reason: reason.into() };
            return self.send(Message::Close(Some(close))).await;
        }
        let (mut frames, mut masks) = (state.controls.frames.clone(), state.controls.masks.clone());
        let mut look = interval(LOOK);
        let mut sent = Sent::default();
        let mut answer_by = Instant::now();
        loop {
            if self.unanswered == 0 {
                for message in sent.news(state).await {
                    self.send(message).await?;
                    self.unanswered += 1;
                }
                answer_by = Instant::now() + PATIENCE;
            }
            let ready = self.unanswered == 0;
            tokio::select! {
                heard = self.socket.recv() => match heard {
                    Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                        self.unanswered = self.unanswered.saturating_sub(1);
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return Err(Gone),
                },
                changed = frames.changed(), if ready => changed.map_err(|_| Gone)?,
                changed = masks.changed(), if ready => changed.map_err(|_| Gone)?,
                _ = look.tick(), if ready => {}
                () = sleep_until(answer_by), if !ready => return Err(Gone),
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        let sent = timeout(PATIENCE, self.socket.send(message)).await;
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }
}

impl Sent {
    /// What has changed since the last time.
    async fn news(&mut self, state: &Guarded) -> Vec<Message> {
        let mut news = Vec::new();
        let status = status(state);
        if self.status != status {
            news.push(Message::Text(status.to_string()));
            self.status = status;
        }
        let prompts = prompts(state);
        if self.prompts != prompts {
            news.push(Message::Text(prompts.to_string()));
            self.prompts = prompts;
        }
        let masks = state.controls.masks.borrow().masks().to_vec();
        self.masks.resize(masks.len(), None);
        for (known, mask) in self.masks.iter_mut().zip(masks) {
            let Some(mask) = mask else { continue };
            if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &mask)) {
                continue;
            }
            news.extend(mask_message(&mask).map(Message::Binary));
            *known = Some(mask);
        }
        let newest = state.controls.frames.borrow().clone();
        if let Some(seen) = newest
            && self.frame_id.replace(seen.captured.frame_id) != Some(seen.captured.frame_id)
        {
            // Compressing takes milliseconds, which others would wait for on this thread.
            let frame = tokio::task::spawn_blocking(move || frame_message(&seen)).await;
            news.extend(frame.ok().flatten().map(Message::Binary));
        }
        news
    }
}

/// Message of kind `status`.
#[derive(Serialize)]
struct Status {
    kind: &'static str,
    #[serde(flatten)]
    condition: Condition,
    latency_ms: Option<u64>,
    /// `None` without a folder for records.
    records: Option<RecordCounts>,
    diagnostic: bool,
}

#[derive(Serialize)]
struct RecordCounts {
    kept: u64,
    refused: u64,
    /// Announcements that wait for the broker.
    waiting: Option<u64>,
}

fn status(state: &Guarded) -> Value {
    let snapshot = state.observer.snapshot();
    let latency = state.controls.masks.borrow().latency();
    let status = Status {
        kind: "status",
        condition: snapshot.condition(),
        latency_ms: latency.map(|latency| latency.as_millis() as u64),
        records: state.controls.control.captures.as_ref().map(|_| RecordCounts {
            kept: snapshot.counts.get(Counter::RecordsKept),
            refused: snapshot.counts.get(Counter::RecordsRefused),
            waiting: snapshot.outbox_messages,
        }),
        diagnostic: state.intended_use == IntendedUse::Diagnostic,
    };
    // Invariant: all keys are texts.
    serde_json::to_value(status).unwrap_or_default()
}

fn prompts(state: &Guarded) -> Value {
    let objects = state.controls.control.objects.prompts();
    let objects = objects.iter().map(|(object, prompt)| {
        let points = prompt.points().iter();
        let points = points.map(|p| json!({ "x": p.x, "y": p.y, "positive": p.positive }));
        json!({ "object": object, "points": points.collect::<Vec<_>>(), "box": prompt.bbox() })
    });
    json!({ "kind": "prompts", "objects": objects.collect::<Vec<_>>() })
}

/// `None` of a message that breaks a rule, which the log told when it was published.
fn mask_message(ready: &QueuedMask) -> Option<Vec<u8>> {
    let age_us = u32::try_from(ready.captured.elapsed().as_micros()).unwrap_or(u32::MAX);
    let message = MaskMessage { age_us, ..(*ready.message).clone() };
    let mut bytes = vec![MASK; 1 + MaskMessage::MAX_ENCODED_LEN];
    let length = message.encode(&mut bytes[1..]).ok()?.len();
    bytes.truncate(1 + length);
    Some(bytes)
}

/// `None` of a frame that no JPEG holds.
fn frame_message(seen: &FollowedFrame) -> Option<Vec<u8>> {
    let captured = &seen.captured;
    let frame = &captured.frame;
    let sides = [frame.width, frame.height].map(|side| u16::try_from(side).ok());
    let [width, height] = [sides[0]?, sides[1]?];
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode(&frame.rgb, frame.width, frame.height, ExtendedColorType::Rgb8)
        .ok()?;
    // Of the moment when it leaves, with the time that compressing took.
    let age_us = u32::try_from(captured.captured.elapsed().as_micros()).unwrap_or(u32::MAX);
    let mut bytes = vec![FRAME];
    bytes.extend(captured.frame_id.to_le_bytes());
    bytes.extend(captured.captured_us.to_le_bytes());
    bytes.extend(age_us.to_le_bytes());
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend(jpeg);
    Some(bytes)
}
