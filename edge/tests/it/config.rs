//! Checks of the configuration, and their messages.

use std::path::Path;
use std::time::Duration;

use medsa_edge::config::{
    AfterLast, BrokerPlace, Budget, ClipConfig, Config, Deidentification, Encryption, Format,
    HttpControl, Limits, LogFile, LogTo, Pace, PipeConfig, PipeFormat, Rectangle, Region,
    SourceKind, Timeouts, V4l2Format,
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
fn http_control_is_off_by_default_and_guarded() {
    let control_of = |source: &str, lines: &str| {
        let text = format!("{}\n[http]\n{lines}\n", MINIMAL.replace("[source]", source));
        let config = Config::parse(Path::new("etc/edge.toml"), &text);
        config.map(|config| config.http.unwrap().control).map_err(|error| error.to_string())
    };
    let control = |lines: &str| control_of("[source]\nblank = []", lines);
    let (here, everywhere) = ("listen = \"[::1]:0\"", "listen = \"0.0.0.0:80\"");
    let token = "token_file = \"http.token\"";
    let on = "control = true";
    assert_eq!(control(everywhere), Ok(HttpControl::Off));
    assert_eq!(control(&format!("{here}\n{on}")), Ok(HttpControl::ThisMachine));
    let guarded = Ok(HttpControl::Token("etc/http.token".into()));
    let tls = "certificate = \"http.pem\"\nkey = \"http.key\"";
    let everywhere_with_tls = format!("{everywhere}\n{tls}");
    for listen in [here, &everywhere_with_tls] {
        assert_eq!(control(&format!("{listen}\n{on}\n{token}")), guarded);
    }
    let refused = control(&format!("{everywhere}\n{on}")).unwrap_err();
    assert!(
        refused.starts_with("etc/edge.toml: http.token_file is missing, expected"),
        "{refused}"
    );
    let refused = control(&format!("{here}\n{token}")).unwrap_err();
    assert!(refused.contains("no such key without control = true"), "{refused}");
    // Frames are shown on this machine without `blank`, but not to others.
    assert_eq!(control_of("[source]", &format!("{here}\n{on}\n{token}")), guarded);
    let shown = format!("{everywhere_with_tls}\n{on}\n{token}");
    let refused = control_of("[source]", &shown).unwrap_err();
    assert!(refused.starts_with("etc/edge.toml: source.blank is missing, expected"), "{refused}");
}

#[test]
fn http_for_other_machines_must_be_encrypted() {
    let encryption = |lines: &str| {
        let source = "[source]\nblank = []";
        let text = format!("{}\n[http]\n{lines}\n", MINIMAL.replace("[source]", source));
        let config = Config::parse(Path::new("etc/edge.toml"), &text);
        config.map(|config| config.http.unwrap().encryption).map_err(|error| error.to_string())
    };
    let (here, everywhere) = ("listen = \"[::1]:0\"", "listen = \"0.0.0.0:80\"");
    let (cert, key) = ("certificate = \"http.pem\"", "key = \"http.key\"");
    let (control, proxy) = ("control = true\ntoken_file = \"http.token\"", "behind_proxy = true");
    // Metrics and health contain no patient data.
    assert_eq!(encryption(everywhere), Ok(Encryption::Off));
    let own = Encryption::Own { certificate: "etc/http.pem".into(), key: "etc/http.key".into() };
    assert_eq!(encryption(&format!("{everywhere}\n{control}\n{cert}\n{key}")), Ok(own));
    for listen in [here, everywhere] {
        assert_eq!(encryption(&format!("{listen}\n{control}\n{proxy}")), Ok(Encryption::Proxy));
    }
    for (lines, expected) in [
        (format!("{everywhere}\n{control}"), "http.certificate is missing, expected a certif"),
        (format!("{here}\ncontrol = true\n{proxy}"), "http.token_file is missing, expected"),
        (format!("{here}\n{cert}"), "http.key is missing, expected the private key of"),
        (format!("{here}\n{key}"), "http.certificate is missing, expected the certificate of"),
        (format!("{here}\n{cert}\n{key}\n{proxy}"), "http.behind_proxy is true, expected"),
    ] {
        let refused = encryption(&lines).unwrap_err();
        assert!(refused.starts_with(&format!("etc/edge.toml: {expected}")), "{refused}");
    }
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
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    assert_eq!(
        refusal(&with("kind = \"dicom\"", "rat_fps = 3\nkind = \"dicom\"")),
        "edge.toml:7: `rat_fps = 3`: unknown field `rat_fps`, expected one of `kind`, `path`, \
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

/// The minimal configuration with another source.
fn with_source(lines: &str) -> String {
    with("kind = \"dicom\"\npath = \"c.dcm\"", lines)
}

fn source_kind(lines: &str) -> SourceKind {
    Config::parse(Path::new("there/edge.toml"), &with_source(lines)).unwrap().source.kind
}

#[test]
fn every_kind_of_source_has_its_defaults() {
    let s = Duration::from_secs;
    let timeouts = Timeouts { start: s(5), stall: s(1), max_back_off: s(5) };
    let command = "kind = \"pipe\"\ncommand = [\"ffmpeg\", \"-i\", \"x\"]\n";
    let SourceKind::Pipe(pipe) = source_kind(&format!("{command}format = \"mjpeg\"")) else {
        panic!("no pipe");
    };
    assert_eq!((pipe.program.as_str(), pipe.arguments.len()), ("ffmpeg", 2));
    assert_eq!((pipe.format, pipe.timeouts), (PipeFormat::Mjpeg, timeouts));
    assert_eq!(pipe.folder, Path::new("there"));
    let lines = format!("{command}format = \"rgb24\"\nframe_size = [64, 48]\nstall_s = 0.5");
    let SourceKind::Pipe(PipeConfig { format, timeouts: shorter, .. }) = source_kind(&lines) else {
        panic!("no pipe");
    };
    assert_eq!(format, PipeFormat::Rgb24 { frame_size: (64, 48) });
    assert_eq!(shorter, Timeouts { stall: Duration::from_millis(500), ..timeouts });
    let server = "kind = \"openigtlink\"\nserver = \"probe:18944\"";
    let SourceKind::OpenIgtLink(client) = source_kind(server) else { panic!("no client") };
    assert_eq!((client.server.as_str(), client.device_name), ("probe:18944", None));
    assert_eq!((client.window, client.timeouts), ([0, 65535], timeouts));
    let SourceKind::V4l2(device) = source_kind("kind = \"v4l2\"\ndevice = \"/dev/video0\"") else {
        panic!("no device");
    };
    assert_eq!(
        (device.device.as_path(), device.format),
        (Path::new("/dev/video0"), V4l2Format::Mjpeg)
    );
    assert_eq!((device.frame_size, device.interval, device.timeouts), (None, None, timeouts));
}

#[test]
fn invalid_sources_are_refused() {
    let pipe = "kind = \"pipe\"\ncommand = [\"x\"]\nformat = \"mjpeg\"\n";
    let server = "kind = \"openigtlink\"\nserver = \"a:1\"\n";
    let device = "kind = \"v4l2\"\ndevice = \"/dev/video0\"\n";
    let dicom = "kind = \"dicom\"\npath = \"c.dcm\"\n";
    for (lines, expected) in [
        (format!("{pipe}path = \"x\""), "path is set, expected no such key with kind = \"pipe\""),
        (format!("{pipe}loop = false"), "loop is set, expected no such key with kind = \"pipe\""),
        (
            format!("{dicom}stall_s = 1"),
            "stall_s is set, expected no such key with kind = \"dicom\"",
        ),
        (
            format!("{server}format = \"mjpeg\""),
            "format is set, expected no such key with kind = \"openigtlink\"",
        ),
        ("kind = \"images\"".into(), "path is missing, expected the path of a file or a folder"),
        (
            "kind = \"pipe\"".into(),
            "command is missing, expected a program and its arguments, such as [\"ffmpeg\", \"-i\", ...]",
        ),
        (
            "kind = \"pipe\"\ncommand = []".into(),
            "command is [], expected a program and its arguments, such as [\"ffmpeg\", \"-i\", ...]",
        ),
        (
            "kind = \"pipe\"\ncommand = [\"x\"]".into(),
            "format is missing, expected \"rgb24\" or \"mjpeg\"",
        ),
        (
            "kind = \"pipe\"\ncommand = [\"x\"]\nformat = \"yuyv\"".into(),
            "format is yuyv, expected \"rgb24\" or \"mjpeg\"",
        ),
        (
            "kind = \"pipe\"\ncommand = [\"x\"]\nformat = \"rgb24\"".into(),
            "frame_size is missing, expected the width and height of frames with format = \"rgb24\"",
        ),
        (format!("{device}format = \"rgb24\""), "format is rgb24, expected \"mjpeg\" or \"yuyv\""),
        (
            "kind = \"v4l2\"".into(),
            "device is missing, expected a video device such as /dev/video0",
        ),
        (
            "kind = \"openigtlink\"".into(),
            "server is missing, expected a host and port such as 192.168.1.20:18944",
        ),
        (
            "kind = \"openigtlink\"\nserver = \"a:0\"".into(),
            "server is \"a:0\", expected a host and port such as 192.168.1.20:18944",
        ),
        (
            format!("{server}window = [9, 9]"),
            "window is [9, 9], expected two values of 0 to 65535, the lower first",
        ),
        (
            format!("{server}window = [0, 70000]"),
            "window is [0, 70000], expected two values of 0 to 65535, the lower first",
        ),
        (format!("{server}device_name = \"\""), "device_name is \"\", expected 1 to 20 bytes"),
        (format!("{pipe}stall_s = 0"), "stall_s is 0, expected 0.1 to 60"),
        (format!("{pipe}max_back_off_s = 0.1"), "max_back_off_s is 0.1, expected 0.25 to 300"),
        (format!("{dicom}frame_size = [0, 9]"), "frame_size is 0, expected 1 to 4096"),
        (
            format!("{dicom}pixel_spacing_mm = [0.1, -1]"),
            "pixel_spacing_mm is -1, expected 0.001 to 100",
        ),
    ] {
        assert_eq!(refusal(&with_source(&lines)), format!("edge.toml: source.{expected}"));
    }
}

#[test]
fn blank_and_region_must_fit_the_frame() {
    let dicom = "kind = \"dicom\"\npath = \"c.dcm\"\n";
    let sized = format!("{dicom}frame_size = [64, 48]\n");
    for (lines, expected) in [
        (
            format!("{dicom}blank = [[0, 0, 9, 9]]"),
            "frame_size is missing, expected the width and height that the rectangles of `blank` were drawn for",
        ),
        (
            format!("{sized}blank = [[0, 0, 9, 9], [9, 0, 9, 9]]"),
            "blank[1] is [9, 0, 9, 9], expected [x0, y0, x1, y1] with x0 < x1 and y0 < y1 within 64 x 48 px",
        ),
        (
            format!("{sized}blank = [[0, 0, 65, 9]]"),
            "blank[0] is [0, 0, 65, 9], expected [x0, y0, x1, y1] with x0 < x1 and y0 < y1 within 64 x 48 px",
        ),
        (
            format!("{sized}blank = [[0, -1, 5, 9]]"),
            "blank[0] is [0, -1, 5, 9], expected [x0, y0, x1, y1] with x0 < x1 and y0 < y1 within 64 x 48 px",
        ),
        (
            format!("{sized}region = [60, 0, 5, 5]"),
            "region is [60, 0, 5, 5], expected [x, y, width, height] within 64 x 48 px",
        ),
        (
            format!("{dicom}region = [0, 0, 0, 5]"),
            "region is [0, 0, 0, 5], expected [x, y, width, height] within 4096 x 4096 px",
        ),
    ] {
        assert_eq!(refusal(&with_source(&lines)), format!("edge.toml: source.{expected}"));
    }
    let text = with_source(&format!("{dicom}blank = []"));
    let nothing_to_hide = Config::parse(Path::new("edge.toml"), &text).unwrap().source.intake;
    assert_eq!(nothing_to_hide.deidentification(), Deidentification::Masked);
}

fn clip(config: &Config) -> &ClipConfig {
    match &config.source.kind {
        SourceKind::Clip(clip) => clip,
        other => panic!("{other:?}"),
    }
}

#[test]
fn broker_credentials_must_be_consistent() {
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
    assert!(line.contains("supports neither TLS nor users"), "{line}");
    assert_eq!(
        broker("kind = \"embedded\"\nclient_id = \"a b\""),
        "edge.toml: broker.client_id is \"a b\", expected 1 to 128 printable ASCII characters \
         without spaces"
    );
}

#[test]
fn password_is_not_repeated_in_messages() {
    let broker = |lines: &str| refusal(&with("kind = \"embedded\"", lines));
    let line = broker("kind = \"external\"\nurl = \"mqtt://u:sesame@b\"");
    assert!(line.contains("\"mqtt://...@b\"") && !line.contains("sesame"), "{line}");
    let line = broker("kind = \"embedded\"\npassword = \"sesame\"");
    assert!(line.contains("unknown field `password`") && !line.contains("sesame"), "{line}");
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
