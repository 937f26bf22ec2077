//! `medsa-edge run` against real brokers.

use std::io::Write;
use std::path::Path;
use std::process::{self, Stdio};

use medsa_edge::config::{Budget, Protocol};
use medsa_edge::mqtt::Retention;
use medsa_edge::mqtt::outbox::Outbox;
use medsa_edge::records::Records;
use medsa_test_inputs::needs;
use medsa_wire::topic::{Channel, Topic};
use medsa_wire::{
    Availability, Command, Info, Message as _, PromptChange, PromptMessage, PromptPoint,
    RecordMessage, Stats,
};

use crate::harness::{Edge, Mosquitto, Observer, Place, external, free_port};
use crate::http::get;

pub const BUDGET: Budget = Budget { max_bytes: 1 << 30, min_free_bytes: 0 };

pub const LOOP: &str = "loop = true\nrate_fps = 100";

/// Checks the format, names and types of metrics with the tool of Prometheus.
fn promtool_accepts(metrics: &str) {
    let mut promtool = process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}{metrics}");
}

#[test]
fn masks_arrive_by_mqtt_3_at_mosquitto() {
    needs!("mosquitto");
    masks_arrive(Protocol::V4, 4);
}

#[test]
fn masks_arrive_by_mqtt_5_at_mosquitto() {
    needs!("mosquitto");
    masks_arrive(Protocol::V5, 5);
}

fn masks_arrive(protocol: Protocol, number: u8) {
    let (place, broker) = (Place::new(4), Mosquitto::start());
    let observer = Observer::start(&broker.url(), protocol);
    let settings = format!("{}\nprotocol = {number}", external(&broker.url()));
    let mut edge = Edge::run(&place.config(LOOP, &settings));
    let mask = observer.wait_for_mask("a mask", |_| true);
    assert_eq!((mask.object, mask.frame_width_px, mask.frame_height_px), (0, 128, 96));
    assert_eq!((mask.mask.width(), mask.mask.height()), (64, 48));
    assert!(mask.age_us > 0 && (mask.score - 0.9).abs() < 1e-3);
    // 32 cells of two by two pixels: the area is four times the cells.
    let measured = mask.measured.unwrap();
    let ratio = f64::from(measured.area_px) / f64::from(mask.mask.area_cells());
    assert!((ratio - 4.0).abs() < 0.2, "{ratio}");
    let [longest, shortest] = [measured.longest_px, measured.shortest_px];
    assert!((longest - 48.0).abs() < 1.0 && (shortest - 48.0).abs() < 1.0, "{measured:?}");
    let stats = observer.wait("statistics", |message| {
        message.topic.ends_with("/stats").then(|| Stats::decode(&message.payload).unwrap())
    });
    assert!(stats.masks_out > 0 && !stats.latency.is_empty());
    edge.signal("TERM");
    observer.wait_for_availability(Availability::Offline);
    assert!(edge.wait().success());
    assert!(edge.printed("encoder").contains("encoder"));
}

#[test]
fn masks_arrive_at_the_embedded_broker() {
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let place = Place::new(4);
        let settings =
            format!("kind = \"embedded\"\nlisten = \"127.0.0.1:0\"\nprotocol = {number}");
        let mut edge = Edge::run(&place.config(LOOP, &settings));
        let line = edge.logged("embedded broker listens at ");
        let url = line.rsplit(' ').next().unwrap();
        let observer = Observer::start(url, protocol);
        observer.wait_for_mask("a mask", |_| true);
        edge.signal("INT");
        observer.wait_for_availability(Availability::Offline);
        assert!(edge.wait().success());
    }
}

#[test]
fn availability_and_info_are_retained() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    edge.logged("connected to the broker");
    // A first observer's masks show that everything before has been published.
    Observer::start(&broker.url(), Protocol::V4).wait_for_mask("a mask", |_| true);
    let late = Observer::start(&broker.url(), Protocol::V4);
    let mut online = None;
    let mut info = None;
    late.wait("availability and info", |message| {
        match Topic::parse(&message.topic).unwrap().channel {
            Channel::Availability => {
                assert_eq!(message.retention, Retention::Retained);
                online = Some(Availability::decode(&message.payload).unwrap());
            }
            Channel::Info => info = Some(Info::decode(&message.payload).unwrap()),
            _ => {}
        }
        (online.is_some() && info.is_some()).then_some(())
    });
    assert_eq!(online, Some(Availability::Online));
    let info = info.unwrap();
    assert_eq!((info.build_name.as_str(), info.input_size_px), ("tiny", 64));
    let build = std::fs::read(&place.build).unwrap();
    assert_eq!(hex::encode(info.build_sha256), medsa_bundle::sha256_hex(&build));
}

#[test]
fn last_will_reports_killed_device_as_offline() {
    needs!("mosquitto");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let (place, broker) = (Place::new(1), Mosquitto::start());
        let observer = Observer::start(&broker.url(), protocol);
        let settings = format!("{}\nprotocol = {number}", external(&broker.url()));
        let edge = Edge::run(&place.config(LOOP, &settings));
        observer.wait_for_availability(Availability::Online);
        edge.signal("KILL");
        observer.wait_for_availability(Availability::Offline);
    }
}

#[test]
fn late_broker_gets_masks() {
    needs!("mosquitto");
    let (place, port) = (Place::new(2), free_port());
    let url = format!("mqtt://127.0.0.1:{port}");
    let edge = Edge::run(&place.config(LOOP, &external(&url)));
    edge.logged("no broker");
    edge.logged("next attempt in 0.50 s");
    let broker = Mosquitto::start_at(port);
    let observer = Observer::start(&broker.url(), Protocol::V4);
    observer.wait_for_mask("a mask", |mask| mask.frame_id > 0);
}

#[test]
fn restarted_broker_gets_masks_again() {
    needs!("mosquitto");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        broker_restarts(protocol, number);
    }
}

fn broker_restarts(protocol: Protocol, number: u8) {
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let settings = format!("{}\nprotocol = {number}", external(&broker.url()));
    let edge = Edge::run(&place.config(LOOP, &settings));
    let observer = Observer::start(&broker.url(), protocol);
    let before = observer.wait_for_mask("a mask", |_| true);
    drop(observer);
    let broker = broker.restart();
    edge.logged("no broker");
    edge.logged("connected to the broker");
    let observer = Observer::start(&broker.url(), protocol);
    let after = observer.wait_for_mask("a mask", |mask| mask.frame_id > before.frame_id);
    assert!(after.frame_id > before.frame_id);
    // It has subscribed again.
    observer.send("medsa/bench/prompt", &click_at(20.0, 20.0));
    observer.wait_for_mask("the new place", is_left);
}

#[test]
fn mqtt_prompt_moves_and_clears_the_object() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let _edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    observer.wait_for_mask("the configured place", |mask| !is_left(mask));
    observer.send("medsa/bench/prompt", &click_at(20.0, 20.0));
    observer.wait_for_mask("the new place", is_left);
    let second = PromptMessage { object: 5, ..click_at(100.0, 50.0) };
    observer.send("medsa/bench/prompt", &second);
    observer.wait_for_mask("the second object", |mask| mask.object == 5);
    observer.send("medsa/bench/prompt", &PromptMessage { object: 0, change: PromptChange::Clear });
    // Two masks of the second object in a row: the first object is cleared.
    let mut last = 0;
    observer.wait_for_mask("the second object alone", |mask| {
        last = if mask.object == 5 { last + 1 } else { 0 };
        last == 2
    });
}

#[test]
fn garbage_and_wrong_prompts_are_refused_and_counted() {
    needs!("mosquitto");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let (place, broker) = (Place::new(2), Mosquitto::start());
        let observer = Observer::start(&broker.url(), protocol);
        let settings = format!("{}\nprotocol = {number}", external(&broker.url()));
        let edge = Edge::run(&place.config(LOOP, &settings));
        observer.wait_for_mask("a mask", |_| true);
        observer.publish("medsa/bench/prompt", &b"\x01garbage"[..]);
        assert!(edge.logged("refused").contains("prompt"));
        observer.publish("medsa/bench/command", &b""[..]);
        assert!(edge.logged("refused").contains("empty"));
        observer.send("medsa/bench/prompt", &click_at(500.0, 20.0));
        assert!(edge.logged("refused").contains("point (500, 20) is outside"));
        observer.publish("medsa/bench/prompt", vec![1; 100_000]);
        assert!(edge.logged("refused").contains("100000 bytes, at most 4096 are accepted"));
        // Refused messages are counted, and the connection stays: no mask was lost.
        let stats = observer.wait("the count", |message| {
            let stats = Stats::decode(&message.payload).ok()?;
            (message.topic.ends_with("/stats") && stats.refused_messages == 4).then_some(stats)
        });
        assert_eq!(stats.refused_messages, 4);
        edge.signal("USR1");
        assert!(edge.printed("connection lost").ends_with(" 0"));
    }
}

/// A packet that the protocol itself refuses breaks the connection, which is then reopened.
#[test]
fn oversized_packet_is_counted_and_the_connection_reopens() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    observer.wait_for_availability(Availability::Online);
    observer.publish("medsa/bench/prompt", vec![1; (1 << 20) - 100]);
    assert!(edge.logged("refused").contains("at most 4096"));
    publish_oversized(broker.port, "medsa/bench/prompt", (1 << 20) + 100, false);
    edge.logged("no broker");
    edge.logged("connected to the broker");
    observer.wait_for_availability(Availability::Online);
    edge.signal("USR1");
    assert!(edge.printed("messages refused").ends_with(" 2"));
    assert!(edge.printed("connection lost").ends_with(" 1"));
}

#[test]
fn pause_and_resume_stop_and_start_masks() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    observer.wait_for_mask("a mask", |_| true);
    observer.send("medsa/bench/command", &Command::Pause);
    edge.logged("paused");
    observer.wait("frames dropped", |message| {
        let stats = Stats::decode(&message.payload).ok()?;
        (message.topic.ends_with("/stats") && stats.frames_dropped.paused > 10).then_some(())
    });
    observer.send("medsa/bench/command", &Command::Resume);
    edge.logged("resumed");
    observer.wait_for_mask("a mask", |_| true);
}

#[test]
fn capture_is_stored_and_announced() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let settings = format!("{}\n{kept}", external(&broker.url()));
    let mut edge = Edge::run(&place.config(&format!("{LOOP}\nblank = []"), &settings));
    observer.wait_for_mask("a mask", |_| true);
    observer.send("medsa/bench/command", &Command::Capture);
    let received = observer.wait("the record", |message| {
        let decode = || RecordMessage::decode(&message.payload).unwrap();
        message.topic.ends_with("/record").then(decode)
    });
    edge.signal("TERM");
    assert!(edge.wait().success());
    let records = Records::open(Path::new(&place.path("kept")), BUDGET).unwrap();
    let id = records.list(10).unwrap().pop().unwrap();
    assert_eq!(id.to_string(), received.id.as_str());
    let record = records.read(&id).unwrap();
    assert_eq!(record.frame.id, received.frame_id);
    assert_eq!(received.objects.len(), 1);
    let object = &record.objects[0];
    // The point was given at 64, and moves with the image.
    assert!(object.object == 0 && (object.prompt.points[0].x - 64.0).abs() < 16.0, "{object:?}");
    let area = object.measured.as_ref().unwrap().area_px;
    assert_eq!(area, received.objects[0].area_px);
    assert!((f64::from(area) / (std::f64::consts::PI * 24.0 * 24.0) - 1.0).abs() < 0.05, "{area}");
    let outbox = Outbox::open(Path::new(&place.path("outbox.redb")), 10).unwrap();
    assert!(outbox.is_empty().unwrap());
}

#[test]
fn captures_are_refused_without_records_or_blank() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    observer.wait_for_mask("a mask", |_| true);
    observer.send("medsa/bench/command", &Command::Capture);
    assert!(edge.logged("refused").contains("records"));
    drop(edge);
    let settings = format!("{}\n[records]\nfolder = \"kept\"", external(&broker.url()));
    let mut edge = Edge::run(&place.config(LOOP, &settings));
    observer.wait_for_availability(Availability::Online);
    observer.wait_for_mask("a mask", |_| true);
    observer.send("medsa/bench/command", &Command::Capture);
    assert!(edge.logged("NOT stored").contains("source.blank is missing"));
    edge.signal("TERM");
    assert!(edge.wait().success());
    assert!(edge.printed("records refused").ends_with(" 1"));
}

#[test]
fn metrics_and_health_are_served() {
    needs!("mosquitto", "prometheus");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let kept = "[records]\nfolder = \"kept\"\n[outbox]\npath = \"outbox.redb\"";
    let http = "[http]\nlisten = \"127.0.0.1:0\"";
    let settings = format!("{}\n{http}\n{kept}", external(&broker.url()));
    let edge = Edge::run(&place.config(LOOP, &settings));
    let line = edge.logged("metrics and health at http://");
    let address = line.rsplit('/').next().unwrap().to_owned();
    observer.wait_for_mask("a mask", |_| true);
    let (status, health) = get(&address, "/health");
    assert_eq!(status, 200);
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert_eq!((&health["status"], &health["broker"]), (&"ok".into(), &"connected".into()));
    assert_eq!(health["source"]["state"], "playing");
    let (status, metrics) = get(&address, "/metrics");
    assert_eq!(status, 200);
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is missing in {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("medsa_masks_total ") > 0.0 && value("process_resident_memory_bytes ") > 1e6);
    assert!(value("medsa_frames_dropped_total{stage=\"encoder\"} ") >= 0.0);
    assert_eq!(value("medsa_frames_dropped_total{stage=\"paused\"} "), 0.0);
    assert_eq!((value("medsa_source_up "), value("medsa_broker_up ")), (1.0, 1.0));
    assert_eq!(value("medsa_masks_dropped_total{stage=\"queue\"} "), 0.0);
    let [all, count] = [("bucket", ",le=\"+Inf\""), ("count", "")].map(|(kind, more)| {
        value(&format!("medsa_stage_seconds_{kind}{{stage=\"encoder\"{more}}} "))
    });
    assert!(count > 0.0 && all == count, "{all} {count}");
    for store in ["records", "outbox"] {
        assert!(value(&format!("medsa_disk_free_bytes{{store=\"{store}\"}} ")) > 0.0);
    }
    promtool_accepts(&metrics);
    assert_eq!(get(&address, "/").0, 404);
}

#[test]
fn service_ends_after_publishing_a_whole_recording() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(25), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let source = "rate_fps = 240\npace = \"every-frame\"";
    let mut edge = Edge::run(&place.config(source, &external(&broker.url())));
    for frame_id in 0..25 {
        assert_eq!(observer.wait_for_mask("every mask", |_| true).frame_id, frame_id);
    }
    let stats = observer.wait("the last statistics", |message| {
        let stats = Stats::decode(&message.payload).ok()?;
        (message.topic.ends_with("/stats") && stats.masks_out == 25).then_some(stats)
    });
    assert_eq!((stats.frames_in, stats.frames_segmented), (25, 25));
    observer.wait_for_availability(Availability::Offline);
    assert!(edge.wait().success());
    assert!(edge.printed("masks published").ends_with(" 25"));
}

#[test]
fn recording_waits_for_the_broker() {
    needs!("mosquitto");
    let (place, port) = (Place::new(40), free_port());
    let url = format!("mqtt://127.0.0.1:{port}");
    let source = "rate_fps = 240\npace = \"every-frame\"";
    let mut edge = Edge::run(&place.config(source, &external(&url)));
    edge.logged("no broker");
    let _broker = Mosquitto::start_at(port);
    assert!(edge.wait().success());
    assert!(edge.printed("masks published").ends_with(" 40"));
    assert!(edge.printed("dropped: publish").ends_with(" 0"));
}

#[test]
fn service_can_stay_after_the_source_ends() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let source = "rate_fps = 240\nat_end = \"stay\"";
    let mut edge = Edge::run(&place.config(source, &external(&broker.url())));
    edge.logged("the service keeps running");
    observer.wait_for_availability(Availability::Online);
    edge.signal("TERM");
    observer.wait_for_availability(Availability::Offline);
    assert!(edge.wait().success());
}

#[test]
fn service_stops_without_a_broker() {
    let (place, port) = (Place::new(2), free_port());
    let url = format!("mqtt://127.0.0.1:{port}");
    for source in [LOOP, "loop = true\npace = \"every-frame\""] {
        let mut edge = Edge::run(&place.config(source, &external(&url)));
        edge.logged("no broker");
        edge.signal("TERM");
        assert!(edge.wait().success());
    }
}

#[test]
fn address_in_use_is_reported() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(1), Mosquitto::start());
    let listen = format!("kind = \"embedded\"\nlisten = \"127.0.0.1:{}\"", broker.port);
    let mut edge = Edge::run(&place.config(LOOP, &listen));
    let line = edge.logged("broker.listen 127.0.0.1:");
    assert!(line.contains("in use"), "{line}");
    assert!(!edge.wait().success());
}

#[test]
fn wrong_source_kind_is_reported() {
    let place = Place::new(1);
    let config = place.config(LOOP, "kind = \"embedded\"\nlisten = \"127.0.0.1:0\"");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("kind = \"images\"", "kind = \"dicom\"")).unwrap();
    let mut edge = Edge::run(&config);
    let line = edge.logged("source.kind");
    assert!(line.contains("edge.toml: source.kind is dicom, expected images"), "{line}");
    assert_eq!(edge.wait().code(), Some(2));
}

/// Publishes a larger message than the service's own client can.
pub fn publish_oversized(port: u16, topic: &str, bytes: usize, retain: bool) {
    let mut options = rumqttc::MqttOptions::new("oversized", "127.0.0.1", port);
    options.set_max_packet_size(2 * bytes, 2 * bytes);
    let (client, mut connection) = rumqttc::Client::new(options, 4);
    client.publish(topic, rumqttc::QoS::AtLeastOnce, retain, vec![1; bytes]).unwrap();
    let confirmed = |event: &rumqttc::Event| {
        matches!(event, rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_)))
    };
    assert!(connection.iter().any(|event| confirmed(&event.expect("the message is sent"))));
}

pub fn click_at(x: f32, y: f32) -> PromptMessage {
    let points = [PromptPoint { x, y, positive: true }].into_iter().collect();
    PromptMessage { object: 0, change: PromptChange::Set { points, bbox: None } }
}

/// True if the disc is at (20, 20) and not in the centre.
pub fn is_left(mask: &medsa_wire::MaskMessage) -> bool {
    let row = 10 * usize::from(mask.mask.width());
    mask.object == 0 && mask.mask.bits().nth(row + 10) == Some(true)
}
