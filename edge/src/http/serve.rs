//! Connections: accepting, TLS if configured, and serving.
//!
//! The crate axum-server detaches its connections, so that their panics could not be recorded, and
//! with HTTP/1 alone it does not upgrade them, which `/live` needs.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::error::Error;
use crate::files::pem;
use crate::port::Failures;

/// Longest wait for the TLS handshake and for the head of a request, so that idle clients keep no
/// connection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Wait after a connection could not be accepted, as with too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// TLS with the certificate and key in these files.
///
/// # Errors
/// [`Error::File`], which names the file.
pub(super) fn encryption(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let (chain, private) = (pem::certificates(certificate)?, pem::private_key(key)?);
    // Invariant: aws-lc-rs supports the versions that rustls considers safe.
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, private);
    Ok(Arc::new(config.map_err(pem::misfit(certificate, key))?).into())
}

/// Serves all connections. A panic costs its connection.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    failures: Failures,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if error.kind() != ErrorKind::ConnectionAborted {
                    tracing::warn!("http: cannot accept a connection: {error}");
                    sleep(PAUSE).await;
                }
                continue;
            }
        };
        let router = router.clone().layer(Extension(ConnectInfo(peer)));
        failures.spawn("connection", connection(stream, peer, tls.clone(), router));
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router) {
    // Data is small or urgent. If this fails, it is only slower.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return answer(stream, router).await };
    match timeout(TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, router).await,
        Ok(Err(error)) => tracing::debug!("http: {peer}: {error}"),
        Err(_) => tracing::debug!("http: {peer} did not finish the TLS handshake"),
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // The connection ends in either case; upgraded connections continue elsewhere.
    let _ = connection.with_upgrades().await;
}
