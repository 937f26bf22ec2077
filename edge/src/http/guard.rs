//! Authorization of requests that show frames or change something.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use subtle::ConstantTimeEq;

use super::error::Error;
use crate::config::HttpControl;
use crate::files::{self, secret};

/// Number of consecutive wrong tokens after which an address is locked out.
const WRONG_TOKENS: u32 = 5;

/// Time without an attempt after which an address is admitted again.
const LOCKED: Duration = Duration::from_secs(10);

/// Largest number of addresses remembered; further ones count as locked out.
const ADDRESSES: usize = 1024;

/// Checks tokens and origins.
pub(super) struct Guard {
    /// `None`: no token is required, for users of this machine.
    token: Option<String>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

/// Wrong tokens from one address.
struct Failures {
    count: u32,
    last: Instant,
}

impl Guard {
    /// Creates the configured guard; `None` if there is nothing to guard.
    ///
    /// # Errors
    /// [`Error::File`], which names the token's file.
    pub(super) fn new(control: &HttpControl) -> Result<Option<Self>, Error> {
        let token = match control {
            HttpControl::Off => return Ok(None),
            HttpControl::ThisMachine => return Ok(Some(Self::of_this_machine())),
            HttpControl::Token(path) => {
                let token = secret::read_line(path, "token")?;
                let printable = token.chars().all(|c| c.is_ascii_graphic());
                if !(16..=256).contains(&token.len()) || !printable {
                    let reason = "expected 16 to 256 printable ASCII characters without spaces";
                    let (path, reason) = (path.clone(), reason.into());
                    return Err(files::Error::Credential { path, reason }.into());
                }
                token
            }
        };
        Ok(Some(Self { token: Some(token), failures: Mutex::default() }))
    }

    /// A guard without token, for addresses that only this machine reaches.
    pub(super) fn of_this_machine() -> Self {
        Self { token: None, failures: Mutex::default() }
    }

    /// Refuses pages of other origins: a browser would send their requests on behalf of its user.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let host = text(headers, &header::HOST).unwrap_or_default();
        if self.token.is_none() && !is_local_name(host) {
            // Against DNS rebinding: a foreign name may resolve to this address.
            let reason = format!("Host is {host:?}, expected localhost or an IP address");
            return Err(Refused::new(StatusCode::FORBIDDEN, "foreign-page", reason));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let found = origin.to_str().unwrap_or("not a text");
        if found.split_once("://").is_some_and(|(_, from)| from == host) {
            return Ok(());
        }
        let reason = format!("Origin is {found:?}, expected this device's own, {host:?}");
        Err(Refused::new(StatusCode::FORBIDDEN, "foreign-page", reason))
    }

    /// Checks the bearer token of a request.
    pub(super) fn check_bearer(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Refused> {
        let bearer = text(headers, &header::AUTHORIZATION).unwrap_or_default();
        self.check_token(peer, bearer.strip_prefix("Bearer ").unwrap_or_default())
    }

    /// Checks a token. After [`WRONG_TOKENS`] wrong ones in a row, even the right one is refused
    /// for [`LOCKED`].
    pub(super) fn check_token(&self, peer: IpAddr, token: &str) -> Result<(), Refused> {
        self.check_token_at(Instant::now(), peer, token)
    }

    fn check_token_at(&self, now: Instant, peer: IpAddr, token: &str) -> Result<(), Refused> {
        let Some(expected) = &self.token else { return Ok(()) };
        // The map is consistent after every statement.
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, failures| now.duration_since(failures.last) < LOCKED);
        let full = failures.len() >= ADDRESSES;
        let locked = failures.get(&peer).map_or(full, |past| past.count >= WRONG_TOKENS);
        if locked {
            let (status, seconds) = (StatusCode::TOO_MANY_REQUESTS, LOCKED.as_secs());
            let reason = format!("too many wrong tokens; try again after {seconds} s");
            return Err(Refused::new(status, "too-many-tokens", reason).until(LOCKED));
        }
        if bool::from(token.as_bytes().ct_eq(expected.as_bytes())) {
            failures.remove(&peer);
            return Ok(());
        }
        if !token.is_empty() {
            let past = failures.entry(peer).or_insert(Failures { count: 0, last: now });
            *past = Failures { count: past.count + 1, last: now };
        }
        let found = if token.is_empty() { "missing" } else { "wrong" };
        let reason = format!("the token is {found}, expected the token of http.token_file");
        Err(Refused::new(StatusCode::UNAUTHORIZED, "wrong-token", reason))
    }
}

/// A header as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// True for `localhost` and IP addresses, which no name server resolves.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    name.is_some_and(|name| name == "localhost" || name.parse::<IpAddr>().is_ok())
}

/// A refused request.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub status: StatusCode,
    /// Cause, for programs.
    pub code: &'static str,
    /// Values found and expected.
    pub reason: String,
    /// Time after which the request may be repeated, if it is known.
    retry_after: Option<Duration>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: &'static str, reason: impl Into<String>) -> Self {
        Self { status, code, reason: reason.into(), retry_after: None }
    }

    /// The refusal of a request that may be repeated after a wait.
    pub(super) fn until(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

impl IntoResponse for Refused {
    /// JSON, with the refusal itself as an extension, for counting.
    fn into_response(self) -> Response {
        let body = json!({ "code": self.code, "error": self.reason.clone() });
        let mut response = (self.status, Json(body)).into_response();
        let header = match (self.status, self.retry_after) {
            (StatusCode::UNAUTHORIZED, _) => Some((header::WWW_AUTHENTICATE, "Bearer".to_owned())),
            // In whole seconds, not too early.
            (_, Some(wait)) => Some((header::RETRY_AFTER, wait.as_secs_f64().ceil().to_string())),
            (_, None) => None,
        };
        // Invariant: digits and letters are valid in a header.
        if let Some((name, Ok(value))) = header.map(|(name, value)| (name, value.parse())) {
            response.headers_mut().insert(name, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn guard(token: Option<&str>) -> Guard {
        Guard { token: token.map(str::to_owned), failures: Mutex::default() }
    }

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        headers.extend(origin.map(|origin| (header::ORIGIN, origin.parse().unwrap())));
        headers
    }

    #[test]
    fn address_with_wrong_tokens_is_locked_out_for_a_while() {
        let (guard, begun) = (guard(Some("a-token-of-length")), Instant::now());
        let status = |now, peer, token: &str| {
            guard.check_token_at(now, peer, token).map_err(|refused| refused.status.as_u16())
        };
        for _ in 0..WRONG_TOKENS {
            assert_eq!(status(begun, PEER, "a guess"), Err(401));
        }
        assert_eq!(status(begun, PEER, "a-token-of-length"), Err(429));
        let other = "10.0.0.1".parse().unwrap();
        assert_eq!(status(begun, other, "a-token-of-length"), Ok(()));
        assert_eq!(status(begun + LOCKED, PEER, "a-token-of-length"), Ok(()));
    }

    #[test]
    fn right_token_resets_wrong_ones() {
        let (guard, now) = (guard(Some("a-token-of-length")), Instant::now());
        for _ in 0..4 * WRONG_TOKENS {
            assert!(guard.check_token_at(now, PEER, "a guess").is_err());
            assert!(guard.check_token_at(now, PEER, "a-token-of-length").is_ok());
        }
    }

    #[test]
    fn only_pages_of_the_device_are_admitted() {
        let local = guard(None);
        for host in ["localhost:9090", "127.0.0.1:9090", "[::1]:9090"] {
            assert!(local.check_origin(&headers(host, None)).is_ok(), "{host}");
            let own = format!("http://{host}");
            assert!(local.check_origin(&headers(host, Some(&own))).is_ok(), "{host}");
            for other in ["http://evil.example", "null", "http://localhost", ""] {
                assert!(local.check_origin(&headers(host, Some(other))).is_err(), "{other}");
            }
        }
        // A name that resolves to this device (DNS rebinding).
        let rebound = headers("evil.example:9090", Some("http://evil.example:9090"));
        assert!(local.check_origin(&rebound).is_err());
        // With a token, the device may have a name.
        let named = headers("bedside-1.lan:9090", Some("https://bedside-1.lan:9090"));
        assert!(guard(Some("a-token-of-length")).check_origin(&named).is_ok());
    }
}
