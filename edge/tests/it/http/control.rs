//! Prompts and commands over HTTP.

use std::net::TcpStream;
use std::path::Path;

use medsa_edge::config::Protocol;
use medsa_edge::port::Trigger;
use medsa_edge::records::Records;
use medsa_test_inputs::needs;
use medsa_wire::{MaskMessage, Message as _, RecordMessage};
use serde_json::{Value, json};

use super::browser::Browser;
use super::page::fact;
use super::{exchange_over, get, request, run, secret};
use crate::harness::{Edge, Mosquitto, Observer, Place, free_port, wait_until};
use crate::service::{BUDGET, LOOP, is_left};

const JSON: &str = "Content-Type: application/json\r\n";

const TOKEN: &str = "a-token-of-some-length";

fn post(address: &str, path: &str, body: &Value) -> (u16, String) {
    request(address, "POST", path, JSON, body.to_string().as_bytes())
}

/// Status and reason of a refused request.
fn error((status, body): (u16, String)) -> (u16, String) {
    let body: Value =
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{status} {body}: {e}"));
    (status, body["error"].as_str().unwrap().to_owned())
}

fn click_at(object: u8, x: f32, y: f32) -> Value {
    let point = json!({ "x": x, "y": y, "positive": true });
    json!({ "object": object, "change": { "Set": { "points": [point], "bbox": null } } })
}

#[test]
fn http_prompt_moves_and_clears_the_object() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    observer.wait_for_mask("the configured place", |mask| !is_left(mask));
    assert_eq!(post(&address, "/prompt", &click_at(0, 20.0, 20.0)), (204, String::new()));
    observer.wait_for_mask("the new place", is_left);
    assert_eq!(post(&address, "/prompt", &click_at(5, 100.0, 50.0)).0, 204);
    assert_eq!(post(&address, "/prompt", &json!({ "object": 0, "change": "Clear" })).0, 204);
    // Two masks of the second object in a row: the first object is gone.
    let mut last = 0;
    observer.wait_for_mask("the second object alone", |MaskMessage { object, .. }| {
        last = if *object == 5 { last + 1 } else { 0 };
        last == 2
    });
}

#[test]
fn refused_requests_state_the_reason_and_are_counted() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let (edge, address) = run(&place, &broker.url(), "control = true", "");
    observer.wait_for_mask("a mask", |_| true);
    let point = json!({ "x": 1, "y": 1, "positive": true });
    let many = json!({ "object": 0, "change": { "Set": { "points": vec![point; 17] } } });
    for (path, body, status, reason) in [
        ("/prompt", "{".to_owned(), 400, "EOF"),
        ("/prompt", click_at(8, 1.0, 1.0).to_string(), 400, "object is 8, expected 0 to 7"),
        ("/prompt", many.to_string(), 400, "invalid length 17"),
        ("/prompt", click_at(0, 500.0, 20.0).to_string(), 422, "point (500, 20) is outside"),
        ("/prompt", " ".repeat(5000), 413, "at most 4096 bytes are accepted"),
        ("/command", "\"Explode\"".to_owned(), 400, "unknown variant `Explode`"),
        ("/command", "\"Capture\"".to_owned(), 422, "records"),
    ] {
        let (found, answer) = error(request(&address, "POST", path, JSON, body.as_bytes()));
        assert_eq!(found, status, "{answer}");
        assert!(answer.contains(reason), "{answer}");
        assert!(edge.logged("refused").contains(&answer));
    }
    let (status, answer) = error(request(&address, "POST", "/command", "", b"\"Pause\""));
    assert_eq!((status, &*answer), (415, "Content-Type is missing, expected application/json"));
    for other in ["Origin: http://evil.example\r\n", "Host: evil.example\r\n"] {
        let headers = format!("{JSON}{other}");
        let (status, answer) = error(request(&address, "POST", "/command", &headers, b"\"Pause\""));
        assert_eq!(status, 403);
        assert!(answer.contains("evil.example"), "{answer}");
    }
    assert!(get(&address, "/metrics").1.contains("medsa_messages_refused_total 10\n"));
}

#[test]
fn http_capture_is_stored_and_listed() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let (mut edge, address) = run(&place, &broker.url(), "control = true", kept);
    observer.wait_for_mask("a mask", |_| true);
    assert_eq!(get(&address, "/records"), (200, "{\"records\":[]}".to_owned()));
    // A frame can be captured once all its masks are published.
    wait_until("a capture", || post(&address, "/command", &"Capture".into()).0 == 202);
    let answer = observer.wait("the record", |message| {
        let decode = || RecordMessage::decode(&message.payload).unwrap();
        message.topic.ends_with("/record").then(decode)
    });
    let listed: Value = serde_json::from_str(&get(&address, "/records").1).unwrap();
    let listed = &listed["records"];
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], answer.id.as_str());
    assert_eq!(listed[0]["captured_us"], answer.captured_us);
    assert_eq!(listed[0]["objects"][0]["area_px"], answer.objects[0].area_px);
    edge.signal("TERM");
    assert!(edge.wait().success());
    let records = Records::open(Path::new(&place.path("kept")), BUDGET).unwrap();
    let id = records.list(10).unwrap().pop().unwrap();
    assert_eq!(id.to_string(), answer.id.as_str());
    assert_eq!(records.read(&id).unwrap().trigger, Trigger::Http);
}

#[test]
fn records_are_listed_with_upload_state_and_thumbnail() {
    needs!("mosquitto");
    let place = Place::new(2);
    let port = free_port();
    let broker = format!("kind = \"external\"\nurl = \"mqtt://127.0.0.1:{port}\"");
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let http = "[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true";
    let source = format!("{LOOP}\nframe_size = [128, 96]\nblank = [[0, 0, 128, 24]]");
    let edge = Edge::run(&place.config(&source, &format!("{broker}\n{kept}\n{http}")));
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap();
    wait_until("a capture", || post(address, "/command", &"Capture".into()).0 == 202);
    let listed = || -> Value { serde_json::from_str(&get(address, "/records").1).unwrap() };
    wait_until("it is announced", || listed()["records"][0]["upload"] == "waiting");
    let id = listed()["records"][0]["id"].as_str().unwrap().to_owned();
    let small = |id: &str| {
        let stream = TcpStream::connect(address).unwrap();
        exchange_over(stream, address, "GET", &format!("/records/{id}/thumbnail"), "", b"")
    };
    let (head, jpeg) = small(&id);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let image = image::load_from_memory(&jpeg).unwrap().into_rgb8();
    assert_eq!(image.dimensions(), (128, 96));
    // Rectangles of `blank` are black in thumbnails too.
    let red = |x, y| image.get_pixel(x, y).0[0];
    assert!(red(120, 8) < 30 && red(120, 60) > 90, "{} {}", red(120, 8), red(120, 60));
    for other in ["99999999-20260101T000000.000000Z", "..", "..%2f..%2fkept", "edge.toml"] {
        let (head, _) = small(other);
        assert!(head.starts_with("HTTP/1.1 404"), "{other}: {head}");
    }
    let png = Path::new(&place.path("kept")).join(&id).join("frame.png");
    std::fs::write(png, "garbled").unwrap();
    assert!(small(&id).0.starts_with("HTTP/1.1 500"));
    let _broker = Mosquitto::start_at(port);
    wait_until("it is delivered", || listed()["records"][0]["upload"] == "delivered");
}

#[test]
fn build_is_described() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let (status, build) = get(&address, "/build");
    let build: Value = serde_json::from_str(&build).unwrap();
    assert_eq!((status, &build["name"], &build["version"]), (200, &"tiny".into(), &"1.0.0".into()));
    assert_eq!((&build["precision"], &build["agreement"]), (&"f32".into(), &Value::Null));
}

#[test]
fn http_freeze_is_applied() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (edge, address) = run(&place, &broker.url(), "control = true", "");
    assert_eq!(post(&address, "/command", &"Freeze".into()), (204, String::new()));
    edge.logged("frozen");
    assert_eq!(post(&address, "/command", &"Unfreeze".into()), (204, String::new()));
    edge.logged("unfrozen");
}

#[test]
fn requests_without_token_are_refused() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    secret(&place, "http.token", &format!("{TOKEN}\n"));
    let settings = "control = true\ntoken_file = \"http.token\"";
    let (_edge, address) = run(&place, &broker.url(), settings, "");
    let send = |token: &str| {
        let headers = format!("{JSON}Authorization: Bearer {token}\r\n");
        request(&address, "POST", "/command", &headers, b"\"Freeze\"")
    };
    let missing = error(post(&address, "/command", &"Freeze".into()));
    assert_eq!(
        missing,
        (401, "the token is missing, expected the token of http.token_file".into())
    );
    for path in ["/records", "/records/0/thumbnail", "/build"] {
        assert_eq!(get(&address, path).0, 401, "{path}");
    }
    assert_eq!(get(&address, "/health").0, 200);
    assert_eq!(send(TOKEN).0, 204);
    for _ in 0..5 {
        assert_eq!(send("a-token-of-other-length").0, 401);
    }
    // Even the right token is refused for a while, so that guessing reveals nothing.
    assert_eq!(error(send(TOKEN)).0, 429);
}

#[test]
fn invalid_token_file_stops_the_start() {
    let place = Place::new(1);
    let broker = "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"";
    let start = |http: &str| {
        let mut edge = Edge::run(&place.config(LOOP, &format!("{broker}\n[http]\n{http}")));
        let line = edge.logged("http");
        assert!(!edge.wait().success());
        line
    };
    let line = start("listen = \"0.0.0.0:0\"\ncontrol = true");
    assert!(line.contains("http.token_file is missing, expected a file with a token"), "{line}");
    let with_token = "listen = \"127.0.0.1:0\"\ncontrol = true\ntoken_file = \"http.token\"";
    secret(&place, "http.token", "short");
    assert!(start(with_token).contains("expected 16 to 256 printable ASCII characters"));
    place.write("http.token", TOKEN);
    let mode =
        std::process::Command::new("chmod").args(["o=r", &place.path("http.token")]).status();
    assert!(mode.unwrap().success());
    assert!(start(with_token).contains("chmod o="));
}

#[test]
fn without_control_only_metrics_and_health_are_served() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "", "");
    for path in ["/", "/live", "/records", "/prompt"] {
        assert_eq!(get(&address, path).0, 404, "{path}");
    }
    assert_eq!(post(&address, "/command", &"Freeze".into()).0, 404);
}

#[test]
fn cine_buffer_is_shown_only_while_frozen() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    // The buffer of an image that is frozen before its first frame stays empty.
    observer.wait_for_mask("the first mask", |_| true);
    let show = |frame: &str| {
        let body = format!("{{\"frame\": {frame}}}");
        let (status, body) = request(&address, "POST", "/cine", JSON, body.as_bytes());
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(show("0"), (422, "not-frozen".to_owned()));
    assert_eq!(request(&address, "POST", "/command", JSON, b"\"Freeze\"").0, 204);
    assert_eq!(show("99999"), (422, "no-such-frame".to_owned()));
    assert_eq!(show("\"first\""), (400, "not-a-message".to_owned()));
    assert_eq!(show("0"), (204, String::new()));
}

/// Draws three objects with one outline and long labels, and notes where the labels are.
const LABELS: &str = "import('/page.js').then(({ View }) => {
  const canvas = document.createElement('canvas');
  canvas.style = 'position: fixed; width: 300px; height: 120px';
  document.body.append(canvas);
  const view = new View(canvas);
  view.frame = { bitmap: document.createElement('canvas'), width: 300, height: 120 };
  Object.assign(view.frame.bitmap, { width: 300, height: 120 });
  const contour = [[140, 30], [160, 30], [160, 60], [140, 60]];
  const masks = [0, 1, 2].map((object) => ({
    object, width: 2, height: 2, runs: [0, 4], measured: { parts: 2, contour },
    edges: new Path2D(),
  }));
  const labels = new Map(masks.map(({ object }) => [object, 'superficial femoral artery']));
  view.draw({ masks, labels, prompts: [], calipers: [], opacity: 1 });
  canvas.remove();
  window.places = view.labels;
})";

#[test]
fn labels_of_objects_do_not_cover_each_other() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.value(LABELS);
    browser.wait_until("window.places !== undefined");
    let places = browser.value("JSON.stringify(window.places)");
    let mut places: Vec<[f64; 4]> = serde_json::from_str(places.as_str().unwrap()).unwrap();
    // They have the same text, so they are above each other.
    places.sort_by(|a, b| a[1].total_cmp(&b[1]));
    assert_eq!(places.len(), 3);
    assert!(places[0][1] >= 0.0 && places[2][3] <= 120.0, "{places:?}");
    assert!(places.windows(2).all(|two| two[0][3] <= two[1][1]), "{places:?}");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn named_object_is_shown_and_stored_with_its_name() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let more = "[records]\nfolder = \"kept\"\n\
                [[preset]]\nname = \"Brachial plexus\"\nobjects = [\"nerve\", \"vessel\"]";
    let (_edge, address) = run(&place, &broker.url(), "control = true", more);
    let name = |body: &str| request(&address, "POST", "/name", JSON, body.as_bytes());
    for (wrong, status, expected) in [
        (r#"{"object": 9, "name": "nerve"}"#, 400, "0 to 7"),
        (r#"{"object": 0}"#, 400, "missing field `name`"),
        (r#"{"object": 0, "label": "nerve"}"#, 400, "unknown field `label`"),
        (r#"{"object": 0, "name": " "}"#, 422, "name-does-not-fit"),
    ] {
        let (found, body) = name(wrong);
        assert!(found == status && body.contains(expected), "{wrong}: {found} {body}");
    }
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.wait_until(&fact("good"));
    browser.tap("#nameIt");
    browser.wait_until("document.querySelector('#naming').open");
    browser.value("document.querySelector('#naming input').value = 'left ventricle'");
    browser.tap("#naming [name=set]");
    let named = "document.querySelector('#nameIt').textContent === 'left ventricle'";
    browser.wait_until(named);
    browser.screenshot("named");
    browser.tap("#capture");
    wait_until("the record", || get(&address, "/records").1.contains("left ventricle"));
    // A cleared object keeps its name.
    browser.tap("#clear");
    browser.wait_until("document.querySelector('#nameIt').hidden");
    browser.tap("#undo");
    browser.wait_until(&format!("!document.querySelector('#nameIt').hidden && {named}"));
    browser.tap("#nameIt");
    browser.wait_until("document.querySelector('#naming').open");
    browser.tap("#naming [name=none]");
    browser.wait_until("document.querySelector('#nameIt').textContent === 'Name'");
    browser.tap("#examine");
    browser.wait_until("document.querySelector('#examination').open");
    browser.screenshot("presets");
    browser.tap("#presets button");
    browser.wait_until("document.querySelector('#nameIt').textContent === 'nerve'");
    let unknown = br#"{"name": "Heart"}"#;
    let (status, body) = request(&address, "POST", "/preset", JSON, unknown);
    assert!(status == 422 && body.contains("no-such-preset"), "{status} {body}");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}
