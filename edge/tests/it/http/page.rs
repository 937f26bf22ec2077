//! The page in a real browser.

use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::{MaskMessage, Message as _, RecordMessage};
use serde_json::{Value, json};

use super::browser::Browser;
use super::{request, run};
use crate::harness::{Edge, FRAME, Mosquitto, Observer, Place, external, free_port};
use crate::service::LOOP;

/// Position on the page of a pixel of a small frame.
fn on_page(browser: &mut Browser, x: f64, y: f64) -> [f64; 2] {
    place_of(browser, FRAME, x, y)
}

/// Position on the page of a pixel of a frame.
pub fn place_of(browser: &mut Browser, (width, height): (u32, u32), x: f64, y: f64) -> [f64; 2] {
    let place = browser.value(&format!(
        "(() => {{ const r = document.querySelector('#image').getBoundingClientRect(); \
         const s = Math.min(r.width / {width}, r.height / {height}); \
         return [r.left + (r.width - s * {width}) / 2 + s * ({x} + 0.5), \
                 r.top + (r.height - s * {height}) / 2 + s * ({y} + 0.5)]; }})()"
    ));
    [place[0].as_f64().unwrap(), place[1].as_f64().unwrap()]
}

/// Red, green and blue of the canvas at a frame pixel.
fn colour(browser: &mut Browser, x: f64, y: f64) -> [i64; 3] {
    let [x, y] = on_page(browser, x, y);
    let found = browser.value(&format!(
        "(() => {{ const c = document.querySelector('#image'); \
         const r = c.getBoundingClientRect(); \
         return [...c.getContext('2d').getImageData({x} - r.left, {y} - r.top, 1, 1).data]; }})()"
    ));
    [0, 1, 2].map(|channel| found[channel].as_i64().unwrap())
}

pub const LIVE: &str = "document.querySelector('#stage').dataset.state === 'live'";

pub fn fact(text: &str) -> String {
    format!("document.querySelector('#facts').textContent.includes({text:?})")
}

pub fn notice(text: &str) -> String {
    format!("document.querySelector('#notice').textContent.includes({text:?})")
}

/// Shows masks as areas.
pub fn fill(browser: &mut Browser) {
    browser.value("document.querySelector('[data-choice=look] [value=fill]').click()");
}

/// Opens the description of the build.
pub fn show_build(browser: &mut Browser) {
    browser.tap("#showSettings");
    browser.wait_until("document.querySelector('#settings').open");
    browser.tap("#showBuild");
}

/// Touches a position until the page offers to remove what is there.
pub fn hold(browser: &mut Browser, [x, y]: [f64; 2]) {
    let down = json!({ "type": "touchStart", "touchPoints": [{ "x": x, "y": y }] });
    browser.call("Input.dispatchTouchEvent", down);
    browser.wait_until("!document.querySelector('#remove').hidden");
    browser.call("Input.dispatchTouchEvent", json!({ "type": "touchEnd", "touchPoints": [] }));
}

/// True if the second object's mask covers frame pixel (20, 20).
fn is_tapped(mask: &MaskMessage) -> bool {
    let row = 10 * usize::from(mask.mask.width());
    mask.object == 1 && mask.mask.bits().nth(row + 10) == Some(true)
}

#[test]
fn tap_becomes_a_mask() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let (edge, address) = run(&place, &broker.url(), "control = true", kept);
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.tap("#objects button:nth-child(2)");
    browser.wait_until(&fact("Tap the structure"));
    fill(&mut browser);

    // The marker is drawn before the device has answered.
    let patterns = json!([{ "urlPattern": "*/prompt" }]);
    browser.call("Fetch.enable", json!({ "patterns": patterns }));
    let [x, y] = on_page(&mut browser, 32.0, 32.0);
    browser.touch(&[[x, y]]);
    let paused = browser.wait_for_event("Fetch.requestPaused");
    browser.wait_until(&fact("1 point"));
    browser.wait_until(&fact("no mask yet"));
    browser.call("Fetch.continueRequest", json!({ "requestId": paused["requestId"] }));
    browser.call("Fetch.disable", json!({}));
    observer.wait_for_mask("the tapped place", is_tapped);
    browser.wait_until(&fact("good"));
    browser.wait_until(&fact("not to scale"));
    // Filled with its colour, blue, and only inside the mask.
    let [_, _, inside] = colour(&mut browser, 24.0, 36.0);
    let [_, _, outside] = colour(&mut browser, 110.0, 10.0);
    assert!(inside > 120 && outside < 80, "{inside} {outside}");

    // Without its point, there is nothing left to segment.
    let point = on_page(&mut browser, 32.0, 32.0);
    hold(&mut browser, point);
    browser.tap("#remove");
    browser.wait_until(&fact("Tap the structure"));
    // Dragging draws a box; a tap with the switch set adds a point outside the object.
    let path = [(10.0, 10.0), (30.0, 30.0), (50.0, 60.0)];
    let path = path.map(|(x, y)| on_page(&mut browser, x, y));
    browser.touch(&path);
    browser.wait_until(&fact("box"));
    browser.tap("#sign");
    browser.wait_until("document.querySelector('#sign').textContent.includes('outside')");
    let beside = on_page(&mut browser, 100.0, 80.0);
    browser.call("Fetch.enable", json!({ "patterns": patterns }));
    browser.touch(&[beside]);
    let paused = browser.wait_for_event("Fetch.requestPaused");
    let sent: Value =
        serde_json::from_str(paused["request"]["postData"].as_str().unwrap()).unwrap();
    let point = &sent["change"]["Add"];
    assert_eq!((&sent["object"], &point["positive"]), (&1.into(), &false.into()));
    let off = (point["x"].as_f64().unwrap() - 100.0).hypot(point["y"].as_f64().unwrap() - 80.0);
    assert!(off < 1.0, "{sent}");
    browser.call("Fetch.continueRequest", json!({ "requestId": paused["requestId"] }));
    browser.call("Fetch.disable", json!({}));
    browser.wait_until(&fact("1 point, box"));
    browser.tap("#undo");
    browser.wait_until(&format!("!{}", fact("point")));
    browser.tap("#clear");
    browser.wait_until(&fact("Tap the structure"));

    browser.tap("#freeze");
    browser.wait_until("document.querySelector('#stage').dataset.state === 'frozen'");
    browser.tap("#capture");
    observer.wait("the record", |message| {
        let decode = || RecordMessage::decode(&message.payload).unwrap();
        message.topic.ends_with("/record").then(decode)
    });
    browser.wait_until(&notice("Saved."));
    browser.tap("#freeze");
    browser.wait_until(LIVE);
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());

    // Without the device, nothing is shown that could be mistaken for live data.
    browser.tap("#objects button:nth-child(1)");
    browser.wait_until(&fact("good"));
    drop(edge);
    browser.wait_until("document.querySelector('#stage').dataset.state === 'waiting'");
    browser.wait_until(&fact("no mask yet"));
    browser.wait_until(&notice("No connection"));
}

/// After this time, browsers treat a touch as another gesture.
#[test]
fn long_press_on_a_button_counts_once() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.value(
        "window.clicks = 0, document.querySelector('#sign').addEventListener('click', () => { clicks += 1; })",
    );
    let [x, y] = browser.middle("#sign");
    let down = json!({ "type": "touchStart", "touchPoints": [{ "x": x, "y": y }] });
    browser.call("Input.dispatchTouchEvent", down);
    let until = browser.value("performance.now() + 1500");
    browser.wait_until(&format!("performance.now() > {until}"));
    browser.call("Input.dispatchTouchEvent", json!({ "type": "touchEnd", "touchPoints": [] }));
    browser.wait_until("clicks === 1");
    browser.tap("#sign");
    browser.wait_until("clicks === 2");
    browser.wait_until("document.querySelector('#sign').textContent === 'inside'");
}

/// If the source stops, the last frame stays, without outlines.
#[test]
fn old_frame_is_shown_without_outlines() {
    needs!("browser");
    let place = Place::new(1);
    let broker = format!("mqtt://127.0.0.1:{}", free_port());
    let settings =
        format!("{}\n[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true", external(&broker));
    let edge = Edge::run(&place.config("rate_fps = 0.5\nloop = true", &settings));
    let line = edge.logged("touchscreen page at ");
    let mut browser = Browser::start(1024, 600);
    browser.open(line.rsplit(' ').next().unwrap());
    // A frame arrives every two seconds, and counts as old after one.
    for _ in 0..2 {
        browser.wait_until(LIVE);
        browser.wait_until(&fact("good"));
        browser.wait_until("document.querySelector('#stage').dataset.state === 'stale'");
        browser.wait_until(&fact("no mask yet"));
    }
}

/// A capture is accepted before it is stored; the page reports the storage.
#[test]
fn failed_capture_is_not_reported_as_saved() {
    needs!("browser");
    let place = Place::new(2);
    let broker = format!("mqtt://127.0.0.1:{}", free_port());
    let http = "[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n[records]\nfolder = \"kept\"";
    // `blank` is missing.
    let edge = Edge::run(&place.config(LOOP, &format!("{}\n{http}", external(&broker))));
    let line = edge.logged("touchscreen page at ");
    let mut browser = Browser::live(1024, 600, line.rsplit(' ').next().unwrap());
    browser.wait_until(&fact("good"));
    browser.tap("#capture");
    browser.wait_until(&notice("NOT saved. It may identify the patient"));
    assert!(edge.logged("NOT stored").contains("source.blank is missing"));
}

#[test]
fn captures_are_listed_with_thumbnail_and_upload_state() {
    needs!("browser", "mosquitto");
    let place = Place::new(2);
    let port = free_port();
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let url = format!("mqtt://127.0.0.1:{port}");
    let (_edge, address) = run(&place, &url, "control = true", kept);
    let mut browser = Browser::live(1280, 800, &format!("http://{address}/"));
    let list =
        |text: &str| format!("document.querySelector('#list').textContent.includes({text:?})");
    browser.tap("#showCaptures");
    browser.wait_until(&list("Nothing saved yet."));
    browser.tap("#captures .close");
    browser.wait_until(&fact("good"));
    browser.tap("#capture");
    browser.wait_until(&notice("Saved."));
    browser.tap("#showCaptures");
    browser.wait_until(&list("↑ waiting for the broker"));
    browser.wait_until(&list("1 object"));
    // The thumbnail shows the frame, which is bluish at the left and red at the right.
    browser.wait_until("document.querySelector('#list canvas').width === 128");
    let pixel = browser.value(
        "[...document.querySelector('#list canvas').getContext('2d').getImageData(120, 5, 1, 1).data]",
    );
    assert!(pixel[0].as_i64().unwrap() > 100 && pixel[1].as_i64().unwrap() < 40, "{pixel}");
    browser.screenshot("captures");
    // The change is shown while the list is open.
    let _broker = Mosquitto::start_at(port);
    browser.wait_until(&list("✓ reported to the broker"));
    browser.tap("#captures .close");
    browser.wait_until("!document.querySelector('#captures').open");
    show_build(&mut browser);
    browser.wait_until("document.querySelector('#card').textContent.includes('tiny 1.0.0')");
    browser.wait_until("document.querySelector('#card').textContent.includes('32-bit')");
    browser.screenshot("build");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn page_states_not_for_diagnostic_use_unless_configured() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    for (settings, says) in [("", true), ("\ndiagnostic = true", false)] {
        let (_edge, address) = run(&place, &broker.url(), &format!("control = true{settings}"), "");
        let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
        browser.wait_until(&format!(
            "document.querySelector('footer').innerText.includes('Not for diagnostic use') === {says}"
        ));
    }
}

#[test]
fn page_loads_nothing_from_elsewhere() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    let (head, html) = super::exchange(&address, "GET", "/", "", b"");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let policy = head.lines().find(|line| line.starts_with("content-security-policy: "));
    assert!(policy.unwrap().contains("default-src 'none'"));
    let mut bytes = 0;
    for file in std::fs::read_dir("page/dist").unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let path = if file == "index.html" { "/".to_owned() } else { format!("/{file}") };
        let (status, text) = request(&address, "GET", &path, "", b"");
        assert_eq!(status, 200, "{file}");
        bytes += text.len();
        // The names of formats are not addresses.
        let text = text.replace("http://www.w3.org/", "");
        assert!(!text.contains("https://") && !text.contains("http://"), "{file}");
    }
    assert!(!html.contains("http"), "{html}");
    assert!(bytes < 150_000, "{bytes} bytes");
}

#[test]
fn footer_shows_broker_disk_battery_and_time() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let kept = "[records]\nfolder = \"kept\"";
    let (_edge, address) = run(&place, &broker.url(), "control = true", kept);
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    let sign = |id: &str| format!("document.querySelector('#{id}').getAttribute('aria-label')");
    browser.wait_until(&format!("{} === 'broker connected'", sign("broker")));
    browser.wait_until(&format!("/^[0-9.]+ GB free$/.test({})", sign("disk")));
    let time = "document.querySelector('footer time').textContent";
    browser.wait_until(&format!("/^[0-9]{{2}}:[0-9]{{2}}$/.test({time})"));
    browser.tap("footer");
    browser.wait_until(&notice("broker connected"));
    // The bench has no battery.
    browser.value(
        "import('/page.js').then(({ signsOf }) => { window.found = signsOf({ \
           broker: 'connected', disk_free_gb: 1.25, battery: { percent: 7, mains: false } \
         }); }); 0",
    );
    browser.wait_until("window.found !== undefined");
    let expected = json!([
        ["broker", "broker connected", "", false],
        ["disk", "1.3 GB free", "", true],
        ["battery", "battery 7 %", "7 %", true]
    ]);
    assert_eq!(browser.value("window.found"), expected);
    drop(broker);
    let away = format!("{} === 'broker not connected'", sign("broker"));
    browser.wait_until(&format!("{away} && document.querySelector('#broker.warns') !== null"));
}

#[test]
fn all_languages_have_the_same_texts() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", "");
    // The language of the browser is the default.
    let mut browser = Browser::start(1024, 600);
    browser.speak("es-MX");
    browser.open(&format!("http://{address}/"));
    browser.wait_until(LIVE);
    assert_eq!(browser.value("document.documentElement.lang"), "es");
    let codes = browser.value("[...document.querySelectorAll('[data-choice=language] button')].map((b) => b.value).join()");
    assert_eq!(codes, "de,en,es,fr");
    browser.value(
        "const keys = (texts, path = '') => Object.entries(texts).flatMap(([key, value]) => \
           value.constructor === Object ? keys(value, `${path}${key}.`) : [`${path}${key}: ${typeof value}`]); \
         import('/page.js').then(({ languages }) => { \
           window.texts = ['de', 'en', 'es', 'fr'].map((code) => keys(languages[code]).sort().join()); \
         }); 0",
    );
    browser.wait_until("window.texts !== undefined");
    let texts = browser.value("window.texts");
    let [first, others @ ..] = texts.as_array().unwrap().as_slice() else { panic!("no texts") };
    assert!(first.as_str().unwrap().matches(',').count() > 150);
    assert!(others.len() == 3 && others.iter().all(|other| other == first), "{texts:#}");
}
