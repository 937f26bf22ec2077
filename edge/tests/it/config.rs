//! What is typed is checked, and what is wrong is named.

use std::path::Path;
use std::time::Duration;

use medsa_edge::config::{AfterLast, BrokerPlace, Config, Format, Pace};

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
        "# ca_file",
        "# client_cert",
        "# client_key",
        "# user",
        "# password_file",
        "# client_id",
        "protocol",
        "keep_alive_s",
        "connect_timeout_s",
        "max_payload_bytes",
        "format",
        "queue_masks",
        "stats_interval_s",
        "max_messages",
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
    assert_eq!(defaults.broker.connect_timeout, Duration::from_secs(5));
    assert_eq!(defaults.broker.client_id, "medsa-edge-a");
    assert_eq!(defaults.output.format, Format::Postcard);
    assert!(defaults.outbox.is_none());
    let outbox = format!("{MINIMAL}[outbox]\npath = \"o\"");
    let outbox = Config::parse(Path::new("/etc/edge.toml"), &outbox).unwrap().outbox.unwrap();
    assert_eq!((outbox.path.to_str().unwrap(), outbox.max_messages), ("/etc/o", 100_000));
    assert_eq!((defaults.broker.max_payload_bytes, defaults.output.queue_masks), (4096, 32));
    assert_eq!(defaults.output.stats_interval, Duration::from_secs(10));
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
        "edge.toml: broker.url is \"http://x\", expected a URL such as mqtt://host:1883 or \
         mqtts://host:8883, without user or path"
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

#[test]
fn what_a_broker_asks_for_goes_together() {
    let broker = |lines: &str| refusal(&with("kind = \"embedded\"", lines));
    let plain = "kind = \"external\"\nurl = \"mqtt://b\"\n";
    let encrypted = "kind = \"external\"\nurl = \"mqtts://b\"\n";
    let line = broker(&format!("{plain}ca_file = \"ca.pem\""));
    assert!(
        line.starts_with("edge.toml: broker.ca_file is \"ca.pem\", expected no such"),
        "{line}"
    );
    assert!(line.ends_with("use mqtts://"), "{line}");
    assert_eq!(
        broker(&format!("{encrypted}client_cert = \"c.pem\"")),
        "edge.toml: broker.client_key is missing, expected the private key of client_cert"
    );
    assert_eq!(
        broker(&format!("{plain}password_file = \"p\"")),
        "edge.toml: broker.user is missing, expected the user whose password is in password_file"
    );
    let line = broker("kind = \"embedded\"\nca_file = \"ca.pem\"");
    assert!(line.starts_with("edge.toml: broker.ca_file is set, expected no such key"), "{line}");
    let line = broker("kind = \"embedded\"\nuser = \"u\"");
    assert!(line.contains("knows neither TLS nor users"), "{line}");
    assert_eq!(
        broker("kind = \"embedded\"\nclient_id = \"a b\""),
        "edge.toml: broker.client_id is \"a b\", expected 1 to 128 printable ASCII characters \
         without spaces"
    );
}

#[test]
fn a_typed_password_is_not_repeated() {
    let broker = |lines: &str| refusal(&with("kind = \"embedded\"", lines));
    let line = broker("kind = \"external\"\nurl = \"mqtt://u:sesame@b\"");
    assert!(line.contains("\"mqtt://...@b\"") && !line.contains("sesame"), "{line}");
    let line = broker("kind = \"embedded\"\npassword = \"sesame\"");
    assert!(line.contains("unknown field `password`") && !line.contains("sesame"), "{line}");
}
