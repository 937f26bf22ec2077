//! Builds on the page: list, switch, update.

use std::collections::BTreeMap;
use std::path::Path;

use medsa_bundle::{Acceptance, Build, Manifest};
use medsa_test_inputs::needs;

use super::browser::Browser;
use super::page::{fact, show_build};
use super::run;
use crate::harness::{Mosquitto, Place, free_port};
use crate::reload::{build, right};
use crate::tiny;
use crate::update::Ward;

fn says(id: &str, text: &str) -> String {
    format!("document.querySelector({id:?}).textContent.includes({text:?})")
}

#[test]
fn page_switches_and_updates_the_build() {
    needs!("browser", "mosquitto");
    let (broker, port) = (Mosquitto::start(), free_port());
    let http = format!("[http]\nlisten = \"127.0.0.1:{port}\"\ncontrol = true");
    let ward = Ward::new(&broker, &http, "repository = \"repository\"");
    ward.publish(&right("2.0.0", 32));
    let edge = ward.start();
    edge.logged("touchscreen page at ");
    let mut browser = Browser::live(1024, 600, &format!("http://127.0.0.1:{port}/"));
    browser.wait_until(&fact("good"));
    show_build(&mut browser);
    browser.wait_until(&says("#card", "tiny 1.0.0: in use"));
    // There is no other build yet.
    browser.wait_until("document.querySelector('#other').hidden");
    browser.tap("#update");
    browser.wait_until(&says("#status", "tiny 2.0.0"));
    // The card is refreshed while it is open.
    browser.wait_until(&says("#card", "tiny 1.0.0: used again if the trial fails"));
    browser.wait_until(&says("#card", "tiny 2.0.0: in use, on trial"));
    edge.logged("build tiny 2.0.0 was healthy on trial and is confirmed");
    browser.wait_until(&says("#card", "tiny 1.0.0: used before"));
    browser.wait_until(&says("#other", "Use tiny 1.0.0"));
    browser.screenshot("builds");

    // The page asks first, and cancels if told to.
    browser.tap("#other");
    browser.wait_until(&says("#question", "Switch from tiny 2.0.0 to tiny 1.0.0?"));
    browser.screenshot("sure");
    browser.tap("#sure .close");
    browser.wait_until("!document.querySelector('#sure').open");
    browser.tap("#other");
    browser.tap("#yes");
    edge.logged("build tiny 1.0.0 replaces tiny 2.0.0");
    browser.wait_until(&says("#status", "tiny 1.0.0"));
    edge.logged("build tiny 1.0.0 was healthy on trial and is confirmed");
    // The lines of the card move the button.
    browser.wait_until(&says("#card", "tiny 2.0.0: used before"));

    // A build that is not accepted is reported with the reason.
    let wrong = build("3.0.0", 32, |vector| vector.mask_runs = vec![96 * 80], &[]);
    ward.publish(&wrong);
    browser.tap("#update");
    browser.wait_until(&says("#status", "the other build was not accepted"));
    browser.wait_until(&says("#card", "tiny 3.0.0 is not accepted: "));
    browser.tap("#build .close");
    browser.wait_until(&fact("good"));
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}

#[test]
fn page_warns_about_unfit_build() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let (edge, address) = run(&place, &broker.url(), "control = true", "");
    let mut browser = Browser::live(1024, 600, &format!("http://{address}/"));
    let unfit = vec!["mask IoU with f32 is 0.5".to_owned()];
    let manifest = Manifest { unfit, version: "2.0.0".into(), ..tiny::manifest("0.1.0") };
    let encoder = (Manifest::ENCODER.to_owned(), tiny::encoder());
    let files = BTreeMap::from([encoder, (Manifest::DECODER.to_owned(), tiny::decoder())]);
    let build = Build::new(manifest, files, Acceptance::default());
    build.write(Path::new(&place.path("tiny.medsa"))).unwrap();
    edge.signal("HUP");
    browser.wait_until(&says("#status", "the other build was not accepted"));
    show_build(&mut browser);
    let reason = "build tiny 2.0.0 is marked as unfit: mask IoU with f32 is 0.5";
    browser.wait_until(&says("#card", reason));
    browser.tap("#build .close");
    browser.wait_until(&says("#status", "tiny 1.0.0"));
    browser.wait_until(&fact("good"));
}
