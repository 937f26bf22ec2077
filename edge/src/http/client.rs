//! Client for the health report of the service on this device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{Encryption, HttpConfig};
use crate::files::pem;

/// Longest wait for the response.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest response, in bytes.
const LONGEST: usize = 1 << 16;

/// Fetches `/health` of the service with this configuration.
///
/// # Errors
/// The reason why the state is unknown, for people.
pub async fn health_of(config: &HttpConfig) -> Result<Value, String> {
    let asked = timeout(TIMEOUT, ask(config)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}

async fn ask(config: &HttpConfig) -> Result<Value, String> {
    if let Some(kiosk) = config.kiosk {
        let stream = TcpStream::connect(kiosk).await;
        return get(stream.map_err(|error| format!("{kiosk} does not answer: {error}"))?, kiosk)
            .await;
    }
    let address = here(config.listen);
    let failed = |error: &dyn std::error::Error| format!("{address} does not answer: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let Encryption::Own { certificate, .. } = &config.encryption else {
        return get(stream, address).await;
    };
    let chain = pem::certificates(certificate).map_err(|error| error.to_string())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pinned =
        Arc::new(PinnedCertificate { certificate: chain[0].clone(), provider: provider.clone() });
    // Invariant: aws-lc-rs supports the versions that rustls considers safe.
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await;
    get(stream.map_err(|error| failed(&error))?, address).await
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
) -> Result<Value, String> {
    let failed = |error: &dyn std::error::Error| format!("{address} does not answer: {error}");
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
    tokio::spawn(connection);
    let request = Request::get("/health").header(header::HOST, address.to_string());
    let request = request.body(Body::empty()).map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let body = to_bytes(Body::new(answer.into_body()), LONGEST).await;
    let body = body.map_err(|error| failed(&error))?;
    serde_json::from_slice(&body).map_err(|error| format!("{address} is not a medsa-edge: {error}"))
}

/// Address at which this machine reaches a server that listens on `listen`.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Accepts exactly the certificate that the configuration names, whatever name and dates it has.
#[derive(Debug)]
struct PinnedCertificate {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
