//! Tasks that panic: each is started again and does its work, or the service ends for systemd to
//! start it again.

use std::fs;

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

/// The service with every task, one of which panics once.
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

    /// Waits for the failure of the task `panics` in the log, in `/health` and in `/metrics`.
    fn assert_told(&self, panics: &str) {
        let reason = "panicked: injected by MEDSA_INJECT_PANIC";
        self.edge.logged(&format!("the task {panics} {reason}"));
        wait_until("the server answers", || std::net::TcpStream::connect(&self.address).is_ok());
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
fn the_server_answers_again_after_a_panic() {
    needs!("mosquitto");
    Bench::start("http").assert_told("http");
}

#[test]
fn changes_are_announced_again_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("announcer");
    bench.assert_told("announcer");
    bench.observer.send("medsa/bench/command", &Command::Pause);
    bench.observer.wait("the pause", |message| {
        as_status(message).filter(|status| status.activity == medsa_wire::Activity::Paused)
    });
}

#[test]
fn records_are_announced_again_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("courier");
    bench.assert_told("courier");
    bench.capture();
}

#[test]
fn heat_is_noticed_again_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("degrading");
    bench.assert_told("degrading");
    fs::write(bench.place.path("temp"), "90000\n").unwrap();
    bench.edge.logged("degraded to level 1");
}

#[test]
fn builds_are_switched_again_after_a_panic() {
    needs!("mosquitto");
    let bench = Bench::start("updates");
    bench.assert_told("updates");
    install(&bench.place, &right("2.0.0", 32));
    bench.edge.logged("build tiny 2.0.0 replaces tiny 1.0.0");
}

#[test]
fn a_panic_costs_one_capture_and_not_the_next() {
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
fn the_service_ends_when_a_task_panics_that_cannot_be_started_again() {
    needs!("mosquitto");
    for (panics, told) in [
        ("session", "the task session panicked"),
        ("publisher", "the task publisher panicked"),
        ("decoding", "the thread decoding panicked"),
        ("encoding", "the thread encoding panicked"),
        ("following", "the thread following panicked"),
        ("source", "the thread source panicked"),
    ] {
        let mut bench = Bench::start(panics);
        bench.edge.logged(told);
        assert_eq!(bench.edge.wait().code(), Some(1), "{panics}");
    }
}
