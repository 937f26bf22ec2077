//! Silent connections, duplicate client ids, and oversized packets.

use std::collections::BTreeSet;
use std::time::Duration;

use medsa_edge::config::Protocol;
use medsa_edge::mqtt::{
    Credentials, Delivery, Link, LinkEvent, LinkOptions, Message, Properties, Retention,
};
use medsa_test_inputs::needs;
use medsa_wire::{Availability, Command, Message as _, Stats};

use super::Wire;
use crate::harness::{Edge, Mosquitto, Observer, Place, external};
use crate::service::{LOOP, publish_oversized};

#[test]
fn silent_connection_is_detected_and_reopened() {
    needs!("mosquitto");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let (place, broker) = (Place::new(2), Mosquitto::start());
        let wire = Wire::to(broker.port);
        let observer = Observer::start(&broker.url(), protocol);
        let settings = format!("{}\nprotocol = {number}", external(&wire.url()));
        let edge = Edge::run(&place.config(LOOP, &settings));
        observer.wait_for_mask("a mask", |_| true);
        wire.cut();
        edge.logged("the broker has gone silent");
        edge.logged("connected to the broker");
        // The network did not wait for the connection: masks made in the meantime are counted.
        let stats = observer.wait("statistics", |message| {
            let stats = Stats::decode(&message.payload).ok()?;
            (message.topic.ends_with("/stats") && stats.masks_unpublished > 0).then_some(stats)
        });
        let done = stats.frames_segmented + stats.frames_failed + stats.frames_dropped.total();
        let on_their_way = stats.frames_in - done;
        // One in each of three stages, and one in front of each.
        assert!(on_their_way <= 6, "{on_their_way} frames are nowhere: {stats:?}");
        observer.wait_for_mask("a mask", |mask| mask.frame_id > stats.masks_out);
    }
}

/// A peer that reads nothing blocks the sender once the sockets are full, and with it the pings.
#[test]
fn blocked_connection_is_closed_and_its_queue_is_bounded() {
    needs!("mosquitto");
    for protocol in [Protocol::V4, Protocol::V5] {
        let broker = Mosquitto::start();
        let wire = Wire::to(broker.port);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (reason, taken) = runtime.block_on(async {
            let mut link = Link::start(options(&wire.url(), protocol));
            assert_eq!(link.next().await, Some(LinkEvent::Up));
            wire.cut();
            let (client, mut taken) = (link.client.clone(), 0);
            let flood = async {
                while client.publish(heavy()).await.is_ok() {
                    taken += 1;
                }
            };
            tokio::select! {
                () = flood => unreachable!("the link has not ended"),
                event = link.next() => match event {
                    Some(LinkEvent::Down { reason, .. }) => (reason, taken),
                    event => panic!("{event:?}"),
                },
            }
        });
        assert!(reason.contains("gone silent"), "{reason}");
        // 64 in the queue, and what the sockets hold, at 100 kB each.
        assert!((64..500).contains(&taken), "{taken}");
    }
}

fn heavy() -> Message {
    Message {
        topic: "medsa/bench/stats".into(),
        payload: vec![0; 100_000].into(),
        retention: Retention::Passing,
        delivery: Delivery::AtMostOnce,
        properties: Properties::default(),
    }
}

fn options(url: &str, protocol: Protocol) -> LinkOptions {
    LinkOptions {
        broker: url.parse().unwrap(),
        credentials: Credentials::default(),
        protocol,
        client_id: "flood".into(),
        keep_alive: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
        max_back_off: Duration::from_secs(1),
        last_will: None,
    }
}

#[test]
fn clients_with_one_id_are_reported_and_back_off() {
    needs!("mosquitto");
    for number in [4, 5] {
        let (place, broker) = (Place::new(2), Mosquitto::start());
        let settings = format!("{}\nprotocol = {number}", external(&broker.url()));
        let config = place.config(LOOP, &settings);
        let first = Edge::run(&config);
        first.logged("connected to the broker");
        let second = Edge::run(&config);
        second.logged("connected to the broker");
        let cause = "because another client connected with the id medsa-edge-bench";
        for wait in ["0.25 s", "0.50 s", "1.00 s", "2.00 s"] {
            let line = first.logged(cause);
            assert!(line.ends_with(&format!("next attempt in {wait}")), "{line}");
            first.logged("connected to the broker");
        }
    }
}

#[test]
fn clients_with_own_ids_stay_connected() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let observer = Observer::start(&broker.url(), Protocol::V5);
    let named = |id: &str| format!("{}\nclient_id = \"{id}\"", external(&broker.url()));
    let first = Edge::run(&place.config(LOOP, &named("a")));
    first.logged("connected to the broker");
    let second = Edge::run(&place.config(LOOP, &named("b")));
    second.logged("connected to the broker");
    observer.wait_for_mask("a mask of both", |mask| mask.frame_id > 50);
    first.signal("USR1");
    assert!(first.printed("connection lost").ends_with(" 0"));
}

/// The broker sends a retained message again at every connection.
#[test]
fn retained_prompts_and_commands_are_refused() {
    needs!("mosquitto");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let (place, broker) = (Place::new(2), Mosquitto::start());
        let observer = Observer::start(&broker.url(), protocol);
        let prompt = r#"{"object": 3, "change": {"Add": {"x": 20, "y": 20, "positive": true}}}"#;
        let topics = ["prompt/json", "command/json", "command"].map(|t| format!("medsa/bench/{t}"));
        let mut compact = vec![0; Command::MAX_ENCODED_LEN];
        let compact = Command::Freeze.encode(&mut compact).unwrap().to_vec();
        let payloads = [prompt.as_bytes().to_vec(), br#""Pause""#.to_vec(), compact];
        for (topic, payload) in topics.iter().zip(payloads) {
            observer.publish_retained(topic, payload);
        }
        let settings = format!("{}\nprotocol = {number}", external(&broker.url()));
        let config = place.config(LOOP, &settings);
        for _ in 0..2 {
            let edge = Edge::run(&config);
            // The order of the topics is the broker's.
            for _ in &topics {
                let line = edge.logged("refused: the broker has retained it");
                assert!(topics.iter().any(|topic| line.contains(topic.as_str())), "{line}");
            }
            let stats = observer.wait("statistics", |message| {
                let stats = Stats::decode(&message.payload).ok()?;
                (message.topic.ends_with("/stats") && stats.refused_messages > 0).then_some(stats)
            });
            assert_eq!(stats.refused_messages, 3);
            // Neither paused nor frozen, and without the object. A prompt at present is obeyed.
            observer.publish("medsa/bench/prompt/json", prompt.replace("3", "4"));
            let mut objects = BTreeSet::new();
            observer.wait_for_mask("a mask of object 4", |mask| {
                objects.insert(mask.object);
                mask.object == 4
            });
            assert!(!objects.contains(&3), "{objects:?}");
        }
    }
}

/// MQTT 3.1.1 has no way to announce the largest packet to the broker.
#[test]
fn oversized_retained_packet_breaks_one_connection_only() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    publish_oversized(broker.port, "medsa/bench/prompt", (1 << 20) + 100, true);
    let observer = Observer::start(&broker.url(), Protocol::V5);
    let edge = Edge::run(&place.config(LOOP, &external(&broker.url())));
    edge.logged("no broker");
    edge.logged("deleting the message that the broker retains on medsa/bench/prompt");
    // The last will of the lost connection, and the announcement of the next one.
    observer.wait_for_availability(Availability::Offline);
    observer.wait_for_availability(Availability::Online);
    observer.wait_for_mask("a mask", |_| true);
    edge.signal("USR1");
    assert!(edge.printed("connection lost").ends_with(" 1"));
    drop(edge);
    observer.wait_for_availability(Availability::Offline);
    let again = Edge::run(&place.config(LOOP, &external(&broker.url())));
    observer.wait_for_availability(Availability::Online);
    again.signal("USR1");
    assert!(again.printed("connection lost").ends_with(" 0"));
}
