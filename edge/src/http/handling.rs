//! Steps that the handlers of guarded routes share.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::guard::Refused;
use super::state::Guarded;
use crate::port::Refusal;

/// Runs work that waits for the disk, or computes for long, on a separate thread.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Refused> {
    let failed = |reason| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "disk", reason);
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(error.to_string()))?.map_err(failed)
}

/// Reads a body that is no message of the wire format.
pub(super) fn json_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Decodes a body by `read`.
pub(super) fn decode<M>(
    state: &Guarded,
    body: Result<Bytes, BytesRejection>,
    read: impl FnOnce(&[u8]) -> Result<M, String>,
) -> Result<M, Refused> {
    let code = "not-a-message";
    let body = body.map_err(|rejection| {
        let (status, limit) = (rejection.status(), state.controls.max_body_bytes);
        let reason = match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                format!("the body is too long, at most {limit} bytes are accepted")
            }
            _ => rejection.body_text(),
        };
        Refused::new(status, code, reason)
    })?;
    read(&body).map_err(|reason| Refused::new(StatusCode::BAD_REQUEST, code, reason))
}

/// Refusal of a message that was decoded but cannot be applied now.
pub(super) fn unfit(Refusal { code, reason }: Refusal) -> Refused {
    let status = match code {
        "no-such-record" | "no-worklist" => StatusCode::NOT_FOUND,
        "record-busy" | "stick-busy" | "other-patient" => StatusCode::CONFLICT,
        "worklist-failed" => StatusCode::BAD_GATEWAY,
        "disk" | "stick-failed" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Refused::new(status, code, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_status_of_their_cause() {
        for (code, status) in
            [("no-such-record", 404), ("record-busy", 409), ("disk", 500), ("frame-old", 422)]
        {
            assert_eq!(unfit(Refusal::new(code, "")).status, status, "{code}");
        }
    }
}
