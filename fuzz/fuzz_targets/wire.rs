//! Wire messages: the first byte selects the type, the others are the encoding.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use medsa_wire::topic::Topic;
use medsa_wire::{
    Availability, Command, Info, MaskMessage, Message, PromptMessage, RecordDeleted, RecordMessage,
    Stats, Status,
};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else { return };
    match kind % 10 {
        0 => again::<Availability>(bytes),
        1 => again::<Command>(bytes),
        2 => again::<Info>(bytes),
        3 => mask(bytes),
        4 => again::<PromptMessage>(bytes),
        5 => again::<RecordMessage>(bytes),
        6 => again::<Stats>(bytes),
        7 => again::<Status>(bytes),
        8 => topic(bytes),
        _ => again::<RecordDeleted>(bytes),
    }
});

/// Asserts that a message that can be read is unchanged by writing and reading it again.
fn again<M: Message + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else { return };
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    let encoded = message.encode(&mut buffer).expect("what was read is valid");
    assert_eq!(M::decode(encoded), Ok(message));
}

fn mask(bytes: &[u8]) {
    again::<MaskMessage>(bytes);
    let Ok(message) = MaskMessage::decode(bytes) else { return };
    let mask = &message.mask;
    let cells = usize::from(mask.width()) * usize::from(mask.height());
    assert_eq!(mask.bits().count(), cells);
    assert_eq!(mask.bits().filter(|&bit| bit).count(), mask.area_cells() as usize);
}

fn topic(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(topic) = Topic::parse(text) else { return };
    assert_eq!(Topic::parse(&topic.to_text()), Ok(topic));
}
