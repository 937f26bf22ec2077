//! Storage over DICOMweb (STOW-RS, PS3.18 10.5).

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::association::{MAX_MESSAGE_BYTES, causes};
use crate::{Error, Instance, Stored};

/// FailedSOPSequence.
const FAILED: &str = "00081198";

/// ReferencedSOPSequence: the instances that are stored.
const REFERENCED: &str = "00081199";

const REFERENCED_UID: &str = "00081155";

const FAILURE_REASON: &str = "00081197";

const WARNING_REASON: &str = "00081196";

/// A DICOMweb server, and the way to it.
#[derive(Clone)]
pub struct WebServer {
    url: String,
    client: Client,
    authorization: Option<Authorization>,
}

/// Proof of identity to a server.
#[derive(Clone)]
pub enum Authorization {
    /// User name and password.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// Token.
    Bearer(String),
}

impl WebServer {
    /// Prepares connections. `url` is that of the DICOMweb service, such as
    /// `https://pacs.example.org/dicom-web`; `tls` has the authorities that are trusted; `timeout` is the
    /// longest time for a connection, and for a record.
    ///
    /// # Errors
    /// [`Error::Connection`] if the options of encryption cannot be used.
    pub fn new(
        url: &str,
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
        authorization: Option<Authorization>,
    ) -> Result<Self, Error> {
        let url = url.trim_end_matches('/').to_owned();
        let tls = tls.map_or_else(without_authorities, |tls| (*tls).clone());
        let client = Client::builder()
            .connect_timeout(timeout)
            .timeout(timeout)
            // Records go to the configured server alone.
            .redirect(Policy::none())
            .tls_backend_preconfigured(tls);
        let client = client.build().map_err(|error| lost(&url, &error))?;
        Ok(Self { url, client, authorization })
    }
}

/// Options for servers without encryption, which reqwest requires, too.
fn without_authorities() -> ClientConfig {
    // Invariant: aws-lc-rs supports the versions that rustls considers safe.
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports TLS 1.2 and 1.3")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// Stores instances with one request.
///
/// # Errors
/// [`Error::Connection`], [`Error::Http`], [`Error::Refused`] for the first instance that is refused.
/// Sending all of them again does no harm: an archive knows an instance by its UID.
pub fn store_web(server: &WebServer, instances: &[Instance]) -> Result<Stored, Error> {
    let boundary = format!("medsa-{}", uuid::Uuid::new_v4().simple());
    let mut body = Vec::new();
    for instance in instances {
        body.extend(format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").bytes());
        body.extend(instance.bytes());
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").bytes());
    let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
    let mut request = server
        .client
        .post(format!("{}/studies", server.url))
        .header(CONTENT_TYPE, kind)
        .header(ACCEPT, "application/dicom+json")
        .body(body);
    request = match &server.authorization {
        None => request,
        Some(Authorization::Basic { user, password }) => request.basic_auth(user, Some(password)),
        Some(Authorization::Bearer(token)) => request.bearer_auth(token),
    };
    let answer = request.send().map_err(|error| lost(&server.url, &error))?;
    let status = answer.status();
    // Some servers answer 200 for instances that they did not store.
    match status {
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT => {
            let report = report(answer);
            match refused(server, &report) {
                Some(refused) => Err(refused),
                None if status == StatusCode::CONFLICT => Err(http(server, status)),
                None => Ok(Stored { warnings: warnings(&report) }),
            }
        }
        status => Err(http(server, status)),
    }
}

fn lost(url: &str, error: &reqwest::Error) -> Error {
    Error::Connection { node: url.to_owned(), reason: causes(error) }
}

fn http(server: &WebServer, status: StatusCode) -> Error {
    Error::Http { server: server.url.clone(), status: status.as_u16() }
}

/// The report in an answer; nothing if it has none.
fn report(answer: Response) -> Value {
    let mut bytes = Vec::new();
    let read = answer.take(MAX_MESSAGE_BYTES as u64).read_to_end(&mut bytes);
    let report = read.ok().and_then(|_| serde_json::from_slice::<Value>(&bytes).ok());
    match report {
        // Some servers send a list with the report.
        Some(Value::Array(mut list)) if list.len() == 1 => list.remove(0),
        report => report.unwrap_or_default(),
    }
}

/// Items of a sequence in DICOM JSON (PS3.18 annex F), with a code of each.
fn coded<'a>(
    report: &'a Value,
    sequence: &str,
    code: &'a str,
) -> impl Iterator<Item = (String, u16)> {
    let items = report[sequence]["Value"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(move |item| {
        let uid = item[REFERENCED_UID]["Value"][0].as_str().unwrap_or_default();
        let uid: String =
            uid.chars().filter(|c| c.is_ascii_digit() || *c == '.').take(64).collect();
        let code = item[code]["Value"][0].as_u64()?;
        Some((uid, u16::try_from(code).ok()?))
    })
}

fn refused(server: &WebServer, report: &Value) -> Option<Error> {
    let failed = report[FAILED]["Value"].as_array().is_some_and(|items| !items.is_empty());
    // Processing failure (PS3.18 table 10.5.3-2), if there is no reason.
    let unknown = || (String::new(), 0x0110);
    failed.then(|| {
        let (uid, status) = coded(report, FAILED, FAILURE_REASON).next().unwrap_or_else(unknown);
        let (node, request) = (server.url.clone(), format!("the storage of {uid}"));
        Error::Refused { node, request, status, comment: String::new() }
    })
}

fn warnings(report: &Value) -> Vec<(String, u16)> {
    coded(report, REFERENCED, WARNING_REASON).collect()
}
