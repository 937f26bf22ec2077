//! Tasks that panic: each is restarted and works again, or the service ends and systemd restarts
//! it.

use std::fs;
use std::io::Read;
use std::net::TcpStream;

use medsa_edge::config::Protocol;
use medsa_test_inputs::needs;
use medsa_wire::{Command, Message as _, RecordMessage};
use serde_json::Value;

use crate::harness::{Edge, Mosquitto, Observer, Place, edge_command, external, wait_until};
use crate::http::get;
use crate::reload::right;
use crate::service::LOOP;
use crate::slots::{install, place_with_slots};
use crate::status::as_status;

/// The service with all tasks, one of which panics once.
struct Bench {
    place: Place,
    edge: Edge,
    observer: Observer,
    address: String,
    _broker: Mosquitto,
}

impl Bench {
    fn start(panics: &str) -> Self {
        let broker = Mosquitto::start();
        let place = Place::new(2);
        place_with_slots(&place, LOOP, &Self::settings(&broker));
        fs::write(place.path("temp"), "50000\n").unwrap();
        let observer = Observer::start(&broker.url(), Protocol::V4);
        let edge = Edge::spawn(
            edge_command(&["run", "--config", &place.path("edge.toml")])
                .env("MEDSA_INJECT_PANIC", panics),
        );
        let line = edge.logged("metrics and health at http://");
        let address = line.rsplit('/').next().unwrap().to_owned();
        Self { place, edge, observer, address, _broker: broker }
    }

    fn settings(broker: &Mosquitto) -> String {
        format!(
            "{}\n[http]\nlisten = \"127.0.0.1:0\"\n[records]\nfolder = \"kept\"\n\
             [outbox]\npath = \"outbox.redb\"\n[degrade]\nhold_s = 1\nthermal_file = \"temp\"",
            external(&broker.url())
        )
    }

    /// Waits until the failure of the task `panics` is in the log, in `/health` and in `/metrics`.
    fn assert_reported(&self, panics: &str) {
        let reason = "panicked: injected by MEDSA_INJECT_PANIC";
        self.edge.logged(&format!("the task {panics} {reason}"));
        wait_until("the server answers", || TcpStream::connect(&self.address).is_ok());
        let (status, health) = get(&self.address, "/health");
        let health: Value = serde_json::from_str(&health).unwrap();
        let failures = serde_json::json!({ panics: { "count": 1, "last": reason } });
        assert_eq!((status, &health["task_failures"]), (200, &failures), "{health}");
        let metric = format!("medsa_task_failures_total{{task=\"{panics}\"}} 1\n");
        assert!(get(&self.address, "/metrics").1.contains(&metric));
    }

    fn capture(&self) -> RecordMessage {
        self.observer.wait_for_mask("a mask", |_| true);
        self.observer.send("medsa/bench/command", &Command::Capture);
        self.observer.wait("a record", |message| {
            let decode = || RecordMessage::decode(&message.payload).unwrap();
            message.topic.ends_with("/record").then(decode)
        })
    }
}

#[test]
fn http_task_is_restarted_after_a_panic() {
    needs!("mosquitto");
    Bench::start("http").assert_reported("http");
}

#[test]
fn announcer_is_restarted_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("announcer");
    bench.assert_reported("announcer");
    bench.observer.send("medsa/bench/command", &Command::Pause);
    bench.observer.wait("the pause", |message| {
        as_status(message).filter(|status| status.activity == medsa_wire::Activity::Paused)
    });
}

#[test]
fn courier_is_restarted_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("courier");
    bench.assert_reported("courier");
    bench.capture();
}

#[test]
fn degradation_is_restarted_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("degrading");
    bench.assert_reported("degrading");
    fs::write(bench.place.path("temp"), "90000\n").unwrap();
    bench.edge.logged("degraded to level 1");
}

#[test]
fn update_supervisor_is_restarted_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("updates");
    bench.assert_reported("updates");
    install(&bench.place, &right("2.0.0", 32));
    bench.edge.logged("build tiny 2.0.0 replaces tiny 1.0.0");
}

#[test]
fn build_is_reloaded_after_a_panic_of_the_reload() {
    needs!("mosquitto");
    let bench = Bench::start("reloading");
    bench.observer.wait_for_mask("a mask", |_| true);
    bench.observer.send("medsa/bench/command", &Command::Reload);
    bench.assert_reported("reloading");
    bench.edge.logged("stays in use: the thread reloading panicked");
    let health: Value = serde_json::from_str(&get(&bench.address, "/health").1).unwrap();
    assert_eq!(health["reload"]["state"], "failed", "{health}");
    install(&bench.place, &right("2.0.0", 32));
    bench.edge.logged("build tiny 2.0.0 replaces tiny 1.0.0");
}

#[test]
fn records_thread_continues_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("records");
    bench.assert_reported("records");
    bench.capture();
}

#[test]
fn watchdog_continues_after_a_panic() {
    needs!("mosquitto");
    Bench::start("watchdog").assert_reported("watchdog");
}

#[test]
fn panic_of_a_connection_costs_that_connection_only() {
    needs!("mosquitto");
    let bench = Bench::start("connection");
    let mut response = Vec::new();
    // The connection is closed or reset.
    let _ = TcpStream::connect(&bench.address).unwrap().read_to_end(&mut response);
    assert!(response.is_empty());
    bench.assert_reported("connection");
}

#[test]
fn embedded_broker_that_panics_is_an_error() {
    let place = Place::new(2);
    let config = place.config(LOOP, "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"");
    let mut command = edge_command(&["run", "--config", config.to_str().unwrap()]);
    let mut edge = Edge::spawn(command.env("MEDSA_INJECT_PANIC", "broker"));
    let line = edge.logged("embedded broker on 127.0.0.1:");
    assert!(line.ends_with("panicked: injected by MEDSA_INJECT_PANIC"), "{line}");
    assert_eq!(edge.wait().code(), Some(1));
}

#[test]
fn panic_loses_one_capture_only() {
    needs!("mosquitto");
    let bench = Bench::start("a capture");
    bench.observer.wait_for_mask("a mask", |_| true);
    bench.observer.send("medsa/bench/command", &Command::Capture);
    bench.edge.logged("the task records panicked");
    let (_, metrics) = get(&bench.address, "/metrics");
    assert!(metrics.contains("medsa_records_refused_total 1\n"), "{metrics}");
    bench.capture();
}

#[test]
fn service_ends_when_a_task_without_restart_panics() {
    needs!("mosquitto");
    for (panics, line) in [
        ("session", "the task session panicked"),
        ("link", "the task session panicked"),
        ("publisher", "the task publisher panicked"),
        ("decoding", "the thread decoding panicked"),
        ("encoding", "the thread encoding panicked"),
        ("following", "the thread following panicked"),
        ("source", "the thread source panicked"),
    ] {
        let mut bench = Bench::start(panics);
        bench.edge.logged(line);
        assert_eq!(bench.edge.wait().code(), Some(1), "{panics}");
    }
}
