//! HTTP over TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use medsa_test_inputs::needs;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{exchange_over, get, secret};
use crate::harness::{Edge, LIMIT, Place, edge_command, free_port, wait_until};
use crate::mqtt::pki::Pki;
use crate::service::LOOP;

pub const TOKEN: &str = "a-token-of-some-length";

const EMBEDDED: &str = "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"";

/// Lines of `[http]` for access from anywhere.
fn settings(pki: &Pki) -> String {
    let [cert, key] = ["server.pem", "server.key"].map(|name| pki.path(name));
    format!(
        "[http]\nlisten = \"0.0.0.0:0\"\ncontrol = true\ntoken_file = \"http.token\"\n\
         certificate = \"{cert}\"\nkey = \"{key}\""
    )
}

/// A place with a token file, and its configuration.
pub fn place(pki: &Pki) -> (Place, std::path::PathBuf) {
    let place = Place::new(2);
    secret(&place, "http.token", TOKEN);
    let source = format!("{LOOP}\nblank = []");
    let config = place.config(&source, &format!("{EMBEDDED}\n{}", settings(pki)));
    (place, config)
}

/// A connection to `localhost` that verifies the server's certificate against the CA.
fn connect(pki: &Pki, port: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.path("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    StreamOwned::new(client, stream)
}

#[test]
fn requests_and_frames_for_other_machines_are_encrypted() {
    needs!("openssl");
    let pki = Pki::new();
    let (_place, config) = place(&pki);
    let edge = Edge::run(&config);
    let line = edge.logged("touchscreen page at https://0.0.0.0:");
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let get = |path: &str, headers: &str| {
        let host = format!("localhost:{port}");
        let (head, body) = exchange_over(connect(&pki, &port), &host, "GET", path, headers, b"");
        (head.split(' ').nth(1).unwrap().to_owned(), String::from_utf8(body).unwrap())
    };
    assert_eq!(get("/records", "").0, "401");
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(get("/records", &bearer), ("200".to_owned(), "{\"records\":[]}".to_owned()));
    let url = format!("wss://localhost:{port}/live");
    let (mut live, _) = tungstenite::client(url, connect(&pki, &port)).unwrap();
    live.send(tungstenite::Message::text(TOKEN)).unwrap();
    assert!(live.read().unwrap().into_text().unwrap().contains("\"kind\":\"status\""));
    // A client without TLS gets no response.
    let mut plain = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An error is as good as an empty response.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn idle_connection_is_closed() {
    needs!("openssl");
    let pki = Pki::new();
    let (_place, config) = place(&pki);
    let edge = Edge::run(&config);
    let line = edge.logged("touchscreen page at https://0.0.0.0:");
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap();
    let silent = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    silent.set_nonblocking(true).unwrap();
    wait_until("it is closed", || matches!(silent.peek(&mut [0]), Ok(0)));
}

#[test]
fn unusable_certificates_are_reported_by_check() {
    needs!("openssl");
    let pki = Pki::new();
    let (_place, config) = place(&pki);
    let problem = || {
        let output = edge_command(&["check", config.to_str().unwrap()]).output().unwrap();
        (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(problem(), None);
    let problem = || problem().expect("a problem");
    let (cert, key) = (pki.path("server.pem"), pki.path("server.key"));
    let good = fs::read(&key).unwrap();
    fs::copy(pki.path("client.key"), &key).unwrap();
    assert!(
        problem().contains(&format!("http: {cert}: does not belong to the key {key}: ")),
        "{}",
        problem()
    );
    fs::write(&key, "garbled").unwrap();
    assert!(problem().contains(&format!("http: {key}: holds no private key, expected one in PEM")));
    fs::write(&key, good).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(problem().contains(&format!("http: {key}: its mode is 0644")), "{}", problem());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let good = fs::read_to_string(&cert).unwrap();
    fs::write(&cert, good.replace("-----END", "-----")).unwrap();
    assert!(problem().contains(&format!("http: {cert}: expected a certificate in PEM form")));
    fs::remove_file(&cert).unwrap();
    assert!(problem().contains(&format!("http: {cert}: No such file")), "{}", problem());
    let mut edge = Edge::run(&config);
    edge.logged("server.pem: No such file");
    assert!(!edge.wait().success());
}

#[test]
fn kiosk_address_needs_no_token() {
    needs!("openssl");
    let pki = Pki::new();
    let (_place, config) = place(&pki);
    let text = fs::read_to_string(&config).unwrap();
    let kiosk = text.replace("control = true", "control = true\nkiosk = \"127.0.0.1:0\"");
    fs::write(&config, kiosk).unwrap();
    let edge = Edge::run(&config);
    edge.logged("touchscreen page at https://0.0.0.0:");
    let line = edge.logged("touchscreen page at http://127.0.0.1:");
    let address = line.trim_end_matches('/').rsplit('/').next().unwrap();
    assert_eq!(get(address, "/records"), (200, "{\"records\":[]}".to_owned()));
    let elsewhere = text.replace("control = true", "control = true\nkiosk = \"0.0.0.0:0\"");
    fs::write(&config, elsewhere).unwrap();
    let refused = edge_command(&["run", "--config", config.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    let expected = "http.kiosk is 0.0.0.0:0, expected a loopback address";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn status_command_reads_health_over_tls() {
    needs!("openssl");
    let pki = Pki::new();
    let (_place, config) = place(&pki);
    let text = fs::read_to_string(&config).unwrap();
    let port = free_port();
    fs::write(&config, text.replace("0.0.0.0:0", &format!("0.0.0.0:{port}"))).unwrap();
    let edge = Edge::run(&config);
    edge.logged("touchscreen page at https://0.0.0.0:");
    let status = || {
        let asked = edge_command(&["status", "--config", config.to_str().unwrap()]).output();
        String::from_utf8(asked.unwrap().stdout).unwrap()
    };
    assert!(status().contains("service: ok, source "), "{}", status());
    // A server with another certificate is not the service of this configuration.
    fs::copy(pki.path("client.pem"), pki.path("server.pem")).unwrap();
    let said = status();
    assert!(said.contains(&format!("service: 127.0.0.1:{port} does not answer: ")), "{said}");
    assert!(said.contains("certificate"), "{said}");
}
