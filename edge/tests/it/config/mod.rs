//! Checks of the configuration, and their messages.

mod broker;
mod http;
mod source;
mod users;
mod values;

use std::path::Path;
use std::time::Duration;

use medsa_edge::config::{
    AfterLast, BrokerPlace, Budget, ClipConfig, Config, Deidentification, Format, HttpControl,
    Limits, LogTo, Pace, Rectangle, Region, SourceKind,
};

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
fn example_is_valid() {
    let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("edge.example.toml");
    let config = Config::read(&path).unwrap();
    assert_eq!(config.prompts.len(), 1);
    let clip = clip(&config);
    assert_eq!(clip.interval, Some(Duration::from_millis(50)));
    assert_eq!(clip.after_last, AfterLast::Repeat);
    assert!(clip.path.starts_with(std::env::var("CARGO_MANIFEST_DIR").unwrap()));
    let intake = &config.source.intake;
    assert_eq!(intake.region, Some(Region { x: 40, y: 24, width: 240, height: 216 }));
    assert_eq!(intake.blank, Some(vec![Rectangle { x0: 0, y0: 0, x1: 320, y1: 24 }]));
    assert_eq!(intake.pixel_spacing_mm, Some([0.25, 0.25]));
}

/// The example states that it lists every key and the defaults.
#[test]
fn example_lists_every_key_with_its_default() {
    let example = include_str!("../../../edge.example.toml");
    let keys = [
        "id",
        "board",
        "path",
        "threads",
        "# others",
        "# keep_bytes",
        "# build",
        "kind",
        "rate_fps",
        "loop",
        "pace",
        "at_end",
        "# command",
        "# format",
        "# server",
        "# device_name",
        "# window",
        "# device",
        "# start_s",
        "# stall_s",
        "# max_back_off_s",
        "frame_size",
        "blank",
        "region",
        "pixel_spacing_mm",
        "object",
        "points",
        "box",
        "listen",
        "control",
        "# token_file",
        "# certificate",
        "# key",
        "behind_proxy",
        "diagnostic",
        "# lock_after_min",
        "# pin_hash",
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
        "folder",
        "max_bytes",
        "min_free_bytes",
        "study_timeout_min",
        "called_ae",
        "calling_ae",
        "# commitment",
        "# modality",
        "only_this_device",
        "report",
        "max_messages",
        "hot_c",
        "cool_c",
        "max_encoder_ms",
        "hold_s",
        "# confirm_min",
        "# kiosk",
        "# root",
        "# repository",
        "# name",
        "# every_h",
        "# without_clock",
        "# smaller_build",
        "# thermal_file",
        "stuck_s",
        "to",
        "level",
        "file",
        "keep",
    ];
    for key in keys {
        assert!(example.contains(&format!("\n{key} = ")), "{key}");
    }
    let defaults = Config::parse(Path::new("edge.toml"), MINIMAL).unwrap();
    assert_eq!(
        (defaults.source.pace(), defaults.source.after_last()),
        (Pace::Live, AfterLast::Exit)
    );
    assert_eq!(clip(&defaults).interval, None);
    assert_eq!(defaults.source.intake.deidentification(), Deidentification::Unmasked);
    assert!(matches!(
        defaults.broker.place,
        BrokerPlace::Embedded { listen } if listen.to_string() == "127.0.0.1:1883"
    ));
    assert_eq!(defaults.broker.keep_alive, Duration::from_secs(5));
    assert_eq!(defaults.broker.connect_timeout, Duration::from_secs(5));
    assert_eq!(defaults.broker.client_id, "medsa-edge-a");
    assert_eq!(defaults.output.format, Format::Postcard);
    assert!(defaults.outbox.is_none() && defaults.degrade.is_none());
    let degrade = format!("{MINIMAL}[degrade]\nsmaller_build = \"s\"");
    let degrade = Config::parse(Path::new("etc/edge.toml"), &degrade).unwrap().degrade.unwrap();
    let hold = Duration::from_secs(15);
    let limits = Limits { hot_c: 80.0, cool_c: 70.0, max_encoder_ms: None, hold };
    assert_eq!((degrade.limits, degrade.thermal_file), (limits, None));
    assert_eq!(degrade.smaller_build.unwrap(), Path::new("etc/s"));
    assert_eq!(defaults.stuck_after, Duration::from_secs(4));
    let outbox = format!("{MINIMAL}[outbox]\npath = \"o\"");
    let outbox = Config::parse(Path::new("/etc/edge.toml"), &outbox).unwrap().outbox.unwrap();
    assert_eq!((outbox.path.to_str().unwrap(), outbox.max_messages), ("/etc/o", 100_000));
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
fn only_the_source_is_required() {
    let source = "[source]\nkind = \"dicom\"\npath = \"c.dcm\"\n";
    let config =
        |more: &str| Config::parse(Path::new("etc/edge.toml"), &format!("{source}{more}")).unwrap();
    let defaults = config("");
    assert_eq!(defaults.device.as_str(), Config::default_device());
    assert_eq!(defaults.board, "generic");
    assert_eq!(defaults.build.path, Path::new("etc/build.medsa"));
    assert!(matches!(
        defaults.broker.place,
        BrokerPlace::Embedded { listen } if listen.to_string() == "127.0.0.1:1883"
    ));
    assert!(matches!(defaults.log.to, LogTo::Terminal));
    assert!(defaults.http.is_none() && defaults.records.is_none() && defaults.outbox.is_none());
    // The same defaults for keys of a section that is there.
    let sections = "[build]\nthreads = 1\n[device]\nboard = \"b\"\n[records]\n[outbox]\n\
                    [broker]\nurl = \"mqtts://b\"\n[http]\ncontrol = true\n";
    let config = config(sections);
    assert_eq!(config.device.as_str(), Config::default_device());
    assert_eq!(config.build.path, Path::new("etc/build.medsa"));
    assert_eq!(config.records.unwrap().folder, Path::new("etc/records"));
    assert_eq!(config.outbox.unwrap().path, Path::new("etc/outbox.redb"));
    assert!(matches!(config.broker.place, BrokerPlace::External { url, .. } if url.host == "b"));
    let http = config.http.unwrap();
    assert_eq!(http.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(http.control, HttpControl::ThisMachine);
    assert!(
        refusal("[device]\nid = \"a\"\n")
            .contains("source is missing, expected the section [source]")
    );
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    assert_eq!(
        refusal(&with("kind = \"dicom\"", "rat_fps = 3\nkind = \"dicom\"")),
        "edge.toml:7: `rat_fps = 3`: unknown field `rat_fps`, did you mean `rate_fps`?"
    );
    assert_eq!(
        refusal(&with("kind = \"dicom\"", "kind = \"dicm\"")),
        "edge.toml:7: `kind = \"dicm\"`: unknown variant `dicm`, did you mean `dicom`?"
    );
    // Nothing is similar.
    assert_eq!(
        refusal(&with("kind = \"dicom\"", "zoom = 3\nkind = \"dicom\"")),
        "edge.toml:7: `zoom = 3`: unknown field `zoom`, expected one of `kind`, `path`, \
         `command`, `server`, `device_name`, `window`, `device`, `format`, `rate_fps`, `loop`, \
         `pace`, `at_end`, `start_s`, `stall_s`, `max_back_off_s`, `frame_size`, `region`, \
         `blank`, `pixel_spacing_mm`"
    );
    assert_eq!(
        refusal(&with("kind = \"dicom\"", "kind = \"dicom\"\nloop = 3")),
        "edge.toml:8: `loop = 3`: invalid type: integer `3`, expected a boolean"
    );
    let message = refusal("[device\n");
    assert!(message.starts_with("edge.toml:1: `[device`: "), "{message}");
}

fn clip(config: &Config) -> &ClipConfig {
    match &config.source.kind {
        SourceKind::Clip(clip) => clip,
        other => panic!("{other:?}"),
    }
}
