//! Several builds on one device: choice, restart, updates meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use medsa_edge::config::Protocol;
use medsa_edge::records::Records;
use medsa_test_inputs::needs;
use medsa_update::{Folder, Phase};
use medsa_wire::{Command, MaskMessage};
use serde_json::{Value, json};

use crate::harness::{Edge, Mosquitto, Observer, Place, as_mask, external, wait_until};
use crate::http::{get, request};
use crate::reload::{EVERY_FRAME, build, bytes, for_task, right};
use crate::service::{BUDGET, LOOP};
use crate::slots::{install, place_with_slots, state};
use crate::update::Ward;

/// A device with a further build, `endoscopy`, whose masks are 32 px wide; those of the main build
/// are 64 px wide.
pub fn place() -> Place {
    let place = Place::new(4);
    fs::write(&place.build, bytes(&right("1.0.0", 64))).unwrap();
    fs::create_dir(place.path("others")).unwrap();
    put(&place, "endoscopy", &bytes(&for_task("polyps", &["polyp"], 32)));
    place
}

/// Writes the file of a further build.
pub fn put(place: &Place, name: &str, bytes: &[u8]) {
    fs::write(place.path(&format!("others/{name}.medsa")), bytes).unwrap();
}

/// Writes the configuration of such a device.
pub fn configured(place: &Place, source: &str, broker: &str, more: &str) -> PathBuf {
    let config = place.config(source, &format!("{broker}\n{more}"));
    with_others(&config, "");
    config
}

/// Adds the folder of further builds to a configuration, and more lines to its section.
fn with_others(config: &Path, more: &str) {
    let text = fs::read_to_string(config).unwrap();
    let section = format!("[build]\nothers = \"others\"\n{more}\n");
    fs::write(config, text.replace("[build]\n", &section)).unwrap();
}

/// A running device with several builds.
struct Bench {
    edge: Edge,
    address: String,
    observer: Observer,
}

const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"\ncontrol = true";

impl Bench {
    /// Starts when the further build can be chosen.
    fn start(config: &Path, broker: &Mosquitto) -> Self {
        let bench = Self::unchecked(config, broker);
        bench.edge.logged("can be chosen as ");
        bench
    }

    fn unchecked(config: &Path, broker: &Mosquitto) -> Self {
        let observer = Observer::start(&broker.url(), Protocol::V4);
        let edge = Edge::run(config);
        let line = edge.logged("metrics and health at http://");
        let address = line.rsplit('/').next().unwrap().to_owned();
        Self { edge, address, observer }
    }

    fn choose(&self, name: &str) -> (u16, String) {
        let headers = "Content-Type: application/json\r\n";
        let body = json!({ "name": name }).to_string();
        let (status, body) = request(&self.address, "POST", "/build", headers, body.as_bytes());
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_str(&get(&self.address, path).1).unwrap()
    }

    /// Waits for a mask of this width in pixels.
    fn wait_for_width(&self, width: u16) {
        self.observer.wait_for_mask("a mask of the build", |mask| mask.mask.width() == width);
    }

    /// Width of the masks from now on.
    fn width(&self) -> u16 {
        let frames = self.get("/health")["frames"].as_u64().unwrap();
        let is_new = |mask: &MaskMessage| mask.frame_id >= frames;
        self.observer.wait_for_mask("a mask of a new frame", is_new).mask.width()
    }

    fn end(mut self) {
        self.edge.signal("TERM");
        assert!(self.edge.wait().success());
    }
}

#[test]
fn builds_are_switched_without_losing_a_frame() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let broker_lines = external(&broker.url());
    let bench = Bench::start(&configured(&place, EVERY_FRAME, &broker_lines, HTTP), &broker);
    let first = bench.observer.wait_for_mask("a mask", |mask| mask.mask.width() == 64).frame_id;
    assert_eq!(bench.choose("main").0, 204);
    assert_eq!(bench.choose("colon"), (422, "no-such-build".to_owned()));
    let mut seen = BTreeSet::from([first]);
    for (name, width) in [("endoscopy", 32), ("main", 64), ("endoscopy", 32), ("main", 64)] {
        assert_eq!(bench.choose(name), (202, String::new()));
        let mut after = 0;
        bench.observer.wait("masks of the chosen build", |message| {
            let mask = as_mask(message).filter(|mask| mask.frame_id >= first)?;
            seen.insert(mask.frame_id);
            // The build from before never returns.
            assert!(after == 0 || mask.mask.width() == width);
            after += u32::from(mask.mask.width() == width);
            (after == 20).then_some(())
        });
        wait_until("the end of the switch", || bench.get("/health")["reload"]["state"] == "idle");
        let health = bench.get("/health");
        let in_use = |build: &&Value| build["in_use"] == true;
        let builds = health["builds"].as_array().unwrap();
        assert_eq!(builds.iter().find(in_use).unwrap()["name"], name, "{health}");
    }
    let last = *seen.last().unwrap();
    let missing: Vec<_> = (first..last).filter(|frame_id| !seen.contains(frame_id)).collect();
    assert!(missing.is_empty(), "{missing:?} of {first} to {last}");
    let expected = json!({ "name": "endoscopy", "in_use": false, "build": "polyps 1.0.0",
                           "classes": ["polyp"], "unavailable": null });
    assert_eq!(bench.get("/build")["builds"][1], expected);
    bench.edge.signal("TERM");
    let log = bench.edge.logged_until("stopping on request");
    // Both networks were kept: neither was loaded or tested again.
    assert!(!log.iter().any(|line| line.contains("threads") || line.contains("not checked")));
}

#[test]
fn build_that_is_not_kept_is_loaded_but_not_tested_again() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let config = configured(&place, LOOP, &external(&broker.url()), HTTP);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[build]\n", "[build]\nkeep_bytes = 0\n")).unwrap();
    let bench = Bench::start(&config, &broker);
    for (name, replaces) in [
        ("endoscopy", "polyps 1.0.0 replaces tiny 1.0.0"),
        ("main", "tiny 1.0.0 replaces polyps 1.0.0"),
        ("endoscopy", "polyps 1.0.0 replaces tiny 1.0.0"),
    ] {
        wait_until("the end of the last switch", || bench.choose(name).0 == 202);
        let log = bench.edge.logged_until(replaces);
        let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
        // The acceptance test logs that there are no limits for this board. That of the main build
        // was not needed for the start.
        assert_eq!((count("threads"), count("not checked")), (1, usize::from(name == "main")));
    }
}

#[test]
fn damaged_build_is_listed_with_its_reason() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    put(&place, "damaged", b"no build");
    put(&place, "wrong", &bytes(&build("2.0.0", 32, |vector| vector.mask_runs = vec![7680], &[])));
    put(&place, "main", b"a name that is taken");
    let bench =
        Bench::unchecked(&configured(&place, LOOP, &external(&broker.url()), HTTP), &broker);
    bench.edge.logged("main.medsa: the file needs another name");
    bench.edge.logged("build wrong is not available: ");
    bench.wait_for_width(64);
    let builds = bench.get("/build")["builds"].clone();
    let named = |name: &str| {
        let builds = builds.as_array().unwrap();
        builds.iter().find(|build| build["name"] == name).unwrap().clone()
    };
    assert_eq!(builds.as_array().unwrap().len(), 4);
    assert!(
        named("damaged")["unavailable"].as_str().unwrap().contains("damaged.medsa"),
        "{builds}"
    );
    assert!(named("wrong")["unavailable"].as_str().unwrap().contains("expected at least 0.95"));
    assert_eq!(named("endoscopy")["unavailable"], Value::Null);
    assert_eq!(bench.choose("wrong"), (422, "build-not-available".to_owned()));

    // Loading again finds the repaired file, and one that was damaged meanwhile.
    put(&place, "wrong", &bytes(&right("2.0.1", 32)));
    bench.edge.signal("HUP");
    bench.edge.logged("build tiny 2.0.1 can be chosen as wrong");
    put(&place, "endoscopy", b"no build");
    wait_until("the check is over", || bench.choose("endoscopy").0 == 202);
    bench.edge.logged("was not accepted, build tiny 1.0.0 stays in use");
    assert_eq!(bench.get("/health")["reload"]["state"], "failed");
    assert_eq!(bench.choose("endoscopy"), (422, "build-not-available".to_owned()));
    assert_eq!(bench.choose("wrong").0, 202);
    bench.wait_for_width(32);
}

#[test]
fn chosen_build_is_used_after_a_restart() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let config = configured(&place, LOOP, &external(&broker.url()), HTTP);
    let bench = Bench::start(&config, &broker);
    assert_eq!(bench.choose("endoscopy").0, 202);
    bench.edge.logged("build polyps 1.0.0 replaces tiny 1.0.0");
    bench.end();

    let bench = Bench::unchecked(&config, &broker);
    bench.edge.logged("build tiny 1.0.0 can be chosen as main");
    assert_eq!(bench.width(), 32);
    bench.end();

    let fall_back = |reason: &str| {
        let bench = Bench::unchecked(&config, &broker);
        bench.wait_for_width(64);
        let health = bench.get("/health");
        assert_eq!(health["build"], "tiny 1.0.0");
        assert_eq!(health["reload"]["state"], "failed");
        let found = health["reload"]["reason"].as_str().unwrap();
        assert!(found.contains(reason), "{found}");
        bench.end();
    };
    // A file that was replaced is tested before it is used.
    let wrong = build("2.0.0", 32, |vector| vector.mask_runs = vec![7680], &[]);
    put(&place, "endoscopy", &bytes(&wrong));
    fall_back("the chosen build endoscopy: ");
    fs::remove_file(place.path("others/endoscopy.medsa")).unwrap();
    fall_back("endoscopy.medsa: No such file");
    fs::write(place.path("others/chosen.json"), "spoilt").unwrap();
    fall_back("chosen.json: ");
}

#[test]
fn records_name_the_build_that_made_the_mask() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    let more = format!("{HTTP}\n[records]\nfolder = \"kept\"");
    let source = format!("{LOOP}\nblank = []");
    let bench =
        Bench::start(&configured(&place, &source, &external(&broker.url()), &more), &broker);
    bench.wait_for_width(64);
    bench.observer.send("medsa/bench/command", &Command::Freeze);
    bench.edge.logged("frozen");
    assert_eq!(bench.choose("endoscopy").0, 202);
    bench.edge.logged("build polyps 1.0.0 replaces tiny 1.0.0");
    bench.observer.send("medsa/bench/command", &Command::Capture);
    bench.edge.logged("stored as record");
    bench.observer.send("medsa/bench/command", &Command::Unfreeze);
    bench.wait_for_width(32);
    bench.observer.send("medsa/bench/command", &Command::Capture);
    bench.edge.logged("stored as record");
    bench.end();
    let records = Records::open(Path::new(&place.path("kept")), BUDGET).unwrap();
    let name = |id| records.read(id).unwrap().build.name;
    // The newest is the first.
    assert_eq!(records.list(2).unwrap().iter().map(name).collect::<Vec<_>>(), ["polyps", "tiny"]);
}

#[test]
fn main_build_is_updated_while_another_is_in_use() {
    needs!("mosquitto");
    let (place, broker) = (place(), Mosquitto::start());
    place_with_slots(&place, LOOP, &format!("{}\n{HTTP}", external(&broker.url())));
    let config = PathBuf::from(place.path("edge.toml"));
    with_others(&config, "");
    let bench = Bench::start(&config, &broker);
    assert_eq!(bench.choose("endoscopy").0, 202);
    bench.edge.logged("build polyps 1.0.0 replaces tiny 1.0.0");

    install(&place, &build("2.0.0", 64, |vector| vector.mask_runs = vec![7680], &[]));
    bench.edge.logged("rolled back to build tiny 1.0.0 in slot A");
    install(&place, &right("2.0.1", 64));
    bench.edge.logged("build tiny 2.0.1 can be chosen as main");
    assert_eq!(bench.width(), 32);
    let phase = state(&place).phase;
    assert!(matches!(phase, Phase::Trial { .. }));
    bench.end();
    // A start with another build is no trial of the main one.
    let bench = Bench::start(&config, &broker);
    assert_eq!((bench.width(), state(&place).phase), (32, phase));
    assert_eq!(bench.choose("main").0, 202);
    bench.edge.logged("build tiny 2.0.1 replaces polyps 1.0.0");
    bench.edge.logged("build tiny 2.0.1 was healthy on trial and is confirmed");
    bench.wait_for_width(64);
}

#[test]
fn build_is_switched_while_an_update_arrives() {
    needs!("mosquitto");
    let broker = Mosquitto::start();
    let ward = Ward::new(&broker, HTTP, "repository = \"repository\"");
    fs::create_dir(ward.place.path("others")).unwrap();
    put(&ward.place, "endoscopy", &bytes(&for_task("polyps", &["polyp"], 32)));
    let config = PathBuf::from(ward.place.path("edge.toml"));
    with_others(&config, "");
    ward.publish(&right("2.0.0", 64));
    let bench = Bench::start(&config, &broker);
    // The update waits for another process that works on the slots.
    let slots = Folder::open(Path::new(&ward.place.path("slots"))).unwrap();
    bench.observer.send("medsa/bench/command", &Command::Update);
    bench.edge.logged("looking for a newer build in file:///");
    assert_eq!(bench.choose("endoscopy").0, 202);
    bench.wait_for_width(32);
    wait_until("the update goes on", || bench.get("/health")["reload"]["state"] == "updating");
    drop(slots);
    bench.edge.logged("build tiny 2.0.0 can be chosen as main");
    assert_eq!((bench.width(), ward.role("b").as_str()), (32, "on-trial"));
}
