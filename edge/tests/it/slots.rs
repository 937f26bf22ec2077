//! Builds in slots: confirmed when healthy, otherwise rolled back.

use std::path::Path;

use medsa_bundle::{Build, sha256_hex};
use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_update::{Folder, Installed, Offer, Permit, Phase, Slots, State, TRIAL_STARTS};

use crate::harness::{Edge, Mosquitto, Observer, Place, external, wait_until};
use crate::reload::{build, bytes, right};
use crate::service::LOOP;

/// A place whose configuration names a folder of slots with version 1.0.0.
fn place(broker: &Mosquitto) -> Place {
    let place = Place::new(2);
    place_with_slots(&place, LOOP, &external(&broker.url()));
    place
}

/// Writes a configuration that names a folder of slots with version 1.0.0.
pub fn place_with_slots(place: &Place, source: &str, broker: &str) {
    install(place, &right("1.0.0", 64));
    let config = place.config(&format!("{source}\nblank = []"), broker);
    let text = std::fs::read_to_string(&config).unwrap();
    let slots = text.replace("path = \"tiny.medsa\"", "path = \"slots\"\nconfirm_min = 0.04");
    std::fs::write(&config, slots).unwrap();
}

fn slots(place: &Place) -> Slots<Folder> {
    Slots::open(Folder::open(Path::new(&place.path("slots"))).unwrap()).unwrap()
}

/// State of the slots, also while another process changes them.
pub fn state(place: &Place) -> State {
    let folder = Folder::to_start(Path::new(&place.path("slots")));
    Slots::open(folder).unwrap().state().clone()
}

/// Stages a build and switches to it.
pub fn install(place: &Place, build: &Build) {
    let (bytes, version) = (bytes(build), build.manifest().version.parse().unwrap());
    let build = Installed { name: "tiny".into(), version, sha256: sha256_hex(&bytes) };
    let offer = Offer { build, bytes: bytes.len() as u64 };
    let mut slots = slots(place);
    slots.stage(&offer, &mut &bytes[..], Permit::default(), &mut |_| Ok(())).unwrap();
    slots.switch().unwrap();
}

fn start(place: &Place) -> Edge {
    Edge::run(Path::new(&place.path("edge.toml")))
}

#[test]
fn healthy_build_is_confirmed() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let place = place(&broker);
    let edge = start(&place);
    let observer = Observer::start(&broker.url(), Protocol::V4);
    observer.wait_for_mask("a mask of the first build", |mask| mask.mask.width() == 64);
    install(&place, &right("2.0.0", 32));
    edge.logged("build tiny 2.0.0 replaces tiny 1.0.0");
    edge.logged("build tiny 2.0.0 was healthy on trial and is confirmed");
    let state = state(&place);
    assert_eq!(state.phase, Phase::Settled);
    assert_eq!(state.in_use().unwrap().version.to_string(), "2.0.0");
    assert_eq!(state.floors["tiny"].to_string(), "2.0.0");
}

#[test]
fn build_that_fails_acceptance_is_rolled_back_at_once() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let place = place(&broker);
    let edge = start(&place);
    let observer = Observer::start(&broker.url(), Protocol::V4);
    observer.wait_for_mask("a mask", |_| true);
    install(&place, &build("2.0.0", 32, |vector| vector.mask_runs = vec![96 * 80], &[]));
    edge.logged("rolled back to build tiny 1.0.0 in slot A");
    let state = state(&place);
    assert_eq!((state.phase, state.failed.len()), (Phase::Settled, 1));
    observer.wait_for_mask("a mask of the first build", |mask| mask.mask.width() == 64);
}

#[test]
fn unconfirmed_build_is_rolled_back_after_three_starts() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let place = place(&broker);
    install(&place, &right("2.0.0", 32));
    for starts in 1..=TRIAL_STARTS {
        let edge = start(&place);
        edge.logged("build tiny 2.0.0 in slot B is on trial");
        wait_until("the start is counted", || state(&place).phase == Phase::Trial { starts });
        edge.signal("KILL");
    }
    let edge = start(&place);
    edge.logged("rolled back to build tiny 1.0.0 in slot A: it was not confirmed in 3 starts");
    let observer = Observer::start(&broker.url(), Protocol::V4);
    observer.wait_for_mask("a mask of the first build", |mask| mask.mask.width() == 64);
    // A damaged file is detected at the next start; without another build the start fails.
    drop(edge);
    std::fs::write(place.folder.path().join("slots/a.medsa"), "spoilt").unwrap();
    start(&place).logged("rolled back to build tiny 2.0.0 in slot B: slot A does not hold");
    std::fs::write(place.folder.path().join("slots/b.medsa"), "spoilt").unwrap();
    start(&place).logged("neither slot holds the build that was installed in it");
}
