//! Records over HTTP: description, images, deletion and its guard.

use std::path::Path;

use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::{DeletionReason, Message as _, RecordDeleted, RecordMessage};
use serde_json::{Value, json};

use super::{exchange_over, get, request, run, secret};
use crate::harness::{Edge, Mosquitto, Observer, Place, external, free_port, wait_until};
use crate::service::LOOP;

pub const JSON: &str = "Content-Type: application/json\r\n";

const KEPT: &str = "[records]\nfolder = \"kept\"";

const UNKNOWN: &str = "99999999-20260101T000000.000000Z";

/// Captures once and returns the name of the record.
pub fn capture(address: &str) -> String {
    let before = ids(address).len();
    // A frame can be captured once all its masks are published.
    wait_until("a capture", || request(address, "POST", "/command", JSON, b"\"Capture\"").0 == 202);
    wait_until("the record", || ids(address).len() > before);
    ids(address)[0].clone()
}

fn ids(address: &str) -> Vec<String> {
    let listed: Value = serde_json::from_str(&get(address, "/records/ids").1).unwrap();
    serde_json::from_value(listed["ids"].clone()).unwrap()
}

pub fn delete(address: &str, id: &str, headers: &str, body: &Value) -> (u16, Value) {
    let path = format!("/records/{id}");
    let (status, body) = request(address, "DELETE", &path, headers, body.to_string().as_bytes());
    (status, if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() })
}

#[test]
fn record_is_described_with_its_images() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", KEPT);
    let id = capture(&address);
    let folder = Path::new(&place.path("kept")).join(&id);
    let stored = std::fs::read(folder.join("record.json")).unwrap();
    let mut expected: Value = serde_json::from_slice(&stored).unwrap();
    expected["upload"] = "none".into();
    let (status, found) = get(&address, &format!("/records/{id}"));
    assert_eq!((status, serde_json::from_str::<Value>(&found).unwrap()), (200, expected));
    for name in ["frame.png", "mask-0.png"] {
        let stream = std::net::TcpStream::connect(&address).unwrap();
        let path = format!("/records/{id}/{name}");
        let (head, body) = exchange_over(stream, &address, "GET", &path, "", b"");
        assert!(head.contains("content-type: image/png"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert_eq!(body, std::fs::read(folder.join(name)).unwrap(), "{name}");
    }
    for other in ["mask-1.png", "frame.dcm", "record.json", "..%2f..%2fedge.toml", ".."] {
        assert_eq!(get(&address, &format!("/records/{id}/{other}")).0, 404, "{other}");
    }
    for other in [UNKNOWN, "..", "..%2fkept", "0"] {
        assert_eq!(get(&address, &format!("/records/{other}")).0, 404, "{other}");
    }
}

#[test]
fn deleted_record_is_gone_and_reported() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let kept = format!("{KEPT}\n[outbox]\npath = \"outbox.redb\"");
    let (edge, address) = run(&place, &broker.url(), "control = true", &kept);
    let (first, second) = (capture(&address), capture(&address));
    for id in [&first, &second] {
        observer.wait("the record", |message| {
            let decode = || RecordMessage::decode(&message.payload).unwrap();
            let record = message.topic.ends_with("/record").then(decode)?;
            (record.id.as_str() == id).then_some(())
        });
    }
    wait_until("it is delivered", || {
        get(&address, &format!("/records/{first}")).1.contains("\"upload\":\"delivered\"")
    });
    let folder = Path::new(&place.path("kept")).join(&first);
    assert!(folder.join("frame.dcm").exists() && folder.join("segmentation.dcm").exists());
    let why = json!({ "reason": "Other", "note": "shown twice" });
    assert_eq!(delete(&address, &first, JSON, &why), (204, Value::Null));
    assert!(!folder.exists());
    assert_eq!(ids(&address), [second.as_str()]);
    let listed: Value = serde_json::from_str(&get(&address, "/records").1).unwrap();
    assert_eq!(listed["records"].as_array().unwrap().len(), 1);
    for gone in ["", "/thumbnail", "/frame.png"] {
        assert_eq!(get(&address, &format!("/records/{first}{gone}")).0, 404, "{gone}");
    }
    let line = edge.logged(&format!("record {first} deleted: "));
    assert!(line.contains("Other: \"shown twice\""), "{line}");
    let deleted = observer.wait("the deletion", |message| {
        assert!(!message.payload.windows(11).any(|part| part == b"shown twice"));
        let decode = || RecordDeleted::decode(&message.payload).unwrap();
        (message.topic == "medsa/bench/record/deleted").then(decode)
    });
    assert_eq!((deleted.id.as_str(), deleted.reason), (&*first, DeletionReason::Other));
    assert!(get(&address, "/metrics").1.contains("medsa_records_deleted_total 1\n"));
    let (status, refused) = delete(&address, &first, JSON, &why);
    assert_eq!((status, &refused["code"]), (404, &json!("no-such-record")));
    // The other record, and nothing else, is left.
    let left = std::fs::read_dir(place.path("kept")).unwrap();
    let mut left: Vec<_> =
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".lock".to_owned(), second]);
}

/// The announcement still waits when its record is deleted.
#[test]
fn deleted_record_is_not_announced_any_more() {
    needs!("mosquitto");
    let (place, port) = (Place::new(2), free_port());
    let settings = format!(
        "{}\n[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n{KEPT}\n\
         [outbox]\npath = \"outbox.redb\"",
        external(&format!("mqtt://127.0.0.1:{port}"))
    );
    let config = place.config(&format!("{LOOP}\nblank = []"), &settings);
    let mut edge = Edge::run(&config);
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap();
    let id = capture(address);
    let upload = || get(address, &format!("/records/{id}")).1;
    wait_until("it waits", || upload().contains("\"upload\":\"waiting\""));
    let why = json!({ "reason": "WrongPatient" });
    assert_eq!(delete(address, &id, JSON, &why).0, 204);
    edge.signal("TERM");
    assert!(edge.wait().success());

    let broker = Mosquitto::start_at(port);
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let edge = Edge::run(&config);
    let deleted = observer.wait("the deletion", |message| {
        assert_ne!(message.topic, "medsa/bench/record");
        let decode = || RecordDeleted::decode(&message.payload).unwrap();
        (message.topic == "medsa/bench/record/deleted").then(decode)
    });
    assert_eq!((deleted.id.as_str(), deleted.reason), (&*id, DeletionReason::WrongPatient));
    edge.logged("the outbox is empty: 1 messages were confirmed");
}

/// A kill came between the deletion and its report.
#[test]
fn interrupted_deletion_is_reported_after_the_restart() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let kept = format!("{KEPT}\n[outbox]\npath = \"outbox.redb\"");
    let (edge, address) = run(&place, &broker.url(), "control = true", &kept);
    let id = capture(&address);
    drop(edge);
    let folder = Path::new(&place.path("kept")).to_owned();
    let hidden = folder.join(format!(".deleted-{id}.Test"));
    std::fs::rename(folder.join(&id), &hidden).unwrap();
    let (edge, address) = run(&place, &broker.url(), "control = true", &kept);
    let deleted = observer.wait("the deletion", |message| {
        let decode = || RecordDeleted::decode(&message.payload).unwrap();
        (message.topic == "medsa/bench/record/deleted").then(decode)
    });
    assert_eq!((deleted.id.as_str(), deleted.reason), (&*id, DeletionReason::Test));
    assert!(!hidden.exists());
    assert_eq!(ids(&address), [""; 0]);
    drop(edge);
}

#[test]
fn deletion_is_guarded_and_refused_with_the_reason() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (edge, address) = run(&place, &broker.url(), "control = true", KEPT);
    let id = capture(&address);
    let test = json!({ "reason": "Test" });
    let foreign = format!("{JSON}Origin: http://evil.example\r\n");
    let rebound = format!("{JSON}Host: evil.example\r\n");
    let form = "Content-Type: text/plain\r\n";
    for (name, headers, body, status) in [
        (id.as_str(), foreign.as_str(), test.clone(), 403),
        (id.as_str(), rebound.as_str(), test.clone(), 403),
        (id.as_str(), form, test.clone(), 415),
        (id.as_str(), "", test.clone(), 415),
        (id.as_str(), JSON, json!({}), 400),
        (id.as_str(), JSON, json!({ "reason": "Boredom" }), 400),
        (id.as_str(), JSON, json!({ "reason": "Other" }), 400),
        (id.as_str(), JSON, json!({ "reason": "Test", "note": "x" }), 400),
        (id.as_str(), JSON, json!({ "reason": "Other", "note": "x".repeat(121) }), 400),
        (id.as_str(), JSON, json!({ "reason": "Other", "note": "x".repeat(5000) }), 413),
        (UNKNOWN, JSON, test.clone(), 404),
        ("..", JSON, test.clone(), 404),
        ("..%2fkept", JSON, test.clone(), 404),
    ] {
        let (found, refused) = delete(&address, name, headers, &body);
        assert_eq!(found, status, "{name} {headers} {body}: {refused}");
        let reason = refused["error"].as_str().unwrap();
        edge.logged(&format!("refused: {reason}"));
    }
    // Reading needs no body, and no request of another method deletes.
    assert_eq!(request(&address, "POST", &format!("/records/{id}"), JSON, b"{}").0, 405);
    let folder = Path::new(&place.path("kept")).join(&id);
    assert!(folder.join("frame.dcm").exists());
    assert_eq!(ids(&address), [id]);
}

#[test]
fn deletion_needs_the_token() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    secret(&place, "http.token", "a-token-of-some-length\n");
    let settings = "control = true\ntoken_file = \"http.token\"";
    let (_edge, address) = run(&place, &broker.url(), settings, KEPT);
    for path in ["/records/ids", "/records/0", "/records/0/frame.png"] {
        assert_eq!(get(&address, path).0, 401, "{path}");
    }
    let test = json!({ "reason": "Test" });
    assert_eq!(delete(&address, UNKNOWN, JSON, &test).0, 401);
    let with = format!("{JSON}Authorization: Bearer a-token-of-some-length\r\n");
    assert_eq!(delete(&address, UNKNOWN, &with, &test).0, 404);
}

#[test]
fn without_records_there_is_nothing_to_delete() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    assert_eq!(get(&address, "/records/ids"), (200, "{\"ids\":[]}".to_owned()));
    assert_eq!(get(&address, &format!("/records/{UNKNOWN}")).0, 404);
    let (status, refused) = delete(&address, UNKNOWN, JSON, &json!({ "reason": "Test" }));
    assert_eq!((status, &refused["code"]), (422, &json!("no-records")));
}
