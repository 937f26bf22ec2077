//! `medsa-edge init`: a first configuration, by options and by questions.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use medsa_edge::config::{
    AfterLast, BrokerPlace, ClipConfig, ClipFormat, Config, Deidentification, HttpControl, LogTo,
    PipeConfig, PipeFormat, SourceKind,
};
use medsa_test_inputs::{asset, needs};

use crate::harness::{Edge, Place, edge_command};

/// Runs `init` in a folder; `typed` is its standard input.
fn init(folder: &Path, arguments: &[&str], typed: &str) -> Output {
    let mut child = edge_command(&[&["init"], arguments].concat())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may refuse its options before it reads.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    child.wait_with_output().unwrap()
}

/// Error messages of `init`, which must fail with this code.
fn refused(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// The configuration for a source with the embedded broker and without captures.
fn with_source(folder: &Path, source: &str) -> Config {
    let options = ["--source", source, "--broker", "embedded", "--records", "none", "--force"];
    let output = init(folder, &options, "");
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    // No question; the file of the cine may have a warning.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.lines().all(|line| line.contains(" WARN ")), "{said}");
    Config::read(&folder.join("edge.toml")).unwrap()
}

fn clip(config: &Config) -> &ClipConfig {
    match &config.source.kind {
        SourceKind::Clip(clip) => clip,
        other => panic!("{other:?}"),
    }
}

fn pipe(config: &Config) -> &PipeConfig {
    match &config.source.kind {
        SourceKind::Pipe(pipe) => pipe,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_source_gives_a_configuration() {
    needs!("dicom");
    let place = Place::new(2);
    let folder = place.folder.path();
    fs::copy(asset("examples_ybr_color.dcm"), folder.join("cine")).unwrap();
    fs::write(folder.join("Film.MP4"), [b"\0\0\0\x18ftyp".as_slice(), &[0; 200]].concat()).unwrap();

    let SourceKind::V4l2(camera) = with_source(folder, "/dev/video7").source.kind else {
        panic!("no camera");
    };
    assert_eq!(camera.device, Path::new("/dev/video7"));
    let config = with_source(folder, "cine");
    assert_eq!(
        (clip(&config).format, clip(&config).after_last),
        (ClipFormat::Dicom, AfterLast::Repeat)
    );
    assert_eq!(clip(&config).path, folder.join("cine"));
    for images in ["clip", "clip/000.png"] {
        let config = with_source(folder, images);
        assert_eq!(clip(&config).format, ClipFormat::Images);
        assert_eq!(clip(&config).path, folder.join(images));
    }
    let config = with_source(folder, "Film.MP4");
    assert_eq!(
        (pipe(&config).program.as_str(), pipe(&config).format),
        ("ffmpeg", PipeFormat::Mjpeg)
    );
    assert!(
        pipe(&config)
            .arguments
            .ends_with(&["-i", "Film.MP4", "-f", "mjpeg", "-q:v", "3", "-"].map(str::to_owned))
    );
    let config = with_source(folder, "rtsp://10.0.0.7/live");
    let tcp = ["-rtsp_transport", "tcp", "-i", "rtsp://10.0.0.7/live"].map(str::to_owned);
    assert!(pipe(&config).arguments.windows(4).any(|part| part == tcp));
    let config = with_source(folder, "udp://10.0.0.7:5000");
    assert!(!pipe(&config).arguments.contains(&"tcp".to_owned()));
    for (typed, server) in [
        ("igtl://10.0.0.7", "10.0.0.7:18944"),
        ("openigtlink://probe:5000/", "probe:5000"),
        ("igtl://[::1]", "[::1]:18944"),
    ] {
        let SourceKind::OpenIgtLink(client) = with_source(folder, typed).source.kind else {
            panic!("no client");
        };
        assert_eq!(client.server, server);
    }
}

#[test]
fn configuration_has_the_page_and_the_answers() {
    let place = Place::new(2);
    let folder = place.folder.path();
    let config = with_source(folder, "clip");
    assert_eq!(config.device.as_str(), Config::default_device());
    assert_eq!(config.build.path, folder.join("build.medsa"));
    let http = config.http.unwrap();
    assert_eq!((http.listen.port(), http.control), (9090, HttpControl::ThisMachine));
    assert!(
        matches!(config.broker.place, BrokerPlace::Embedded { listen } if listen.port() == 1883)
    );
    assert!(config.records.is_none() && config.outbox.is_none());
    assert!(matches!(config.log.to, LogTo::Terminal));
    // Nobody has said what to hide.
    assert_eq!(config.source.intake.deidentification(), Deidentification::Unmasked);
    let options = [
        "--source",
        "clip",
        "--broker",
        "mqtts://b",
        "--records",
        "a \"b\"",
        "--out",
        "other.toml",
    ];
    assert!(init(folder, &options, "").status.success());
    let config = Config::read(&folder.join("other.toml")).unwrap();
    assert!(matches!(config.broker.place, BrokerPlace::External { url, .. } if url.port == 8883));
    assert_eq!(config.records.unwrap().folder, folder.join("a \"b\""));
    assert_eq!(config.outbox.unwrap().path, folder.join("outbox.redb"));
}

/// Relative paths of a configuration start at its folder, those of options at the working directory.
#[test]
fn configuration_in_another_folder_finds_its_files() {
    let place = Place::new(2);
    let folder = place.folder.path();
    fs::create_dir(folder.join("etc")).unwrap();
    let out = ["--out", "etc/edge.toml"];
    let options = ["--source", "clip", "--broker", "embedded", "--records", "kept"];
    assert!(init(folder, &[options.as_slice(), &out].concat(), "").status.success());
    let config = Config::read(&folder.join("etc/edge.toml")).unwrap();
    let real = |path: &PathBuf| fs::canonicalize(path).unwrap();
    assert_eq!(real(&clip(&config).path), real(&place.clip));
    let records = config.records.unwrap().folder;
    assert_eq!(real(&records.parent().unwrap().to_owned()), real(&folder.to_owned()));
}

#[test]
fn configuration_passes_the_check() {
    needs!("ffmpeg");
    let place = Place::new(2);
    let folder = place.folder.path();
    fs::rename(&place.build, folder.join("build.medsa")).unwrap();
    let check = || {
        let output = edge_command(&["check", "edge.toml"]).current_dir(folder).output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let nothing_to_hide = || {
        let text = fs::read_to_string(folder.join("edge.toml")).unwrap();
        let text = text.replace("# blank = [[0, 0, 1920, 60]]", "blank = []");
        place.write("edge.toml", &text);
    };
    // The device needs to exist for a check.
    for source in ["clip", "/dev/null", "rtsp://127.0.0.1/live", "igtl://127.0.0.1"] {
        for (broker, records) in [("embedded", "none"), ("mqtt://127.0.0.1", "records")] {
            let options = ["--source", source, "--broker", broker, "--records", records, "--force"];
            let output = init(folder, &options, "");
            let printed = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && !printed.contains("Put a build"), "{printed}");
            if records != "none" {
                let [_, wrong] = check();
                assert!(wrong.contains("1 problem found\n"), "{wrong}");
                assert!(wrong.contains("source.blank is missing"), "{wrong}");
                nothing_to_hide();
            }
            let [ready, wrong] = check();
            assert!(ready.contains("ready to run: device "), "{wrong}");
        }
    }
    // And it runs, once the ports are free ones.
    let options = ["--source", "clip", "--broker", "embedded", "--records", "records", "--force"];
    assert!(init(folder, &options, "").status.success());
    let text = fs::read_to_string(folder.join("edge.toml")).unwrap();
    let text = text.replace(":9090\"", ":0\"").replace(":1883\"", ":0\"");
    let mut edge = Edge::run(&place.write("edge.toml", &text));
    edge.logged("touchscreen page at ");
    edge.logged("the source delivers frames");
    edge.signal("TERM");
    assert!(edge.wait().success());
}

#[test]
fn existing_file_is_refused_and_unchanged() {
    let place = Place::new(1);
    let config = place.write("edge.toml", "mine");
    // Before any question.
    let output = init(place.folder.path(), &[], "");
    assert_eq!(
        refused(&output, 2),
        "medsa-edge: --out is edge.toml, which exists, expected a new file, or --force to replace \
         it\n"
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), "mine");
    with_source(place.folder.path(), "clip");
    assert!(fs::read_to_string(&config).unwrap().contains("[source]"));
}

#[test]
fn refused_answers_write_nothing() {
    let place = Place::new(1);
    place.write("notes.txt", "no image, and no DICOM file");
    let answers = |source: &str, broker: &str| {
        let options = ["--source", source, "--broker", broker, "--records", "none"];
        init(place.folder.path(), &options, "")
    };
    for (output, code, expected) in [
        (answers("ftp://a/b", "embedded"), 2, "--source is \"ftp://a/b\", expected rtsp://"),
        (answers("no-such-file", "embedded"), 1, "no-such-file: cannot be read: No such file"),
        (answers("notes.txt", "embedded"), 1, "notes.txt: starts with bytes"),
        (answers("clip", "http://b"), 2, "--broker is \"http://b\", expected embedded, or mqtt"),
        (
            answers("igtl://", "embedded"),
            2,
            "source.server is \":18944\", expected a host and port",
        ),
    ] {
        let message = refused(&output, code);
        assert!(message.contains(expected), "{message}");
        assert!(!Path::new(&place.path("edge.toml")).exists());
    }
}

#[test]
fn questions_are_answered_through_a_pipe() {
    let place = Place::new(1);
    let folder = place.folder.path();
    // A wrong answer is asked for again; an empty one is the default.
    let output = init(folder, &[], "no-such-file\nclip\nmqtt://b\n\n");
    let asked = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{asked}");
    assert_eq!(asked.matches("Source: ").count(), 2, "{asked}");
    assert!(asked.contains("no-such-file: cannot be read"), "{asked}");
    assert!(asked.contains("MQTT broker: ") && asked.contains("[embedded]: "), "{asked}");
    assert!(asked.contains("Folder for captures, or none [records]: "), "{asked}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.starts_with("edge.toml is written.\nPut a build there: build.medsa\n"),
        "{printed}"
    );
    let config = Config::read(&folder.join("edge.toml")).unwrap();
    assert!(matches!(config.broker.place, BrokerPlace::External { .. }));
    assert_eq!(config.records.unwrap().folder, folder.join("records"));
    // Only what the options do not say is asked.
    fs::remove_file(folder.join("edge.toml")).unwrap();
    let output = init(folder, &["--source", "clip", "--records", "none"], "embedded\n");
    let asked = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !asked.contains("Source: "), "{asked}");
}

#[test]
fn end_of_the_answers_is_an_error() {
    let place = Place::new(1);
    let output = init(place.folder.path(), &["--source", "clip"], "");
    let message = refused(&output, 2);
    assert!(
        message.contains("--broker is missing, expected an answer to the question"),
        "{message}"
    );
    assert!(!Path::new(&place.path("edge.toml")).exists());
}
