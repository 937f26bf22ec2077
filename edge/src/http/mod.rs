//! What the service tells over HTTP: `/metrics` for Prometheus, `/health` for whoever restarts or
//! watches it; and what it hears there, where the configuration wants it: prompts and commands.
//!
//! **Architecture invariant:** what changes anything, or tells of a picture, is behind [`Guard`]:
//! never there unless configured, never for pages of other origins, and only for who knows the
//! token, where there is one.

mod client;
mod control;
mod guard;
mod health;
mod live;
mod metrics;
mod page;
mod serve;
mod thumbnail;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::{Encryption, HttpConfig, IntendedUse};
use crate::error::Error;
use crate::mqtt::LinkState;
use crate::outbox::Outbox;
use crate::pipeline::{Meter, Slot};
use crate::service::Statuses;
use guard::Guard;
use medsa_engine::Engine;

pub use client::health_of;
pub(crate) use control::Controls;

/// What is told about.
#[derive(Clone)]
pub struct Observed {
    /// Where the build in use is.
    pub slot: Slot<Engine>,
    /// Counters and latencies.
    pub meter: Arc<Meter>,
    /// How the service is.
    pub statuses: Statuses,
    /// Whether there is a connection to the broker.
    pub broker: watch::Receiver<LinkState>,
    /// What waits for the broker.
    pub outbox: Option<Arc<Outbox>>,
}

impl Observed {
    /// Name and version of the build.
    fn build(&self) -> String {
        self.slot.current().build.to_string()
    }
}

/// Who can look on at the same time: each costs the time to compress every picture.
const SEATS: usize = 4;

/// A server that listens.
pub struct Server {
    doors: Vec<Door>,
    intended_use: IntendedUse,
}

/// An address that it listens on.
struct Door {
    listener: TcpListener,
    /// `None` when there is nothing but metrics and health.
    guard: Option<Guard>,
    /// `None` when this service does not encrypt.
    tls: Option<TlsAcceptor>,
}

impl Door {
    fn open(
        listen: SocketAddr,
        guard: Option<Guard>,
        tls: Option<TlsAcceptor>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::ListenHttp { listen, source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!("metrics and health at {scheme}://{address}");
        if guard.is_some() {
            tracing::info!("touchscreen page at {scheme}://{address}/");
        }
        Ok(Self { listener, guard, tls })
    }
}

/// What the files that the configuration names hold.
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

/// Whether [`Server::listen`] would find what it needs, but for the address.
///
/// # Errors
/// As [`Server::listen`].
pub(crate) fn check(config: &HttpConfig) -> Result<(), Error> {
    Secrets::read(config).map(drop)
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::ListenHttp`]; of the files with token, certificate and key [`Error::Io`],
    /// [`Error::Exposed`] and [`Error::Credential`].
    pub fn listen(config: &HttpConfig) -> Result<Self, Error> {
        let Secrets { guard, tls } = Secrets::read(config)?;
        let mut doors = vec![Door::open(config.listen, guard, tls)?];
        if let Some(kiosk) = config.kiosk {
            doors.push(Door::open(kiosk, Some(Guard::of_this_machine()), None)?);
        }
        Ok(Self { doors, intended_use: config.intended_use })
    }

    /// Answers until it is dropped.
    pub(crate) async fn run(self, observed: Observed, controls: Controls) {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/health", get(health))
            .with_state(Arc::new(observed.clone()));
        let seats = Arc::new(Semaphore::new(SEATS));
        let mut serving = JoinSet::new();
        for Door { listener, guard, tls } in self.doors {
            let mut router = router.clone();
            if let Some(guard) = guard {
                let (controls, observed) = (controls.clone(), observed.clone());
                let (intended_use, seats) = (self.intended_use, seats.clone());
                let guarded = control::router(controls, guard, observed, intended_use, seats);
                router = router.merge(guarded).merge(page::router());
            }
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => drop(serving.spawn(serve::serve(listener, tls, router))),
                Err(error) => tracing::error!("nothing is told or heard by HTTP: {error}"),
            }
        }
        serving.join_all().await;
    }
}

async fn metrics(State(observed): State<Arc<Observed>>) -> Response {
    const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics::text(&observed) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn health(State(observed): State<Arc<Observed>>) -> Response {
    let (well, report) = health::report(&observed);
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(report)).into_response()
}
