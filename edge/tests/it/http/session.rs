//! The page for those who have to show a token, who have no pointer, and who lose the device.

use std::time::Instant;

use super::browser::Browser;
use super::page::{LIVE, fact, notice};
use super::tls;
use crate::harness::{Edge, LIMIT, Mosquitto, Place, external, free_port};
use crate::mqtt::pki::Pki;
use crate::service::LOOP;
use medsa_test_inputs::needs;

const FROZEN: &str = "document.querySelector('#stage').dataset.state === 'frozen'";

const ASKED: &str = "document.querySelector('#ask').open";

fn refused(text: &str) -> String {
    format!("{ASKED} && document.querySelector('#refused').textContent.includes({text:?})")
}

#[test]
fn the_page_asks_for_the_token_until_it_is_right() {
    needs!("browser", "openssl");
    let pki = Pki::new();
    let (_place, config) = tls::place(&pki);
    let edge = Edge::run(&config);
    let line = edge.logged("touchscreen page at https://0.0.0.0:");
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let mut browser = Browser::start(1280, 800);
    browser.open(&format!("https://localhost:{port}/"));
    browser.wait_until(ASKED);
    browser.wait_until("document.querySelector('#refused').textContent === ''");
    // It does not go away, as there is nothing to see.
    browser.press("Escape");
    let enter = |browser: &mut Browser, token: &str| {
        browser.wait_until(ASKED);
        browser.tap("#token");
        browser.write(token);
        browser.tap("#enter");
    };
    for _ in 0..5 {
        enter(&mut browser, "a-token-of-other-length");
        browser.wait_until(&refused("This token is wrong."));
    }
    browser.screenshot("token");
    enter(&mut browser, tls::TOKEN);
    browser.wait_until(&refused("Too many wrong tokens"));
    // The lock opens by itself.
    let deadline = Instant::now() + LIMIT;
    while browser.value(&format!("!({LIVE})")) == true {
        assert!(Instant::now() < deadline, "still locked out");
        enter(&mut browser, tls::TOKEN);
        browser.wait_until(&format!("{ASKED} || {LIVE}"));
    }
    browser.wait_until(&fact("good"));
    // Over what was asked for, and no more, goes what is tapped.
    browser.tap("#clear");
    browser.wait_until(&fact("Tap the structure"));
    browser.tap("#freeze");
    browser.wait_until(FROZEN);
    assert!(!browser.value("location.href").as_str().unwrap().contains(tls::TOKEN));
    edge.logged("frozen");
}

#[test]
fn keys_do_what_fingers_do() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = super::run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::start(1024, 600);
    browser.open(&format!("http://{address}/"));
    browser.wait_until(LIVE);
    browser.wait_until(&fact("good"));
    let focus = |browser: &mut Browser, id: &str| {
        for _ in 0..30 {
            if browser.value("document.activeElement.id") == id {
                let outline =
                    browser.value("getComputedStyle(document.activeElement).outlineStyle");
                assert_eq!(outline, "solid", "{id} shows that it has the focus");
                return;
            }
            browser.press("Tab");
        }
        panic!("Tab does not lead to {id}");
    };
    // A picture that stays does not become old while keys are pressed.
    focus(&mut browser, "freeze");
    browser.press("Enter");
    browser.wait_until(FROZEN);
    // The cursor begins in the middle, where the configured point is: Enter takes it away.
    focus(&mut browser, "picture");
    browser.press("Enter");
    browser.wait_until(&fact("Tap the structure"));
    for _ in 0..40 {
        browser.press("ArrowLeft");
    }
    browser.press("ArrowUp");
    browser.press("Enter");
    browser.wait_until(&fact("1 point"));
    browser.wait_until(&fact("good"));
    browser.press("b");
    for _ in 0..20 {
        browser.press("ArrowRight");
        browser.press("ArrowDown");
    }
    browser.press("b");
    browser.wait_until(&fact("1 point, box"));
    focus(&mut browser, "undo");
    browser.press("Enter");
    browser.wait_until(&format!("!{}", fact("box")));
    focus(&mut browser, "showBuild");
    browser.press("Enter");
    browser.wait_until("document.querySelector('#card').textContent.includes('tiny')");
    browser.press("Escape");
    browser.wait_until("!document.querySelector('#build').open");
    // Into the picture again, all the way round, and on.
    focus(&mut browser, "picture");
    focus(&mut browser, "freeze");
    browser.press("Enter");
    browser.wait_until(LIVE);
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn a_device_that_comes_back_is_shown_again() {
    needs!("browser", "mosquitto");
    let place = Place::new(2);
    let (broker, port) = (Mosquitto::start(), free_port());
    let http = format!("[http]\nlisten = \"127.0.0.1:{port}\"\ncontrol = true");
    let config = place.config(LOOP, &format!("{}\n{http}", external(&broker.url())));
    let edge = Edge::run(&config);
    edge.logged("touchscreen page");
    let mut browser = Browser::start(1024, 600);
    browser.open(&format!("http://127.0.0.1:{port}/"));
    browser.wait_until(LIVE);
    browser.tap("#objects button:nth-child(3)");
    browser.tap("#picture");
    browser.wait_until(&fact("1 point"));
    drop(edge);
    browser.wait_until(&notice("No connection"));
    browser.wait_until("document.querySelector('#stage').dataset.state === 'waiting'");
    // What is tapped now would be about another picture.
    browser.tap("#picture");
    let _edge = Edge::run(&config);
    browser.wait_until(LIVE);
    browser.wait_until("document.querySelector('#notice').hidden");
    // What the device knows counts: it has forgotten the third object.
    browser.wait_until(&fact("Tap the structure"));
    browser.tap("#picture");
    browser.wait_until(&fact("1 point"));
    browser.wait_until(&fact("good"));
}
