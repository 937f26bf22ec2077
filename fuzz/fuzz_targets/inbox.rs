//! MQTT messages to the edge service: a topic, a line end, and the payload. They are read like in
//! the service's inbox, which is private.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medsa_wire::topic::{Channel, Topic};
use medsa_wire::{Command, Message, PromptMessage, json};

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|&byte| byte == b'\n') else { return };
    let Ok(topic) = std::str::from_utf8(&data[..end]) else { return };
    let payload = &data[end + 1..];
    let plain = json::of_json(topic);
    let Ok(parsed) = Topic::parse(plain.unwrap_or(topic)) else { return };
    assert_eq!(Topic::parse(&parsed.to_text()).as_ref(), Ok(&parsed));
    match parsed.channel {
        Channel::Prompt => read::<PromptMessage>(payload, plain.is_some()),
        Channel::Command => read::<Command>(payload, plain.is_some()),
        _ => {}
    }
});

fn read<M: Message + PartialEq + std::fmt::Debug>(payload: &[u8], is_json: bool) {
    let message: Option<M> =
        if is_json { json::decode(payload).ok() } else { M::decode(payload).ok() };
    let Some(message) = message else { return };
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    let encoded = message.encode(&mut buffer).expect("what was read is valid");
    assert_eq!(M::decode(encoded), Ok(message));
}
