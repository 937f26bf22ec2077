//! Users at the screen: sign-in, lock, and their names in captures.

use std::path::Path;

use dicom_dictionary_std::tags;
use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::{Message as _, RecordMessage};
use serde_json::{Value, json};

use super::browser::Browser;
use super::page::{LIVE, fact, notice};
use super::records::JSON;
use super::{exchange, get, request, run, secret};
use crate::harness::{Edge, Mosquitto, Observer, Place, wait_until};

/// Two users with the PIN 2580; 100,000 iterations are the fewest that are accepted.
pub const USERS: &str = "[[user]]\nname = \"Anna Weber\"\n\
    pin_hash = \"pbkdf2-sha256:100000:000102030405060708090a0b0c0d0e0f:\
    ee741eb40ba9d5bda0c1ac8a0ec2ff859620e9fac8f36f4aae85639d0567476a\"\n\
    [[user]]\nname = \"Ben Öz\"\n\
    pin_hash = \"pbkdf2-sha256:100000:000102030405060708090a0b0c0d0e0f:\
    ee741eb40ba9d5bda0c1ac8a0ec2ff859620e9fac8f36f4aae85639d0567476a\"\n";

const KEPT: &str = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"\n";

/// Status, and code of the refusal.
fn send(address: &str, method: &str, path: &str, headers: &str, body: &Value) -> (u16, Value) {
    let headers = format!("{JSON}{headers}");
    let (status, body) = request(address, method, path, &headers, body.to_string().as_bytes());
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn sign_in(address: &str, user: &str, pin: &str) -> (u16, Value) {
    send(address, "POST", "/session", "", &json!({ "user": user, "pin": pin }))
}

/// Header of a new session.
fn session(address: &str, user: &str) -> String {
    let (status, signed_in) = sign_in(address, user, "2580");
    assert_eq!(status, 200, "{signed_in}");
    format!("Medsa-Session: {}\r\n", signed_in["session"].as_str().unwrap())
}

fn locked() -> (u16, Value) {
    (403, json!("locked"))
}

#[test]
fn requests_of_a_locked_screen_are_refused() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (edge, address) = run(&place, &broker.url(), "control = true", &format!("{KEPT}{USERS}"));
    edge.logged("hashes of PINs: ");
    let wrong = format!("Medsa-Session: {}\r\n", "0".repeat(64));
    let clear = json!({ "object": 0, "change": "Clear" });
    let record = "/records/00000001-20260101T000000.000000Z";
    for (method, path, body) in [
        ("POST", "/prompt", clear.clone()),
        ("POST", "/command", json!("Freeze")),
        ("POST", "/command", json!("Capture")),
        ("POST", "/capture", json!({})),
        ("POST", "/cine", json!({ "frame": 0 })),
        ("POST", "/name", json!({ "object": 0, "name": "x" })),
        ("POST", "/preset", json!({ "name": "x" })),
        ("POST", "/records/copy", json!({ "ids": [] })),
        ("DELETE", record, json!({ "reason": "Test" })),
        ("GET", record, Value::Null),
        ("GET", "/records", Value::Null),
        ("GET", "/records/ids", Value::Null),
        ("PUT", "/session", json!({})),
    ] {
        for headers in ["", &*wrong, "Medsa-Session: \r\n"] {
            let (status, refused) = send(&address, method, path, headers, &body);
            assert_eq!((status, refused["code"].clone()), locked(), "{method} {path}");
        }
    }
    for open in ["/build", "/presets", "/health", "/metrics", "/"] {
        assert_eq!(get(&address, open).0, 200, "{open}");
    }
    let anna = session(&address, "Anna Weber");
    edge.logged("audit: Anna Weber: signed in at 127.0.0.1");
    assert_eq!(send(&address, "POST", "/prompt", &anna, &clear).0, 204);
    assert_eq!(send(&address, "PUT", "/session", &anna, &json!({})).0, 204);
    assert_eq!(send(&address, "GET", "/records", &anna, &Value::Null).0, 200);
    // Sessions are independent of each other.
    let ben = session(&address, "Ben Öz");
    assert_eq!(send(&address, "DELETE", "/session", &anna, &json!({ "idle": false })).0, 204);
    edge.logged("audit: Anna Weber: signed out: screen locked");
    let (status, refused) = send(&address, "POST", "/prompt", &anna, &clear);
    assert_eq!((status, refused["code"].clone()), locked());
    assert_eq!(send(&address, "POST", "/prompt", &ben, &clear).0, 204);
    assert_eq!(send(&address, "DELETE", "/session", &ben, &json!({ "idle": true })).0, 204);
    edge.logged("audit: Ben Öz: signed out: the screen was not touched");
}

#[test]
fn wrong_pins_are_refused_counted_and_limited() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (edge, address) = run(&place, &broker.url(), "control = true", USERS);
    assert_eq!(sign_in(&address, "Carla", "2580").1["code"], "wrong-pin");
    for _ in 0..5 {
        let (status, refused) = sign_in(&address, "Anna Weber", "7391");
        assert_eq!((status, &refused["code"]), (403, &json!("wrong-pin")));
        let line = edge.logged("audit: Anna Weber: wrong PIN at 127.0.0.1");
        assert!(!line.contains("7391"), "{line}");
    }
    // Even the right one.
    let body = json!({ "user": "Anna Weber", "pin": "2580" }).to_string();
    let (head, body) = exchange(&address, "POST", "/session", JSON, body.as_bytes());
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    let wait = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!((20..=30).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    assert!(body.contains("too-many-pins"), "{body}");
    assert_eq!(sign_in(&address, "Ben Öz", "2580").0, 200);
    let metrics = get(&address, "/metrics").1;
    assert!(metrics.contains("\nmedsa_pins_refused_total 6\n"), "{metrics}");
    // A PIN in a body that is no message is not logged either.
    let (status, refused) =
        send(&address, "POST", "/session", "", &json!({ "user": "Ben Öz", "pin": 7391 }));
    assert_eq!((status, &refused["code"]), (400, &json!("not-a-message")));
    assert!(!edge.logged("POST /session from 127.0.0.1 refused: expected").contains("7391"));
}

#[test]
fn unused_session_ends() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let http = "control = true\nlock_after_min = 0.02";
    let (edge, address) = run(&place, &broker.url(), http, USERS);
    let anna = session(&address, "Anna Weber");
    // Reading does not extend it.
    let ids = || send(&address, "GET", "/records/ids", &anna, &Value::Null);
    wait_until("the session ends", || ids().0 == 403);
    edge.logged("audit: Anna Weber: signed out: not used");
}

#[test]
fn token_and_session_are_both_required() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    secret(&place, "http.token", "a-token-of-some-length\n");
    let http = "control = true\ntoken_file = \"http.token\"";
    let (_edge, address) = run(&place, &broker.url(), http, USERS);
    let token = "Authorization: Bearer a-token-of-some-length\r\n";
    let body = json!({ "user": "Anna Weber", "pin": "2580" });
    assert_eq!(send(&address, "POST", "/session", "", &body).0, 401);
    let (status, signed_in) = send(&address, "POST", "/session", token, &body);
    assert_eq!(status, 200);
    let session = format!("Medsa-Session: {}\r\n", signed_in["session"].as_str().unwrap());
    let freeze = |headers: &str| send(&address, "POST", "/command", headers, &json!("Freeze")).0;
    assert_eq!(freeze(token), 403);
    assert_eq!(freeze(&session), 401);
    assert_eq!(freeze(&format!("{token}{session}")), 204);
}

#[test]
fn without_users_there_are_no_sessions() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    assert_eq!(sign_in(&address, "Anna Weber", "2580").0, 404);
    assert_eq!(send(&address, "POST", "/command", "", &json!("Freeze")).0, 204);
}

/// Operators' Name of a DICOM file.
fn operator(file: &Path) -> Option<String> {
    let object = dicom_object::open_file(file).unwrap();
    let name = object.element_opt(tags::OPERATORS_NAME).unwrap()?;
    Some(name.to_str().unwrap().into_owned())
}

#[test]
fn capture_names_its_user_but_mqtt_does_not() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let more = format!("{KEPT}{USERS}");
    let (edge, address) = run(&place, &broker.url(), "control = true", &more);
    let ben = session(&address, "Ben Öz");
    // All messages from the start on, up to the one with the statistics after the record.
    let holds_name = |payload: &[u8]| {
        let held = |name: &str| payload.windows(name.len()).any(|part| part == name.as_bytes());
        held("Anna") || held("Ben Öz")
    };
    let announced = |observer: &Observer| {
        observer.wait("the record", |message| {
            assert!(!holds_name(&message.payload), "{}", message.topic);
            let decode = || RecordMessage::decode(&message.payload).unwrap();
            message.topic.ends_with("/record").then(decode)
        })
    };
    let capture = || send(&address, "POST", "/command", &ben, &json!("Capture")).0 == 202;
    wait_until("a capture", capture);
    let id = announced(&observer).id;
    edge.logged(&format!("audit: Ben Öz: captured record {id}"));
    let folder = Path::new(&place.path("kept")).join(id.as_str());
    for file in ["frame.dcm", "segmentation.dcm"] {
        assert_eq!(operator(&folder.join(file)).as_deref(), Some("Ben Öz"), "{file}");
    }
    let path = format!("/records/{id}");
    assert_eq!(send(&address, "GET", &path, &ben, &Value::Null).1["operator"], "Ben Öz");
    // A capture over MQTT is of no user.
    observer.publish("medsa/bench/command/json", "\"Capture\"");
    let other = announced(&observer).id;
    let folder = Path::new(&place.path("kept")).join(other.as_str());
    assert_eq!(operator(&folder.join("frame.dcm")), None);
    assert!(!std::fs::read_to_string(folder.join("record.json")).unwrap().contains("operator"));
    assert_eq!(send(&address, "DELETE", &path, &ben, &json!({ "reason": "Test" })).0, 204);
    edge.logged(&format!("audit: Ben Öz: deleted record {id}: Test"));
    observer.wait("the statistics after the deletion", |message| {
        assert!(!holds_name(&message.payload), "{}", message.topic);
        (message.topic == "medsa/bench/stats").then_some(())
    });
}

const LOCKED: &str = "document.documentElement.hasAttribute('data-locked')";

/// Opens the page, locked, on a device with users.
fn open(place: &Place, broker: &Mosquitto, size: (u32, u32)) -> (Edge, String, Browser) {
    let more = format!("{KEPT}{USERS}");
    let (edge, address) = run(place, &broker.url(), "control = true", &more);
    let mut browser = Browser::live(size.0, size.1, &format!("http://{address}/"));
    browser.wait_until(LOCKED);
    (edge, address, browser)
}

/// Signs Anna in with the pad on the screen.
pub fn unlock(browser: &mut Browser, pin: &str) {
    browser.tap("#unlock");
    browser.wait_until("document.querySelector('#signIn').open");
    browser.tap("#users [value='Anna Weber']");
    type_pin(browser, pin);
}

fn type_pin(browser: &mut Browser, pin: &str) {
    for digit in pin.chars() {
        browser.tap(&format!("#keypad [value='{digit}']"));
    }
    browser.tap("#keypad [name=enter]");
}

fn said(text: &str) -> String {
    format!("document.querySelector('#signIn p').textContent.includes({text:?})")
}

#[test]
fn locked_page_shows_the_image_and_has_no_controls() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (edge, _, mut browser) = open(&place, &broker, (1024, 600));
    // The mask of the configured prompt is graded and drawn.
    browser.wait_until(&fact("good"));
    browser.screenshot("locked");
    for hidden in ["#capture", "#freeze", "#objects button", "#showCaptures", "#showSettings"] {
        let seen = format!("document.querySelector('{hidden}').checkVisibility()");
        assert_eq!(browser.value(&seen), false, "{hidden}");
    }
    browser.press("f");
    browser.press("c");
    browser.tap("#image");
    browser.value("document.querySelector('#image').focus()");
    assert_ne!(browser.value("document.activeElement.id"), "image");
    // A request of the page itself is refused by the device.
    browser.value(
        "fetch('command', { method: 'POST', body: '\"Freeze\"', \
           headers: { 'Content-Type': 'application/json' } }) \
           .then((answer) => answer.json()).then(({ code }) => { window.code = code; }); 0",
    );
    browser.wait_until("window.code === 'locked'");
    assert_eq!(browser.value(LIVE), true);

    unlock(&mut browser, "1111");
    browser.wait_until(&said("The PIN is wrong."));
    // The name stays chosen; a digit too many is deleted.
    for key in ["[value='2']", "[value='9']", "[name=delete]"] {
        browser.tap(&format!("#keypad {key}"));
    }
    assert_eq!(browser.value("document.querySelector('#pin').value"), "2");
    assert_eq!(browser.value("document.querySelector('#keypad [name=enter]').disabled"), true);
    browser.screenshot("sign-in");
    type_pin(&mut browser, "580");
    browser.wait_until(&format!("!{LOCKED}"));
    assert_eq!(browser.value("document.querySelector('#who').textContent"), "Anna Weber");
    // Nothing that was tried before has happened.
    assert_eq!(browser.value("document.querySelector('#freeze').ariaPressed"), "false");
    browser.wait_until(&fact("1 point"));
    browser.tap("#capture");
    browser.wait_until(&notice("Saved."));
    browser.tap("#showCaptures");
    browser.wait_until("document.querySelector('#list button') !== null");
    browser.tap("#list button");
    let about =
        "document.querySelector('#review .about').textContent.includes('Saved by Anna Weber')";
    browser.wait_until(about);
    edge.logged("audit: Anna Weber: captured record");
    assert_eq!(browser.complaints().len(), 2, "{:?}", browser.complaints());
}

#[test]
fn page_is_locked_by_the_button_by_time_and_by_the_device() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (edge, address, mut browser) = open(&place, &broker, (800, 480));
    unlock(&mut browser, "2580");
    browser.wait_until(&format!("!{LOCKED}"));
    browser.tap("#showSettings");
    browser.tap("#lockScreen");
    browser.wait_until(&format!("{LOCKED} && !document.querySelector('dialog[open]')"));
    edge.logged("audit: Anna Weber: signed out: screen locked");

    unlock(&mut browser, "2580");
    browser.wait_until(&format!("!{LOCKED}"));
    browser.tap("#freeze");
    browser.wait_until("document.querySelector('#cine').checkVisibility()");
    // Ten minutes later, without a touch; the frozen image stays.
    browser.value(
        "(() => { const now = performance.now.bind(performance); \
           performance.now = () => now() + 600000; })()",
    );
    browser.wait_until(LOCKED);
    edge.logged("audit: Anna Weber: signed out: the screen was not touched");
    assert_eq!(browser.value("document.querySelector('#cine').checkVisibility()"), false);
    assert_eq!(browser.value("document.querySelector('#stage').dataset.state"), "frozen");

    // A session that ended on the device locks the page at the next request.
    unlock(&mut browser, "2580");
    browser.wait_until(&format!("!{LOCKED}"));
    drop(edge);
    browser.wait_until("document.querySelector('#stage').dataset.state === 'waiting'");
    let listen = format!("127.0.0.1:{}", address.rsplit(':').next().unwrap());
    let config = std::fs::read_to_string(place.path("edge.toml")).unwrap();
    let config = place.write("edge.toml", &config.replace("127.0.0.1:0", &listen));
    let _edge = Edge::run(&config);
    browser.wait_until(LIVE);
    assert_eq!(browser.value(LOCKED), false);
    browser.tap("#freeze");
    browser.wait_until(LOCKED);
}
