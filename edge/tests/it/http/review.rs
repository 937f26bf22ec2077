//! Captures on the page: filtered by day, opened, compared, deleted.

use std::fs;
use std::path::Path;

use medsa_test_inputs::needs;
use serde_json::{Value, json};

use super::browser::Browser;
use super::records::{JSON, capture, delete};
use super::run;
use crate::harness::{Edge, Mosquitto, Place};

const REVIEW: &str = "document.querySelector('#review').open";

fn says(id: &str, text: &str) -> String {
    format!("document.querySelector({id:?}).textContent.includes({text:?})")
}

fn entries(count: usize) -> String {
    format!("document.querySelectorAll('#list li').length === {count}")
}

/// Number of pixels with the colour of object 0 on the first capture. The frame has none.
const COLOURED: &str = "(() => {
  const c = document.querySelector('#shots canvas');
  const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) count += data[i] > 200 && data[i + 1] > 160 && data[i + 2] < 90;
  return count;
})()";

/// Refuses the next deletion.
const REFUSED_ONCE: &str = "(() => {
  const fetched = window.fetch;
  window.fetch = (path, request) => {
    if (request.method !== 'DELETE') return fetched(path, request);
    window.fetch = fetched;
    const body = JSON.stringify({ code: 'record-busy', error: 'x' });
    return Promise.resolve(new Response(body, { status: 409 }));
  };
})()";

/// Copies a record under another name, with a larger area.
fn copy(kept: &Path, from: &str, to: &str, area_px: u32) {
    fs::create_dir(kept.join(to)).unwrap();
    for file in fs::read_dir(kept.join(from)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), kept.join(to).join(file.file_name())).unwrap();
    }
    let path = kept.join(to).join("record.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["id"] = to.into();
    json["objects"][0]["measured"]["area_px"] = area_px.into();
    fs::write(&path, json.to_string()).unwrap();
}

struct Bench {
    browser: Browser,
    edge: Edge,
    address: String,
    place: Place,
    /// Name of the record that was captured.
    captured: String,
    _broker: Mosquitto,
}

impl Bench {
    /// The list with one capture of now, and `older` of 2020-01-01 and `later` of the day after.
    fn start(older: u32, later: u32) -> Self {
        let (place, broker) = (Place::new(2), Mosquitto::start());
        let kept = "[records]\nfolder = \"kept\"";
        let (edge, address) = run(&place, &broker.url(), "control = true", kept);
        let captured = capture(&address);
        let folder = place.folder.path().join("kept");
        // At noon, which is on the same day in almost all time zones.
        for number in 0..older {
            let name = format!("1000{number:04}-20200101T12{number:02}00.000000Z");
            copy(&folder, &captured, &name, 100 + number);
        }
        for number in 0..later {
            let name = format!("2000{number:04}-20200102T12{number:02}00.000000Z");
            copy(&folder, &captured, &name, 200 + number);
        }
        let mut browser = Browser::live(1280, 800, &format!("http://{address}/"));
        browser.tap("#showCaptures");
        browser.wait_until("document.querySelectorAll('#list li button').length > 0");
        Self { browser, edge, address, place, captured, _broker: broker }
    }

    fn choose_day(&mut self, day: &str) {
        self.browser.value(&format!(
            "document.querySelector('#day').value = {day:?}; \
             document.querySelector('#day').dispatchEvent(new Event('change'))"
        ));
    }

    /// Opens the capture at this place of the list, from 1.
    fn open(&mut self, place: usize) {
        self.browser.tap(&format!("#list li:nth-child({place}) button"));
        self.browser.wait_until(REVIEW);
    }

    fn is_stored(&self, id: &str) -> bool {
        self.place.folder.path().join("kept").join(id).exists()
    }

    fn end(self) {
        assert!(self.browser.complaints().is_empty(), "{:?}", self.browser.complaints());
    }
}

#[test]
fn captures_are_filtered_by_day_and_none_is_missing() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start(50, 2);
    let browser = &mut bench.browser;
    let day = "[...document.querySelectorAll('#day option')].map((e) => e.textContent).join('|')";
    let found = browser.value(day);
    let found: Vec<&str> = found.as_str().unwrap().split('|').collect();
    let [all, first, second, today] = found[..] else { panic!("{found:?}") };
    assert_eq!(all, "All days: 53 saved");
    // Names with higher numbers are newer, whatever the clock showed.
    assert_eq!(first, "Thursday, January 2, 2020: 2 saved");
    assert_eq!(second, "Wednesday, January 1, 2020: 50 saved");
    assert!(today.ends_with(": 1 saved"), "{today}");
    // Only entries in view have been described; the others follow when they are scrolled to.
    browser.wait_until(&entries(40));
    browser.wait_until("document.querySelector('#list li').textContent.includes('1 object')");
    let far = "document.querySelector('#list li:nth-child(40)')";
    assert_eq!(browser.value(&format!("{far}.textContent.includes('1 object')")), false);
    browser.value(&format!("{far}.scrollIntoView()"));
    browser.wait_until(&format!("{far}.textContent.includes('1 object')"));
    browser.wait_until(&entries(53));
    browser.value("document.querySelector('#list li:last-child').scrollIntoView()");
    browser.wait_until("document.querySelector('#list li:last-child canvas').width === 128");
    bench.choose_day("2020-01-02");
    bench.browser.wait_until(&entries(2));
    bench.browser.wait_until(&says("#list", "Jan 2, 2020"));
    bench.browser.screenshot("captures-of-a-day");
    bench.choose_day("");
    bench.browser.wait_until(&entries(40));
    bench.end();
}

#[test]
fn opened_capture_shows_outlines_and_measurements() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start(2, 1);
    bench.choose_day("2020-01-01");
    bench.browser.wait_until(&entries(2));
    bench.open(2);
    let browser = &mut bench.browser;
    for text in ["Jan 1, 2020", "tiny 1.0.0", "on this device only", "✓ good", "1 point"] {
        browser.wait_until(&says("#shots .about", text));
    }
    browser.wait_until(&says("#shots .about", "Area: 100 px (not to scale)"));
    browser.wait_until(&says("#shots .about", "Diameters: "));
    browser.wait_until(&format!("{COLOURED} > 200"));
    browser.screenshot("review");
    browser.tap("#outlines");
    browser.wait_until(&format!("{COLOURED} === 0"));
    browser.tap("#outlines");
    browser.wait_until(&format!("{COLOURED} > 200"));
    // It is the oldest of the day.
    assert_eq!(browser.value("document.querySelector('#older').disabled"), true);
    browser.tap("#newer");
    browser.wait_until(&says("#shots .about", "Area: 101 px"));
    assert_eq!(browser.value("document.querySelector('#newer').disabled"), true);
    browser.press("ArrowLeft");
    browser.wait_until(&says("#shots .about", "Area: 100 px"));
    browser.tap("#review .close");
    browser.wait_until(&format!("!{REVIEW} && document.querySelector('#captures').open"));

    // A damaged record is reported, and can be deleted.
    let json = bench.place.folder.path().join("kept/20000000-20200102T120000.000000Z/record.json");
    fs::write(json, "garbled").unwrap();
    bench.choose_day("2020-01-02");
    bench.browser.wait_until(&entries(1));
    bench.browser.wait_until(&says("#list", "damaged on the disk"));
    bench.open(1);
    bench.browser.wait_until(&says("#shots .about", "damaged on the disk"));
    assert_eq!(bench.browser.value("document.querySelector('#discard').disabled"), false);
}

#[test]
fn two_captures_are_compared() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start(3, 0);
    bench.choose_day("2020-01-01");
    bench.browser.wait_until(&entries(3));
    bench.open(3);
    bench.browser.wait_until(&says("#shots .about", "Area: 100 px"));
    bench.browser.tap("#compare");
    bench.browser.wait_until(&format!("!{REVIEW} && !document.querySelector('#choose').hidden"));
    bench.open(2);
    let browser = &mut bench.browser;
    let second = "#shots figure:nth-child(2) .about";
    browser.wait_until(&says(second, "Area: 101 px"));
    browser.wait_until(&says(second, "Difference of areas: +1 px (+1%)"));
    assert_eq!(browser.value(&says("#shots .about", "Area: 100 px")), true);
    assert_eq!(browser.value("document.querySelector('#discard').disabled"), true);
    let beside = "(() => { const [a, b] = [...document.querySelectorAll('#shots canvas')]\
                  .map((e) => e.getBoundingClientRect()); \
                  return a.right <= b.left && a.width > 200 && b.width > 200; })()";
    assert_eq!(browser.value(beside), true);
    browser.screenshot("compare");
    browser.tap("#newer");
    browser.wait_until(&says(second, "Difference of areas: +2 px (+2%)"));
    browser.resize(800, 1280);
    let below = "(() => { const [a, b] = [...document.querySelectorAll('#shots canvas')]\
                 .map((e) => e.getBoundingClientRect()); \
                 return a.bottom <= b.top && a.height > 200 && b.height > 200; })()";
    browser.wait_until(below);
    browser.screenshot("compare-upright");
    // The first one stays when the comparison ends.
    browser.tap("#compare");
    browser.wait_until("document.querySelector('#shots figure:nth-child(2)').hidden");
    assert_eq!(browser.value(&says("#shots .about", "Area: 100 px")), true);
    bench.end();
}

#[test]
fn capture_is_deleted_with_a_reason() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start(2, 0);
    let [older, newer] = ["10000000-20200101T120000.000000Z", "10000001-20200101T120100.000000Z"];
    bench.open(1);
    let browser = &mut bench.browser;
    browser.wait_until(&says("#shots .about", "Area: 101 px"));
    let disabled = "document.querySelector('#discardYes').disabled";
    browser.tap("#discard");
    browser.wait_until(&says("#discardQuestion", "Jan 1, 2020"));
    assert_eq!(browser.value(disabled), true);
    browser.tap("#reasons [value=Other]");
    browser.wait_until("!document.querySelector('#noteLine').hidden");
    assert_eq!(browser.value(disabled), true);
    browser.screenshot("discard");
    browser.tap("#discarding .close");
    browser.wait_until("!document.querySelector('#discarding').open");
    assert!(bench.is_stored(newer));

    let browser = &mut bench.browser;
    browser.tap("#discard");
    browser.tap("#reasons [value=WrongPatient]");
    browser.wait_until(&format!("!({disabled})"));
    browser.tap("#discardYes");
    // The next older one follows.
    browser.wait_until(&says("#shots .about", "Area: 100 px"));
    browser.wait_until(&says("#day", "All days: 2 saved"));
    assert!(!bench.is_stored(newer) && bench.is_stored(older));
    bench.edge.logged(&format!("record {newer} deleted: WrongPatient"));

    let browser = &mut bench.browser;
    browser.tap("#discard");
    browser.tap("#reasons [value=Other]");
    browser.wait_until("!document.querySelector('#noteLine').hidden");
    browser.tap("#note");
    browser.write("a second copy");
    browser.wait_until(&format!("!({disabled})"));
    browser.tap("#discardYes");
    bench.edge.logged(&format!("record {older} deleted: Other: \"a second copy\""));
    bench.browser.wait_until(&says("#day", "All days: 1 saved"));
    let captured = bench.captured.clone();
    assert!(!bench.is_stored(older) && bench.is_stored(&captured));

    // A refused deletion is reported where it was asked for.
    let browser = &mut bench.browser;
    browser.wait_until("!document.querySelector('#discarding').open");
    browser.value(REFUSED_ONCE);
    browser.tap("#discard");
    browser.tap("#reasons [value=Test]");
    browser.tap("#discardYes");
    browser.wait_until(&says("#discardRefused", "It is being reported to the broker"));
    assert!(bench.is_stored(&captured));

    // Without any capture, the list is all that is left.
    bench.browser.tap("#discardYes");
    bench.browser.wait_until(&format!("!{REVIEW}"));
    bench.browser.wait_until(&says("#list", "Nothing saved yet."));
    assert!(!bench.is_stored(&captured));
    bench.end();
}

#[test]
fn deletion_by_another_page_is_noticed() {
    needs!("browser", "mosquitto");
    let mut bench = Bench::start(3, 0);
    bench.open(2);
    let browser = &mut bench.browser;
    browser.wait_until(&says("#shots .about", "Area: 101 px"));
    let shown = "10000001-20200101T120100.000000Z";
    let reason = json!({ "reason": "WrongPatient" });
    assert_eq!(delete(&bench.address, shown, JSON, &reason).0, 204);
    browser.wait_until(&says("#shots .about", "This capture is no longer there."));
    browser.wait_until(&says("#day", "All days: 3 saved"));
    assert_eq!(browser.value("document.querySelector('#discard').disabled"), true);
    assert_eq!(browser.value(COLOURED), 0);
    // It lay between these two.
    browser.tap("#older");
    browser.wait_until(&says("#shots .about", "Area: 100 px"));
    assert_eq!(browser.value("document.querySelector('#discard').disabled"), false);
    browser.tap("#newer");
    browser.wait_until(&says("#shots .about", "Area: 102 px"));
    browser.wait_until("document.querySelector('#newer').disabled");
    bench.end();
}
