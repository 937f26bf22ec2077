//! Reasons why a connection ended, as texts for the log.

use std::error::Error;
use std::io;

use rumqttc::v5;
use rustls::CertificateError;

/// Loss of a connection.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub reason: String,
    pub cause: LossCause,
}

/// Causes of a loss that are handled differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// A packet above [`crate::config::MAX_PACKET_BYTES`] arrived.
    OversizedPacket,
    /// Another client connected with the same id. MQTT 5 brokers report this, but rumqttc 0.25
    /// understands it only with properties, which mosquitto does not send.
    TakenOver,
    /// Any other cause.
    Other,
}

impl Lost {
    pub(super) fn silent() -> Self {
        Self::other("the broker has gone silent: it reads nothing from the connection")
    }

    fn other(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), cause: LossCause::Other }
    }

    fn unanswered_ping() -> Self {
        Self::other("the broker has gone silent: it did not answer a ping")
    }

    fn timeout() -> Self {
        Self::other("the broker did not accept the connection in time")
    }

    fn refused(code: &str) -> Self {
        Self::other(format!("the broker refuses the connection: {code}"))
    }

    fn refused_login(code: &str) -> Self {
        Self::other(format!("the broker refuses user, password or certificate: {code}"))
    }

    fn oversized(error: &(dyn Error + 'static)) -> Self {
        Self { reason: innermost(error), cause: LossCause::OversizedPacket }
    }

    /// MQTT 3.1.1 brokers close the connection without a reason.
    fn closed(client_id: &str) -> Self {
        Self::other(format!(
            "the broker closed the connection, because it stopped or because another client \
             connected with the id {client_id}"
        ))
    }

    fn from_error(error: &(dyn Error + 'static), client_id: &str) -> Self {
        if is_closed(error) { Self::closed(client_id) } else { Self::other(innermost(error)) }
    }
}

pub(super) fn lost_v4(error: &rumqttc::ConnectionError, client_id: &str) -> Lost {
    use rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded;
    use rumqttc::{ConnectReturnCode, ConnectionError, StateError};
    match error {
        ConnectionError::MqttState(StateError::Deserialization(PayloadSizeLimitExceeded(_))) => {
            Lost::oversized(error)
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => Lost::unanswered_ping(),
        ConnectionError::MqttState(StateError::ConnectionAborted) => Lost::closed(client_id),
        ConnectionError::FlushTimeout => Lost::silent(),
        ConnectionError::NetworkTimeout => Lost::timeout(),
        ConnectionError::ConnectionRefused(
            code @ (ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized),
        ) => Lost::refused_login(&format!("{code:?}")),
        ConnectionError::ConnectionRefused(code) => Lost::refused(&format!("{code:?}")),
        error => Lost::from_error(error, client_id),
    }
}

pub(super) fn lost_v5(error: &v5::ConnectionError, client_id: &str) -> Lost {
    use v5::mqttbytes::Error::PayloadSizeLimitExceeded;
    use v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
    use v5::{ConnectionError, StateError};
    match error {
        ConnectionError::MqttState(
            StateError::IncomingPacketTooLarge { .. }
            | StateError::Deserialization(PayloadSizeLimitExceeded { .. }),
        ) => Lost::oversized(error),
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => Lost {
            reason: format!(
                "another client connected with the id {client_id}; each client needs its own"
            ),
            cause: LossCause::TakenOver,
        },
        ConnectionError::MqttState(StateError::AwaitPingResp) => Lost::unanswered_ping(),
        ConnectionError::MqttState(StateError::ConnectionAborted) => Lost::closed(client_id),
        ConnectionError::Timeout(_) => Lost::timeout(),
        ConnectionError::ConnectionRefused(
            code @ (ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized),
        ) => Lost::refused_login(&format!("{code:?}")),
        ConnectionError::ConnectionRefused(code) => Lost::refused(&format!("{code:?}")),
        // This error is not exposed as a source.
        ConnectionError::MqttState(StateError::Deserialization(error)) => {
            Lost::from_error(error, client_id)
        }
        error => Lost::from_error(error, client_id),
    }
}

/// True if the peer closed the connection.
fn is_closed(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    sources(error)
        .filter_map(|source| source.downcast_ref::<io::Error>())
        .any(|source| matches!(source.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
}

/// The innermost error, or the TLS error if there is one.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let of_tls = sources(error).find_map(|source| {
        source.downcast_ref::<rustls::Error>().or_else(|| {
            source.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()
        })
    });
    match of_tls {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "TLS: the broker's certificate is not signed by any of the certificates in ca_file"
            .into(),
        Some(error) => format!("TLS: {error}"),
        None => sources(error).last().unwrap_or(error).to_string(),
    }
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
