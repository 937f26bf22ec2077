//! The patient on the page.

use medsa_test_inputs::needs;
use serde_json::{Value, json};

use super::browser::Browser;
use super::page::{LIVE, notice};
use super::records::JSON;
use super::{get, request};
use crate::archive::peers::Orthanc;
use crate::study::{current, device, planned};

const OPEN: &str = "document.querySelector('#patient').open";

/// The patient beside the image, and the number under the name.
fn shown(browser: &mut Browser) -> Value {
    browser.value("document.querySelector('#choosePatient').innerText")
}

fn reads(text: &str) -> String {
    format!("document.querySelector('#choosePatient').innerText === {text:?}")
}

#[test]
fn patient_is_chosen_scanned_or_typed() {
    needs!("browser", "orthanc", "dcmtk");
    let orthanc = Orthanc::with_worklist(&planned());
    let device = device(&orthanc);
    let (_edge, address) = device.run();
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.wait_until(&reads("No patient"));

    // A tap on the second of today.
    browser.tap("#choosePatient");
    browser.wait_until(OPEN);
    let names =
        "[...document.querySelectorAll('#planned button')].map((e) => e.firstChild.textContent)";
    assert_eq!(browser.value(names), json!(["07:15  Meier, Eva", "08:30  Müller, Jörg"]));
    browser.screenshot("patient");
    browser.tap("#planned li:nth-child(2) button");
    browser.wait_until(&reads("Müller, Jörg\n4711 · 02/29/1948"));
    assert_eq!(current(&address)["uid"], "1.2.276.0.1");
    browser.screenshot("patient-open");
    browser.tap("#capture");
    browser.wait_until(&notice("Saved."));
    let listed: Value = serde_json::from_str(&get(&address, "/records").1).unwrap();
    assert_eq!(listed["records"][0]["patient"]["id"], "4711");
    // The capture names its patient.
    browser.tap("#showCaptures");
    browser.wait_until("document.querySelectorAll('#list li button').length === 1");
    browser.tap("#list li button");
    browser.wait_until(
        "document.querySelector('.about')?.textContent.includes('Müller, Jörg · 4711')",
    );
    browser.tap("#review .close");
    browser.tap("#captures .close");

    // A scanner types the number and Enter.
    browser.tap("#choosePatient");
    browser.wait_until(OPEN);
    browser.wait_until("document.activeElement.name === 'number'");
    browser.write("4712");
    browser.press("Enter");
    browser.wait_until(&reads("Meier, Eva\n4712 · 02/29/1948"));

    // A patient who is not planned.
    browser.tap("#choosePatient");
    browser.wait_until(OPEN);
    for (name, text) in [("number", "77"), ("family", "Van^Dyke"), ("given", "Al")] {
        browser.value(&format!("document.querySelector('#patient [name={name}]').focus()"));
        browser.write(text);
    }
    browser.value("document.querySelector('#patient [name=born]').value = '2001-02-03'");
    browser.tap("#patient [name=begin]");
    browser.wait_until(&reads("Van Dyke, Al\n77 · 02/03/2001"));
    assert_eq!(current(&address)["patient_name"], "Van Dyke^Al");
    assert_eq!(current(&address)["birth_date"], "20010203");

    // Another page has changed the patient, and this one does not know yet.
    let stale = json!({ "frame_id": 1, "study": "1.2.276.0.1" }).to_string();
    assert_eq!(request(&address, "POST", "/capture", JSON, stale.as_bytes()).0, 409);
    browser.tap("#choosePatient");
    browser.wait_until(OPEN);
    browser.tap("#patient [name=end]");
    browser.wait_until(&reads("No patient"));
    assert_eq!(current(&address), Value::Null);
    assert_eq!(shown(&mut browser), "No patient");
    browser.wait_until(LIVE);
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}
