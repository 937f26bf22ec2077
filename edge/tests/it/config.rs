//! What is typed is checked, and what is wrong is named.

use std::path::Path;
use std::time::Duration;

use medsa_edge::config::{AfterLast, BrokerPlace, Config, Pace};
use medsa_edge::records::Budget;

const MINIMAL: &str = r#"
[device]
id = "a"
[build]
path = "b.medsa"
[source]
kind = "dicom"
path = "c.dcm"
[broker]
kind = "embedded"
"#;

fn refusal(text: &str) -> String {
    Config::parse(Path::new("edge.toml"), text).expect_err("a value out of range").to_string()
}

/// The minimal configuration with `from` replaced.
fn with(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from));
    MINIMAL.replace(from, to)
}

#[test]
fn the_example_is_right() {
    let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("edge.example.toml");
    let config = Config::read(&path).unwrap();
    assert_eq!(config.prompts.len(), 1);
    assert_eq!(config.source.interval, Some(Duration::from_millis(50)));
    assert_eq!(config.source.after_last, AfterLast::Repeat);
    assert!(config.source.path.starts_with(std::env::var("CARGO_MANIFEST_DIR").unwrap()));
}

/// The example claims to hold every key, and to tell the defaults.
#[test]
fn the_example_holds_every_key_with_its_default() {
    let example = include_str!("../../edge.example.toml");
    let keys = [
        "id",
        "board",
        "path",
        "threads",
        "kind",
        "rate_fps",
        "loop",
        "pace",
        "at_end",
        "object",
        "points",
        "box",
        "listen",
        "# url",
        "protocol",
        "keep_alive_s",
        "max_payload_bytes",
        "queue_masks",
        "stats_interval_s",
        "folder",
        "max_bytes",
        "min_free_bytes",
    ];
    for key in keys {
        assert!(example.contains(&format!("\n{key} = ")), "{key}");
    }
    let defaults = Config::parse(Path::new("edge.toml"), MINIMAL).unwrap();
    assert_eq!((defaults.source.pace, defaults.source.after_last), (Pace::Live, AfterLast::Exit));
    assert!(matches!(
        defaults.broker.place,
        BrokerPlace::Embedded { listen } if listen.to_string() == "127.0.0.1:1883"
    ));
    assert_eq!(defaults.broker.keep_alive, Duration::from_secs(5));
    assert_eq!((defaults.broker.max_payload_bytes, defaults.output.queue_masks), (4096, 32));
    assert_eq!(defaults.output.stats_interval, Duration::from_secs(10));
    assert!(defaults.records.is_none());
    let records = format!("{MINIMAL}\n[records]\nfolder = \"kept\"\n");
    let records = Config::parse(Path::new("etc/edge.toml"), &records).unwrap().records.unwrap();
    assert_eq!(records.folder, Path::new("etc/kept"));
    let defaults = Budget { max_bytes: 8_589_934_592, min_free_bytes: 1_073_741_824 };
    assert_eq!(records.budget, defaults);
}

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
        "edge.toml: broker.url is \"http://x\", expected a URL such as mqtt://host:1883"
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
         X,Y,- for one beside it"
    );
    assert_eq!(
        refusal(&prompt("object = 0")),
        "edge.toml: prompt[0] is empty, expected points, a box, or both"
    );
    assert_eq!(
        refusal(&prompt("object = 1\npoints = [\"1,2\"]\n[[prompt]]\nobject = 1\nbox = [0,0,1,1]")),
        "edge.toml: prompt[1].object is 1, expected a number that no other prompt has"
    );
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    assert_eq!(
        refusal(&with("kind = \"dicom\"", "rat_fps = 3\nkind = \"dicom\"")),
        "edge.toml:7: `rat_fps = 3`: unknown field `rat_fps`, expected one of `kind`, `path`, \
         `rate_fps`, `loop`, `pace`, `at_end`"
    );
    assert_eq!(
        refusal(&with("kind = \"dicom\"", "kind = \"dicom\"\nloop = 3")),
        "edge.toml:8: `loop = 3`: invalid type: integer `3`, expected a boolean"
    );
    let message = refusal("[device\n");
    assert!(message.starts_with("edge.toml:1: `[device`: "), "{message}");
}
