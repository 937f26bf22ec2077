//! Degradation of a hot device, and its end.

use std::fs;

use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::{Cause, Degradation};

use crate::harness::{Edge, Mosquitto, Observer, Place, as_mask, external};
use crate::http::browser::Browser;
use crate::http::get;
use crate::reload::{as_info, bytes, right};
use crate::service::LOOP;
use crate::status::as_status;

#[test]
fn level_follows_the_temperature_and_masks_continue() {
    needs!("browser", "mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    fs::write(place.path("small.medsa"), bytes(&right("small", 32))).unwrap();
    let heat = |degrees: u32| fs::write(place.path("temp"), format!("{degrees}000\n")).unwrap();
    heat(50);
    let more = "[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true\n[degrade]\nhold_s = 1\n\
                thermal_file = \"temp\"\nsmaller_build = \"small.medsa\"";
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let settings = format!("{}\n{more}", external(&broker.url()));
    let edge = Edge::run(&place.config(LOOP, &settings));
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap();
    observer.wait_for_mask("a mask", |mask| mask.mask.width() == 64);

    heat(90);
    for level in 1..=3 {
        wait_for_level(&observer, level);
    }
    assert!(edge.logged("degraded to level 3").contains("because of heat: 90.0 °C"));
    let mut masks = 0;
    observer.wait_for_mask("masks of the smaller build", |mask| {
        masks += u32::from(mask.mask.width() == 32);
        masks == 20
    });
    let mut browser = Browser::start(1024, 600);
    browser.open(&format!("http://{address}/"));
    let status = "document.querySelector('#status').textContent";
    browser.wait_until(&format!("{status}.includes('slowed down: hot (3 of 3)')"));
    assert!(get(address, "/metrics").1.contains("\nmedsa_degradation_level 3\n"));
    let health: serde_json::Value = serde_json::from_str(&get(address, "/health").1).unwrap();
    assert_eq!(health["degradation"], serde_json::json!({ "level": 3, "cause": "heat" }));
    assert_eq!((&health["build"], &health["status"]), (&"tiny small".into(), &"ok".into()));

    heat(75);
    observer.wait_for_mask("a mask", |_| true);
    heat(60);
    wait_for_level(&observer, 2);
    let (mut level, mut version) = (None, None);
    observer.wait("level 1 and the build from before", |message| {
        level =
            as_status(message).map(|status| status.degradation.map_or(0, |d| d.level)).or(level);
        version = as_info(message).map(|info| info.build_version).or(version.take());
        (level == Some(1) && version.as_deref() == Some("1.0.0")).then_some(())
    });
    wait_for_level(&observer, 0);
    edge.logged("no longer degraded: 60.0 °C");
    observer.wait("a mask of it", |message| {
        as_mask(message).filter(|mask| mask.mask.width() == 64).map(drop)
    });
}

#[test]
fn thermal_file_without_temperature_stops_the_start() {
    let place = Place::new(1);
    fs::write(place.path("temp"), "warm").unwrap();
    let more = "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"\n[degrade]\nthermal_file = \"temp\"";
    let mut edge = Edge::run(&place.config(LOOP, more));
    let line = edge.logged("no temperature");
    assert!(line.contains("temp: no temperature, expected a number of thousandths"), "{line}");
    assert!(!edge.wait().success());
}

/// Waits for a status with this level; 0 is none.
fn wait_for_level(observer: &Observer, level: u8) {
    let expected = (level > 0).then_some(Degradation { level, cause: Cause::Heat });
    observer.wait(&format!("level {level}"), |message| {
        as_status(message).filter(|status| status.degradation == expected).map(drop)
    });
}
