//! An image that returns after a long absence: old prompts are applied only if the user agrees.

use medsa_test_inputs::needs;
use serde_json::{Value, json};

use super::browser::Browser;
use super::page::{LIVE, fact, notice, place_of};
use crate::harness::{Edge, FRAME, Place, free_port};
use crate::service::LOOP;

/// A clock of the page that can be set forward.
const CLOCK: &str = "(() => {
  window.later = 0;
  const now = performance.now.bind(performance);
  performance.now = () => now() + later;
})()";

const ASKED: &str = "!document.querySelector('#returned').hidden";

/// True if the button of the first object says that its mask is good.
const MARKED: &str = "document.querySelector('#objects button').textContent.includes('✓')";

struct Ward {
    browser: Browser,
    place: Place,
    port: u16,
    edge: Option<Edge>,
}

impl Ward {
    fn start() -> Self {
        let (place, port) = (Place::new(2), free_port());
        let mut ward = Self { browser: Browser::start(1024, 600), place, port, edge: None };
        ward.begin();
        let script = json!({ "source": CLOCK });
        ward.browser.call("Page.addScriptToEvaluateOnNewDocument", script);
        ward.browser.open(&format!("http://127.0.0.1:{port}/"));
        ward.browser.wait_until(LIVE);
        ward.browser.wait_until(&fact("good"));
        ward
    }

    fn begin(&mut self) {
        let settings = format!(
            "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n\
             [http]\nlisten = \"127.0.0.1:{}\"\ncontrol = true",
            self.port
        );
        let edge = Edge::run(&self.place.config(LOOP, &settings));
        edge.logged("touchscreen page");
        self.edge = Some(edge);
    }

    /// The image is away for some time, in ms of the page's clock.
    fn be_away(&mut self, absence_ms: u32) {
        self.edge = None;
        self.browser.wait_until(&notice("No connection"));
        self.browser.value(&format!("later += {absence_ms}"));
        self.begin();
        self.browser.wait_until(LIVE);
    }
}

#[test]
fn old_prompts_wait_for_an_answer() {
    needs!("browser");
    let mut ward = Ward::start();
    ward.be_away(11_000);
    ward.browser.wait_until(ASKED);
    ward.browser.screenshot("returned");
    // The configured prompt is on the device, and the page does not apply it.
    ward.browser.wait_until(&fact("Tap the structure"));
    assert_eq!(ward.browser.value(MARKED), false);
    ward.browser.tap("#keep");
    ward.browser.wait_until(&format!("!({ASKED})"));
    ward.browser.wait_until(&fact("good"));
    ward.browser.wait_until(&fact("1 point"));

    ward.be_away(11_000);
    ward.browser.wait_until(ASKED);
    ward.browser.tap("#forget");
    ward.browser.wait_until(&format!("!({ASKED})"));
    ward.browser.wait_until(&fact("Tap the structure"));
    ward.browser.tap("#undo");
    ward.browser.wait_until(&fact("good"));
    // The browser also reports that it could not connect.
    let thrown = |event: &&&Value| event["method"] == "Runtime.exceptionThrown";
    assert_eq!(ward.browser.complaints().iter().find(thrown), None);
}

/// A new prompt replaces the old one, of which nobody has said that it still fits.
#[test]
fn tap_replaces_an_old_prompt() {
    needs!("browser");
    let mut ward = Ward::start();
    ward.be_away(11_000);
    ward.browser.wait_until(ASKED);
    let at = place_of(&mut ward.browser, FRAME, 30.0, 30.0);
    ward.browser.touch(&[at]);
    ward.browser.wait_until(&fact("1 point"));
    ward.browser.wait_until(&fact("good"));
    ward.browser.wait_until(&format!("!({ASKED})"));
    ward.browser.wait_until(&fact("1 point"));
}

#[test]
fn short_absence_asks_nothing() {
    needs!("browser");
    let mut ward = Ward::start();
    ward.be_away(0);
    ward.browser.wait_until(&fact("good"));
    ward.browser.wait_until(&fact("1 point"));
    assert_eq!(ward.browser.value(ASKED), false);
}
