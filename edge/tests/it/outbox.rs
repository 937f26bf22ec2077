//! The outbox delivers every message, despite broken connections and kills.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use medsa_edge::config::Protocol;
use medsa_edge::mqtt;
use medsa_edge::mqtt::outbox::{Delivered, MAX_MESSAGE_BYTES, Outbox};
use medsa_edge::mqtt::{Delivery, Message, Properties, Retention};
use medsa_test_inputs::needs;

use crate::harness::{Edge, Mosquitto, Observer, Place, external, free_port};
use crate::mqtt::Wire;
use crate::service::LOOP;

const RECORDS: u32 = 50;

#[test]
fn every_record_arrives_despite_kills() {
    needs!("mosquitto");
    for (protocol, number) in [(Protocol::V4, 4), (Protocol::V5, 5)] {
        let (place, port) = (Place::new(2), free_port());
        let wire = Wire::to(port);
        let settings = format!(
            "{}\nprotocol = {number}\n[outbox]\npath = \"outbox.redb\"",
            external(&wire.url())
        );
        let config = place.config(LOOP, &settings);
        fill(&place.folder.path().join("outbox.redb"));

        let edge = Edge::run(&config);
        edge.logged("50 messages wait in the outbox");
        edge.logged("no broker");
        kill(edge);
        let broker = Mosquitto::start_at(port);
        let observer = Observer::start(&broker.url(), protocol);
        // The connection breaks after this many bytes, inside a record or its confirmation.
        let cuts = [(900, usize::MAX), (2300, usize::MAX), (usize::MAX, 43), (4100, usize::MAX)];
        for (to_broker, from_broker) in cuts.into_iter().chain([(usize::MAX, 58)]) {
            wire.limit(to_broker, from_broker);
            let edge = Edge::run(&config);
            wire.wait_until_stalled();
            kill(edge);
        }
        wire.limit(usize::MAX, usize::MAX);
        let mut edge = Edge::run(&config);
        let mut seen = Vec::new();
        observer.wait("the last record", |message| {
            (message.topic == "medsa/bench/record").then(|| seen.push(index(&message.payload)));
            seen.contains(&(RECORDS - 1)).then_some(())
        });
        edge.logged("the outbox is empty");
        edge.signal("TERM");
        assert!(edge.wait().success());
        assert!(seen.len() > RECORDS as usize, "nothing came twice: was anything cut?");
        let mut known = BTreeSet::new();
        seen.retain(|index| known.insert(*index));
        assert_eq!(seen, (0..RECORDS).collect::<Vec<_>>(), "all, and in order");
        let outbox = Outbox::open(&place.folder.path().join("outbox.redb"), 100).unwrap();
        assert!(outbox.is_empty().unwrap());
    }
}

#[test]
fn broken_connection_loses_no_record() {
    needs!("mosquitto");
    let (place, broker) = (Place::new(2), Mosquitto::start());
    let wire = Wire::to(broker.port);
    let observer = Observer::start(&broker.url(), Protocol::V5);
    fill(&place.folder.path().join("outbox.redb"));
    let settings = format!("{}\n[outbox]\npath = \"outbox.redb\"", external(&wire.url()));
    wire.limit(usize::MAX, 60);
    let edge = Edge::run(&place.config(LOOP, &settings));
    wire.wait_until_stalled();
    wire.limit(usize::MAX, usize::MAX);
    edge.logged("the broker has gone silent");
    edge.logged("the outbox is empty");
    let mut missing: BTreeSet<u32> = (0..RECORDS).collect();
    observer.wait("every record", |message| {
        if message.topic == "medsa/bench/record" {
            missing.remove(&index(&message.payload));
        }
        missing.is_empty().then_some(())
    });
}

#[test]
fn unknown_names_do_not_count_as_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.redb");
    let outbox = Outbox::open(&path, 2).unwrap();
    outbox.put_named("first", &[record(0), record(1)]).unwrap();
    assert!(outbox.put_named("second", &[record(2)]).is_err());
    drop(outbox);
    let outbox = Outbox::open(&path, 2).unwrap();
    assert_eq!(outbox.delivered("first").unwrap(), Delivered::NotYet);
    assert_eq!(outbox.delivered("second").unwrap(), Delivered::Never);
}

#[test]
fn full_outbox_refuses_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.redb");
    let outbox = Outbox::open(&path, 3).unwrap();
    assert_eq!(outbox.put(&[record(0), record(1)]).unwrap(), 0..2);
    let refusal = outbox.put(&[record(2), record(3)]).unwrap_err();
    assert!(matches!(refusal, mqtt::Error::OutboxFull { limit: 3, .. }));
    let text = refusal.to_string();
    assert!(text.contains("3 messages wait for the broker (outbox.max_messages)"), "{text}");
    assert_eq!(outbox.len().unwrap(), 2);
    let long = Message { payload: vec![0; MAX_MESSAGE_BYTES].into(), ..record(2) };
    assert!(matches!(outbox.put(&[long]).unwrap_err(), mqtt::Error::OutboxMessage { .. }));
    assert_eq!(outbox.put(&[record(2)]).unwrap(), 2..3);
    let second = Outbox::open(&path, 3).err().unwrap().to_string();
    assert!(
        second.contains("outbox.redb: outbox: ") && second.contains("already open"),
        "{second}"
    );
}

#[test]
fn damaged_outbox_is_moved_aside_and_replaced() {
    for damage in [Damage::Text, Damage::Halved, Damage::Zeroed] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.redb");
        fill(&path);
        let damaged = damage.applied_to(&fs::read(&path).unwrap());
        fs::write(&path, &damaged).unwrap();
        let outbox = Outbox::open(&path, 100).unwrap();
        assert!(outbox.is_empty().unwrap(), "{damage:?}");
        let aside = folder.path().join("outbox.redb.damaged-1");
        assert_eq!(fs::read(&aside).unwrap().len(), damaged.len(), "{damage:?}");
        outbox.put(&[record(7)]).unwrap();
        drop(outbox);
        assert_eq!(Outbox::open(&path, 100).unwrap().len().unwrap(), 1);
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Replaced by other content.
    Text,
    /// The end is missing.
    Halved,
    /// All but the first page is missing.
    Zeroed,
}

impl Damage {
    fn applied_to(self, file: &[u8]) -> Vec<u8> {
        match self {
            Self::Text => b"This was a database once.\n".repeat(200),
            Self::Halved => file[..file.len() / 2].to_vec(),
            Self::Zeroed => [&file[..4096], &vec![0; file.len() - 4096]].concat(),
        }
    }
}

fn fill(path: &Path) {
    let outbox = Outbox::open(path, 100).unwrap();
    for index in 0..RECORDS {
        outbox.put(&[record(index)]).unwrap();
    }
}

fn record(index: u32) -> Message {
    Message {
        topic: "medsa/bench/record".into(),
        payload: Bytes::from(format!("{index:>200}")),
        retention: Retention::Passing,
        delivery: Delivery::AtLeastOnce,
        properties: Properties::default(),
    }
}

fn index(payload: &[u8]) -> u32 {
    std::str::from_utf8(payload).unwrap().trim().parse().unwrap()
}

fn kill(mut edge: Edge) {
    edge.signal("KILL");
    edge.wait();
}
