//! Topics: parsing and formatting agree, and only names of the scheme are accepted.

use medsa_wire::topic::{Channel, DeviceId, MAX_TOPIC_LEN, ObjectId, Topic, TopicError};

#[test]
fn every_topic_round_trips() {
    let device = DeviceId::parse("theatre_2-us").unwrap();
    let mut channels = vec![
        (Channel::Availability, "availability".to_owned()),
        (Channel::Info, "info".to_owned()),
        (Channel::Record, "record".to_owned()),
        (Channel::RecordDeleted, "record/deleted".to_owned()),
        (Channel::Stats, "stats".to_owned()),
        (Channel::Status, "status".to_owned()),
        (Channel::Prompt, "prompt".to_owned()),
        (Channel::Command, "command".to_owned()),
    ];
    for object in 0..8 {
        channels.push((Channel::Mask(ObjectId::new(object).unwrap()), format!("mask/{object}")));
    }
    for (channel, name) in channels {
        let topic = device.topic(channel);
        let text = topic.to_text();
        assert_eq!(text.as_str(), format!("medsa/theatre_2-us/{name}"));
        assert_eq!(text.parse(), Ok(topic));
    }
    assert_eq!(device.mask_filter().as_str(), "medsa/theatre_2-us/mask/+");
}

#[test]
fn longest_topic_fits() {
    let device = DeviceId::parse(&"x".repeat(32)).unwrap();
    assert_eq!(device.topic(Channel::RecordDeleted).to_text().len(), MAX_TOPIC_LEN);
}

#[test]
fn other_texts_are_refused_with_a_reason() {
    let cases = [
        ("other/box/info", TopicError::LiesElsewhere),
        ("medsa", TopicError::LiesElsewhere),
        ("medsax/box/info", TopicError::LiesElsewhere),
        ("medsa/box", TopicError::NamesNoChannel),
        ("medsa/box/", TopicError::NamesNoChannel),
        ("medsa/box/masks", TopicError::NamesNoChannel),
        ("medsa/box/mask/", TopicError::NamesNoChannel),
        ("medsa/box/mask/01", TopicError::NamesNoChannel),
        ("medsa/box/mask/+", TopicError::NamesNoChannel),
        ("medsa/box/info/x", TopicError::NamesNoChannel),
        ("medsa/box/record/", TopicError::NamesNoChannel),
        ("medsa/box/mask/8", TopicError::CountsPastObjects { found: 8 }),
        ("medsa//info", TopicError::MeasuresDevice { found: 0 }),
        ("medsa/+/info", TopicError::MisnamesDevice { found: '+' }),
        ("medsa/b ox/info", TopicError::MisnamesDevice { found: ' ' }),
    ];
    for (text, expected) in cases {
        assert_eq!(Topic::parse(text), Err(expected), "{text}");
    }
    let long = "x".repeat(33);
    assert_eq!(DeviceId::parse(&long), Err(TopicError::MeasuresDevice { found: 33 }));
}
