//! Messages as JSON, for clients that do not decode the wire format, such as browsers and Node-RED.
//! Needs the feature `json`, and `std`.
//!
//! Field names are those of the wire format. Three things differ: the cells of a mask are lengths
//! of runs (`runs`: in row order, background first, then alternating), hashes are hexadecimal, and
//! numbers have as few digits as identify an `f32`.

use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use crate::{
    Availability, Command, Info, Mask, MaskMessage, Message, PromptMessage, RecordDeleted,
    RecordMessage, Stats, Status,
};

/// A message that has a JSON form.
pub trait ToJson: Message {
    /// The message as JSON.
    fn to_json(&self) -> Value {
        value(self)
    }
}

/// Answer to a prompt or a command, on the response topic of its sender (MQTT 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Answer {
    /// The device applies it.
    Accepted,
    /// The device does not apply it.
    Refused {
        /// Cause, for programs.
        code: String,
        /// Values found and expected, for people.
        reason: String,
    },
}

impl ToJson for Availability {}

impl ToJson for Stats {}

impl ToJson for Status {}

impl ToJson for RecordDeleted {}

impl ToJson for PromptMessage {}

impl ToJson for Command {}

impl ToJson for RecordMessage {
    fn to_json(&self) -> Value {
        let mut value = value(self);
        value["record_sha256"] = hex::encode(self.record_sha256).into();
        value
    }
}

impl ToJson for Info {
    fn to_json(&self) -> Value {
        let mut value = value(self);
        value["build_sha256"] = hex::encode(self.build_sha256).into();
        value
    }
}

impl ToJson for MaskMessage {
    fn to_json(&self) -> Value {
        let mut value = value(self);
        let mask = &self.mask;
        value["mask"] =
            json!({ "width": mask.width(), "height": mask.height(), "runs": runs(mask) });
        value
    }
}

/// Topic of the JSON form of the messages on `topic`.
pub fn topic(topic: &str) -> String {
    format!("{topic}{SUFFIX}")
}

/// The topic whose JSON form is on `topic`; `None` if it is not a JSON topic.
pub fn of_json(topic: &str) -> Option<&str> {
    topic.strip_suffix(SUFFIX)
}

const SUFFIX: &str = "/json";

/// Payload of the JSON form of a message.
pub fn encode(message: &impl ToJson) -> String {
    message.to_json().to_string()
}

/// Decodes the JSON form of an incoming message and checks it as the wire format does. An unknown
/// key is refused, because it may be a misspelt optional one.
///
/// # Errors
/// The text is not JSON, not a message of this type, or a value is out of range.
pub fn decode<M: Message>(payload: &[u8]) -> Result<M, String> {
    let mut unknown = Vec::new();
    let mut text = serde_json::Deserializer::from_slice(payload);
    let message: M = serde_ignored::deserialize(&mut text, |key| unknown.push(key.to_string()))
        .and_then(|message| text.end().map(|()| message))
        .map_err(|error| error.to_string())?;
    if !unknown.is_empty() {
        return Err(format!("unknown key {}", unknown.join(", ")));
    }
    let mut buffer = vec![0; M::MAX_ENCODED_LEN];
    // Encoding checks the values.
    message.encode(&mut buffer).map_err(|error| error.to_string())?;
    Ok(message)
}

/// A value whose maps have string keys, with short numbers.
pub fn value(of: &impl Serialize) -> Value {
    // Invariant: JSON can represent it.
    let mut value = serde_json::to_value(of).unwrap_or_default();
    shorten(&mut value);
    value
}

/// Shortens numbers that were `f32` to the digits that identify them: 0.9 instead of
/// 0.8999999761581421.
fn shorten(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let short = number.as_f64().and_then(|wide| (wide as f32).to_string().parse().ok());
            if let Some(short) = short.and_then(Number::from_f64) {
                *number = short;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

/// Lengths of runs in row order, background first.
fn runs(mask: &Mask) -> Vec<u32> {
    let mut runs = vec![0];
    let mut value = false;
    for cell in mask.bits() {
        if cell != value {
            value = cell;
            runs.push(0);
        }
        if let Some(last) = runs.last_mut() {
            *last += 1;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use serde_json::json;

    use super::{ToJson, decode};
    use crate::{Command, Mask, MaskMessage, MaskState, PromptMessage};

    #[test]
    fn mask_is_encoded_as_run_lengths() {
        let message = MaskMessage {
            frame_id: 7,
            captured_us: 1_700_000_000_000_000,
            age_us: 45_000,
            object: 2,
            state: MaskState::Tracking,
            reason: None,
            segmented: true,
            score: 0.9,
            agreement: None,
            frame_width_px: 8,
            frame_height_px: 4,
            measured: None,
            mask: Mask::from_bits(4, 2, [true, true, false, false, false, true, false, false])
                .unwrap(),
        };
        let value = message.to_json();
        let mask = json!({ "width": 4, "height": 2, "runs": [0, 2, 3, 1, 2] });
        assert_eq!(value["mask"], mask);
        assert_eq!(value["score"].to_string(), "0.9");
        assert_eq!((&value["frame_id"], &value["state"]), (&json!(7), &json!("Tracking")));
    }

    #[test]
    fn incoming_json_is_checked_like_the_wire_format() {
        let refusal = |text: &str| decode::<PromptMessage>(text.as_bytes()).unwrap_err();
        let set = r#"{"object":1,"change":{"Set":{"points":[{"x":1,"y":2,"positive":true}]}}}"#;
        assert_eq!(decode::<PromptMessage>(set.as_bytes()).unwrap().object, 1);
        assert!(refusal(&set.replace(":1,\"change", ":9,\"change")).contains("object"));
        let misspelt = set.replace("]}}}", r#"],"box":[1,2,3,4]}}}"#);
        assert_eq!(refusal(&misspelt), "unknown key change.box");
        assert!(refusal(&format!("{set} x")).contains("trailing"));
        assert_eq!(decode::<Command>(b"\"Pause\"").unwrap(), Command::Pause);
        assert!(decode::<Command>(b"\"Explode\"").unwrap_err().contains("Pause"));
    }
}
