//! Standard output that is closed or full.

use std::fs::File;
use std::process::Stdio;

use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::Availability;

use crate::harness::{Edge, Mosquitto, Observer, Place, edge_command, external};
use crate::service::LOOP;

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn reader_that_has_gone_is_no_failure() {
    let place = Place::new(1);
    let (build, clip, out) =
        (place.build.to_str().unwrap(), place.clip.to_str().unwrap(), place.path("mask.png"));
    let arguments =
        ["segment", "--build", build, "--image", clip, "--out", &out, "--point", "64,48"];
    let mut child =
        edge_command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked") && !said.contains("cannot write"), "{said}");
    assert!(std::path::Path::new(&out).exists());
}

#[test]
fn full_output_is_reported_with_code_1() {
    let place = Place::new(1);
    let config = place.config(LOOP, "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"");
    let (config, out) = (config.to_str().unwrap(), place.path("new.toml"));
    let commands: [&[&str]; 3] = [
        &["check", config],
        &["status", "--config", config],
        &[
            "init",
            "--source",
            "/dev/video0",
            "--broker",
            "embedded",
            "--records",
            "none",
            "--force",
            "--out",
            &out,
        ],
    ];
    for arguments in commands {
        let output = edge_command(arguments).stdout(full()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        let expected = "medsa-edge: cannot write to standard output: No space left on device";
        assert!(message.lines().any(|line| line.starts_with(expected)), "{message}");
        // Nor is there a panic if the message cannot be written either.
        let status = edge_command(arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(1));
    }
}

#[test]
fn service_goes_on_with_a_full_output() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let config = place.config(LOOP, &external(&broker.url()));
    let mut command = edge_command(&["run", "--config", config.to_str().unwrap()]);
    let mut edge = Edge::spawn_with(&mut command, full());
    let mask = observer.wait_for_mask("a mask", |_| true);
    edge.signal("USR1");
    edge.logged("cannot print the table of latencies: No space left on device");
    observer.wait_for_mask("a later mask", |later| later.frame_id > mask.frame_id + 10);
    edge.signal("TERM");
    edge.logged("cannot print the table of latencies");
    observer.wait_for_availability(Availability::Offline);
    assert!(edge.wait().success());
}

#[test]
fn watch_ends_when_nobody_reads() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let _edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    let mut watch = edge_command(&["watch", "--broker", &broker.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(watch.stdout.take());
    assert!(watch.wait().unwrap().success());
}
