//! Prompts as hands make them: slips, long presses, boxes with handles, two fingers, pedals.

use medsa_test_inputs::needs;
use serde_json::{Value, json};

use super::browser::Browser;
use super::page::{LIVE, fact, hold, notice, place_of};
use crate::harness::{Edge, FRAME, Mosquitto, Place, external};
use crate::service::LOOP;

pub const FROZEN: &str = "document.querySelector('#stage').dataset.state === 'frozen'";

/// Notes every request for a prompt, and turns masks into those of lost objects on request.
const SPY: &str = "(() => {
  window.sent = [];
  window.lost = false;
  const fetched = window.fetch;
  window.fetch = (path, request) => {
    if (path === 'prompt') sent.push(JSON.parse(request.body));
    return fetched(path, request);
  };
  const lose = (bytes) => {
    // After the kind, the revision and the version: three varints, the object, the state.
    let at = 10;
    for (let i = 0; i < 3; i++) while (bytes[at++] > 127);
    bytes[at + 1] = 2;
  };
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    set onmessage(act) {
      super.onmessage = (event) => {
        const bytes = event.data instanceof ArrayBuffer && new Uint8Array(event.data);
        if (window.lost && bytes && bytes[0] === 2) lose(bytes);
        act(event);
      };
    }
  };
})()";

/// Pixels of a 1024 x 600 screen per millimetre, as the page assumes.
const MM: f64 = 4.67;

pub struct Bench {
    pub browser: Browser,
    /// The service, until the test ends it.
    pub edge: Option<Edge>,
    _place: Place,
    _broker: Mosquitto,
}

impl Bench {
    /// A page with a frozen image and a selected object without a prompt.
    fn start() -> Self {
        Self::with_source("")
    }

    /// Like [`Bench::start`], with more lines for the source.
    pub fn with_source(source: &str) -> Self {
        let (place, broker) = (Place::new(2), Mosquitto::start());
        let kept = "[records]\nfolder = \"kept\"";
        let http = "[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true";
        let settings = format!("{}\n{http}\n{kept}", external(&broker.url()));
        let edge = Edge::run(&place.config(&format!("{LOOP}\nblank = []\n{source}"), &settings));
        let line = edge.logged("touchscreen page at ");
        let address = line.rsplit(' ').next().unwrap();
        let mut browser = Browser::start(1024, 600);
        let script = json!({ "source": SPY });
        browser.call("Page.addScriptToEvaluateOnNewDocument", script);
        browser.open(address);
        browser.wait_until(LIVE);
        browser.wait_until(&fact("good"));
        browser.tap("#freeze");
        browser.wait_until(FROZEN);
        browser.tap("#objects button:nth-child(2)");
        browser.wait_until(&fact("Tap the structure"));
        Self { browser, edge: Some(edge), _place: place, _broker: broker }
    }

    pub fn at(&mut self, x: f64, y: f64) -> [f64; 2] {
        place_of(&mut self.browser, FRAME, x, y)
    }

    pub fn tap(&mut self, x: f64, y: f64) {
        let at = self.at(x, y);
        self.browser.touch(&[at]);
    }

    pub fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let between = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        let path = [from, between, to].map(|(x, y)| self.at(x, y));
        self.browser.touch(&path);
    }

    pub fn wait(&mut self, text: &str) {
        self.browser.wait_until(&fact(text));
    }

    /// Change number `index` that the page asked for.
    fn change(&mut self, index: usize) -> Value {
        self.browser.wait_until(&format!("sent.length > {index}"));
        self.browser.value(&format!("sent[{index}].change"))
    }

    pub fn end(self) {
        assert!(self.browser.complaints().is_empty(), "{:?}", self.browser.complaints());
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn undo_and_redo_cover_every_change() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    let states = ["1 point", "2 points", "2 points, box", "1 point, box", "Tap the structure"];
    bench.tap(30.0, 30.0);
    bench.wait(states[0]);
    bench.tap(60.0, 60.0);
    bench.wait(states[1]);
    bench.drag((10.0, 10.0), (90.0, 80.0));
    bench.wait(states[2]);
    let point = bench.at(60.0, 60.0);
    hold(&mut bench.browser, point);
    bench.browser.screenshot("remove");
    bench.browser.tap("#remove");
    bench.wait(states[3]);
    bench.browser.tap("#clear");
    bench.wait(states[4]);
    // Undo returns to the object that was changed.
    bench.browser.tap("#objects button:nth-child(6)");
    for state in [states[3], states[2], states[1], states[0], states[4]] {
        bench.browser.tap("#undo");
        bench.wait(state);
    }
    for state in &states[..4] {
        bench.browser.tap("#redo");
        bench.wait(state);
    }
    bench
        .browser
        .wait_until("!document.querySelector('#facts').textContent.includes('no mask yet')");
    bench.end();
}

#[test]
fn tap_never_deletes_a_point() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    bench.tap(30.0, 30.0);
    bench.wait("1 point");
    bench.tap(30.0, 30.0);
    bench.browser.wait_until(&notice("Hold the point to remove it"));
    bench.wait("1 point");
    // Beside the point, a tap adds another one.
    bench.tap(36.0, 30.0);
    bench.wait("2 points");
    // A long press elsewhere is a tap, too.
    let far = bench.at(90.0, 70.0);
    let touch = json!({ "type": "touchStart", "touchPoints": [{ "x": far[0], "y": far[1] }] });
    bench.browser.call("Input.dispatchTouchEvent", touch);
    let until = bench.browser.value("performance.now() + 800");
    bench.browser.wait_until(&format!("performance.now() > {until}"));
    let lift = json!({ "type": "touchEnd", "touchPoints": [] });
    bench.browser.call("Input.dispatchTouchEvent", lift);
    bench.wait("3 points");
    // What was held stays unless the user agrees.
    let first = bench.at(30.0, 30.0);
    hold(&mut bench.browser, first);
    bench.tap(10.0, 80.0);
    bench.wait("4 points");
    bench.browser.wait_until("document.querySelector('#remove').hidden");
    bench.end();
}

#[test]
fn erase_removes_one_prompt_with_a_tap() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    let erasing = |on: bool| format!("document.querySelector('#erase').ariaPressed === '{on}'");
    bench.browser.wait_until("document.querySelector('#erase').hidden");
    bench.drag((20.0, 20.0), (80.0, 70.0));
    bench.tap(30.0, 30.0);
    bench.tap(60.0, 60.0);
    bench.wait("2 points, box");
    bench.browser.tap("#erase");
    bench.browser.wait_until(&erasing(true));
    bench.browser.screenshot("erase");
    // A tap beside everything removes and adds nothing.
    bench.tap(100.0, 85.0);
    bench.browser.wait_until(&notice("Tap a point or the edge of the box"));
    bench.wait("2 points, box");
    bench.browser.wait_until(&erasing(true));
    bench.tap(61.0, 60.0);
    bench.wait("1 point, box");
    bench.browser.wait_until(&erasing(false));
    // A finger that slips draws no box.
    bench.browser.tap("#erase");
    bench.drag((50.0, 20.0), (110.0, 90.0));
    bench.browser.wait_until(&format!("!{}", fact("box")));
    bench.browser.wait_until(&erasing(false));
    bench.wait("1 point");
    // Pressed again, it is off; then a tap adds a point.
    bench.browser.tap("#erase");
    bench.browser.tap("#erase");
    bench.tap(90.0, 40.0);
    bench.wait("2 points");
    for state in ["1 point", "1 point, box", "2 points, box"] {
        bench.browser.tap("#undo");
        bench.wait(state);
    }
    bench.end();
}

#[test]
fn slip_below_8_mm_is_a_tap() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    let [x, y] = bench.at(64.0, 48.0);
    bench.browser.touch(&[[x, y], [x + 4.0 * MM, y], [x + 7.5 * MM, y]]);
    bench.wait("1 point");
    let added = bench.change(0)["Add"].clone();
    // Where the finger came down.
    assert!((number(&added["x"]) - 64.0).abs() < 1.0, "{added}");
    bench.browser.touch(&[[x, y], [x + 4.0 * MM, y + 4.0 * MM], [x + 8.5 * MM, y + 8.5 * MM]]);
    bench.wait("1 point, box");
    bench.end();
}

#[test]
fn box_is_changed_by_its_handles() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    bench.drag((20.0, 20.0), (80.0, 70.0));
    bench.wait("box");
    bench.browser.screenshot("handles");
    // The finger is a bit beside the corner.
    bench.drag((82.0, 68.0), (110.0, 90.0));
    let changed = bench.change(1)["Set"]["bbox"].clone();
    for (edge, expected) in [("x0", 20.0), ("y0", 20.0), ("x1", 110.0), ("y1", 90.0)] {
        assert!((number(&changed[edge]) - expected).abs() < 1.0, "{changed}");
    }
    // A corner may cross the opposite one.
    bench.drag((20.0, 20.0), (124.0, 40.0));
    let changed = bench.change(2)["Set"]["bbox"].clone();
    for (edge, expected) in [("x0", 110.0), ("y0", 40.0), ("x1", 124.0), ("y1", 90.0)] {
        assert!((number(&changed[edge]) - expected).abs() < 1.0, "{changed}");
    }
    let corner = bench.at(110.0, 65.0);
    hold(&mut bench.browser, corner);
    bench.browser.wait_until("document.querySelector('#remove').textContent === 'Remove box'");
    bench.browser.tap("#remove");
    bench.wait("Tap the structure");
    bench.end();
}

#[test]
fn tap_replaces_the_prompt_of_a_lost_object() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    bench.tap(30.0, 30.0);
    bench.tap(60.0, 60.0);
    bench.wait("2 points");
    bench.wait("good");
    bench.browser.value("window.lost = true");
    // The next masks report the object as lost.
    bench.browser.tap("#freeze");
    bench.wait("lost: tap it");
    bench.browser.value("window.lost = false");
    bench.browser.tap("#freeze");
    bench.browser.wait_until(FROZEN);
    bench.browser.value("window.lost = true; document.querySelector('#undo').click(); document.querySelector('#redo').click()");
    bench.wait("lost: tap it");
    // All masks of both changes have arrived.
    let until = bench.browser.value("performance.now() + 700");
    bench.browser.wait_until(&format!("performance.now() > {until}"));
    bench.browser.value("window.lost = false; document.querySelector('#sign').click()");
    let before = number(&bench.browser.value("sent.length")) as usize;
    bench.tap(90.0, 50.0);
    let change = bench.change(before);
    let points = change["Set"]["points"].as_array().unwrap();
    assert_eq!(points.len(), 1, "{change}");
    assert!((number(&points[0]["x"]) - 90.0).abs() < 1.0 && points[0]["positive"] == true);
    bench.wait("1 point");
    bench.wait("good");
    bench.end();
}

#[test]
fn two_fingers_magnify_and_a_double_tap_fits() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    let [x, y] = bench.at(64.0, 48.0);
    let scale = bench.at(65.0, 48.0)[0] - x;
    let apart = |by: f64| ([x - by, y], [x + by, y]);
    let steps = [60.0, 90.0, 120.0].map(apart);
    bench.browser.pinch(&steps.map(|(first, _)| first), &steps.map(|(_, second)| second));
    bench.browser.wait_until("!document.querySelector('#fit').hidden");
    bench.browser.screenshot("magnified");
    // Two fingers neither tap nor draw.
    assert_eq!(bench.browser.value("sent.length"), 0);
    bench.browser.touch(&[[x + 20.0 * scale, y]]);
    let added = bench.change(0)["Add"].clone();
    let (fx, fy) = (number(&added["x"]), number(&added["y"]));
    assert!((fx - 74.0).abs() < 0.7 && (fy - 48.0).abs() < 0.7, "{added}");
    // Both fingers move by ten pixels of the frame, which are twenty on the screen.
    let moved = [0.0, 10.0, 20.0].map(|by| by * scale);
    let first = moved.map(|by| [x - 100.0 + by, y]);
    let second = moved.map(|by| [x + 100.0 + by, y]);
    bench.browser.pinch(&first, &second);
    bench.browser.touch(&[[x, y + 40.0]]);
    let added = bench.change(1)["Add"].clone();
    assert!((number(&added["x"]) - 54.0).abs() < 0.7, "{added}");
    // A double tap only fits.
    bench.browser.touch(&[[x, y - 100.0]]);
    bench.browser.touch(&[[x + 3.0, y - 100.0]]);
    bench.browser.wait_until("document.querySelector('#fit').hidden");
    let until = bench.browser.value("performance.now() + 500");
    bench.browser.wait_until(&format!("performance.now() > {until}"));
    assert_eq!(bench.browser.value("sent.length"), 2);
    // There is nothing beyond the edge of the image.
    bench.browser.pinch(&steps.map(|(first, _)| first), &steps.map(|(_, second)| second));
    let away = [0.0, 400.0, 900.0].map(|by| [x - 100.0 + by, y]);
    let along = [0.0, 400.0, 900.0].map(|by| [x + 100.0 + by, y]);
    bench.browser.pinch(&away, &along);
    bench.browser.tap("#fit");
    bench.browser.wait_until("document.querySelector('#fit').hidden");
    bench.tap(20.0, 80.0);
    let added = bench.change(2)["Add"].clone();
    assert!((number(&added["x"]) - 20.0).abs() < 0.7, "{added}");
    bench.end();
}

#[test]
fn keys_and_pedals_freeze_capture_and_select() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start();
    let pressed = |object: u32| {
        format!("document.querySelectorAll('#objects button')[{object}].ariaPressed === 'true'")
    };
    bench.browser.press("f");
    bench.browser.wait_until(LIVE);
    bench.browser.press("PageUp");
    bench.browser.wait_until(FROZEN);
    bench.browser.press("End");
    bench.browser.wait_until(&pressed(2));
    bench.browser.press("n");
    bench.browser.wait_until(&pressed(3));
    bench.tap(40.0, 40.0);
    bench.wait("1 point");
    bench.browser.press("u");
    bench.wait("Tap the structure");
    bench.browser.press("r");
    bench.wait("1 point");
    bench.browser.press("PageDown");
    bench.browser.wait_until(&notice("Saved."));
    // Keys do nothing behind a dialog.
    bench.browser.tap("#showSettings");
    bench.browser.press("f");
    bench.browser.press("Escape");
    bench.browser.wait_until("!document.querySelector('#settings').open");
    bench.browser.press("n");
    bench.browser.wait_until(&pressed(4));
    bench.browser.wait_until(FROZEN);
    bench.end();
}
