//! Routes of sessions, and the lock of screens without one.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::Refused;
use super::handling::{decode, json_body, on_disk};
use super::state::Guarded;
use super::users::{Purpose, Users, WRONG_PIN};
use crate::meter::Counter;
use crate::port::{Requester, Trigger};

/// Routes for the pages of a device with users.
pub(super) fn router(users: Arc<Users>) -> Router<Arc<Guarded>> {
    let session = post(sign_in).put(extend).delete(sign_out);
    Router::new().route("/session", session).layer(Extension(users))
}

/// Refuses requests of locked screens. Passes the user on to the handlers; without users, none.
pub(super) async fn unlocked(
    State(state): State<Arc<Guarded>>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut by = Requester::from(Trigger::Http);
    if let Some(users) = &state.users {
        let purpose = if request.method().is_safe() { Purpose::Read } else { Purpose::Act };
        match users.find(request.headers(), purpose) {
            Ok(user) => by.user = Some(user),
            Err(refused) => return refused.into_response(),
        }
    }
    request.extensions_mut().insert(by);
    next.run(request).await
}

/// Body of `POST /session`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignInBody {
    user: String,
    pin: String,
}

/// Signs a user in; the page keeps the session until it is left.
async fn sign_in(
    State(state): State<Arc<Guarded>>,
    Extension(users): Extension<Arc<Users>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    let read = |bytes: &[u8]| {
        // The parser's own reason could quote the PIN.
        json_body(bytes).map_err(|_| r#"expected {"user": NAME, "pin": DIGITS}, two texts"#.into())
    };
    let SignInBody { user, pin } = decode(&state, body, read)?;
    let signed_in = on_disk(move || Ok(users.sign_in(&user, &pin, peer.ip()))).await?;
    let token = signed_in.inspect_err(|refused| {
        if refused.code == WRONG_PIN {
            state.controls.control.meter.count(Counter::PinsRefused);
        }
    })?;
    Ok(Json(json!({ "session": token })))
}

/// Extends the session, because the user touches the screen.
async fn extend(
    Extension(users): Extension<Arc<Users>>,
    headers: HeaderMap,
) -> Result<StatusCode, Refused> {
    users.find(&headers, Purpose::Act).map(|_| StatusCode::NO_CONTENT)
}

/// Body of `DELETE /session`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignOutBody {
    /// True if nobody has touched the screen, false if the user locks it.
    idle: bool,
}

/// Ends the session, if there is one.
async fn sign_out(
    State(state): State<Arc<Guarded>>,
    Extension(users): Extension<Arc<Users>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refused> {
    let SignOutBody { idle } = decode(&state, body, json_body)?;
    users.sign_out(&headers, if idle { "the screen was not touched" } else { "screen locked" });
    Ok(StatusCode::NO_CONTENT)
}
