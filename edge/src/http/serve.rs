//! Connections: accepted, encrypted where the configuration wants it, and answered.

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

/// Longest wait for a client to agree on keys, and for the head of a request: whoever says nothing
/// does not keep a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Wait after the system could not accept, as when too many files are open.
const PAUSE: Duration = Duration::from_secs(1);

/// What encrypts with the certificate and key in these files.
///
/// # Errors
/// [`Error::File`], which names the file.
pub(super) fn encryption(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let (chain, private) = (pem::certificates(certificate)?, pem::private_key(key)?);
    // Invariant: aws-lc-rs supports the versions that rustls holds to be safe.
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, private);
    Ok(Arc::new(config.map_err(pem::misfit(certificate, key))?).into())
}

/// Answers whoever connects.
pub(super) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
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
        tokio::spawn(connection(stream, peer, tls.clone(), router));
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router) {
    // What is sent is small or urgent. Without, it comes a little later.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return answer(stream, router).await };
    match timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, router).await,
        Ok(Err(error)) => tracing::debug!("http: {peer}: {error}"),
        Err(_) => tracing::debug!("http: {peer} does not agree on keys"),
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Either way, it is over; upgraded ones go on elsewhere.
    let _ = connection.with_upgrades().await;
}
