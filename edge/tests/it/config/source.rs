//! The table `[source]`.

use std::path::Path;
use std::time::Duration;

use medsa_edge::config::{
    Config, Deidentification, PipeConfig, PipeFormat, SourceKind, Timeouts, V4l2Format,
};

use super::{refusal, with};

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
