//! The HTTP server: addresses, routes and their guards.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::error::Error;
use super::guard::Guard;
use super::state::{Controls, Guarded};
use super::users::Users;
use super::{control, exposition, metrics, page, serve};
use crate::config::{Encryption, HttpConfig, IntendedUse};
use crate::port::Observer;

/// Largest number of clients of `/live`; each costs the time to compress every frame.
const MAX_VIEWERS: usize = 4;

/// A listening server.
pub struct Server {
    endpoints: Vec<Endpoint>,
    intended_use: IntendedUse,
    /// Sessions of all addresses; `None` if the page knows no users.
    users: Option<Arc<Users>>,
}

/// An address that the server listens on.
struct Endpoint {
    listener: TcpListener,
    /// `None` if only metrics and health are served.
    guard: Option<Arc<Guard>>,
    /// `None` without TLS.
    tls: Option<TlsAcceptor>,
}

impl Endpoint {
    fn open(
        listen: SocketAddr,
        guard: Option<Guard>,
        tls: Option<TlsAcceptor>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Listen { listen, source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!("metrics and health at {scheme}://{address}");
        if guard.is_some() {
            tracing::info!("touchscreen page at {scheme}://{address}/");
        }
        Ok(Self { listener, guard: guard.map(Arc::new), tls })
    }
}

/// Contents of the files that the configuration names.
struct Secrets {
    guard: Option<Guard>,
    tls: Option<TlsAcceptor>,
}

impl Secrets {
    fn read(config: &HttpConfig) -> Result<Self, Error> {
        let tls = match &config.encryption {
            Encryption::Off | Encryption::Proxy => None,
            Encryption::Own { certificate, key } => Some(serve::encryption(certificate, key)?),
        };
        Ok(Self { guard: Guard::new(&config.control)?, tls })
    }
}

/// Checks everything that [`Server::listen`] needs, except the address.
///
/// # Errors
/// As [`Server::listen`].
pub(crate) fn check(config: &HttpConfig) -> Result<(), Error> {
    Secrets::read(config).map(drop)
}

impl Server {
    /// Opens the sockets.
    ///
    /// # Errors
    /// [`Error`].
    pub fn listen(config: &HttpConfig) -> Result<Self, Error> {
        let Secrets { guard, tls } = Secrets::read(config)?;
        let mut endpoints = vec![Endpoint::open(config.listen, guard, tls)?];
        if let Some(kiosk) = config.kiosk {
            endpoints.push(Endpoint::open(kiosk, Some(Guard::of_this_machine()), None)?);
        }
        let users = config.sign_in.clone().map(|sign_in| Arc::new(Users::new(sign_in)));
        Ok(Self { endpoints, intended_use: config.intended_use, users })
    }

    /// Serves until it is dropped. It can be called again afterwards.
    pub(crate) async fn run(self: Arc<Self>, observer: Observer, controls: Controls) {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/health", get(health))
            .route("/ready", get(ready))
            .with_state(Arc::new(observer.clone()));
        let viewers = Arc::new(Semaphore::new(MAX_VIEWERS));
        let mut serving = JoinSet::new();
        for Endpoint { listener, guard, tls } in &self.endpoints {
            let mut router = router.clone();
            if let Some(guard) = guard {
                let guarded = Guarded {
                    controls: controls.clone(),
                    guard: guard.clone(),
                    observer: observer.clone(),
                    intended_use: self.intended_use,
                    users: self.users.clone(),
                    viewers: viewers.clone(),
                };
                router = router.merge(control::router(guarded)).merge(page::router());
            }
            // A copy, so that the socket stays open if this task has to be restarted.
            match listener.try_clone().and_then(tokio::net::TcpListener::from_std) {
                Ok(listener) => {
                    let failures = observer.failures.clone();
                    serving.spawn(serve::serve(listener, tls.clone(), router, failures));
                }
                Err(error) => tracing::error!("cannot serve HTTP: {error}"),
            }
        }
        // Each serves for ever. A panic is one of this task.
        serving.join_all().await;
    }
}

async fn metrics(State(observer): State<Arc<Observer>>) -> Response {
    match metrics::text(&observer) {
        Ok(text) => ([(header::CONTENT_TYPE, exposition::FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Liveness: the process answers. A process that cannot work ends by itself.
async fn health(State(observer): State<Arc<Observer>>) -> Response {
    axum::Json(observer.snapshot().health()).into_response()
}

/// Readiness: frames arrive.
async fn ready(State(observer): State<Arc<Observer>>) -> Response {
    let snapshot = observer.snapshot();
    let status = if snapshot.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(snapshot.health())).into_response()
}
