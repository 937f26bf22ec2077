//! The page checked by axe-core: names of controls, contrast, roles, language.

use medsa_test_inputs::{asset, needs};

use super::browser::Browser;
use super::capture::FROZEN;
use super::page::fact;
use super::records::capture;
use super::run;
use super::users::USERS;
use crate::harness::{Mosquitto, Place};

/// Starts a check and leaves a line for each element that violates a rule.
const CHECK: &str = "window.violations = null; \
    axe.run().then(({ violations }) => { \
      window.violations = violations.flatMap(({ id, nodes }) => \
        nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)); \
    }); 0";

pub(super) fn assert_accessible(browser: &mut Browser, situation: &str) {
    browser.value(CHECK);
    browser.wait_until("window.violations !== null");
    let violations = browser.value("window.violations");
    assert!(violations.as_array().unwrap().is_empty(), "{situation}: {violations:#}");
}

#[test]
fn axe_finds_no_violations() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let kept = "[records]\nfolder = \"kept\"";
    let (_edge, address) = run(&place, &broker.url(), "control = true", kept);
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.wait_until(&fact("good"));
    let axe = std::fs::read_to_string(asset("axe.min.js")).unwrap();
    browser.value(&format!("{axe}; 0"));
    capture(&address);
    browser.tap("#showCaptures");
    browser.wait_until("document.querySelectorAll('#list li button').length === 1");
    browser.tap("#list li button");
    browser.wait_until("document.querySelector('#review .mark') !== null");
    browser.value("document.querySelectorAll('dialog').forEach((dialog) => dialog.close())");
    browser.tap("#freeze");
    browser.wait_until(FROZEN);
    browser.wait_until("!document.querySelector('#measure').hidden");
    browser.tap("#measure");
    browser.wait_until("!document.querySelector('#ellipse').hidden");
    browser.tap("#ellipse");
    browser.wait_until("!document.querySelector('#results').hidden");
    browser.value(
        "document.querySelectorAll('#build [hidden], #noteLine').forEach((e) => { e.hidden = false; }); \
         document.querySelector('#other').textContent = 'Use another 1.2.0'; \
         document.querySelector('#question').textContent = 'Switch?'; \
         document.querySelector('#discardQuestion').textContent = 'Delete?'",
    );
    for theme in ["dark", "light", "dim"] {
        let choice = format!("[data-choice=theme] [value={theme}]");
        browser.value(&format!("document.querySelector('{choice}').click()"));
        assert_accessible(&mut browser, theme);
        let dialogs = [
            "captures",
            "review",
            "discarding",
            "naming",
            "examination",
            "patient",
            "settings",
            "build",
            "sure",
            "ask",
        ];
        for dialog in dialogs {
            browser.value(&format!("document.querySelector('#{dialog}').showModal()"));
            assert_accessible(&mut browser, &format!("{dialog}, {theme}"));
            browser.value(&format!("document.querySelector('#{dialog}').close()"));
        }
    }
}

#[test]
fn axe_finds_no_violations_on_a_locked_screen() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = run(&place, &broker.url(), "control = true", USERS);
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    browser.wait_until(&fact("good"));
    let axe = std::fs::read_to_string(asset("axe.min.js")).unwrap();
    browser.value(&format!("{axe}; 0"));
    for theme in ["dark", "light", "dim"] {
        let choice = format!("[data-choice=theme] [value={theme}]");
        browser.value(&format!("document.querySelector('{choice}').click()"));
        assert_accessible(&mut browser, &format!("locked, {theme}"));
        browser.value("document.querySelector('#unlock').click()");
        browser.wait_until("document.querySelectorAll('#users button').length === 2");
        assert_accessible(&mut browser, &format!("signIn, {theme}"));
        browser.value("document.querySelector('#signIn').close()");
    }
}
