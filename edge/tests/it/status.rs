//! State of the service in `status`, over HTTP and for systemd.

use std::fs;
use std::net::TcpListener;

use medsa_edge::config::Protocol;
use medsa_edge::mqtt::{Message, Retention};
use medsa_test_inputs::needs;
use medsa_wire::{Activity, BuildStatus, Command, Message as _, SourceStatus, Status};
use serde_json::{Value, json};

use crate::harness::{Edge, Mosquitto, Observer, Place, external};
use crate::http::get;
use crate::service::LOOP;
use crate::source::service::config;

#[test]
fn status_changes_are_published_and_retained() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let settings = format!("{}\n[http]\nlisten = \"127.0.0.1:0\"", external(&broker.url()));
    let path = place.config(LOOP, &settings);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[output]\n", "[output]\nformat = \"both\"\n")).unwrap();
    let edge = Edge::run(&path);
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap();
    let healthy = Status {
        source: SourceStatus::Playing,
        activity: Activity::Running,
        degradation: None,
        build: BuildStatus::Idle,
    };
    wait_for(&observer, |status| *status == healthy);
    for (command, activity) in [
        (Command::Pause, Activity::Paused),
        (Command::Freeze, Activity::Frozen),
        (Command::Resume, Activity::Running),
    ] {
        observer.send("medsa/bench/command", &command);
        // The JSON form is sent first.
        observer.wait("the same as JSON", |message| {
            let received = (message.topic == "medsa/bench/status/json")
                .then(|| serde_json::from_slice::<Value>(&message.payload).unwrap())?;
            (received["activity"] == format!("{activity:?}")).then_some(())
        });
        wait_for(&observer, |status| *status == Status { activity, ..healthy.clone() });
    }
    let health = |key: &str| {
        let report: Value = serde_json::from_str(&get(address, "/health").1).unwrap();
        report[key].clone()
    };
    assert_eq!(health("activity"), "running");
    assert_eq!(health("degradation"), json!({ "level": 0, "cause": null }));
    assert_eq!(health("reload"), json!({ "state": "idle", "reason": null }));

    fs::write(&place.build, "no build").unwrap();
    observer.send("medsa/bench/command", &Command::Reload);
    let failed = wait_for(&observer, |status| matches!(status.build, BuildStatus::Failed { .. }));
    let BuildStatus::Failed { reason } = &failed.build else { unreachable!() };
    let received = health("reload");
    assert_eq!(received["state"], "failed");
    assert!(
        !reason.is_empty() && received["reason"].as_str().unwrap().starts_with(reason.as_str())
    );

    // Later subscribers get it too, also from a broker that has lost its state.
    let late = Observer::start(&broker.url(), Protocol::V4);
    let kept = late.wait("what is kept", |message| Some((as_status(message)?, message.retention)));
    assert_eq!(kept, (failed.clone(), Retention::Retained));
    let broker = broker.restart();
    edge.logged("connected to the broker");
    let late = Observer::start(&broker.url(), Protocol::V4);
    assert_eq!(late.wait("the status", as_status), failed);
}

#[test]
fn status_states_how_the_source_was_lost() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    // The server has stopped listening.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let unreachable = format!("kind = \"openigtlink\"\nserver = \"127.0.0.1:{port}\"");
    let program = |command: &str| {
        format!("kind = \"pipe\"\nformat = \"mjpeg\"\nstart_s = 0.2\ncommand = {command}")
    };
    for (source, expected) in [
        (unreachable, SourceStatus::Unreachable),
        (program("[\"sleep\", \"1000\"]"), SourceStatus::Stalled),
        (program("[\"true\"]"), SourceStatus::Broken),
    ] {
        let mut edge = Edge::run(&config(&place, &source, &broker.url()));
        wait_for(&observer, |status| status.source == expected);
        edge.signal("TERM");
        assert!(edge.wait().success());
    }
}

pub fn wait_for(observer: &Observer, mut choose: impl FnMut(&Status) -> bool) -> Status {
    observer.wait("a status", |message| as_status(message).filter(&mut choose))
}

pub fn as_status(message: &Message) -> Option<Status> {
    message.topic.ends_with("/status").then(|| Status::decode(&message.payload).unwrap())
}
