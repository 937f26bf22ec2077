//! Properties of MQTT 5: answers to prompts and commands, content types, and masks that expire.

use medsa_edge::config::{Access, Protocol};
use medsa_edge::mqtt::{Message, Properties};
use medsa_test_inputs::needs;
use medsa_wire::json::Answer;

use crate::harness::{Edge, Mosquitto, Observer, Place, external};
use crate::service::LOOP;

const PROMPT: &str = "medsa/bench/prompt/json";

struct Ward {
    observer: Observer,
    _edge: Edge,
    _place: Place,
    _broker: Mosquitto,
}

impl Ward {
    /// A device that publishes both formats, and a client that hears every topic.
    fn start(protocol: Protocol, of_device: u8) -> Self {
        let (place, broker) = (Place::new(2), Mosquitto::start());
        let observer = Observer::subscribed(&broker.url(), protocol, &Access::default(), "#");
        let settings = format!(
            "{}\nprotocol = {of_device}\n[records]\nfolder = \"kept\"",
            external(&broker.url())
        );
        let config = place.config(LOOP, &settings);
        let text = std::fs::read_to_string(&config).unwrap();
        let both = text.replace("[output]", "[output]\nformat = \"both\"");
        std::fs::write(&config, both).unwrap();
        let edge = Edge::run(&config);
        observer.wait_for_mask("a mask", |_| true);
        Self { observer, _edge: edge, _place: place, _broker: broker }
    }

    /// Publishes a message that asks for an answer on `topic`.
    fn ask(&self, to: &str, payload: &str, topic: &str) {
        let properties = Properties {
            response_topic: Some(topic.to_owned()),
            correlation: Some(payload.to_owned().into()),
            ..Properties::default()
        };
        self.observer.publish_with(to, payload.to_owned(), properties);
    }

    /// The answer to the message with this payload.
    fn answer(&self, payload: &str) -> Answer {
        let message = self.observer.wait("the answer", |message| {
            (message.topic == "desk/answers").then(|| message.clone())
        });
        assert_eq!(message.properties.correlation.as_deref(), Some(payload.as_bytes()));
        serde_json::from_slice(&message.payload).unwrap()
    }
}

fn prompt(x: f64) -> String {
    format!(
        r#"{{"object": 1, "change": {{"Set": {{"points": [{{"x": {x}, "y": 20, "positive": true}}]}}}}}}"#
    )
}

#[test]
fn sender_of_a_prompt_or_command_is_answered() {
    needs!("mosquitto");
    let ward = Ward::start(Protocol::V5, 5);
    ward.ask(PROMPT, &prompt(30.0), "desk/answers");
    assert_eq!(ward.answer(&prompt(30.0)), Answer::Accepted);
    ward.ask(PROMPT, &prompt(900.0), "desk/answers");
    let Answer::Refused { code, reason } = ward.answer(&prompt(900.0)) else { panic!() };
    assert_eq!(code, "prompt-does-not-fit");
    assert!(reason.contains("900"), "{reason}");
    ward.ask("medsa/bench/command/json", "\"Explode\"", "desk/answers");
    let Answer::Refused { code, .. } = ward.answer("\"Explode\"") else { panic!() };
    assert_eq!(code, "not-a-message");
    ward.ask("medsa/bench/command/json", "\"Freeze\"", "desk/answers");
    assert_eq!(ward.answer("\"Freeze\""), Answer::Accepted);
}

/// Otherwise a client could have the device publish what looks like a message of a device.
#[test]
fn answers_on_topics_of_devices_are_not_given() {
    needs!("mosquitto");
    let ward = Ward::start(Protocol::V5, 5);
    for topic in ["medsa/bench/record", "medsa", "medsa/other/prompt/json"] {
        ward.ask(PROMPT, &prompt(31.0), topic);
    }
    ward.ask(PROMPT, &prompt(32.0), "desk/answers");
    ward.observer.wait("the only answer", |message| {
        let is_answer = serde_json::from_slice::<Answer>(&message.payload).is_ok();
        assert!(!is_answer || message.topic == "desk/answers", "{message:?}");
        is_answer.then_some(())
    });
}

#[test]
fn prompts_without_a_response_topic_are_applied_without_an_answer() {
    needs!("mosquitto");
    let ward = Ward::start(Protocol::V4, 5);
    ward.observer.publish(PROMPT, prompt(30.0));
    ward.observer.wait_for_mask("the second object", |mask| mask.object == 1);
}

#[test]
fn messages_have_a_content_type_and_masks_expire() {
    needs!("mosquitto");
    let ward = Ward::start(Protocol::V5, 5);
    for (topic, content_type, expires_after_s) in [
        ("medsa/bench/mask/0/json", "application/json", Some(1)),
        ("medsa/bench/mask/0", "application/octet-stream", Some(1)),
        ("medsa/bench/stats/json", "application/json", None),
        ("medsa/bench/stats", "application/octet-stream", None),
    ] {
        let take = |message: &Message| (message.topic == topic).then(|| message.clone());
        let found = ward.observer.wait(topic, take).properties;
        assert_eq!(found.content_type.as_deref(), Some(content_type), "{topic}");
        assert_eq!(found.expires_after_s, expires_after_s, "{topic}");
    }
}
