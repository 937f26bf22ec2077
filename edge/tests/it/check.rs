//! `medsa-edge check`: all problems of a configuration, before it is run.

use std::fs;
use std::path::Path;

use crate::choose;
use crate::harness::{Edge, Place, edge_command};
use crate::service::LOOP;
use crate::tiny;

const EMBEDDED: &str = "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"";

/// Exit code, output and errors.
fn check(config: &Path) -> (i32, String, String) {
    let output = edge_command(&["check", config.to_str().unwrap()]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn valid_configuration_is_reported_and_nothing_is_changed() {
    let place = Place::new(2);
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let source = format!("{LOOP}\nblank = []");
    let config = place.config(&source, &format!("{EMBEDDED}\n{kept}"));
    let files = || fs::read_dir(place.folder.path()).unwrap().count();
    let before = files();
    let (code, printed, _) = check(&config);
    assert_eq!(code, 0);
    let expected = "ready to run: device bench, build tiny 1.0.0 with 0 acceptance vectors\n";
    assert!(printed.ends_with(expected), "{printed}");
    assert_eq!(files(), before);
    // Also while the service runs and holds records and outbox.
    let mut edge = Edge::run(&config);
    edge.logged("the source delivers frames");
    assert_eq!(check(&config).0, 0);
    edge.signal("TERM");
    assert!(edge.wait().success());
    // And after it has run: the outbox exists now.
    assert_eq!(check(&config).0, 0);
}

#[test]
fn all_missing_files_are_reported_at_once() {
    let place = Place::new(2);
    place.write("file", "no folder");
    place.write("outbox.redb", &"no database".repeat(1000));
    fs::remove_file(&place.build).unwrap();
    let kept = "[records]\nfolder = \"file/kept\"\n[outbox]\npath = \"outbox.redb\"";
    let broker = "kind = \"external\"\nurl = \"mqtts://localhost\"\nca_file = \"missing.pem\"";
    let degrade = "[degrade]\nsmaller_build = \"small.medsa\"\nthermal_file = \"file\"";
    let config = place.config("frame_size = [9, 9]", &format!("{broker}\n{kept}\n{degrade}"));
    let (code, printed, wrong) = check(&config);
    assert_eq!((code, printed.as_str()), (1, ""));
    assert!(wrong.contains("edge.toml: 8 problems found\n"), "{wrong}");
    for (key, what) in [
        ("build.path", "tiny.medsa"),
        ("source", "source.frame_size: frame is 128 x 96 px, expected 9 x 9 px"),
        ("broker", "missing.pem"),
        ("records.folder", "file: not a directory"),
        ("outbox.path", "outbox.redb: outbox: "),
        ("degrade.smaller_build", "small.medsa: No such file"),
        ("degrade.thermal_file", "file: no temperature, expected"),
    ] {
        let line = wrong.lines().find(|line| line.starts_with(&format!("{key}: ")));
        assert!(line.is_some_and(|line| line.contains(what)), "{key}: {wrong}");
    }
    assert!(wrong.contains("source.blank is missing, expected the rectangles"), "{wrong}");
    // The damaged outbox was not moved.
    assert!(fs::read_to_string(place.path("outbox.redb")).unwrap().starts_with("no database"));
}

#[test]
fn wrong_values_of_several_sections_are_reported_at_once() {
    let place = Place::new(1);
    let sections = "[http]\nlisten = \"here\"\n[watchdog]\nstuck_s = 0.5";
    let (code, _, wrong) =
        check(&place.config("rate_fps = 1000", &format!("{EMBEDDED}\n{sections}")));
    assert_eq!(code, 1);
    for key in ["source.rate_fps is 1000", "http.listen is", "watchdog.stuck_s is 0.5"] {
        assert!(wrong.contains(key), "{key}: {wrong}");
    }
    assert!(wrong.contains("3 problems found"), "{wrong}");
}

#[test]
fn all_problems_of_values_and_files_are_reported_at_once() {
    let place = Place::new(1);
    fs::remove_file(&place.build).unwrap();
    let sections = "[htp]\ncontrol = true\n[watchdog]\nstuck = 0.5\n[records]\nmax_bytes = 1";
    let source = "rate_fps = 1000\nregion = [0, 0, 0, 0]\nlop = true";
    let (code, _, wrong) = check(&place.config(source, &format!("{EMBEDDED}\n{sections}")));
    assert_eq!(code, 1);
    for expected in [
        "unknown field `htp`, did you mean `http`?",
        "unknown field `stuck`, did you mean `stuck_s`?",
        "unknown field `lop`, did you mean `loop`?",
        "source.rate_fps is 1000, expected 0.1 to 240",
        "source.region is [0, 0, 0, 0], expected [x, y, width, height]",
        "records.max_bytes is 1, expected 1048576 to 1099511627776",
        "build.path: ",
    ] {
        assert!(wrong.contains(expected), "{expected}: {wrong}");
    }
    // None follows from another, such as the missing `blank` of a source with other problems.
    assert!(wrong.contains("7 problems found"), "{wrong}");
}

#[test]
fn configuration_that_refuses_every_capture_is_not_ready() {
    let place = Place::new(1);
    let with = |source: &str, records: &str| {
        check(&place.config(source, &format!("{EMBEDDED}\n{records}")))
    };
    let (code, printed, wrong) = with("", "[records]\nfolder = \"kept\"");
    assert_eq!((code, printed.as_str()), (1, ""));
    let expected = "source.blank is missing, expected the rectangles that hide what identifies";
    assert!(wrong.contains("1 problem found") && wrong.contains(expected), "{wrong}");
    let full = format!("[records]\nfolder = \"kept\"\nmin_free_bytes = {}", 1u64 << 40);
    let (code, _, wrong) = with("blank = []", &full);
    assert_eq!(code, 1);
    assert!(wrong.contains("records.folder: ") && wrong.contains("must stay free"), "{wrong}");
    // Without [records], nobody wants captures.
    assert_eq!(with("", "").0, 0);
    assert_eq!(with("blank = []", "[records]\nfolder = \"kept\"").0, 0);
}

#[test]
fn prompts_builds_programs_and_devices_are_checked() {
    let place = Place::new(1);
    let (code, _, wrong) = check(&place.config("region = [0, 0, 20, 20]", EMBEDDED));
    assert_eq!(code, 1);
    assert!(wrong.contains("prompt: prompt of object 0: "), "{wrong}");
    tiny::build_of(place.folder.path(), tiny::encoder(), tiny::decoder(), "99.0.0");
    let live = |source: &str| {
        let text = format!(
            "[device]\nid = \"a\"\n[build]\npath = \"tiny.medsa\"\n[source]\n{source}\n\
             [broker]\n{EMBEDDED}\n"
        );
        check(&place.write("live.toml", &text)).2
    };
    let wrong = live("kind = \"pipe\"\nformat = \"mjpeg\"\ncommand = [\"no-such-program\"]");
    assert!(wrong.contains("build.path: build tiny 1.0.0 needs medsa-edge 99.0.0"), "{wrong}");
    assert!(
        wrong.contains("source.command is no-such-program, expected an existing program"),
        "{wrong}"
    );
    let wrong = live("kind = \"pipe\"\nformat = \"mjpeg\"\ncommand = [\"sh\"]");
    assert!(!wrong.contains("source"), "{wrong}");
    let wrong = live("kind = \"v4l2\"\ndevice = \"/dev/no-such-device\"");
    assert!(
        wrong.contains("source.device is /dev/no-such-device, expected an existing video"),
        "{wrong}"
    );
}

#[test]
fn further_builds_and_their_examinations_are_checked() {
    let place = choose::place();
    for name in ["damaged", "main"] {
        fs::write(place.path(&format!("others/{name}.medsa")), "no build").unwrap();
    }
    let presets = "[[preset]]\nname = \"Colon\"\nobjects = [\"polyp\"]\nbuild = \"colon\"";
    let (code, _, wrong) = check(&choose::configured(&place, LOOP, EMBEDDED, presets));
    assert_eq!(code, 1);
    for expected in [
        "build.others: ",
        "damaged.medsa: ",
        "main.medsa: the file needs another name",
        "preset[0].build is \"colon\", expected one of main, damaged, endoscopy",
        "3 problems found",
    ] {
        assert!(wrong.contains(expected), "{expected}: {wrong}");
    }
}

#[test]
fn invalid_command_line_exits_with_code_2() {
    assert_eq!(edge_command(&["check"]).output().unwrap().status.code(), Some(2));
}
