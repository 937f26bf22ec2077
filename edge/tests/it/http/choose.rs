//! Examinations and builds on the page.

use medsa_test_inputs::{asset, needs};

use super::accessible::assert_accessible;
use super::browser::Browser;
use super::page::{LIVE, fact, notice};
use super::screen::{CLIPPED, LANGUAGES, SCREENS, TARGET_MM, choose};
use crate::choose::{configured, place, put};
use crate::harness::{Edge, Mosquitto, Place, external};
use crate::reload::{bytes, for_task};
use crate::service::LOOP;

const MORE: &str = "[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n\
    [[preset]]\nname = \"Brachial plexus\"\nobjects = [\"nerve\"]\nbuild = \"main\"\n\
    [[preset]]\nname = \"Colonoscopy\"\nobjects = [\"polyp\", \"instrument\"]\nbuild = \"endoscopy\"";

const OPEN: &str = "document.querySelector('#examination').open";

/// Runs a device with a main build, two further ones and a damaged one; returns its page.
fn run(place: &Place, broker: &Mosquitto) -> (Edge, String) {
    put(place, "damaged", b"no build");
    put(place, "thyroid", &bytes(&for_task("thyroid-nodules", &["nodule"], 32)));
    let config = configured(place, &format!("{LOOP}\nblank = []"), &external(&broker.url()), MORE);
    let edge = Edge::run(&config);
    let line = edge.logged("touchscreen page at ");
    edge.logged("can be chosen as thyroid");
    (edge, line.rsplit(' ').next().unwrap().to_owned())
}

/// True if an element has this text.
fn reads(selector: &str, text: &str) -> String {
    format!("document.querySelector({selector:?}).textContent === {text:?}")
}

#[test]
fn examination_switches_the_build_and_names_objects() {
    needs!("browser", "mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let (edge, address) = run(&place, &broker);
    let mut browser = Browser::live(1024, 600, &address);
    browser.wait_until(&fact("good"));
    browser.wait_until(&reads("#examine", "tiny 1.0.0"));
    browser.tap("#examine");
    browser.wait_until(OPEN);
    let pressed = browser.value("document.querySelector('#builds [aria-pressed=true]').value");
    assert_eq!(pressed, "main");
    let damaged = "document.querySelector('#builds [value=damaged]')";
    assert_eq!(browser.value(&format!("{damaged}.disabled")), true);
    let words = browser.value(&format!("{damaged}.textContent"));
    assert!(words.as_str().unwrap().starts_with("damagednot available: "), "{words}");
    let endoscopy = "document.querySelector('#builds [value=endoscopy]').textContent";
    assert_eq!(browser.value(endoscopy), "endoscopypolyps 1.0.0 · polyp");
    browser.screenshot("examination");
    let axe = std::fs::read_to_string(asset("axe.min.js")).unwrap();
    browser.value(&format!("{axe}; 0"));
    for theme in ["dark", "light", "dim"] {
        choose(&mut browser, "theme", theme);
        assert_accessible(&mut browser, &format!("examination, {theme}"));
    }

    let shown = "Number(document.querySelector('#stage').dataset.frame)";
    let before = browser.value(shown);
    browser.tap("#presets button:nth-child(2)");
    browser.wait_until(&notice("endoscopy is in use."));
    browser.wait_until(&reads("#examine", "endoscopy"));
    browser.wait_until(&reads("#nameIt", "polyp"));
    browser.wait_until(&format!("{LIVE} && {shown} > {before}"));
    browser.wait_until(&fact("good"));
    edge.logged("build polyps 1.0.0 replaces tiny 1.0.0");

    // A frozen image keeps its build, so there is nothing to choose.
    browser.tap("#freeze");
    browser.wait_until("document.querySelector('#examine').hidden");
    browser.tap("#freeze");
    browser.wait_until("!document.querySelector('#examine').hidden");
    browser.tap("#examine");
    browser.wait_until(OPEN);
    browser.tap("#builds [value=main]");
    browser.wait_until(&reads("#examine", "tiny 1.0.0"));
    // A build alone keeps the names.
    assert_eq!(browser.value("document.querySelector('#nameIt').textContent"), "polyp");
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn failed_switch_is_reported_and_changes_no_names() {
    needs!("browser", "mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let (_edge, address) = run(&place, &broker);
    let mut browser = Browser::live(1024, 600, &address);
    browser.wait_until(&fact("good"));
    put(&place, "endoscopy", b"no build");
    browser.tap("#examine");
    browser.wait_until(OPEN);
    browser.tap("#presets button:nth-child(2)");
    browser.wait_until(&notice("the other build was not accepted: "));
    browser.wait_until(&reads("#examine", "tiny 1.0.0"));
    assert_eq!(browser.value("document.querySelector('#nameIt').textContent"), "Name");
    browser.tap("#examine");
    browser.wait_until(OPEN);
    browser.wait_until("document.querySelector('#presets button:nth-child(2)').disabled");
}

#[test]
fn examinations_and_builds_fit_all_screens() {
    needs!("browser", "mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let (_edge, address) = run(&place, &broker);
    let mut browser = Browser::live(1024, 600, &address);
    for (width, height, mm_per_px) in SCREENS {
        browser.resize(width, height);
        browser.open(&address);
        browser.wait_until(LIVE);
        browser.wait_until("!document.querySelector('#examine').hidden");
        let smallest = TARGET_MM / mm_per_px;
        let small = format!(
            "[...document.querySelectorAll('#examine, #examination button')].filter((e) => {{ \
               const r = e.getBoundingClientRect(); \
               return r.width < {smallest} || r.height < {smallest}; \
             }}).map((e) => e.textContent).join()"
        );
        for [language, good, _] in LANGUAGES {
            choose(&mut browser, "language", language);
            browser.wait_until(&fact(good));
            browser.tap("#examine");
            browser.wait_until(OPEN);
            let screen = format!("{width}x{height}-{language}");
            assert_eq!(browser.value(&small), "", "{screen}");
            assert_eq!(browser.value(CLIPPED), "", "{screen}");
            browser.screenshot(&format!("{screen}-examination"));
            browser.tap("#examination .close");
        }
    }
}
