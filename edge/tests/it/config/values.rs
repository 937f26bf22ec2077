//! Ranges of values, prompts, and keys of the log.

use std::path::Path;

use medsa_edge::config::{Config, LogFile, LogTo};

use super::{MINIMAL, refusal, with};

#[test]
fn values_out_of_range_are_named_with_the_range() {
    let dicom = "kind = \"dicom\"";
    assert_eq!(
        refusal(&with(dicom, "kind = \"dicom\"\nrate_fps = 900")),
        "edge.toml: source.rate_fps is 900, expected 0.1 to 240"
    );
    assert_eq!(
        refusal(&with(dicom, "kind = \"dicom\"\nrate_fps = nan")),
        "edge.toml: source.rate_fps is NaN, expected 0.1 to 240"
    );
    assert_eq!(
        refusal(&with("id = \"a\"", "id = \"a/b\"")),
        "edge.toml: device.id is \"a/b\", expected 1 to 32 of A-Z a-z 0-9 _ -"
    );
    assert_eq!(
        refusal(&with("path = \"b.medsa\"", "path = \"b.medsa\"\nthreads = 0")),
        "edge.toml: build.threads is 0, expected 1 to 64"
    );
    assert_eq!(
        refusal(&format!("{MINIMAL}[degrade]\nhot_c = 75\ncool_c = 76.0")),
        "edge.toml: degrade.cool_c is 76, expected 20 to 75"
    );
    let embedded = "kind = \"embedded\"";
    assert_eq!(
        refusal(&with(embedded, "kind = \"embedded\"\nprotocol = 3")),
        "edge.toml: broker.protocol is 3, expected 4 (MQTT 3.1.1) or 5"
    );
    assert_eq!(
        refusal(&with(embedded, "kind = \"embedded\"\nlisten = \"here\"")),
        "edge.toml: broker.listen is \"here\", expected an address and port such as 127.0.0.1:1883"
    );
    assert_eq!(
        refusal(&with(embedded, "kind = \"external\"")),
        "edge.toml: broker.url is missing, expected a URL such as mqtt://host:1883"
    );
    assert_eq!(
        refusal(&with(embedded, "kind = \"external\"\nurl = \"http://x\"")),
        "edge.toml: broker.url is \"http://x\", expected a URL such as mqtt://host:1883 or \
         mqtts://host:8883, without user or path"
    );
    let records = |line: &str| format!("{MINIMAL}\n[records]\nfolder = \"r\"\n{line}\n");
    assert_eq!(
        refusal(&records("max_bytes = 1000")),
        "edge.toml: records.max_bytes is 1000, expected 1048576 to 1099511627776"
    );
    assert_eq!(
        refusal(&records("min_free_bytes = -1")),
        "edge.toml: records.min_free_bytes is -1, expected 0 to 1099511627776"
    );
}

#[test]
fn prompts_are_checked_one_by_one() {
    let prompt = |lines: &str| format!("{MINIMAL}\n[[prompt]]\n{lines}\n");
    assert_eq!(
        refusal(&prompt("object = 8\npoints = [\"1,2\"]")),
        "edge.toml: prompt[0].object is 8, expected 0 to 7"
    );
    assert_eq!(
        refusal(&prompt("object = 0\npoints = [\"1;2\"]")),
        "edge.toml: prompt[0].points is \"1;2\", expected X,Y for a click on the structure or \
         X,Y,- for one outside it"
    );
    assert_eq!(
        refusal(&prompt("object = 0")),
        "edge.toml: prompt[0] is empty, expected points, a box, or both"
    );
    assert_eq!(
        refusal(&prompt("object = 1\npoints = [\"1,2\"]\n[[prompt]]\nobject = 1\nbox = [0,0,1,1]")),
        "edge.toml: prompt[1].object is 1, expected a number that no other prompt uses"
    );
}

#[test]
fn presets_name_up_to_eight_objects() {
    let preset = |name: &str, objects: &str| {
        format!("{MINIMAL}\n[[preset]]\nname = {name}\nobjects = {objects}\n")
    };
    let nine = format!("[{}]", "\"a\", ".repeat(9));
    for (name, objects, expected) in [
        ("\"Neck\"", "[]", "preset[0].objects is 0 names, expected 1 to 8"),
        ("\"Neck\"", &nine, "preset[0].objects is 9 names, expected 1 to 8"),
        ("\" \"", "[\"a\"]", "preset[0].name is \" \", expected 1 to 64 visible characters"),
        ("\"Neck\"", "[\"\"]", "preset[0].objects is \"\", expected 1 to 64 visible characters"),
        (
            "\"Neck\"",
            "[\"a\"]\n[[preset]]\nname = \"Neck\"\nobjects = [\"b\"]",
            "preset[1].name is \"Neck\", expected a name of its own",
        ),
    ] {
        assert_eq!(refusal(&preset(name, objects)), format!("edge.toml: {expected}"));
    }
}

#[test]
fn keys_of_further_builds_need_their_folder() {
    assert_eq!(
        refusal(&with("path = \"b.medsa\"", "path = \"b.medsa\"\nkeep_bytes = 0")),
        "edge.toml: build.keep_bytes is 0, expected no such key without build.others"
    );
    let preset = "[[preset]]\nname = \"Colon\"\nobjects = [\"polyp\"]\nbuild = \"endoscopy\"";
    let text = format!("{MINIMAL}\n{preset}\n");
    assert_eq!(
        refusal(&text),
        "edge.toml: preset[0].build is \"endoscopy\", expected no such key without build.others"
    );
    let text = text.replace("path = \"b.medsa\"", "path = \"b.medsa\"\nothers = \"others\"");
    let config = Config::parse(Path::new("/etc/edge.toml"), &text).unwrap();
    assert_eq!(config.build.others.as_deref(), Some(Path::new("/etc/others")));
    assert_eq!(config.presets[0].build.as_deref(), Some("endoscopy"));
}

#[test]
fn log_keys_must_be_consistent() {
    let log = |lines: &str| format!("{MINIMAL}[log]\n{lines}\n");
    assert_eq!(
        refusal(&log("file = \"a.log\"")),
        "edge.toml: log.file is set, expected no such key without to = \"file\""
    );
    assert_eq!(
        refusal(&log("to = \"file\"")),
        "edge.toml: log.file is missing, expected a file with to = \"file\""
    );
    let file = "to = \"file\"\nfile = \"a.log\"\n";
    assert_eq!(
        refusal(&log(&format!("{file}keep = 0"))),
        "edge.toml: log.keep is 0, expected 1 to 100"
    );
    assert!(refusal(&log("level = \"medsa=loud\"")).contains("log.level is \"medsa=loud\""));
    let config = Config::parse(Path::new("/etc/edge.toml"), &log(file)).unwrap();
    let LogTo::File(LogFile { path, max_bytes, keep }) = config.log.to else {
        panic!("{config:?}")
    };
    assert_eq!((path.as_path(), max_bytes, keep), (Path::new("/etc/a.log"), 10 << 20, 5));
}
