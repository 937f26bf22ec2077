//! The page with a token, without a pointer, and with a device that disconnects.

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
fn page_asks_for_the_token_until_it_is_right() {
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
    // The dialog cannot be dismissed without a token.
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
    // The lockout ends by itself.
    let deadline = Instant::now() + LIMIT;
    while browser.value(&format!("!({LIVE})")) == true {
        assert!(Instant::now() < deadline, "still locked out");
        enter(&mut browser, tls::TOKEN);
        browser.wait_until(&format!("{ASKED} || {LIVE}"));
    }
    browser.wait_until(&fact("good"));
    // Taps reach the page only after the dialog is closed.
    browser.tap("#clear");
    browser.wait_until(&fact("Tap the structure"));
    browser.tap("#freeze");
    browser.wait_until(FROZEN);
    assert!(!browser.value("location.href").as_str().unwrap().contains(tls::TOKEN));
    edge.logged("frozen");
}

#[test]
fn page_works_with_the_keyboard() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (_edge, address) = super::run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
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
    // A frozen frame does not become old while keys are pressed.
    focus(&mut browser, "freeze");
    browser.press("Enter");
    browser.wait_until(FROZEN);
    // The cursor starts in the centre, on the configured point.
    focus(&mut browser, "image");
    browser.press("Enter");
    browser.wait_until(&notice("Hold the point to remove it"));
    browser.press("Delete");
    browser.wait_until("document.activeElement.id === 'remove'");
    browser.press("Enter");
    browser.wait_until(&fact("Tap the structure"));
    browser.wait_until("document.activeElement.id === 'image'");
    for _ in 0..20 {
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
    focus(&mut browser, "showSettings");
    browser.press("Enter");
    browser.wait_until("document.querySelector('#settings').open");
    focus(&mut browser, "showBuild");
    browser.press("Enter");
    browser.wait_until("document.querySelector('#card').textContent.includes('tiny')");
    browser.press("Escape");
    browser.wait_until("!document.querySelector('#build').open");
    // Tab leads into the image again, through all controls, and out.
    focus(&mut browser, "image");
    focus(&mut browser, "freeze");
    browser.press("Enter");
    browser.wait_until(LIVE);
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn page_reconnects_to_a_restarted_device() {
    needs!("browser", "mosquitto");
    let place = Place::new(2);
    let (broker, port) = (Mosquitto::start(), free_port());
    let http = format!("[http]\nlisten = \"127.0.0.1:{port}\"\ncontrol = true");
    let config = place.config(LOOP, &format!("{}\n{http}", external(&broker.url())));
    let edge = Edge::run(&config);
    edge.logged("touchscreen page");
    let mut browser = Browser::live(1024, 600, &format!("http://127.0.0.1:{port}/"));
    browser.tap("#objects button:nth-child(3)");
    browser.tap("#image");
    browser.wait_until(&fact("1 point"));
    drop(edge);
    browser.wait_until(&notice("No connection"));
    browser.wait_until("document.querySelector('#stage').dataset.state === 'waiting'");
    // A tap now would refer to another image.
    browser.tap("#image");
    let _edge = Edge::run(&config);
    browser.wait_until(LIVE);
    browser.wait_until("document.querySelector('#notice').hidden");
    // The state of the device counts: it has forgotten the third object.
    browser.wait_until(&fact("Tap the structure"));
    // On a busy machine, the image may be old for a moment, and taps on it are ignored.
    browser.wait_until(LIVE);
    browser.tap("#image");
    browser.wait_until(&fact("1 point"));
    browser.wait_until(&fact("good"));
}
