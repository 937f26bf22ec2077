//! Access to the broker: TLS, users and passwords.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use medsa_edge::config::{Access, Protocol};
use medsa_test_inputs::needs;

use super::pki::Pki;
use crate::harness::{Edge, Mosquitto, Observer, Place, external, free_port};
use crate::service::LOOP;

#[test]
fn masks_arrive_over_tls_with_a_client_certificate() {
    needs!("mosquitto", "openssl");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let (place, pki) = (Place::new(2), Pki::new());
        let broker = certificates_required(&pki);
        let url = format!("mqtts://localhost:{}", broker.port);
        let access = Access {
            ca_file: Some(pki.path("ca.pem").into()),
            client_cert: Some(pki.path("client.pem").into()),
            client_key: Some(pki.path("client.key").into()),
            ..Access::default()
        };
        let observer = Observer::with_access(&url, protocol, &access);
        let settings =
            format!("{}\n{}\nprotocol = {number}", external(&url), client_certificate(&pki));
        let _edge = Edge::run(&place.config(LOOP, &settings));
        observer.wait_for_mask("a mask", |_| true);
    }
}

#[test]
fn watch_has_flags_for_tls() {
    needs!("mosquitto", "openssl");
    let (place, pki) = (Place::new(2), Pki::new());
    let broker = certificates_required(&pki);
    let url = format!("mqtts://localhost:{}", broker.port);
    let settings = format!("{}\n{}", external(&url), client_certificate(&pki));
    let _edge = Edge::run(&place.config(LOOP, &settings));
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| pki.path(name));
    let mut arguments = vec!["watch", "--broker", &url, "--ca-file", &ca, "--count", "1"];
    arguments.extend(["--client-cert", &cert, "--client-key", &key, "--client-id", "nurse"]);
    let mut watch = Edge::start(&arguments);
    watch.printed("frame");
    assert!(watch.wait().success());

    let plain = ["watch", "--broker", "mqtt://localhost", "--ca-file", &ca];
    let mut refused = Edge::start(&plain);
    assert!(refused.logged("--ca-file is ").contains("use mqtts://"));
    assert_eq!(refused.wait().code(), Some(2));
}

#[test]
fn broker_of_another_ca_is_not_trusted() {
    needs!("mosquitto", "openssl");
    for number in [4, 5] {
        let (place, pki, other) = (Place::new(1), Pki::new(), Pki::new());
        let broker = Mosquitto::configured(free_port(), &pki.broker());
        let settings = format!(
            "{}\nca_file = \"{}\"\nprotocol = {number}",
            external(&format!("mqtts://localhost:{}", broker.port)),
            other.path("ca.pem")
        );
        let edge = Edge::run(&place.config(LOOP, &settings));
        let line = edge.logged("no broker");
        assert!(line.contains("TLS: the broker's certificate is not signed by"), "{line}");
        edge.logged("next attempt in 0.50 s");
    }
}

#[test]
fn broker_with_another_name_is_not_trusted() {
    needs!("mosquitto", "openssl");
    let (place, pki) = (Place::new(1), Pki::new());
    let broker = Mosquitto::configured(free_port(), &pki.broker());
    let settings = format!(
        "{}\nca_file = \"{}\"",
        external(&format!("mqtts://127.0.0.1:{}", broker.port)),
        pki.path("ca.pem")
    );
    let edge = Edge::run(&place.config(LOOP, &settings));
    let line = edge.logged("no broker");
    assert!(line.contains("TLS: ") && line.contains("not valid for name"), "{line}");
}

#[test]
fn missing_client_certificate_is_reported() {
    needs!("mosquitto", "openssl");
    for number in [4, 5] {
        let (place, pki) = (Place::new(1), Pki::new());
        let broker = certificates_required(&pki);
        let settings = format!(
            "{}\nca_file = \"{}\"\nprotocol = {number}",
            external(&format!("mqtts://localhost:{}", broker.port)),
            pki.path("ca.pem")
        );
        let edge = Edge::run(&place.config(LOOP, &settings));
        let line = edge.logged("no broker");
        assert!(line.contains("TLS: ") && line.contains("ertificate"), "{line}");
    }
}

#[test]
fn right_password_connects_and_wrong_one_is_reported() {
    needs!("mosquitto");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let place = Place::new(2);
        let broker = password_required(&place, "bedside", "open sesame");
        let settings = |file: &str| {
            format!(
                "{}\nprotocol = {number}\nuser = \"bedside\"\npassword_file = \"{file}\"",
                external(&broker.url())
            )
        };
        secret(&place, "wrong", "open barley\n", 0o600);
        let edge = Edge::run(&place.config(LOOP, &settings("wrong")));
        let line = edge.logged("no broker");
        assert!(line.contains("refuses user, password or certificate"), "{line}");
        assert!(!line.contains("barley"), "{line}");
        edge.logged("next attempt in 0.50 s");
        drop(edge);

        let path = secret(&place, "right", "open sesame\n", 0o640);
        let access = Access {
            user: Some("bedside".into()),
            password_file: Some(path.into()),
            ..Access::default()
        };
        let observer = Observer::with_access(&broker.url(), protocol, &access);
        let _edge = Edge::run(&place.config(LOOP, &settings("right")));
        observer.wait_for_mask("a mask", |_| true);
    }
}

#[test]
fn invalid_secrets_and_certificates_are_refused() {
    needs!("openssl");
    let (place, pki) = (Place::new(1), Pki::new());
    let refusal = |url: &str, lines: &str| {
        let mut edge = Edge::run(&place.config(LOOP, &format!("{}\n{lines}", external(url))));
        let line = edge.logged("medsa-edge: ");
        assert!(!edge.wait().success());
        line
    };
    let plain = |lines: &str| refusal("mqtt://localhost", lines);
    secret(&place, "open", "x\n", 0o644);
    let line = plain("user = \"u\"\npassword_file = \"open\"");
    assert!(line.contains("/open: its mode is 0644"), "{line}");
    secret(&place, "long", "x\ny\n", 0o600);
    let line = plain("user = \"u\"\npassword_file = \"long\"");
    assert!(line.contains("/long: expected one line, the password"), "{line}");
    let line = plain("user = \"u\"\npassword_file = \"missing\"");
    assert!(line.contains("/missing: No such file"), "{line}");

    let encrypted = |lines: &str| refusal("mqtts://localhost", lines);
    let [ca, client, other] = ["ca.pem", "client.pem", "server.key"].map(|name| pki.path(name));
    let line = encrypted(&format!("ca_file = \"{other}\""));
    assert!(line.contains("server.key: holds no certificate, expected one in PEM form"), "{line}");
    let line = encrypted(&format!(
        "ca_file = \"{ca}\"\nclient_cert = \"{client}\"\nclient_key = \"{other}\""
    ));
    assert!(line.contains("client.pem: does not belong to the key "), "{line}");
}

fn certificates_required(pki: &Pki) -> Mosquitto {
    let lines =
        format!("{}\ncafile {}\nrequire_certificate true", pki.broker(), pki.path("ca.pem"));
    Mosquitto::configured(free_port(), &lines)
}

fn client_certificate(pki: &Pki) -> String {
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| pki.path(name));
    format!("ca_file = \"{ca}\"\nclient_cert = \"{cert}\"\nclient_key = \"{key}\"")
}

fn password_required(place: &Place, user: &str, password: &str) -> Mosquitto {
    let file = place.path("users");
    let made = Command::new("mosquitto_passwd")
        .args(["-c", "-b", &file, user, password])
        .status()
        .unwrap();
    assert!(made.success());
    let lines = format!("allow_anonymous false\npassword_file {file}");
    Mosquitto::configured(free_port(), &lines)
}

fn secret(place: &Place, name: &str, text: &str, mode: u32) -> String {
    let path = place.write(name, text);
    std::fs::set_permissions(Path::new(&path), std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}
