//! The whole service with a source that is lost and returns.

use std::process::Command;

use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::Availability;

use crate::harness::{Edge, Mosquitto, Observer, Place, external, free_port, wait_until};
use crate::http::get;

/// A test image of 128 x 96 px, which the service crops.
const CAMERA: &str = r#"kind = "pipe"
command = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=128x96:rate=25",
    "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
format = "rgb24"
frame_size = [128, 96]
region = [16, 8, 96, 80]
blank = [[0, 0, 128, 10]]
"#;

#[test]
fn masks_continue_after_the_program_was_killed() {
    needs!("ffmpeg", "mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let mut edge = Edge::run(&config(&place, CAMERA, &broker.url()));
    let first = program(&edge.logged("ffmpeg runs as process "));
    edge.logged("the source delivers frames");
    let mask = observer.wait_for_mask("a mask", |_| true);
    // The size of the cropped frame.
    assert_eq!((mask.frame_width_px, mask.frame_height_px), (96, 80));
    assert!(Command::new("kill").args(["-s", "KILL", &first]).status().unwrap().success());
    let line = edge.logged("no source: ");
    assert!(
        line.contains("program ffmpeg: was ended by signal 9; next attempt in 0.25 s"),
        "{line}"
    );
    let second = program(&edge.logged("ffmpeg runs as process "));
    edge.logged("the source delivers frames");
    observer.wait_for_mask("a mask", |again| again.frame_id > mask.frame_id);
    edge.signal("TERM");
    observer.wait_for_availability(Availability::Offline);
    assert!(edge.wait().success());
    assert!(!std::path::Path::new(&format!("/proc/{second}")).exists());
}

#[test]
fn stalled_source_does_not_delay_shutdown() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let stalled = "kind = \"pipe\"\ncommand = [\"sleep\", \"1000\"]\nformat = \"mjpeg\"\n\
                   start_s = 60.0\n";
    let mut edge = Edge::run(&config(&place, stalled, &broker.url()));
    let sleeper = program(&edge.logged("sleep runs as process "));
    observer.wait_for_availability(Availability::Online);
    edge.signal("TERM");
    assert!(edge.wait().success());
    assert!(!std::path::Path::new(&format!("/proc/{sleeper}")).exists());
}

#[test]
fn prompts_wait_for_the_first_frame_of_unknown_size() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let source = "kind = \"pipe\"\nformat = \"mjpeg\"\ncommand = [\"ffmpeg\", \"-v\", \"error\", \
                  \"-re\", \"-f\", \"lavfi\", \"-i\", \"testsrc=size=128x96:rate=25\", \
                  \"-f\", \"mjpeg\", \"-\"]\n";
    let place_of_prompts = format!("{source}\n[[prompt]]\nobject = 1\npoints = [\"500,500\"]\n");
    let edge = Edge::run(&config(&place, &place_of_prompts, &broker.url()));
    // Outside the frame, as known from the first frame on; the other prompt is decoded.
    let line = edge.logged("prompt of object 1 removed");
    assert!(line.contains("500"), "{line}");
    let mask = observer.wait_for_mask("a mask", |_| true);
    assert_eq!((mask.object, mask.frame_width_px, mask.frame_height_px), (0, 128, 96));
}

#[test]
fn service_is_alive_but_not_ready_without_frames() {
    let place = Place::new(1);
    let silent = "kind = \"pipe\"\ncommand = [\"sleep\", \"1000\"]\nformat = \"mjpeg\"\n\
                  start_s = 0.1\nmax_back_off_s = 0.25\n";
    let broker = format!("mqtt://127.0.0.1:{}", free_port());
    let edge = Edge::run(&with_http(&config(&place, silent, &broker)));
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap();
    // Never in between, however often it connects.
    for _ in 0..3 {
        for text in ["connecting to the source", "sleep runs as process", "no source: "] {
            edge.logged(text);
            let (status, body) = get(address, "/ready");
            assert_eq!(status, 503, "{body}");
            let health = get(address, "/health");
            assert!(health.0 == 200 && health.1.contains("\"status\":\"impaired\""), "{health:?}");
        }
    }
}

#[test]
fn service_is_ready_while_frames_arrive() {
    let place = Place::new(3);
    let clip = "kind = \"images\"\npath = \"clip\"\nat_end = \"stay\"\nrate_fps = 2\n";
    let broker = format!("mqtt://127.0.0.1:{}", free_port());
    let edge = Edge::run(&with_http(&config(&place, clip, &broker)));
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap();
    edge.logged("the source delivers frames");
    let (status, body) = get(address, "/ready");
    assert!(status == 200 && body.contains("\"status\":\"ok\""), "{status} {body}");
    wait_until("the end of the recording", || {
        let (status, body) = get(address, "/ready");
        status == 503 && body.contains("\"state\":\"ended\"")
    });
    assert_eq!(get(address, "/health").0, 200);
}

/// The configuration with an HTTP server.
fn with_http(config: &std::path::Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, format!("{text}[http]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
    config.to_owned()
}

pub fn config(place: &Place, source: &str, broker: &str) -> std::path::PathBuf {
    let text = format!(
        "[device]\nid = \"bench\"\n\
         [build]\npath = \"tiny.medsa\"\nthreads = 1\n\
         [source]\n{source}\n\
         [[prompt]]\nobject = 0\npoints = [\"48,40\"]\n\
         [broker]\n{}\n\
         [output]\nstats_interval_s = 1\n",
        external(broker)
    );
    place.write("edge.toml", &text)
}

/// The process id at the end of a log line.
fn program(line: &str) -> String {
    line.rsplit(' ').next().unwrap().to_owned()
}
