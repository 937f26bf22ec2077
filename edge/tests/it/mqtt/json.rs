//! The JSON form of messages.

use medsa_edge::config::Protocol;
use medsa_edge::mqtt::{Message, Retention};
use medsa_test_inputs::needs;
use medsa_wire::{Info, Message as _};
use serde_json::{Value, json};

use crate::harness::{Edge, Mosquitto, Observer, Place, external};
use crate::service::LOOP;

#[test]
fn both_formats_have_the_same_content() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let _edge = run(&place, &broker, "both");
    // The JSON form of a message is sent first.
    let received = observer.wait("info as JSON", |m| value(m, "medsa/bench/info/json"));
    let packed = observer.wait("info", |message| {
        (message.topic == "medsa/bench/info").then(|| Info::decode(&message.payload).unwrap())
    });
    assert_eq!(received["build_name"], json!(packed.build_name.as_str()));
    let build = std::fs::read(&place.build).unwrap();
    assert_eq!(received["build_sha256"], json!(medsa_bundle::sha256_hex(&build)));

    let received = observer.wait("a mask as JSON", |m| value(m, "medsa/bench/mask/0/json"));
    let packed = observer.wait_for_mask("the mask", |_| true);
    for (key, packed) in [
        ("frame_id", json!(packed.frame_id)),
        ("captured_us", json!(packed.captured_us)),
        ("age_us", json!(packed.age_us)),
        ("score", json!(0.9)),
        ("state", json!("Tracking")),
    ] {
        assert_eq!(received[key], packed, "{key}");
    }
    let measured = packed.measured.as_ref().unwrap();
    assert_eq!(received["measured"]["area_px"], json!(measured.area_px));
    let mask = &received["mask"];
    assert_eq!((&mask["width"], &mask["height"]), (&json!(64), &json!(48)));
    let runs = mask["runs"].as_array().unwrap().iter().map(|run| run.as_u64().unwrap());
    let cells: Vec<bool> = runs
        .enumerate()
        .flat_map(|(index, run)| std::iter::repeat_n(index % 2 == 1, run as usize))
        .collect();
    assert_eq!(cells, packed.mask.bits().collect::<Vec<_>>());
    observer.wait("statistics as JSON", |m| value(m, "medsa/bench/stats/json"));
    // A single last will cannot update two availability messages.
    let late = Observer::start(&broker.url(), Protocol::V4);
    late.wait("what the broker kept, and then a mask", |message| {
        assert_ne!(message.topic, "medsa/bench/availability/json");
        (message.retention == Retention::Passing).then_some(())
    });
}

#[test]
fn json_format_publishes_everything() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V5);
    let edge = run(&place, &broker, "json");
    let availability = "medsa/bench/availability/json";
    assert_eq!(observer.wait("online", |m| value(m, availability)), json!("Online"));
    observer.wait("a mask", |message| {
        assert!(message.topic.ends_with("/json"), "{}", message.topic);
        value(message, "medsa/bench/mask/0/json")
    });
    edge.signal("KILL");
    assert_eq!(observer.wait("the last will", |m| value(m, availability)), json!("Offline"));
}

#[test]
fn prompts_and_commands_are_accepted_as_json() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V4);
    let edge = run(&place, &broker, "postcard");
    observer.wait_for_mask("a mask", |_| true);
    let points = json!([{ "x": 20, "y": 20.5, "positive": true }]);
    let prompt = json!({ "object": 3, "change": { "Set": { "points": points, "bbox": null } } });
    observer.publish("medsa/bench/prompt/json", prompt.to_string());
    observer.wait_for_mask("the new object", |mask| mask.object == 3);
    observer.publish("medsa/bench/prompt/json", prompt.to_string().replace(":3", ":8"));
    assert!(edge.logged("refused").contains("object is 8, expected 0 to 7"));
    observer.publish("medsa/bench/command/json", "\"Stop\"");
    assert!(edge.logged("refused").contains("command/json"));
    observer.publish("medsa/bench/command/json", "\"Pause\"");
    edge.logged("paused");
}

fn run(place: &Place, broker: &Mosquitto, format: &str) -> Edge {
    let path = place.config(LOOP, &external(&broker.url()));
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[output]\n", &format!("[output]\nformat = \"{format}\"\n"));
    std::fs::write(&path, text).unwrap();
    Edge::run(&path)
}

fn value(message: &Message, topic: &str) -> Option<Value> {
    (message.topic == topic).then(|| serde_json::from_slice(&message.payload).unwrap())
}
